// lunette.cache_own: the shared cache as response_cache.lua, session.lua and limit.lua
// need it; not for sites. Keys begin with
// LUA_CACHE_OWN, values are strings, times are seconds. fetch is in lua_cache_fetch.c.
#include "script/lua_cache.h"
#include "script/luax.h"

#include <string.h>

struct str lua_cache_own_key(lua_State *L)
{
    struct str key = luax_check_str(L, 1);
    luaL_argcheck(L,
                  key.n > sizeof LUA_CACHE_OWN - 1 && key.n <= CACHE_KEY_MAX &&
                      memcmp(key.p, LUA_CACHE_OWN, sizeof LUA_CACHE_OWN - 1) == 0,
                  1, "a key of the library's expected");
    return key;
}

void lua_cache_pass(struct lua_cache *c, struct str key, uint64_t ms)
{
    struct cache_value v = {.kind = CACHE_PASS, .ttl_ms = ms};
    cache_set(c->cache, key, &v);
}

// look(key) → the value; one past its time while another is made; or nil. Waits for nothing.
static int look(lua_State *L)
{
    struct lua_cache *c = lua_cache_of(L);
    enum cache_kind kind;
    buf_clear(&c->text);
    enum cache_look found =
        cache_client_look(c->client, lua_cache_own_key(L), &kind, &c->text, NULL);
    if (found == CACHE_LOST)
        return luaL_error(L, "not enough memory");
    if (found == CACHE_HIT)
        lua_cache_push(L, c, kind);
    else
        lua_pushnil(L);
    return 1;
}

// put(key, value, ttl, stale): a value that is too large is none.
static int put(lua_State *L)
{
    struct cache_value v = {
        .kind = CACHE_STRING,
        .bytes = luax_check_str(L, 2),
        .ttl_ms = lua_cache_ttl(L, 3),
        .stale_ms = lua_cache_ttl(L, 4),
    };
    cache_set(lua_cache_of(L)->cache, lua_cache_own_key(L), &v);
    return 0;
}

// pass(key, seconds): nobody waits for the value of key, which cannot be kept.
static int pass(lua_State *L)
{
    lua_cache_pass(lua_cache_of(L), lua_cache_own_key(L), lua_cache_ttl(L, 2));
    return 0;
}

static int drop(lua_State *L)
{
    cache_delete(lua_cache_of(L)->cache, lua_cache_own_key(L));
    return 0;
}

// once(key) → whether nobody asked this before, in any worker.
static int once(lua_State *L)
{
    struct cache_value v = {.kind = CACHE_STRING, .bytes = STR("")};
    enum cache_result r = cache_add(lua_cache_of(L)->cache, lua_cache_own_key(L), &v);
    lua_pushboolean(L, r == CACHE_OK);
    return 1;
}

// largest() → bytes that a value may have.
static int largest(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)cache_value_max(lua_cache_of(L)->cache));
    return 1;
}

// stamp(key) → the stamp of key; see content/cache.h.
static int stamp(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)cache_stamp(lua_cache_of(L)->cache, lua_cache_own_key(L)));
    return 1;
}

// renew(key): another stamp.
static int renew(lua_State *L)
{
    cache_stamp_renew(lua_cache_of(L)->cache, lua_cache_own_key(L));
    return 0;
}

// moment() → two integers for since.
static int moment(lua_State *L)
{
    struct cache_moment m = cache_moment(lua_cache_of(L)->cache);
    lua_pushinteger(L, (lua_Integer)m.serial);
    lua_pushinteger(L, (lua_Integer)m.purges);
    return 2;
}

// since(stamp, serial, purges) → whether what was begun at the moment is no older than a renewal.
static int since(lua_State *L)
{
    struct cache_moment m = {.serial = (uint64_t)luaL_checkinteger(L, 2),
                             .purges = (uint64_t)luaL_checkinteger(L, 3)};
    uint64_t s = (uint64_t)luaL_checkinteger(L, 1);
    lua_pushboolean(L, cache_stamp_since(lua_cache_of(L)->cache, &m, s));
    return 1;
}

static double check_above(lua_State *L, int arg, double least)
{
    double n = luaL_checknumber(L, arg);
    luaL_argcheck(L, n >= least && n <= 1e15, arg, "out of range");
    return n;
}

// take(key, seconds, burst, cost) → whether cost tokens were in the bucket of key, where one comes every
// so many seconds and burst of them have room; how many there are now; seconds until it is full; and
// until as many are there.
static int take(lua_State *L)
{
    struct str key = lua_cache_own_key(L);
    struct cache_rate rate = {.token_ms = check_above(L, 2, 1e-9) * 1000,
                              .burst = check_above(L, 3, 1e-9)};
    struct cache_taken t = cache_take(lua_cache_of(L)->cache, key, &rate, check_above(L, 4, 0));
    lua_pushboolean(L, t.allowed);
    lua_pushnumber(L, t.left);
    lua_pushnumber(L, t.full_ms / 1000);
    lua_pushnumber(L, t.wait_ms / 1000);
    return 4;
}

int luaopen_lunette_cache_own(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"look", look},     {"put", put},         {"pass", pass},   {"drop", drop},
        {"once", once},     {"largest", largest}, {"stamp", stamp}, {"renew", renew},
        {"moment", moment}, {"since", since},     {"take", take},   {NULL, NULL},
    };
    return lua_cache_module(L, functions, true);
}
