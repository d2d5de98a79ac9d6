// Options tables of library calls.
#ifndef LUNETTE_SCRIPT_OPTIONS_H
#define LUNETTE_SCRIPT_OPTIONS_H

#include <lua.h>
#include <stdbool.h>

// Argument arg is nil, absent, or a table with no other keys than names (NULL at its end, names up
// to 32 bytes). Raises for anything else: "unknown option 'prety', did you mean 'pretty'?". Whether
// there is a table.
bool options_check(lua_State *L, int arg, const char *const names[]);
// The same of a method, which Lua cannot always name: what ("part:save_as") begins the message.
bool options_check_of(lua_State *L, int arg, const char *const names[], const char *what);

#endif
