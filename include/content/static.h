// A file as a response: index names, validators, coded forms beside it, and what content/fit makes of
// it.
#ifndef LUNETTE_CONTENT_STATIC_H
#define LUNETTE_CONTENT_STATIC_H

#include "content/filecache.h"
#include "content/fit.h"
#include "http/exchange.h"

// The lines about caches that an answer gets, written once a second.
struct static_caching {
    int64_t at; // the second that they are of
    size_t n;   // 0: not written yet
    char lines[128];
};

// Seconds: what immutable means without a max_age, and what caches may keep a redirect to a folder
// for at most, since that may become another thing.
enum { STATIC_IMMUTABLE_AGE = 365 * 24 * 3600, STATIC_REDIRECT_AGE = 3600 };

struct static_options {
    // Seconds, for Cache-Control: max-age and for Expires, which says the same to caches that know
    // no other (RFC 9111 §5.3); below 0: neither is sent.
    int64_t max_age;
    bool immutable;                 // with max-age: what is at this path never changes (RFC 8246)
    struct static_caching *caching; // of these options alone; NULL: written for each answer
    const char *const *index;       // file names tried in a folder, NULL at the end
    bool listing;                   // a folder without one of them is STATIC_FOLDER
    // Content-Disposition: attachment, by that name; n 0: by the file's own. Not for index files.
    bool download;
    struct str download_name;
    struct filecache *cache; // NULL: every answer opens its file
    struct str *found; // NULL, or where the path of the file that was found is put: path or in a
    // How the answer is fitted to the request; NULL: not at all, it is a plain 200 that somebody
    // else will fit.
    const struct fit_options *fit;
};

// Bytes of content that are sent from memory rather than from the file.
enum { STATIC_SMALL = FILECACHE_SMALL };

enum static_result {
    // *out and *fields are filled; the caller answers with them (out->release gives the file back).
    STATIC_FOUND,
    STATIC_MISSING,   // no such file, or none that may be seen: 404
    STATIC_FOLDER,    // options.listing, and a folder without an index file: nothing is filled
    STATIC_REDIRECT,  // a folder without its slash: *out is a 308 to req->path + "/", query kept
    STATIC_FORBIDDEN, // the file may not be read: 403
    STATIC_BUSY,      // descriptors or memory are out, or the file cannot be read now: 503
};

// Looks path (decoded, normalised) up beneath r and prepares the answer to req, a GET or HEAD, at
// the time now (seconds since 1970).
//
//   200  the file (or a coded form that lies beside it, see content/siblings), with Content-Type (unless *fields has one), ETag, Last-Modified, Accept-Ranges,
//        Cache-Control and Expires; or what fit_response makes of it
//
// The tag is strong, made of inode, size and mtime. A request whose path has an encoded slash finds
// nothing: no file name holds one. Fields are appended to *fields, which out->fields points to;
// nothing is appended unless the result is STATIC_FOUND or STATIC_REDIRECT. A file of up to
// STATIC_SMALL bytes is given as BODY_BYTES, a larger one as BODY_FILE.
enum static_result static_answer(const struct file_root *r, const struct static_options *o,
                                 const struct http_request *req, struct str path, int64_t now,
                                 struct arena *a, struct fields *fields, struct http_response *out);

// Whether static_answer would find something there but a redirect: for other methods than GET and HEAD,
// which are then not allowed.
bool static_exists(const struct file_root *r, const struct static_options *o, struct str path,
                   struct arena *a);

// Fits an answer that static_answer made with these options and without fit, and that others had in
// their hands since: out, with the fields that it will be sent with, and path as *found told it.
// While it still is that file, by its tag and its bytes, the coded forms of the file are its own.
void static_fit(const struct file_root *r, const struct static_options *o,
                const struct http_request *req, struct str path, int64_t now, struct arena *a,
                struct fields *fields, struct http_response *out);

#endif
