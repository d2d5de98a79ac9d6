-- Responses: {status, headers, body} with one metatable, and the helpers that make them.
--
-- A response is one value: it may be stored, changed, passed on and returned. `implied` marks a
-- status that nobody named, so that a page of on_error keeps the error's.

local errors = require "lunette.errors"
local units = require "lunette.units"

local misuse, expect = errors.misuse, errors.expect

local response = {}

local Response = { __name = "lunette.response" }
Response.__index = Response
response.class = Response

-- The raw key of headers that equals name in any case; nil without one.
local function key_of(headers, name)
    if rawget(headers, name) ~= nil then return name end
    if type(name) ~= "string" then return nil end
    local lower, n = name:lower(), #name
    for key in next, headers do
        if type(key) == "string" and #key == n and key:lower() == lower then return key end
    end
    return nil
end

-- Headers that any case finds. Iteration is plain and gives names as first written.
local Headers = { __name = "lunette.headers" }

function Headers.__index(headers, name)
    local key = key_of(headers, name)
    return key and rawget(headers, key)
end

function Headers.__newindex(headers, name, value)
    rawset(headers, key_of(headers, name) or name, value)
end

-- A copy of a headers table (or nil) that is read and written in any case. A copy, since the
-- original may be a constant of the site's scripts.
function response.headers(from)
    local copy = {}
    if not from then return setmetatable(copy, Headers) end
    local unique = getmetatable(from) == Headers -- no two names of it differ in case alone
    if not unique then setmetatable(copy, Headers) end
    for name, value in next, from do
        copy[name] = type(value) == "table" and table.move(value, 1, #value, 1, {}) or value
    end
    return unique and setmetatable(copy, Headers) or copy
end

-- A copy of a response for middleware to change.
function response.copy(res)
    return setmetatable({
        status = res.status, headers = response.headers(res.headers), body = res.body,
        implied = res.implied,
    }, Response)
end

-- Puts an author's headers over those of a file's response. Expires says the same as the
-- Cache-Control it came with, and goes with it.
function response.overlay(res, headers)
    if not headers then return end
    if key_of(headers, "Cache-Control") then res.headers.Expires = nil end
    for name, value in pairs(headers) do res.headers[name] = value end
end

-- Appends a header: a second one of a name makes an array of both.
function Response.add_header(self, name, value)
    if type(self) ~= "table" or getmetatable(self) ~= Response then
        misuse("res.add_header: call with a colon, res:add_header(name, value)")
    end
    expect(name, "string", "res:add_header: the name")
    if type(value) ~= "number" then expect(value, "string", "res:add_header: the value") end
    local headers = self.headers or {}
    self.headers = headers
    local key = key_of(headers, name) or name
    local old = rawget(headers, key)
    if old == nil then
        headers[key] = value
    elseif type(old) == "table" then
        old[#old + 1] = tostring(value)
    else
        headers[key] = { tostring(old), tostring(value) }
    end
end

-- Whether v is a response.
function response.is(v)
    return getmetatable(v) == Response
end

local function refuse_response(v, what)
    if response.is(v) then
        misuse("%s: the body is a response: return it alone, or set its status and headers", what)
    end
end

local function new(status, headers, body, implied)
    return setmetatable({ status = status, headers = headers, body = body, implied = implied },
        Response)
end
response.new = new

-- Headers with a Content-Type, unless they have one; a copy when they are the author's.
local function with_type(headers, kind)
    if headers == nil then return { ["Content-Type"] = kind } end
    local copy = {}
    for name, value in pairs(headers) do copy[name] = value end
    if not key_of(copy, "Content-Type") then copy["Content-Type"] = kind end
    return copy
end

-- The last two arguments of a helper, (status, headers) or (headers) alone → status, headers,
-- whether the status is implied. Raises on misuse.
local function status_and_headers(status, headers, what)
    if type(status) == "table" and headers == nil then status, headers = nil, status end
    if headers ~= nil then expect(headers, "table", what .. ": headers") end
    if status == nil then return 200, headers, true end
    local n = math.type(status) and math.tointeger(status)
    if not n or n < 200 or n > 599 then
        misuse("%s: the status must be an integer from 200 to 599, not %s", what,
            errors.kind(status))
    end
    return n, headers, nil
end

-- app.response(status[, headers[, body]]): exactly that. The body is a string, a table (JSON), a
-- stream function, a file object or nil.
function response.response(status, headers, body)
    if status == nil then misuse("app.response: the status is missing") end
    status = status_and_headers(status, nil, "app.response")
    if headers ~= nil then expect(headers, "table", "app.response: headers") end
    refuse_response(body, "app.response")
    return new(status, headers or {}, body)
end

-- app.json(value[, status][, headers]): any value as JSON; text that is not UTF-8 is mended.
function response.json(value, status, headers)
    local code, given, implied = status_and_headers(status, headers, "app.json")
    local body = value
    refuse_response(value, "app.json")
    if type(value) ~= "table" then
        local text, why = require "lunette.json".encode(value)
        if not text then misuse("app.json: %s", why) end
        body = text
    end
    return new(code, with_type(given, "application/json"), body, implied)
end

-- app.html(s[, status][, headers]): a page.
function response.html(s, status, headers)
    expect(s, "string", "app.html: the page")
    local code, given, implied = status_and_headers(status, headers, "app.html")
    return new(code, with_type(given, "text/html; charset=utf-8"), s, implied)
end

-- app.text(s[, status][, headers]): plain text.
function response.text(s, status, headers)
    if type(s) == "number" then s = tostring(s) end
    expect(s, "string", "app.text: the text")
    local code, given, implied = status_and_headers(status, headers, "app.text")
    return new(code, with_type(given, "text/plain; charset=utf-8"), s, implied)
end

-- app.stream(fn[, headers]): fn(write) makes the body; write(chunk) may wait. A table that fn
-- returns is trailers, {name = value}, for clients that say "TE: trailers"; others never see them.
function response.stream(fn, headers)
    expect(fn, "function", "app.stream: the stream")
    if headers ~= nil then expect(headers, "table", "app.stream: headers") end
    return new(200, headers or {}, fn, true)
end

-- Bytes that cannot stand in a Location are percent-encoded. CR, LF and NUL stay: such a header is
-- an error to be seen, not to be mended.
local function location(url)
    return (url:gsub('[\1-\9\11\12\14-\32"<>\\^`{|}\127-\255]', function(c)
        return ("%%%02X"):format(c:byte())
    end))
end

local REDIRECTS = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

-- app.redirect(url[, status=302][, headers]).
function response.redirect(url, status, headers)
    if type(status) == "table" and headers == nil then status, headers = nil, status end
    expect(url, "string", "app.redirect: the URL")
    if not REDIRECTS[status or 302] then
        misuse("app.redirect: the status must be 301, 302, 303, 307 or 308, not %s",
            errors.kind(status))
    end
    if headers ~= nil then expect(headers, "table", "app.redirect: headers") end
    local all = {}
    for name, value in pairs(headers or all) do all[name] = value end
    all.Location = location(url)
    return new(status or 302, all, "")
end

-- Those of URLs that name none.
local PORTS = { http = 80, https = 443 }
response.PORTS = PORTS

-- Whether a URL leads to the scheme, host and port that the request came to. An authority with
-- user information or a backslash never does.
local function is_same_origin(req, url)
    local scheme, authority = url:match("^(%a+)://([^/?#]*)")
    if not scheme or url:find("[%c\\]") then return false end
    scheme = scheme:lower()
    local host, port = authority:lower():match("^(.-):?(%d*)$")
    port = tonumber(port) or PORTS[scheme]
    local own = tostring(req.host):lower():gsub(":%d+$", "")
    return scheme == req.scheme and host == own and port == (req.port or PORTS[scheme])
end

-- app.redirect_back(req, fallback[, headers]): to the Referer when it is of the same origin, else
-- to the fallback, a path on this site.
function response.redirect_back(req, fallback, headers)
    expect(req, "table", "app.redirect_back: the request")
    expect(fallback, "string", "app.redirect_back: the fallback")
    if not fallback:find("^/") or fallback:find("^//") or fallback:find("[%c\\]") then
        misuse('app.redirect_back: the fallback must be a path like "/", not %s',
            errors.kind(fallback))
    end
    local referer = req.headers.referer
    local back = referer and is_same_origin(req, referer) and referer or fallback
    return response.redirect(back, 302, headers)
end

-- The members of a problem: RFC 9457's own, then those of extra.
function response.problem_table(status, detail, extra)
    local body = { type = "about:blank", title = errors.reason(status) }
    for name, value in pairs(extra or {}) do body[name] = value end
    body.status = status
    body.detail = detail
    return body
end

-- app.problem(status, detail[, extra][, headers]): application/problem+json (RFC 9457). extra may
-- set type, title, instance, and members of its own.
function response.problem(status, detail, extra, headers)
    if status == nil then misuse("app.problem: the status is missing") end
    status, headers = status_and_headers(status, headers, "app.problem")
    if detail ~= nil then expect(detail, "string", "app.problem: the detail") end
    if extra ~= nil then expect(extra, "table", "app.problem: the extra members") end
    return new(status, with_type(headers, "application/problem+json"),
        response.problem_table(status, detail, extra))
end

local FILE_OPTIONS = { root = true, type = true, download = true, max_age = true, missing = true }

-- Files are opened when the answer is made, since that needs the request: response → {path, opts}.
response.files = setmetatable({}, { __mode = "k" })

local roots = setmetatable({}, { __mode = "v" }) -- folder of root= → its handle, while in use

local function root_of(dir)
    local root = roots[dir]
    if root then return root end
    local ok, opened = pcall(require "lunette.core".root, dir, {})
    if not ok then misuse("app.file: %s", errors.text_of(opened)) end
    roots[dir] = opened
    return opened
end

-- Whether a path beneath the site's folder is in its scripts.
local function is_script(path)
    local kept = {}
    for segment in path:gmatch("[^/]+") do
        if segment == ".." then
            kept[#kept] = nil
        elseif segment ~= "." then
            kept[#kept + 1] = segment
        end
    end
    return kept[1] == "scripts"
end

-- app.file(path[, {root=, type=, download=, max_age=, missing=404}][, headers]): a file beneath the
-- site's folder, or beneath root. Where there is none: the error page of `missing`.
function response.file(path, opts, headers)
    expect(path, "string", "app.file: the path")
    opts = errors.check_options(opts, FILE_OPTIONS, "app.file")
    if not opts.root and is_script(path) then
        misuse("app.file: files in scripts/ are never sent")
    end
    local missing = opts.missing or 404
    if math.type(missing) ~= "integer" or missing < 400 or missing > 599 then
        misuse("app.file: missing must be an integer from 400 to 599, not %s",
            errors.kind(missing))
    end
    if headers ~= nil then expect(headers, "table", "app.file: headers") end
    local max_age = opts.max_age
    if max_age ~= nil and max_age ~= 0 then
        max_age = units.duration(max_age)
        if not max_age then
            misuse('app.file: max_age must be a duration like 60 or "1d", not %s',
                errors.kind(opts.max_age))
        end
    end
    for _, name in ipairs { "root", "type", "download" } do
        if opts[name] ~= nil then expect(opts[name], "string", "app.file: " .. name) end
    end
    if opts.type and opts.type:find("%c") then
        misuse("app.file: the type %q holds a control character", opts.type)
    end
    local res = new(200, headers or {}, nil, true)
    response.files[res] = {
        path = path, missing = missing,
        opts = {
            root = opts.root and root_of(opts.root), type = opts.type, download = opts.download,
            max_age = max_age,
        },
    }
    return res
end

-- The response with its file opened, for app.file; or nil and the status of the error page.
function response.open(core, req, res)
    local file = response.files[res]
    local opened, status = core.open_file(req, file.path, file.opts)
    if not opened then return nil, (status or 404) == 404 and file.missing or status end
    opened.headers = response.headers(opened.headers)
    if opened.status == 200 then
        opened.headers["Content-Type"] = file.opts.type or opened.headers["Content-Type"]
    end
    response.overlay(opened, res.headers)
    if not res.implied or res.status ~= 200 then
        opened.status = res.status
    else
        opened.implied = opened.status == 200 or nil
    end
    return opened
end

return response
