-- Which route answers a request: specificity, methods, hosts, groups, files.

local check = dofile "tests/unit/lua/check.lua"
local fake = dofile "tests/unit/lua/fake.lua"

-- Declares a GET route for each pattern that answers with its pattern and its parameters.
local function show(name)
    return function(req)
        local names, out = {}, { name }
        for k in pairs(req.params) do names[#names + 1] = k end
        table.sort(names)
        for _, k in ipairs(names) do out[#out + 1] = k .. "=" .. tostring(req.params[k]) end
        return table.concat(out, " ")
    end
end

local PATTERNS = { "/", "/a", "/a/b", "/:x", "/a/:x", "/:x/b", "/n/:i{int}", "/n/:s", "/n/:s{slug}",
    "/f/*rest", "/f/:one", "/photo/:id{%x+}.jpg", "/photo/:file", "/photo/big-:id.jpg", "/*all",
    "/deep/:x/one", "/deep/lit/two", "/deep/*r", "/u/:id{uuid}/:tab" }
local UUID = "123e4567-e89b-12d3-a456-426614174000"
local GETS = {
    { "/", "/" }, { "/a", "/a" }, { "/a/", "/a" }, { "/a/b", "/a/b" }, { "/a/b/", "/a/b" },
    { "/q", "/:x x=q" }, { "/q/", "/:x x=q" }, { "/a/q", "/a/:x x=q" }, { "/q/b", "/:x/b x=q" },
    { "/n/7", "/n/:i{int} i=7" }, { "/n/x-y", "/n/:s{slug} s=x-y" }, { "/n/x y", "/n/:s s=x y" },
    { "/n/9223372036854775808", "/n/:s{slug} s=9223372036854775808" },
    { "/f", "/f/*rest rest=" }, { "/f/", "/f/*rest rest=" }, { "/f/1", "/f/:one one=1" },
    { "/f/1/2", "/f/*rest rest=1/2" }, { "/f/1/2/", "/f/*rest rest=1/2/" },
    { "/photo/ff.jpg", "/photo/:id{%x+}.jpg id=ff" },
    { "/photo/xx.jpg", "/photo/:file file=xx.jpg" },
    { "/photo/big-ff.jpg", "/photo/big-:id.jpg id=ff" },
    { "/q/c", "/*all all=q/c" }, { "/deep/lit/one", "/deep/:x/one x=lit" },
    { "/deep/lit/two", "/deep/lit/two" }, { "/deep/lit/3", "/deep/*r r=lit/3" },
    { "/u/" .. UUID .. "/t", "/u/:id{uuid}/:tab id=" .. UUID .. " tab=t" },
    { "/u/12/t", "/*all all=u/12/t" },
}

-- The same answers in any order of declaration.
for round = 1, 4 do
    local order = table.move(PATTERNS, 1, #PATTERNS, 1, {})
    math.randomseed(round)
    for i = #order, 2, -1 do
        local j = round == 1 and i or math.random(i)
        order[i], order[j] = order[j], order[i]
    end
    local site = fake.site(function(app)
        for _, text in ipairs(order) do app.get(text, show(text)) end
    end)
    for _, case in ipairs(GETS) do
        check.equals(site:body("GET", case[1]), case[2], case[1])
    end
end

-- {int} gives an integer; a path without captures leaves params alone.
do
    local seen
    local site = fake.site(function(app)
        app.get("/n/:i{int}", function(req) seen = req.params.i return "" end)
    end)
    site:ask("GET", "/n/42")
    check.equals(seen, 42)
end

-- Encoded slashes separate nothing.
do
    local site = fake.site(function(app)
        app.get("/a/b", show "lit")
        app.get("/:x", show "one")
        app.get("/f/*r", show "rest")
    end)
    check.equals(site:body("GET", "/a/b", { segments = { "a/b" } }), "one x=a/b")
    check.equals(site:body("GET", "/a/b", { segments = { "a", "b" } }), "lit")
    check.equals(site:body("GET", "/f/a/b", { segments = { "f", "a/b", "" } }), "rest r=a/b/")
end

-- Methods: HEAD with GET, automatic OPTIONS, 405 only when no path has the method.
do
    local site = fake.site(function(app)
        app.get("/a", function(req) return "get " .. req.method end)
        app.head("/h", function() return 200, { ["X-Own"] = "1" } end)
        app.get("/h", function() return "get" end)
        app.post("/:x", show "post")
        app.put("/q/:x", show "put")
        app.delete("/q/:x{int}", show "del")
        app.options("/own", function() return 200, nil, "mine" end)
        app.any("/any", function(req) return req.method end)
        app.route({ "PUT", "PATCH" }, "/some", show "some")
        app.patch("/own", show "patch")
    end)
    check.equals(site:body("HEAD", "/a"), "get HEAD")
    check.equals(site:ask("HEAD", "/h").headers["X-Own"], "1")
    check.equals(site:body("GET", "/h"), "get")
    check.equals(site:body("POST", "/a"), "post x=a")
    check.equals(site:body("PUT", "/q/7"), "put x=7")
    check.equals(site:body("DELETE", "/q/7"), "del x=7")
    check.equals(site:body("PATCH", "/some"), "some")
    check.equals(site:body("OPTIONS", "/own"), "mine")
    for _, m in ipairs { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS" } do
        check.equals(site:body(m, "/any"), m)
    end
    for _, case in ipairs {
        { "DELETE", "/a", "GET, HEAD, OPTIONS, POST" }, { "GET", "/q/7", "DELETE, OPTIONS, PUT" },
        { "GET", "/q/x", "OPTIONS, PUT" }, { "GET", "/some", "OPTIONS, PATCH, POST, PUT" },
        { "TRACE", "/q/x", "OPTIONS, PUT" },
    } do
        local res = site:ask(case[1], case[2])
        check.equals(res.status, 405, case[2])
        check.equals(res.headers.Allow, case[3], case[2])
    end
    local res = site:ask("OPTIONS", "/a")
    check.equals({ res.status, res.headers.Allow }, { 204, "GET, HEAD, OPTIONS, POST" })
    res = site:ask("OPTIONS", "*")
    check.equals({ res.status, res.headers.Allow },
        { 204, "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT" })
    check.equals(site:ask("OPTIONS", "/no/such/one").status, 404)
    check.equals(site:ask("GET", "/no/such/one").status, 404)
end

-- opts.strict keeps /a and /a/ apart.
do
    local site = fake.site(function(app)
        app.get("/a", { strict = true }, show "bare")
        app.get("/b/", { strict = true }, show "slash")
        app.get("/c", { strict = true }, show "c")
        app.get("/c/", { strict = true }, show "c/")
        app.get("/d", show "loose")
        app.get("/d/", { strict = true }, show "d/")
        app.get("/:x/e", { strict = true }, show "x")
    end)
    for _, case in ipairs { { "/a", "bare" }, { "/a/", false }, { "/b", false }, { "/b/", "slash" },
        { "/c", "c" }, { "/c/", "c/" }, { "/d", "loose" }, { "/d/", "d/" }, { "/q/e", "x x=q" },
        { "/q/e/", false } } do
        local res = site:ask("GET", case[1])
        check.equals(res.status == 200 and res.body, case[2], case[1])
    end
end

-- Hosts: exact, below a wildcard at any depth, unknown; own routes win, outer ones serve all.
do
    local site = fake.site(function(app)
        app.get("/", show "app")
        app.get("/both", show "app")
        app.get("/shared", show "shared")
        app.post("/mixed", show "app post")
        app.host("api.example.com", function(h)
            h.get("/", show "api")
            h.get("/both", show "api both")
            h.get("/mixed", show "api mixed")
        end)
        app.host("*.example.com", function(h)
            h.get("/", show "below")
            h.get("/w", show "below w")
            h.get("/:any", show "below any")
        end)
        app.host("*.deep.example.com", function(h) h.get("/", show "deep") end)
        app.host("*", function(h) h.get("/", show "unknown") end)
    end)
    for _, case in ipairs {
        { "api.example.com", "/", "api" }, { "API.Example.com:8080", "/", "api" },
        { "api.example.com.", "/", "api" }, { "api.example.com", "/w", "below w" },
        { "x.example.com", "/", "below" }, { "x.y.example.com", "/", "below" },
        { "x.deep.example.com", "/", "deep" }, { "x.deep.example.com", "/w", "below w" },
        { "example.com", "/", "unknown" }, { "other.org", "/", "unknown" },
        { "other.org", "/shared", "shared" }, { "api.example.com", "/both", "api both" },
        { "x.example.com", "/both", "below any any=both" },
        { "notexample.com", "/", "unknown" },
    } do
        check.equals(site:body("GET", case[2], { host = case[1] }), case[3], case[1] .. case[2])
    end
    check.equals(site:body("POST", "/mixed", { host = "api.example.com" }), "app post")
    local res = site:ask("PUT", "/mixed", { host = "api.example.com" })
    check.equals(res.headers.Allow, "GET, HEAD, OPTIONS, POST")
end

-- Groups: prefixes, defaults, nesting.
do
    local site = fake.site(function(app)
        app.group("/api", { max_body = "1K", timeout = "5s", strict = true }, function(g)
            g.get("/", show "root")
            g.post("/x", { max_body = 7 }, show "x")
            g.group("/v:n{int}", { strict = false }, function(v)
                v.post("/y/:id", show "y")
                v:get("/z", show "z")
            end)
        end)
        app.group("/", function(g) g.get("/top", show "top") end)
        app.group("/empty", function(g) g.get("", show "empty") end)
    end)
    check.equals(site:body("GET", "/api/"), "root")
    check.equals(site:ask("GET", "/api").status, 404)
    check.equals(site:body("POST", "/api/x", { has_body = true }), "x")
    check.equals({ site.req.max, site.req.deadline }, { 7, 5 })
    check.equals(site:body("POST", "/api/v2/y/q/", { has_body = true }), "y id=q n=2")
    check.equals(site.req.max, 1024)
    check.equals(site:body("GET", "/api/v2/z"), "z n=2")
    check.equals(site:body("GET", "/top"), "top")
    check.equals(site:body("GET", "/empty"), "empty")
    local res = site:ask("POST", "/api/x", { has_body = true, too_large = true })
    check.equals({ res.status, res.body }, { 413, "<413 too large>" })
end

-- Files where no route is: the site's, then other methods; app.static before them.
do
    local site = fake.site(function(app)
        app.get("/route", show "route")
        app.post("/form.html", show "form")
        app.static("/lib", "public", { headers = { ["X-Lib"] = "1" } })
        app.static("/spa", "spa", { fallback = "index.html" })
        app.static("/lib/sub", "sub")
    end, {
        site = { ["/a.css"] = "a", ["/route"] = "file", ["/form.html"] = "f", ["/no"] = 403,
            ["/lib/only"] = "site's" },
        public = { ["/x.js"] = "x", ["/d/"] = "dir", ["/sub/y"] = "public y", ["/sub/z"] = "z" },
        spa = { ["/index.html"] = "spa", ["/"] = "spa root" },
        sub = { ["/y"] = "sub y" },
    })
    for _, case in ipairs {
        { "GET", "/a.css", 200, "a" }, { "HEAD", "/a.css", 200, "a" },
        { "GET", "/route", 200, "route" },
        { "GET", "/no", 403, "<403 >" }, { "GET", "/gone", 404, "<404 >" },
        { "GET", "/lib/x.js", 200, "x" }, { "GET", "/lib/d/", 200, "dir" },
        { "GET", "/lib/sub/y", 200, "sub y" }, { "GET", "/lib/sub/z", 200, "z" },
        { "GET", "/lib/only", 200, "site's" }, { "GET", "/libx.js", 404, "<404 >" },
        { "GET", "/spa/deep/link", 200, "spa" }, { "GET", "/spa", 200, "spa root" },
        { "GET", "/spa/", 200, "spa root" }, { "GET", "/form.html", 405, "<405 >" },
    } do
        local res = site:ask(case[1], case[2])
        check.equals({ res.status, res.body }, { case[3], case[4] }, case[2])
    end
    check.equals(site:raw("GET", "/a.css"), site.core.FILE, "sent by the kernel")
    check.equals(site:ask("GET", "/lib/x.js").headers["X-Lib"], "1")
    for _, method in ipairs { "POST", "DELETE" } do
        local res = site:ask(method, "/a.css")
        check.equals({ res.status, res.headers.Allow }, { 405, "GET, HEAD, OPTIONS" })
    end
    check.equals(site:ask("POST", "/spa/none").status, 405)
    check.equals(site:ask("POST", "/gone").status, 404)
    local res = site:ask("OPTIONS", "/a.css")
    check.equals({ res.status, res.headers.Allow }, { 204, "GET, HEAD, OPTIONS" })
    check.equals(site:ask("GET", "/lib/a/b", { segments = { "lib", "sub/y" } }).status, 404)
end

-- C is told of paths for which nothing but the site's files will ever decide, and of no others.
do
    local files = { site = { ["/a.css"] = "a", ["/b/c.css"] = "c", ["/route"] = "r", ["/no"] = 403,
        ["/lib/x.js"] = "x", ["/form.html"] = "f", ["/wild/a"] = "w" }, public = {} }
    local function decided(declare, asked)
        local site = fake.site(declare, files)
        for _, line in ipairs(asked) do site:raw(line:match("^(%S+) (%S+)$")) end
        local list = {}
        for line in pairs(site.core.decided) do list[#list + 1] = line end
        table.sort(list)
        return list
    end
    local function through(req, handle) return handle(req) end

    local asked = { "GET /a.css", "HEAD /a.css", "POST /a.css", "OPTIONS /a.css", "GET /b/c.css",
        "GET /route", "GET /form.html", "GET /no", "GET /gone", "GET /lib/x.js", "GET /wild/a" }
    check.equals(decided(function(app)
        app.get("/route", show "route")
        app.post("/form.html", show "form")
        app.get("/wild/:x", show "wild")
        app.static("/lib", "public") -- without the file today; that may change
    end, asked), { "GET /a.css", "GET /b/c.css", "HEAD /a.css" })
    check.equals(decided(function(app) app.use("/b", through) end, { "GET /a.css", "GET /b/c.css" }),
        { "GET /a.css" })
    check.equals(decided(function(app) app.use(through, { files = false }) end, { "GET /a.css" }),
        { "GET /a.css" })
    check.equals(decided(function(app)
        app.host("one.example", function(h) h.get("/a.css", show "one") end)
    end, { "GET /a.css" }), {}, "another host may have a route there")
end

-- Raw results pass as they are, counted.
do
    local site = fake.site(function(app)
        app.get("/three", function() return 201, { A = "b" }, "c" end)
        app.get("/two", function() return 200, "c" end)
        app.get("/one", function() return 204 end)
        app.get("/err", function() return 404, nil, "own" end)
    end)
    check.equals(table.pack(site:raw("GET", "/three")), { 201, { A = "b" }, "c", n = 3 })
    check.equals(table.pack(site:raw("GET", "/two")), { 200, "c", n = 2 })
    check.equals(table.pack(site:raw("GET", "/one")), { 204, n = 1 })
    check.equals(table.pack(site:raw("GET", "/err")), { 404, nil, "own", n = 3 })
end

-- A handler gets exactly one argument, inside middleware too.
do
    local n = {}
    local function count(...) n[#n + 1] = select("#", ...) return "" end
    local site = fake.site(function(app)
        app.get("/a", count)
        app.get("/b", { use = { function(req, handle) return handle(req) end } }, count)
    end)
    site:ask("GET", "/a")
    site:ask("GET", "/b")
    check.equals(n, { 1, 1 })
end

-- A host's view learns the app's literal paths as they are asked for, by every rule it has.
do
    local site = fake.site(function(app)
        app.get("/a", function() return "app a" end)
        app.get("/b", function() return "app b" end)
        app.host("one", function(h) h.get("/:x", function() return "one " .. "x" end) end)
        app.host("two", function(h)
            h.use(function(req, handle)
                local res = handle(req)
                res.body = "two: " .. res.body
                return res
            end)
            h.get("/b", function() return "own b" end)
        end)
    end)
    for _ = 1, 3 do
        for _, case in ipairs {
            { "one", "/a", "one x" }, { "two", "/a", "two: app a" }, { "two", "/a/", "two: app a" },
            { "two", "/b", "two: own b" }, { "else", "/a", "app a" }, { "else", "/b", "app b" },
        } do
            check.equals(site:body("GET", case[2], { host = case[1] }), case[3], case[1] .. case[2])
        end
    end
end

check.done()
