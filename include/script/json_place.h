// Where in a value something is: "items[3].name", put together from the inside out. Knows nothing
// of Lua.
//
// It has a size of its own and allocates nothing: long keys are cut, and a path that grows too long
// loses its outer part ("...").
#ifndef LUNETTE_SCRIPT_JSON_PLACE_H
#define LUNETTE_SCRIPT_JSON_PLACE_H

#include "base/str.h"

struct json_place {
    char text[240]; // filled from its end
    size_t from;    // where the path begins in it
    bool cut;       // "..." was put before it: nothing more is added
};

void json_place_init(struct json_place *p);
// Puts a key, an item's number or "..." before what is there.
void json_place_name(struct json_place *p, struct str key);
void json_place_item(struct json_place *p, int64_t i);
void json_place_cut(struct json_place *p);
// The path, a slice of p; "the value" when nothing was put in.
struct str json_place_str(const struct json_place *p);

#endif
