// application/x-www-form-urlencoded, which query strings use too (WHATWG URL §5.1).
#ifndef LUNETTE_HTTP_FORM_H
#define LUNETTE_HTTP_FORM_H

#include "base/str.h"

struct form_pair {
    struct str name, value;       // still encoded
    bool name_coded, value_coded; // it holds something to decode; if not, it may be used itself
};

// Takes the next name=value of *rest, separated by '&' alone. Empty pieces are skipped; a piece
// without '=' is a name with an empty value; an empty name is kept ("=x"). False at the end, with
// the pair untouched.
bool form_next(struct str *rest, struct form_pair *pair);

// How many times form_next would find one.
size_t form_count(struct str text);

// Decodes '+' to a space and %XX to its byte; an invalid escape is kept as it is. dst has room for
// s.n bytes and may be s.p itself. Returns the length written.
size_t form_decode(char *dst, struct str s);

#endif
