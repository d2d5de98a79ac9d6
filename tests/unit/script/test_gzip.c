// lunette.gzip: round trips with itself and with Python, and every kind of refusal.
#include "script_test.h"

#define G "local g = require 'lunette.gzip' "
// made by Python's gzip.compress(b"hello, hello, hello", mtime=0)
#define HELLO                                                                                       \
    "local function unhex(s) return (s:gsub('..', function(x) return string.char(tonumber(x, 16)) " \
    "end)) end local hello = unhex '1f8b0800000000000203cb48cdc9c9d751c840a2009fa1ca0913000000' "

static void round_trips(void **state)
{
    static const struct story stories[] = {
        {G "return g.decompress(g.compress 'abc', 3), g.decompress(g.compress '', 0)", "abc,"},
        {G "local s = '' for l = 0, 9 do s = s .. g.decompress(g.compress('x' .. l, l), 9) end "
           "return s",
         "x0x1x2x3x4x5x6x7x8x9"},
        {G "return g.compress 'abc' == g.compress 'abc', #g.compress(('a'):rep(10000)) < 100",
         "true,true"},
        // long ones, in the pool; 1000003 bytes that do not repeat soon, and those that do
        {G "local t = {} for i = 1, 150000 do t[i] = i end local s = table.concat(t, ' ') "
           "return g.decompress(g.compress(s), '2M') == s, g.decompress(g.compress(s, 0), #s) == s",
         "true,true"},
        {G "local s = ('\\0'):rep(10 * 2^20) local z = g.compress(s, 9) "
           "return #z < 20000, g.decompress(z, #s) == s, g.decompress(z, #s - 1)",
         "true,true,nil,over max"},
        {G "local s = ('ab'):rep(300000) return g.decompress(g.compress(s):rep(3), '10M') == "
           "s:rep(3)",
         "true"},
        // where nobody can wait it is done on the spot
        {G "local s, z = ('ab'):rep(300000) s:sub(1, 1):gsub('a', function() z = "
           "g.decompress(g.compress(s), '1M') end) return z == s",
         "true"},
        {G "return coroutine.wrap(function() return #g.decompress(g.compress(('x'):rep(1000000)), "
           "'1M') end)()",
         "1000000"},
    };
    tell(*state, stories);
}

static void refusals(void **state)
{
    static const struct story stories[] = {
        {G HELLO "return g.decompress(hello, 19)", "hello, hello, hello"},
        {G HELLO "return g.decompress(hello .. hello, 38)",
         "hello, hello, hellohello, hello, hello"},
        {G HELLO "return g.decompress(hello, 18)", "nil,over max"},
        {G HELLO "return g.decompress(hello, 0)", "nil,over max"},
        {G HELLO "return g.decompress(hello .. hello, 37)", "nil,over max"},
        {G HELLO "for i = 0, #hello - 1 do local s, why = g.decompress(hello:sub(1, i), 99) "
                 "assert(s == nil and why == 'truncated', i) end",
         ""},
        {G HELLO "return g.decompress(hello .. hello:sub(1, 1), 99)", "nil,truncated"},
        {G HELLO "return g.decompress(hello .. '\\0', 99)", "nil,trailing garbage"},
        {G HELLO "return g.decompress(hello .. 'x' .. hello, 99)", "nil,trailing garbage"},
        {G HELLO "return g.decompress(hello:sub(1, -6) .. 'x' .. hello:sub(-4), 99)",
         "nil,bad data"},
        {G HELLO "return g.decompress(hello:sub(1, -2) .. 'x', 99)", "nil,bad data"},
        {G "return g.decompress('plain text that is no gzip', 99)", "nil,bad data"},
        {G "return g.decompress('\\x78\\x9c\\x4b\\x04\\0\\0\\x62\\0\\x62', 9)", // zlib, not gzip
         "nil,bad data"},
        {G "return g.decompress '' ",
         "error: t:1: bad argument #2 to 'decompress' (the most bytes that the result may have are "
         "missing: decompress(s, \"1M\"))"},
        {G "g.decompress('', '2G')",
         "error: t:1: bad argument #2 to 'decompress' (more than 1 GiB)"},
        {G "g.compress('', 10)",
         "error: t:1: bad argument #2 to 'compress' (a level from 0 to 9 expected)"},
    };
    tell(*state, stories);
}

// The result does not fit into Lua's memory: an error, and nothing is lost.
static void a_result_may_be_too_much_for_lua(void **state)
{
    struct fixture *f = *state;
    expect(f,
           G "local z = g.compress(('\\0'):rep(2^20)) local ok, why = pcall(g.decompress, "
             "z:rep(200), '1G') return ok, why",
           "false,not enough memory");
    expect(f, G "return g.decompress(g.compress 'fine', 4)", "fine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(round_trips),
        BOTH(refusals),
        BOTH(a_result_may_be_too_much_for_lua),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
