// The keys of a table in byte order, for texts that should not change from run to run.
#ifndef LUNETTE_SCRIPT_KEYS_H
#define LUNETTE_SCRIPT_KEYS_H

#include <lua.h>

// Pushes the keys of the table at idx, all of which must be strings, sorted. Returns how many; −1
// with nothing pushed when another key is among them, −2 when there is no memory or they are too
// many for Lua's stack. Never raises; allocates nothing of Lua but the stack, so that no finalizer
// runs.
int keys_push_sorted(lua_State *L, int idx);

#endif
