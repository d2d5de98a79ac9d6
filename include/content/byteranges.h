// A body of type multipart/byteranges (RFC 9110 §14.6): several ranges of one representation, as a
// source of known length.
#ifndef LUNETTE_CONTENT_BYTERANGES_H
#define LUNETTE_CONTENT_BYTERANGES_H

#include "http/exchange.h"
#include "http/range.h"

// The representation: size bytes of fd from at on; with fd −1, bytes.
struct byteranges_from {
    int fd;
    off_t at;
    struct str bytes;
    uint64_t size;
    void (*release)(void *arg); // gives fd or bytes back, once, when the source is closed; or NULL
    void *arg;
};

enum {
    BYTERANGES_TYPE = 80,         // bytes for the Content-Type, NUL included
    BYTERANGES_BLOCK = 64 * 1024, // of a file that a pull reads
    BYTERANGES_HEADS = 16 * 1024  // all heads together
};

// A source of the n ranges, at most RANGES_MAX, each with its head: Content-Range, and content_type
// unless that is empty. type gets the Content-Type of it all, with a boundary that nobody can
// guess; *length how long it is. Takes *from over. A file that became shorter makes it fail. NULL
// without memory, or when content_type is so long that the heads pass BYTERANGES_HEADS: *from is
// then still the caller's.
struct body_source *byteranges_new(const struct byteranges_from *from,
                                   const struct byte_range *ranges, unsigned n,
                                   struct str content_type, char type[static BYTERANGES_TYPE],
                                   int64_t *length);

#endif
