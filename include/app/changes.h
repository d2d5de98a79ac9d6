// What differs between two snapshots of a site's scripts, in words: "scripts/main.lua changed,
// scripts/old.lua is gone".
#ifndef LUNETTE_APP_CHANGES_H
#define LUNETTE_APP_CHANGES_H

#include "base/snapshot.h"

enum {
    CHANGES_NAMED = 3, // files; the others are counted
    CHANGES_TEXT = 512,
};

void changes_describe(const struct snapshot *before, const struct snapshot *after,
                      char dst[static CHANGES_TEXT]);
// "12 routes, 1 middleware, 5 views": views are the files beneath views/ of the scripts.
void changes_count(const struct snapshot *scripts, unsigned routes, unsigned middleware,
                   char dst[static CHANGES_TEXT]);

#endif
