-- Middleware: order, what it covers, what it sees.

local check = dofile "tests/unit/lua/check.lua"
local fake = dofile "tests/unit/lua/fake.lua"

local trail

-- Middleware that leaves its name on the way in.
local function mark(name)
    return function(req, handle)
        trail[#trail + 1] = name
        return handle(req)
    end
end

local function trail_of(site, method, path, fields)
    trail = {}
    site:ask(method, path, fields)
    return table.concat(trail, " ")
end

-- Declared order, wherever it stands; options of groups and routes inside.
do
    local site = fake.site(function(app)
        app.get("/early", function() return "x" end)
        app.use(mark "one")
        app.use("/adm", mark "adm")
        app.use("/adm/:id{int}", mark "id")
        app.group("/adm", { use = { mark "group" } }, function(g)
            g.use(mark "g.use")
            g.get("/x", { use = { mark "r1", mark "r2" } }, function() return "x" end)
            g.get("/:any", function() return "x" end)
            g.group("/in", { use = mark "inner" }, function(i)
                i.get("/y", function() return "x" end)
            end)
        end)
        app.get("/:a/:b/:c", function() return "x" end)
        app.get("/*all", function() return "x" end)
        app.use(mark "two")
        app.use("/files", mark "nofiles", { files = false })
        app.post("/p/q/r/s", function() return "x" end)
    end, { site = {} })
    for _, case in ipairs {
        { "GET", "/early", "one two" },
        { "GET", "/adm", "one adm g.use two" },
        { "GET", "/admin", "one two" },
        { "GET", "/adm/x", "one adm g.use two group r1 r2" },
        { "GET", "/adm/7", "one adm id g.use two group" },
        { "GET", "/adm/q", "one adm g.use two group" },
        { "GET", "/adm/in/y", "one adm g.use two group inner" },
        { "GET", "/adm/1/2", "one adm id g.use two" },
        { "GET", "/q/1/2", "one two" },
        { "DELETE", "/adm/x", "one adm g.use two" },
        { "OPTIONS", "/adm/x", "one adm g.use two" },
        { "OPTIONS", "*", "one two" },
    } do
        for _ = 1, 2 do
            check.equals(trail_of(site, case[1], case[2]), case[3], case[1] .. " " .. case[2])
        end
    end
end

-- Files: surrounded unless files=false, 404s always.
do
    local site = fake.site(function(app)
        app.use(mark "all")
        app.use(mark "no", { files = false })
        app.host("h.example", function(h) h.use(mark "host") end)
    end, { site = { ["/a"] = "a" } })
    check.equals(trail_of(site, "GET", "/a"), "all")
    check.equals(trail_of(site, "GET", "/b"), "all no")
    check.equals(trail_of(site, "POST", "/a"), "all no")
    check.equals(trail_of(site, "GET", "/a", { host = "h.example" }), "all host")
    check.equals(site:ask("GET", "/a").body, "a")
    check.equals(site:ask("GET", "/b").status, 404)
    site = fake.site(function(app) app.use(mark "no", { files = false }) end,
        { site = { ["/a"] = "a" } })
    check.equals(site:raw("GET", "/a"), site.core.FILE)
end

-- What handle gives: one response, headers in any case, a copy of what was stored.
do
    local seen = {}
    local stored
    local site = fake.site(function(app)
        local HEADERS = { ["Content-Type"] = "text/x" }
        stored = app.html("stored", { ["X-A"] = "1" })
        app.use(function(req, handle)
            local res = handle(req)
            seen[1], seen[2] = res.headers["content-TYPE"], res.body
            res.headers["CONTENT-type"] = "text/y"
            res:add_header("X-More", "1")
            res:add_header("x-more", 2)
            res.headers["x-gone"] = nil
            return res
        end)
        app.get("/const", function() return 200, HEADERS, "b" end)
        app.get("/stored", function() return stored end)
        app.get("/json", function() return { a = 1 } end)
        app.get("/gone", function() return 200, { ["X-Gone"] = "1" }, "" end)
    end)
    for _ = 1, 2 do
        local res = site:ask("GET", "/const")
        check.equals(seen, { "text/x", "b" })
        check.equals(rawget(res.headers, "Content-Type"), "text/y")
        check.equals(res.headers["X-More"], { "1", "2" })
        check.equals(site:ask("GET", "/stored").headers["X-More"], { "1", "2" })
        check.equals(stored.headers["X-More"], nil)
    end
    site:ask("GET", "/json")
    check.equals(seen, { "application/json", "{a}" })
    local names = {}
    for name in pairs(site:ask("GET", "/gone").headers) do names[#names + 1] = name end
    table.sort(names)
    check.equals(names, { "CONTENT-type", "X-More" })
end

-- An error below comes back as its response; middleware's own results are answers or errors.
do
    local seen
    local site = fake.site(function(app)
        app.use("/e", function(req, handle)
            local res = handle(req)
            seen = { res.status, req.error }
            return res
        end)
        app.get("/e/raise", function() error("boom", 0) end)
        app.get("/e/abort", function() app.abort(403, "no") end)
        app.get("/e/fine", function() return "x" end)
        app.use("/nothing", function() end)
        app.use("/own", function() return 418, nil, "tea" end)
        app.use("/bare", function() return 404 end)
        app.use("/raise", function() error "in middleware" end)
        app.use("/dot", function(_, handle) return handle() end)
    end)
    site:ask("GET", "/e/raise")
    check.equals(seen, { 500, "boom" })
    site:ask("GET", "/e/abort")
    check.equals({ seen[1], seen[2].status, seen[2].message }, { 403, 403, "no" })
    site:ask("GET", "/e/fine")
    check.equals(seen, { 200 })
    site:ask("GET", "/e/none")
    check.equals(seen, { 404 })
    check.equals(site:ask("GET", "/nothing").status, 500)
    check.matches(site.core.logged[#site.core.logged],
        "500 GET /nothing: it returned nothing.*middleware at .*test_middleware.lua:%d+")
    check.equals(site:body("GET", "/own"), "tea")
    check.equals(site:body("GET", "/bare"), "<404 >")
    check.equals(site:ask("GET", "/raise").status, 500)
    check.equals(site:ask("GET", "/dot").status, 500)
    check.matches(site.core.logged[#site.core.logged], "handle: the request must be a table")
end

check.done()
