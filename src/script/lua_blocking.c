// With --dev: calls of io and os that keep the worker from everything else are told, with the line of
// the script. A function of C cannot wait as those of lunette do.
//
// The functions are wrapped. A wrapper calls the original in its own frame, so that messages and
// tracebacks read as they always do, and has the upvalue that lua_guard.c has given to some.
#include "base/log.h"
#include "script/vm_inside.h"

#include <assert.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    LONG_MS = 20,
    UPVALUES_MAX = 255, // of a function of C
};

// Methods of files are in their class, and __close in its metatable.
static const struct timed {
    const char *library, *name, *shown;
} table[] = {
    {"io", "close", "io.close"},     {"io", "flush", "io.flush"},
    {"io", "input", "io.input"},     {"io", "lines", "io.lines"},
    {"io", "open", "io.open"},       {"io", "output", "io.output"},
    {"io", "popen", "io.popen"},     {"io", "read", "io.read"},
    {"io", "tmpfile", "io.tmpfile"}, {"io", "write", "io.write"},
    {"os", "execute", "os.execute"}, {"os", "remove", "os.remove"},
    {"os", "rename", "os.rename"},   {"os", "tmpname", "os.tmpname"},
    {"file", "close", "file:close"}, {"file", "flush", "file:flush"},
    {"file", "lines", "file:lines"}, {"file", "read", "file:read"},
    {"file", "seek", "file:seek"},   {"file", "setvbuf", "file:setvbuf"},
    {"file", "write", "file:write"}, {"file", "__close", "file:close"},
    {"file", "", "file:lines"},
};
enum { A_LINE = BLOCKING - 1 }; // what the iterator of lines is
static_assert(sizeof table / sizeof *table == BLOCKING, "room for the originals");

static int64_t microseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void tell(lua_State *L, const struct timed *t, int64_t since)
{
    char place[GUARD_KEY_MAX];
    int64_t ms = (microseconds() - since) / 1000;
    if (ms <= LONG_MS)
        return;
    guard_find_place(L, place);
    log_write(LOG_WARN, "%s: %s blocked the worker for %lld ms", place, t->shown, (long long)ms);
}

static int call(lua_State *L, const struct timed *t)
{
    int64_t since = microseconds();
    int n = vm_of(L)->blocking[t - table](L);
    tell(L, t, since);
    return n;
}

static int next_line(lua_State *L)
{
    return call(L, &table[A_LINE]);
}

// Puts next_line in the place of the iterator at idx, which io.lines or file:lines has made, with its
// upvalues.
static void time_lines(lua_State *L, int idx)
{
    int n = 0;
    vm_of(L)->blocking[A_LINE] = lua_tocfunction(L, idx);
    luaL_checkstack(L, UPVALUES_MAX, "an iterator of lines");
    while (n < UPVALUES_MAX && lua_getupvalue(L, idx, n + 1))
        n++;
    lua_pushcclosure(L, next_line, n);
    lua_replace(L, idx);
}

static int timed(lua_State *L)
{
    const struct timed *t = lua_touserdata(L, lua_upvalueindex(2));
    int n = call(L, t);
    if (strcmp(t->name, "lines") == 0)
        time_lines(L, lua_gettop(L) - n + 1);
    return n;
}

// Pushes the table that the function is in.
static void push_home(lua_State *L, const struct timed *t)
{
    if (strcmp(t->library, "file") != 0) {
        lua_getglobal(L, t->library);
        return;
    }
    luaL_getmetatable(L, LUA_FILEHANDLE);
    if (strcmp(t->name, "__close") == 0)
        return;
    lua_getfield(L, -1, "__index");
    lua_remove(L, -2);
}

static void wrap(lua_State *L, const struct timed *t)
{
    push_home(L, t);
    lua_getfield(L, -1, t->name);
    vm_of(L)->blocking[t - table] = lua_tocfunction(L, -1);
    if (!lua_getupvalue(L, -1, 1))
        lua_pushnil(L);
    lua_pushlightuserdata(L, (void *)(uintptr_t)t);
    lua_pushcclosure(L, timed, 2);
    lua_setfield(L, -3, t->name);
    lua_pop(L, 2);
}

void lua_blocking_open(lua_State *L)
{
    if (!vm_of(L)->options.dev)
        return;
    for (int i = 0; i < A_LINE; i++)
        wrap(L, &table[i]);
}
