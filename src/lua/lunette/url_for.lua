-- app.url_for: the path of a route that has a name. Misuse raises.

local core = require "lunette.core"
local errors = require "lunette.errors"
local pattern = require "lunette.pattern"
local response = require "lunette.response"
local scope = require "lunette.scope"
local suggest = require "lunette.suggest"

local misuse, expect, check_options = errors.misuse, errors.expect, errors.check_options
local routes = scope.site.names -- by name

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

-- "https://example.com:8443" of the request that runs, or of opts.req.
local function origin(opts)
    local req = opts.req or core.current()
    if not req then misuse("app.url_for: absolute needs a request: {absolute=true, req=req}") end
    local host, port = req.host, req.port
    if not port or port == response.PORTS[req.scheme] or host:find(":%d+$") then
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
return function(name, params, query, opts)
    expect(name, "string", "app.url_for: the name")
    local route = routes[name]
    if not route then
        misuse("app.url_for: no route is named %q%s", name, suggest.hint(name, routes))
    end
    if params ~= nil then expect(params, "table", "app.url_for: the parameters") end
    if query ~= nil then expect(query, "table", "app.url_for: the query") end
    if opts == nil and query and is_url_options(query) then query, opts = nil, query end
    opts = check_options(opts, URL_OPTIONS, "app.url_for")
    local path, why = pattern.build(route.pattern, params or {})
    if not path then misuse("app.url_for: %q: %s", name, why) end
    return (opts.absolute and origin(opts) or "") .. path .. query_text(query or {})
end
