// lunette.core: the primitives that the embedded Lua library is made of. Not for sites.
//
// Its functions are in the files that know what they are about (script/work.h has most of them); each is
// a closure with the handler as its first upvalue. Those that take a request find its work by the handle
// in the table, and raise when that is over where not said otherwise.
#ifndef LUNETTE_SCRIPT_LUA_CORE_H
#define LUNETTE_SCRIPT_LUA_CORE_H

#include "script/handler.h"

#include <lua.h>

static inline struct handler *core_handler(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

#endif
