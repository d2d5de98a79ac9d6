// The module lunette.sqlite_core: what lunette.sqlite (src/lua) is made of. Not for sites.
#ifndef LUNETTE_SCRIPT_LUA_SQLITE_H
#define LUNETTE_SCRIPT_LUA_SQLITE_H

#include "script/sqlite_db.h"
#include "script/sqlite_query.h"

#include <lua.h>

enum {
    CALL_BYTES_MAX = VALUE_BYTES_MAX + (1 << 20), // of one call: its SQL, and its values together
    CALLS_BYTES_MAX = 256 << 20,                  // of all calls of a worker that are under way
};

#define LUA_SQLITE_LEASE "lunette.sqlite_lease"
#define LUA_SQLITE_BLOB "lunette.sqlite_blob" // its first user value is the string

int luaopen_lunette_sqlite_core(lua_State *L);

// lua_sqlite_query.c: adds query, more and leave to the table on top.
void lua_sqlite_query_register(lua_State *L);

// What a call's SQL and values are copied to.
struct lua_sqlite_copy {
    char *memory;
    size_t size;
};

// lua_sqlite_values.c: copies the SQL at index sql, and the values behind it up to index last, into q; copy,
// which is to be freed, has them. 0; or SQLite's code for what is wrong with them, with a sentence pushed:
// SQLITE_MISUSE, SQLITE_TOOBIG over CALL_BYTES_MAX, SQLITE_NOMEM over CALLS_BYTES_MAX and without memory.
// Nothing in it collects garbage.
int lua_sqlite_values(lua_State *L, struct sqlite_query *q, struct lua_sqlite_copy *copy, int sql,
                      int last);
void lua_sqlite_copy_free(struct lua_sqlite_copy *copy);

#endif
