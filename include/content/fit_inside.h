// Private to fit*.c.
#ifndef LUNETTE_CONTENT_FIT_INSIDE_H
#define LUNETTE_CONTENT_FIT_INSIDE_H

#include "content/fit.h"

// One answer in the making.
struct fit_job {
    struct http_response *r;
    struct fields *f;
    const struct http_request *request;
    struct arena *a;
    const struct fit_options *o;
    const struct fit_content *content;
};

// The body is not sent: what lends it gets it back.
void fit_drop_body(struct http_response *r);
// Its bytes, where they are known; −1.
int64_t fit_body_length(const struct fit_job *j);
// Bytes that come without a release are good until exchange_respond returns: what is pulled later
// needs its own. False without memory.
bool fit_own_bytes(struct http_response *r);
// n bytes of the file, from at on. False: they are not there.
bool fit_read_file(int fd, off_t at, char *dst, size_t n);

// The body becomes its coded form: kept, made at once, or made while it is sent. False, with the body
// as it was: without memory, or where that does not make it shorter.
bool fit_code_body(struct fit_job *j, enum coding c);
// The same of a form that is kept under the content's name; nothing of the body is read.
bool fit_lend_kept_form(struct fit_job *j, enum coding c);

#endif
