// The system's own table of media types, /etc/mime.types: what content/mime does not know.
//
// A line is a type and its extensions, between spaces; "#" begins a comment. Lines that are not like
// that are skipped, as are extensions of over MIME_SYSTEM_EXTENSION bytes. Of two types for an
// extension the first counts.
#ifndef LUNETTE_CONTENT_MIME_SYSTEM_H
#define LUNETTE_CONTENT_MIME_SYSTEM_H

#include "base/str.h"

enum {
    MIME_SYSTEM_BYTES = 1 << 20, // a table that is longer is not read
    MIME_SYSTEM_EXTENSION = 15,
};
#define MIME_SYSTEM_FILE "/etc/mime.types"

// Reads the table, for the whole process and before it has threads; again: in place of the one
// before. 0 or −errno (−EFBIG for one that is too long), and there is then no table.
int mime_system_load(const char *path);
void mime_system_unload(void);

// The Content-Type of an extension, which is lower-case: "text/x-c; charset=utf-8" (text types have
// that charset), or p NULL. Good until the next load or unload.
struct str mime_system_type(struct str extension);

// The i-th pair of the table, in the order of extensions; false beyond the last.
bool mime_system_at(size_t i, struct str *extension, struct str *type);

#endif
