// Plain values: what goes in comes out, and nothing else does.
#include "script/plain.h"

#include <lauxlib.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// after the above
#include <cmocka.h>

static lua_State *L;
static struct buf out;

static int setup(void **state)
{
    (void)state;
    L = luaL_newstate();
    luaL_openlibs(L);
    buf_init(&out, 64 * 1024);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lua_close(L);
    buf_fini(&out);
    return 0;
}

static void push_result(const char *code)
{
    if (luaL_dostring(L, code) != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
    lua_settop(L, 1);
}

static const char *const same_source =
    "local function same(a, b)\n"
    "  if math.type(a) ~= math.type(b) or type(a) ~= type(b) then return false end\n"
    "  if type(a) ~= 'table' then return a == b or (a ~= a and b ~= b) end\n"
    "  for k, v in pairs(a) do if not same(v, b[k]) then return false end end\n"
    "  for k in pairs(b) do if a[k] == nil then return false end end\n"
    "  return true\n"
    "end\n"
    "return same\n";

static void test_round_trips(void **state)
{
    (void)state;
    static const char *const values[] = {
        "return nil",
        "return true",
        "return false",
        "return 0",
        "return math.mininteger",
        "return 1.0",
        "return -0.0",
        "return 0/0",
        "return 1/0",
        "return ''",
        "return 'a\\0b\\255'",
        "return ('x'):rep(10000)",
        "return {}",
        "return {1, 2, {3}, 'x', 2.5}",
        "return {a = {b = {c = true}}, [1.5] = 'float', [true] = 'yes', [-3] = {}}",
        "local t = {} return {t, t}",
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        lua_settop(L, 0);
        buf_clear(&out);
        push_result(values[i]);
        assert_true(plain_encode(L, 1, &out));
        assert_int_equal(lua_gettop(L), 1);
        assert_true(plain_decode(L, buf_str(&out)));
        assert_int_equal(lua_gettop(L), 2);
        assert_int_equal(luaL_dostring(L, same_source), LUA_OK);
        lua_insert(L, 1);
        lua_call(L, 2, 1);
        if (!lua_toboolean(L, -1))
            fail_msg("not the same again: %s", values[i]);
    }
}

static void test_refusals_name_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *code, *why;
    } rows[] = {
        {"return print", "a function cannot be kept"},
        {"return {a = {b = print}}", "a.b: a function cannot be kept"},
        {"return {a = {1, {x = coroutine.create(print)}}}", "a[2].x: a thread cannot be kept"},
        {"return {io.stdout}", "[1]: a userdata cannot be kept"},
        {"return {a = {[{}] = 1}}", "a.table: such a key cannot be kept"},
        {"local t = {} t.me = {t} return t", "me[1]: a table that contains itself cannot be kept"},
        {"return {a = ('x'):rep(70000)}", "a: too much to be kept"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lua_settop(L, 0);
        buf_clear(&out);
        buf_add(&out, STR("before"));
        push_result(rows[i].code);
        assert_false(plain_encode(L, 1, &out));
        assert_int_equal(lua_gettop(L), 2);
        assert_string_equal(lua_tostring(L, 2), rows[i].why);
        assert_int_equal(out.n, 6);
    }
}

static void push_nested(int levels)
{
    lua_settop(L, 0);
    lua_newtable(L);
    for (int i = 1; i < levels; i++) {
        lua_newtable(L);
        lua_insert(L, -2);
        lua_rawseti(L, -2, 1);
    }
}

static void test_depth(void **state)
{
    (void)state;
    push_nested(PLAIN_DEPTH);
    assert_true(plain_encode(L, 1, &out));
    assert_true(plain_decode(L, buf_str(&out)));
    push_nested(PLAIN_DEPTH + 1);
    assert_false(plain_encode(L, 1, &out));
    assert_non_null(strstr(lua_tostring(L, -1), "too many tables inside one another"));
    // and the same from bytes
    lua_settop(L, 0);
    buf_clear(&out);
    for (int i = 0; i < 100000 / 2 && out.n < 60000; i++)
        assert_true(buf_add(&out, i == 0 ? STR("{") : STR("T{")));
    assert_false(plain_decode(L, buf_str(&out)));
    assert_int_equal(lua_gettop(L), 0);
}

static void test_truncation_at_every_length(void **state)
{
    (void)state;
    push_result("return {a = 'text', b = {1, 2.5, {c = false}}, [7] = true}");
    assert_true(plain_encode(L, 1, &out));
    for (size_t n = 0; n < out.n; n++) {
        char *exact = malloc(n + 1); // so that ASan sees a read beyond the bytes
        memcpy(exact, out.p, n);
        exact = realloc(exact, n ? n : 1);
        assert_false(plain_decode(L, str_of(exact, n)));
        assert_int_equal(lua_gettop(L), 1);
        free(exact);
    }
    buf_addc(&out, 'N'); // and one byte too many
    assert_false(plain_decode(L, buf_str(&out)));
}

static void test_every_changed_byte_is_survived(void **state)
{
    (void)state;
    push_result("return {a = 'text', b = {1, 2.5}, [1.5] = true}");
    assert_true(plain_encode(L, 1, &out));
    for (size_t i = 0; i < out.n; i++)
        for (int c = 0; c < 256; c++) {
            char kept = out.p[i];
            out.p[i] = (char)c;
            bool made = plain_decode(L, buf_str(&out));
            assert_int_equal(lua_gettop(L), made ? 2 : 1);
            lua_settop(L, 1);
            out.p[i] = kept;
        }
}

static void test_what_the_encoder_never_writes(void **state)
{
    (void)state;
    static const struct str rows[] = {
        STR(""),
        STR("x"),
        STR("TT"),
        STR("}"),
        STR("{T}"),                                  // a key without a value
        STR("{TN}"),                                 // a nil value
        STR("{NT}"),                                 // a nil key
        STR("{{}T}"),                                // a table as key
        STR("{TTTF}"),                               // a key twice
        STR("{d\x00\x00\x00\x00\x00\x00\xf8\x7fT}"), // NaN as key
        STR("s\xff\xff\xff\xff..."),                 // a length far beyond the end
        STR("s\x04\x00\x00\x00"
            "abc"), // and by one
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_false(plain_decode(L, rows[i]));
        assert_int_equal(lua_gettop(L), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trips, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals_name_the_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_depth, setup, teardown),
        cmocka_unit_test_setup_teardown(test_truncation_at_every_length, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_changed_byte_is_survived, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_the_encoder_never_writes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
