// Names that come again are the strings that they were, whatever else had their place meanwhile.
#include "script/names.h"

#include <lauxlib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void check(lua_State *L, struct names *names, struct str name, struct str want)
{
    int top = lua_gettop(L);
    names_push(L, names, name);
    size_t n;
    const char *got = lua_tolstring(L, -1, &n);
    assert_int_equal(lua_gettop(L), top + 1);
    assert_int_equal(n, want.n);
    assert_memory_equal(got, want.p, n);
    lua_pop(L, 1);
}

static void strings_are_what_was_given(void **state)
{
    (void)state;
    static const struct {
        struct str name, lower;
    } cases[] = {
        {STR(""), STR("")},
        {STR("a"), STR("a")},
        {STR("A"), STR("a")},
        {STR("X-Bench"), STR("x-bench")},
        {STR("x-bench"), STR("x-bench")},
        {STR("x\0y"), STR("x\0y")},
        {STR("x\0Z"), STR("x\0z")},
        {STR("\xc3\x89"), STR("\xc3\x89")},
        {STR("Abcdefghijklmnopqrstuvw"), STR("abcdefghijklmnopqrstuvw")},
        {STR("Abcdefghijklmnopqrstuvwx"), STR("abcdefghijklmnopqrstuvwx")}, // too long to be kept
        {STR("Abcdefghijk-opqrstuvw-xyz-Abcdefghijklmnopqrstuvwx-Abcdefghijklmnopqrstuvwx"),
         STR("abcdefghijk-opqrstuvw-xyz-abcdefghijklmnopqrstuvwx-abcdefghijklmnopqrstuvwx")},
    };
    lua_State *L = luaL_newstate();
    struct names plain = {0}, lower = {.lower = true};
    for (int turn = 0; turn < 3; turn++)
        for (size_t i = 0; i < COUNT(cases); i++) {
            check(L, &plain, cases[i].name, cases[i].name);
            check(L, &lower, cases[i].name, cases[i].lower);
            lua_gc(L, LUA_GCCOLLECT);
        }
    lua_close(L);
}

// Far more names than places: each takes that of another one. The registry grows by the places alone.
static void names_take_the_place_of_others(void **state)
{
    (void)state;
    lua_State *L = luaL_newstate();
    struct names names = {0};
    char text[32];
    for (int turn = 0; turn < 2; turn++)
        for (int i = 0; i < 5000; i++) {
            struct str name = str_of(text, (size_t)sprintf(text, "n%d", i * 7919 % 5000));
            check(L, &names, name, name);
            check(L, &names, name, name);
        }
    assert_true(lua_rawlen(L, LUA_REGISTRYINDEX) <= NAMES_KEPT + 8);
    lua_close(L);
}

// Lua refuses the nth allocation, for every n: what is kept stays right.
struct failing {
    unsigned left;
};

static void *allocate(void *arg, void *p, size_t before, size_t after)
{
    struct failing *f = arg;
    if (after == 0) {
        free(p);
        return NULL;
    }
    if ((!p || after > before) && f->left && --f->left == 0)
        return NULL;
    return realloc(p, after);
}

static int push_some(lua_State *L)
{
    struct names *names = lua_touserdata(L, 1);
    char text[32];
    for (int i = 0; i < 40; i++) {
        struct str name = str_of(text, (size_t)sprintf(text, "Name-%d", i));
        luaL_checkstack(L, 4, NULL);
        names_push(L, names, name);
    }
    return 0;
}

static void memory_may_be_out(void **state)
{
    (void)state;
    for (unsigned n = 1; n < 60; n++) {
        struct failing f = {0};
        struct names names = {.lower = true};
        lua_State *L = lua_newstate(allocate, &f);
        for (int turn = 0; turn < 2; turn++) {
            lua_pushcfunction(L, push_some);
            lua_pushlightuserdata(L, &names);
            f.left = turn == 0 ? n : 0;
            int status = lua_pcall(L, 1, 0, 0);
            f.left = 0;
            assert_true(status == LUA_OK || (turn == 0 && status == LUA_ERRMEM));
            lua_settop(L, 0);
        }
        for (int i = 0; i < 40; i++) {
            char text[32], want[32];
            size_t length = (size_t)sprintf(text, "Name-%d", i);
            sprintf(want, "name-%d", i);
            check(L, &names, str_of(text, length), str_of(want, length));
        }
        lua_close(L);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_what_was_given),
        cmocka_unit_test(names_take_the_place_of_others),
        cmocka_unit_test(memory_may_be_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
