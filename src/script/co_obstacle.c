// Why a wait is impossible, in words: "scripts/main.lua:6: cannot wait inside table.sort".
//
// Lua knows that it cannot yield, not why. The reason is found by walking the stack outwards from
// the wait: the nearest C function that is not known to go on after a wait (co_passes) is in the
// way. Finalizers and hooks are marked by Lua; a message handler is found by asking the xpcall
// further out which function its handler is. This runs once for each error, so it may be slow.
#include "script/vm_inside.h"

#include <lauxlib.h>
#include <string.h>

enum { LEVELS_MAX = 200 }; // lua_getstack counts from the top each time

// Moves the function of a level of T onto L. T may be any thread of the chain.
static bool push_function(lua_State *L, lua_State *T, lua_Debug *ar)
{
    if (!lua_checkstack(T, 1))
        return false;
    lua_getinfo(T, "f", ar);
    lua_xmove(T, L, 1);
    return true;
}

static bool passes(const struct vm *vm, lua_CFunction fn)
{
    for (unsigned i = 0; i < vm->passings; i++)
        if (vm->passing[i] == fn)
            return true;
    return false;
}

// Pushes the name that the function at one index has in the module at another.
static bool name_in_module(lua_State *L, int function, int module, const char *prefix)
{
    if (!lua_istable(L, module))
        return false;
    for (lua_pushnil(L); lua_next(L, module); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || !lua_rawequal(L, -1, function))
            continue;
        lua_pop(L, 1);
        if (strcmp(prefix, LUA_GNAME) != 0)
            lua_pushfstring(L, "%s.%s", prefix, lua_tostring(L, -1));
        return true;
    }
    return false;
}

// Pushes "table.sort" for the function at that index (the top). The standard library's own names
// come first: a site's module may hold the same function under another.
static bool push_library_name(lua_State *L, int function)
{
    static const char *const standard[] = {LUA_GNAME, "table", "string", "coroutine", "debug",
                                           "os",      "io",    "utf8",   "math",      NULL};
    luaL_checkstack(L, 8, NULL);
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    int loaded = lua_gettop(L);
    for (int i = 0; standard[i]; i++) {
        lua_getfield(L, loaded, standard[i]);
        if (name_in_module(L, function, loaded + 1, standard[i]))
            return true;
        lua_settop(L, loaded);
    }
    for (lua_pushnil(L); lua_next(L, loaded); lua_settop(L, loaded + 1)) {
        if (lua_type(L, -2) == LUA_TSTRING &&
            name_in_module(L, function, loaded + 2, lua_tostring(L, -2)))
            return true;
    }
    lua_settop(L, function);
    return false;
}

// The name of the C function of a level, or NULL when it has none or lets waits pass.
static const char *c_function(lua_State *L, lua_State *T, lua_Debug *ar)
{
    if (!push_function(L, T, ar))
        return NULL;
    const struct vm *vm = vm_of(L);
    lua_CFunction fn = lua_tocfunction(L, -1);
    if (passes(vm, fn))
        return NULL;
    if (fn == vm->find_loader)
        return "require";
    if (push_library_name(L, lua_gettop(L)))
        return lua_tostring(L, -1);
    if (strcmp(ar->namewhat, "for iterator") == 0)
        return "a for iterator";
    return ar->name;
}

// The level, below that of an xpcall, at which the message handler of it runs; -1: it does not.
static int handler_level(lua_State *L, lua_State *T, lua_Debug *xpcall, int level)
{
    enum { HANDLER_LOCAL = 2 }; // xpcall(f, handler, …) keeps its arguments in place
    int top = lua_gettop(L);
    if (!lua_checkstack(T, 1) || !lua_getlocal(T, xpcall, HANDLER_LOCAL))
        return -1;
    lua_xmove(T, L, 1);
    lua_Debug ar;
    for (int i = level - 1; i >= 0; i--) {
        if (!lua_getstack(T, i, &ar) || !push_function(L, T, &ar))
            break;
        bool same = lua_rawequal(L, -1, top + 1);
        lua_pop(L, 1);
        if (same) {
            lua_settop(L, top);
            return i;
        }
    }
    lua_settop(L, top);
    return -1;
}

static bool is_xpcall(lua_State *L, lua_State *T, lua_Debug *ar)
{
    if (!push_function(L, T, ar))
        return false;
    lua_CFunction fn = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    return fn && fn == vm_of(L)->xpcall;
}

static bool is_finalizer(const lua_Debug *ar)
{
    return strcmp(ar->namewhat, "metamethod") == 0 && ar->name &&
           (strcmp(ar->name, "__gc") == 0 || strcmp(ar->name, "gc") == 0);
}

// What keeps thread T from yielding. Strings found are left on L's stack.
static const char *obstacle_in(lua_State *L, lua_State *T)
{
    const char *found = NULL;
    int found_at = 0;
    lua_Debug ar;
    for (int level = 0; level < LEVELS_MAX && lua_getstack(T, level, &ar); level++) {
        lua_getinfo(T, "nS", &ar);
        if (!found && is_finalizer(&ar))
            return "__gc";
        if (!found && strcmp(ar.namewhat, "hook") == 0)
            return "a debug hook";
        if (*ar.what != 'C' || (T == L && level == 0)) // level 0 of L is the wait itself
            continue;
        if (is_xpcall(L, T, &ar)) {
            int handler = handler_level(L, T, &ar, level);
            if (handler >= 0 && (!found || handler < found_at))
                return "an error handler";
        } else if (!found) {
            luaL_checkstack(L, 8, NULL);
            found = c_function(L, T, &ar);
            found_at = level;
        }
    }
    return found ? found : "a C function";
}

// The position of the site's line that called the waiting function, directly or through others. The
// library's own chunks are named "=lunette…" (lua_require.c).
static void push_where(lua_State *L)
{
    lua_Debug ar;
    for (int level = 1; level < LEVELS_MAX && lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline > 0 && strncmp(ar.source, "=lunette", strlen("=lunette")) != 0) {
            lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
            return;
        }
    }
    lua_pushliteral(L, "");
}

static const char *obstacle(lua_State *L)
{
    struct co_link *link = vm_of(L)->running;
    if (!link || link->L != L) // the main thread, or one that a C library resumed
        return NULL;
    for (; link; link = link->outer) {
        if (link->closing)
            return link->closing;
        if (!lua_isyieldable(link->L))
            return obstacle_in(L, link->L);
        if (link->co)
            break;
    }
    return NULL;
}

void co_push_obstacle(lua_State *L)
{
    luaL_checkstack(L, 8, NULL);
    push_where(L);
    const char *where = lua_tostring(L, -1);
    const char *name = obstacle(L);
    if (name)
        lua_pushfstring(L, "%scannot wait inside %s", where, name);
    else
        lua_pushfstring(L, "%scannot wait here", where);
}
