-- expect(x) of lunette.test: raises where x is not what is expected, with the line of the test and
-- both values.
--
--   expect(x).equals(y)        the same; tables by what is in them, 1 and 1.0 alike
--   expect(x).contains(y)      a string holds the text y; a table has an element that equals y
--   expect(s).matches(pattern) the string holds the Lua pattern
--   expect(x).is_nil()
--   expect(f).raises([pattern])   the function raises, with a message that holds the pattern
--   expect(x).never.equals(y)  … and so for the others: it must not hold; but an error is never what
--                              was not expected: never.raises(pattern) fails for another one, too
--
-- A colon does as well as a dot. An argument that is missing, or x of a kind to which the question cannot
-- be put, is a mistake of the test, with never and without.

local errors = require "lunette.errors"
local json = require "lunette.json"
local show = require "lunette.show"
local suggest = require "lunette.suggest"

local misuse = errors.misuse

local BOUNDS = { depth = 6, string = 400, total = 400, names = { [json.null] = "json.null" } }
local function shown(v) return show.text(v, BOUNDS) end

-- What a failed expectation raises: the sentence with its place.
local Failure = { __name = "lunette.test.failure" }

function Failure.__tostring(self) return self.message end

local function fail(format, ...)
    local place, text = errors.place(), format:format(...)
    error(setmetatable({ message = place and place .. ": " .. text or text, place = place }, Failure), 0)
end

-- Equality ----------------------------------------------------------------------------------------

-- Where a and b differ first: its path and the two values there; nil when they are equal. pairs: the
-- tables that are being compared, so that circles end.
local function difference(a, b, path, pairs_seen)
    if a == b or (a ~= a and b ~= b) then return nil end
    if type(a) ~= "table" or type(b) ~= "table" then return path, a, b end
    if pairs_seen[a] == b then return nil end
    pairs_seen[a] = b
    local keys = show.sorted_keys(b)
    for _, k in ipairs(show.sorted_keys(a)) do
        if rawget(b, k) == nil then keys[#keys + 1] = k end
    end
    for _, k in ipairs(keys) do
        local at, x, y = difference(rawget(a, k), rawget(b, k), path .. show.key(k), pairs_seen)
        if at then return at, x, y end
    end
    pairs_seen[a] = nil
    return nil
end

local LONG, BEFORE = 120, 30 -- bytes of a text that is shown in part, and how many before the difference

-- Where two long texts differ, and how both go on from a bit before that; nil for short ones.
local function difference_of_texts(a, b)
    if type(a) ~= "string" or type(b) ~= "string" or (#a <= LONG and #b <= LONG) then return nil end
    local at = 1
    while a:byte(at) == b:byte(at) do at = at + 1 end
    local from = math.max(1, at - BEFORE)
    local function part(s)
        return (from > 1 and "…" or "") .. show.quote(s:sub(from, from + LONG))
            .. (#s > from + LONG and "…" or "")
    end
    return at, part(a), part(b)
end

local function equal(a, b)
    return difference(a, b, "", {}) == nil
end

-- What is expected ----------------------------------------------------------------------------------
--
-- Each takes the value, what it was called with and how many arguments that were; and gives whether it
-- holds, and the sentences for when it should have, and when it should not.

local checks = {}

local function must_be(what, value, kind, other)
    if type(value) == kind or type(value) == other then return end
    misuse("expect(…).%s must be a %s%s, not %s", what, kind, other and " or a " .. other or "", errors.kind(value))
end

function checks.equals(got, want, n)
    if n == 0 then misuse("expect(…).equals: what it is to equal is missing") end
    local path, x, y = difference(got, want, "", {})
    if not path then return true, nil, "expected anything but " .. shown(want) end
    local at, got_part, want_part = difference_of_texts(x, y)
    if at then
        return false, ("they differ at%s byte %d of %d and %d\nexpected: %s\ngot:      %s"):format(
            path ~= "" and " " .. path .. "," or "", at, #y, #x, want_part, got_part)
    end
    if path == "" then
        return false, ("expected %s, got %s"):format(shown(want), shown(got))
    end
    return false, ("they differ at %s: expected %s, got %s\nexpected: %s\ngot:      %s"):format(
        path, shown(y), shown(x), shown(want), shown(got))
end

local function has_element(t, want)
    for _, v in next, t do
        if equal(v, want) then return true end
    end
    return false
end

function checks.contains(got, want)
    must_be("contains: what contains it", got, "string", "table")
    if want == nil then misuse("expect(…).contains: what it is to contain is missing, or nil") end
    local holds
    if type(got) == "string" then
        if type(want) ~= "string" then
            misuse("expect(…).contains: a string contains strings, not %s", errors.kind(want))
        end
        holds = got:find(want, 1, true) ~= nil
    else
        holds = has_element(got, want)
    end
    return holds,
        ("expected something that contains %s, got %s"):format(shown(want), shown(got)),
        ("expected nothing that contains %s, got %s"):format(shown(want), shown(got))
end

function checks.matches(got, pattern)
    must_be("matches: what matches", got, "string")
    must_be("matches: the pattern", pattern, "string")
    return got:find(pattern) ~= nil,
        ("expected something that matches %s, got %s"):format(shown(pattern), shown(got)),
        ("expected nothing that matches %s, got %s"):format(shown(pattern), shown(got))
end

function checks.is_nil(got)
    return got == nil, "expected nil, got " .. shown(got), "expected anything but nil"
end

-- An error that does not match is one that nobody expected, with never as well.
function checks.raises(fn, pattern, n)
    must_be("raises: what is to raise", fn, "function")
    if n > 0 then must_be("raises: the pattern", pattern, "string") end
    local ok, e = pcall(fn)
    local wanted = pattern and " that matches " .. shown(pattern) or ""
    if ok then return false, ("expected an error%s, and nothing was raised"):format(wanted) end
    local text = errors.text_of(e)
    if pattern and not text:find(pattern) then
        local format = "expected %s error that matches %s, got %s"
        return nil, format:format("an", shown(pattern), shown(text)),
            format:format("no", shown(pattern), "another: " .. shown(text))
    end
    return true, nil, ("expected no error%s, got %s"):format(wanted, shown(text))
end

-- The object --------------------------------------------------------------------------------------

local known = { never = true }
for name in pairs(checks) do known[name] = true end

local Unknown = {}

function Unknown.__index(_, name)
    misuse("expect(…).%s is unknown%s", tostring(name), suggest.hint(name, known))
end

local function expectation(value, negated)
    local self = {}
    for name, check in pairs(checks) do
        self[name] = function(...)
            local from = rawequal((...), self) and 2 or 1
            local holds, wrong, wrong_when_negated =
                check(value, select(from, ...), select("#", ...) - from + 1)
            if holds == not negated then return end
            fail("%s", negated and wrong_when_negated or wrong)
        end
    end
    if not negated then self.never = expectation(value, true) end
    return setmetatable(self, Unknown)
end

return function(value)
    return expectation(value, false)
end
