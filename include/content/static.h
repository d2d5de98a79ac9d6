// A file as a response: index files, validators, conditional requests, one range (RFC 9110 §13, §14).
#ifndef LUNETTE_CONTENT_STATIC_H
#define LUNETTE_CONTENT_STATIC_H

#include "content/file.h"
#include "http/exchange.h"

struct static_options {
    int64_t max_age;          // Cache-Control: max-age, seconds; below 0: none is sent
    const char *const *index; // file names tried in a folder, NULL at the end
};

enum static_result {
    STATIC_FOUND, // *out and *fields are filled; the caller answers with them (out->release closes the file)
    STATIC_MISSING,  // no such file, or none that may be seen
    STATIC_REDIRECT, // a folder asked for without its slash: *out is a 308 to path + "/", query kept
    STATIC_FORBIDDEN, // the file may not be read: 403
    STATIC_BUSY,      // descriptors or memory are out: 503
};

// Looks path (decoded, normalised) up beneath r and prepares the answer to req: 200, 206, 304, 412 or 416, with Content-Type, ETag (strong, of inode, size and mtime),
// Last-Modified, Accept-Ranges, Cache-Control. req is a GET or HEAD. Fields are appended to *fields, which out->fields then points to.
// Small files (16 KiB and less) are read at once into memory from a and given as BODY_BYTES; larger ones as BODY_FILE.
enum static_result static_answer(const struct file_root *r, const struct static_options *o,
                                 const struct http_request *req, struct str path, int64_t now,
                                 struct arena *a, struct fields *fields, struct http_response *out);

#endif
