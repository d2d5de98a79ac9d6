-- A lunette.core without a server: fake.site(fn[, files]) loads a fresh library, lets fn(app)
-- declare a site, and gives site:ask(method, path, fields) → response, which is always settled.

local fake = {}

local MODULES = { "lunette", "lunette.app", "lunette.cache_option", "lunette.chain", "lunette.declare", "lunette.dispatch",
    "lunette.errors", "lunette.events", "lunette.host_views", "lunette.later", "lunette.outcome", "lunette.pages",
    "lunette.pattern", "lunette.request", "lunette.response", "lunette.route_options", "lunette.router", "lunette.scope",
    "lunette.static", "lunette.suggest", "lunette.timers", "lunette.units", "lunette.unrouted", "lunette.uploads",
    "lunette.url_for", "lunette.valid_option", "lunette.validate", "lunette.validate_types", "lunette.views" }

-- Enough of JSON to see that something was encoded.
package.preload["lunette.json"] = function()
    local json = {}
    function json.encode(v)
        if type(v) ~= "table" then
            return type(v) == "string" and ("%q"):format(v) or tostring(v)
        end
        local keys = {}
        for k in pairs(v) do keys[#keys + 1] = tostring(k) end
        table.sort(keys)
        return "{" .. table.concat(keys, ",") .. "}"
    end
    return json
end

package.preload["lunette.html"] = function()
    return { escape = function(s) return s end }
end

package.preload["lunette.cookie"] = function()
    return {
        make = function(name, value, opts)
            return name .. "=" .. value .. (opts and opts.secure and "; Secure" or "")
        end,
        expire = function(name) return name .. "=; Max-Age=0" end,
    }
end

-- Keeps what was declared, as { kind, what, fn, … }.
package.preload["lunette.timer"] = function()
    local timer = { declared = {} }
    for _, kind in ipairs { "every", "daily", "start" } do
        timer[kind] = function(...)
            timer.declared[#timer.declared + 1] = table.pack(kind, ...)
            if kind == "daily" and tonumber((select(3, ...)):match "^%d+") > 23 then
                return nil, "no time of day"
            end
            return true
        end
    end
    return timer
end

local function segments(path)
    local list = {}
    for s in path:gmatch("[^/]+") do list[#list + 1] = s end
    if #list > 0 and path:sub(-1) == "/" then list[#list + 1] = "" end
    return list
end

-- What API.md says of results; the words are C's own.
local function normalise(class, ...)
    local n, a, b, c = select("#", ...), ...
    if n == 0 then return nil, "nothing was returned: return 204 for an empty answer" end
    if getmetatable(a) == class then return a end
    local function new(status, headers, body)
        return setmetatable({ status = status, headers = headers or {}, body = body }, class)
    end
    if type(a) == "string" and b == nil then return new(200, nil, a) end
    if type(a) == "table" and b == nil then return new(200, nil, a) end
    if math.type(a) == "integer" then
        if type(b) == "string" then return new(a, nil, b) end
        return new(a, b, c)
    end
    return nil, "not an answer"
end

local function new_core(files)
    local core = { logged = {}, decided = {}, FILE = { "the file" } }
    core.dev, core.data, core.settings = false, "/d", { a = 1 }
    function core.declared(...) core.counts = { ... } end
    function core.start(t) core.started = t end
    function core.shows() return core.stranger ~= true end
    function core.route() return nil end
    function core.plain() end
    function core.asked(req) return req.method, req.path == "*", req.host end
    function core.log(level, text) core.logged[#core.logged + 1] = level .. " " .. text end
    function core.normalise(...) return normalise(core.started.response, ...) end
    function core.encode(t) return require "lunette.json".encode(t) end
    function core.page(status, message) return ("<%d %s>"):format(status, message or "") end
    function core.receive(req, max)
        req.max = max
        if req.too_large then return 413, "too large" end
        return 0
    end
    function core.timeout(req, seconds) req.deadline = seconds end
    function core.segments(req) return req.segments or segments(req.path) end
    function core.root(dir) return assert(files[dir] and dir, dir .. ": no such folder") end
    function core.find(req, root, path)
        local found = files[root or "site"][path or req.path]
        if found == 403 then return nil, 403 end
        req.found = found
        return found and 200 or nil
    end
    function core.files_decide(req) core.decided[req.method .. " " .. req.path] = true end
    function core.exists(req, root, path) return files[root or "site"][path or req.path] ~= nil end
    function core.file_response(req) return normalise(core.started.response, 200, {}, req.found) end
    function core.open_file(_, path)
        if not files.site[path] then return nil, 404 end
        return normalise(core.started.response, 200, { ETag = '"f"' }, files.site[path])
    end
    function core.accept(req, offered)
        for i, kind in ipairs(offered) do
            if not req.accept or req.accept == kind then return i end
        end
    end
    core.accept_language, core.accept_encoding = core.accept, core.accept
    function core.vary(req, name) req.varied = name end
    function core.add_header(req, name, value) req.added = { name, value } end
    function core.check(req) return req.verdict or "go", req.verdict ~= nil end
    function core.after(req, fn) req.later = fn end
    function core.late(req) return req.late or false end
    function core.over(req)
        assert(type(req) == "table" and req.method, "a request expected")
        return req.gone or false
    end
    function core.current() return core.running end
    function core.sender() return nil end -- as for a write that is not a stream's own
    return core
end

local Site = {}
Site.__index = Site

-- Raw: what dispatch returned. The request is site.req afterwards.
function Site:raw(method, path, fields)
    local req = setmetatable({ method = method, path = path, scheme = "http", host = "localhost",
        port = 80, headers = {}, query = {} }, { __index = function(_, name)
        local found = self.core.started.methods[name]
        if type(found) == "table" then return nil end -- a field that a module makes
        return found
    end })
    for k, v in pairs(fields or {}) do req[k] = v end
    req.params = fields and fields.params or {}
    self.req = req
    return self.core.started.dispatch(req, method, path, req.segments ~= nil, req.has_body or false)
end

function Site:ask(method, path, fields)
    local results = table.pack(self:raw(method, path, fields))
    if results[1] == self.core.FILE then return self.core.file_response(self.req) end
    return assert(self.core.normalise(table.unpack(results, 1, results.n)))
end

function Site:body(method, path, fields)
    return self:ask(method, path, fields).body
end

function fake.site(declare, files)
    for _, name in ipairs(MODULES) do package.loaded[name] = nil end
    files = files or {}
    files.site = files.site or {}
    local core = new_core(files)
    package.loaded["lunette.core"] = core
    local app = require "lunette"
    local site = setmetatable({ core = core, app = app }, Site)
    if declare then declare(app, core) end
    core.started.loaded()
    return site
end

-- A library that still takes declarations.
function fake.open()
    for _, name in ipairs(MODULES) do package.loaded[name] = nil end
    package.loaded["lunette.core"] = new_core { site = {}, public = {} }
    return require "lunette", package.loaded["lunette.core"]
end

return fake
