// The module lunette.sqlite_core: what lunette.sqlite (src/lua) is made of. Not for sites.
#ifndef LUNETTE_SCRIPT_LUA_SQLITE_H
#define LUNETTE_SCRIPT_LUA_SQLITE_H

#include "script/sqlite_db.h"
#include "script/sqlite_query.h"

#include <lua.h>

#define LUA_SQLITE_LEASE "lunette.sqlite_lease"
#define LUA_SQLITE_BLOB "lunette.sqlite_blob" // its first user value is the string

int luaopen_lunette_sqlite_core(lua_State *L);

// lua_sqlite_query.c: adds query, more and leave to the table on top.
void lua_sqlite_query_register(lua_State *L);

// lua_sqlite_values.c: copies the SQL at index sql, and the values behind it up to index last, into q;
// *memory, to be freed, has them. False with a sentence pushed that says what is wrong with them. Nothing in
// it collects garbage.
bool lua_sqlite_values(lua_State *L, struct sqlite_query *q, char **memory, int sql, int last);

#endif
