// UTF-8, strictly (RFC 3629): no overlong forms, no surrogates, nothing beyond U+10FFFF.
#ifndef LUNETTE_BASE_UTF8_H
#define LUNETTE_BASE_UTF8_H

#include "base/str.h"

// The length of the character at p, of which n bytes (at least one) may be read: 1 to 4. Where
// there is none, minus the length of the maximal ill-formed piece (Unicode 3.9, U+FFFD substitution
// of maximal subparts): -1 to -3.
int utf8_step(const char *p, size_t n);

bool utf8_valid(struct str s);

#endif
