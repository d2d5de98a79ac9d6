// What differs in Lua's basic library: print, next, os.exit and the watch on globals.
#include "base/log.h"
#include "script/luax.h"
#include "script/vm_inside.h"

#include <lauxlib.h>
#include <string.h>

// print: one record of the log, "scripts/main.lua:6: a<tab>b".
static int print(lua_State *L)
{
    int n = lua_gettop(L);
    luaL_Buffer b;
    luaL_where(L, 1);
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            luaL_addchar(&b, '\t');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    lua_concat(L, 2);
    log_text(LOG_INFO, luax_str(L, -1));
    return 0;
}

// next: iteration sees every field of a table, those too that it keeps to itself until then.
static int next(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    luax_complete(L, 1);
    if (lua_next(L, 1))
        return 2;
    lua_pushnil(L);
    return 1;
}

static int os_exit(lua_State *L)
{
    return luaL_error(L,
                      "os.exit would stop the worker: return from the function, or raise an error");
}

// Whether the function that assigns (level 1) is the site's own: installed libraries are exempt.
static bool from_site(lua_State *L)
{
    static const char prefix[] = "@scripts/";
    lua_Debug ar;
    return lua_getstack(L, 1, &ar) && lua_getinfo(L, "S", &ar) &&
           strncmp(ar.source, prefix, sizeof prefix - 1) == 0;
}

// Warns of each name once; the table of those seen is the upvalue.
static void warn_once(lua_State *L, const char *name)
{
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (lua_toboolean(L, -1))
        return;
    lua_pushvalue(L, 2);
    lua_pushboolean(L, 1);
    lua_rawset(L, lua_upvalueindex(1));
    luaL_where(L, 1);
    log_write(LOG_WARN, "%sundeclared global '%s' (say local %s)", lua_tostring(L, -1), name, name);
}

// __newindex(_G, name, value)
static int new_global(lua_State *L)
{
    if (lua_type(L, 2) == LUA_TSTRING && from_site(L)) {
        const char *name = lua_tostring(L, 2);
        if (vm_of(L)->options.dev)
            return luaL_error(
                L,
                "undeclared global '%s' (say local %s, or declare it with rawset(_G, '%s', ...))",
                name, name, name);
        warn_once(L, name);
    }
    lua_settop(L, 3);
    lua_rawset(L, 1);
    return 0;
}

static void watch_globals(lua_State *L)
{
    lua_pushglobaltable(L);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushcclosure(L, new_global, 1);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

static lua_CFunction global_function(lua_State *L, const char *name)
{
    lua_getglobal(L, name);
    lua_CFunction fn = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    return fn;
}

void lua_base_open(lua_State *L)
{
    // Those of Lua's own functions that have a continuation.
    static const char *const passing[] = {"pcall", "xpcall", "dofile", "pairs"};
    struct vm *vm = vm_of(L);
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        co_passes(vm, global_function(L, passing[i]));
    vm->pcall = global_function(L, "pcall");
    vm->xpcall = global_function(L, "xpcall");
    lua_register(L, "print", print);
    lua_register(L, "next", next);
    lua_getglobal(L, "os");
    lua_pushcfunction(L, os_exit);
    lua_setfield(L, -2, "exit");
    lua_pop(L, 1);
    watch_globals(L);
}
