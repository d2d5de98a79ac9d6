// application/x-www-form-urlencoded, which query strings use too (WHATWG URL §5.1).
#ifndef LUNETTE_HTTP_FORM_H
#define LUNETTE_HTTP_FORM_H

#include "base/str.h"

// Takes the next name=value of *rest, both still encoded, separated by '&' alone. Empty pieces are skipped; a piece without '=' is a name with an empty
// value; an empty name is kept ("=x"). False at the end.
bool form_next(struct str *rest, struct str *name, struct str *value);

// Decodes '+' to a space and %XX to its byte; an invalid escape is kept as it is. dst has room for s.n bytes. Returns the length written.
// needs: whether s holds anything to decode (else the caller may use s itself).
size_t form_decode(char *dst, struct str s);
bool form_needs_decode(struct str s);

#endif
