-- Values as bounded text, and rows as columns.

local check = dofile "tests/unit/lua/check.lua"
local columns = require "lunette.command.columns"
local module = require "lunette.show"

local function show(v) return module.text(v, { line = 76 }) end

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
check.equals(show(print), "function of C")
check.matches(show(show), "^function at .*test_show%.lua:7$")
check.equals(show(coroutine.create(print)), "coroutine (suspended)")
check.matches(show(io.stdout), "^file %(0x%x+%)$", "it says of itself what it is")
check.matches(module.text(io.stdout, { plain = true }), "^FILE%*: 0x%x+$")

local loop = { name = "loop" }
loop.self = loop
check.equals(show(loop), '{ name = "loop", self = {the same as above} }')
local twice = { 1 }
check.equals(show { twice, twice }, "{ { 1 }, { 1 } }", "which is no circle")
local keyed = {}
keyed[keyed] = 1
check.matches(show(keyed), "^{ %[table: 0x%x+%] = 1 }$")
check.equals(show(setmetatable({ 1 }, { __name = "Note" })), "Note { 1 }")
check.equals(show { 1, 2, [40] = 4, a = 0, [true] = 1, [false] = 0 },
    "{ 1, 2, [40] = 4, a = 0, [false] = 0, [true] = 1 }")

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
check.matches(show(("x"):rep(1e6)), "x\"… %(1000000 bytes%)$")
check.truthy(#show { ("x"):rep(1e6) } < 600)
check.truthy(#show { [("k"):rep(1e6)] = 1 } < 600)
check.truthy(utf8.len(show(("é"):rep(20000))), "no letter is cut in two")
local named = {}
for i = 1, 20000 do named["key" .. i] = i end
check.matches(module.text(named, { keys = 500, items = 3 }), "^{ key%d+ = %d+, key%d+ = %d+, key%d+ = %d+, … }$")
check.truthy(#module.text(named) < 2000)
check.equals(module.text({ 1, 2, 3, 4 }, { items = 2 }), "{ 1, 2, … (2 more) }")
check.equals(module.text({ ("x"):rep(60), 2, 3 }, { total = 50, string = 10 }),
    '{ "xxxxxxxxxx"… (60 bytes), 2, 3 }')
check.equals(module.text({ ("x"):rep(60), 2, 3 }, { total = 50 }), '{ "' .. ("x"):rep(60) .. '", … (2 more) }')
check.equals(module.text({ { { { ("x"):rep(30) } } }, 2 }, { total = 50 }), '{ { { { "' .. ("x"):rep(30) .. '" } } }, 2 }',
    "bytes count once, however deep they are")

-- On one line unless it may have more.
check.truthy(not module.text(long):find("\n", 1, true))

-- Nothing drives the terminal; text that is no UTF-8 is shown as bytes.
check.equals(module.quote "\27[2J\u{9b}2J\127", [["\x1b[2J\xc2\x9b2J\x7f"]])
check.equals(module.quote("é\xff"), [["\xc3\xa9\xff"]])
check.equals(module.quote("aéé", 2), '"a"… (5 bytes)')
check.equals(module.cut("aéé", 3), "aé")
check.equals(module.cut("\x80\x80\x80\x80\x80\x80", 5), "\x80\x80\x80\x80\x80")
check.equals(module.cut("é", 0), "")

-- What a caller knows of values: what they are called, and what is to be hidden.
local mark = setmetatable({}, { __tostring = function() return "me" end })
check.equals(module.text({ mark, x = mark }, { names = { [mark] = "the mark" } }), "{ the mark, x = the mark }")
check.equals(module.text(mark, { plain = true }), "{}", "nothing of its own is run")
local function is_b(k) return k == "b" end
local masked = { mask = function(s) return #s .. "…" end, is_hidden = is_b, hides_members = is_b }
check.equals(module.text({ a = "x", b = "y", c = 1 }, masked), '{ a = "x", b = 1…, c = 1 }')
check.equals(module.text({ b = { "x", { c = "y" } }, d = { "z" } }, masked), '{ b = { 1…, { c = 1… } }, d = { "z" } }')
check.equals(module.text({ "x" }, masked, "b") .. module.text({ "x" }, masked), '{ 1… }{ "x" }')
check.equals(module.text({ "x" }, { quote = function(s) return s .. s end }), "{ xx }")

-- Keys.
check.equals(module.key "notes" .. module.key(2) .. module.key "a b" .. module.key "end", '.notes[2]["a b"]["end"]')

-- --- columns ---

check.equals(columns.text { { "A", "B", "C" }, { "1", "", "x" }, { "22", "", "yy" } },
    "A   C\n1   x\n22  yy\n", "aligned, without columns that hold nothing")
check.equals(columns.text { { "A", "B" }, { "é…", "x" } }, "A   B\né…  x\n", "letters, not bytes")
check.equals(columns.text({ { "A" }, { "b" } }, true), "\27[1mA\27[0m\nb\n")

check.done()
