// A multipart/form-data body while it arrives: where its parts lie, how large they are, and their
// digests. The body itself is kept by a spool, which upload_add is the tap of.
//
// So a body of any size is looked at once, piece by piece, and costs a few bytes a part. What is
// wrong with it is kept too, for whoever asks for its parts.
#ifndef LUNETTE_HTTP_UPLOAD_H
#define LUNETTE_HTTP_UPLOAD_H

#include "http/multipart.h"

enum { UPLOAD_DIGEST = 32 }; // bytes of a SHA-256

// Positions count from the body's first byte.
struct upload_part {
    uint64_t head_at, body_at, size;
    uint32_t head_n; // bytes of the header block
    unsigned char sha256[UPLOAD_DIGEST];
};

struct upload;

// For a Content-Type that is multipart/form-data: *out, to be freed with upload_free. Another type:
// *out is NULL. NULL, or a phrase about what is lacking: memory, or libcrypto (base/libcrypto.h).
const char *upload_new(struct str content_type, const struct multipart_limits *l,
                       struct upload **out);
void upload_free(void *upload); // NULL is fine

// The next bytes of the body.
void upload_add(void *upload, struct str bytes);
// The body is whole.
void upload_end(struct upload *u);

// After upload_end. The parts in order; none may be used when upload_fault gives a status.
unsigned upload_count(const struct upload *u);
const struct upload_part *upload_part(const struct upload *u, unsigned i);
// 0, or the status to answer with: 400, 413 for a limit, 503 for lack of memory. *why is then a
// phrase for the log, *at the byte of the body that it is about.
unsigned upload_fault(const struct upload *u, const char **why, uint64_t *at);

#endif
