-- Response helpers, url_for and the methods of requests.

local check = dofile "tests/unit/lua/check.lua"
local fake = dofile "tests/unit/lua/fake.lua"

local app = fake.open()

local function plain(res)
    return { res.status, res.headers["Content-Type"] or false, res.body }
end

check.equals(plain(app.json({ a = 1 })), { 200, "application/json", { a = 1 } })
check.equals(plain(app.json("x", 201)), { 201, "application/json", '"x"' })
check.equals(plain(app:json(nil)), { 200, "application/json", "nil" })
check.equals(plain(app.html("<p>", 404)), { 404, "text/html; charset=utf-8", "<p>" })
check.equals(plain(app.text("t", { ["X-A"] = "1" })), { 200, "text/plain; charset=utf-8", "t" })
check.equals(app.text("t", nil, { ["content-type"] = "a/b" }).headers, { ["content-type"] = "a/b" })
check.equals(plain(app.problem(404, "gone", { id = 7 })), { 404, "application/problem+json",
    { type = "about:blank", title = "Not Found", status = 404, detail = "gone", id = 7 } })
check.equals(plain(app.response(204)), { 204, false, nil })
check.equals(app.response(200, { A = "b" }, "c").headers, { A = "b" })
check.equals({ app.settings, app.dev, app.data }, { { a = 1 }, false, "/d" })

local given = { A = "1" }
app.html("x", 200, given)
app.redirect("/", 302, given)
check.equals(given, { A = "1" }, "the author's headers stay as they were")

local r = app.response(200)
r:add_header("Link", "a")
r:add_header("link", "b")
r:add_header("LINK", "c")
check.equals(r.headers, { Link = { "a", "b", "c" } })
check.misuse(function() r.add_header("Link", "a") end, "call with a colon")

for _, case in ipairs { { "/a b", "/a%20b" }, { "/ü?x=%20", "/%C3%BC?x=%20" },
    { "https://x.org/a#b", "https://x.org/a#b" }, { "/a\r\nX: y", "/a\r\nX:%20y" } } do
    check.equals(app.redirect(case[1]).headers.Location, case[2])
end
check.equals(app.redirect("/", 303).status, 303)

-- redirect_back stays on the site.
for _, case in ipairs {
    { "http://localhost:8080/a?b", "http://localhost:8080/a?b" },
    { "HTTP://LocalHost:8080/a", "HTTP://LocalHost:8080/a" },
    { "http://localhost/a", "/f" }, { "https://localhost:8080/a", "/f" },
    { "http://evil.com/", "/f" }, { "http://evil.com:8080/", "/f" },
    { "http://localhost:8080@evil.com/", "/f" },
    { "http://localhost:8080.evil.com/", "/f" }, { "http://localhost:8080\\@evil.com/", "/f" },
    { "//evil.com", "/f" }, { "/relative", "/f" }, { "", "/f" },
} do
    local req = { scheme = "http", host = "localhost", port = 8080 }
    req.headers = { referer = case[1] }
    check.equals(app.redirect_back(req, "/f").headers.Location, case[2], case[1])
end

-- app.file is opened for its request.
do
    local site = fake.site(function(a)
        a.get("/f", function() return a.file("a.txt", nil, { ["X-A"] = "1" }) end)
        a.get("/g", function() return a.file("none") end)
        a.get("/h", function() return a.file("none", { missing = 410 }) end)
        a.get("/m", { use = { function(req, handle) return handle(req) end } }, function()
            return a.file("a.txt")
        end)
    end, { site = { ["a.txt"] = "text" } })
    local res = site:ask("GET", "/f")
    check.equals({ res.status, res.body, res.headers["X-A"], res.headers.ETag },
        { 200, "text", "1", '"f"' })
    check.equals(site:ask("GET", "/g").status, 404)
    check.equals(site:ask("GET", "/h").status, 410)
    check.equals(site:body("GET", "/m"), "text")
end

-- url_for.
do
    local site = fake.site(function(a)
        a.get("/u/:n{int}/*rest", { name = "u" }, function() return "" end)
        a.group("/g/:lang", function(g) g.get("/x/", { name = "g" }, function() return "" end) end)
    end)
    local a = site.app
    check.equals(a.url_for("u", { n = 7, rest = "a b/c" }), "/u/7/a%20b/c")
    check.equals(a:url_for("g", { lang = "de" }, { q = "a&b", p = { 1, 2 }, t = true }),
        "/g/de/x/?p=1&p=2&q=a%26b&t=true")
    local req = { scheme = "https", host = "example.com", port = 8443 }
    check.equals(a.url_for("g", { lang = "de" }, nil, { absolute = true, req = req }),
        "https://example.com:8443/g/de/x/")
    req.port = 443
    check.equals(a.url_for("g", { lang = "de" }, {}, { absolute = true, req = req }),
        "https://example.com/g/de/x/")
    check.misuse(function() a.url_for("u", { n = 7 }) end, '"u": parameter "rest" is missing')
    check.misuse(function() a.url_for("u", { n = "x", rest = "" }) end, '"n" does not match')
    check.misuse(function() a.url_for("u", { n = 1, rest = "", z = 1 }) end, '"z" is not in')
    check.misuse(function() a.url_for("uu") end, 'nearest known one is "u"')
    check.misuse(function() a.url_for("g", { lang = "x" }, { p = print }) end, 'query\'s "p"')
end

-- Methods of requests, called in a handler.
local function within(fields, fn)
    local result
    local site = fake.site(function(a)
        a.get("/", function(req) result = table.pack(fn(req)) return "" end)
    end)
    local res = site:ask("GET", "/", fields)
    return result and result[1], res, site.req
end

for _, case in ipairs {
    { "12", nil, 12 }, { "-3", nil, -3 }, { "+3", nil, 3 }, { "1.5", nil, "must be an integer" },
    { "", nil, "must be an integer" }, { "9223372036854775808", nil, "must be an integer" },
    { nil, nil, "n is missing" }, { nil, { default = 5 }, 5 }, { "1", { min = 2 }, "at least 2" },
    { "3", { max = 2 }, "at most 2" }, { "2", { min = 2, max = 2 }, 2 }, { "0x1", nil, "integer" },
} do
    local got, res = within({ query = { n = case[1] } }, function(req)
        return req:int("n", case[2])
    end)
    if type(case[3]) == "string" then
        check.equals(res.status, 400, case[1])
        check.matches(res.body, "n .*" .. case[3]:gsub("^n ", ""), case[1])
    else
        check.equals(got, case[3], case[1])
    end
end
check.equals((within({ cookies = { n = "4" } }, function(req)
    return req:int("n", { from = "cookies" })
end)), 4)

check.equals((within({ accept = "application/json" }, function(req)
    return req:accepts("html", "json")
end)), "json")
check.equals((within({}, function(req) return req:accepts { "json", "html" } end)), "json")
check.equals((within({ accept = "x/y" }, function(req) return req:accepts("json") end)), nil)
check.equals((within({ accept = "de" }, function(req)
    return req:accepts_language("en", "de")
end)), "de")
local _, _, req = within({ accept = "br" }, function(q) return q:accepts_encoding("br") end)
check.equals(req.varied, "Accept-Encoding")
local choices = { json = function() return "j" end, html = function() return "h" end }
local function negotiate(q) return q:negotiate(choices) end
check.equals((within({}, negotiate)), "h")
check.equals((within({ accept = "application/json" }, negotiate)), "j")
check.equals(select(2, within({ accept = "a/b" }, negotiate)).status, 406)

for _, case in ipairs { { "failed", nil, 412 }, { "not_modified", nil, 304 }, { nil, nil, 200 },
    { nil, { required = true }, 428 }, { "go", { required = true }, 200 } } do
    local _, res = within({ verdict = case[1] }, function(q) q:check("v1", 0, case[2]) end)
    check.equals(res.status, case[3])
    if case[3] == 304 then
        check.equals({ res.headers.ETag, res.headers["Last-Modified"] },
            { '"v1"', "Thu, 01 Jan 1970 00:00:00 GMT" })
    end
end

_, _, req = within({ scheme = "https" }, function(q) q:set_cookie("a", "b") end)
check.equals(req.added, { "Set-Cookie", "a=b; Secure" })
_, _, req = within({}, function(q) q:set_cookie("a", "b") end)
check.equals(req.added, { "Set-Cookie", "a=b" })
_, _, req = within({}, function(q) q:expire_cookie("a") end)
check.equals(req.added, { "Set-Cookie", "a=; Max-Age=0" })
_, _, req = within({}, function(q) q:add_header("X", 1) end)
check.equals(req.added, { "X", "1" })
_, _, req = within({}, function(q) q:after(print) end)
check.equals(req.later, print)

for _, call in ipairs {
    function(q) q.int("n") end, function(q) q.accepts("html") end, function(q) q.after(print) end,
    function(q) q.set_cookie("a", "b") end, function(q) q.negotiate { html = print } end,
} do
    within({}, function(q) check.misuse(call, "call with a colon", q) end)
end
within({}, function(q)
    check.misuse(function() q:int("n", { form = "query" }) end, '"form".*"from"')
    check.misuse(function() q:int("n", { from = "qeury" }) end, '"query"')
    check.misuse(function() q:accepts("htm") end, 'unknown type "htm".*"html"')
    check.misuse(function() q:accepts() end, "nothing is offered")
end)

check.done()
