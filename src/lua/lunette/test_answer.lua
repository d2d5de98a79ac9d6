-- The bytes of an HTTP/1.1 response → what lunette.test's client gives: { status, headers, headers_all,
-- body, json, cookies, location }.
--
-- headers and headers_all: as of requests, any case finds a name; repeated fields are joined by ", ",
-- or an array. body: the bytes as they were sent, coded where the test asked for a coding. json: the
-- decoded body; nil without a JSON media type, and an error where it is malformed. cookies: name → the
-- value that was set; location: that header.

local cookies = require "lunette.test_cookies"
local errors = require "lunette.errors"
local json = require "lunette.json"
local suggest = require "lunette.suggest"

local misuse = errors.misuse

-- Bytes → the status, an array of { name in lower case, value }, and where the body begins; interim
-- responses are passed over. nil: that is no head.
local function parse_head(bytes, at)
    while true do
        local stop = bytes:find("\r\n\r\n", at, true)
        local status, next_line = bytes:match("^HTTP/1%.%d (%d%d%d)[^\r]*\r\n()", at)
        if not stop or not status then return nil end
        if status:sub(1, 1) ~= "1" then
            local fields = {}
            for name, value in bytes:sub(next_line, stop + 1):gmatch("([^:\r\n]+):[ \t]*([^\r\n]*)\r\n") do
                fields[#fields + 1] = { name:lower(), value }
            end
            return tonumber(status), fields, stop + 4
        end
        at = stop + 4
    end
end

-- The chunks from at on, joined; nil when the last one is missing.
local function join_chunks(bytes, at)
    local pieces = {}
    while true do
        local size, from = bytes:match("^(%x+)[^\r]*\r\n()", at)
        local n = size and #size <= 8 and tonumber(size, 16)
        if not n then return nil end
        if n == 0 then return table.concat(pieces) end
        if from + n + 1 > #bytes then return nil end
        pieces[#pieces + 1] = bytes:sub(from, from + n - 1)
        at = from + n + 2
    end
end

local function parse_body(bytes, at, status, headers, method)
    if method == "HEAD" or status == 204 or status == 304 then return "" end
    if headers["transfer-encoding"] then return join_chunks(bytes, at) end
    local n = tonumber(headers["content-length"])
    if not n then return bytes:sub(at) end
    return #bytes - at + 1 >= n and bytes:sub(at, at + n - 1) or nil
end

local AnyCase = {
    __index = function(t, name)
        return type(name) == "string" and rawget(t, name:lower()) or nil
    end,
}

-- The connection is the client's own affair.
local HIDDEN = { connection = true }

local function header_tables(fields)
    local headers, all = setmetatable({}, AnyCase), setmetatable({}, AnyCase)
    for _, field in ipairs(fields) do
        local name, value = field[1], field[2]
        if not HIDDEN[name] then
            headers[name] = headers[name] and headers[name] .. ", " .. value or value
            all[name] = all[name] or {}
            all[name][#all[name] + 1] = value
        end
    end
    return headers, all
end

local KNOWN = {
    status = true, headers = true, headers_all = true, body = true, json = true, cookies = true,
    location = true,
}

local function decode(answer)
    local kind = (answer.headers["content-type"] or ""):match("^[^;]*"):lower():gsub("%s+$", "")
    if not (kind == "application/json" or kind:find("^[^/]+/.+%+json$")) then return nil end
    local value, why = json.decode(answer.body)
    if value == nil and why then misuse("answer.json: the body is no JSON: %s", why) end
    return value
end

local Answer = { __name = "lunette.test.answer" }

function Answer.__index(answer, name)
    if name == "json" then
        local value = decode(answer)
        rawset(answer, "json", value)
        return value
    end
    if not KNOWN[name] then
        misuse("an answer has no field %s%s", tostring(name), suggest.hint(name, KNOWN))
    end
    return nil
end

-- The answer to a request of that method; nil and why it is none.
return function(bytes, method)
    if bytes == "" then return nil, "the server closed the connection without an answer" end
    local status, fields, at = parse_head(bytes, 1)
    if not status then return nil, "the answer was broken off in its head" end
    local headers, all = header_tables(fields)
    local body = parse_body(bytes, at, status, headers, method)
    if not body then return nil, "the answer was broken off in its body" end
    local set = {}
    for _, text in ipairs(all["set-cookie"] or {}) do
        local name, value = cookies.parse(text)
        if name then set[name] = value end
    end
    return setmetatable({
        status = status, headers = headers, headers_all = all, body = body, cookies = set,
        location = headers.location,
    }, Answer)
end
