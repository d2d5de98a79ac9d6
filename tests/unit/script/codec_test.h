// What the tests of the codecs share: a plain Lua with them as globals, tables of expressions and what
// they give, and a Lua that runs out of memory at each of its allocations in turn.
#ifndef LUNETTE_TESTS_CODEC_TEST_H
#define LUNETTE_TESTS_CODEC_TEST_H

#include "script/lua_codec.h"
#include "script/lua_json.h"
#include "script/luax.h"

#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

static inline void load(lua_State *L, const char *name, lua_CFunction open)
{
    luaL_requiref(L, name, open, 1);
    lua_pop(L, 1);
}

static inline lua_State *open_state(void)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    load(L, "html", luaopen_lunette_html);
    load(L, "url", luaopen_lunette_url);
    load(L, "cookie", luaopen_lunette_cookie);
    load(L, "time", luaopen_lunette_time);
    load(L, "mime", luaopen_lunette_mime);
    load(L, "json", luaopen_lunette_json);
    return L;
}

// The value of a Lua expression, or its error message: at index 2, and as a string on top.
static inline const char *eval(lua_State *L, const char *expression)
{
    lua_settop(L, 0);
    lua_pushfstring(L, "return %s", expression);
    if (luaL_loadbuffer(L, lua_tostring(L, 1), lua_rawlen(L, 1), "=t") == LUA_OK)
        lua_pcall(L, 0, 1, 0);
    return luaL_tolstring(L, -1, NULL);
}

// What stands for every value of an expression, with spaces between.
#define ALL_VALUES                                                                          \
    "(function(...) local v = table.pack(...) for i = 1, v.n do v[i] = tostring(v[i]) end " \
    "return table.concat(v, ' ') end)(%s)"

struct snippet {
    const char *expression, *want;
};

// Fails with the first expression that gives something else. form: NULL, or what each is put into.
static inline void run_snippets(const struct snippet *cases, size_t n, const char *form)
{
    lua_State *L = open_state();
    for (size_t i = 0; i < n; i++) {
        char text[8192];
        int length = snprintf(text, sizeof text, form ? form : "%s", cases[i].expression);
        assert_true(length < (int)sizeof text);
        const char *got = eval(L, text);
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("%s\n  gave %s\n  want %s", cases[i].expression, got, cases[i].want);
    }
    lua_close(L);
}

// --- a Lua without memory ---

// *ud allocations succeed, and no later one does.
static inline void *failing_alloc(void *ud, void *p, size_t old, size_t n)
{
    long *left = ud;
    (void)old;
    if (n == 0) {
        free(p);
        return NULL;
    }
    return (*left)-- > 0 ? realloc(p, n) : NULL;
}

// Runs fn in a new Lua that has memory for 0, 1, 2, … allocations, until it has enough. Until then it
// says that memory is out. Returns how often that was.
static inline long without_memory(lua_CFunction fn)
{
    int status = LUA_ERRMEM;
    long n = 0;
    for (; status != LUA_OK; n++) {
        long left = n;
        assert_true(n < 5000);
        lua_State *L = lua_newstate(failing_alloc, &left);
        if (!L)
            continue;
        lua_pushcfunction(L, fn);
        status = lua_pcall(L, 0, 0, 0);
        assert_true(status == LUA_OK || strstr(lua_tostring(L, -1), "memory") ||
                    strstr(lua_tostring(L, -1), "too many"));
        left = 1 << 30;
        lua_close(L);
    }
    return n;
}

#endif
