// html, url, cookie, time and mime: Lua expressions and what they give, or why they raise.
#include "codec_test.h"

#define RUN(cases) run_snippets(cases, COUNT(cases), ALL_VALUES)

static void test_html(void **state)
{
    (void)state;
    static const struct snippet cases[] = {
        {"html.escape('')", ""},
        {"html.escape('a plain text of some length')", "a plain text of some length"},
        {"html.escape('A \"quoted\" & \\'escaped\\' <text> no 7')",
         "A &quot;quoted&quot; &amp; &#39;escaped&#39; &lt;text&gt; no 7"},
        {"html.escape('&&')", "&amp;&amp;"},
        {"html.escape(7)", "7"},
        {"html.escape(1.5)", "1.5"},
        {"#html.escape(('<'):rep(5000))", "20000"},
        {"html.escape('\\0<\\0'):byte(1, -1)", "0 38 108 116 59 0"},
        {"html.escape()", "t:1: bad argument #1 to 'escape' (string expected, got no value)"},
        {"html.escape({})", "t:1: bad argument #1 to 'escape' (string expected, got table)"},
    };
    RUN(cases);
}

// Every byte at every place of strings up to 20 bytes, against gsub. The same string comes back
// when nothing was to be done.
static void test_html_every_byte(void **state)
{
    (void)state;
    static const struct snippet cases[] = {
        {"(function() local e = {['&']='&amp;', ['<']='&lt;', ['>']='&gt;', ['\"']='&quot;', "
         "[\"'\"]='&#39;'} "
         "for c = 0, 255 do for n = 1, 20 do for at = 1, n do "
         "local s = ('x'):rep(at - 1) .. string.char(c) .. ('&'):rep(n % 2) .. ('y'):rep(n - at) "
         "if html.escape(s) ~= s:gsub('[&<>\"\\']', e) then return c, n, at end "
         "end end end return 'same' end)()",
         "same"},
        {"(function() local s = ('plain '):rep(20) "
         "return string.format('%p', s) == string.format('%p', html.escape(s)) end)()",
         "true"},
    };
    RUN(cases);
}

// Texts of every length around what is done in blocks and on the stack, with entities at random places.
static void test_html_lengths(void **state)
{
    (void)state;
    static const struct snippet cases[] = {
        {"(function() local e = {['&']='&amp;', ['<']='&lt;', ['>']='&gt;', ['\"']='&quot;', "
         "[\"'\"]='&#39;'} local marks, x = '&<>\"\\'!%=?', 1 "
         "for n = 1, 600 do for _, every in ipairs { 1, 2, 7, 40, 300 } do local t = {} "
         "for i = 1, n do x = (x * 48271) % 2147483647 local m = x % 9 + 1 "
         "t[i] = x // 9 % every == 0 and marks:sub(m, m) or string.char(x // 9 % 256) end "
         "local s = table.concat(t) "
         "if html.escape(s) ~= s:gsub('[&<>\"\\']', e) then return n, every end "
         "end end return 'same' end)()",
         "same"},
    };
    RUN(cases);
}

static void test_url_quote(void **state)
{
    (void)state;
    static const struct snippet cases[] = {
        {"url.quote('')", ""},
        {"url.quote('/a b/\xc3\xa9?x=1&y~z-_.')", "/a%20b/%C3%A9%3Fx%3D1%26y~z-_."},
        {"url.quote('a/b', '')", "a%2Fb"},
        {"url.quote('a/b c', ' ')", "a%2Fb c"},
        {"url.quote('\\0\\255%')", "%00%FF%25"},
        {"url.quote(12)", "12"},
        {"url.quote()", "t:1: bad argument #1 to 'quote' (string expected, got no value)"},
        {"url.unquote('%41%62+%c3%A9')", "Ab+\xc3\xa9"},
        {"url.unquote('100%')", "100%"},
        {"url.unquote('%4')", "%4"},
        {"url.unquote('%zz%4x%%41')", "%zz%4x%A"},
        {"#url.unquote('%00')", "1"},
        {"(function() local s = '' for i = 0, 255 do s = s .. string.char(i) end "
         "return url.unquote(url.quote(s)) == s and url.unquote(url.quote(s, '')) == s end)()",
         "true"},
    };
    RUN(cases);
}

static void test_url_query(void **state)
{
    (void)state;
    static const struct snippet cases[] = {
        {"url.build_query{}", ""},
        {"url.build_query{b='2 3', a='1&=/', ['\xc3\xa9']='~'}", "a=1%26%3D%2F&b=2+3&%C3%A9=~"},
        {"url.build_query{n=5, f=10/2, h=0.5, t=true, x=false, big=math.mininteger}",
         "big=-9223372036854775808&f=5&h=0.5&n=5&t=true&x=false"},
        {"url.build_query{id={3, 'a b', true}, z={}, y='1'}", "id=3&id=a+b&id=true&y=1"},
        {"url.build_query{e=''}", "e="},
        {"#url.build_query{v=(function() local t = {} for i = 1, 3000 do t[i] = 'x' end "
         "return t end)()}",
         "11999"},
        {"url.build_query{a={b=1}}", "t:1: cannot put a table with names into the query's 'a'"},
        {"url.build_query{a={print}}", "t:1: cannot put a function into the query's 'a'"},
        {"url.build_query{1}",
         "t:1: bad argument #1 to 'build_query' (the names in a query are strings)"},
        {"url.build_query('a')",
         "t:1: bad argument #1 to 'build_query' (table expected, got string)"},
        {"url.build_query{a=0/0}", "t:1: cannot put NaN or infinity into the query's 'a'"},
        {"url.build_query{a={1, {2}}}", "t:1: cannot put a table into the query's 'a'"},
        {"json.encode(url.parse_query('a=1&b=x+y&a=%32&c'), {sort=true})",
         "{\"a\":\"2\",\"b\":\"x y\",\"c\":\"\"}"},
        {"json.encode(select(2, url.parse_query('a=1&b=x+y&a=%32&c')), {sort=true})",
         "{\"a\":[\"1\",\"2\"],\"b\":[\"x y\"],\"c\":[\"\"]}"},
        {"json.encode{url.parse_query('')}", "[{},{}]"},
        {"json.encode(url.parse_query('=x&&%=%zz'), {sort=true})", "{\"\":\"x\",\"%\":\"%zz\"}"},
        {"url.build_query((url.parse_query('k=%26%3D+%2B&u=%F0%9F%98%80')))",
         "k=%26%3D+%2B&u=%F0%9F%98%80"},
    };
    RUN(cases);
}

static void test_url_parts(void **state)
{
    (void)state;
#define PARTS "(function(u) return u and json.encode(u, {sort=true}) end)"
#define BUILD(what) "t:1: bad argument #1 to 'build' (" what ")"
    static const struct snippet cases[] = {
        {PARTS "(url.parse('HTTP://me:pw@Example.com:8080/a%20b;c?d#e'))",
         "{\"fragment\":\"e\",\"host\":\"example.com\",\"params\":\"c\",\"password\":\"pw\","
         "\"path\":\"/a%20b\",\"port\":8080,\"query\":\"d\",\"scheme\":\"http\",\"username\":\"me\"}"},
        {PARTS "(url.parse('http://[2001:DB8::1]?'))",
         "{\"host\":\"2001:db8::1\",\"path\":\"\",\"query\":\"\",\"scheme\":\"http\"}"},
        {PARTS "(url.parse(''))", "{\"path\":\"\"}"},
        {"math.type(url.parse('//h:80').port)", "integer"},
        {"url.parse('http://h:80x')", "nil the port must be a number from 0 to 65535"},
        {"url.parse('a b')", "nil a space or control byte must be percent-encoded"},
        {"url.parse()", "t:1: bad argument #1 to 'parse' (string expected, got no value)"},
        {"url.build(url.parse('http://u:p@h:1/a;b?c#d'))", "http://u:p@h:1/a;b?c#d"},
        {"url.build{scheme='https', host='[::1]', port=8443.0, path='x', "
         "query=url.build_query{a='b c'}}",
         "https://[::1]:8443/x?a=b+c"},
        {"url.build{path='/a b?'}", "/a%20b%3F"},
        {"url.build{}", ""},
        {"url.build{port=80}", BUILD("username, password and port need a host")},
        {"url.build{host='h', port=70000}", BUILD("port must be an integer from 0 to 65535")},
        {"url.build{host='h', port='80'}", BUILD("port must be an integer from 0 to 65535")},
        {"url.build{host='a/b'}", BUILD("the host is no name and no address")},
        {"url.build{host='::1::'}", BUILD("the host is no name and no address")},
        {"url.build{scheme='1x'}", BUILD("'1x' is not a scheme")},
        {"url.build{path={}}", BUILD("path must be a string, not a table")},
        {"url.build{hst='h'}", BUILD("unknown option 'hst', did you mean 'host'?")},
        {"url.build('x')", BUILD("table expected, got string")},
        {"url.join('http://a/b/c/d;p?q', '../g?y#s')", "http://a/b/g?y#s"},
        {"url.join('/a/b', 'c')", "/a/c"},
        {"url.join('http://a', 'b c')", "nil a space or control byte must be percent-encoded"},
        {"url.join('http://a:b', 'c')", "nil the port must be a number from 0 to 65535"},
        {"url.join('a')", "t:1: bad argument #2 to 'join' (string expected, got no value)"},
    };
    RUN(cases);
}

static void test_cookie_make(void **state)
{
    (void)state;
    static const struct snippet cases[] = {
        {"cookie.make('a', '1')", "a=1; Path=/; HttpOnly; SameSite=Lax"},
        {"cookie.make('a', 7)", "a=7; Path=/; HttpOnly; SameSite=Lax"},
        {"cookie.make('a', '')", "a=; Path=/; HttpOnly; SameSite=Lax"},
        {"cookie.make('a', 'x', {path='/app', domain='example.com', expires=0, max_age=60, "
         "secure=true, "
         "http_only=false, same_site='strict'})",
         "a=x; Path=/app; Domain=example.com; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60; "
         "Secure; SameSite=Strict"},
        {"cookie.make('a', 'x', {max_age='30d'})",
         "a=x; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"},
        {"cookie.make('a', 'x', {max_age=0.5})", "a=x; Path=/; Max-Age=1; HttpOnly; SameSite=Lax"},
        {"cookie.make('a', 'x', {max_age=0})", "a=x; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"},
        {"cookie.make('a', 'x', {expires=784111777.9})",
         "a=x; Path=/; Expires=Sun, 06 Nov 1994 08:49:37 GMT; HttpOnly; SameSite=Lax"},
        {"cookie.make('a', 'x', {path=false, same_site=false, http_only=false})", "a=x"},
        {"cookie.make('a', 'x', {same_site='NONE', secure=true})",
         "a=x; Path=/; Secure; HttpOnly; SameSite=None"},
        {"cookie.make('__Host-s', 'x', {secure=true})",
         "__Host-s=x; Path=/; Secure; HttpOnly; SameSite=Lax"},
        {"cookie.make('__Secure-s', 'x', {secure=true, domain='e.org'})",
         "__Secure-s=x; Path=/; Domain=e.org; Secure; HttpOnly; SameSite=Lax"},
        {"#cookie.make('a', ('x'):rep(4095))", "4129"},
        {"cookie.expire('a')",
         "a=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; SameSite=Lax"},
        {"cookie.expire('a', {path='/x', domain='e.org', max_age=9})",
         "a=; Path=/x; Domain=e.org; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; "
         "SameSite=Lax"},
    };
    RUN(cases);
}

#define MAKE(n, what) "t:1: bad argument #" n " to 'make' (" what ")"
#define CANNOT_HOLD(what) \
    MAKE("2",             \
         "a cookie's value cannot hold " what "; encode it, for instance with lunette.url.quote")
#define NAMES MAKE("1", "a cookie's name has letters, digits and !#$%&'*+-.^_`|~ only")

static void test_cookie_refuses(void **state)
{
    (void)state;
    static const struct snippet cases[] = {
        {"cookie.make('', '1')", NAMES},
        {"cookie.make('a b', '1')", NAMES},
        {"cookie.make('a=b', '1')", NAMES},
        {"cookie.make('a\\0', '1')", NAMES},
        {"cookie.make('a\xc3\xa9', '1')", NAMES},
        {"cookie.make('a', 'x y')", CANNOT_HOLD("a space")},
        {"cookie.make('a', 'x\\r\\nSet-Cookie: b')", CANNOT_HOLD("control bytes")},
        {"cookie.make('a', 'x\\0')", CANNOT_HOLD("control bytes")},
        {"cookie.make('a', '\\127')", CANNOT_HOLD("control bytes")},
        {"cookie.make('a', 'x;y')", CANNOT_HOLD("';'")},
        {"cookie.make('a', '\"x\"')", CANNOT_HOLD("'\"'")},
        {"cookie.make('a', 'x,y')", CANNOT_HOLD("','")},
        {"cookie.make('a', 'x\\\\y')", CANNOT_HOLD("'\\'")},
        {"cookie.make('a', '\xc3\xa9')", CANNOT_HOLD("bytes beyond ASCII")},
        {"cookie.make('a')", MAKE("2", "string expected, got no value")},
        {"cookie.make('a', '1', {pth='/'})",
         MAKE("3", "unknown option 'pth', did you mean 'path'?")},
        {"cookie.make('a', '1', {maxage=1})",
         MAKE("3", "unknown option 'maxage', did you mean 'max_age'?")},
        {"cookie.make('a', '1', {SameSite='Lax'})",
         MAKE("3", "unknown option 'SameSite', did you mean 'same_site'?")},
        {"cookie.make('a', '1', 60)", MAKE("3", "table expected, got number")},
        {"cookie.make('a', '1', {path='/;x'})",
         MAKE("3", "path cannot hold ';' and control bytes")},
        {"cookie.make('a', '1', {path='/\\n'})",
         MAKE("3", "path cannot hold ';' and control bytes")},
        {"cookie.make('a', '1', {path='x'})", MAKE("3", "path begins with '/'")},
        {"cookie.make('a', '1', {path=''})", MAKE("3", "path has 1 to 1024 bytes")},
        {"cookie.make('a', '1', {path=true})", MAKE("3", "path is a string")},
        {"cookie.make('a', '1', {path='/' .. ('x'):rep(1024)})",
         MAKE("3", "path has 1 to 1024 bytes")},
        {"cookie.make('a', '1', {domain='e;x'})",
         MAKE("3", "domain cannot hold ';' and control bytes")},
        {"cookie.make('a', '1', {secure='yes'})", MAKE("3", "secure is true or false")},
        {"cookie.make('a', '1', {expires='tomorrow'})",
         MAKE("3", "expires is a time in seconds, as of lunette.time.now")},
        {"cookie.make('a', '1', {expires=0/0})",
         MAKE("3", "expires is a time in seconds, as of lunette.time.now")},
        {"cookie.make('a', '1', {expires=1e15})",
         MAKE("3", "expires is a time in seconds, as of lunette.time.now")},
        {"cookie.make('a', '1', {max_age='soon'})",
         MAKE("3", "max_age is seconds, or a duration such as \"30d\"")},
        {"cookie.make('a', '1', {max_age=true})",
         MAKE("3", "max_age is seconds, or a duration such as \"30d\"")},
        {"cookie.make('a', '1', {max_age=math.huge})",
         MAKE("3", "max_age is seconds, or a duration such as \"30d\"")},
        {"cookie.make('a', '1', {same_site='lux'})",
         MAKE("3", "same_site is \"Strict\", \"Lax\" or \"None\"")},
        {"cookie.make('a', '1', {same_site='none'})",
         MAKE("3", "same_site = \"None\" needs secure = true")},
        {"cookie.make('__secure-a', '1')", MAKE("3", "a __Secure- cookie needs secure = true")},
        {"cookie.make('__Host-a', '1', {secure=true, path='/x'})",
         MAKE("3", "a __Host- cookie needs secure = true, path = \"/\" and no domain")},
        {"cookie.make('__Host-a', '1', {secure=true, domain='e.org'})",
         MAKE("3", "a __Host- cookie needs secure = true, path = \"/\" and no domain")},
        {"cookie.make('a', ('x'):rep(4096))",
         "t:1: a cookie of 4097 bytes: browsers keep name and value up to 4096"},
        {"cookie.expire('a', {x=1})",
         "t:1: bad argument #2 to 'expire' (unknown option 'x', did you mean 'path'?)"},
    };
    RUN(cases);
}

static void test_time(void **state)
{
    (void)state;
    static const struct snippet cases[] = {
        {"math.abs(time.now() - os.time()) < 2 and math.type(time.now())", "float"},
        {"time.http(784111777)", "Sun, 06 Nov 1994 08:49:37 GMT"},
        {"time.http(784111777.99)", "Sun, 06 Nov 1994 08:49:37 GMT"},
        {"time.http(-0.5)", "Wed, 31 Dec 1969 23:59:59 GMT"},
        {"time.http(1e300)",
         "t:1: bad argument #1 to 'http' (not a time between the years 0 and 9999)"},
        {"time.http(0/0)",
         "t:1: bad argument #1 to 'http' (not a time between the years 0 and 9999)"},
        {"time.parse_http('Sun, 06 Nov 1994 08:49:37 GMT')", "784111777"},
        {"time.parse_http('Sunday, 06-Nov-94 08:49:37 GMT')", "784111777"},
        {"time.parse_http('Sun Nov  6 08:49:37 1994')", "784111777"},
        {"time.parse_http('yesterday')", "nil not an HTTP date"},
        {"time.iso(1795646333)", "2026-11-25T22:38:53Z"},
        {"time.iso(1795646333.0)", "2026-11-25T22:38:53Z"},
        {"time.iso(1795646333.001)", "2026-11-25T22:38:53.001Z"},
        {"time.iso(1795646333.9999)", "2026-11-25T22:38:54Z"},
        {"time.iso(-0.5)", "1969-12-31T23:59:59.500Z"},
        {"time.iso(1e300)",
         "t:1: bad argument #1 to 'iso' (not a time between the years 0 and 9999)"},
        {"time.iso(253402300800)",
         "t:1: bad argument #1 to 'iso' (not a time between the years 0 and 9999)"},
        {"time.iso(0/0)",
         "t:1: bad argument #1 to 'iso' (not a time between the years 0 and 9999)"},
        {"time.parse_iso('2026-11-25T22:38:53Z')", "1795646333"},
        {"time.parse_iso('2026-11-25T22:38:53.25+01:00')", "1795642733.25"},
        {"time.parse_iso('2026-11-25T22:38:53.0Z')", "1795646333.0"},
        {"time.parse_iso('1969-12-31T23:59:59.5Z')", "-0.5"},
        {"time.parse_iso('2026-02-29')", "nil not an ISO 8601 time"},
        {"time.iso(time.parse_iso(time.iso(1795646333.123)))", "2026-11-25T22:38:53.123Z"},
    };
    RUN(cases);
}

static void test_mime(void **state)
{
    (void)state;
    static const struct snippet cases[] = {
        {"mime.by_name('a.HTML')", "text/html; charset=utf-8"},
        {"mime.by_name('dir.d/x.png')", "image/png"},
        {"mime.by_name('none')", "application/octet-stream"},
        {"mime.by_name()", "t:1: bad argument #1 to 'by_name' (string expected, got no value)"},
    };
    RUN(cases);
}

// --- a Lua without memory ---

static int use_all(lua_State *L)
{
    load(L, "_G", luaopen_base);
    load(L, "html", luaopen_lunette_html);
    load(L, "url", luaopen_lunette_url);
    load(L, "cookie", luaopen_lunette_cookie);
    if (luaL_loadstring(
            L,
            "local s = '<>' for i = 1, 10 do s = s .. s end html.escape(s) url.quote(s) "
            "url.unquote(url.quote(s)) url.parse_query('a=1&b=%20&a=' .. url.quote(s)) "
            "url.build_query{a = s, b = {1, 2.5, s}, c = true} "
            "cookie.make('a', 'b', {path = '/x', max_age = '1d', expires = 5}) "
            "pcall(cookie.make, 'a', 'b', {pat = 1}) "
            "url.build(url.parse('http://u:p@h:1/a;b?c#d')) url.join('http://h/a', s)") != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 0);
    return 0;
}

static void test_every_allocation_fails_once(void **state)
{
    (void)state;
    assert_true(without_memory(use_all) > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_html),
        cmocka_unit_test(test_html_every_byte),
        cmocka_unit_test(test_html_lengths),
        cmocka_unit_test(test_url_quote),
        cmocka_unit_test(test_url_query),
        cmocka_unit_test(test_url_parts),
        cmocka_unit_test(test_cookie_make),
        cmocka_unit_test(test_cookie_refuses),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_mime),
        cmocka_unit_test(test_every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
