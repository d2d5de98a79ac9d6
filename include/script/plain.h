// Plain Lua values as bytes and back: nil, booleans, integers, floats, strings, and tables of them.
//
// For values that cross a process on one machine (config.lua's settings, later messages between
// workers): numbers are in the machine's byte order. Metatables are not looked at and not kept; a
// table that is met twice comes back as two.
#ifndef LUNETTE_SCRIPT_PLAIN_H
#define LUNETTE_SCRIPT_PLAIN_H

#include "base/buf.h"

#include <lua.h>

enum { PLAIN_DEPTH = 64 }; // tables inside tables, the outermost included

// Appends the value at idx. False, with the reason pushed as a string ("a.b[3]: a function cannot
// be kept"), for other types, cycles, more than PLAIN_DEPTH levels, or a full buffer, of which the
// length is then as before. The stack is otherwise unchanged. Raises only for memory.
bool plain_encode(lua_State *L, int idx, struct buf *out);
// Pushes the value. False, nothing pushed, for bytes that plain_encode did not make. Raises only
// for memory.
bool plain_decode(lua_State *L, struct str bytes);

#endif
