// The built-in page for an error status: what a visitor sees where the site has none of its own.
#ifndef LUNETTE_HTTP_PAGE_H
#define LUNETTE_HTTP_PAGE_H

#include "base/buf.h"

// Appends a whole HTML document (UTF-8) that shows the status, its reason phrase and below them the
// message, escaped; an empty one makes no paragraph. False, with nothing added, when out is full.
bool page_html(struct buf *out, unsigned status, struct str message);

#endif
