-- The parts of lunette.test's client that know no server: cookies as browsers keep them, and answers
-- out of bytes.

local check = dofile "tests/unit/lua/check.lua"

local now = 1000
package.preload["lunette.time"] = function()
    return {
        now = function() return now end,
        parse_http = function(s) return tonumber(s:match "^at (%d+)$") end,
    }
end
package.preload["lunette.json"] = function()
    return { decode = function(s)
        if s == "bad" then return nil, "no value at line 1" end
        return { s }
    end }
end

-- Cookies -------------------------------------------------------------------------------------------

local cookies = require "lunette.test_cookies"

-- text → name, value, attributes
for _, case in ipairs {
    { "a=b", "a", "b", {} },
    { " a = b c ; Path = /x ;HttpOnly; SAMESITE=Lax", "a", "b c", { path = "/x", httponly = true, samesite = "Lax" } },
    { 'a="b=c"', "a", '"b=c"', {} }, { "a=", "a", "", {} },
    { "a=b; Max-Age=5; max-age=6", "a", "b", { max_age = "6" } },
} do
    local name, value, attributes = cookies.parse(case[1])
    check.equals({ name, value, attributes }, { case[2], case[3], case[4] }, case[1])
end
for _, text in ipairs { "", "a", "=b", "; Path=/" } do check.equals(cookies.parse(text), nil, text) end

-- What a request for host and path sends of these Set-Cookie fields, from www.example.com/a/b.
local function sent(host, path, ...)
    local jar = cookies.new()
    for _, text in ipairs { ... } do jar:take(text, "www.example.com", "/a/b") end
    local out = {}
    for i, one in ipairs(jar:of(host, path)) do out[i] = one.name .. "=" .. one.value end
    return table.concat(out, "; ")
end

for _, case in ipairs {
    { "www.example.com", "/a/b", "x=1", "x=1" },
    { "www.example.com", "/a", "x=1", "x=1" },          -- the folder /a
    { "www.example.com", "/ab", "x=1", "" },
    { "www.example.com", "/", "x=1; Path=/", "x=1" },
    { "www.example.com", "/b/c", "x=1; Path=/b", "x=1" },
    { "www.example.com", "/b/c", "x=1; Path=b", "" },   -- no path: the folder
    { "example.com", "/a/b", "x=1", "" },
    { "www.example.com", "/a/b", "x=1; Domain=example.com", "x=1" },
    { "other.example.com", "/a/b", "x=1; Domain=.EXAMPLE.com", "x=1" },
    { "notexample.com", "/a/b", "x=1; Domain=example.com", "" },
    { "www.example.com", "/a/b", "x=1; Domain=other.com", "" },
    { "www.example.com", "/a/b", "x=1; Secure", "" },
    { "www.example.com", "/a/b", "x=1; Max-Age=0", "" },
    { "www.example.com", "/a/b", "x=1; Max-Age=-5", "" },
    { "www.example.com", "/a/b", "x=1; Max-Age=5; Expires=at 5", "x=1" },
    { "www.example.com", "/a/b", "x=1; Expires=at 5", "" },
    { "www.example.com", "/a/b", "x=1; Expires=at 1001", "x=1" },
    { "www.example.com", "/a/b", "x=1; Expires=whenever", "x=1" },
} do
    check.equals(sent(case[1], case[2], case[3]), case[4], ("%s for %s%s"):format(case[3], case[1], case[2]))
end
check.equals(sent("www.example.com", "/a/b", "x=1", "y=2", "x=3"), "x=3; y=2", "replaced in its place")
check.equals(sent("www.example.com", "/a/b", "x=1; Path=/", "x=2; Path=/a"), "x=2; x=1", "longest path first")
check.equals(sent("www.example.com", "/a/b", "x=1", "x=; Max-Age=0"), "", "deleted")
check.equals(sent("127.0.0.1", "/a/b", "x=1; Domain=0.0.1"), "", "an address is no domain")

local jar = cookies.new()
jar:take("x=1; Max-Age=5", "h", "/")
now = 1005
check.equals(#jar:of("h", "/"), 0, "over")

-- Answers -------------------------------------------------------------------------------------------

local parse = require "lunette.test_answer"

local function lines(...) return table.concat({ ... }, "\r\n") end

local answer = parse(lines("HTTP/1.1 200 OK", "Content-Type: application/json; charset=utf-8", "Set-Cookie: a=1",
    "Set-Cookie: b=2; Path=/", "X-One:  1", "x-one: 2", "Connection: close", "Content-Length: 2", "", "{}"), "GET")
check.equals(answer.status, 200)
check.equals(answer.body, "{}")
check.equals(answer.json, { "{}" })
check.equals(answer.headers["X-ONE"], "1, 2")
check.equals(answer.headers_all["x-one"], { "1", "2" })
check.equals(answer.headers.connection, nil)
check.equals(answer.cookies, { a = "1", b = "2" })
check.equals(answer.location, nil)

-- bytes, method, status, body
for _, case in ipairs {
    { lines("HTTP/1.1 100 Continue", "", "HTTP/1.1 204 No Content", "", ""), "PUT", 204, "" },
    { lines("HTTP/1.1 200 OK", "Content-Length: 5", "", ""), "HEAD", 200, "" },
    { lines("HTTP/1.1 304 Not Modified", "Content-Length: 5", "", ""), "GET", 304, "" },
    { lines("HTTP/1.1 200 OK", "", "until the end"), "GET", 200, "until the end" },
    { lines("HTTP/1.1 200 OK", "Content-Length: 3", "", "abcd"), "GET", 200, "abc" },
    { lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "", "3", "abc", "a;x=y", "0123456789", "0", "T: 1", "", ""),
        "GET", 200, "abc0123456789" },
    { lines("HTTP/1.1 500 Internal Server Error", "Content-Length: 0", "", ""), "GET", 500, "" },
} do
    local got, why = parse(case[1], case[2])
    check.equals(got and { got.status, got.body } or why, { case[3], case[4] }, case[1])
end

-- bytes → why it is no answer
for _, case in ipairs {
    { "", "without an answer" }, { "HTTP/1.1 200 OK\r\nContent-Le", "in its head" },
    { "nonsense\r\n\r\n", "in its head" },
    { lines("HTTP/1.1 200 OK", "Content-Length: 5", "", "abcd"), "in its body" },
    { lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "", "3", "abc", ""), "in its body" },
    { lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "", "ffffffff", "abc", ""), "in its body" },
    { lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "", "7fffffffffffffff", "abc", ""), "in its body" },
    { lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "", "x", "abc", ""), "in its body" },
    { "HTTP/1.1 100 Continue\r\n\r\n", "in its head" },
} do
    local got, why = parse(case[1], "GET")
    check.equals(got, nil, case[1])
    check.matches(why, case[2], case[1])
end

check.misuse(function()
    local _ = parse(lines("HTTP/1.1 200 OK", "Content-Type: application/problem+json", "", "bad"), "GET").json
end, "the body is no JSON: no value at line 1")
check.equals(parse(lines("HTTP/1.1 200 OK", "Content-Type: text/plain", "", "bad"), "GET").json, nil)

check.done()
