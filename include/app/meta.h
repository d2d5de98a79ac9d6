// The annotations of the Lua API for editors (lua-language-server): src/meta, which the program
// carries within it, so that a new site can have a copy of those that fit.
#ifndef LUNETTE_APP_META_H
#define LUNETTE_APP_META_H

#include <stddef.h>

struct meta_file {
    const char *name; // beneath the folder: "lunette/json.lua"
    const char *text;
    size_t n;
};
extern const struct meta_file meta_files[]; // made by the build from src/meta; a NULL name ends it

// Writes them all into the folder `folder`, ".lunette/meta", beneath the open folder top, as folder_write
// does (base/folder.h): nothing that is there is replaced, and no link followed. 0, or −errno of the
// first that cannot be written.
int meta_write(int top, const char *folder);

#endif
