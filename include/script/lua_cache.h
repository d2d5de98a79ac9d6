// The module lunette.cache, over content/cache.h: values that all workers share.
#ifndef LUNETTE_SCRIPT_LUA_CACHE_H
#define LUNETTE_SCRIPT_LUA_CACHE_H

#include "base/buf.h"
#include "content/cache_client.h"

#include <lua.h>

// What its functions share in one state: a userdata, their first upvalue.
struct lua_cache {
    struct cache_client *client;
    struct cache *cache;
    struct buf text;    // scratch: a value on its way
    struct fetch *open; // fills under way in this state, the latest first
};
enum {
    LUA_CACHE_TEXT_MAX = 64 << 20,  // what a table may be as JSON, before the cache refuses it
    LUA_CACHE_TEXT_KEEP = 64 << 10, // memory that the scratch keeps for the next
};

struct lua_cache *lua_cache_of(lua_State *L); // of the function that runs
// The first argument as a key.
struct str lua_cache_key(lua_State *L);
// Argument arg as milliseconds; nil, none and 0 are 0: without end.
uint64_t lua_cache_ttl(lua_State *L, int arg);
// The value at idx for the cache. *room holds numbers and booleans, c->text tables; a string must
// stay where it is. Raises for what cannot be kept; what names the function.
struct cache_value lua_cache_value(lua_State *L, struct lua_cache *c, int idx, const char *what,
                                   struct cache_number *room);
// Pushes the value that is in c->text.
void lua_cache_push(lua_State *L, struct lua_cache *c, enum cache_kind kind);

// lua_cache_fetch.c: adds fetch to the table below the struct lua_cache on top.
void lua_cache_fetch_open(lua_State *L);

// luaopen function. Raises where vm_options.cache is NULL.
int luaopen_lunette_cache(lua_State *L);

#endif
