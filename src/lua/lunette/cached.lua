-- A response as the shared cache keeps it: whether it may be kept, and its form as bytes.
--
--   entry  { status, headers = {name → string or array}, added = {name, value, …}, body, tag, at,
--            age, seen, public, stamps = {key, stamp, …} }
--   added   what req:add_header and the like added while the handler ran; headers are the rest
--   at, age when it was made, in seconds of the machine's clock, and how old it was then
--   seen    what of the visitor was read for it (core.private_seen)
--   stamps  it is good while each key has that stamp (lunette.cache_own)
--
-- Where a response varies by request headers, the cache has a marker in its place, with their
-- names; the response is kept under a key that has the values of those, too (RFC 9111 §4.1).

local core = require "lunette.core"

local cached = {}

-- Names of one Vary, and of all on the way to a response, that are followed.
cached.VARY_MAX = 16

-- The statuses of what is kept.
cached.statuses = { [200] = true, [203] = true, [301] = true, [308] = true, [404] = true,
    [410] = true }

-- The values of a header, over the response's and those added, joined; "" without any.
local function values_of(res, added, name)
    local list = {}
    local own = res.headers[name]
    for _, value in ipairs(type(own) == "table" and own or { own }) do
        list[#list + 1] = tostring(value)
    end
    for i = 1, #added, 2 do
        if added[i]:lower() == name then list[#list + 1] = added[i + 1] end
    end
    return table.concat(list, ", ")
end

-- Whether a Cache-Control has a directive.
local function directs(control, name)
    return control:find("%f[%w-]" .. name:gsub("%-", "%%-") .. "%f[^%w-]") ~= nil
end

-- The names in Vary, in lower case, sorted, without those that are known; nil for "*", or too many.
local function names_of(vary, known)
    local names, seen = {}, {}
    for name in vary:lower():gmatch("[^%s,]+") do
        if name == "*" then return nil end
        if not seen[name] and not known[name] then names[#names + 1] = name end
        seen[name] = true
    end
    if #names > cached.VARY_MAX then return nil end
    table.sort(names)
    return names
end

-- Who read what of the visitor, and what to do about it.
function cached.told(who, read)
    local what, header = core.private_text(read)
    return ("%s read %s; say for whom they are, by %skey = function(req) … end"):format(who, what,
        header and ('vary = {"%s"} or '):format(header) or "")
end

-- What to do with a response: "keep"; "pass", since none like it can be kept; or "fail", when the next
-- one may well be kept. Then the names that it varies by beyond the known; whether it says that it is
-- for everybody; and for "pass", why, where the author is to know.
--   added  as in an entry
--   vary   all that was added to Vary for the request, by middleware too
--   read   what of the visitor was read, and nothing covers
function cached.judge(res, added, vary, known, read)
    if not cached.statuses[res.status] then
        local again = res.status >= 400 or res.status == 304 or res.status == 206
        return again and "fail" or "pass", {}
    end
    local names = names_of(values_of(res, vary, "vary"), known)
    if not names then return "pass", {} end
    if type(res.body) ~= "string" and res.body ~= nil then return "pass", names end
    local control = values_of(res, added, "cache-control"):lower()
    if directs(control, "private") or directs(control, "no-store")
        or directs(control, "no-cache") then
        return "pass", names
    end
    if values_of(res, added, "set-cookie") ~= "" then
        return "pass", names, false, "its handler sets a cookie"
    end
    if read ~= 0 then
        return "pass", names, false, cached.told("its handler", read)
    end
    return "keep", names, directs(control, "public") or directs(control, "s-maxage")
end

local ENTRY, MARKER = "R", "V"

local function pack_headers(out, headers)
    local n = 0
    for name, value in next, headers do
        if name:lower() ~= "age" then
            local values = type(value) == "table" and value or { value }
            out[#out + 1] = ("<s2I2"):pack(name, #values)
            for _, one in ipairs(values) do out[#out + 1] = ("<s4"):pack(tostring(one)) end
            n = n + 1
        end
    end
    return n
end

local function unpack_headers(bytes, at, n)
    local headers = {}
    for _ = 1, n do
        local name, count
        name, count, at = ("<s2I2"):unpack(bytes, at)
        local values = {}
        for i = 1, count do values[i], at = ("<s4"):unpack(bytes, at) end
        headers[name] = count == 1 and values[1] or values
    end
    return headers, at
end

-- An entry as bytes.
function cached.encode(entry)
    local fields = {}
    local n = pack_headers(fields, entry.headers)
    local out = {
        ENTRY,
        ("<I2I4I8I8BBs1I2I2I2"):pack(entry.status, entry.age, entry.at, entry.seen,
            entry.public and 1 or 0, entry.body and 1 or 0, entry.tag, n, #entry.added // 2,
            #entry.stamps // 2),
        table.concat(fields),
    }
    for i = 1, #entry.added, 2 do
        out[#out + 1] = ("<s2s4"):pack(entry.added[i], entry.added[i + 1])
    end
    for i = 1, #entry.stamps, 2 do
        out[#out + 1] = ("<s2i8"):pack(entry.stamps[i], entry.stamps[i + 1])
    end
    out[#out + 1] = entry.body or ""
    return table.concat(out)
end

-- The entry of bytes that are no marker.
function cached.decode(bytes)
    local entry, at, public, whole, n, added, stamps = {}, nil, nil, nil, nil, nil, nil
    entry.status, entry.age, entry.at, entry.seen, public, whole, entry.tag, n, added, stamps, at =
        ("<I2I4I8I8BBs1I2I2I2"):unpack(bytes, 2)
    entry.public = public == 1
    entry.headers, at = unpack_headers(bytes, at, n)
    entry.added, entry.stamps = {}, {}
    for i = 1, added * 2, 2 do
        entry.added[i], entry.added[i + 1], at = ("<s2s4"):unpack(bytes, at)
    end
    for i = 1, stamps * 2, 2 do
        entry.stamps[i], entry.stamps[i + 1], at = ("<s2i8"):unpack(bytes, at)
    end
    entry.body = whole == 1 and bytes:sub(at) or nil
    return entry
end

-- The marker that says by which headers the responses of a key vary.
function cached.marker(names)
    return MARKER .. table.concat(names, ",")
end

-- The names of a marker; nil for an entry.
function cached.names(bytes)
    if bytes:byte() ~= MARKER:byte() then return nil end
    local names = {}
    for name in bytes:gmatch("[^,]+", 2) do names[#names + 1] = name end
    return names
end

return cached
