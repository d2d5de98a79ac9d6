-- Values as bounded text, and rows as columns.

local check = dofile "tests/unit/lua/check.lua"
local columns = require "lunette.command.columns"
local show = require "lunette.command.show"

for _, row in ipairs {
    { 1, "1" }, { 2.5, "2.5" }, { true, "true" }, { "a", '"a"' }, { {}, "{}" },
    { 'a"b\\c\n\0é', '"a\\"b\\\\c\\n\\x00é"' },
    { "\xff\xc3", '"\\xff\\xc3"' },
    { { 1, "x", false }, '{ 1, "x", false }' },
    { { b = 2, a = 1, 7 }, "{ 7, a = 1, b = 2 }" },
    { { ["end"] = 1, ["a b"] = 2, [2.5] = 3, [true] = 4 },
        '{ [2.5] = 3, ["a b"] = 2, ["end"] = 1, [true] = 4 }' },
    { { { {} } }, "{ { {} } }" },
    { setmetatable({}, { __tostring = function() return "me" end }), "me" },
    { setmetatable({}, { __tostring = function() error "no" end }), "<table whose __tostring fails>" },
    { setmetatable({}, { __index = function() error "no" end, __pairs = error }), "{}" },
    { setmetatable({ 1 }, { __len = function() return 1e9 end }), "{ 1 }" },
    { { [3] = "c" }, '{ [3] = "c" }' },
} do
    check.equals(show(row[1]), row[2])
end
check.equals(show(nil), "nil")
check.matches(show(print), "^function: ")
check.matches(show(show), "^<function at .*show%.lua:%d+>$")

local loop = { name = "loop" }
loop.self = loop
check.equals(show(loop), '{ name = "loop", self = <a table that this is in> }')

-- A long table has a line for each item.
local long = {}
for i = 1, 30 do long[i] = "item" .. i end
check.matches(show(long), '^{\n  "item1",\n  "item2",\n.*"item30"\n}$')
check.matches(show { inner = long }, '^{\n  inner = {\n    "item1",\n.*\n  }\n}$')

-- Everything is bounded: depth, items of one table and of all, bytes.
local deep = {}
for _ = 1, 100 do deep = { deep } end
check.matches(show(deep), "^{ { { { { {…} } } } } }$")
local wide = {}
for i = 1, 5000 do wide[i] = i end
check.matches(show(wide), "100,\n  … %(4900 more%)\n}$")
local both = {}
for i = 1, 90 do both[i] = wide end
check.truthy(#show(both) < 17000)
check.matches(show(("x"):rep(1e6)), "x\" … %(1000000 bytes%)$")
check.truthy(#show { ("x"):rep(1e6) } < 600)
check.truthy(#show { [("k"):rep(1e6)] = 1 } < 600)
check.truthy(utf8.len(show(("é"):rep(20000))), "no letter is cut in two")

-- --- columns ---

check.equals(columns.text { { "A", "B", "C" }, { "1", "", "x" }, { "22", "", "yy" } },
    "A   C\n1   x\n22  yy\n", "aligned, without columns that hold nothing")
check.equals(columns.text { { "A", "B" }, { "é…", "x" } }, "A   B\né…  x\n", "letters, not bytes")
check.equals(columns.text({ { "A" }, { "b" } }, true), "\27[1mA\27[0m\nb\n")

check.done()
