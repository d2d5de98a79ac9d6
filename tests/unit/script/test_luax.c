// The binding kit: durations and sizes, failures, classes.
#include "script_test.h"

#include <errno.h>

static void durations(void **state)
{
    static const struct {
        const char *text;
        double seconds; // negative: refused
    } cases[] = {
        {"250ms", 0.25},
        {"30s", 30},
        {"5m", 300},
        {"2h", 7200},
        {"1d", 86400},
        {"1.5h", 5400},
        {"0s", 0},
        {"0.5s", 0.5},
        {"10000000000s", 1e10},
        {"", -1},
        {"30", -1},
        {"s", -1},
        {"-1s", -1},
        {"1 s", -1},
        {"1S", -1},
        {"1.s", -1},
        {".5s", -1},
        {"1w", -1},
        {"1sx", -1},
        {"1e3s", -1},
        {"10000000001s", -1},
        {"99999999999999999999s", -1},
        {"200000000000d", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double seconds = -1;
        bool ok = luax_parse_duration(str_z(cases[i].text), &seconds);
        if (ok != (cases[i].seconds >= 0) || (ok && seconds != cases[i].seconds))
            fail_msg("%s: %d, %g", cases[i].text, ok, seconds);
    }
}

static void sizes(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t bytes;
    } cases[] = {
        {"0", true, 0},
        {"65536", true, 65536},
        {"64K", true, 65536},
        {"20M", true, 20 << 20},
        {"1G", true, 1 << 30},
        {"17179869183G", true, UINT64_C(17179869183) << 30},
        {"17179869184G", false, 0},
        {"", false, 0},
        {"K", false, 0},
        {"-1", false, 0},
        {"1k", false, 0},
        {"1KB", false, 0},
        {"1.5G", false, 0},
        {"99999999999999999999", false, 0},
        {"1 K", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t bytes = 0;
        bool ok = luax_parse_size(str_z(cases[i].text), &bytes);
        if (ok != cases[i].ok || (ok && bytes != cases[i].bytes))
            fail_msg("%s: %d, %llu", cases[i].text, ok, (unsigned long long)bytes);
    }
}

static int lua_duration(lua_State *L)
{
    lua_pushnumber(L, luax_check_duration(L, 1));
    return 1;
}

static int lua_size(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)luax_check_size(L, 1));
    return 1;
}

static int lua_missing(lua_State *L)
{
    return luax_fail(L, ENOENT);
}

static void arguments(void **state)
{
    static const struct story stories[] = {
        {"return duration(1.5), duration(3), duration '2m'", "1.5,3.0,120.0"},
        {"return size(5), size(16 * 2^20), size '64K'", "5,16777216,65536"},
        {"return missing()", "nil,No such file or directory,ENOENT"},
        {"duration(-1)",
         "error: t:1: bad argument #1 to 'duration' (a duration expected: seconds, or \"250ms\", \"30s\", \"5m\", \"2h\")"},
        {"size(1.5)",
         "error: t:1: bad argument #1 to 'size' (a size expected: bytes, or \"64K\", \"20M\", \"1G\")"},
        {"return (pcall(duration, 0/0)), (pcall(duration, 1/0)), (pcall(duration)), (pcall(duration, {}))",
         "false,false,false,false"},
        {"return (pcall(size, -1)), (pcall(size, 2^63)), (pcall(size, true)), (pcall(size, ''))",
         "false,false,false,false"},
    };
    struct fixture *f = *state;
    lua_register(vm_state(f->vm), "duration", lua_duration);
    lua_register(vm_state(f->vm), "size", lua_size);
    lua_register(vm_state(f->vm), "missing", lua_missing);
    tell(f, stories);
}

static int closed;

static int pot_close(lua_State *L)
{
    (void)L;
    closed++;
    return 0;
}

static int pot_fill(lua_State *L)
{
    luax_self(L, "test.pot");
    return 0;
}

static void classes(void **state)
{
    static const luaL_Reg methods[] = {{"fill", pot_fill}, {NULL, NULL}};
    static const struct story stories[] = {
        {"pot:fill() return 1", "1"},
        {"pot.fill()", "error: t:1: call with a colon: pot:fill()"},
        {"pot.fill({})", "error: t:1: call with a colon: pot:fill()"},
        {"do local p <close> = pot end return pot.nothing", "nil"},
    };
    struct fixture *f = *state;
    lua_State *L = vm_state(f->vm);
    int top = lua_gettop(L);
    luax_class(L, "test.pot", methods, pot_close);
    assert_int_equal(lua_gettop(L), top);
    lua_newuserdatauv(L, 0, 0);
    luaL_setmetatable(L, "test.pot");
    lua_setglobal(L, "pot");
    closed = 0;
    tell(f, stories);
    assert_int_equal(closed, 1);
    lua_pushnil(L);
    lua_setglobal(L, "pot");
    lua_gc(L, LUA_GCCOLLECT);
    assert_int_equal(closed, 2);
}

static void strings(void **state)
{
    lua_State *L = vm_state(((struct fixture *)*state)->vm);
    luax_push(L, STR("a\0b"));
    assert_true(str_eq(luax_str(L, -1), STR("a\0b")));
    lua_pushinteger(L, 1);
    assert_null(luax_str(L, -1).p); // no conversion
    luax_push(L, (struct str){NULL, 0});
    assert_int_equal(luax_str(L, -1).n, 0);
    lua_pop(L, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),
        cmocka_unit_test(sizes),
        cmocka_unit_test_setup_teardown(arguments, setup, teardown),
        cmocka_unit_test_setup_teardown(classes, setup, teardown),
        cmocka_unit_test_setup_teardown(strings, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
