// JSON text from Lua values (RFC 8259), straight into a C buffer. The module is lunette.json.
#ifndef LUNETTE_SCRIPT_LUA_JSON_H
#define LUNETTE_SCRIPT_LUA_JSON_H

#include "base/buf.h"

#include <lua.h>

struct json_style {
    bool pretty; // two spaces a level
    bool sort;   // keys in byte order
    bool
        replace_utf8; // U+FFFD for bytes that are not UTF-8, instead of failing (answers of handlers)
};

// Appends the value at idx. False, with a message that has the path pushed ("items[3].name: not UTF-8"), for what JSON cannot
// say. Never raises but for memory; out belongs to the caller, who keeps it where a raise cannot lose it.
bool json_write(lua_State *L, int idx, struct buf *out, const struct json_style *style);

// luaopen function of lunette.json: encode, null, array, object.
int luaopen_lunette_json(lua_State *L);

#endif
