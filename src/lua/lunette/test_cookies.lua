-- The cookies of a test's visitor, as a browser keeps them (RFC 6265 §5): by name, domain and path,
-- until they expire. Everything is asked for over http, so that cookies marked Secure are never sent.

local time = require "lunette.time"

local cookies = {}

local SAME = { ["max-age"] = "max_age" }

-- "a=b; Path=/; HttpOnly" → name, value, {path=, domain=, max_age=, expires=, secure=}; nil for what
-- is no cookie (§5.2).
function cookies.parse(text)
    local pair, rest = text:match("^([^;]*)(.*)$")
    local name, value = pair:match("^[ \t]*(.-)[ \t]*=[ \t]*(.-)[ \t]*$")
    if not name or name == "" then return nil end
    local attributes = {}
    for part in rest:gmatch(";([^;]*)") do
        local key, v = part:match("^[ \t]*(.-)[ \t]*=[ \t]*(.-)[ \t]*$")
        key = (key or part:match("^[ \t]*(.-)[ \t]*$")):lower()
        attributes[SAME[key] or key] = v or true
    end
    return name, value, attributes
end

-- The folder of a path (§5.1.4).
local function default_path(path)
    local folder = path:match("^(/.*)/[^/]*$")
    return folder or "/"
end

local function domain_matches(host, domain)
    return host == domain
        or (host:sub(-#domain - 1) == "." .. domain and not host:find("^%d+%.%d+%.%d+%.%d+$"))
end

local function path_matches(path, prefix)
    if path == prefix then return true end
    return path:sub(1, #prefix) == prefix and (prefix:sub(-1) == "/" or path:sub(#prefix + 1, #prefix + 1) == "/")
end

-- When it is over: math.huge for one that lasts as long as the visitor.
local function expiry(attributes)
    local seconds = type(attributes.max_age) == "string" and attributes.max_age:match("^%-?%d+$")
    if seconds then return time.now() + tonumber(seconds) end
    local at = type(attributes.expires) == "string" and time.parse_http(attributes.expires)
    return at or math.huge
end

local Jar = {}
Jar.__index = Jar

function cookies.new()
    return setmetatable({ made = 0 }, Jar)
end

local function find(jar, one)
    for i, other in ipairs(jar) do
        if other.name == one.name and other.domain == one.domain and other.path == one.path then
            return i
        end
    end
    return nil
end

-- Takes a Set-Cookie field of an answer to a request for host and path.
function Jar:take(text, host, path)
    local name, value, attributes = cookies.parse(text)
    if not name then return end
    local domain = type(attributes.domain) == "string" and attributes.domain:gsub("^%.", ""):lower() or ""
    if domain ~= "" and not domain_matches(host, domain) then return end
    local given = attributes.path
    local one = {
        name = name, value = value, domain = domain ~= "" and domain or host, only = domain == "",
        path = type(given) == "string" and given:sub(1, 1) == "/" and given or default_path(path),
        secure = attributes.secure ~= nil, ends = expiry(attributes), made = self.made,
    }
    self.made = self.made + 1
    local i = find(self, one)
    if i then one.made = self[i].made end
    if one.ends <= time.now() then
        if i then table.remove(self, i) end
    else
        self[i or #self + 1] = one
    end
end

-- Those for a request: an array of { name, value }, the most specific path first (§5.4).
function Jar:of(host, path)
    local now, list = time.now(), {}
    for _, one in ipairs(self) do
        local fits = one.only and host == one.domain or not one.only and domain_matches(host, one.domain)
        if fits and path_matches(path, one.path) and not one.secure and one.ends > now then
            list[#list + 1] = one
        end
    end
    table.sort(list, function(a, b)
        if #a.path ~= #b.path then return #a.path > #b.path end
        return a.made < b.made
    end)
    return list
end

return cookies
