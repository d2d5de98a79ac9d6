-- Any value of Lua as a line or two for people, with bounds on depth, number and length. It runs
-- nothing of the site's: no metamethod, no function; a table that refers to itself is named.

local find, format, gsub, sub, byte, lower = string.find, string.format, string.gsub, string.sub,
    string.byte, string.lower
local concat, sort = table.concat, table.sort
local next, rawget, rawlen, type, tostring = next, rawget, rawlen, type, tostring
local math_type, utf8_len = math.type, utf8.len
local getinfo, raw_metatable, thread_status = debug.getinfo, debug.getmetatable, coroutine.status

local value = {}

value.DEPTH = 4      -- tables in each other
value.ITEMS = 20     -- members of one table
value.STRING = 200   -- bytes of a string
value.LOOKED = 4000  -- of it that are looked at
value.TOTAL = 2000   -- bytes of all, about
local KEYS = 500     -- of a table that are looked at

-- What is shown of a secret: its first bytes, and how long it is.
local SECRETS = { "passw", "secret", "token", "authorization", "cookie", "api[-_]?key", "credential",
    "private[-_]?key", "session", "nonce" }
local SHOWN = 4

-- Whether a name is that of something not to be shown whole.
function value.is_secret(name)
    if type(name) ~= "string" then return false end
    name = lower(name)
    for _, pattern in ipairs(SECRETS) do
        if find(name, pattern) then return true end
    end
    return false
end

-- A secret as "abcd… (32 bytes)"; a short one shows nothing of itself.
function value.mask(s)
    local n = #s
    if n == 0 then return "" end
    return format("%s… (%d bytes)", n > 3 * SHOWN and sub(s, 1, SHOWN) or "", n)
end

-- Whether all strings in a table of that name are secrets: those of cookies are, those of a session not.
local function hides_members(name)
    return value.is_secret(name) and not find(lower(name), "session")
end

local NESTED = 8 -- URLs in each other; what is deeper is a secret

local function decode(s)
    return (gsub(s, "%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

value.decode = decode

local mask_pairs

-- What is shown of a pair in a query. The value may be a URL itself, as sent or percent-encoded.
local function pair_text(name, v, depth)
    if value.is_secret(decode(name)) or depth > NESTED then return name .. "=" .. value.mask(v) end
    local plain = decode(v)
    local text = mask_pairs(plain, depth + 1)
    return name .. "=" .. (text == plain and v or text)
end

function mask_pairs(s, depth)
    s = gsub(s, "(://[^/?#@%s:]*):([^/?#@%s]+)@", function(user, password)
        return user .. ":" .. value.mask(password) .. "@"
    end)
    if not find(s, "=", 1, true) then return s end
    -- The border keeps a long text without pairs from being looked through again from every byte of it.
    return (gsub(s, "%f[^\0?&;#=%s]([^\0?&;#=%s]+)=([^&%s]*)", function(name, v) return pair_text(name, v, depth) end))
end

-- A target, a query, a Referer or any text with such in it: with secrets masked, "/a?token=abcd… (32 bytes)&q=1".
function value.mask_pairs(s) return mask_pairs(s, 0) end

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\0"] = "\\0", ['"'] = '\\"',
    ["\\"] = "\\\\" }

local function escape(c) return ESCAPES[c] or format("\\x%02X", byte(c)) end

-- s up to n bytes, at a border of its characters where it is UTF-8.
local function cut(s, n)
    if #s <= n then return s end
    while n > 0 and find(sub(s, n + 1, n + 1), "[\x80-\xBF]") do n = n - 1 end
    return sub(s, 1, n)
end
value.cut = cut

-- A string as it could stand in Lua, cut, without secrets: "a\nb"… (1234 bytes).
function value.quote(s)
    local whole = value.mask_pairs(cut(s, value.LOOKED))
    local text = cut(whole, value.STRING)
    local cut_off = #text < #whole or #s > value.LOOKED
    text = gsub(text, '[%c"\\\x7F]', escape)
    if not utf8_len(text) then text = gsub(text, "[\x80-\xFF]", escape) end
    return format('"%s"%s', text, cut_off and format("… (%d bytes)", #s) or "")
end

-- Tables of lunette's that hold nothing of their own to be seen.
local OPAQUE = { ["lunette.app"] = true }

local function name_of(v)
    local meta = raw_metatable(v)
    local name = type(meta) == "table" and rawget(meta, "__name")
    return type(name) == "string" and cut(name, 60) or nil
end

local function function_text(f)
    local info = getinfo(f, "S")
    if info.what == "C" then return "function of C" end
    local source = sub(info.source, 1, 1) == "@" and sub(info.source, 2) or info.short_src
    return format("function at %s:%d", source, info.linedefined)
end

local function number_text(v)
    if math_type(v) == "integer" then return format("%d", v) end
    local text = format("%.14g", v)
    return find(text, "^-?%d+$") and text .. ".0" or text
end

local plain = {} -- type → function(v) → text
plain["nil"] = function() return "nil" end
plain.boolean = tostring
plain.number = number_text
plain.string = value.quote
plain["function"] = function_text
function plain.thread(v) return format("coroutine (%s)", thread_status(v)) end
function plain.userdata(v) return format("%s: %p", name_of(v) or "userdata", v) end

local print_value

local function put(state, text)
    state.out[#state.out + 1] = text
    state.size = state.size + #text
end

local function by_name(a, b)
    local kind, other = type(a), type(b)
    if kind ~= other then return kind == "number" end
    return a < b
end

-- The keys beyond 1…n: names and numbers in order, then others; and whether there are more than were
-- looked at.
local function other_keys(t, n)
    local names, others, count = {}, {}, 0
    for key in next, t do
        local kind = type(key)
        local own = kind == "userdata" and not raw_metatable(key) -- a mark of lunette's, or of C's
        if not own and not (math_type(key) == "integer" and key >= 1 and key <= n) then
            count = count + 1
            if count > KEYS then return names, others, true end
            local list = (kind == "string" or kind == "number") and names or others
            list[#list + 1] = key
        end
    end
    sort(names, by_name)
    return names, others, false
end

local function print_key(state, key)
    if type(key) == "string" and find(key, "^[%a_][%w_]*$") then return put(state, cut(key, 60)) end
    put(state, "[")
    if type(key) == "table" then
        put(state, format("%s: %p", name_of(key) or "table", key))
    else
        print_value(state, key, value.DEPTH)
    end
    put(state, "]")
end

-- secret: all strings of t are.
local function print_member(state, t, key, named, depth, secret)
    if named then
        print_key(state, key)
        put(state, " = ")
    end
    local v = rawget(t, key)
    if type(v) == "string" and (secret or named and value.is_secret(key)) then
        put(state, value.mask(v))
    else
        print_value(state, v, depth + 1, secret or named and hides_members(key))
    end
end

local function print_table(state, t, depth, secret)
    local name = name_of(t)
    if name and OPAQUE[name] then return put(state, name) end
    if name then put(state, name .. " ") end
    if state.seen[t] then return put(state, "{the same as above}") end
    if depth >= value.DEPTH then return put(state, "{…}") end
    state.seen[t] = true
    local n, shown = rawlen(t), 0
    local names, others, more = other_keys(t, n)
    if n == 0 and #names == 0 and #others == 0 and not more then return put(state, "{}") end
    put(state, "{ ")
    local function member(key, named)
        if shown >= value.ITEMS or state.size > value.TOTAL then
            more = true
            return
        end
        if shown > 0 then put(state, ", ") end
        shown = shown + 1
        print_member(state, t, key, named, depth, secret)
    end
    for i = 1, math.min(n, value.ITEMS) do member(i, false) end
    more = more or n > value.ITEMS
    for _, list in ipairs { names, others } do
        for _, key in ipairs(list) do member(key, true) end
    end
    put(state, more and ", … }" or " }")
end

function print_value(state, v, depth, secret)
    local kind = type(v)
    if kind == "table" then return print_table(state, v, depth, secret) end
    put(state, plain[kind](v))
end

-- The text of a value; with the name that it has, which may be that of a secret.
function value.text(v, name)
    if type(v) == "string" and value.is_secret(name) then return value.mask(v) end
    local state = { out = {}, size = 0, seen = {} }
    print_value(state, v, 0, hides_members(name))
    return concat(state.out)
end

return value
