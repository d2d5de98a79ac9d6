// Whole texts in and out of gzip (RFC 1952). Nothing is kept between two calls, so that any thread
// may make them.
#ifndef LUNETTE_CONTENT_GZIP_H
#define LUNETTE_CONTENT_GZIP_H

#include "base/buf.h"

enum gzip_verdict {
    GZIP_WHOLE,
    GZIP_BAD,       // not gzip, or a checksum that is wrong
    GZIP_SHORT,     // it ends within a member
    GZIP_TRAILING,  // something that is no member follows one
    GZIP_TOO_LARGE, // out's maximum would be passed
    GZIP_NO_MEMORY,
};

// Appends one member with s in it to out, which may grow by gzip_bound(s.n) bytes. level: 0 (stored)
// to 9; the same s and level give the same bytes. False without memory.
bool gzip_pack(struct str s, int level, struct buf *out);
size_t gzip_bound(size_t n);

// Appends what is in s, all of its members one after the other (RFC 1952 §2.2), to out. out holds a
// part of it for any verdict but GZIP_WHOLE.
enum gzip_verdict gzip_unpack(struct str s, struct buf *out);

#endif
