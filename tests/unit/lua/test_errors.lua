-- Errors: abort, failing handlers, error pages, and misuse with the line it stands on.

local check = dofile "tests/unit/lua/check.lua"
local fake = dofile "tests/unit/lua/fake.lua"

local function last(site) return site.core.logged[#site.core.logged] end

-- abort in all its forms.
do
    local site = fake.site(function(app)
        app.get("/s", function() app.abort(404) end)
        app.get("/m", function() app.abort(403, "no entry") end)
        app.get("/h", function() app.abort(401, "who?", { ["WWW-Authenticate"] = "Basic" }) end)
        app.get("/d", function() app.abort(422, { field = "x" }) end)
        app.get("/r", function() app.abort(app.text("done", 202)) end)
        app.get("/o", function() app.abort(302, nil, { Location = "/x" }) end)
        app.get("/t", function() app.abort(200, "<b>") end)
        app.get("/colon", function() return app:abort(410) end)
        app.get("/caught", function()
            local ok, e = pcall(app.abort, 404, "x")
            local is, isnt = app.is_abort(e), app.is_abort {}
            return tostring(ok) .. tostring(is) .. tostring(isnt) .. tostring(e)
        end)
        app.get("/file", function() app.abort(app.file("none", { missing = 410 })) end)
        app.get("/wrong", function() app.abort("404") end)
    end)
    for _, case in ipairs {
        { "/s", 404, "<404 >" }, { "/m", 403, "<403 no entry>" }, { "/h", 401, "<401 who?>" },
        { "/d", 422, "<422 >" }, { "/r", 202, "done" }, { "/o", 302, "" }, { "/t", 200, "<b>" },
        { "/colon", 410, "<410 >" }, { "/caught", 200, "falsetruefalse404 x" },
        { "/file", 410, "<410 >" }, { "/wrong", 500, "<500 >" },
    } do
        local res = site:ask("GET", case[1])
        check.equals({ res.status, res.body }, { case[2], case[3] }, case[1])
    end
    check.equals(site:ask("GET", "/h").headers["WWW-Authenticate"], "Basic")
    check.equals(site:ask("GET", "/o").headers.Location, "/x")
    check.matches(site:ask("GET", "/t").headers["Content-Type"], "text/plain")
    local res = site:ask("GET", "/d", { accept = "application/json" })
    check.equals(res.headers["Content-Type"], "application/problem+json")
    check.equals(res.body, { type = "about:blank", title = "Unprocessable Content", status = 422,
        field = "x" })
    check.equals(#site.core.logged, 1, "only misuse is logged")
end

-- A failing handler: the log has everything, the browser nothing but in dev.
do
    local function handler() local t = nil; return t.x end
    local site = fake.site(function(app)
        app.get("/f", handler)
        app.get("/t", function() error { code = 1 } end)
        app.get("/mem", function() error("not enough memory", 0) end)
        app.get("/nil", function() error() end)
        app.get("/none", function() end)
        app.get("/why", function() return nil, "gone" end)
    end)
    check.equals(site:body("GET", "/f"), "<500 >")
    check.matches(last(site), "^error 500 GET /f: tests/unit/lua/test_errors.lua:%d+: attempt to")
    check.matches(last(site), "\n\ttests/unit/lua/test_errors.lua:%d+: in function <")
    check.truthy(not last(site):find("src/lua", 1, true), "no frames of the library")
    check.equals(site:ask("GET", "/t").status, 500)
    check.matches(last(site), "error object is a table value")
    check.equals(site:ask("GET", "/nil").status, 500)
    check.equals(site:ask("GET", "/mem").status, 503)
    check.equals(site:ask("GET", "/none").status, 500)
    check.matches(last(site), "nothing was returned.*the handler at .*test_errors.lua:%d+")
    check.equals(site:ask("GET", "/why").status, 500)
    site:ask("GET", "/a\nb")
    site.core.dev = true
    check.matches(site:body("GET", "/f"), "attempt to index.*\n\ttests/unit/lua/test_errors.lua")
    site.core.stranger = true -- a host that may be somebody else's
    check.truthy(not site:body("GET", "/f"):find("attempt to index", 1, true), "no word of it")
end

-- on_error: the innermost wins, an exact status before "*"; what it returns keeps the status.
do
    local function page(name)
        return function(_, err) return name .. " " .. err.status .. " " .. err.message end
    end
    local stored
    local site = fake.site(function(app)
        stored = app.html "stored"
        app.on_error("*", page "app*")
        app.on_error(404, page "app404")
        app.get("/x", function() app.abort(418, "tea") end)
        app.get("/bare", function() return 404 end)
        app.group("/g", function(g)
            g.on_error(404, page "g404")
            g.get("/x", function() app.abort(404, "gone") end)
            g.get("/y", function() error "secret" end)
            g.group("/in", function(i)
                i.on_error("*", page "in*")
                i.get("/z", function() app.abort(404) end)
            end)
        end)
        app.host("h.example", function(h)
            h.on_error("*", page "host*")
            h.get("/own", function() app.abort(400) end)
        end)
        app.group("/p", function(g)
            g.on_error(400, function() return app.html("<h1>") end)
            g.on_error(401, function() return app.redirect("/login") end)
            g.on_error(402, function() return { error = true } end)
            g.on_error(403, function() return 200, nil, "fine" end)
            g.on_error(404, function() error "page fails" end)
            g.on_error(405, function() return 405, nil, "own 405" end)
            g.on_error(406, function() end)
            g.on_error(407, function() return stored end)
            g.on_error(408, function() return app.file("err.html") end)
            g.on_error(409, function() return 410 end)
            g.on_error(411, function() app.abort(412) end)
            g.on_error(413, function(_, err) return err.data.why end)
            g.get("/:n{int}", function(req)
                app.abort(req.params.n, { why = "data" }, { ["X-Err"] = "1" })
            end)
        end)
    end, { site = { ["err.html"] = "file" } })
    for _, case in ipairs {
        { "/none", 404, "app404 404 Not Found" }, { "/x", 418, "app* 418 tea" },
        { "/bare", 404, "app404 404 Not Found" }, { "/g/x", 404, "g404 404 gone" },
        { "/g/y", 500, "app* 500 Internal Server Error" }, { "/g/none", 404, "g404 404 Not Found" },
        { "/g/in/z", 404, "in* 404 Not Found" }, { "/g/in/none", 404, "in* 404 Not Found" },
        { "/gone", 404, "app404 404 Not Found" },
        { "/p/400", 400, "<h1>" }, { "/p/401", 302, "" }, { "/p/402", 402, { error = true } },
        { "/p/403", 200, "fine" }, { "/p/404", 404, "<404 >" }, { "/p/406", 406, "<406 >" },
        { "/p/407", 407, "stored" }, { "/p/408", 408, "file" }, { "/p/409", 410, "<410 >" },
        { "/p/411", 411, "<411 >" }, { "/p/413", 413, "data" },
    } do
        local res = site:ask("GET", case[1])
        check.equals({ res.status, res.body }, { case[2], case[3] }, case[1])
        if case[1]:find("^/p/") then check.equals(res.headers["X-Err"], "1", case[1]) end
    end
    check.equals(stored.status, 200)
    local res = site:ask("DELETE", "/p/400")
    check.equals({ res.status, res.body, res.headers.Allow },
        { 405, "own 405", "GET, HEAD, OPTIONS" })
    local host = { host = "h.example" }
    check.equals(site:body("GET", "/none", host), "host* 404 Not Found")
    check.equals(site:body("GET", "/own", host), "host* 400 Bad Request")
    check.equals(site:body("GET", "/g/x", host), "g404 404 gone")
    check.equals(site.core.started.failed(site.req, 503, "too slow").body,
        "host* 503 Service Unavailable")
end

-- err has cause and traceback in dev alone.
do
    local seen
    local site = fake.site(function(app)
        app.on_error(500, function(_, err) seen = err return "" end)
        app.get("/", function() error("boom", 0) end)
    end)
    site:ask("GET", "/")
    check.equals({ seen.cause, seen.traceback }, {})
    site.core.dev = true
    site:ask("GET", "/")
    check.equals(seen.cause, "boom")
    check.matches(seen.traceback, "test_errors.lua")
    check.matches(site.core.started.place(site.req), "test_errors.lua:%d+$")
end

-- Misuse names the site's line.
local function handler() return "" end
for _, case in ipairs {
    { function(app) app.get("x", handler) end, 'must begin with "/"' },
    { function(app) app.get(5, handler) end, "pattern must be a string, not the number 5" },
    { function(app) app.get("/") end, "handler must be a function, not nil" },
    { function(app) app.get("/", {}, "x") end, 'handler must be a function, not the string "x"' },
    { function(app) app:get("/", { nmae = "x" }, handler) end, 'option "nmae".*"name"' },
    { function(app) app.get("/", { query = { a = "strin" } }, handler) end, 'query: a: .*"string"' },
    { function(app) app.get("/", { cache = true }, handler) end, "cache must be a table, not" },
    { function(app) app.get("/", { cache = 0 }, handler) end, "cache.ttl must be a duration" },
    { function(app) app.get("/", { cache = "5 m" }, handler) end, "cache.ttl must be a duration" },
    { function(app) app.get("/", { cache = { stale = 5 } }, handler) end, "cache.ttl is missing" },
    { function(app) app.get("/", { cache = { ttl = 5, stales = 5 } }, handler) end, '"stale"' },
    { function(app) app.get("/", { cache = { ttl = 5, key = "a" } }, handler) end,
        "cache.key must be a function" },
    { function(app) app.get("/", { cache = { ttl = 5, vary = { "a b" } } }, handler) end,
        "no name of a header" },
    { function(app) app.get("/", { cache = { ttl = 5, vary = { a = 1 } } }, handler) end,
        "cache.vary must be an array" },
    { function(app) app.get("/", { cache = { ttl = 5, vary = { "*" } } }, handler) end,
        '"*" is no header' },
    { function(app) app.get("/", { cache = { ttl = 5, tags = "a" } }, handler) end,
        "cache.tags must be a table" },
    { function(app) app.group("/g", { cache = -1 }, print) end, "cache.ttl must be a duration" },
    { function(app) app.get("/", { gzip = 1 }, handler) end, "gzip must be a boolean" },
    { function(app) app.get("/", { etag = 1 }, handler) end, "etag must be true or a function" },
    { function(app) app.get("/", { max_body = "5X" }, handler) end, 'max_body must be a size' },
    { function(app) app.get("/", { timeout = "long" }, handler) end, 'timeout must be a duration' },
    { function(app) app.get("/", { strict = 1 }, handler) end, 'strict must be a boolean' },
    { function(app) app.get("/", { use = { 1 } }, handler) end, 'use%[1%] must be a function' },
    { function(app) app.get("/", { use = { a = handler } }, handler) end, 'use must be an array' },
    { function(app) app.get("/:x{imt}", handler) end, "{imt}.*{int}" },
    { function(app) app.get("/*x/y", handler) end, "last segment" },
    { function(app) app.route({ "GETT" }, "/", handler) end, '"GETT" is no method.*"GET"' },
    { function(app) app.route({}, "/", handler) end, "no methods" },
    { function(app) app.use(5) end, "middleware must be a function" },
    { function(app) app.use("x", handler) end, 'prefix "x" must begin' },
    { function(app) app.use(handler, { file = false }) end, '"file".*"files"' },
    { function(app) app.group("/g", { name = "x" }, handler) end, 'unknown option "name"' },
    { function(app) app.group("/g") end, "function must be a function, not nil" },
    { function(app) app.group("/g/*x", handler) end, "last segment" },
    { function(app) app.group("/g", function(g) g.host("x", handler) end) end, "declared on app" },
    { function(app) app.host("a.b:80", handler) end, "without a port" },
    { function(app) app.host("a.*.b", handler) end, "without a port" },
    { function(app) app.static("/x", "gone") end, "no such folder" },
    { function(app) app.static("/x", "public", { listing = "yes" }) end,
        "app.static: listing must be a boolean" },
    { function(app) app.static("/x", "public", { max_age = "long" }) end, "max_age must be a dur" },
    { function(app) app.static("/:x", "public") end, "captures" },
    { function(app) app.on_error(200, handler) end, "from 400 to 599" },
    { function(app) app.on_error("404", handler) end, "from 400 to 599" },
    { function(app) app.websocket("/", handler) end, "app.websocket is not in this version" },
    { function(app) app.every(0, handler) end, "app.every: the interval.*or more.*the number 0$" },
    { function(app) app.every("5x", handler) end, 'interval must be .*, not the string "5x"' },
    { function(app) app.every(0.0001, handler) end, "interval must be" },
    { function(app) app.every(handler, 5) end, "interval must be .*, not a function" },
    { function(app) app.every(5) end, "app.every: the work must be a function, not nil" },
    { function(app) app.every(5, handler, { at_onec = true }) end, '"at_onec".*"at_once"' },
    { function(app) app.every(5, handler, { at_once = 1 }) end, "at_once must be a boolean" },
    { function(app) app.every(5, handler, true) end, "options must be a table" },
    { function(app) app.at("3.30", handler) end, 'app.at: the time .*"23:59", not the string "3.30"' },
    { function(app) app.at("24:00", handler) end, 'from "00:00" to "23:59", not "24:00"' },
    { function(app) app.at(330, handler) end, "not the number 330" },
    { function(app) app.at("03:30") end, "app.at: the work must be a function" },
    { function(app) app.at("03:30", handler, {}) end, "no options" },
    { function(app) app.at_start() end, "app.at_start: the work must be a function" },
    { function(app) app.at_start(handler, { at_once = true }) end, 'unknown option "at_once"' },
    { function(app) app.group("/g", function(g) g.every(5, handler) end) end,
        "app.every: background work is declared on app, not in a group or host" },
    { function(app) app.host("h", function(h) h.at_start(handler) end) end, "declared on app" },
    { function(app) app.view("x") end, "app.view: the function must be a function" },
    { function(app) app.gte("/", handler) end, "app.gte is unknown.*app.get" },
    { function(app) app.abort(99) end, "from 200 to 599" },
    { function(app) app.abort(404, true) end, "message must be a string" },
    { function(app) app.json({}, "x") end, 'status must be an integer' },
    { function(app) app.html(5) end, "the page must be a string" },
    { function(app) app.redirect("/", 200) end, "the status must be 301" },
    { function(app) app.redirect_back({ headers = {} }, "//evil.com") end, "must be a path" },
    { function(app) app.redirect_back({ headers = {} }, "/\t/evil.com") end, "must be a path" },
    { function(app) app.file("x", { dowload = 1 }) end, '"dowload".*"download"' },
    { function(app) app.url_for("none") end, 'no route is named "none"' },
} do
    check.misuse(case[1], case[2], (fake.open()))
end

-- Conflicts name both places.
do
    local app = fake.open()
    app.get("/a/:x", { name = "n" }, handler)
    for _, again in ipairs {
        function() app.get("/a/:y", handler) end,
        function() app.any("/a/:x/", handler) end,
    } do
        check.misuse(again, "GET /a/:[xy]/? is declared already at tests/.*test_errors.lua:%d+")
    end
    check.misuse(function() app.post("/q", { name = "n" }, handler) end,
        'the name "n" is that of the route at tests/unit/lua/test_errors.lua:%d+')
    app.post("/a/:y", handler)
    app.get("/a/:x{int}", handler)
    app.host("h", function(h) h.get("/a/:x", handler) end)
    app.on_error(404, handler)
    check.misuse(function() app.on_error(404, handler) end, "declared already at")
end

-- Nothing is declared once requests are served.
do
    local site = fake.site(function() end)
    for _, name in ipairs { "get", "use", "group", "host", "static", "on_error", "every", "at" } do
        check.misuse(function() site.app[name]("/", handler) end, "while main.lua loads")
    end
end

-- Paths that are lunette's own; options of url_for in the query's place.
do
    local app = fake.open()
    check.misuse(function() app.listen(8080) end, "lunette serve does that")
    check.misuse(function() app.gett("/", handler) end, "nearest known name is app.get")
    local _, why = pcall(function() return app.frobnicate end)
    check.truthy(not why:find "nearest", "nothing is like it")
    check.misuse(function() app.get("/.lunette/x", handler) end, "lunette's own")
    app.get("/a/:x", { name = "n" }, handler)
    local req = { scheme = "http", host = "h", port = 8080 }
    check.equals(app.url_for("n", { x = 1 }, { absolute = true, req = req }), "http://h:8080/a/1")
    check.equals(app.url_for("n", { x = 1 }, { absolute = "x", a = 1 }), "/a/1?a=1&absolute=x")
end

-- A request that is over still has what was read of it, and says what was not.
do
    local site = fake.site(function(app) app.get("/", function() return 204 end) end)
    site:ask("GET", "/", { query = { n = "5" } })
    local req = site.req
    req.gone = true
    check.equals(req:int("n"), 5)
    check.misuse(function() local n = req:int("n", { from = "form" }) return n end,
        "the request is over, and req.form was not read")
end

check.done()
