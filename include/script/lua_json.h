// JSON text from Lua values (RFC 8259), straight into a C buffer. The module is lunette.json.
//
// A table with items 1..n is an array, one with string keys an object, an empty one an object
// unless it is marked. Access is raw: metamethods are not asked.
#ifndef LUNETTE_SCRIPT_LUA_JSON_H
#define LUNETTE_SCRIPT_LUA_JSON_H

#include "base/buf.h"
#include "script/json_mark.h"

#include <lua.h>

enum { JSON_DEPTH = 100 }; // tables within tables

struct json_style {
    bool pretty;       // two spaces a level
    bool sort;         // keys in byte order
    bool replace_utf8; // U+FFFD for what is not UTF-8, instead of failing (answers of handlers)
};

// Appends the value at idx. False, with out as before and a message that has the path pushed
// ("items[3].name: not UTF-8"; for the value itself "the value: not UTF-8"), for what JSON cannot
// say and when out is full. Raises only when there is no memory, or no Lua stack, for that message;
// out belongs to the caller, who keeps it where a raise cannot lose it. No Lua code runs while it
// writes, not even a finalizer, so callers may share one buffer in a state.
bool json_write(lua_State *L, int idx, struct buf *out, const struct json_style *style);

// luaopen function of lunette.json: encode, null, array, object.
int luaopen_lunette_json(lua_State *L);

#endif
