-- The calls that declare something, as main.lua makes them on the app, a group or a host: name →
-- function(scope, …). Misuse raises, and so does whatever comes once main.lua has run.

local errors = require "lunette.errors"
local later = require "lunette.later"
local route_options = require "lunette.route_options"
local router = require "lunette.router"
local scopes = require "lunette.scope"
local suggest = require "lunette.suggest"

local misuse, expect, check_options = errors.misuse, errors.expect, errors.check_options
local site, check_open = scopes.site, scopes.check_open
local parse, parse_prefix = scopes.parse, scopes.parse_prefix
local new_static = later("lunette.static", "new")

local calls = {}

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
    local route = route_options.of_route(scope, opts, what)
    route.pattern, route.methods, route.handler = p, methods, handler
    route.scope, route.tier, route.place = scope, scope.tier, errors.place() or "?"
    local other, method = router.add(scope.tier.router, route)
    if other then
        misuse("%s: %s %s is declared already at %s, as %s", what, method, p.text, other.place,
            other.pattern.text)
    end
    route.given, route.use = route.use, route_options.uses(route, what)
    if route.name then add_name(route, what) end
    local routes = scope.tier.routes
    routes[#routes + 1] = route
end

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

-- app.group(prefix[, opts], fn): calls fn(g), where g declares beneath the prefix. The options are
-- defaults for the routes in it; middleware of outer groups comes first.
function calls.group(scope, prefix, opts, fn)
    check_open("app.group")
    if fn == nil and type(opts) == "function" then fn, opts = opts, nil end
    local text, p = parse_prefix(scope, prefix, "app.group")
    expect(fn, "function", "app.group: the function")
    local inner = scopes.group(scope, text, p)
    inner.defaults = route_options.of_group(scope, opts, "app.group")
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
    fn(scopes.host(scope, host).api)
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
for _, name in ipairs { "every", "at", "at_start" } do
    local declare_work = later("lunette.timers", name)
    calls[name] = function(scope, a, b, c)
        local what = "app." .. name
        if site.frozen then misuse("%s: background work is declared while main.lua loads", what) end
        if scope.parent then
            misuse("%s: background work is declared on app, not in a group or host", what)
        end
        declare_work(a, b, c)
    end
end

return calls
