-- What a site declared, in a few words: for the tables and sentences of commands.

local chain = require "lunette.chain"
local errors = require "lunette.errors"
local host_views = require "lunette.host_views"
local pattern = require "lunette.pattern"
local router = require "lunette.router"

local describe = {}

-- All routes of app.site, those of hosts after the others.
function describe.all_routes(site)
    local list, hosts = table.move(site.tier.routes, 1, #site.tier.routes, 1, {}), {}
    for host in pairs(site.hosts) do hosts[#hosts + 1] = host end
    table.sort(hosts)
    for _, host in ipairs(hosts) do
        local routes = site.hosts[host].routes
        table.move(routes, 1, #routes, #list + 1, list)
    end
    return list
end

-- "GET,POST"; "any" for all there are.
function describe.methods(route)
    if #route.methods == #router.methods then return "any" end
    return table.concat(route.methods, ",")
end

-- Where a function is defined: "scripts/main.lua:6". For one that a module of lunette made, its name and
-- where the site uses it: "lunette.session (scripts/main.lua:3)".
function describe.fn(fn, place)
    if not errors.is_own(fn) then return errors.defined_at(fn) end
    local source = debug.getinfo(fn, "S").source:gsub("%.lua$", "")
    local name = source:match("lunette/([%w_/]+)$") or "?"
    return ("lunette.%s (%s)"):format(name:gsub("/", "."), place or "?")
end

-- The middleware around a route, the outermost first: { text, sure }. sure: every request to the route
-- passes it; of what stands under a prefix with captures, the path decides.
function describe.middleware(route)
    local list = {}
    local uses, open = chain.uses_of(host_views.get(route.tier.host), route)
    for _, use in ipairs(uses) do
        list[#list + 1] = { text = describe.fn(use.fn, use.place), sure = not open
            or pattern.relation(use.prefix, route.pattern) == "always" }
    end
    for _, fn in ipairs(route.given) do
        list[#list + 1] = { text = describe.fn(fn, route.place), sure = true }
    end
    return list
end

local UNITS = { { 2 ^ 30, "G" }, { 2 ^ 20, "M" }, { 2 ^ 10, "K" } }

-- 65536 → "64K"
local function size(n)
    for _, unit in ipairs(UNITS) do
        if n >= unit[1] and n % unit[1] == 0 then return ("%d%s"):format(n // unit[1], unit[2]) end
    end
    return tostring(n)
end

local function seconds(n)
    return ("%gs"):format(n)
end

local FLAGS = { "strict", "stream_body" }
local MADE = { "etag", "files", "params", "query", "form", "json" }

local function cache_text(spec)
    local out = { seconds(spec.ttl) }
    if spec.stale > 0 then out[#out + 1] = "stale " .. seconds(spec.stale) end
    if #spec.vary > 0 then out[#out + 1] = "vary " .. table.concat(spec.vary, "+") end
    if spec.key then out[#out + 1] = "key" end
    return "cache=" .. table.concat(out, "/")
end

-- The options in force for a route, those of its groups included: "max_body=20M", "gzip=false" …
function describe.options(route)
    local list = {}
    local function add(text) list[#list + 1] = text end
    if route.max_body then add("max_body=" .. size(route.max_body)) end
    if route.timeout then add("timeout=" .. seconds(route.timeout)) end
    if route.gzip ~= nil then add("gzip=" .. tostring(route.gzip)) end
    if route.cache then add(cache_text(route.cache)) end
    for _, name in ipairs(FLAGS) do
        if route[name] then add(name) end
    end
    for _, name in ipairs(MADE) do
        if route[name] then add(name) end
    end
    return list
end

-- The options of an app.static: "max_age=60", "listing" …
function describe.static_options(folder)
    local names, list = {}, {}
    for name in pairs(folder.opts) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do
        local v = folder.opts[name]
        if type(v) == "table" then v = name == "index" and table.concat(v, "+") or "…" end
        list[#list + 1] = v == true and name or ("%s=%s"):format(name, tostring(v))
    end
    return list
end

-- "GET /notes/:id", with its host where it has one.
function describe.route(route)
    local host = route.tier.host and route.tier.host .. " " or ""
    return ("%s %s%s"):format(describe.methods(route), host, route.pattern.text)
end

return describe
