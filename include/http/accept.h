// Proactive negotiation: which of the values on offer a client likes best (RFC 9110 §12). Pure
// functions of strings.
//
// field is the value of the request field, all values of a repeated one joined by ", "; p is NULL
// when it is absent, and everything is then welcome. Elements that are malformed, or whose weight
// is, are ignored, and so is everything behind the first ACCEPT_MAX valid ones, which accept_is_long
// tells; q=.5 passes for q=0.5. Of an element that is there twice the heavier counts. Letters' case
// never counts. All three return the index of the best of the n values offered, or -1 when none is
// acceptable.
#ifndef LUNETTE_HTTP_ACCEPT_H
#define LUNETTE_HTTP_ACCEPT_H

#include "base/str.h"

enum { ACCEPT_MAX = 64 };

// Whether the field has more than ACCEPT_MAX elements, malformed ones included, empty ones not.
bool accept_is_long(struct str field);

// Accept (§12.5.1). Offered are media types, with parameters or without. The most specific range
// that covers a type gives its weight: one with parameters, all of which the type must have,
// before a plain type/subtype, before type/*, before */*. Of equal weights the first offered
// wins. A field without a valid element is as if absent.
int accept_type(struct str field, const struct str *offered, int n);

// Accept-Language, by the lookup of RFC 4647 §3.4: range after range, by falling weight and then
// in the client's order, each cut down from its end until it is a tag on offer ("de-CH-1996",
// "de-CH", "de"). After all of them "*" takes the first offered. A weight of 0 excludes the tags
// its range is a prefix of, unless a longer range wants them. A field without a valid element is
// as if absent.
int accept_language(struct str field, const struct str *offered, int n);

// Accept-Encoding (§12.5.3). "identity" is acceptable unless it, or "*" without it, has weight 0,
// but comes behind everything that was asked for. "x-gzip" is gzip, "x-compress" compress
// (§8.4.1). Of equal weights the first offered wins. An empty field wants identity alone.
int accept_encoding(struct str field, const struct str *offered, int n);

#endif
