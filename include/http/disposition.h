// Content-Disposition of downloads (RFC 6266).
#ifndef LUNETTE_HTTP_DISPOSITION_H
#define LUNETTE_HTTP_DISPOSITION_H

#include "base/arena.h"

// attachment, with a file name: the value, in the arena; p NULL without memory. An empty name gives
// "attachment" alone.
//
// filename holds printable ASCII in quotes; what else the name has, and what programs trip over
// (quotes, backslashes, slashes, percent signs), is an underscore there. Where that is not the name,
// and the name is UTF-8, filename* has the true one (RFC 8187) but for control bytes, which are
// underscores too: browsers take it, and others take the plain one.
struct str disposition_attachment(struct str name, struct arena *a);

#endif
