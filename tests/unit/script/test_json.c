// JSON: Lua snippets and what they encode to, or why they do not; then numbers and strings against
// their readers, small buffers, and a Lua that runs out of memory.
#include "codec_test.h"

#include "script/json_text.h"

#include <locale.h>
#include <malloc.h>
#include <math.h>

#define RUN(cases) run_snippets(cases, COUNT(cases), NULL)

static void test_values(void **state)
{
    (void)state;
    static const struct snippet cases[] = {
        {"json.encode(nil)", "null"},
        {"json.encode(json.null)", "null"},
        {"json.encode{json.null, a=nil}", "[null]"},
        {"tostring(json.null)", "null"},
        {"json.null == json.null and json.null ~= nil", "true"},
        {"json.encode(true)", "true"},
        {"json.encode(false)", "false"},
        {"json.encode{}", "{}"},
        {"json.encode(json.array{})", "[]"},
        {"json.encode(json.array())", "[]"},
        {"json.encode(json.object{})", "{}"},
        {"json.encode(json.array(json.object{}))", "[]"},
        {"json.encode{{}, json.array{}, {{}}}", "[{},[],[{}]]"},
        {"json.encode{1, 'a', true, {b = 2.5}}", "[1,\"a\",true,{\"b\":2.5}]"},
        {"json.encode(json.object{a = 1})", "{\"a\":1}"},
        {"json.encode({b=1, a=2, ['']=3, ab=4}, {sort=true})", "{\"\":3,\"a\":2,\"ab\":4,\"b\":1}"},
        {"json.encode({['\\xc3\\xa9']=1, z=2}, {sort=true})", "{\"z\":2,\"\xc3\xa9\":1}"},
        {"json.encode({b={}, a={1, {c=1}}}, {sort=true, pretty=true})",
         "{\n  \"a\": [\n    1,\n    {\n      \"c\": 1\n    }\n  ],\n  \"b\": {}\n}"},
        {"json.encode({json.array{}, {}}, {pretty=true})", "[\n  [],\n  {}\n]"},
        {"json.encode(1, {pretty=true})", "1"},
        // raw access, whatever metatables say
        {"json.encode(setmetatable({a=1}, {__index={b=2}, __pairs=error, __len=error}))",
         "{\"a\":1}"},
        // lists whose items lie in the hash part, in whatever order
        {"json.encode((function() local t = {} for i = 9, 1, -1 do t[i] = i end return t end)())",
         "[1,2,3,4,5,6,7,8,9]"},
        {"json.encode({[3]='c', [2]='b', [1]='a'})", "[\"a\",\"b\",\"c\"]"},
        {"json.encode({[1.0]='a', [2]='b'})", "[\"a\",\"b\"]"},
        {"json.encode((function() local t = {x=1} t[1] = 5; t.x = nil return t end)())", "[5]"},
        // the same table twice is no cycle
        {"json.encode((function() local t = {1} return {t, t} end)())", "[[1],[1]]"},
    };
    RUN(cases);
}

static void test_strings(void **state)
{
    (void)state;
    static const struct snippet cases[] = {
        {"json.encode('')", "\"\""},
        {"json.encode('/</script>')", "\"/</script>\""},
        {"json.encode('\"\\\\\\b\\f\\n\\r\\t')", "\"\\\"\\\\\\b\\f\\n\\r\\t\""},
        {"json.encode('\\0\\x1f\\x7f')", "\"\\u0000\\u001f\x7f\""},
        {"json.encode('12345678\"12345678')", "\"12345678\\\"12345678\""},
        {"json.encode('gr\xc3\xbc\xc3\x9f dich, \xe2\x80\xa8 \xf0\x9f\x98\x80!')",
         "\"gr\xc3\xbc\xc3\x9f dich, \xe2\x80\xa8 \xf0\x9f\x98\x80!\""},
        {"json.encode{['a\"b\\n']=1}", "{\"a\\\"b\\n\":1}"},
    };
    RUN(cases);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct snippet cases[] = {
        {"json.encode(0)", "0"},
        {"json.encode(10/2)", "5"},
        {"json.encode(-7)", "-7"},
        {"json.encode(math.maxinteger)", "9223372036854775807"},
        {"json.encode(math.mininteger)", "-9223372036854775808"},
        {"json.encode(2^53)", "9007199254740992"},
        {"json.encode(-2^53)", "-9007199254740992"},
        {"json.encode(2^53 + 2)", "9007199254740994"},
        {"json.encode(2^63)", "9.223372036854776e+18"},
        {"json.encode(-0.0)", "-0.0"},
        {"json.encode(0.1)", "0.1"},
        {"json.encode(0.1 + 0.2)", "0.30000000000000004"},
        {"json.encode(1/3)", "0.3333333333333333"},
        {"json.encode(-3.25)", "-3.25"},
        {"json.encode(0.05)", "0.05"},
        {"json.encode(0.0001)", "0.0001"},
        {"json.encode(0.00001)", "1e-05"},
        {"json.encode(123456789012345.5)", "123456789012345.5"},
        {"json.encode(99999999999999.9)", "99999999999999.9"},
        {"json.encode(1e15 + 0.5)", "1000000000000000.5"},
        {"json.encode(1e300)", "1e+300"},
        {"json.encode(5e-324)", "4.94065645841247e-324"},
        {"json.encode(math.pi)", "3.141592653589793"},
    };
    RUN(cases);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct snippet cases[] = {
        {"json.encode({items = {{}, {}, {name = '\\xff'}}})",
         "t:1: cannot encode items[3].name: not UTF-8"},
        {"json.encode('\\xed\\xa0\\x80')", "t:1: cannot encode the value: not UTF-8"},
        {"json.encode({a = {['\\xc0\\xaf'] = 1}})",
         "t:1: cannot encode a: a key that is not UTF-8"},
        {"json.encode({print})", "t:1: cannot encode [1]: a function has no JSON form"},
        {"json.encode(io.stdout)", "t:1: cannot encode the value: a userdata has no JSON form"},
        {"json.encode({x = coroutine.create(print)})",
         "t:1: cannot encode x: a thread has no JSON form"},
        {"json.encode({a = {b = 0/0}})",
         "t:1: cannot encode a.b: NaN and infinity have no JSON form"},
        {"json.encode(math.huge)",
         "t:1: cannot encode the value: NaN and infinity have no JSON form"},
        {"json.encode({a = {1, 2, x = 3}})", "t:1: cannot encode a: both a list and a map"},
        {"json.encode({1, 2, nil, 4})",
         "t:1: cannot encode the value: a list with holes: item 4 is there, item 3 is not"},
        {"json.encode({[3] = 1})",
         "t:1: cannot encode the value: a list with holes: item 3 is there, item 1 is not"},
        {"json.encode({a = {nil, 2}})",
         "t:1: cannot encode a: a list with holes: item 2 is there, item 1 is not"},
        {"json.encode({[0] = 1})",
         "t:1: cannot encode the value: the key 0: a list has items 1 to n"},
        {"json.encode({1, [-5] = 1})",
         "t:1: cannot encode the value: the key -5: a list has items 1 to n"},
        {"json.encode({[1.5] = 1})",
         "t:1: cannot encode the value: the key 1.5: keys are strings, or 1 to n"},
        {"json.encode({1, [true] = 1})",
         "t:1: cannot encode the value: the key true: keys are strings, or 1 to n"},
        {"json.encode({[false] = 1}, {sort = true})",
         "t:1: cannot encode the value: the key false: keys are strings, or 1 to n"},
        {"json.encode({a={[print] = 1}})",
         "t:1: cannot encode a: a key that is a function: keys are strings, or 1 to n"},
        {"json.encode(json.object{7})",
         "t:1: cannot encode the value: the key 1: keys are strings, or 1 to n"},
        {"json.encode(json.array{a = 1})", "t:1: cannot encode the value: both a list and a map"},
        // how paths look
        {"json.encode({['a b'] = {['x\"\\1'] = {_y1 = {['1y'] = print}}}})",
         "t:1: cannot encode [\"a b\"][\"x\\x22\\x01\"]._y1[\"1y\"]: a function has no JSON form"},
        {"json.encode({[('k'):rep(41)] = print})",
         "t:1: cannot encode kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk...: "
         "a function has no JSON form"},
        {"json.encode({[('k'):rep(39) .. '\xc3\xa9'] = print})",
         "t:1: cannot encode [\"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk...\"]: "
         "a function has no JSON form"},
        {"json.encode({a = print}, {sort = true, pretty = true})",
         "t:1: cannot encode a: a function has no JSON form"},
        // misuse of the calls
        {"json.encode()", "t:1: bad argument #1 to 'encode' (value expected)"},
        {"json.encode(1, {prety = true})",
         "t:1: bad argument #2 to 'encode' (unknown option 'prety', did you mean 'pretty'?)"},
        {"json.encode(1, {srot = true})",
         "t:1: bad argument #2 to 'encode' (unknown option 'srot', did you mean 'sort'?)"},
        {"json.encode(1, {true})",
         "t:1: bad argument #2 to 'encode' (options are named: {name = value})"},
        {"json.encode(1, 'sort')", "t:1: bad argument #2 to 'encode' (table expected, got string)"},
        {"json.array(1)", "t:1: bad argument #1 to 'array' (table expected, got number)"},
        {"json.object(setmetatable({}, {}))",
         "t:1: bad argument #1 to 'object' (the table has a metatable of its own)"},
    };
    RUN(cases);
}

// f(depth) encodes a table in a table in a table …
static void test_depth(void **state)
{
    (void)state;
    static const struct snippet cases[] = {
        {"#json.encode(nest(200))", "1196"},
        {"json.encode(nest(201))", "t:1: cannot encode a.a.a.a.a.a.a.a: nested deeper than 200"},
        {"#json.encode(list(200))", "400"},
        {"json.encode(list(201))",
         "t:1: cannot encode [1][1][1][1][1][1][1][1]: nested deeper than 200"},
        {"json.encode({self = cycle})",
         "t:1: cannot encode self.x.y: a cycle: this table is inside itself"},
        {"json.encode(cycle, {sort = true})",
         "t:1: cannot encode x.y: a cycle: this table is inside itself"},
        {"json.encode(me)", "t:1: cannot encode [1]: a cycle: this table is inside itself"},
        // 90 levels, which fill the path: the inner part is told
        {"(select(2, pcall(json.encode, list(90, print))):gsub('%[1%]', ''))",
         "cannot encode ...: a function has no JSON form"},
    };
    lua_State *L = open_state();
    int failed = luaL_dostring(
        L,
        "function nest(n, v) local t = v for i = 1, n do t = {a = t} end return t end "
        "function list(n, v) local t = v or json.array() for i = 2, n do t = {t} end return t end "
        "cycle = {x = {}} cycle.x.y = cycle me = {} me[1] = me");
    assert_int_equal(failed, LUA_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(eval(L, cases[i].expression), cases[i].want);
    lua_close(L);
}

// --- leaves ---

static const char *text_of_float(double v)
{
    static char text[JSON_TEXT_NUMBER + 1];
    text[json_text_format_float(text, v)] = 0;
    return text;
}

static void check_float(double v)
{
    char shorter[400];
    const char *text = text_of_float(v);
    assert_true(strtod(text, NULL) == v);
    size_t significant = 0, zeros = 0;
    for (const char *p = text; *p && *p != 'e'; p++)
        if (*p >= '0' && *p <= '9' && (significant || *p != '0')) {
            significant++;
            zeros = *p == '0' ? zeros + 1 : 0;
        }
    significant -= zeros;
    snprintf(shorter, sizeof shorter, "%.*g", significant > 1 ? (int)significant - 1 : 1, v);
    if (significant > 15 && strtod(shorter, NULL) == v)
        fail_msg("%s is longer than %s", text, shorter);
}

static void test_floats_read_back(void **state)
{
    (void)state;
    for (double power = 1e-5; power < 1e16; power *= 10)
        for (double v = power * (1 - 20 * 0x1p-53); v < power * (1 + 20 * 0x1p-53);)
            check_float(v = nextafter(v, INFINITY));
    uint64_t seed = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        double any;
        memcpy(&any, &seed, sizeof any);
        if (isfinite(any))
            check_float(any);
        check_float((double)(int64_t)seed / 0x1p63);                     // 17 digits or so
        check_float(ldexp((double)(seed >> 11), -3 - (int)(seed % 66))); // 1e-4 to 1e15
        check_float((double)(seed % 1000000) / 1000);                    // a price
        check_float((double)(seed % 1000000000000000) / pow(10, (int)(seed % 20))); // 15 digits
        check_float(-(double)(seed % 100000) * pow(10, (int)(seed % 40) - 20));
    }
}

// A script may call os.setlocale; JSON has a point all the same.
static void test_floats_in_another_locale(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF.UTF-8", "de_DE"};
    bool any = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (setlocale(LC_NUMERIC, names[i])) {
            any = true;
            assert_string_equal(text_of_float(1.0 / 3), "0.3333333333333333");
            assert_string_equal(text_of_float(1.5e-9), "1.5e-09");
        }
    setlocale(LC_NUMERIC, "C");
    if (!any)
        skip();
}

// Each special byte at each place of strings up to 24 bytes: the eight-byte steps see the same as a
// slow loop.
static void test_every_byte_everywhere(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    for (unsigned c = 0; c < 256; c++)
        for (size_t n = 1; n <= 24; n++)
            for (size_t at = 0; at < n; at++) {
                char s[24], want[64], *d = want;
                memset(s, 'x', n);
                s[at] = (char)c;
                buf_clear(&out);
                enum json_text r = json_text_string(&out, str_of(s, n), true);
                assert_int_equal(r, JSON_TEXT_OK);
                *d++ = '"';
                memset(d, 'x', at);
                d += at;
                if (c == '\b' || c == '\t' || c == '\n' || c == '\f' || c == '\r')
                    d += sprintf(d, "\\%c", "btnvfr"[c - 8]);
                else if (c < 0x20)
                    d += sprintf(d, "\\u%04x", c);
                else if (c == '"' || c == '\\')
                    d += sprintf(d, "\\%c", c);
                else if (c < 0x80)
                    *d++ = (char)c;
                else
                    d += sprintf(d, "\xef\xbf\xbd");
                memset(d, 'x', n - at - 1);
                d += n - at - 1;
                *d++ = '"';
                assert_int_equal(out.n, d - want);
                assert_memory_equal(out.p, want, out.n);
                size_t quoted = out.n;
                buf_clear(&out);
                assert_int_equal(json_text_key(&out, ',', str_of(s, n), true), JSON_TEXT_OK);
                assert_int_equal(out.n, quoted + 2);
                assert_int_equal(out.p[0], ',');
                assert_memory_equal(out.p + 1, want, quoted);
                assert_int_equal(out.p[quoted + 1], ':');
                if (c >= 0x80) {
                    r = json_text_string(&out, str_of(s, n), false);
                    assert_int_equal(r, JSON_TEXT_NOT_UTF8);
                }
            }
    buf_fini(&out);
}

#define FFFD "\xef\xbf\xbd"

static void test_replacing(void **state)
{
    (void)state;
    static const struct {
        struct str s;
        const char *want;
    } cases[] = {
        {STR("a\xff"
             "b"),
         "\"a" FFFD "b\""},
        {STR("\xc0\xaf"), "\"" FFFD FFFD "\""},
        {STR("\xe2\x82"), "\"" FFFD "\""},
        {STR("\xf0\x9f\x98"
             "x"),
         "\"" FFFD "x\""},
        {STR("\xed\xa0\x80"), "\"" FFFD FFFD FFFD "\""},
        {STR("\xc3\xa9\xc3"), "\"\xc3\xa9" FFFD "\""},
        {STR("\n\xf1\x80\"\xf4\x90"), "\"\\n" FFFD "\\\"" FFFD FFFD "\""},
    };
    struct buf out;
    buf_init(&out, 100);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_clear(&out);
        assert_int_equal(json_text_string(&out, cases[i].s, true), JSON_TEXT_OK);
        assert_true(str_eq(buf_str(&out), str_z(cases[i].want)));
        assert_int_equal(json_text_string(&out, cases[i].s, false), JSON_TEXT_NOT_UTF8);
    }
    buf_fini(&out);
}

// --- the C contract ---

static void test_write_appends_and_leaves_no_trace(void **state)
{
    (void)state;
    lua_State *L = open_state();
    struct buf out;
    struct json_style style = {.replace_utf8 = true};
    buf_init(&out, 1000);
    buf_add(&out, STR("before "));
    eval(L, "{'\\xff', {}}");
    lua_settop(L, 2);
    assert_true(json_write(L, 2, &out, &style));
    assert_true(str_eq(buf_str(&out), STR("before [\"" FFFD "\",{}]")));
    assert_int_equal(lua_gettop(L), 2);

    style.replace_utf8 = false;
    assert_false(json_write(L, 2, &out, &style));
    assert_string_equal(lua_tostring(L, -1), "[1]: not UTF-8");
    assert_int_equal(lua_gettop(L), 3);
    assert_true(str_eq(buf_str(&out), STR("before [\"" FFFD "\",{}]")));

    lua_newtable(L);
    json_mark_array(L, -1);
    buf_clear(&out);
    assert_true(json_write(L, -1, &out, &style));
    json_push_null(L);
    assert_true(json_write(L, -1, &out, &style));
    assert_true(str_eq(buf_str(&out), STR("[]null")));
    buf_fini(&out);
    lua_close(L);
}

static const char everything[] = "{a = {1, 2.5, -3, 1/3, true, json.null}, b = 'x\\n\\xc3\\xa9', "
                                 "c = {d = {}, e = json.array{}}, "
                                 "f = {[2] = 2, [1] = 1}}";

// A finalizer that encodes something came in between the pieces of another text, where a table with a
// metatable made Lua collect what growing tables had left to do.
static void test_no_finalizer_writes_into_another_text(void **state)
{
    (void)state;
    static const struct snippet cases[] = {
        {"(function() "
         "local runs, wrong = 0, 'none' "
         "local function arm() setmetatable({}, {__gc = function() "
         "runs = runs + 1 json.encode{'another'} arm() end}) end "
         "arm() "
         "local value = {'a', setmetatable({x = 1}, {}), 'c'} "
         "for i = 1, 20000 do "
         "local big = {} for k = 1, 70 + i % 200 do big[k] = k end "
         "local text = json.encode(value) "
         "if text ~= '[\"a\",{\"x\":1},\"c\"]' then wrong = text end "
         "end "
         "return (runs > 10 and 'some runs, wrong: ' or 'no runs, wrong: ') .. wrong end)()",
         "some runs, wrong: none"},
    };
    RUN(cases);
}

// With less room than the text needs, writing fails wherever it stands, and says so.
static void test_every_maximum(void **state)
{
    (void)state;
    lua_State *L = open_state();
    eval(L, everything);
    lua_settop(L, 2);
    for (int pretty = 0; pretty < 2; pretty++) {
        const struct json_style style = {.pretty = pretty, .sort = true};
        struct buf out;
        size_t max = 0;
        for (;; max++) {
            buf_init(&out, max);
            if (json_write(L, 2, &out, &style))
                break;
            assert_non_null(strstr(lua_tostring(L, -1), "no room for the text"));
            lua_settop(L, 2);
            assert_int_equal(out.n, 0);
            buf_fini(&out);
            assert_true(max < 1000);
        }
        assert_int_equal(out.n, max);
        buf_fini(&out);
    }
    lua_close(L);
}

// --- a Lua without memory ---

static int encode_all(lua_State *L)
{
    luaL_requiref(L, "_G", luaopen_base, 1);
    luaL_requiref(L, "json", luaopen_lunette_json, 1);
    lua_settop(L, 0);
    lua_pushfstring(L,
                    "local t = %s for i = 1, 60 do t = {t, n = nil} end "
                    "json.encode(t) json.encode(t, {sort = true, pretty = true}) "
                    "pcall(json.encode, {a = {b = print}})",
                    everything);
    if (luaL_loadstring(L, lua_tostring(L, 1)) != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 0);
    return 0;
}

enum { LUA_ROOM = 16 << 20 };

// A Lua that may have LUA_ROOM bytes.
static void *bounded_alloc(void *ud, void *p, size_t old, size_t n)
{
    size_t *used = ud, before = p ? old : 0;
    if (n > before && *used + n - before > LUA_ROOM)
        return NULL;
    *used = *used - before + n;
    if (n == 0) {
        free(p);
        return NULL;
    }
    return realloc(p, n);
}

static int fail_to_encode(lua_State *L)
{
    luaL_requiref(L, "_G", luaopen_base, 1);
    luaL_requiref(L, "json", luaopen_lunette_json, 1);
    luaL_requiref(L, "string", luaopen_string, 1);
    if (luaL_loadstring(L, lua_touserdata(L, 1)) != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 0);
    return 0;
}

// A text that failed left its buffer behind, of up to 256 MiB.
static void test_what_fails_leaves_no_large_buffer(void **state)
{
    (void)state;
    static const struct {
        const char *script, *why;
    } cases[] = {
        {"local s, t = ('x'):rep(1 << 20), {} for i = 1, 20 do t[i] = s end json.encode(t)",
         "not enough memory"},
        {"local s, t = ('x'):rep(1 << 20), {} for i = 1, 300 do t[i] = s end json.encode(t)",
         "no room for the text"},
        {"local s, t = ('x'):rep(1 << 20), {} for i = 1, 20 do t[i] = s end t[21] = print "
         "json.encode(t)",
         "has no JSON form"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t used = 0, before = mallinfo2().hblkhd; // large blocks
        lua_State *L = lua_newstate(bounded_alloc, &used);
        lua_pushcfunction(L, fail_to_encode);
        lua_pushlightuserdata(L, (char *)cases[i].script);
        assert_int_not_equal(lua_pcall(L, 1, 0, 0), LUA_OK);
        assert_non_null(strstr(lua_tostring(L, -1), cases[i].why));
        assert_in_range(mallinfo2().hblkhd, 0, before + (8 << 20));
        lua_close(L);
    }
}

static void test_every_allocation_fails_once(void **state)
{
    (void)state;
    assert_true(without_memory(encode_all) > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_floats_read_back),
        cmocka_unit_test(test_floats_in_another_locale),
        cmocka_unit_test(test_every_byte_everywhere),
        cmocka_unit_test(test_replacing),
        cmocka_unit_test(test_write_appends_and_leaves_no_trace),
        cmocka_unit_test(test_no_finalizer_writes_into_another_text),
        cmocka_unit_test(test_every_maximum),
        cmocka_unit_test(test_what_fails_leaves_no_large_buffer),
        cmocka_unit_test(test_every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
