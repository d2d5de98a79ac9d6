-- Values as --dev shows them: what they look like, their bounds, and that nothing of theirs is run.

local check = dofile "tests/unit/lua/check.lua"
local value = require "lunette.dev_value"

local function never() error("this was run") end
local EVIL = { __index = never, __newindex = never, __tostring = never, __pairs = never, __len = never,
    __call = never, __eq = never, __lt = never, __le = never, __concat = never, __name = "Evil",
    __metatable = "hidden", __close = never }

for _, case in ipairs {
    { nil, "nil" }, { true, "true" }, { 7, "7" }, { -7, "-7" }, { 2.0, "2.0" }, { 1.5, "1.5" },
    { 1e300, "1e+300" }, { 1 / 0, "inf" }, { math.mininteger, "-9223372036854775808" },
    { "", '""' }, { "a", '"a"' }, { 'a"b\\c\n\t\r\0', [["a\"b\\c\n\t\r\x00"]] }, { "\1\127", [["\x01\x7f"]] },
    { "ü", '"ü"' }, { "\xff", [["\xff"]] }, { "a\xffü", [["a\xff\xc3\xbc"]] },
    { {}, "{}" }, { { 1, "a", false }, '{ 1, "a", false }' },
    { { b = 1, a = 2, [10] = 3, [1.5] = 4 }, "{ [1.5] = 4, [10] = 3, a = 2, b = 1 }" },
    { { ["a b"] = 1, [true] = 2 }, '{ ["a b"] = 1, [true] = 2 }' },
    { { 1, nil, 3, n = 3 }, "{ 1, nil, 3, n = 3 }" },
    { { password = "12345678901234567890", token = "short", secret = 5 },
        "{ password = 1234… (20 bytes), secret = 5, token = … (5 bytes) }" },
    { setmetatable({ 1 }, EVIL), "Evil { 1 }" }, { setmetatable({}, EVIL), "Evil {}" },
    { setmetatable({ 1 }, { __name = never }), "{ 1 }" },
    { setmetatable({ 1 }, { __name = ("n"):rep(100) }), ("n"):rep(60) .. " { 1 }" },
    { print, "function of C" }, { coroutine.create(print), "coroutine (suspended)" },
} do
    check.equals(value.text(case[1]), case[2])
end
check.matches(value.text(never), "^function at .*test_dev_value%.lua:6$")
check.matches(value.text(io.stdout), "^FILE%*: 0x")

-- Secrets in queries, in whatever they stand.
local SECRET, MASKED = "abcdefghijklmnopqrstuvwxyz", "abcd… (26 bytes)"
for _, case in ipairs {
    { "", "" }, { "/a?q=1&x=2", "/a?q=1&x=2" }, { "/a?token", "/a?token" }, { "a=b=c", "a=b=c" },
    { "/a?token=" .. SECRET, "/a?token=" .. MASKED },
    { "/a?token=" .. SECRET .. "&q=1", "/a?token=" .. MASKED .. "&q=1" },
    { "token=" .. SECRET .. "&q=1&password=x", "token=" .. MASKED .. "&q=1&password=… (1 bytes)" },
    { "?x=%41&t%6Fken=" .. SECRET, "?x=%41&t%6Fken=" .. MASKED },
    { "?token=" .. SECRET:gsub("z", "?") .. "", "?token=" .. MASKED },
    { "?token=" .. SECRET:gsub("z", ";") .. "", "?token=" .. MASKED },
    { "?token=" .. SECRET:gsub("z", "=") .. "", "?token=" .. MASKED },
    { "?token=", "?token=" },
    { "/a?next=/b?token=" .. SECRET, "/a?next=/b?token=" .. MASKED },
    { "/a?next=%2Fb%3Fq%3D1%26token%3D" .. SECRET .. "&y=%20", "/a?next=/b?q=1&token=" .. MASKED .. "&y=%20" },
    { "https://h.example/p?a=1&api_key=" .. SECRET .. "#f", "https://h.example/p?a=1&api_key=abcd… (28 bytes)" },
    { "see https://h/?token=" .. SECRET .. " and more", "see https://h/?token=" .. MASKED .. " and more" },
    { "postgres://user:" .. SECRET .. "@db/x", "postgres://user:" .. MASKED .. "@db/x" },
    { "http://h:80/a@b?c=d", "http://h:80/a@b?c=d" },
} do
    check.equals(value.mask_pairs(case[1]), case[2])
    check.equals(value.text(case[1]), value.quote(case[1]))
    check.truthy(not value.quote(case[1]):find("efghij", 1, true), case[1])
end
check.matches(value.mask_pairs(("a="):rep(50) .. "the end"), "^a=a=.*a=… %(%d+ bytes%) end$")
local long = ("x"):rep(1e6) -- in one pass, whatever stands before or behind
check.equals(value.mask_pairs("=" .. long), "=" .. long)
check.equals(value.mask_pairs("a=1&" .. long .. "&token=" .. long), "a=1&" .. long .. "&token=xxxx… (1000000 bytes)")
check.equals(value.text({ target = "/a?token=" .. SECRET }), '{ target = "/a?token=' .. MASKED .. '" }')
check.equals(value.text({ "/a?token=" .. SECRET }), '{ "/a?token=' .. MASKED .. '" }')
check.equals(value.text(SECRET, "token"), MASKED)
check.equals(value.text({ SECRET, n = { SECRET, 1 } }, "cookies"), "{ " .. MASKED .. ", n = { " .. MASKED .. ", 1 } }")
check.equals(value.text({ tokens = { SECRET } }), "{ tokens = { " .. MASKED .. " } }")
check.equals(value.text({ session = { user = "u", token = SECRET } }),
    '{ session = { token = ' .. MASKED .. ', user = "u" } }')

-- What refers to itself is named; what is there twice, side by side, too.
local cycle = { name = "x" }
cycle.self = { back = cycle }
check.equals(value.text(cycle), '{ name = "x", self = { back = {the same as above} } }')
local keyed = {}
keyed[keyed] = 1
check.matches(value.text(keyed), "^{ %[table: 0x%x+%] = 1 }$")
check.matches(value.text { [setmetatable({}, EVIL)] = 1 }, "^{ %[Evil: 0x%x+%] = 1 }$")

-- Bounds.
local deep = {}
local inner = deep
for _ = 1, 100 do inner[1] = {} inner = inner[1] end
inner[1] = 1
check.equals(value.text(deep), "{ { { { {…} } } } }")
local many, named = {}, {}
for i = 1, 100000 do many[i], named["key" .. i] = i, i end
check.equals(#many, 100000)
check.truthy(#value.text(many) < 200 and value.text(many):find("20, … (99980 more) }", 1, true))
check.truthy(#value.text(named) < 1000 and value.text(named):find(", … }$"))
check.equals(value.text(("x"):rep(10000)), '"' .. ("x"):rep(200) .. '"… (10000 bytes)')
check.equals(value.text(("ü"):rep(150)), '"' .. ("ü"):rep(100) .. '"… (300 bytes)')
local wide = {}
for i = 1, 20 do
    wide[i] = {}
    for k = 1, 20 do wide[i][k] = ("y"):rep(150) end
end
check.truthy(#value.text(wide) < 8000)

-- Secrets.
for _, name in ipairs { "password", "passwd", "userPassword", "SECRET", "api_key", "apikey", "x-api-key",
    "access_token", "Authorization", "Cookie", "session_id", "csp_nonce" } do
    check.truthy(value.is_secret(name), name)
end
for _, name in ipairs { "name", "key", "title", "pass_through", "author", 5, true } do
    check.truthy(not value.is_secret(name), tostring(name))
end
check.equals(value.mask("abcdefghijklm"), "abcd… (13 bytes)")
check.equals(value.mask("abcdefghijkl"), "… (12 bytes)")
check.equals(value.mask(""), "")
check.equals(value.cut("aü", 2), "a")
check.equals(value.cut("aü", 3), "aü")

check.done()
