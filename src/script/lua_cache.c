// lunette.cache: see API.md. fetch is in lua_cache_fetch.c.
//
// Strings, numbers and booleans come back as what they were, integers as integers and floats as
// floats; a table is kept as JSON and comes back as a new one each time.
#include "script/lua_cache.h"

#include "script/lua_json.h"
#include "script/luax.h"
#include "script/vm.h"

#include <math.h>
#include <string.h>

struct lua_cache *lua_cache_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

// Arguments ---------------------------------------------------------------------------------------

struct str lua_cache_key(lua_State *L)
{
    if (lua_istable(L, 1))
        luaL_argerror(L, 1, "a key expected: call with a dot, cache.get(key)");
    if (lua_type(L, 1) != LUA_TSTRING)
        luaL_argerror(L, 1, lua_pushfstring(L, "a key is a string, not a %s", luaL_typename(L, 1)));
    struct str key = luax_str(L, 1);
    if (key.n > CACHE_KEY_MAX)
        luaL_argerror(L, 1,
                      lua_pushfstring(L, "a key may have %d bytes, not %I", (int)CACHE_KEY_MAX,
                                      (LUAI_UACINT)key.n));
    if (key.n >= sizeof LUA_CACHE_OWN - 1 &&
        memcmp(key.p, LUA_CACHE_OWN, sizeof LUA_CACHE_OWN - 1) == 0)
        luaL_argerror(L, 1, "keys that begin with \\0lunette: are lunette's own");
    return key;
}

uint64_t lua_cache_ttl(lua_State *L, int arg)
{
    return lua_isnoneornil(L, arg) ? 0 : (uint64_t)ceil(luax_check_duration(L, arg) * 1000);
}

static struct str write_json(lua_State *L, struct lua_cache *c, int idx, const char *what)
{
    static const struct json_style style = {false};
    buf_clear(&c->text);
    if (!json_write(L, idx, &c->text, &style))
        luaL_error(L, "cache.%s: cannot keep %s", what, lua_tostring(L, -1));
    return buf_str(&c->text);
}

static struct cache_number number_at(lua_State *L, int idx)
{
    if (lua_isinteger(L, idx))
        return (struct cache_number){.kind = CACHE_INTEGER, .integer = lua_tointeger(L, idx)};
    return (struct cache_number){.kind = CACHE_FLOAT, .number = lua_tonumber(L, idx)};
}

struct cache_value lua_cache_value(lua_State *L, struct lua_cache *c, int idx, const char *what,
                                   struct cache_number *room)
{
    switch (lua_type(L, idx)) {
    case LUA_TSTRING:
        return (struct cache_value){.kind = CACHE_STRING, .bytes = luax_str(L, idx)};
    case LUA_TNUMBER:
        *room = number_at(L, idx);
        return (struct cache_value){.kind = room->kind, .bytes = {(char *)&room->integer, 8}};
    case LUA_TBOOLEAN:
        room->integer = lua_toboolean(L, idx) ? -1 : 0; // the same in each of its bytes
        return (struct cache_value){.kind = CACHE_BOOLEAN, .bytes = {(char *)&room->integer, 1}};
    case LUA_TTABLE:
        return (struct cache_value){.kind = CACHE_JSON, .bytes = write_json(L, c, idx, what)};
    case LUA_TNIL:
    case LUA_TNONE:
        luaL_error(L, "cache.%s: no value: cache.delete(key) takes one away", what);
    }
    luaL_error(L, "cache.%s: cannot keep a %s: a string, a number, a boolean or a table", what,
               luaL_typename(L, idx));
    return (struct cache_value){.kind = CACHE_NONE};
}

// Values ------------------------------------------------------------------------------------------

static void push_number(lua_State *L, const struct cache_number *n)
{
    if (n->kind == CACHE_INTEGER)
        lua_pushinteger(L, n->integer);
    else
        lua_pushnumber(L, n->number);
}

// A decoder runs finalizers, which may use the scratch, so that it reads from a string of Lua's.
static void push_json(lua_State *L, struct str text)
{
    static const struct json_read_options options = {.null = true};
    luax_push(L, text);
    if (!json_read(L, luax_str(L, -1), &options))
        luaL_error(L, "cache: a table that cannot be read: %s", lua_tostring(L, -1));
    lua_remove(L, -2);
}

void lua_cache_push(lua_State *L, struct lua_cache *c, enum cache_kind kind)
{
    struct str bytes = buf_str(&c->text);
    if (kind == CACHE_INTEGER || kind == CACHE_FLOAT) {
        struct cache_number n = {.kind = kind};
        memcpy(&n.integer, bytes.p, sizeof n.integer);
        push_number(L, &n);
    } else if (kind == CACHE_BOOLEAN) {
        lua_pushboolean(L, bytes.p[0]);
    } else if (kind == CACHE_JSON) {
        push_json(L, bytes);
    } else {
        luax_push(L, bytes);
    }
    if (c->text.cap > LUA_CACHE_TEXT_KEEP)
        buf_fini(&c->text);
}

// The functions -----------------------------------------------------------------------------------

// get(k) → value or nil
static int get(lua_State *L)
{
    struct lua_cache *c = lua_cache_of(L);
    enum cache_kind kind;
    buf_clear(&c->text);
    enum cache_result r = cache_get(c->cache, lua_cache_key(L), &kind, &c->text);
    if (r == CACHE_NO_MEMORY)
        return luaL_error(L, "not enough memory");
    if (r == CACHE_OK)
        lua_cache_push(L, c, kind);
    else
        lua_pushnil(L);
    return 1;
}

static int too_large(lua_State *L, const struct lua_cache *c, size_t n)
{
    lua_pushnil(L);
    lua_pushfstring(L, "the value has %I bytes, and the cache takes %I", (LUAI_UACINT)n,
                    (LUAI_UACINT)cache_value_max(c->cache));
    lua_pushliteral(L, "E2BIG");
    return 3;
}

static int put(lua_State *L, const char *what,
               enum cache_result (*op)(struct cache *, struct str, const struct cache_value *))
{
    struct lua_cache *c = lua_cache_of(L);
    struct cache_number room;
    struct str key = lua_cache_key(L);
    uint64_t ttl = lua_cache_ttl(L, 3);
    struct cache_value v = lua_cache_value(L, c, 2, what, &room);
    v.ttl_ms = ttl;
    enum cache_result r = op(c->cache, key, &v);
    if (c->text.cap > LUA_CACHE_TEXT_KEEP)
        buf_fini(&c->text);
    if (r == CACHE_TOO_LARGE)
        return too_large(L, c, v.bytes.n);
    lua_pushboolean(L, r == CACHE_OK);
    return 1;
}

// set(k, v[, ttl]) → true; nil, message, "E2BIG" (there is then no value under k)
static int set(lua_State *L)
{
    return put(L, "set", cache_set);
}

// add(k, v[, ttl]) → true; false when k has a value; nil, message, "E2BIG"
static int add(lua_State *L)
{
    return put(L, "add", cache_add);
}

// incr(k[, by=1[, ttl]]) → the sum; nil, message, "ERANGE" when it is too large for an integer. Only
// a number that begins here gets the ttl.
static int incr(lua_State *L)
{
    struct lua_cache *c = lua_cache_of(L);
    struct str key = lua_cache_key(L);
    struct cache_number n = {.kind = CACHE_INTEGER, .integer = 1};
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TNUMBER);
        n = number_at(L, 2);
    }
    enum cache_result r = cache_incr(c->cache, key, &n, lua_cache_ttl(L, 3));
    if (r == CACHE_WRONG_KIND)
        return luaL_error(L, "cache.incr: what is kept under this key is not a number");
    if (r == CACHE_OVERFLOW) {
        lua_pushnil(L);
        lua_pushliteral(L, "the sum is too large for an integer");
        lua_pushliteral(L, "ERANGE");
        return 3;
    }
    push_number(L, &n);
    return 1;
}

// delete(k) → whether there was a value
static int delete (lua_State *L)
{
    lua_pushboolean(L, cache_delete(lua_cache_of(L)->cache, lua_cache_key(L)) == CACHE_OK);
    return 1;
}

// ttl(k) → seconds that are left, math.huge for a value without end; nil when there is none
static int ttl(lua_State *L)
{
    uint64_t ms;
    if (cache_ttl(lua_cache_of(L)->cache, lua_cache_key(L), &ms) != CACHE_OK)
        lua_pushnil(L);
    else
        lua_pushnumber(L, ms == UINT64_MAX ? HUGE_VAL : (double)ms / 1000);
    return 1;
}

static int clear(lua_State *L)
{
    cache_clear(lua_cache_of(L)->cache);
    return 0;
}

// stats() → a table of the counts in struct cache_stats
static int stats(lua_State *L)
{
    struct cache_stats s;
    cache_stats(lua_cache_of(L)->cache, &s);
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"entries", s.entries},
        {"bytes", s.bytes},
        {"capacity", s.capacity},
        {"filling", s.filling},
        {"hits", s.counts.hits},
        {"misses", s.counts.misses},
        {"evictions", s.counts.evictions},
        {"expired", s.counts.expired},
        {"recovered", s.counts.recovered},
        {"stale", s.counts.stale},
        {"fills", s.counts.fills},
        {"fills_alone", s.counts.fills_alone},
        {"fills_failed", s.counts.fills_failed},
        {"waits", s.counts.waits},
    };
    lua_createtable(L, 0, sizeof rows / sizeof *rows);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lua_pushinteger(L, (lua_Integer)rows[i].value);
        lua_setfield(L, -2, rows[i].name);
    }
    return 1;
}

// The module --------------------------------------------------------------------------------------

static int state_free(lua_State *L)
{
    buf_fini(&((struct lua_cache *)lua_touserdata(L, 1))->text);
    return 0;
}

// One for the state, whichever module is opened first.
void lua_cache_push_state(lua_State *L)
{
    static const char kept; // its address is the key
    struct cache_client *client = vm_options(vm_of(L))->cache;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &kept) == LUA_TUSERDATA)
        return;
    lua_pop(L, 1);
    if (!client)
        luaL_error(L, "lunette.cache: there is no cache here");
    struct lua_cache *c = lua_newuserdatauv(L, sizeof *c, 0);
    *c = (struct lua_cache){.client = client, .cache = cache_client_cache(client)};
    buf_init(&c->text, LUA_CACHE_TEXT_MAX);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, state_free);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &kept);
}

int lua_cache_module(lua_State *L, const luaL_Reg *functions, bool own)
{
    lua_newtable(L);
    lua_cache_push_state(L);
    lua_pushvalue(L, -1);
    lua_insert(L, -3);
    luaL_setfuncs(L, functions, 1);
    lua_insert(L, -2);
    lua_cache_fetch_open(L, own);
    lua_pop(L, 1);
    return 1;
}

int luaopen_lunette_cache(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"get", get}, {"set", set},     {"add", add},     {"incr", incr}, {"delete", delete},
        {"ttl", ttl}, {"clear", clear}, {"stats", stats}, {NULL, NULL},
    };
    return lua_cache_module(L, functions, false);
}
