// Merge patches: target, patch and what becomes of it, as JSON text; then that nothing is shared.
#include "codec_test.h"

static const char *encoded(lua_State *L, int idx, struct buf *out)
{
    const struct json_style style = {.sort = true};
    buf_clear(out);
    assert_true(json_write(L, idx, out, &style));
    buf_addc(out, 0);
    return out->p;
}

static void test_patches(void **state)
{
    (void)state;
    static const struct {
        const char *target, *patch, *want;
    } cases[] = {
        // the examples of RFC 7396, appendix A
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"a\":1,\"e\":null}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
        // and more
        {"{\"a\":1}", "{}", "{\"a\":1}"},
        {"[]", "{}", "{}"},
        {"{}", "[]", "[]"},
        {"null", "{\"a\":{\"b\":null,\"c\":2}}", "{\"a\":{\"c\":2}}"},
        {"{\"a\":[]}", "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}"},
        {"{\"a\":[]}", "{\"b\":[null,{\"c\":null}]}", "{\"a\":[],\"b\":[null,{\"c\":null}]}"},
        {"{\"a\":{\"b\":[1,[2]]}}", "{\"a\":{\"c\":false}}", "{\"a\":{\"b\":[1,[2]],\"c\":false}}"},
    };
    const struct json_read_options with_null = {.null = true};
    struct buf out;
    buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lua_State *L = open_state();
        assert_true(json_read(L, str_z(cases[i].target), &with_null));
        assert_true(json_read(L, str_z(cases[i].patch), &with_null));
        json_merge_patch(L, -2, -1);
        assert_int_equal(lua_gettop(L), 3);
        assert_string_equal(encoded(L, 3, &out), cases[i].want);
        assert_string_equal(encoded(L, 1, &out), cases[i].target);
        assert_string_equal(encoded(L, 2, &out), cases[i].patch);
        lua_close(L);
    }
    buf_fini(&out);
}

static void test_from_lua(void **state)
{
    (void)state;
    static const char *const chunks[] = {
        // nothing is shared with either
        "local a = {keep = {1}, deep = {x = {y = 1}}}\n"
        "local b = {list = {2}, deep = {z = {w = 1}}}\n"
        "local c = json.merge_patch(a, b)\n"
        "assert(c.keep ~= a.keep and c.deep ~= a.deep and c.deep.x ~= a.deep.x)\n"
        "assert(c.list ~= b.list and c.deep.z ~= b.deep.z)\n"
        "assert(c.keep[1] == 1 and c.list[1] == 2 and c.deep.x.y == 1 and c.deep.z.w == 1)\n"
        "assert(next(c.deep, next(c.deep, (next(c.deep)))) == nil)",
        "local a = {} assert(json.merge_patch(a, {}) ~= a)\n"
        "assert(json.merge_patch({x = 1}, a) ~= a)\n"
        "local list = {1} assert(json.merge_patch(nil, list) ~= list)",
        // marks stay, other metatables do not
        "assert(json.encode(json.merge_patch({a = json.array()}, {b = json.array()}),\n"
        "                   {sort = true}) == '{\"a\":[],\"b\":[]}')\n"
        "assert(json.encode(json.merge_patch(nil, json.object())) == '{}')\n"
        "assert(getmetatable(json.merge_patch(setmetatable({}, {}), {})) == nil)",
        "assert(json.merge_patch(1, json.null) == json.null)",
        "assert(json.merge_patch(nil, {a = json.null}).a == nil)",
        // misuse
        "local ok, why = pcall(function() json.merge_patch({}) end)\n"
        "assert(why:find(\"bad argument #2 to 'merge_patch' (value expected; null is json.null)\", 1, true)\n"
        "       or error(why))",
        "local ok, why = pcall(function() json.merge_patch() end)\n"
        "assert(why:find(\"bad argument #1 to 'merge_patch' (value expected)\", 1, true)\n"
        "       or error(why))",
        "local me = {} me.me = me\n"
        "for _, args in ipairs{{me, {}}, {{}, me}, {1, {a = {me}}}} do\n"
        "  local ok, why = pcall(json.merge_patch, args[1], args[2])\n"
        "  assert(why:find('cannot merge: nested deeper than 200', 1, true) or error(why))\n"
        "end",
        "local function nest(n) local t = {} for i = 2, n do t = {a = t} end return t end\n"
        "assert(json.merge_patch(nest(200), nest(200)).a.a.a)\n"
        "assert(not pcall(json.merge_patch, nest(201), {}))\n"
        "assert(not pcall(json.merge_patch, {}, nest(201)))",
    };
    lua_State *L = open_state();
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
        if (luaL_dostring(L, chunks[i]) != LUA_OK)
            fail_msg("%s\n%s", chunks[i], lua_tostring(L, -1));
    lua_close(L);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patches),
        cmocka_unit_test(test_from_lua),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
