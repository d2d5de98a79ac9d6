// cache.fetch(k, ttl, fn[, {stale=}]): the value of k; where there is none, what fn returns.
//
// One caller over all workers runs fn, the others wait for it. What fn returns is kept for ttl and
// given to all of them. An error of fn is the error of the caller that ran it; so is nil, which is
// never kept, and comes back with what fn returned behind it. In both cases one of those who wait
// runs its own fn next. With stale, for that long after ttl the old value is given at once to
// everybody but the one caller that makes the new one. A value that is too large to be kept is
// returned all the same; its next callers do not wait for each other. The caller that ran fn has the
// very table that it returned, all others have one read from JSON.
//
// The library's own form, for whole responses (response_cache.lua), takes keys of ours. Its fn is
// called with whether the fill was passed on, by one that came to nothing; what it returns is a
// string to keep, nil, or false and the seconds for which nobody is to wait for this value, since it
// cannot be kept.
//
// A fill belongs to the struct fetch of its caller, a userdata that the call has marked
// to-be-closed: whatever becomes of the caller, the fill ends.
//
// drawing:
//                   ┌── the fill is over, look again ──┐
//                   ▼                                  │
//   fetch ──► step: look ──► CACHE_WAIT ──► co_wait ───┴─ passed on ──┐
//                   │                                                 ▼
//                   ├──► CACHE_FILL, CACHE_ALONE ──────────────────► fn ──► returned ──► the end
//                   └──► CACHE_HIT ────────────────────────────────────────────────────► the end
#include "script/lua_cache.h"

#include "base/log.h"
#include "script/luax.h"
#include "script/options.h"
#include "script/vm_inside.h"

#include <stddef.h>

enum { KEY = 1, TTL, FN, STALE, FETCH, RESULT }; // the stack of fetch
enum { PASS_MS = 10 * 1000 }; // for how long it is remembered that a value cannot be kept

static const char CLASS[] = "lunette.fetch";

struct fetch {
    struct co_wait wait; // first
    struct cache_waiter waiter;
    struct lua_cache *c;
    struct cache_fill fill;  // its own; serial 0: none
    struct cache_fill outer; // the fill whose fn has called this; serial 0: none
    uint64_t co;             // serial of the caller's
    struct fetch *next;      // in c->open, while it has a fill
    uint64_t ttl_ms, stale_ms;
    bool own;    // the library's form
    bool passed; // its fill was another's before
};

// Fills that are open in this state ---------------------------------------------------------------

static void open_fill(struct fetch *f, const struct cache_fill *fill)
{
    f->fill = *fill;
    f->next = f->c->open;
    f->c->open = f;
}

static void end_fill(struct fetch *f, bool made)
{
    if (!f->fill.serial)
        return;
    struct fetch **at = &f->c->open;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    cache_fill_end(f->c->cache, &f->fill, made);
    f->fill.serial = 0;
}

// The innermost fill of the running co.
static struct cache_fill find_outer(const struct lua_cache *c, uint64_t co)
{
    for (const struct fetch *f = c->open; f; f = f->next)
        if (f->co == co)
            return f->fill;
    return (struct cache_fill){0};
}

// The fill around this one cannot end before the value is there. Raises where that is never: a fill
// that needs itself would wait until its handler's time is over.
static void need(lua_State *L, const struct fetch *f, struct str key)
{
    if (f->outer.serial && !cache_fill_needs(f->c->cache, &f->outer, key))
        luaL_error(L, "cache.fetch: the fill of '%s' needs its own value", lua_tostring(L, KEY));
}

// __close and __gc: however it ended.
static int close_fetch(lua_State *L)
{
    struct fetch *f = lua_touserdata(L, 1);
    cache_client_leave(f->c->client, &f->waiter);
    end_fill(f, false);
    if (f->outer.serial)
        cache_fill_needs_none(f->c->cache, &f->outer);
    f->outer.serial = 0;
    return 0;
}

// fn ----------------------------------------------------------------------------------------------

// The caller has its value, though nobody else will.
static void pass_large(const struct fetch *f, struct str key, size_t n)
{
    lua_cache_pass(f->c, key, PASS_MS);
    log_write(LOG_WARN, "cache.fetch: the value of '%.*s' has %zu bytes, and the cache takes %zu",
              key.n < 100 ? (int)key.n : 100, key.p, n, cache_value_max(f->c->cache));
}

// false and seconds: the value cannot be kept, and those who wait make theirs at once.
static int refused(lua_State *L, struct fetch *f, struct str key)
{
    lua_cache_pass(f->c, key, lua_cache_ttl(L, RESULT + 1));
    end_fill(f, true);
    return 0;
}

static int returned(lua_State *L, int status, lua_KContext ctx)
{
    (void)status, (void)ctx;
    struct fetch *f = lua_touserdata(L, FETCH);
    struct str key = luax_str(L, KEY);
    struct cache_number room;
    if (lua_isnoneornil(L, RESULT)) {
        end_fill(f, false);
        return lua_gettop(L) - FETCH;
    }
    if (f->own && lua_isboolean(L, RESULT))
        return refused(L, f, key);
    struct cache_value v = lua_cache_value(L, f->c, RESULT, "fetch", &room);
    v.ttl_ms = f->ttl_ms;
    v.stale_ms = f->stale_ms;
    if (cache_set(f->c->cache, key, &v) == CACHE_TOO_LARGE)
        pass_large(f, key, v.bytes.n);
    if (f->c->text.cap > LUA_CACHE_TEXT_KEEP)
        buf_fini(&f->c->text);
    end_fill(f, true);
    lua_settop(L, RESULT);
    return 1;
}

static int call(lua_State *L, const struct fetch *f)
{
    lua_pushvalue(L, FN);
    if (f->own)
        lua_pushboolean(L, f->passed);
    lua_callk(L, f->own, LUA_MULTRET, 0, returned);
    return returned(L, LUA_OK, 0);
}

// Waiting -----------------------------------------------------------------------------------------

static int step(lua_State *L, struct fetch *f);

static void ready(struct cache_waiter *w, bool fills)
{
    struct fetch *f = (struct fetch *)((char *)w - offsetof(struct fetch, waiter));
    f->passed = fills;
    if (fills)
        open_fill(f, &w->fill);
    co_wake(&f->wait);
}

static int waited(lua_State *L, struct co_wait *w)
{
    struct fetch *f = (struct fetch *)w;
    return f->fill.serial ? call(L, f) : step(L, f);
}

static void cancelled(struct co_wait *w)
{
    struct fetch *f = (struct fetch *)w;
    cache_client_leave(f->c->client, &f->waiter);
}

static int await(lua_State *L, struct fetch *f, struct str key, const struct cache_fill *fill)
{
    need(L, f, key);
    f->waiter.key = key;
    f->waiter.fill = *fill;
    cache_client_wait(f->c->client, &f->waiter);
    return co_wait(L, &f->wait);
}

// The value if it is there: 1, and it is pushed.
static int hit(lua_State *L, struct lua_cache *c, enum cache_look found, enum cache_kind kind)
{
    if (found == CACHE_LOST)
        return luaL_error(L, "not enough memory");
    if (found != CACHE_HIT)
        return 0;
    lua_cache_push(L, c, kind);
    return 1;
}

static int step(lua_State *L, struct fetch *f)
{
    struct str key = luax_str(L, KEY);
    struct cache_fill fill;
    enum cache_kind kind;
    buf_clear(&f->c->text);
    enum cache_look found = cache_client_look(f->c->client, key, &kind, &f->c->text, &fill);
    if (found == CACHE_WAIT)
        return await(L, f, key, &fill);
    if (found == CACHE_FILL) {
        open_fill(f, &fill);
        need(L, f, key);
    }
    return hit(L, f->c, found, kind) ? 1 : call(L, f);
}

// The call ----------------------------------------------------------------------------------------

// The option is put in the place of its table.
static uint64_t stale_option(lua_State *L)
{
    static const char *const names[] = {"stale", NULL};
    if (!options_check(L, STALE, names))
        return 0;
    lua_getfield(L, STALE, "stale");
    lua_replace(L, STALE);
    return lua_cache_ttl(L, STALE);
}

static struct fetch *push_fetch(lua_State *L, uint64_t ttl_ms, uint64_t stale_ms, bool own)
{
    struct lua_cache *c = lua_cache_of(L);
    uint64_t co = co_serial(vm_of(L));
    struct fetch *f = lua_newuserdatauv(L, sizeof *f, 0);
    *f = (struct fetch){.wait = {.finish = waited, .cancel = cancelled},
                        .waiter = {.ready = ready},
                        .c = c,
                        .outer = find_outer(c, co),
                        .co = co,
                        .ttl_ms = ttl_ms,
                        .stale_ms = stale_ms,
                        .own = own};
    luaL_setmetatable(L, CLASS);
    lua_toclose(L, FETCH);
    return f;
}

static int fetch_by(lua_State *L, struct str key, bool own)
{
    struct lua_cache *c = lua_cache_of(L);
    enum cache_kind kind;
    uint64_t ttl_ms = lua_cache_ttl(L, TTL);
    luaL_checktype(L, FN, LUA_TFUNCTION);
    lua_settop(L, STALE);
    uint64_t stale_ms = stale_option(L);
    buf_clear(&c->text);
    enum cache_look found = cache_client_look(c->client, key, &kind, &c->text, NULL);
    if (hit(L, c, found, kind)) // most are
        return 1;
    return step(L, push_fetch(L, ttl_ms, stale_ms, own));
}

static int fetch(lua_State *L)
{
    return fetch_by(L, lua_cache_key(L), false);
}

static int fetch_own(lua_State *L)
{
    return fetch_by(L, lua_cache_own_key(L), true);
}

void lua_cache_fetch_open(lua_State *L, bool own)
{
    lua_CFunction function = own ? fetch_own : fetch;
    luaL_newmetatable(L, CLASS);
    lua_pushcfunction(L, close_fetch);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__gc");
    lua_setfield(L, -2, "__close");
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -3, "fetch");
    co_passes(vm_of(L), function);
}
