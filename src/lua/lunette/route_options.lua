-- The options of routes and groups, checked, and the middleware that some of them are. Misuse raises;
-- `what` names the call.

local errors = require "lunette.errors"
local later = require "lunette.later"
local units = require "lunette.units"

local misuse, expect, check_options = errors.misuse, errors.expect, errors.check_options

local parse_cache = later("lunette.cache_option", "parse")
local cache_middleware = later("lunette.response_cache", "middleware")
local etag_middleware = later("lunette.etags", "middleware")
local upload_middleware = later("lunette.uploads", "middleware")
local valid_schema = later("lunette.valid_option", "schema")
local valid_invalid = later("lunette.valid_option", "invalid")
local valid_middleware = later("lunette.valid_option", "middleware")

local VALIDATED = { "params", "query", "form", "json" } -- the options that are schemas

local route_options = {}

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

-- A size or a duration; wanted is what the option must be, in words.
local function unit_option(scope, opts, name, parse, wanted, what)
    local given = opts[name]
    if given == nil then return scope.defaults[name] end
    return parse(given) or misuse("%s: %s must be a %s, not %s", what, name, wanted, errors.kind(given))
end

local function flag_option(scope, opts, name, what)
    local given = opts[name]
    if given == nil then return scope.defaults[name] end
    expect(given, "boolean", what .. ": " .. name)
    return given
end

-- An option that middleware of ours does: made by fn, or the scope's where it is not given; false
-- takes that away.
local function inner_option(scope, opts, name, fn, what)
    if opts[name] == nil then return scope.defaults[name] end
    return opts[name] and fn(opts[name], what)
end

-- The options of a route or group as {name, use, max_body, timeout, strict,
-- stream_body, gzip, cache, etag, files, query, form, json, params, invalid}, over those of the scope.
local function check(scope, opts, known, what)
    opts = check_options(opts, known, what)
    local given = { name = opts.name }
    if opts.name ~= nil then expect(opts.name, "string", what .. ": name") end
    given.max_body =
        unit_option(scope, opts, "max_body", units.size, 'size like 65536 or "20M"', what)
    given.timeout =
        unit_option(scope, opts, "timeout", units.duration, 'duration like 5 or "5m"', what)
    for _, name in ipairs { "strict", "stream_body", "gzip" } do
        given[name] = flag_option(scope, opts, name, what)
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

function route_options.of_route(scope, opts, what)
    return check(scope, opts, ROUTE_OPTIONS, what)
end

-- A group's are the defaults of what is in it.
function route_options.of_group(scope, opts, what)
    return check(scope, opts, GROUP_OPTIONS, what)
end

local function is_validated(route)
    for _, source in ipairs(VALIDATED) do
        if route[source] then return true end
    end
    return false
end

-- The middleware of a route: the author's, then ours, of which the cache keeps what the others give.
function route_options.uses(route, what)
    local uses = table.move(route.use, 1, #route.use, 1, {})
    if route.cache then uses[#uses + 1] = cache_middleware(route, route.cache) end
    uses[#uses + 1] = route.etag or nil
    uses[#uses + 1] = route.files or nil
    if is_validated(route) then uses[#uses + 1] = valid_middleware(route, what) end
    return uses
end

return route_options
