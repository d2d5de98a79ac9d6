// The Cookie request field (RFC 6265 §4.2.1, read leniently as §5.4 produces it).
#ifndef LUNETTE_HTTP_COOKIE_H
#define LUNETTE_HTTP_COOKIE_H

#include "base/str.h"

// Takes the next pair of *rest, the value of a Cookie field, into name and value (slices of it). Pairs are separated by ';'; spaces and tabs around name and value
// are dropped, one pair of double quotes around a value too. A pair without '=' or with an empty name is skipped; so is one whose name is no token.
// False at the end.
bool cookie_next(struct str *rest, struct str *name, struct str *value);

#endif
