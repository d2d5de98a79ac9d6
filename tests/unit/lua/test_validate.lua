-- Schemas: what they take, what they refuse and in which words; and the route options made of them.

local check = dofile "tests/unit/lua/check.lua"
local fake = dofile "tests/unit/lua/fake.lua"

local app = fake.open()
local validate = require "lunette.validate"

-- One field "f" by a rule: the value, or the sentence.
local function one(rule, v, text)
    local values, wrong = validate.schema { f = rule }:check({ f = v }, { text = text })
    if values then return values.f end
    local path, why = next(wrong)
    return nil, (path == "f" and "" or path .. ": ") .. why
end

local function holds(rule, v, want, text)
    local got, why = one(rule, v, text)
    check.equals(got, want, ("%s of %s: %s"):format(type(rule) == "table" and rule[1] or rule,
        tostring(v), tostring(why)))
end

-- rule, value, what becomes of it
for _, case in ipairs {
    { "string", "", "" }, { { "string", trim = true, max = 1 }, " a ", "a" },
    { { "string", max = 2 }, "üü", "üü" }, { { "string", pattern = "%l+" }, "abc", "abc" },
    { { "string", one_of = { "a", "b" } }, "b", "b" },
    { "integer", 5, 5 }, { "integer", 5.0, 5 }, { { "integer", min = 1, max = 1 }, 1, 1 },
    { "integer", math.mininteger, math.mininteger }, { "number", 0.5, 0.5 }, { "number", 3, 3 },
    { "boolean", false, false }, { "boolean", true, true },
    { "email", "a.b+c@x-y.example.org", "a.b+c@x-y.example.org" }, { "email", " a@b ", "a@b" },
    { "url", "HTTPS://x.org:80/a?b#c", "HTTPS://x.org:80/a?b#c" }, { "url", "http://[::1]/", "http://[::1]/" },
    { "date", "2024-02-29", "2024-02-29" }, { "date", "2000-02-29", "2000-02-29" },
    { "uuid", "123E4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000" },
    { { "array", of = "integer", max = 2 }, { 1, 2 }, { 1, 2 } }, { "array", {}, {} },
    { { "array", of = { "array", of = "integer" } }, { { 1 }, {} }, { { 1 }, {} } },
    { { "object", fields = { a = "string" } }, { a = "x", b = "y" }, { a = "x" } },
    { validate.schema { a = "string" }, { a = "x" }, { a = "x" } },
    { { "string", check = function(v) return v:upper() end }, "a", "A" },
    { { "string", check = function() return true end }, "a", "a" },
    { { "boolean", check = function(v) return not v end }, true, false },
    { { "string", optional = true }, nil, nil }, { { "integer", default = 7 }, nil, 7 },
    { { "boolean", default = false }, nil, false }, { { "string", default = function() return "now" end }, nil, "now" },
} do
    holds(case[1], case[2], case[3])
end

-- From text.
for _, case in ipairs {
    { "integer", "5", 5 }, { "integer", " +5 ", 5 }, { "integer", "-0", 0 }, { "integer", 5, 5 },
    { "number", "1.5e3", 1500.0 }, { "number", ".5", 0.5 }, { "number", "7", 7 },
    { "boolean", "on", true }, { "boolean", "TRUE", true }, { "boolean", "1", true },
    { "boolean", "no", false }, { "boolean", "0", false }, { "string", "", "" },
    { { "integer", optional = true }, "", nil }, { { "integer", default = 3 }, "", 3 },
    { { "date", optional = true }, "", nil }, { { "array", of = "integer" }, "4", { 4 } },
} do
    holds(case[1], case[2], case[3], true)
end

-- rule, value, the sentence, whether it is text
for _, case in ipairs {
    { "string", nil, "f is required" }, { "string", 5, "f must be a string" },
    { "string", "\255", "f must be UTF-8" }, { { "string", min = 1 }, "", "f must not be empty" },
    { { "string", min = 1, trim = true }, "  ", "f must not be empty" },
    { { "string", min = 3 }, "üü", "f must have at least 3 characters" },
    { { "string", max = 1 }, "ab", "f must have at most 1 character" },
    { { "string", pattern = "%l+" }, "abC", "f does not have the right form" },
    { { "string", one_of = { "a", "b" } }, "c", "f must be one of a, b" },
    { "integer", "5", "f must be an integer" }, { "integer", 5.5, "f must be an integer" },
    { "integer", 2 ^ 63, "f must be an integer" }, { "integer", "5.0", "f must be an integer", true },
    { "integer", "0x10", "f must be an integer", true }, { "integer", "99999999999999999999", "f must be an integer", true },
    { "integer", "", "f is required", true }, { "integer", true, "f must be an integer" },
    { { "integer", min = 2 }, 1, "f must be at least 2" }, { { "integer", max = 2 }, 3, "f must be at most 2" },
    { "number", "1", "f must be a number" }, { "number", "nan", "f must be a number", true },
    { "number", "1e999", "f must be a number", true }, { "number", "0x1p4", "f must be a number", true },
    { "number", ".", "f must be a number", true }, { "number", 0 / 0, "f must be a number" },
    { "boolean", "true", "f must be true or false" }, { "boolean", "perhaps", "f must be true or false", true },
    { "boolean", 1, "f must be true or false" },
    { "email", "a", "f must be an email address" }, { "email", "a@", "f must be an email address" },
    { "email", "a@-b.org", "f must be an email address" }, { "email", "a@b..org", "f must be an email address" },
    { "email", "a b@c.org", "f must be an email address" }, { "email", "a@b\n.org", "f must be an email address" },
    { "email", ("a"):rep(250) .. "@b.org", "f must be an email address" },
    { "url", "javascript:alert(1)", "f must be a URL like https://example.com/" },
    { "url", "http://", "f must be a URL like https://example.com/" },
    { "url", "http://a@b/", "f must be a URL like https://example.com/" },
    { "url", "http://a/ b", "f must be a URL like https://example.com/" },
    { { "url", max = 9 }, "http://abc/", "f must have at most 9 characters" },
    { "date", "2023-02-29", "f must be a date like 2026-02-28" }, { "date", "1900-02-29", "f must be a date like 2026-02-28" },
    { "date", "2023-13-01", "f must be a date like 2026-02-28" }, { "date", "2023-00-10", "f must be a date like 2026-02-28" },
    { { "date", min = "2024-01-01" }, "2023-12-31", "f must not be before 2024-01-01" },
    { { "date", max = "2024-01-01" }, "2024-01-02", "f must not be after 2024-01-01" },
    { "uuid", "123e4567-e89b-12d3-a456-42661417400", "f must be a UUID" }, { "uuid", "x", "f must be a UUID" },
    { "array", "x", "f must be an array" }, { "array", { a = 1 }, "f must be an array" },
    { { "array", min = 1 }, {}, "f must not be empty" }, { { "array", max = 1 }, { "a", "b" }, "f must have at most 1 element" },
    { { "array", of = "integer" }, { 1, "x" }, "f[2]: f[2] must be an integer" },
    { { "array", of = { "object", fields = { n = "integer" } } }, { { n = 1 }, {} }, "f[2].n: f[2].n is required" },
    { { "object", fields = { a = "string" } }, "x", "f must be an object" },
    { { "object", fields = { a = "string" } }, { "x" }, "f must be an object" },
    { { "object", fields = { a = "string" }, strict = true }, { a = "x", aa = 1 },
        'f.aa: f.aa is not known (the nearest known one is "a")' },
    { { "string", label = "The title" }, nil, "The title is required" },
    { { "integer", message = "Give a number." }, "x", "Give a number.", true },
    { { "string", check = function() return nil, "It is taken." end }, "a", "It is taken." },
    { { "string", check = function() return nil end }, "a", "f is not valid" },
} do
    local got, why = one(case[1], case[2], case[4])
    check.equals({ got or false, why }, { false, case[3] })
end

do
    local s = validate.schema { l = { "array", default = { "a" } } }
    local first, second = s:check {}, s:check {}
    check.equals({ first, second, first.l ~= second.l }, { { l = { "a" } }, { l = { "a" } }, true })
end

-- Every error at once, by field; repeated fields of a form.
do
    local s = validate.schema({ title = { "string", min = 1 }, page = { "integer", default = 1 },
        tags = { "array", of = { "string", max = 2 } } }, { strict = true })
    check.equals({ s:check { tags = { "a", "bcd" }, page = "x", more = 1 } }, { nil, {
        title = "title is required", page = "page must be an integer",
        ["tags[2]"] = "tags[2] must have at most 2 characters", more = "more is not known",
    } })
    check.equals(s:check({ title = "t", tags = "b" }, { text = true, all = { tags = { "a", "b" } } }),
        { title = "t", page = 1, tags = { "a", "b" } })
    check.equals({ s:check("x") }, { nil, { [""] = "this must be an object" } })
    local many = {}
    for i = 1, 1000 do many[i] = i end
    local _, wrong = validate.schema { l = "array", m = "integer" }:check { l = many, m = "x" }
    local n = 0
    for _ in pairs(wrong) do n = n + 1 end
    check.equals(n, 100, "errors have a bound")
end

-- Misuse.
for pat, fn in pairs {
    ["unknown option \"mni\" %(the nearest known one is \"min\"%)"] = function() validate.schema { a = { "string", mni = 1 } } end,
    ["the string \"strin\" is no type %(.*\"string\"%)"] = function() validate.schema { a = "strin" } end,
    ["nil is no type"] = function() validate.schema { a = {} } end,
    ["a must be a table"] = function() validate.schema { a = 5 } end,
    ["the name of a field must be a string"] = function() validate.schema { "string" } end,
    ["a: min must be an integer from 0"] = function() validate.schema { a = { "string", min = -1 } } end,
    ["a: max must be a date"] = function() validate.schema { a = { "date", max = "2023-02-30" } } end,
    ["a: min must be a number"] = function() validate.schema { a = { "integer", min = "1" } } end,
    ["min is more than max"] = function() validate.schema { a = { "number", min = 2, max = 1 } } end,
    ["a: pattern: "] = function() validate.schema { a = { "string", pattern = "[" } } end,
    ["a: check must be a function"] = function() validate.schema { a = { "string", check = 1 } } end,
    ["one_of is empty"] = function() validate.schema { a = { "string", one_of = {} } } end,
    ["fields is missing"] = function() validate.schema { a = "object" } end,
    ["o.b: its default: b must be an integer"] = function()
        validate.schema { o = { "object", fields = { b = { "integer", default = "x" } } } }
    end,
    ["unknown option \"stric\""] = function() validate.schema({}, { stric = true }) end,
    ["nest deeper than 32"] = function()
        local t = { "array" }
        t.of = t
        validate.schema { a = t }
    end,
    ["call with a colon"] = function() validate.schema({}).check {} end,
} do
    check.misuse(fn, pat)
end

-- --- route options ---

local function nothing() return "x" end

check.misuse(function() app.get("/a", { query = { a = "objekt" } }, nothing) end, "app.get: query: a: .* is no type")
check.misuse(function() app.get("/b", { query = { a = { "object", fields = {} } } }, nothing) end, "query.a: a query has no objects")
check.misuse(function() app.get("/c", { query = { a = "string" }, params = { a = "string" } }, nothing) end,
    '"a" is in params and in query')
check.misuse(function() app.post("/d", { form = {}, stream_body = true }, nothing) end, "form needs the whole body")
check.misuse(function() app.get("/e", { query = 5 }, nothing) end, "query: .*must be a table")
check.misuse(function() app.get("/f", { query = {}, invalid = "x" }, nothing) end, "invalid must be a function")

local site = fake.site(function(api)
    local schema = require "lunette.validate".schema { page = { "integer", default = 1 }, sort = { "string", optional = true } }
    api.get("/list/:id", { query = schema, params = { id = { "integer", min = 5 } } }, function(req)
        return ("%d %d %s"):format(req.valid.id, req.valid.page, tostring(req.valid.sort))
    end)
    api.post("/form", { form = { tags = { "array", of = "integer" } }, invalid = function(_, errors)
        return "<p>" .. errors["tags[2]"]
    end }, function(req) return #req.valid.tags .. "" end)
    api.get("/own/:how", { params = { how = { "string", max = 0 } }, invalid = function(req)
        if req.params.how == "redirect" then return api.redirect("/back", 303) end
        if req.params.how == "named" then return 409, "named" end
        if req.params.how == "page" then return api.html("page") end
        if req.params.how == "json" then return { a = 1 } end
    end }, nothing)
    api.group("/g", { query = { q = "string" } }, function(g)
        g.get("/in", function(req) return req.valid.q end)
        g.get("/out", { query = false }, function(req) return tostring(req.valid) end)
    end)
end)
check.equals(site:body("GET", "/list/7", { query = { page = "2", sort = "a", x = "y" } }), "7 2 a")
check.equals(site:body("GET", "/list/7", { query = {} }), "7 1 nil")
do
    local res = site:ask("GET", "/list/4", { query = { page = "x" } })
    check.equals({ res.status, res.headers["Content-Type"] }, { 422, "application/problem+json" })
    check.equals({ res.body.status, res.body.errors }, { 422, { id = "id must be at least 5",
        page = "page must be an integer" } })
    check.equals(site.core.logged[#site.core.logged],
        "info 422 GET /list/4: id must be at least 5; page must be an integer")
    res = site:ask("GET", "/list/4", { query = {}, accept = "text/html" })
    check.equals({ res.status, res.headers["Content-Type"], res.body }, { 422, "text/html; charset=utf-8",
        "<422 id must be at least 5>" })
end
check.equals(site:body("POST", "/form", { form = { tags = "2" }, form_all = { tags = { "1", "2" } } }), "2")
do
    local res = site:ask("POST", "/form", { form = { tags = "x" }, form_all = { tags = { "1", "x" } } })
    check.equals({ res.status, res.body }, { 422, "<p>tags[2] must be an integer" })
end
for how, want in pairs { redirect = 303, named = 409, page = 422, json = 422, nothing = 500 } do
    check.equals(site:ask("GET", "/own/" .. how).status, want, how)
end
check.matches(site.core.logged[1], "info 422")
check.equals(site:body("GET", "/g/in", { query = { q = "v" } }), "v")
check.equals(site:ask("GET", "/g/in", { query = {} }).status, 422)
check.equals(site:body("GET", "/g/out", { query = {} }), "nil")

-- Whatever comes in, check gives values or sentences, and raises never.
do
    math.randomseed(11)
    local s = validate.schema({ a = "integer", b = { "array", of = { "array", of = "number" } }, c = "email",
        d = "url", e = "date", f = { "object", fields = { g = "string", h = "boolean" } }, i = "uuid" }, { strict = true })
    local VALUES = { "", "\0", "\255", "a@b", "http://x", "2024-01-01", "1", "-", 1, 1.5, 1e308, -0.0, 0 / 0, true, false,
        math.mininteger, ("x"):rep(1000) }
    local function any(depth)
        local kind = math.random(depth > 3 and 1 or 3)
        if kind == 1 then return VALUES[math.random(#VALUES)] end
        local t = {}
        for i = 1, math.random(0, 4) do
            t[kind == 2 and i or ("abcdefghi"):sub(i, i)] = any(depth + 1)
        end
        return t
    end
    for _ = 1, 5000 do
        local t = {}
        for name in ("abcdefghi"):gmatch(".") do t[name] = any(1) end
        local ok, values, wrong = pcall(s.check, s, t, { text = math.random(2) == 1 })
        check.truthy(ok, tostring(values))
        check.truthy(values or next(wrong), "values or errors")
    end
end

check.done()
