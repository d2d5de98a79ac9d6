-- What a test asks for → the bytes of an HTTP/1.1 request.

local crypto = require "lunette.crypto"
local errors = require "lunette.errors"
local json = require "lunette.json"
local url = require "lunette.url"

local misuse, expect = errors.misuse, errors.expect

local request = {}

local HOST = "localhost"

-- "/a/b?c" or "http://api.example.com/a/b?c" → host, target. what names the call.
function request.target(path, query, what)
    expect(path, "string", what .. ": the path")
    if path:find("[%z\1-\32\127]") then
        misuse("%s: the path %q has bytes that must be percent-encoded", what, path)
    end
    local host, target = path:match("^http://([^/?#]+)([^#]*)")
    if not host then host, target = HOST, path:match("^[^#]*") end
    if target:sub(1, 1) == "?" or (target == "" and path ~= "") then target = "/" .. target end
    if target:sub(1, 1) ~= "/" and target ~= "*" then
        misuse('%s: the path %q must begin with "/" or "http://"', what, path)
    end
    if query ~= nil then
        expect(query, "table", what .. ": query")
        local text = url.build_query(query)
        if text ~= "" then target = target .. (target:find("?", 1, true) and "&" or "?") .. text end
    end
    return host, target
end

-- Fields ------------------------------------------------------------------------------------------

local Fields = {}
Fields.__index = Fields

local function check_field(name, value, what)
    if type(name) ~= "string" or not name:find("^[%w!#$%%&'*+.^_`|~-]+$") then
        misuse("%s: %s is no name of a header", what, errors.kind(name))
    end
    if type(value) ~= "string" and type(value) ~= "number" then
        misuse("%s: the header %s must be a string, a number or an array of them, not %s", what, name,
            errors.kind(value))
    end
    if tostring(value):find("[%z\r\n]") then
        misuse("%s: the header %s has a byte that no header can have", what, name)
    end
end

function Fields:add(name, value)
    self.has[name:lower()] = true
    self[#self + 1] = ("%s: %s\r\n"):format(name, value)
end

-- One that the test did not give by itself.
function Fields:default(name, value)
    if not self.has[name:lower()] then self:add(name, value) end
end

local function given_fields(headers, what)
    local fields = setmetatable({ has = {} }, Fields)
    if headers == nil then return fields end
    expect(headers, "table", what .. ": headers")
    local names = {}
    for name in pairs(headers) do names[#names + 1] = name end
    table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
    for _, name in ipairs(names) do
        local value = headers[name]
        for _, one in ipairs(type(value) == "table" and value or { value }) do
            check_field(name, one, what)
            fields:add(name, one)
        end
    end
    return fields
end

-- Bodies ------------------------------------------------------------------------------------------

-- As browsers do in multipart (WHATWG HTML, "multipart form data").
local function quoted(s)
    return '"' .. s:gsub('[\r\n"]', { ["\r"] = "%0D", ["\n"] = "%0A", ['"'] = "%22" }) .. '"'
end

local function sorted(t)
    local names = {}
    for name in pairs(t) do names[#names + 1] = name end
    table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
    return names
end

local FILE = { filename = true, content = true, type = true }

local function add_file(out, boundary, name, file, what)
    if type(file) == "string" then file = { content = file } end
    expect(file, "table", ("%s: files.%s"):format(what, name))
    errors.check_options(file, FILE, ("%s: files.%s"):format(what, name))
    local content, kind = file.content or "", file.type or "application/octet-stream"
    expect(content, "string", ("%s: files.%s: content"):format(what, name))
    check_field("Content-Type", kind, what)
    out[#out + 1] = ("--%s\r\nContent-Disposition: form-data; name=%s; filename=%s\r\nContent-Type: %s\r\n\r\n")
        :format(boundary, quoted(name), quoted(tostring(file.filename or name)), kind)
    out[#out + 1] = content
    out[#out + 1] = "\r\n"
end

local function multipart(form, files, what)
    local boundary, out = "lunette-" .. crypto.hex(crypto.random(16)), {}
    for _, name in ipairs(sorted(form or {})) do
        local value = form[name]
        for _, one in ipairs(type(value) == "table" and value or { value }) do
            out[#out + 1] = ("--%s\r\nContent-Disposition: form-data; name=%s\r\n\r\n%s\r\n")
                :format(boundary, quoted(tostring(name)), tostring(one))
        end
    end
    for _, name in ipairs(sorted(files)) do
        local given = files[name]
        for _, file in ipairs(type(given) == "table" and given[1] and given or { given }) do
            add_file(out, boundary, name, file, what)
        end
    end
    out[#out + 1] = ("--%s--\r\n"):format(boundary)
    return table.concat(out), "multipart/form-data; boundary=" .. boundary
end

-- The body and its media type; nil for none.
local function make_body(opts, what)
    local kinds = {}
    for _, kind in ipairs { "body", "json", "form" } do
        if opts[kind] ~= nil then kinds[#kinds + 1] = kind end
    end
    if opts.files ~= nil and not opts.form then kinds[#kinds + 1] = "files" end
    if #kinds > 1 then misuse("%s: %s and %s are two bodies", what, kinds[1], kinds[2]) end
    if opts.form ~= nil then expect(opts.form, "table", what .. ": form") end
    if opts.files ~= nil then
        expect(opts.files, "table", what .. ": files")
        return multipart(opts.form, opts.files, what)
    end
    if opts.form ~= nil then return url.build_query(opts.form), "application/x-www-form-urlencoded" end
    if opts.json ~= nil then return json.encode(opts.json), "application/json" end
    if opts.body ~= nil then expect(opts.body, "string", what .. ": body") end
    return opts.body, nil
end

-- The whole ------------------------------------------------------------------------------------------

local WITH_BODY = { POST = true, PUT = true, PATCH = true }

-- cookies: an array of { name=, value= }.
function request.make(method, host, target, cookies, opts, what)
    local fields = given_fields(opts.headers, what)
    local body, kind = make_body(opts, what)
    fields:default("Host", host)
    if kind then fields:default("Content-Type", kind) end
    if (body or WITH_BODY[method]) and not fields.has["transfer-encoding"] then
        fields:default("Content-Length", #(body or ""))
    end
    if #cookies > 0 then
        local texts = {}
        for i, one in ipairs(cookies) do texts[i] = one.name .. "=" .. one.value end
        fields:default("Cookie", table.concat(texts, "; "))
    end
    fields:default("Connection", "close")
    return ("%s %s HTTP/1.1\r\n%s\r\n%s"):format(method, target, table.concat(fields), body or "")
end

return request
