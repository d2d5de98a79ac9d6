// What a Lua table alone cannot say: that it is an array or an object even when it is empty; and
// null.
#ifndef LUNETTE_SCRIPT_JSON_MARK_H
#define LUNETTE_SCRIPT_JSON_MARK_H

#include <lua.h>
#include <stdbool.h>

enum json_mark {
    JSON_MARK_NONE, // other metatables too
    JSON_MARK_ARRAY,
    JSON_MARK_OBJECT,
};

// Marks the table at idx, in place of any metatable that it has: what json.array and json.object
// do.
void json_mark_array(lua_State *L, int idx);
void json_mark_object(lua_State *L, int idx);
// Pushes the metatable that marks arrays, for who marks many.
void json_push_array_mark(lua_State *L);
// Allocates nothing.
enum json_mark json_mark_of(lua_State *L, int idx);

// Pushes json.null, the one userdata of a state that stands for null.
void json_push_null(lua_State *L);
bool json_is_null(lua_State *L, int idx);

#endif
