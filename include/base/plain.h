// Text of others for a terminal: what commands it, and what deceives who reads, is replaced.
#ifndef LUNETTE_BASE_PLAIN_H
#define LUNETTE_BASE_PLAIN_H

#include "base/str.h"

#include <stdio.h>

// Writes text, which is taken for UTF-8, with one '?' in place of each
//      control character but tab and line feed: C0, DEL, and C1 (U+0080 to U+009F), of which
//              terminals know U+009B, for instance, as the beginning of a command
//      maximal ill-formed piece: a terminal may make a C1 byte of it, or swallow what follows
//      line and paragraph separator (U+2028, U+2029): lines end where we say
//      embedding, override and isolate of the bidirectional algorithm (U+202A to U+202E, U+2066 to
//              U+2069): they make a path or a line of source look like another one
// Marks of direction (U+200E, U+200F, U+061C) stay: they move no letters, and plain Hebrew or Arabic
// has them.
void plain_write(FILE *out, struct str text);

#endif
