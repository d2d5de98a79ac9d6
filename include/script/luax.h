// The binding kit: the few things that every file of this layer does with Lua.
#ifndef LUNETTE_SCRIPT_LUAX_H
#define LUNETTE_SCRIPT_LUAX_H

#include "base/str.h"

#include <lauxlib.h>
#include <lua.h>

// The string at idx (an actual string: no conversion) as a slice, valid while it is on the stack.
struct str luax_str(lua_State *L, int idx);
// luaL_checklstring as a slice.
struct str luax_check_str(lua_State *L, int arg);
void luax_push(lua_State *L, struct str s);

// nil, message, code: what the world's failures return. Returns 3.
int luax_fail(lua_State *L, int err);

// Durations: seconds as a number, or "250ms", "30s", "5m", "2h", "1d"; sizes: integers, integral floats, "64K", "20M", "1G". Raise on misuse, naming the argument.
double luax_check_duration(lua_State *L, int arg);
uint64_t luax_check_size(lua_State *L, int arg);
// The same without a state to raise in: false when s is not one.
bool luax_parse_duration(struct str s, double *seconds);
bool luax_parse_size(struct str s, uint64_t *bytes);

// Userdata classes. luax_class makes the metatable `name` with methods, __index, __name and __gc/__close = gc (both may be NULL).
void luax_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc);
// A method called with a dot raises "call with a colon": luax_self checks the first argument for that.
void *luax_self(lua_State *L, const char *name);

#endif
