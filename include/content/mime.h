// Media types by file name: a built-in table, so that the answer is the same on every machine.
#ifndef LUNETTE_CONTENT_MIME_H
#define LUNETTE_CONTENT_MIME_H

#include "base/str.h"

// The Content-Type value for a file name or path, by its last extension in any case: "text/html;
// charset=utf-8", "image/png". Text types carry charset=utf-8. Unknown, or no extension:
// "application/octet-stream". Static storage.
struct str mime_by_name(struct str name);

#endif
