// Loading a site's scripts: main.lua in a coroutine of its own, and what is said when it fails.
#include "base/log.h"
#include "script/cut.h"
#include "script/luax.h"
#include "script/work.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static int load_loaded(lua_State *L, int status, lua_KContext ctx)
{
    struct handler *h = (struct handler *)ctx;
    (void)status;
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->loaded);
    lua_call(L, 0, 0);
    return 0;
}

static int load_main(lua_State *L, int status, lua_KContext ctx)
{
    struct handler *h = (struct handler *)ctx;
    (void)status;
    if (!h->started)
        return luaL_error(L, "the library did not start");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/scripts/main.lua", vm_options(h->vm)->site);
    if (vm_has_file(h->vm, path)) {
        if (vm_load_file(L, "scripts/main.lua") != LUA_OK)
            return lua_error(L);
        lua_callk(L, 0, 0, ctx, load_loaded);
    }
    return load_loaded(L, LUA_OK, ctx);
}

// The body of the coroutine that loads the site. Argument: the handler.
static int load(lua_State *L)
{
    struct handler *h = lua_touserdata(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "lunette");
    lua_callk(L, 1, 0, (lua_KContext)h, load_main);
    return load_main(L, LUA_OK, (lua_KContext)h);
}

static int as_text(lua_State *L)
{
    if (lua_isstring(L, 1) || luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL)
        luaL_tolstring(L, 1, NULL);
    else
        lua_pushfstring(L, "an error that is not a string but a %s", luaL_typename(L, 1));
    return 1;
}

// Arguments: the handler, the thread that failed, its error. Results of the library's report: the failure
// as HTML, which is kept, and as text.
static int make_report(lua_State *L)
{
    struct handler *h = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->report);
    lua_replace(L, 1);
    lua_call(L, 2, 2);
    struct str html = luax_check_str(L, -2);
    buf_clear(&h->reported);
    buf_add(&h->reported, html);
    return 1;
}

// Pushes on the main thread what is said of the error on top of L, in more words than its own; false,
// with nothing pushed, where nothing can be.
static bool push_report(struct handler *h, lua_State *L)
{
    lua_State *main = vm_state(h->vm);
    if (!vm_options(h->vm)->dev || !h->started || !lua_checkstack(L, 2) || !lua_checkstack(main, 6))
        return false;
    lua_pushcfunction(main, make_report);
    lua_pushlightuserdata(main, h);
    lua_pushthread(L);
    lua_xmove(L, main, 1);
    lua_pushvalue(L, -1);
    lua_xmove(L, main, 1);
    if (lua_pcall(main, 3, 1, 0) == LUA_OK && lua_isstring(main, -1))
        return true;
    log_write(LOG_WARN, "the failure cannot be shown: %s", work_error_text(main));
    lua_pop(main, 1);
    return false;
}

// A module that does not compile: from what require says of it, the compiler's sentence, which begins
// with the place. Who required it is in the traceback.
static const char *without_require(const char *message)
{
    static const char prefix[] = "error loading module '", end[] = ":\n\t";
    const char *at = strncmp(message, prefix, sizeof prefix - 1) == 0 ? strstr(message, end) : NULL;
    return at ? at + sizeof end - 1 : message;
}

static void on_load_end(struct co *co, enum co_end how, lua_State *L, int n, void *arg)
{
    struct handler *h = arg;
    (void)n;
    if (how == CO_RETURNED) { // though what it ran for too long may have caught the error
        h->load_done(h->load_arg, co_was_cut(co) ? "the scripts ran for longer than timeouts.cpu "
                                                   "while they were loaded: see the log"
                                                 : NULL);
        return;
    }
    cut_take(h->vm);                   // it is the error
    lua_State *main = vm_state(h->vm); // L has failed
    if (!push_report(h, L)) {
        lua_pushcfunction(main, as_text);
        lua_xmove(L, main, 1);
        lua_pcall(main, 1, 1, 0); // the text, or the error of making it
    }
    const char *message = lua_tostring(main, -1);
    vm_push_traceback(main, L, message ? without_require(message) : "an error that is not a string",
                      0);
    lua_remove(main, -2);
    h->load_done(h->load_arg, lua_tostring(main, -1));
    lua_pop(main, 1);
}

void handler_load(struct handler *h, void (*done)(void *arg, const char *error), void *arg)
{
    struct co *co = co_new(h->vm);
    if (!co) {
        done(arg, "out of memory");
        return;
    }
    h->load_done = done;
    h->load_arg = arg;
    lua_State *L = co_state(co);
    lua_pushcfunction(L, load);
    lua_pushlightuserdata(L, h);
    co_start(co, 1, on_load_end, h);
}

struct str handler_report(const struct handler *h)
{
    return buf_str(&h->reported);
}
