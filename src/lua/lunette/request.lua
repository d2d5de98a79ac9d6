-- The methods of request tables.

local core = require "lunette.core"
local errors = require "lunette.errors"
local pages = require "lunette.pages"
local response = require "lunette.response"
local suggest = require "lunette.suggest"
local units = require "lunette.units"

local misuse, expect, check_options = errors.misuse, errors.expect, errors.check_options

local request = {}

-- Wraps a method so that a call with a dot says so, and one on a request that is over. Only what
-- was read from the sources before is left then, which is all that int needs.
local function method(name, fn)
    request[name] = function(self, ...)
        local ok, over = pcall(core.over, self)
        if not ok then misuse("req.%s: call with a colon, req:%s(…)", name, name) end
        if over and name ~= "int" then misuse("req:%s: the request is over", name) end
        return fn(self, ...)
    end
end

-- Calls a function of the core's for a method: what it refuses is said at the site's line.
local function call(name, fn, ...)
    local ok, result = pcall(fn, ...)
    if ok then return result end
    local text = errors.text_of(result):gsub("^lunette[%w/]*:%d+: ", "")
    misuse("req:%s: %s", name, (text:gsub("^bad argument (#%d+) to '[^']*' %((.*)%)$", "%2")))
end

local SOURCES = {
    query = true, form = true, params = true, cookies = true, headers = true, json = true,
}
local INT_OPTIONS = { from = true, default = true, min = true, max = true }

local function bound(opts, name)
    local v = opts[name]
    if v ~= nil and not (math.type(v) and math.tointeger(v)) then
        misuse("req:int: %s must be an integer, not %s", name, errors.kind(v))
    end
    return v
end

-- An integer of 64 bits from its decimal text, or from a number; nil for anything else.
local function integer_of(v)
    if type(v) == "number" then return math.tointeger(v) end
    if type(v) ~= "string" or not v:find("^[+-]?%d+$") then return nil end
    local n = tonumber(v)
    return math.type(n) == "integer" and n or nil -- a float: more digits than fit, and rounded
end

-- req:int(name[, {from="query", default=, min=, max=}]) → integer. Leaves with a 400 that names the
-- field when it is absent (and there is no default), no integer, or out of its range.
method("int", function(self, name, opts)
    expect(name, "string", "req:int: the name")
    opts = check_options(opts, INT_OPTIONS, "req:int")
    local from = opts.from or "query"
    if not SOURCES[from] then
        misuse("req:int: from must be the name of a source, not %s%s", errors.kind(from),
            suggest.hint(from, SOURCES))
    end
    local min, max = bound(opts, "min"), bound(opts, "max")
    local source = rawget(self, from)
    if source == nil then
        if core.over(self) then
            misuse("req:int: the request is over, and req.%s was not read", from)
        end
        source = self[from] -- made now
    end
    local v = type(source) == "table" and source[name] or nil
    if v == nil then
        if opts.default ~= nil then return opts.default end
        errors.leave(400, ("%s is missing"):format(name))
    end
    local n = integer_of(v)
    if not n then errors.leave(400, ("%s must be an integer"):format(name)) end
    if min and n < min then errors.leave(400, ("%s must be at least %d"):format(name, min)) end
    if max and n > max then errors.leave(400, ("%s must be at most %d"):format(name, max)) end
    return n
end)

-- Short names of media types, for accepts and negotiate; a name with a slash is a type itself.
local TYPES = {
    html = "text/html", json = "application/json", text = "text/plain", xml = "application/xml",
    csv = "text/csv", css = "text/css", js = "text/javascript", svg = "image/svg+xml",
    png = "image/png", jpeg = "image/jpeg", webp = "image/webp", pdf = "application/pdf",
    problem = "application/problem+json", atom = "application/atom+xml",
}

local function media_type(name, what)
    if name:find("/", 1, true) then return name end
    return TYPES[name] or misuse("%s: unknown type %q%s", what, name, suggest.hint(name, TYPES))
end

-- The strings of f("a", "b") or f{"a", "b"}; raises when there are none or others.
local function offered(what, ...)
    local list = ...
    if type(list) ~= "table" then list = { ... } end
    if #list == 0 then misuse("%s: nothing is offered", what) end
    for _, v in ipairs(list) do expect(v, "string", what .. ": what is offered") end
    return list
end

-- The index of the best of the list by a field of the request, or nil. A field with more elements than
-- are looked at is refused: what is left out might have been the one.
local function best_of(self, list, field, accept)
    core.vary(self, field)
    local best, long = accept(self, list)
    if long then pages.refuse(self, 400, field .. " has more than 64 elements") end
    return best
end

-- req:accepts("text/html", "json", …) → the one that the client likes best, as offered, or nil.
-- Without an Accept header the first. Adds Accept to Vary.
method("accepts", function(self, ...)
    local list = offered("req:accepts", ...)
    local types = {}
    for i, name in ipairs(list) do types[i] = media_type(name, "req:accepts") end
    return list[best_of(self, types, "Accept", core.accept)]
end)

-- The same for languages, by RFC 4647 lookup.
method("accepts_language", function(self, ...)
    local list = offered("req:accepts_language", ...)
    return list[best_of(self, list, "Accept-Language", core.accept_language)]
end)

-- The same for content codings.
method("accepts_encoding", function(self, ...)
    local list = offered("req:accepts_encoding", ...)
    return list[best_of(self, list, "Accept-Encoding", core.accept_encoding)]
end)

-- A table has no order: html comes first, then names in the alphabet's, so that every answer to a
-- client without a preference is the same.
local function by_name(a, b)
    if (a == "html") ~= (b == "html") then return a == "html" end
    return a < b
end

-- req:negotiate{ html=fn, json=fn, ["image/png"]=fn }: calls the best with the request and gives
-- its results; leaves with 406 when none is acceptable.
method("negotiate", function(self, choices)
    expect(choices, "table", "req:negotiate: the choices")
    local names, types = {}, {}
    for name, fn in pairs(choices) do
        expect(name, "string", "req:negotiate: a type")
        expect(fn, "function", "req:negotiate: " .. name)
        names[#names + 1] = name
    end
    if #names == 0 then misuse("req:negotiate: nothing is offered") end
    table.sort(names, by_name)
    for i, name in ipairs(names) do types[i] = media_type(name, "req:negotiate") end
    local best = best_of(self, types, "Accept", core.accept)
    if not best then errors.leave(406, "this is there as " .. table.concat(types, ", ")) end
    return choices[names[best]](self)
end)

local CHECK_OPTIONS = { required = true }

-- req:check(etag[, last_modified][, {required=true}]): leaves with 412 (304 for GET and HEAD) when
-- a condition of the request fails, with 428 when one is required and absent. etag: a tag with or
-- without its quotes, or nil; last_modified: seconds since 1970, or nil.
method("check", function(self, etag, modified, opts)
    if type(modified) == "table" and opts == nil then modified, opts = nil, modified end
    opts = check_options(opts, CHECK_OPTIONS, "req:check")
    if etag ~= nil then
        expect(etag, "string", "req:check: the etag")
        if not etag:find('^W?/?".*"$') then etag = '"' .. etag .. '"' end
    end
    if modified ~= nil then expect(modified, "number", "req:check: last_modified") end
    local verdict, present = core.check(self, etag, modified)
    if verdict == "failed" then errors.leave(412) end
    if verdict == "not_modified" then
        local headers = { ETag = etag }
        if modified then
            headers["Last-Modified"] = os.date("!%a, %d %b %Y %H:%M:%S GMT", modified // 1 | 0)
        end
        errors.leave_with(response.new(304, headers, nil))
    end
    if opts.required and not present then
        errors.leave(428, "this request must say which version it changes (If-Match)")
    end
end)

-- The author's cookie options, with Secure on TLS unless they say otherwise.
local function cookie_options(self, opts, what)
    if opts ~= nil then expect(opts, "table", what .. ": the options") end
    if self.scheme ~= "https" or (opts and opts.secure ~= nil) then return opts end
    local copy = { secure = true }
    for name, value in pairs(opts or {}) do copy[name] = value end
    return copy
end

-- req:set_cookie(name, value[, opts]): a Set-Cookie on whatever the handler returns; opts as in
-- lunette.cookie.make.
method("set_cookie", function(self, name, value, opts)
    opts = cookie_options(self, opts, "req:set_cookie")
    local line = call("set_cookie", require "lunette.cookie".make, name, value, opts)
    call("set_cookie", core.add_header, self, "Set-Cookie", line)
end)

-- req:expire_cookie(name[, opts]): the browser forgets it; path and domain as when it was set.
method("expire_cookie", function(self, name, opts)
    opts = cookie_options(self, opts, "req:expire_cookie")
    local line = call("expire_cookie", require "lunette.cookie".expire, name, opts)
    call("expire_cookie", core.add_header, self, "Set-Cookie", line)
end)

-- req:add_header(name, value): one more header on whatever the handler returns.
method("add_header", function(self, name, value)
    expect(name, "string", "req:add_header: the name")
    if type(value) == "number" then value = tostring(value) end
    expect(value, "string", "req:add_header: the value")
    call("add_header", core.add_header, self, name, value)
end)

-- req:after(fn): runs once the answer is sent.
method("after", function(self, fn)
    expect(fn, "function", "req:after: the function")
    core.after(self, fn)
end)

local JSON_OPTIONS = { type = true, null = true }
local JSON_TYPES = { object = true, array = true, any = true }

-- req:expect_json([{type="object"|"array"|"any", null=}]) → the body's JSON value. Leaves with 415
-- for another media type, 400 for malformed text, 422 for a value that is not of the type, which is
-- an object unless another is given. null=true keeps the nulls of objects, as json.null.
method("expect_json", function(self, opts)
    opts = check_options(opts, JSON_OPTIONS, "req:expect_json")
    local wanted = opts.type or "object"
    if not JSON_TYPES[wanted] then
        misuse("req:expect_json: type must be \"object\", \"array\" or \"any\", not %s%s",
            errors.kind(wanted), suggest.hint(wanted, JSON_TYPES))
    end
    local value, kind = core.expect_json(self, opts.null)
    if not kind then
        pages.refuse(self, 415, "a JSON body is expected, with Content-Type: application/json",
            { Accept = "application/json" })
    end
    if wanted ~= "any" and kind ~= wanted then
        pages.refuse(self, 422, ("the JSON body must be an %s, not %s"):format(wanted,
            kind == "null" and kind or (kind:find("^[aeiou]") and "an " or "a ") .. kind))
    end
    return value
end)

-- req:read([n]) → the next bytes of the body of a route with stream_body: n of them, fewer only at
-- the end, or without n whatever has come; nil at the end. Leaves with 400, 408 or 413 for a body
-- that is malformed, slow or too large.
local function read(self, n)
    if n ~= nil and not units.size(n) then
        misuse('req:read: n must be a size like 65536 or "64K", not %s', errors.kind(n))
    end
    local bytes, why = core.read(self, n)
    if why then misuse("req:read: %s", why) end
    return bytes
end
method("read", read)

-- req:chunks(): an iterator over the body of a route with stream_body, in pieces as they come.
method("chunks", function(self)
    return function() return read(self) end
end)

-- Fields that a module makes when they are first read: nil where the site has not loaded the module.
for name, module in pairs { session = "lunette.session", csp_nonce = "lunette.secure" } do
    request[name] = { function(self)
        local loaded = package.loaded[module]
        return loaded and loaded.field(self)
    end }
end

-- req:csrf_token() → the token for a form of this answer; see csrf.lua.
method("csrf_token", function(self)
    return require "lunette.csrf".token(self)
end)

return request
