// A complete answer, fitted to the request that it answers: conditions, content coding, ranges
// (RFC 9110 §13, §8.4, §14). For files and for what handlers made alike, after everybody else had
// their say.
#ifndef LUNETTE_CONTENT_FIT_H
#define LUNETTE_CONTENT_FIT_H

#include "content/coding_choice.h"
#include "content/fit_note.h"
#include "content/forms.h"
#include "http/exchange.h"

struct fit_options {
    struct coding_options codings; // gzip.level, min_bytes, types
    struct forms *forms;           // coded forms of files; NULL: files are coded anew each time
};

// Different contents, different names.
struct fit_content {
    uint64_t root;   // file_root_id of the folder that it is in
    struct str etag; // its strong tag
    // A note that is kept with the content: whether it varies by Accept-Encoding. 0: not known yet,
    // FIT_VARIES or FIT_SAME. Good for one fit_options.
    unsigned char *varies;
    // The same for fit_from_note; NULL: none. Only of content whose type and Cache-Control are its own.
    struct fit_note *note;
    // Coded forms of it that exist already, 1u << CODING_…: they are sent rather than made.
    unsigned ready;
    // Makes such a form the body of *r, in place of what r lends. False, with nothing changed: it is
    // not there any more. Only called during fit_response and fit_from_note, for one of ready.
    bool (*form)(void *arg, enum coding c, struct http_response *r);
    void *arg;
};

enum { FIT_VARIES = 1, FIT_SAME };

enum {
    FIT_WHOLE = 256 * 1024, // bodies up to this are coded at once, larger ones while they are sent
    FIT_COPY = 32 * 1024,   // ranges up to this are read from their file at once
};

// *r is an answer as it would be sent, r->fields being f. It becomes
//
//   304  for a 200 to GET or HEAD whose conditions say that the client has it: without a body and
//        what describes one, but with ETag and what is about caches (§15.4.5)
//   412  the same, for a condition that failed: an empty body
//   206  for a 200 to GET of known length with a Range that counts: one range, or several as
//        multipart/byteranges; with Content-Range
//   416  the same, for a Range that cannot be satisfied: Content-Range: bytes */length
//   coded, any other answer with a body that is worth it and welcome: with Content-Encoding, Vary,
//        and the tag of that form
//
// or stays as it is. now: seconds since 1970. a: the exchange's.
// Without memory, or where the fields have no room for what is to be said, it stays as it is too, and
// a range is then not served. What r lends (release, source) is given back in time.
//
// content names what the body holds, for o->forms. NULL: a file is named by its state, and forms of
// what is in memory are not kept.
void fit_response(struct http_response *r, struct fields *f, const struct http_request *request,
                  struct arena *a, int64_t now, const struct fit_options *o,
                  const struct fit_content *content);

// The same where that is known already, and cheap: the request asks for nothing but a coding, which
// was asked for before, and the coded form lies ready; or content stays as it is, and r has its bytes
// in memory. So what r lends is not read. False, with nothing changed: it is for fit_response to do.
bool fit_from_note(struct http_response *r, struct fields *f, const struct http_request *request,
                   struct arena *a, const struct fit_options *o, const struct fit_content *content);

#endif
