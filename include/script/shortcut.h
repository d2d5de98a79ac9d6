// Requests that need no Lua: methods and paths of which the router has said, once, that they have no
// route and no middleware, so that only the site's files decide.
//
// Routes are compiled once for a handler, so what was said stays true as long as the handler lives.
// Whether a file is there is not part of it: that is asked each time.
#ifndef LUNETTE_SCRIPT_SHORTCUT_H
#define LUNETTE_SCRIPT_SHORTCUT_H

#include "base/map.h"
#include "http/method.h"

struct shortcuts {
    struct map map;
    struct shortcut *all; // in no order
};

enum {
    SHORTCUTS_MAX = 1000,    // paths; the one that would be too much makes all others be forgotten
    SHORTCUT_PATH_MAX = 500, // bytes; longer paths are not kept
};

// False when the kernel gives no random bytes.
bool shortcuts_init(struct shortcuts *s);
void shortcuts_fini(struct shortcuts *s);

// Without memory nothing is kept, which costs time only. Harmless twice.
void shortcuts_add(struct shortcuts *s, enum http_method method, struct str path);
bool shortcuts_have(const struct shortcuts *s, enum http_method method, struct str path);

#endif
