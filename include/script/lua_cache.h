// The modules lunette.cache and lunette.cache_own, over content/cache.h: values that all workers share.
#ifndef LUNETTE_SCRIPT_LUA_CACHE_H
#define LUNETTE_SCRIPT_LUA_CACHE_H

#include "base/buf.h"
#include "content/cache_client.h"

#include <lauxlib.h>
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

// How keys begin that sites cannot name: whatever a visitor makes a site look up or set, it is never
// a response.
#define LUA_CACHE_OWN "\0lunette:"

struct lua_cache *lua_cache_of(lua_State *L); // of the function that runs
// The first argument as a key of a site's.
struct str lua_cache_key(lua_State *L);
// The same as a key of ours.
struct str lua_cache_own_key(lua_State *L);
// For that long nobody waits for the value of key; there is none.
void lua_cache_pass(struct lua_cache *c, struct str key, uint64_t ms);
// Argument arg as milliseconds; nil, none and 0 are 0: without end.
uint64_t lua_cache_ttl(lua_State *L, int arg);
// The value at idx for the cache. *room holds numbers and booleans, c->text tables; a string must
// stay where it is. Raises for what cannot be kept; what names the function.
struct cache_value lua_cache_value(lua_State *L, struct lua_cache *c, int idx, const char *what,
                                   struct cache_number *room);
// Pushes the value that is in c->text.
void lua_cache_push(lua_State *L, struct lua_cache *c, enum cache_kind kind);

// Pushes the struct lua_cache of this state. Raises where vm_options.cache is NULL.
void lua_cache_push_state(lua_State *L);

// Pushes a module of the functions, which share the state, and of fetch in the form that own says.
int lua_cache_module(lua_State *L, const luaL_Reg *functions, bool own);

// lua_cache_fetch.c: adds fetch to the table below the struct lua_cache on top; or the form of it
// that only the library uses, see there.
void lua_cache_fetch_open(lua_State *L, bool own);

// luaopen functions, which raise where vm_options.cache is NULL. The second is for whole responses,
// and not for sites: lua_cache_own.c.
int luaopen_lunette_cache(lua_State *L);
int luaopen_lunette_cache_own(lua_State *L);

#endif
