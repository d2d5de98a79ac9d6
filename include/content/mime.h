// Media types: by file name and back; and by content, from libmagic's database.
//
// The built-in table has what the web is made of, so that this is the same on every machine. What it
// does not have is looked for in the system's (content/mime_system), where the program loaded that.
#ifndef LUNETTE_CONTENT_MIME_H
#define LUNETTE_CONTENT_MIME_H

#include "base/str.h"

// The Content-Type value for a file name or path, by its last extension in any case: "text/html;
// charset=utf-8", "image/png". Text types carry charset=utf-8. Unknown, or no extension:
// "application/octet-stream". Static storage.
struct str mime_by_name(struct str name);
// The same, but p NULL where the name does not tell.
struct str mime_known(struct str name);

// The extensions of a media type, in any case and whatever its parameters, without a dot: the usual
// one first, the others by the alphabet. Writes at most MIME_EXTENSIONS of them (static storage) and
// returns how many: 0 for a type that the table does not have.
enum { MIME_EXTENSIONS = 32 };
size_t mime_extensions(struct str type, struct str dst[static MIME_EXTENSIONS]);

// What the bytes look like: a media type in lower case without parameters, "image/png",
// "text/plain". "application/octet-stream" for what nobody knows, for no bytes at all, and (with one
// line in the log) where libmagic has no database. Looks at the first MIME_LOOK bytes. Any thread
// may ask; the threads of a process take turns. The first call loads the database (7 ms), a call
// takes a few tenths of a ms, and up to 20 ms for what was made to take long.
enum { MIME_MAX = 128, MIME_LOOK = 8 << 10 };
struct str mime_by_content(struct str bytes, char dst[static MIME_MAX]);

#endif
