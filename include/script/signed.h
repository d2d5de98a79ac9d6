// The form of signed text: what stands in it, apart from keys and clocks. Pure.
//
//      hello.1795383000-1795386600.rGhv…    text . signed at - good until . signature
//      hello.1795383000.cH0j…               without an end
//
// The times are seconds since 1970. The signature is 32 bytes in URL-safe base64, over all that
// stands before its dot; the text before the times may hold any bytes, dots too.
#ifndef LUNETTE_SCRIPT_SIGNED_H
#define LUNETTE_SCRIPT_SIGNED_H

#include "base/str.h"

enum {
    SIGNED_MAC = 32,       // bytes of a signature
    SIGNED_STAMP_MAX = 48, // bytes of the times with their dot
    SIGNED_TAIL_MAX = 48,  // of the signature with its dot
};
static const uint64_t SIGNED_TIME_MAX = INT64_MAX / 2; // times from 0 to here

struct signed_text {
    struct str text;    // as it was before it was signed
    struct str body;    // what the signature is over
    uint64_t at, until; // until is UINT64_MAX where there is no end
    unsigned char mac[SIGNED_MAC];
};

// False when s has not this form. The slices are within s.
bool signed_parse(struct str s, struct signed_text *out);

// Write what follows the text, and what follows the body; return the length.
size_t signed_stamp(char dst[static SIGNED_STAMP_MAX], uint64_t at, uint64_t until);
size_t signed_tail(char dst[static SIGNED_TAIL_MAX], const unsigned char mac[static SIGNED_MAC]);

#endif
