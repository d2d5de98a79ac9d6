// lunette.core, put together of the functions of its files; and here those that the library begins with.
#include "script/lua_core.h"

#include "base/log.h"
#include "script/lua_negotiate.h"
#include "script/lua_response.h"
#include "script/lua_work.h"
#include "script/luax.h"
#include "script/plain.h"
#include "script/work.h"

#include <stddef.h>

// start{dispatch=, failed=, loaded=, place=, raise=, raised=, refuse=, settle=, files=, report=,
// response=, methods=}: what the library gives C to call, and to recognise responses and fill request
// tables with.
static int core_start(lua_State *L)
{
    struct handler *h = core_handler(L);
    const struct {
        const char *name;
        int *ref;
    } kept[] = {
        {"dispatch", &h->dispatch}, {"failed", &h->failed},
        {"loaded", &h->loaded},     {"place", &h->place},
        {"raise", &h->raise},       {"raised", &h->raised},
        {"refuse", &h->refuse},     {"response", &h->response_meta},
        {"settle", &h->settle},     {"files", &h->files},
        {"report", &h->report},
    };
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argcheck(L, !h->started, 1, "the library has started already");
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (lua_getfield(L, 1, kept[i].name) == LUA_TNIL)
            return luaL_error(L, "core.start without %s", kept[i].name);
        *kept[i].ref = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_getfield(L, 1, "methods");
    request_methods(L, -1);
    h->started = true;
    return 0;
}

// declared(routes, middleware): how many main.lua has.
static int core_declared(lua_State *L)
{
    core_handler(L)->declared = (struct handler_declared){
        .routes = (unsigned)luaL_checkinteger(L, 1),
        .middleware = (unsigned)luaL_checkinteger(L, 2),
    };
    return 0;
}

// Whether the value on top is a function that would not see what it is called with.
static bool takes_nothing(lua_State *L)
{
    lua_Debug ar;
    if (!lua_isfunction(L, -1) || lua_iscfunction(L, -1))
        return false;
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">u", &ar);
    return ar.nparams == 0 && !ar.isvararg;
}

// plain(method, handlers): the plain routes of a method, path → handler: what C may call without
// dispatch (handler_run.c). Once for a method: C keeps what it has found there. The table is C's from now on.
static int core_plain(lua_State *L)
{
    struct handler *h = core_handler(L);
    enum http_method method = method_parse(luax_check_str(L, 1));
    luaL_argcheck(L, method != HTTP_METHODS, 1, "it is no method");
    luaL_argcheck(L, h->plain[method].handlers == LUA_NOREF, 1,
                  "its plain routes are known already");
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_newtable(L);
    lua_Integer n = 0;
    for (lua_pushnil(L); lua_next(L, 2);) {
        if (!takes_nothing(L)) {
            lua_pop(L, 1);
            continue;
        }
        lua_rawseti(L, 3, ++n); // bare[n] = handler
        lua_pushvalue(L, -1);
        lua_pushinteger(L, n);
        lua_rawset(L, 2); // handlers[path] = n: a key that is there
    }
    h->plain[method].bare = luaL_ref(L, LUA_REGISTRYINDEX);
    h->plain[method].handlers = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static int core_log(lua_State *L)
{
    int level = log_level_parse(luax_check_str(L, 1));
    luaL_argcheck(L, level >= 0, 1, "debug, info, warn or error expected");
    log_text((enum log_level)level, luax_check_str(L, 2));
    return 0;
}

static void push_settings(lua_State *L, const struct handler *h)
{
    if (h->options.settings.n == 0 || !plain_decode(L, h->options.settings))
        lua_newtable(L);
}

int luaopen_lunette_core(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"start", core_start},
        {"declared", core_declared},
        {"plain", core_plain},
        {"receive", core_receive},
        {"stream", core_stream},
        {"read", core_read},
        {"expect_json", core_expect_json},
        {"normalise", core_normalise},
        {"encode", core_encode},
        {"page", core_page},
        {"web_page", core_web_page},
        {"web_policy", core_web_policy},
        {"log", core_log},
        {"add_header", core_add_header},
        {"vary", core_vary},
        {"after", core_after},
        {"over", core_over},
        {"late", core_late},
        {"timeout", core_timeout},
        {"no_coding", core_no_coding},
        {"current", core_current},
        {"route", core_route},
        {"routed", core_routed},
        {"asked", core_asked},
        {"segments", core_segments},
        {"split_path", core_split_path},
        {"accept", core_accept},
        {"accept_language", core_accept_language},
        {"accept_encoding", core_accept_encoding},
        {"check", core_check},
        {"watch", core_watch},
        {"private_seen", core_private_seen},
        {"private_covered", core_private_covered},
        {"private_text", core_private_text},
        {"private_note", core_private_note},
        {"cookies_named", core_cookies_named},
        {"client_net", core_client_net},
        {"keep", core_keep},
        {"fills", core_fills},
        {"field", core_field},
        {"own_hosts", core_own_hosts},
        {"shows", core_shows},
        {"has_body", core_has_body},
        {"added", core_added},
        {"added_since", core_added_since},
        {"sender", core_sender},
        {"script_text", core_script_text},
        {"script_names", core_script_names},
        {NULL, NULL},
    };
    struct handler *h = core_handler(L);
    luaL_newlibtable(L, functions);
    lua_pushlightuserdata(L, h);
    luaL_setfuncs(L, functions, 1);
    lua_files_register(L, h);
    answer_push_prepared(L);
    lua_setfield(L, -2, "FILE");
    handler_push_run(L);
    lua_setfield(L, -2, "run");
    lua_pushboolean(L, vm_options(h->vm)->dev);
    lua_setfield(L, -2, "dev");
    lua_pushboolean(L,
                    h->options.mark != NULL); // a server with --dev, and no run of a site's tests
    lua_setfield(L, -2, "live");
    lua_pushstring(L, h->options.data);
    lua_setfield(L, -2, "data");
    push_settings(L, h);
    lua_setfield(L, -2, "settings");
    return 1;
}
