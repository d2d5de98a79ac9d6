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

// Writes them all beneath folder, which is made, as are the folders above it; what is there under a
// name of theirs is replaced. 0, or −errno of the first that cannot be written.
int meta_write(const char *folder);

#endif
