// Text for HTML: the five bytes that have an entity, wherever text may stand.
#ifndef LUNETTE_BASE_HTML_H
#define LUNETTE_BASE_HTML_H

#include "base/buf.h"

// By byte: "&amp;" and its like; p NULL for a byte that stands for itself.
extern const struct str html_entities[256];

// Appends s, escaped. False when out is full; some of it may then be there.
bool html_add(struct buf *out, struct str s);

#endif
