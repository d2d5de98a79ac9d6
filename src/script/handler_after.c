// Functions of req:after: they run in a coroutine of their own once the answer was handed over.
#include "base/log.h"
#include "script/cut.h"
#include "script/luax.h"
#include "script/work.h"

#include <stdint.h>

static int add_traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

static void on_after_end(struct co *co, enum co_end how, lua_State *L, int n, void *arg)
{
    (void)co;
    (void)n;
    (void)arg;
    if (how == CO_RAISED)
        log_write(LOG_ERROR, "in req:after: %s", work_error_text(L));
}

static void log_after(lua_State *L)
{
    const char *text = luaL_tolstring(L, -1, NULL);
    log_write(LOG_ERROR, "in req:after: %s", text);
    cut_logged(vm_of(L), text);
}

// The body of the coroutine that runs req:after functions. Argument: the array.
static int run_after_k(lua_State *L, int status, lua_KContext i)
{
    if (status != LUA_OK && status != LUA_YIELD)
        log_after(L);
    for (;;) {
        lua_settop(L, 1);
        lua_pushcfunction(L, add_traceback);
        if (lua_rawgeti(L, 1, ++i) == LUA_TNIL)
            return 0;
        status = lua_pcallk(L, 0, 0, 2, i, run_after_k);
        if (status != LUA_OK)
            log_after(L);
    }
}

// The array stays on the stack, and so the id of the request that is its entry 0.
static int run_after(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, (lua_Integer)(intptr_t)lua_touserdata(L, 1));
    lua_replace(L, 1);
    lua_rawgeti(L, 1, 0);
    co_set_id(co_running(vm_of(L)), luax_str(L, -1));
    return run_after_k(L, LUA_OK, 0);
}

void work_start_after(struct work *w)
{
    struct co *co = co_new(w->h->vm);
    if (!co) {
        log_write(LOG_ERROR, "out of memory for req:after");
        return;
    }
    lua_State *L = co_state(co);
    lua_pushcfunction(L, run_after);
    lua_pushlightuserdata(L, (void *)(intptr_t)w->after);
    co_start(co, 1, on_after_end, NULL);
}
