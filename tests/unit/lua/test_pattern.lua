-- Patterns: what is taken, what matches, and paths from names.

local check = dofile "tests/unit/lua/check.lua"
local pattern = require "lunette.pattern"
local units = require "lunette.units"
local suggest = require "lunette.suggest"

local REFUSED = {
    { "x", 'must begin with "/"' }, { "", 'must begin with "/"' },
    { "/:", "without a name" }, { "/a:/b", "without a name" }, { "/:{int}", "without a name" },
    { "/*", "%* without a name" }, { "/*x/y", "must be the last" }, { "/*x/", "must be the last" },
    { "/a*x", "inside a segment" }, { "/:a:b", "side by side" }, { "/:a{int}:b", "side by side" },
    { "/:a/:a", 'captures "a" twice' }, { "/:a/*a", 'captures "a" twice' },
    { "/:a{}", "empty pattern" }, { "/:a{imt}", "unknown pattern {imt}.*{int}" },
    { "/:a{%d", "without its }" },
    { "/:a{[a-}", "without its }" }, { "/:a{(x}", "not a Lua pattern" },
    { "/:a{x)}", "not a Lua pattern" },
    { "/:a{%b(}", "without its }" }, { "/:a{%fa}", "without its }" },
    { "/a//b", "empty segment" },
}
for _, case in ipairs(REFUSED) do
    local p, why = pattern.parse(case[1])
    check.equals(p, nil, case[1])
    check.matches(why, case[2], case[1])
end

local UUID = "123e4567-E89B-12d3-a456-426614174000"

-- One segment against one pattern: the values, or false.
local MATCHES = {
    { ":x", "a b", { "a b" } },
    { ":x.jpg", "cat.jpg", { "cat" } }, { ":x.jpg", ".jpg", false }, { ":x.jpg", "cat.png", false },
    { "img-:x", "img-7", { "7" } }, { "img-:x", "img-", false }, { "img-:x", "im", false },
    { "v:x{int}.js", "v12.js", { 12 } }, { "v:x{int}.js", "v1x.js", false },
    { ":x{int}", "0", { 0 } }, { ":x{int}", "007", { 7 } }, { ":x{int}", "-1", false },
    { ":x{int}", "+1", false }, { ":x{int}", "1.0", false }, { ":x{int}", "0x10", false },
    { ":x{int}", "9223372036854775807", { math.maxinteger } },
    { ":x{int}", "9223372036854775808", false }, { ":x{int}", "00000000000000000001", false },
    { ":x{int}", "1\n", false },
    { ":x{uuid}", UUID, { UUID } }, { ":x{uuid}", UUID .. "0", false },
    { ":x{uuid}", "123e4567e89b12d3a456426614174000", false },
    { ":x{slug}", "hello-world_2", { "hello-world_2" } }, { ":x{slug}", "a b", false },
    { ":x{%x+}", "beef", { "beef" } }, { ":x{%x+}", "beefy", false }, { ":x{%d%d}", "123", false },
    { ":x{[^/}]+}", "a", { "a" } }, { ":x{[^/}]+}", "a/b", false }, { ":x{[]}]+}", "]}", { "]}" } },
    { ":x{%a{%d}}", "b{7}", { "b{7}" } }, { ":x{%}+}", "}}", { "}}" } },
    { ":x{(%d+)-%1}", "12-12", { "12-12" } }, { ":x{%b()}", "(a(b))", { "(a(b))" } },
    { ":x{%f[%d]%d+}", "42", { "42" } },
    { ":a-:b", "x-y-z", { "x", "y-z" } }, { ":a-:b", "x-", false },
    { ":a-:b", "-x-y", { "-x", "y" } },
    { ":a{int}-:b{%a+}", "1-b", { 1, "b" } }, { ":a-:b{%d+}", "x-y-7", { "x-y", "7" } },
    { ":a-:b.:c", "x-y.z", { "x", "y", "z" } },
}
for _, case in ipairs(MATCHES) do
    local segment = assert(pattern.parse("/" .. case[1]))[1]
    local caps = {}
    local n = pattern.match(segment, case[2], caps, 0)
    local got = n and table.move(caps, 1, n, 1, {}) or false
    check.equals(got, case[3], case[1] .. " ~ " .. case[2])
end

-- What cannot match ends soon, however often its literal stands in the segment.
do
    local segment = pattern.parse("/:a-:b-:c-:d-:e{%d}")[1]
    local start = os.clock()
    check.equals(pattern.match(segment, ("-"):rep(300), {}, 0), nil)
    check.truthy(os.clock() - start < 2, "bounded work")
end

-- Which of two segments stands first.
for _, case in ipairs {
    { "a:x", ":x" }, { "img-:x", "a:x{int}" }, { ":x{int}", ":x" }, { ":x{%d}", ":x" },
    { ":x{int}", ":x{slug}" }, { ":x{%d}", ":x{slug}" }, { ":x{int}", ":x{%d}" }, { "a:x", ":xa" },
    { ":a{int}-:b{int}", ":a{int}-:b" }, { ":a{int}-:b", ":a-:b" },
} do
    local a, b = pattern.parse("/" .. case[1])[1], pattern.parse("/" .. case[2])[1]
    if case[2] == ":xa" then b = pattern.parse("/:x.")[1] end
    check.equals(pattern.before(a, b), true, case[1] .. " < " .. case[2])
    check.equals(pattern.before(b, a), false, case[2] .. " < " .. case[1])
end

-- Prefixes against routes.
for _, case in ipairs {
    { "/a", "/a/b", "always" }, { "/a", "/b", "never" }, { "/a/b", "/a", "never" },
    { "/a", "/:x/y", "maybe" }, { "/:x", "/a", "always" }, { "/a", "/*x", "maybe" },
    { "/:x{int}", "/:y{int}/z", "always" }, { "/:x{int}", "/:y", "maybe" }, { "/", "/q", "always" },
    { "/a/c", "/:x/b", "never" },
} do
    local prefix, route = pattern.parse(case[1]), pattern.parse(case[2])
    check.equals(pattern.relation(prefix, route), case[3], case[1] .. " over " .. case[2])
end

for _, case in ipairs {
    { "/", {}, "/" }, { "/a/", {}, "/a/" }, { "/ü:x", { x = 1 }, "/%C3%BC1" },
    { "/u/:n", { n = "a b/c?" }, "/u/a%20b%2Fc%3F" }, { "/u/:n", { n = 5.0 }, "/u/5" },
    { "/f/*p", { p = "a b/c" }, "/f/a%20b/c" }, { "/f/*p", { p = "" }, "/f/" },
    { "/p/:id{%x+}.jpg", { id = "ff" }, "/p/ff.jpg" },
    { "/u/:n", {}, nil, '"n" is missing' },
    { "/u/:n", { n = 1, m = 2 }, nil, '"m" is not in /u/:n' },
    { "/u/:n{int}", { n = "x" }, nil, '"n" does not match' }, { "/u/:n", { n = "" }, nil, '"n"' },
    { "/u/:n", { n = ".." }, nil, '"n" cannot be "%.%."' },
    { "/u/:n", { n = {} }, nil, '"n" must be' },
    { "/f/*p", { p = "../x" }, nil, '"p" holds a segment' },
    { "/f/*p", { p = "/x" }, nil, "slash" },
    { "/u/:n{int}", { n = -1 }, nil, '"n" does not match' },
} do
    local path, why = pattern.build(pattern.parse(case[1]), case[2])
    check.equals(path, case[3], case[1])
    if case[4] then check.matches(why, case[4], case[1]) end
end

for _, case in ipairs { { 5, 5 }, { 2.0 ^ 20, 1048576 }, { "20M", 20971520 }, { "64K", 65536 },
    { "7", 7 }, { -1, nil }, { 1.5, nil }, { "x", nil }, { "5Q", nil }, { true, nil } } do
    check.equals(units.size(case[1]), case[2], "size " .. tostring(case[1]))
end
for _, case in ipairs { { 5, 5 }, { "5m", 300 }, { "1d", 86400 }, { "250ms", 0.25 }, { 0, nil },
    { "5y", nil }, { -1, nil }, { 1 / 0, nil } } do
    local got = units.duration(case[1])
    check.truthy(got == case[2], "duration " .. tostring(case[1]))
end
check.equals(suggest.nearest("nmae", { name = 1, use = 1 }), "name")
check.equals(suggest.nearest("x", {}), nil)

-- What can never match is refused with a sentence.
do
    local parse = require "lunette.pattern".parse
    for text, why in pairs {
        ["/a?x=1"] = 'holds "%?"', ["/a#b"] = 'holds "#"', ["/a%20b"] = 'holds "%%20"',
        ["/a/./b"] = 'segment "%."', ["/a/.."] = 'segment "%.%."', ["/u/<id>"] = "written :id",
        ["/u/{id}/x"] = "written :id",
    } do
        local p, said = parse(text)
        check.equals(p, nil, text)
        check.matches(said, why, text)
    end
    for _, text in ipairs { "/grün", "/a.b/...", "/100%", "/.:x", "/..:x", "/.well-known/x" } do
        check.truthy(parse(text), text)
    end
end

check.done()
