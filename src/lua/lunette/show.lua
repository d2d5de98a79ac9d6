-- Any value of Lua as text for people: as it could stand in a script, where that is possible, and
-- bounded however large it is. What is left out is said.
--
--   show.text(v[, bounds[, key]])   { 7, "milk\n", id = 5, tags = { "a" }, … (3 more) }
--   show.quote(s[, bytes])    "a\nb"… (1234 bytes)
--   show.cut(s, bytes)        at a border of its characters
--   show.key(k)               the key behind a path: .notes, [2], ["a b"]
--   show.sorted_keys(t)       all keys, in the order in which they are shown
--
-- Bounds, each with its default:
--
--   depth = 5        tables in each other
--   items = 100      of one table
--   all_items = 1000 of all tables
--   keys = 10000     of a table that are looked at, beyond those of its list
--   string = 500     bytes of a string within a table
--   total = 16000    bytes of all, about; of a string that is the value itself as many
--   line = nil       a table whose text is longer has a line for each item; nil: all is one line
--   plain = false    true: nothing of the site's is run, no __tostring either
--   names = nil      values, and what they are called
--   quote = nil      function(string) → its text, in place of show.quote
--   mask = nil       function(string) → what is shown of a string that is to be hidden: one with a key for
--                    which is_hidden(key) holds, or anywhere in a table for whose key hides_members does
--
-- It calls what it kept of the libraries when it was loaded, whatever scripts have put there since.

local find, format, gsub, sub, byte, rep = string.find, string.format, string.gsub, string.sub, string.byte,
    string.rep
local concat, sort, max, huge = table.concat, table.sort, math.max, math.huge
local next, pcall, rawget, rawlen, tostring, type = next, pcall, rawget, rawlen, tostring, type
local math_type, utf8_len, thread_status = math.type, utf8.len, coroutine.status
local getinfo, raw_metatable = debug.getinfo, debug.getmetatable

local show = {}

local NAME = 60 -- bytes of a name that a value gives itself, and of a key that stands without quotes
local DEFAULTS = { depth = 5, items = 100, all_items = 1000, keys = 10000, string = 500, total = 16000 }

-- Tables of lunette's that hold nothing of their own to be seen.
local OPAQUE = { ["lunette.app"] = true }

-- Strings --------------------------------------------------------------------------------------------

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" }
local KEYWORDS = require "lunette.words" [[and break do else elseif end false for function goto if in
    local nil not or repeat return then true until while]]

local function escape(c) return ESCAPES[c] or format("\\x%02x", byte(c)) end
local function escape_all(s) return (gsub(s, ".", escape)) end

-- s up to n bytes; no letter of UTF-8 is cut in two.
function show.cut(s, n)
    if #s <= n then return s end
    for at = n, max(0, n - 3), -1 do
        if not find(s, "^[\x80-\xBF]", at + 1) then return sub(s, 1, at) end
    end
    return sub(s, 1, n) -- no UTF-8 anyway
end
local cut = show.cut

-- of: the bytes of the whole, where s is what is left of it.
function show.quote(s, most, of)
    local text = cut(s, most or DEFAULTS.string)
    of = of or #text < #s and #s
    local rest = of and format("… (%d bytes)", of) or ""
    text = gsub(text, '[%c"\\]', escape)
    if utf8_len(text) then
        text = gsub(text, "\xC2[\x80-\x9F]", escape_all) -- controls, too
    else
        text = gsub(text, "[\x80-\xFF]", escape)
    end
    return '"' .. text .. '"' .. rest
end
local quote = show.quote

-- Keys -----------------------------------------------------------------------------------------------

local function is_word(k)
    return type(k) == "string" and #k <= NAME and find(k, "^[%a_][%w_]*$") and not KEYWORDS[k]
end

-- Numbers, strings, booleans, then all others; the first two and booleans in their order.
local RANKS = { number = 1, string = 2, boolean = 3 }

local function before(a, b)
    local ra, rb = RANKS[type(a)] or 4, RANKS[type(b)] or 4
    if ra ~= rb then return ra < rb end
    if ra <= 2 then return a < b end
    return ra == 3 and b and not a
end

-- The keys of t that satisfy a filter, sorted; and whether these are all: no more than most are looked at.
local function keys_of(t, most, is_wanted)
    local keys = {}
    for k in next, t do
        if is_wanted(k) then
            if #keys == most then return keys, false end
            keys[#keys + 1] = k
        end
    end
    sort(keys, before)
    return keys, true
end

function show.sorted_keys(t)
    return (keys_of(t, huge, function() return true end))
end

local function name_of(v)
    local meta = raw_metatable(v)
    local name = type(meta) == "table" and rawget(meta, "__name")
    return type(name) == "string" and cut(name, NAME) or nil
end

function show.key(k)
    if is_word(k) then return "." .. k end
    return "[" .. (type(k) == "string" and quote(k) or tostring(k)) .. "]"
end

-- Values that are no tables --------------------------------------------------------------------------

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

local scalars = { ["nil"] = tostring, boolean = tostring, number = number_text, ["function"] = function_text }
function scalars.thread(v) return format("coroutine (%s)", thread_status(v)) end
function scalars.userdata(v) return format("%s: %p", name_of(v) or "userdata", v) end

-- What an object says of itself, where it may and can.
local function own_text(self, v)
    local meta = not self.plain and raw_metatable(v)
    if type(meta) ~= "table" or not rawget(meta, "__tostring") then return nil end
    local ok, text = pcall(tostring, v)
    return ok and cut(text, self.total) or format("<%s whose __tostring fails>", type(v))
end

-- Tables ---------------------------------------------------------------------------------------------

local value_text

local function key_text(self, key)
    if is_word(key) then return key end
    if type(key) == "table" then return format("[%s: %p]", name_of(key) or "table", key) end
    return "[" .. value_text(self, key, self.depth + 1) .. "]"
end

local function member_text(self, t, key, depth, secret)
    local v = rawget(t, key)
    if self.mask then secret = secret or (type(v) == "string" and self.is_hidden or self.hides_members)(key) end
    return key_text(self, key) .. " = " .. value_text(self, v, depth, secret)
end

-- The items of a table, as far as there is room for them.
local function items_of(self, t, depth, secret)
    local out, n = {}, rawlen(t)
    local keys, all = keys_of(t, self.keys, function(k)
        if math_type(k) == "integer" and k >= 1 and k <= n then return false end
        return type(k) ~= "userdata" or raw_metatable(k) ~= nil -- else a mark of lunette's, or of C's
    end)
    for i = 1, n + #keys do
        if i > self.items or self.left == 0 or self.size > self.total then break end
        self.left = self.left - 1
        local size = self.size
        out[i] = i <= n and value_text(self, rawget(t, i), depth, secret)
            or member_text(self, t, keys[i - n], depth, secret)
        self.size = size + #out[i] -- with all that is in it
    end
    local rest = n + #keys - #out
    if not all then
        out[#out + 1] = "…"
    elseif rest > 0 then
        out[#out + 1] = format("… (%d more)", rest)
    end
    return out
end

local function lay_out(self, name, items, depth)
    local text = name .. "{ " .. concat(items, ", ") .. " }"
    if not self.line or (#text + 2 * depth <= self.line and not find(text, "\n", 1, true)) then return text end
    local indent = rep("  ", depth)
    return name .. "{\n" .. indent .. concat(items, ",\n" .. indent) .. "\n" .. rep("  ", depth - 1) .. "}"
end

local function table_text(self, t, depth, secret)
    local name = name_of(t)
    if name and OPAQUE[name] then return name end
    name = name and name .. " " or ""
    if self.open[t] then return name .. "{the same as above}" end
    if depth > self.depth or self.left == 0 then return name .. (next(t) == nil and "{}" or "{…}") end
    self.open[t] = true
    local items = items_of(self, t, depth + 1, secret)
    self.open[t] = nil
    return items[1] and lay_out(self, name, items, depth) or name .. "{}"
end

function value_text(self, v, depth, secret)
    local kind = type(v)
    if self.names and v ~= nil and self.names[v] then return self.names[v] end
    if kind == "string" and secret then return self.mask(v) end
    if kind == "string" and self.quote then return self.quote(v) end
    if kind == "string" then return quote(v, depth == 1 and self.total or self.string) end
    local text = own_text(self, v)
    if text then return text end
    return kind == "table" and table_text(self, v, depth, secret) or scalars[kind](v)
end

function show.text(v, bounds, key)
    local self = { open = {}, size = 0 }
    for name, default in next, DEFAULTS do self[name] = default end
    for name, bound in next, bounds or {} do self[name] = bound end
    self.left = self.all_items
    local text = value_text(self, v, 1, self.mask and key ~= nil and self.hides_members(key))
    if #text <= 2 * self.total + 100 then return text end
    return format("%s… (%d bytes)", cut(text, self.total), #text)
end

return show
