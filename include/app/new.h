// `lunette new DIR`: a small site that works, with a test.
//
// Its files lie in src/new, and the build puts them into the program. With them come the annotations for
// editors (app/meta.h).
#ifndef LUNETTE_APP_NEW_H
#define LUNETTE_APP_NEW_H

#include <stddef.h>

// Made by the build; ends with a NULL name.
struct new_file {
    const char *name; // "scripts/main.lua"
    const char *text;
    size_t n;
};
extern const struct new_file new_files[];

// Makes the site at dir, which is not there or an empty folder; and says what to do next on stdout.
// Either all of it is there afterwards or nothing is. Exit status: 0, or 1 with a sentence on stderr.
int new_run(const char *dir);

#endif
