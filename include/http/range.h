// The Range request field, in bytes (RFC 9110 §14.1.2, §14.2). A pure function of strings.
#ifndef LUNETTE_HTTP_RANGE_H
#define LUNETTE_HTTP_RANGE_H

#include "base/str.h"

struct byte_range {
    uint64_t first, last; // inclusive, first <= last < size
};

enum range_verdict {
    RANGE_NONE, // ignore the field and send everything: it is malformed, of another unit, or asks
                // for more than RANGES_MAX ranges or for more than two that overlap
    RANGE_SOME, // 206 with n ranges, in the order asked for
    RANGE_UNSATISFIABLE, // 416
};

enum { RANGES_MAX = 16 };

// Reads field for a representation of size bytes. *n is 0 but for RANGE_SOME. Ranges that cannot be
// satisfied are dropped when others can; of an empty representation none can. Numbers beyond 2^64
// are as good as that. Ranges may overlap, even be the same twice.
enum range_verdict range_parse(struct str field, uint64_t size,
                               struct byte_range out[static RANGES_MAX], unsigned *n);

#endif
