// JSON read: texts that are JSON and what they are in Lua, texts that are not and why; then the way
// there and back, and a Lua that runs out of memory. Tokens have tests of their own: test_json_scan.
#include "codec_test.h"

#include <math.h>

// Reads a copy of text that has no byte behind it.
static bool read_exact(lua_State *L, struct str text, bool null)
{
    const struct json_read_options o = {.null = null};
    char *copy = malloc(text.n ? text.n : 1);
    memcpy(copy, text.p, text.n);
    bool ok = json_read(L, str_of(copy, text.n), &o);
    free(copy);
    return ok;
}

static void run(lua_State *L, const char *chunk)
{
    if (luaL_dostring(L, chunk) != LUA_OK)
        fail_msg("%s\n%s", chunk, lua_tostring(L, -1));
}

// --- what is JSON ---

// Each text, and what the encoder makes of its value, sorted; NULL: the same text.
static void test_accepted(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *want;
    } cases[] = {
        // words, numbers and strings alone, and with space around
        {STR("null"), NULL},
        {STR("true"), NULL},
        {STR("false"), NULL},
        {STR("42"), NULL},
        {STR("-0.1"), NULL},
        {STR("\"\""), NULL},
        {STR("\"asd\""), NULL},
        {STR(" \t\r\n7 \t\r\n"), "7"},
        {STR("[true]\n"), "[true]"},
        {STR(" [] "), "[]"},
        // arrays
        {STR("[]"), NULL},
        {STR("[ ]"), "[]"},
        {STR("[[] ]"), "[[]]"},
        {STR("[\"\"]"), NULL},
        {STR("[null, 1, \"1\", {}]"), "[null,1,\"1\",{}]"},
        {STR("[1,null,null,null,2]"), NULL},
        {STR("[null]"), NULL},
        {STR("[1\n]"), "[1]"},
        {STR("\t[ 1 ,\r\n2 ]"), "[1,2]"},
        {STR("[[[[[[[]]]]]]]"), NULL},
        // objects
        {STR("{}"), NULL},
        {STR("{ }"), "{}"},
        {STR("{\"\":0}"), NULL},
        {STR("{\"a\" : 1 , \"b\" : [ ] }"), "{\"a\":1,\"b\":[]}"},
        {STR("{\"a\":[]}"), NULL},
        {STR("{\"a\":\"b\",\"a\":\"c\"}"), "{\"a\":\"c\"}"},
        {STR("{\"a\":\"b\",\"a\":\"b\"}"), "{\"a\":\"b\"}"},
        {STR("{\"a\":1,\"a\":null,\"b\":2}"), "{\"a\":null,\"b\":2}"},
        {STR("{\"foo\\u0000bar\": 42}"), "{\"foo\\u0000bar\":42}"},
        {STR("{\"1\":\"one\",\"2\":\"two\"}"), NULL},
        {STR("{\"x\":[{\"id\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}],\"y\":{\"z\":{}}}"),
         NULL},
        {STR("{\n\"a\": \"b\"\n}"), "{\"a\":\"b\"}"},
        // numbers
        {STR("[123e65]"), "[1.23e+67]"},
        {STR("[0e+1,0e1,0E0]"), "[0,0,0]"},
        {STR("[ 4]"), "[4]"},
        {STR("[-0.000000000000000000000000000000000000000000000000000000000000000001]"),
         "[-1e-66]"},
        {STR("[20e1,-123,-1,-0]"), "[200,-123,-1,0]"},
        {STR("[1E22,1E-2,1E+2]"), "[1e+22,0.01,100]"},
        {STR("[123e45,123.456e78,1e-2,1e+2]"), "[1.23e+47,1.23456e+80,0.01,100]"},
        {STR("[9007199254740993,9223372036854775807,-9223372036854775808]"), NULL},
        {STR("[-0.0]"), NULL},
        // strings
        {STR("[\"\\u0060\\u012a\\u12AB\"]"), "[\"`\xc4\xaa\xe1\x8a\xab\"]"},
        {STR("[\"\\uD801\\udc37\\ud83d\\ude39\\ud83d\\udc8d\"]"),
         "[\"\xf0\x90\x90\xb7\xf0\x9f\x98\xb9\xf0\x9f\x92\x8d\"]"},
        {STR("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"), "[\"\\\"\\\\/\\b\\f\\n\\r\\t\"]"},
        {STR("[\"\\\\u0000\"]"), NULL},
        {STR("[\"a/*b*/c/*d//e\"]"), NULL},
        {STR("[\"\\\\a\",\"\\\\n\"]"), NULL},
        {STR("[\"\\u0012\\u0000\"]"), NULL},
        {STR("[\"\\uFFFF\\uFDD0\\uDBFF\\uDFFF\"]"),
         "[\"\xef\xbf\xbf\xef\xb7\x90\xf4\x8f\xbf\xbf\"]"},
        {STR("[\"\x7f \xe2\x80\xa8 \xe2\x80\xa9 \xf4\x8f\xbf\xbf\"]"), NULL},
        {STR("[\"\xef\xbb\xbf\"]"), NULL},
        {STR("[\"\\u00A0\\u2064\\u200b\"]"), "[\"\xc2\xa0\xe2\x81\xa4\xe2\x80\x8b\"]"},
    };
    const struct json_style style = {.sort = true};
    lua_State *L = open_state();
    struct buf out;
    buf_init(&out, 10000);
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (!read_exact(L, cases[i].text, true))
            fail_msg("%.*s: %s", STR_ARG(cases[i].text), lua_tostring(L, -1));
        assert_int_equal(lua_gettop(L), 1);
        buf_clear(&out);
        assert_true(json_write(L, 1, &out, &style));
        struct str want = cases[i].want ? str_z(cases[i].want) : cases[i].text;
        if (!str_eq(buf_str(&out), want))
            fail_msg("%.*s gave %.*s", STR_ARG(cases[i].text), STR_ARG(buf_str(&out)));
        lua_settop(L, 0);
    }
    buf_fini(&out);
    lua_close(L);
}

// --- what is not ---

#define ITEM "',' or ']' expected, "
#define MEMBER "',' or '}' expected, "
#define KEY "a key in double quotes expected, "
#define WORDS "the words of JSON are true, false and null"

static void test_rejected(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *want;
    } cases[] = {
        // nothing, or nothing that begins a value
        {STR(""), "line 1, column 1: a value expected, but the text ends"},
        {STR(" \n "), "line 2, column 2: a value expected, but the text ends"},
        {STR("*"), "line 1, column 1: a value expected, not '*'"},
        {STR("'a'"), "line 1, column 1: a value expected, not a single quote"},
        {STR("<.>"), "line 1, column 1: a value expected, not '<'"},
        {STR("]"), "line 1, column 1: a value expected, not ']'"},
        {STR("\0"), "line 1, column 1: a value expected, not the byte 0x00"},
        {STR("\xe5"), "line 1, column 1: a value expected, not the byte 0xe5"},
        {STR("\xc3\xa5"), "line 1, column 1: a value expected, not the byte 0xc3"},
        {STR("\xef\xbb\xbf{}"), "line 1, column 1: a byte order mark, which JSON does not have"},
        {STR("\xef\xbb\xbf"), "line 1, column 1: a byte order mark, which JSON does not have"},
        {STR("\xef\xbb"), "line 1, column 1: a value expected, not the byte 0xef"},
        {STR("\xfe\xff\0["), "line 1, column 1: a value expected, not the byte 0xfe"},
        {STR("[\xe2\x81\xa0]"), "line 1, column 2: a value expected, not the byte 0xe2"},
        {STR("[\f]"), "line 1, column 2: a value expected, not the byte 0x0c"},
        {STR("[\v1]"), "line 1, column 2: a value expected, not the byte 0x0b"},
        {STR("/* */1"), "line 1, column 1: a value expected, not '/'"},
        // words
        {STR("[nul]"), "line 1, column 2: " WORDS},
        {STR("tru"), "line 1, column 1: " WORDS},
        {STR("[\n  fals\n]"), "line 2, column 3: " WORDS},
        {STR("[True]"), "line 1, column 2: a value expected, not 'T'"},
        {STR("[NaN]"), "line 1, column 2: a value expected, not 'N'"},
        {STR("[Infinity]"), "line 1, column 2: a value expected, not 'I'"},
        {STR("[-Infinity]"), "line 1, column 3: a digit expected, not 'I'"},
        {STR("nulll"), "line 1, column 5: the end of the text expected, not 'l'"},
        // arrays
        {STR("["), "line 1, column 2: a value expected, but the text ends"},
        {STR("[1"), "line 1, column 3: " ITEM "but the text ends"},
        {STR("[1,"), "line 1, column 4: a value expected, but the text ends"},
        {STR("[1,]"), "line 1, column 4: a value expected, not ']'"},
        {STR("[,1]"), "line 1, column 2: a value expected, not ','"},
        {STR("[1,,2]"), "line 1, column 4: a value expected, not ','"},
        {STR("[1 true]"), "line 1, column 4: " ITEM "not 't'"},
        {STR("[1:2]"), "line 1, column 3: " ITEM "not ':'"},
        {STR("[1}"), "line 1, column 3: " ITEM "not '}'"},
        {STR("[3[4]]"), "line 1, column 3: " ITEM "not '['"},
        {STR("[\"a\",\n4\n,1,"), "line 3, column 4: a value expected, but the text ends"},
        // objects
        {STR("{"), "line 1, column 2: " KEY "but the text ends"},
        {STR("{]"), "line 1, column 2: " KEY "not ']'"},
        {STR("{\"a\""), "line 1, column 5: ':' expected, but the text ends"},
        {STR("{\"a\":"), "line 1, column 6: a value expected, but the text ends"},
        {STR("{\"a\":1"), "line 1, column 7: " MEMBER "but the text ends"},
        {STR("{\"a\":1,"), "line 1, column 8: " KEY "but the text ends"},
        {STR("{\"a\":1,}"), "line 1, column 8: " KEY "not '}'"},
        {STR("{\"a\":1,,}"), "line 1, column 8: " KEY "not ','"},
        {STR("{\"a\":1]"), "line 1, column 7: " MEMBER "not ']'"},
        {STR("{\"a\":1 \"b\":2}"), "line 1, column 8: " MEMBER "not '\"'"},
        {STR("{\"a\",1}"), "line 1, column 5: ':' expected, not ','"},
        {STR("{\"a\"::1}"), "line 1, column 6: a value expected, not ':'"},
        {STR("{a:1}"), "line 1, column 2: " KEY "not 'a'"},
        {STR("{'a':1}"), "line 1, column 2: " KEY "not a single quote"},
        {STR("{1:1}"), "line 1, column 2: " KEY "not '1'"},
        {STR("{null:null}"), "line 1, column 2: " KEY "not 'n'"},
        {STR("{\"a\":nul}"), "line 1, column 6: " WORDS},
        {STR("{\"a\":/*x*/1}"), "line 1, column 6: a value expected, not '/'"},
        {STR("{\"\xff\":1}"), "line 1, column 3: not UTF-8"},
        // more than one value
        {STR("1 2"), "line 1, column 3: the end of the text expected, not '2'"},
        {STR("[]]"), "line 1, column 3: the end of the text expected, not ']'"},
        {STR("{}}"), "line 1, column 3: the end of the text expected, not '}'"},
        {STR("{\"a\":1}#"), "line 1, column 8: the end of the text expected, not '#'"},
        {STR("{}//x"), "line 1, column 3: the end of the text expected, not '/'"},
        {STR("123\0"), "line 1, column 4: the end of the text expected, not the byte 0x00"},
        {STR("\"a\"x"), "line 1, column 4: the end of the text expected, not 'x'"},
        // numbers
        {STR("[+1]"), "line 1, column 2: a value expected, not '+'"},
        {STR("[.5]"), "line 1, column 2: a value expected, not '.'"},
        {STR("[-]"), "line 1, column 3: a digit expected, not ']'"},
        {STR("[012]"), "line 1, column 2: a number with a leading zero"},
        {STR("[-012]"), "line 1, column 3: a number with a leading zero"},
        {STR("[1.]"), "line 1, column 4: a digit expected, not ']'"},
        {STR("[1.0e+]"), "line 1, column 7: a digit expected, not ']'"},
        {STR("[1.2.3]"), "line 1, column 5: " ITEM "not '.'"},
        {STR("[0x1F]"), "line 1, column 3: " ITEM "not 'x'"},
        {STR("[1+2]"), "line 1, column 3: " ITEM "not '+'"},
        {STR("[1 000]"), "line 1, column 4: " ITEM "not '0'"},
        {STR("[1_000]"), "line 1, column 3: " ITEM "not '_'"},
        {STR("[1e400]"), "line 1, column 2: a number too large for a float"},
        {STR("[\xef\xbc\x91]"), "line 1, column 2: a value expected, not the byte 0xef"},
        // strings
        {STR("[\"a]"), "line 1, column 2: a string that is not closed"},
        {STR("[\n\n \"\xc3\xa9\xc3\xa9\", \"\\ud800\"]"),
         "line 3, column 9: half of a surrogate pair"},
        {STR("[\"new\nline\"]"),
         "line 1, column 6: a control character in a string, where it needs an escape"},
        {STR("[\\u000A\"\"]"), "line 1, column 2: a value expected, not '\\'"},
    };
    lua_State *L = open_state();
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (read_exact(L, cases[i].text, i % 2))
            fail_msg("%.*s was accepted", STR_ARG(cases[i].text));
        assert_int_equal(lua_gettop(L), 1);
        if (strcmp(lua_tostring(L, 1), cases[i].want) != 0)
            fail_msg("%.*s\n  gave %s\n  want %s", STR_ARG(cases[i].text), lua_tostring(L, 1),
                     cases[i].want);
        lua_settop(L, 0);
    }
    lua_close(L);
}

// What is cut anywhere but at its end is no JSON; that is said, and no byte behind is read.
static void test_every_cut(void **state)
{
    (void)state;
    const struct str text =
        STR("{\"a\":[1,-2.5e+10,\"x\\n\\ud83d\\ude00 \xe2\x82\xac longer\",true,"
            "false,null,{}],\"b\":{\"c\":[]}}");
    lua_State *L = open_state();
    for (size_t n = 0; n < text.n; n++) {
        assert_false(read_exact(L, str_of(text.p, n), false));
        assert_non_null(strstr(lua_tostring(L, -1), "line 1, column "));
        lua_settop(L, 0);
    }
    assert_true(read_exact(L, text, false));
    lua_close(L);
}

// --- in Lua ---

static void test_from_lua(void **state)
{
    (void)state;
    static const char *const chunks[] = {
        "assert(json.decode('null') == json.null)",
        "assert(json.decode('false') == false)",
        "local v, why = json.decode('[1') assert(v == nil and\n"
        "  why == \"line 1, column 3: ',' or ']' expected, but the text ends\")",
        "assert(select('#', json.decode('1')) == 1 and select('#', json.decode('')) == 2)",
        // numbers
        "assert(math.type(json.decode('5')) == 'integer')",
        "assert(math.type(json.decode('-0')) == 'integer')",
        "assert(math.type(json.decode('5.0')) == 'float')",
        "assert(math.type(json.decode('5e0')) == 'float')",
        "assert(json.decode('9223372036854775807') == math.maxinteger)",
        "assert(json.decode('9223372036854775808') == 2.0^63)",
        "assert(1 / json.decode('-0.0') == -math.huge)",
        "assert(json.encode(json.decode('10') / 2) == '5')",
        // keys are strings
        "assert(json.decode('{\"1\":2}')['1'] == 2 and json.decode('{\"1\":2}')[1] == nil)",
        // null: absent as a member, there as an item
        "local t = json.decode('{\"a\":null,\"b\":[null]}')\n"
        "assert(t.a == nil and t.b[1] == json.null and #t.b == 1)",
        "local t = json.decode('{\"a\":null,\"b\":[null]}', {null = true})\n"
        "assert(t.a == json.null and t.b[1] == json.null)",
        "assert(next(json.decode('{\"a\":1,\"a\":null}')) == nil)",
        "assert(json.decode('{\"a\":null,\"a\":1}').a == 1)",
        "assert(json.decode('{\"a\":1,\"a\":null}', {null = true}).a == json.null)",
        // arrays are marked: an empty one stays one, and one that is emptied too
        "assert(json.encode(json.decode('[[],{}]')) == '[[],{}]')",
        "local t = json.decode('[1]') t[1] = nil assert(json.encode(t) == '[]')",
        "local t = json.decode('[1]') t[2] = 'two' assert(json.encode(t) == '[1,\"two\"]')",
        "assert(getmetatable(json.decode('[]')) == getmetatable(json.array()))",
        "assert(getmetatable(json.decode('{}')) == nil)",
        // any size of arrays and objects, before and after they are made
        "for n = 0, 150 do\n"
        "  local list, map = {}, {}\n"
        "  for i = 1, n do list[i] = i; map[i] = ('\"k%d\":%d'):format(i, i) end\n"
        "  local t = json.decode('[' .. table.concat(list, ',') .. ']')\n"
        "  assert(#t == n)\n"
        "  for i = 1, n do assert(t[i] == i) end\n"
        "  local all = table.concat(map, ',')\n"
        "  local o, count = json.decode('{' .. all .. '}'), 0\n"
        "  for k, v in pairs(o) do count = count + 1 assert(k == 'k' .. v) end\n"
        "  assert(count == n)\n"
        // the same key first, in the middle and last
        "  if n > 0 then\n"
        "    local twice = json.decode('{\"k1\":0,' .. all .. ',\"k' .. n .. '\":\"last\"}')\n"
        "    assert(twice['k' .. n] == 'last' and (n == 1 or twice.k1 == 1))\n"
        "  end\n"
        "end",
        // long strings, with and without escapes
        "local s = ('x'):rep(100000) assert(json.decode('\"' .. s .. '\"') == s)",
        "local s = ('x'):rep(5000) assert(json.decode('\"' .. s .. '\\\\n\"') == s .. '\\n')",
        "assert(json.decode('\"' .. ('\\\\u00e9'):rep(5000) .. '\"') == ('\\xc3\\xa9'):rep(5000))",
        "assert(json.decode('{\"a\\\\u0062\":1}').ab == 1)",
        // depth
        "assert(json.decode(('['):rep(200) .. (']'):rep(200)))",
        "local v, why = json.decode(('['):rep(201) .. (']'):rep(201))\n"
        "assert(why == 'line 1, column 201: nested deeper than 200')",
        "local v, why = json.decode(('{\"a\":'):rep(201) .. '1' .. ('}'):rep(201))\n"
        "assert(why == 'line 1, column 1001: nested deeper than 200')",
        "local v, why = json.decode(('['):rep(100000)) assert(why:find('deeper'))",
        "assert(json.encode(json.decode(('[1,'):rep(199) .. '[]' .. (']'):rep(199))))",
        // misuse
        "local function raises(want, ...)\n"
        "  local args = table.pack(...)\n"
        "  local ok, why = pcall(function() return (json.decode(table.unpack(args, 1, args.n))) end)\n"
        "  assert(not ok and why:find(want, 1, true), why)\n"
        "end\n"
        "raises('string expected, got no value')\n"
        "raises('string expected, got nil', nil)\n"
        "raises('string expected, got number', 5)\n"
        "raises('string expected, got table', {})\n"
        "raises(\"unknown option 'nul', did you mean 'null'?\", '1', {nul = true})\n"
        "raises('table expected, got boolean', '1', true)",
    };
    lua_State *L = open_state();
    for (size_t i = 0; i < COUNT(chunks); i++)
        run(L, chunks[i]);
    lua_close(L);
}

// decode(encode(v)) is v, for values that a generator makes; the texts agree too.
static void test_there_and_back(void **state)
{
    (void)state;
    lua_State *L = open_state();
    run(L,
        "math.randomseed(7)\n"
        "local function text()\n"
        "  local t = {}\n"
        "  for i = 1, math.random(0, 12) do\n"
        "    t[i] = utf8.char(({math.random(0, 127), math.random(32, 126), math.random(128, 0x7ff),\n"
        "                      math.random(0xe000, 0x10ffff)})[math.random(4)])\n"
        "  end\n"
        "  return table.concat(t)\n"
        "end\n"
        "local function float()\n"
        "  local bits = math.random(0)\n"
        "  local f = string.unpack('d', string.pack('j', bits))\n"
        "  return f == f and f - f == 0 and f or bits / 1000\n"
        "end\n"
        "local value\n"
        "local makers = {text, float, function() return math.random(0) end,\n"
        "  function() return math.random(-1000, 1000) end,\n"
        "  function() return math.random(0, 99999) / 100 end,\n"
        "  function() return math.random() end, function() return json.null end,\n"
        "  function() return math.random(2) == 1 end,\n"
        "  function(d) local t = {} for i = 1, math.random(0, 40) // d do t[i] = value(d + 1) end\n"
        "    return json.array(t) end,\n"
        "  function(d) local t = {} for i = 1, math.random(0, 40) // d do t[text()] = value(d + 1) end\n"
        "    return t end}\n"
        "function value(d) return makers[math.random(d > 3 and 8 or 10)](d) end\n"
        "local function same(a, b)\n"
        "  if type(a) ~= 'table' then return a == b end\n"
        "  for k, v in pairs(a) do if not same(v, b[k]) then return false end end\n"
        "  for k in pairs(b) do if a[k] == nil then return false end end\n"
        "  return getmetatable(a) == getmetatable(b)\n"
        "end\n"
        "for i = 1, 3000 do\n"
        "  local v = {value(1)}\n"
        "  for _, style in ipairs{{sort = true}, {sort = true, pretty = true}} do\n"
        "    local s = json.encode(v, style)\n"
        "    local back = assert(json.decode(s, {null = true}))\n"
        "    assert(same(v[1], back[1]), s)\n"
        "    assert(json.encode(back, style) == s)\n"
        "  end\n"
        "end");
    lua_close(L);
}

// --- the C contract ---

static void test_read_leaves_the_stack_alone(void **state)
{
    (void)state;
    const struct json_read_options o = {false};
    lua_State *L = open_state();
    lua_pushliteral(L, "before");
    assert_true(json_read(L, STR("[1,{\"a\":2}]"), &o));
    assert_int_equal(lua_gettop(L), 2);
    assert_true(lua_istable(L, 2));
    assert_false(json_read(L, STR("[1,{\"a\":2,[[]"), &o));
    assert_int_equal(lua_gettop(L), 3);
    assert_true(lua_isstring(L, 3));
    assert_false(json_read(L, str_of(NULL, 0), &o));
    assert_string_equal(lua_tostring(L, 4),
                        "line 1, column 1: a value expected, but the text ends");
    assert_string_equal(lua_tostring(L, 1), "before");
    lua_close(L);
}

// --- a Lua without memory ---

static int decode_all(lua_State *L)
{
    luaL_requiref(L, "_G", luaopen_base, 1);
    luaL_requiref(L, "string", luaopen_string, 1);
    luaL_requiref(L, "json", luaopen_lunette_json, 1);
    lua_settop(L, 0);
    if (luaL_loadstring(
            L, "local s = '{\"a\":[1,2.5,\"x\\\\n\\\\u00e9\",null,true],\"b\":{\"c\":{}}}'\n"
               "local t = json.decode(s) json.merge_patch(t, t)\n"
               "json.decode(('['):rep(60) .. s .. (',1'):rep(80) .. (']'):rep(60))\n"
               "json.decode('\"' .. ('\\\\n'):rep(3000) .. '\"')\n"
               "json.decode('[1')") != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 0);
    return 0;
}

static void test_every_allocation_fails_once(void **state)
{
    (void)state;
    assert_true(without_memory(decode_all) > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_rejected),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_from_lua),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_read_leaves_the_stack_alone),
        cmocka_unit_test(test_every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
