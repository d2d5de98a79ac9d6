// Plain Lua values as bytes and back: nil, booleans, integers, floats, strings, and tables of them.
//
// For values that cross a process (config.lua's settings, later messages between workers).
#ifndef LUNETTE_SCRIPT_PLAIN_H
#define LUNETTE_SCRIPT_PLAIN_H

#include "base/buf.h"

#include <lua.h>

// Appends the value at idx. False, with the reason pushed as a string ("site.a.b: a function cannot be kept"), for other
// types, cycles, more than 64 levels, or a full buffer. The stack is otherwise as before.
bool plain_encode(lua_State *L, int idx, struct buf *out);
// Pushes the value. False, nothing pushed, for bytes that plain_encode did not make.
bool plain_decode(lua_State *L, struct str bytes);

#endif
