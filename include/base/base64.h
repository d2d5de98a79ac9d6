// Base64 (RFC 4648 §4 and §5), strictly: one text for each string of bytes and no other.
#ifndef LUNETTE_BASE_BASE64_H
#define LUNETTE_BASE_BASE64_H

#include "base/str.h"

enum base64_form {
    BASE64_STANDARD, // + and /, with padding
    BASE64_BARE,     // + and /, without padding: as in PHC strings
    BASE64_URL,      // - and _, without padding
};

// The length of the text for n bytes; n is at most SIZE_MAX / 2.
size_t base64_length(size_t n, enum base64_form form);
// Writes the text of s to dst, which holds base64_length bytes and does not overlap s. Returns the
// length.
size_t base64_encode(char *dst, struct str s, enum base64_form form);

// Writes the bytes that s stands for to dst, which holds s.n / 4 * 3 + 2 bytes and may be s.p
// itself. Returns how many; or −1 minus the position of the first byte that is wrong, s.n when the
// text ends too early. Wrong are: what is not of the alphabet (white space too), padding where none
// belongs, and bits that are left over and not zero.
ptrdiff_t base64_decode(char *dst, struct str s, enum base64_form form);

#endif
