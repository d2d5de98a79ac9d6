-- Pages of other origins may call this site from a browser (the CORS protocol of the Fetch
-- standard).
--
--   app.use(cors.middleware{ origins = { "https://example.com", "https://*.example.com" } })
--
-- Declare it first: the first middleware is outermost, so that a preflight is answered before any
-- auth asks it for credentials, which browsers never send with it, and that a 401 or 429 from
-- inside is marked too, so that the page may read why. Without the mark the browser shows the page
-- no answer at all.
--
-- Options: origins ("*"; a list as in origins.lua, or function(origin, req)), methods (those that
-- preflights allow: GET, HEAD, POST, PUT, PATCH and DELETE), headers (which the page may send: what
-- it asks for), expose (headers of the answer that it may read), credentials (false: no cookies;
-- true needs origins that are named), max_age (how long a browser keeps a preflight's answer: 600
-- s).
--
-- This is no protection: it lifts one. A request that needs no preflight reaches the handler
-- whatever its Origin; what changes things is lunette.csrf's business. An Origin of "null" is never
-- named; only "*" and a function can allow it.

local core = require "lunette.core"
local errors = require "lunette.errors"
local origins = require "lunette.origins"
local response = require "lunette.response"
local units = require "lunette.units"

local misuse, expect, check_options = errors.misuse, errors.expect, errors.check_options

local cors = {}

local METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
local ASKED_MAX = 4096 -- bytes of Access-Control-Request-Headers that are allowed as they come

-- A list of tokens as one header value; nil without one.
local function joined(list, what)
    if list == nil then return nil end
    if type(list) == "string" then list = { list } end
    expect(list, "table", what)
    for _, name in ipairs(list) do
        expect(name, "string", what .. ": a name")
        if not name:find("^[%w!#$%%&'*+.^_`|~,%- ]+$") then
            misuse("%s: %s is no name", what, errors.kind(name))
        end
    end
    return table.concat(list, ", ")
end

local function seconds_of(max_age)
    if max_age == nil then return 600 end
    if max_age == 0 then return 0 end
    local seconds = units.duration(max_age)
    if not seconds then
        misuse('lunette.cors: max_age must be a duration like 600 or "10m", not %s',
            errors.kind(max_age))
    end
    return math.ceil(seconds)
end

local OPTIONS = {
    origins = true, methods = true, headers = true, expose = true, credentials = true, max_age = true,
}

local function new_conf(opts)
    opts = check_options(opts, OPTIONS, "lunette.cors.middleware")
    if opts.credentials ~= nil then
        expect(opts.credentials, "boolean", "lunette.cors: credentials")
    end
    local conf = { credentials = opts.credentials, max_age = seconds_of(opts.max_age) }
    conf.allows, conf.all = origins.parse(opts.origins or "*", "lunette.cors: origins")
    if conf.all and conf.credentials then
        misuse('lunette.cors: credentials = true with origins "*" would show every visitor\'s own '
            .. "pages to any site: name the origins")
    end
    conf.methods = (joined(opts.methods, "lunette.cors: methods") or METHODS):upper()
    conf.headers = joined(opts.headers, "lunette.cors: headers")
    conf.expose = joined(opts.expose, "lunette.cors: expose")
    return conf
end

-- The mark of an answer for the origin: what Access-Control-Allow-Origin says; nil for none.
local function mark_for(conf, req, origin)
    if not conf.all then core.vary(req, "Origin") end
    if not origin or not conf.allows(origin, req) then return nil end
    return conf.all and "*" or origin
end

local function preflight(conf, req, mark)
    local headers = {}
    if not conf.headers then core.vary(req, "Access-Control-Request-Headers") end
    if mark then
        local asked = core.field(req, "access-control-request-headers")
        if asked and #asked > ASKED_MAX then asked = nil end
        headers["Access-Control-Allow-Origin"] = mark
        headers["Access-Control-Allow-Credentials"] = conf.credentials and "true" or nil
        headers["Access-Control-Allow-Methods"] = conf.methods
        headers["Access-Control-Allow-Headers"] = conf.headers or asked
        headers["Access-Control-Max-Age"] = conf.max_age
    end
    return response.new(204, headers, nil)
end

local MARKS = { "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials",
    "Access-Control-Expose-Headers" }

-- The answer is marked before it is made, so that the error's page is marked too where no answer
-- comes this way again, as when a stream fails at once. Marks of the handler's own give way.
local function marked(conf, req, handle, mark)
    if mark then
        core.add_header(req, MARKS[1], mark)
        if conf.credentials then core.add_header(req, MARKS[2], "true") end
        if conf.expose then core.add_header(req, MARKS[3], conf.expose) end
    end
    local res = handle(req)
    for _, name in ipairs(MARKS) do res.headers[name] = nil end
    return res
end

-- middleware{origins=, methods=, headers=, expose=, credentials=, max_age=} → middleware.
function cors.middleware(opts)
    local conf = new_conf(opts)
    return function(req, handle)
        local origin = core.field(req, "origin")
        local mark = mark_for(conf, req, origin)
        if req.method == "OPTIONS" and origin
            and core.field(req, "access-control-request-method") then
            return preflight(conf, req, mark)
        end
        return marked(conf, req, handle, mark)
    end
end

return cors
