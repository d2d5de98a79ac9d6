-- What main.lua declares: routes, middleware, groups, hosts, folders and error pages.
--
-- Everything is declared in a scope, which is the app, a group or a host:
--   { tier, parent, text = "/api", prefix = its pattern, defaults = {…}, pages = {…}, api }
-- api is the table that the author holds. A tier is the routes of one host (nil for the app's own):
--   { host, router, routes }

local core = require "lunette.core"
local dispatch = require "lunette.dispatch"
local errors = require "lunette.errors"
local pattern = require "lunette.pattern"
local response = require "lunette.response"
local router = require "lunette.router"
local suggest = require "lunette.suggest"
local timers = require "lunette.timers"
local units = require "lunette.units"
local views = require "lunette.views"

local misuse, expect, check_options = errors.misuse, errors.expect, errors.check_options

-- A function of a module that many a site does without, which is loaded when it is first called:
-- 90 KiB in each worker for all of them. Scripts may have another require by then.
local require = require
local function later(module, name)
    return function(...) return require(module)[name](...) end
end

local parse_cache = later("lunette.cache_option", "parse")
local cache_middleware = later("lunette.response_cache", "middleware")
local etag_middleware = later("lunette.etags", "middleware")
local upload_middleware = later("lunette.uploads", "middleware")
local new_static = later("lunette.static", "new")
local valid_schema = later("lunette.valid_option", "schema")
local valid_invalid = later("lunette.valid_option", "invalid")
local valid_middleware = later("lunette.valid_option", "middleware")

local VALIDATED = { "params", "query", "form", "json" } -- the options that are schemas

local app = {}

local function new_tier(host)
    return { host = host, router = router.new(), routes = {} }
end

local site = {
    tier = new_tier(nil),
    hosts = {},    -- host pattern → tier
    scopes = {},   -- host pattern → its scope
    uses = {},     -- middleware as declared
    statics = {},  -- app.static folders as declared
    paged = {},    -- scopes with an on_error
    names = {},    -- route name → route
    frozen = false,
}

local function check_open(what)
    if site.frozen then misuse("%s: routes are declared while main.lua loads", what) end
end

-- The pattern text beneath a scope, parsed; what names the call.
local function parse(scope, text, what)
    expect(text, "string", what .. ": the pattern")
    if text ~= "" or scope.text == "" then
        if text:sub(1, 1) ~= "/" then
            misuse('%s: the pattern %q must begin with "/"', what, text)
        end
    end
    local full = scope.text .. text
    local p, why = pattern.parse(full)
    if not p then misuse("%s: the pattern %q %s", what, full, why) end
    if p[1] and p[1].literal == ".lunette" then
        misuse("%s: the pattern %q begins with /.lunette, which is lunette's own", what, full)
    end
    return p
end

-- A prefix beneath a scope → its text without a last slash, its pattern.
local function parse_prefix(scope, text, what)
    expect(text, "string", what .. ": the prefix")
    if text ~= "" and text:sub(1, 1) ~= "/" then
        misuse('%s: the prefix %q must begin with "/"', what, text)
    end
    local full = (scope.text .. text):gsub("/$", "")
    local p, why = pattern.parse(full == "" and "/" or full)
    if not p then misuse("%s: the prefix %q %s", what, full, why) end
    if p.rest then
        misuse("%s: the prefix %q holds a *, which must be the last segment of a route", what, full)
    end
    return full, p
end

local ROUTE_OPTIONS = {
    name = true, use = true, max_body = true, timeout = true, gzip = true, strict = true,
    cache = true, etag = true, stream_body = true, query = true, form = true, json = true,
    params = true, files = true, invalid = true,
}
local GROUP_OPTIONS = {}
for name in pairs(ROUTE_OPTIONS) do GROUP_OPTIONS[name] = name ~= "name" or nil end

-- A list of middleware: a function, an array of them, or nil.
local function middleware_list(use, what)
    if type(use) == "function" then return { use } end
    if use == nil then return {} end
    expect(use, "table", what .. ": use")
    local list = {}
    for i, fn in ipairs(use) do
        expect(fn, "function", ("%s: use[%d]"):format(what, i))
        list[i] = fn
    end
    if next(use, #list > 0 and #list or nil) ~= nil then
        misuse("%s: use must be an array of functions", what)
    end
    return list
end

-- An option that middleware of ours does: made by fn, or the scope's where it is not given; false
-- takes that away.
local function inner_option(scope, opts, name, fn, what)
    if opts[name] == nil then return scope.defaults[name] end
    return opts[name] and fn(opts[name], what)
end

-- Checks the options of a route or group and gives them as {name, use, max_body, timeout, strict,
-- stream_body, gzip, cache, etag, files, query, form, json, params, invalid}, over those of the scope.
local function route_options(scope, opts, known, what)
    opts = check_options(opts, known, what)
    local given = { name = opts.name }
    if opts.name ~= nil then expect(opts.name, "string", what .. ": name") end
    for name, parse_unit in pairs { max_body = units.size, timeout = units.duration } do
        given[name] = opts[name] ~= nil and parse_unit(opts[name]) or nil
        if opts[name] ~= nil and not given[name] then
            misuse("%s: %s must be a %s, not %s", what, name,
                name == "timeout" and 'duration like 5 or "5m"' or 'size like 65536 or "20M"',
                errors.kind(opts[name]))
        end
        given[name] = given[name] or scope.defaults[name]
    end
    for _, name in ipairs { "strict", "stream_body", "gzip" } do
        if opts[name] ~= nil then expect(opts[name], "boolean", what .. ": " .. name) end
        given[name] = opts[name]
        if given[name] == nil then given[name] = scope.defaults[name] end
    end
    given.use = table.move(scope.defaults.use, 1, #scope.defaults.use, 1, {})
    for _, fn in ipairs(middleware_list(opts.use, what)) do given.use[#given.use + 1] = fn end
    given.cache = inner_option(scope, opts, "cache", parse_cache, what)
    given.etag = inner_option(scope, opts, "etag", etag_middleware, what)
    given.files = inner_option(scope, opts, "files", upload_middleware, what)
    for _, source in ipairs(VALIDATED) do
        given[source] = inner_option(scope, opts, source, function(fields)
            return valid_schema(source, fields, what)
        end, what)
    end
    given.invalid = inner_option(scope, opts, "invalid", valid_invalid, what)
    for _, name in ipairs { "files", "form", "json" } do
        if given[name] and given.stream_body then
            misuse("%s: %s needs the whole body, and stream_body leaves it to the handler", what, name)
        end
    end
    return given
end

local function is_validated(route)
    for _, source in ipairs(VALIDATED) do
        if route[source] then return true end
    end
    return false
end

-- The middleware of a route: the author's, then ours, of which the cache keeps what the others give.
local function route_uses(route, what)
    local uses = table.move(route.use, 1, #route.use, 1, {})
    if route.cache then uses[#uses + 1] = cache_middleware(route, route.cache) end
    uses[#uses + 1] = route.etag or nil
    uses[#uses + 1] = route.files or nil
    if is_validated(route) then uses[#uses + 1] = valid_middleware(route, what) end
    return uses
end

local function add_name(route, what)
    local other = site.names[route.name]
    if other then
        misuse("%s: the name %q is that of the route at %s already", what, route.name, other.place)
    end
    site.names[route.name] = route
end

-- Declares a route for an array of methods.
local function declare(scope, what, methods, text, opts, handler)
    check_open(what)
    if handler == nil and type(opts) == "function" then handler, opts = opts, nil end
    local p = parse(scope, text, what)
    expect(handler, "function", what .. ": the handler")
    local route = route_options(scope, opts, ROUTE_OPTIONS, what)
    route.pattern, route.methods, route.handler = p, methods, handler
    route.scope, route.tier, route.place = scope, scope.tier, errors.place() or "?"
    local other, method = router.add(scope.tier.router, route)
    if other then
        misuse("%s: %s %s is declared already at %s, as %s", what, method, p.text, other.place,
            other.pattern.text)
    end
    route.given, route.use = route.use, route_uses(route, what)
    if route.name then add_name(route, what) end
    local routes = scope.tier.routes
    routes[#routes + 1] = route
end

local calls = {} -- name → function(scope, …): the calls of app, groups and hosts

-- app.get(pattern[, opts], handler) and so on: a route for one method. GET answers HEAD too.
for _, method in ipairs { "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS" } do
    local name, methods = method:lower(), { method }
    calls[name] = function(scope, text, opts, handler)
        declare(scope, "app." .. name, methods, text, opts, handler)
    end
end

-- app.any(pattern[, opts], handler): a route for every method.
function calls.any(scope, text, opts, handler)
    declare(scope, "app.any", router.methods, text, opts, handler)
end

local KNOWN_METHODS = {}
for _, method in ipairs(router.methods) do KNOWN_METHODS[method] = true end

-- app.route({"GET", "POST"}, pattern[, opts], handler): a route for some methods.
function calls.route(scope, methods, text, opts, handler)
    if type(methods) == "string" then methods = { methods } end
    expect(methods, "table", "app.route: the methods")
    local list, seen = {}, {}
    for _, method in ipairs(methods) do
        if not KNOWN_METHODS[method] then
            misuse("app.route: %s is no method%s", errors.kind(method),
                suggest.hint(method, KNOWN_METHODS))
        end
        if not seen[method] then list[#list + 1] = method end
        seen[method] = true
    end
    if #list == 0 then misuse("app.route: no methods are given") end
    declare(scope, "app.route", list, text, opts, handler)
end

local USE_OPTIONS = { files = true }

-- app.use([prefix,] mw[, {files=false}]): middleware function(req, handle) around everything for
-- this host beneath the prefix: routes, 404, 405, automatic OPTIONS, and files unless files=false.
-- The first declared is outermost.
function calls.use(scope, prefix, mw, opts)
    check_open("app.use")
    if type(prefix) ~= "string" then prefix, mw, opts = "", prefix, mw end
    expect(mw, "function", "app.use: the middleware")
    local _, p = parse_prefix(scope, prefix, "app.use")
    opts = check_options(opts, USE_OPTIONS, "app.use")
    if opts.files ~= nil then expect(opts.files, "boolean", "app.use: files") end
    site.uses[#site.uses + 1] =
        { fn = mw, prefix = p, files = opts.files ~= false, tier = scope.tier, place = errors.place() }
end

local new_scope

-- app.group(prefix[, opts], fn): calls fn(g), where g declares beneath the prefix. The options are
-- defaults for the routes in it; middleware of outer groups comes first.
function calls.group(scope, prefix, opts, fn)
    check_open("app.group")
    if fn == nil and type(opts) == "function" then fn, opts = opts, nil end
    local text, p = parse_prefix(scope, prefix, "app.group")
    expect(fn, "function", "app.group: the function")
    local inner = new_scope(scope.tier, scope, text, p)
    inner.defaults = route_options(scope, opts, GROUP_OPTIONS, "app.group")
    fn(inner.api)
end

local function check_host(host)
    expect(host, "string", "app.host: the host")
    host = host:lower()
    local name = host == "*" and "any" or host:gsub("^%*%.", "")
    if not name:find("^[%w_-][%w._-]*$") and not name:find("^%[[%x:.]+%]$") then
        misuse("app.host: %q must be a host name without a port, *.name, or *", host)
    end
    return host
end

-- app.host("api.example.com", fn): calls fn(h), where h declares for one host; "*.example.com" for
-- all below it, "*" for those that no other app.host names.
function calls.host(scope, host, fn)
    check_open("app.host")
    if scope.parent then misuse("app.host: hosts are declared on app, not in a group or host") end
    host = check_host(host)
    expect(fn, "function", "app.host: the function")
    local inner = site.scopes[host]
    if not inner then
        local tier = new_tier(host)
        inner = new_scope(tier, scope, "", scope.prefix)
        site.hosts[host], site.scopes[host] = tier, inner
    end
    fn(inner.api)
end

-- app.static(prefix, dir[, opts]): the files of another folder beneath the prefix, where no route
-- matches; see static.lua.
function calls.static(scope, prefix, dir, opts)
    check_open("app.static")
    local text, p = parse_prefix(scope, prefix, "app.static")
    if not p.literal then misuse("app.static: the prefix %q must not hold captures", text) end
    local folder = new_static(dir, opts)
    folder.prefix, folder.tier = p, scope.tier
    folder.dir, folder.opts, folder.place = dir, opts or {}, errors.place()
    site.statics[#site.statics + 1] = folder
end

-- app.on_error(status or "*", function(req, err) … end): the page for a status from 400 to 599.
function calls.on_error(scope, status, fn)
    check_open("app.on_error")
    local code = math.type(status) and math.tointeger(status)
    if status ~= "*" and not (code and code >= 400 and code <= 599) then
        misuse('app.on_error: the status must be an integer from 400 to 599 or "*", not %s',
            errors.kind(status))
    end
    expect(fn, "function", "app.on_error: the page")
    if next(scope.pages) == nil then site.paged[#site.paged + 1] = scope end
    if scope.pages[code or "*"] then
        misuse("app.on_error: the page for %s is declared already at %s", tostring(status),
            errors.defined_at(scope.pages[code or "*"]))
    end
    scope.pages[code or "*"] = fn
end

-- app.every, app.at, app.at_start: see timers.lua.
for name, declare_work in pairs(timers) do
    calls[name] = function(scope, a, b, c)
        local what = "app." .. name
        if site.frozen then misuse("%s: background work is declared while main.lua loads", what) end
        if scope.parent then
            misuse("%s: background work is declared on app, not in a group or host", what)
        end
        declare_work(a, b, c)
    end
end

local helpers = {} -- name → function(…): the same in every scope

for _, name in ipairs { "response", "json", "html", "text", "redirect", "redirect_back", "file",
    "stream", "problem" } do
    helpers[name] = response[name]
end
helpers.events = later("lunette.events", "events")
helpers.purge = later("lunette.response_cache", "purge")
helpers.render = views.render

function helpers.view(fn)
    check_open("app.view")
    views.view(fn)
end

-- app.abort(status[, message or data][, headers]), app.abort(response): leaves the handler.
function helpers.abort(status, message, headers)
    if response.is(status) then errors.leave_with(status) end
    local code = math.type(status) and math.tointeger(status)
    if not code or code < 200 or code > 599 then
        misuse("app.abort: the status must be an integer from 200 to 599, or a response, not %s",
            errors.kind(status))
    end
    if headers ~= nil then expect(headers, "table", "app.abort: headers") end
    if type(message) == "table" then errors.leave(code, nil, headers, message) end
    if type(message) == "number" then message = tostring(message) end
    if message ~= nil then expect(message, "string", "app.abort: the message") end
    errors.leave(code, message, headers)
end

-- app.is_abort(e): whether e, caught by pcall, is what abort raised.
helpers.is_abort = errors.is_abort

local function query_value(name, v)
    if type(v) == "string" or type(v) == "number" or type(v) == "boolean" then
        return pattern.quote(name) .. "=" .. pattern.quote(tostring(v))
    end
    misuse("app.url_for: the query's %q must be a string, a number, a boolean or an array, not %s",
        name, errors.kind(v))
end

-- "?a=1&b=2", keys sorted, arrays as repeated keys; "" for an empty table.
local function query_text(query)
    local names, out = {}, {}
    for name in pairs(query) do
        expect(name, "string", "app.url_for: a name of the query")
        names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
        local v = query[name]
        for _, one in ipairs(type(v) == "table" and v or { v }) do
            out[#out + 1] = query_value(name, one)
        end
    end
    return #out > 0 and "?" .. table.concat(out, "&") or ""
end

local DEFAULT_PORTS = { http = 80, https = 443 }

-- "https://example.com:8443" of the request that runs, or of opts.req.
local function origin(opts)
    local req = opts.req or core.current()
    if not req then misuse("app.url_for: absolute needs a request: {absolute=true, req=req}") end
    local host, port = req.host, req.port
    if not port or port == DEFAULT_PORTS[req.scheme] or host:find(":%d+$") then
        return req.scheme .. "://" .. host
    end
    return ("%s://%s:%d"):format(req.scheme, host, port)
end

local URL_OPTIONS = { absolute = true, req = true }

-- Whether a table can only be meant as the options: a query of these names alone makes no sense.
local function is_url_options(t)
    if next(t) == nil then return false end
    for key in pairs(t) do
        if not URL_OPTIONS[key] then return false end
    end
    return t.absolute == nil or type(t.absolute) == "boolean"
end

-- app.url_for(name, params[, query][, {absolute=true}]): the path of a named route. A parameter
-- that is missing, unknown or does not match its pattern raises.
function helpers.url_for(name, params, query, opts)
    expect(name, "string", "app.url_for: the name")
    local route = site.names[name]
    if not route then
        misuse("app.url_for: no route is named %q%s", name, suggest.hint(name, site.names))
    end
    if params ~= nil then expect(params, "table", "app.url_for: the parameters") end
    if query ~= nil then expect(query, "table", "app.url_for: the query") end
    if opts == nil and query and is_url_options(query) then query, opts = nil, query end
    opts = check_options(opts, URL_OPTIONS, "app.url_for")
    local path, why = pattern.build(route.pattern, params or {})
    if not path then misuse("app.url_for: %q: %s", name, why) end
    return (opts.absolute and origin(opts) or "") .. path .. query_text(query or {})
end

local LATER = { "websocket" }

for _, name in ipairs(LATER) do
    helpers[name] = function()
        misuse("app.%s is not in this version of lunette yet", name)
    end
end

local known = { settings = true, dev = true, data = true }
for name in pairs(calls) do known[name] = true end
for name in pairs(helpers) do known[name] = true end

local Api = { __name = "lunette.app" }

function Api.__index(_, name)
    if name == "listen" or name == "run" then
        misuse("app.%s is unknown: lunette serve does that; see config.lua's listen", name)
    end
    local near = suggest.nearest(name, known)
    misuse("app.%s is unknown%s", tostring(name),
        near and (" (the nearest known name is app.%s)"):format(near) or "")
end

-- The table that an author holds for a scope. Every call works with a dot and with a colon.
local function new_api(scope)
    local api = { settings = core.settings or {}, dev = core.dev or false, data = core.data or "" }
    for name, fn in pairs(calls) do
        api[name] = function(a, b, c, d, e)
            if a == api then a, b, c, d = b, c, d, e end
            fn(scope, a, b, c, d)
        end
    end
    for name, fn in pairs(helpers) do
        api[name] = function(a, b, c, d, e)
            if a == api then return fn(b, c, d, e) end
            return fn(a, b, c, d)
        end
    end
    return setmetatable(api, Api)
end

function new_scope(tier, parent, text, prefix)
    local scope = {
        tier = tier, parent = parent, text = text, prefix = prefix, pages = {},
        defaults = parent and parent.defaults or { use = {} },
    }
    scope.api = new_api(scope)
    return scope
end

-- The module table of lunette.
app.api = new_scope(site.tier, nil, "", pattern.parse("/")).api

-- What was declared, for commands that show it; theirs to read.
app.site = site

-- main.lua has run: compiles what it declared.
function app.loaded()
    if site.frozen then return end
    site.frozen = true
    dispatch.compile(site)
    local routes = #site.tier.routes
    for _, tier in pairs(site.hosts) do routes = routes + #tier.routes end
    core.declared(routes, #site.uses)
    if core.live then
        local names = {}
        for host in pairs(site.hosts) do names[#names + 1] = host end
        core.own_hosts(names)
    end
end

return app
