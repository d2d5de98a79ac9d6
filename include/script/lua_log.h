// lunette.log: what scripts have to say, in the error log.
#ifndef LUNETTE_SCRIPT_LUA_LOG_H
#define LUNETTE_SCRIPT_LUA_LOG_H

#include <lua.h>

// debug, info, warn, error (message[, fields]): one record with the place of the call, the id of the
// request that runs, and the fields behind it, by name, as key=value: words and numbers as they are,
// other strings and tables as JSON. A message that is no string is made one. Below log.level nothing
// is looked at, not even the arguments. Raises for fields that are no table, or have no names.
int luaopen_lunette_log(lua_State *L);

#endif
