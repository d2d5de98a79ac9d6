-- What may be kept of responses (cached.lua), and the form in which it is.

local check = dofile "tests/unit/lua/check.lua"

package.preload["lunette.core"] = function()
    return { private_text = function(bits) return "bit " .. bits, bits == 1 and "cookie" or nil end }
end
local cached = require "lunette.cached"

local Headers = {
    __index = function(headers, name)
        for key, value in next, headers do if key:lower() == name:lower() then return value end end
    end,
}

local function judge(res, added, vary, known, read)
    res = { status = res.status or 200, body = res.body or "text",
        headers = setmetatable(res.headers or {}, Headers) }
    local verdict, names, public, why =
        cached.judge(res, added or {}, vary or added or {}, known or {}, read or 0)
    return { verdict, table.concat(names, ","), public or false, why }
end

-- What is judged; verdict, names, public, why.
local cases = {
    { {}, "keep", "", false },
    { { status = 404 }, "keep", "", false },
    { { status = 301 }, "keep", "", false },
    { { status = 302 }, "pass", "", false },
    { { status = 204 }, "pass", "", false },
    { { status = 206 }, "fail", "", false },
    { { status = 304 }, "fail", "", false },
    { { status = 400 }, "fail", "", false },
    { { status = 500 }, "fail", "", false },
    { { body = print }, "pass", "", false },
    { { headers = { ["set-cookie"] = "a" } }, "pass", "", false, "its handler sets a cookie" },
    { { headers = { ["Set-Cookie"] = { "a", "b" } } }, "pass", "", false,
        "its handler sets a cookie" },
    { { headers = { ["Cache-Control"] = "private" } }, "pass", "", false },
    { { headers = { ["cache-control"] = "max-age=5,NO-STORE" } }, "pass", "", false },
    { { headers = { ["Cache-Control"] = { "max-age=5", "no-cache=\"a\"" } } }, "pass", "", false },
    { { headers = { ["Cache-Control"] = "private=\"set-cookie\"" } }, "pass", "", false },
    { { headers = { ["Cache-Control"] = "max-age=0" } }, "keep", "", false },
    { { headers = { ["Cache-Control"] = "x-private-y=1" } }, "keep", "", false },
    { { headers = { ["Cache-Control"] = "Public, max-age=1" } }, "keep", "", true },
    { { headers = { ["Cache-Control"] = "s-maxage=1" } }, "keep", "", true },
    { { headers = { Vary = "*" } }, "pass", "", false },
    { { headers = { Vary = "Accept, *" } }, "pass", "", false },
    { { headers = { Vary = "B, a,B" } }, "keep", "a,b", false },
    { { headers = { Vary = { "b", "A" } } }, "keep", "a,b", false },
}
for _, case in ipairs(cases) do
    check.equals(judge(case[1]), { case[2], case[3], case[4], case[5] })
end

-- what was added to the answer counts as well
check.equals(judge({}, { "Set-Cookie", "a=b" })[1], "pass")
check.equals(judge({}, { "cache-control", "no-store" })[1], "pass")
check.equals(judge({ headers = { Vary = "a" } }, { "Vary", "b", "X", "c" })[2], "a,b")
check.equals(judge({}, {}, { "Vary", "b" })[2], "b")
check.equals(judge({}, { "Vary", "A, b" }, nil, { a = true })[2], "b")

-- what was read of the visitor
check.equals(judge({}, nil, nil, nil, 1), { "pass", "", false,
    'its handler read bit 1; say for whom they are, by vary = {"cookie"} or key = function(req) … end' })
check.equals(judge({}, nil, nil, nil, 16)[4],
    "its handler read bit 16; say for whom they are, by key = function(req) … end")
check.equals(judge({ status = 404 }, nil, nil, nil, 1)[1], "pass")

-- more names than are followed
local many = {}
for i = 1, cached.VARY_MAX + 1 do many[i] = "h" .. i end
check.equals(judge({ headers = { Vary = table.concat(many, ",") } })[1], "pass")

-- as bytes and back
local entries = {
    { status = 200, headers = {}, added = {}, body = "", tag = "", at = 0, age = 0, seen = 0,
        public = false, stamps = {} },
    { status = 404, headers = { A = "b", C = { "d", "e\0\255" }, Empty = "" },
        added = { "X", "y", "X", "z" }, body = ("x\0"):rep(70000), tag = '"t"', at = 2 ^ 40 | 0,
        age = 2 ^ 31 | 0, seen = 511, public = true, stamps = { "k", 1, "\0", -1 } },
    { status = 301, headers = { Location = "/" }, added = {}, tag = "", at = 1, age = 1, seen = 1,
        public = false, stamps = {} },
}
for _, entry in ipairs(entries) do
    local bytes = cached.encode(entry)
    check.equals(cached.names(bytes), nil)
    check.equals(cached.decode(bytes), entry)
end
check.equals(cached.decode(cached.encode { status = 200, headers = { N = 5, age = 9 }, added = {},
    body = "", tag = "", at = 0, age = 0, seen = 0, public = false, stamps = {} }).headers,
    { N = "5" })
check.equals(cached.names(cached.marker { "a", "b-c" }), { "a", "b-c" })

check.done()
