// Text for HTML: the five bytes that have an entity, wherever text may stand.
#ifndef LUNETTE_BASE_HTML_H
#define LUNETTE_BASE_HTML_H

#include "base/buf.h"

// "&amp;" and its like: n bytes of text. n is 0 for a byte that stands for itself.
struct html_entity {
    char text[7];
    unsigned char n;
};
enum { HTML_ENTITY_MAX = 6 };                       // bytes of the longest
extern const struct html_entity html_entities[256]; // by byte

// Appends s, escaped. False when out is full; some of it may then be there.
bool html_add(struct buf *out, struct str s);

#endif
