-- Routes in each other's way, made-up paths, and what is said of routes that do not answer.

local check = dofile "tests/unit/lua/check.lua"
local fake = dofile "tests/unit/lua/fake.lua"

package.preload["lunette.task"] = function() return { sleep = function() end } end

local COMMANDS = { "conflicts", "describe", "meeting", "near", "samples" }

-- A fresh site, and the command's modules over it.
local function load_site(declare)
    for _, name in ipairs(COMMANDS) do package.loaded["lunette.command." .. name] = nil end
    fake.site(declare)
    local modules = {}
    for _, name in ipairs(COMMANDS) do modules[name] = require("lunette.command." .. name) end
    return modules
end

local function handler() return 204 end

-- --- samples ---

local m = load_site()
local pattern = require "lunette.pattern"
local router = require "lunette.router"

-- Every sample matches its own pattern, and there are some.
for _, text in ipairs { "/", "/a", "/a/", "/:x", "/a/:x/b", "/:x{int}", "/:x{uuid}", "/:x{slug}",
    "/:x{%d+}", "/:x{[a-f]%x*}.jpg", "/img-:w{%d%d?}x:h{%d+}", "/*rest", "/a/*rest", "/:x{[^/]-}/:y",
    "/:x{(%a+)-(%d+)}", "/:x{%.%.%.+}", "/:x{.}" } do
    local p = assert(pattern.parse(text))
    local r = router.new()
    router.add(r, { pattern = p, methods = { "GET" } })
    local paths = m.samples.paths(p)
    check.truthy(#paths > 0, text)
    for _, path in ipairs(paths) do
        router.load_segments(path)
        check.truthy(router.find(r, "GET"), text .. " matches /" .. table.concat(path, "/"))
    end
end
-- What cannot be made up gives none, and is never said to be unreachable.
for _, text in ipairs { "/:x{%b()}", "/:x{%f[%a]%a+}", "/:x{(%a)%1}" } do
    check.equals(m.samples.paths(assert(pattern.parse(text))), {}, text)
end

-- --- unreachable and ambiguous ---

local function names(list, a, b)
    local out = {}
    for _, one in ipairs(list) do
        out[#out + 1] = one[a].pattern.text .. " < " .. one[b].pattern.text
    end
    table.sort(out)
    return table.concat(out, ", ")
end

local function unreachable(declare)
    return names(load_site(declare).conflicts.unreachable(), "route", "by")
end

local function ambiguous(declare)
    return names(load_site(declare).conflicts.ambiguous(), "second", "first")
end

local function gets(...)
    local texts = { ... }
    return function(app)
        for _, text in ipairs(texts) do app.get(text, handler) end
    end
end

local NONE = "" -- no conflict
for _, row in ipairs {
    { gets("/a", "/:x", "/*rest"), NONE },
    { gets("/:x{%d+}", "/:x{int}"), NONE },  -- 20 digits are no int
    { gets("/:x{int}", "/7", "/0", "/42"), NONE },
    { gets("/a/:x", "/:y/b"), NONE },
    { gets("/:x{slug}", "/:y{%w+}"), NONE }, -- "-"
    { gets("/:x{.+}", "/:y"), "/:y < /:x{.+}" },
    { gets("/:y", "/:x{[^/]+}"), "/:y < /:x{[^/]+}" },
    { gets("/a/:x{.*}", "/a/:y", "/a/b"), "/a/:y < /a/:x{.*}" },
    { gets("/:x{.+}/z", "/:y/z", "/:y/w"), "/:y/z < /:x{.+}/z" },
    { gets("/:x{%d+}", "/:y{[0-9]+}"), "/:y{[0-9]+} < /:x{%d+}" },
    { gets("/a-:x{.+}", "/a-:y"), "/a-:y < /a-:x{.+}" },
} do
    check.equals(unreachable(row[1]), row[2], row[2])
end

-- Strict routes of both forms leave nothing to one that is not.
check.equals(unreachable(function(app)
    app.get("/a", { strict = true }, handler)
    app.get("/a/", { strict = true }, handler)
    app.get("/a", handler)
end), "/a < /a")
check.equals(unreachable(function(app)
    app.get("/a", { strict = true }, handler)
    app.get("/a", handler)
end), NONE)

-- By method: one that is still answered for is reached.
local methods = load_site(function(app)
    app.get("/:x{.+}", handler)
    app.any("/:y", handler)
end).conflicts.unreachable()
check.equals(#methods, 1)
check.equals(table.concat(methods[1].methods, ","), "GET,HEAD", "GET answers HEAD")
check.equals(unreachable(function(app)
    app.get("/:x{.+}", handler)
    app.post("/:y", handler)
end), NONE)

-- Hosts: the app's own route serves all that no host has taken.
check.equals(unreachable(function(app)
    app.get("/a", handler)
    app.host("x.test", function(h) h.get("/a", handler) end)
end), NONE)
check.equals(unreachable(function(app)
    app.get("/a", handler)
    app.host("x.test", function(h) h.get("/a", handler) end)
    app.host("*", function(h) h.get("/a", handler) end)
end), "/a < /a")

for _, row in ipairs {
    { gets("/:x{%d+}", "/:y{%w+}"), "/:y{%w+} < /:x{%d+}" },
    { gets("/:x{%d+}", "/:y{%a+}"), NONE },
    { gets("/:x{int}", "/:y{%w+}"), NONE },  -- a named pattern goes first
    { gets("/:x", "/:y{%w+}"), NONE },
    { gets("/a/:x{%d+}/b", "/a/:y{%w+}/b"), "/a/:y{%w+}/b < /a/:x{%d+}/b" },
    { gets("/a/:x{%d+}/b", "/a/:y{%w+}/c"), NONE },
    { gets("/:x{%d+}/:z", "/:y{%w+}/c"), "/:y{%w+}/c < /:x{%d+}/:z" },
    { gets("/:x{int}", "/:y{uuid}"), NONE },
    { gets("/:a-b", "/b-:a"), NONE },        -- text in front goes first
} do
    check.equals(ambiguous(row[1]), row[2], row[2])
end
check.equals(ambiguous(function(app)
    app.get("/:x{%d+}", handler)
    app.post("/:y{%w+}", handler)
end), NONE, "no method in common")

-- However many routes there are, a path in common is found and none is looked for in vain: pairs that
-- are compared grow with the routes, not with their square.
local function pairs_compared(count, declare)
    local modules, compared = load_site(function(app)
        for i = 1, count do declare(app, i) end
    end), 0
    local parting = modules.near.parting
    modules.near.parting = function(...)
        compared = compared + 1
        return parting(...)
    end
    local found = modules.conflicts.ambiguous()
    modules.near.parting = parting
    return compared, #found
end

for _, row in ipairs {
    { "literals", 0, "/a/b%d" },
    { "one shape", 0, "/:x{%%d+}/b%d" },
    { "texts in front", 0, "/b%d-:x{%%d+}" },
    { "two shapes", 1000, "/:x{%%d+}/b%d/c", "/:y{%%w+}/b%d/c" },
    { "two shapes, with rests", 1000, "/:x{%%d+}/b%d/*c", "/:y{%%w+}/b%d/*d" },
    { "lengths", 0, "/:x{%%d+}/b%d/c/:d", "/:y{%%w+}/b%d/c" },
    { "captures before", 1000, "/:x{%%d+}/:z/b%d", "/:y{%%w+}/:z/b%d" },
} do
    local compared, found = pairs_compared(1000, function(app, i)
        for k = 3, #row do app.get(row[k]:format(i), handler) end
    end)
    check.equals(found, row[2], row[1])
    check.truthy(compared <= 2000, row[1] .. ": " .. compared)
end

-- --- why not ---

local function why_not(declare, method, path, host)
    local modules = load_site(declare)
    local segments = {}
    for s in path:gmatch("/([^/]*)") do segments[#segments + 1] = s end
    local found = modules.meeting.explain(method, host or "localhost", segments)
    local look = { method = method, segments = segments, view = found.view, route = found.route }
    local out = {}
    for _, route in ipairs(modules.describe.all_routes(require "lunette.app".site)) do
        local why = route ~= found.route and modules.near.why_not(route, look)
        if why then out[#out + 1] = route.pattern.text .. ": " .. why end
    end
    return table.concat(out, "; ")
end

for _, row in ipairs {
    { gets("/a/b"), "/a/c", '/a/b: "c" is not "b"' },
    { gets("/a/:id{int}"), "/a/c", '/a/:id{int}: "c" does not match :id{int}' },
    { gets("/a/:id{%d+}.jpg"), "/a/c.png", '/a/:id{%d+}.jpg: "c.png" does not match :id{%d+}.jpg' },
    { gets("/a/b", "/a/:x"), "/a/b", "/a/:x: GET /a/b is more specific" },
    { gets("/:x{%d+}", "/:y{%w+}"), "/7", "/:y{%w+}: GET /:x{%d+} is as specific, and declared first" },
    { gets("/a/*rest"), "/b/c", '/a/*rest: "b" is not "a"' },
    { gets("/a/b/c"), "/a/b", "/a/b/c: the path has one segment less" },
    { gets("/a/b"), "/a/b/c", "/a/b: the path has one segment more" },
    { gets("/a/b/c/d", "/x/y", "/"), "/a/b", "" },
} do
    check.equals(why_not(row[1], "GET", row[2]), row[3], row[2])
end
check.equals(why_not(function(app)
    app.post("/a", handler)
    app.route({ "PUT", "PATCH" }, "/a", handler)
end, "GET", "/a"), "/a: it answers POST only; /a: it answers PUT, PATCH only")
check.equals(why_not(function(app)
    app.get("/a", handler)
end, "HEAD", "/a"), "", "GET answers HEAD")
check.equals(why_not(function(app)
    app.get("/a", { strict = true }, handler)
    app.get("/b/", { strict = true }, handler)
end, "GET", "/a/"), '/a: it is strict: its paths do not end with /; /b/: "a" is not "b"')
check.equals(why_not(function(app)
    app.get("/a", handler)
    app.host("x.test", function(h) h.get("/a", handler) end)
end, "GET", "/a"), "/a: it is for the host x.test")
check.equals(why_not(function(app)
    app.get("/a", handler)
    app.host("x.test", function(h) h.get("/a", handler) end)
end, "GET", "/a", "x.test:8080"), "/a: the host x.test has a route of its own")

check.done()
