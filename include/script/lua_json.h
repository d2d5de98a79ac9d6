// JSON text from Lua values and Lua values from JSON text (RFC 8259), straight from and to C memory.
// The module is lunette.json.
//
// A table with items 1..n is an array, one with string keys an object, an empty one an object
// unless it is marked. Access is raw: metamethods are not asked.
#ifndef LUNETTE_SCRIPT_LUA_JSON_H
#define LUNETTE_SCRIPT_LUA_JSON_H

#include "base/buf.h"
#include "script/json_mark.h"

#include <lua.h>

enum { JSON_DEPTH = 200 }; // tables within tables, brackets within brackets

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

struct json_read_options {
    bool null; // members that are null are json.null, not absent
};

// Pushes the value of text, which must be one JSON text and nothing else. False, with a message
// pushed instead ("line 3, column 14: ',' or ']' expected, not 'x'"), when it is not; raises only
// when there is no memory. The text must stay where it is meanwhile, which is the caller's care:
// finalizers may run. It needs no NUL behind it.
//
// Numbers without fraction and exponent are integers as long as they fit ("-0" is 0), all others
// the nearest float; one too large for a float is an error. Arrays are marked. Of members with the
// same key the last stays, also when it is null and so absent. A null in an array, or alone, is
// json.null.
bool json_read(lua_State *L, struct str text, const struct json_read_options *o);

// Pushes what the value at target becomes by the merge patch at patch (RFC 7396): a new value that
// shares no table with either. json.null in an object of the patch takes the member away, so
// patches are read with the option null. Raises for tables nested deeper than JSON_DEPTH.
void json_merge_patch(lua_State *L, int target, int patch);

// luaopen function of lunette.json: encode, decode, null, array, object, merge_patch.
// How long a text json.encode may make in this state; before luaopen_lunette_json. Else 256 MiB.
void json_limit(lua_State *L, size_t bytes);
int luaopen_lunette_json(lua_State *L);

#endif
