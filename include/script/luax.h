// The binding kit: the few things that every file of this layer does with Lua.
#ifndef LUNETTE_SCRIPT_LUAX_H
#define LUNETTE_SCRIPT_LUAX_H

#include "base/str.h"

#include <lauxlib.h>
#include <lua.h>

// The string at idx (an actual string: no conversion) as a slice, valid while it is on the stack.
// Any other value gives an empty slice whose p is NULL.
struct str luax_str(lua_State *L, int idx);
// luaL_checklstring as a slice.
struct str luax_check_str(lua_State *L, int arg);
void luax_push(lua_State *L, struct str s);
// With ASCII letters in lower case.
void luax_push_lower(lua_State *L, struct str s);

// A table may keep fields to itself until somebody iterates over it: calls its metamethod __complete,
// which puts them in. Nothing for all others.
void luax_complete(lua_State *L, int idx);

// nil, message, code ("ENOENT") for errno err: what the world's failures return. Returns 3.
int luax_fail(lua_State *L, int err);

// Durations in seconds: a number, or "250ms", "30s", "1.5m", "2h", "1d"; at most 10^10. Sizes in
// bytes: integers, integral floats, "65536", "64K", "20M", "1G". Both raise on misuse, naming the
// argument; neither takes a negative number.
double luax_check_duration(lua_State *L, int arg);
uint64_t luax_check_size(lua_State *L, int arg);
// The strings alone, without a state to raise in: false when s is not one.
bool luax_parse_duration(struct str s, double *seconds);
bool luax_parse_size(struct str s, uint64_t *bytes);

// Makes the userdata class `name` ("lunette.handle"): its metatable gets methods, __index, __name
// and __gc/__close = gc; methods and gc may be NULL. The stack is as before.
void luax_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc);
// The first argument as an object of that class. A method called with a dot raises
// "call with a colon: handle:join()".
void *luax_self(lua_State *L, const char *name);

#endif
