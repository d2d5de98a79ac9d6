// The Cookie request field (RFC 6265 §4.2.1), read as leniently as browsers write it (§5.4).
#ifndef LUNETTE_HTTP_COOKIE_H
#define LUNETTE_HTTP_COOKIE_H

#include "base/str.h"

// Takes the next pair of *rest, the value of a Cookie field, into name and value, slices of it.
// Pairs are separated by ';'. Spaces and tabs around name and value are dropped, and one pair of
// double quotes around a value. A pair without '=' or whose name is empty or no token is skipped.
// False at the end, with name and value untouched.
bool cookie_next(struct str *rest, struct str *name, struct str *value);

#endif
