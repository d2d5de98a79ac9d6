-- Any value as text for people, bounded however large it is: tables with their keys sorted, on one line
-- where that is short.

local errors = require "lunette.errors"

local DEPTH = 5       -- tables in each other
local ITEMS = 100     -- of one table
local ALL_ITEMS = 1000
local STRING = 500    -- bytes of one, within a table; of one alone TEXT
local TEXT = 16000
local LINE = 76       -- a table that is longer has a line for each item

local RANKS = { number = 1, string = 2, boolean = 3 }
local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" }
local KEYWORDS = require "lunette.words" [[and break do else elseif end false for function goto if in
    local nil not or repeat return then true until while]]

local function escape(c)
    return ESCAPES[c] or ("\\x%02x"):format(c:byte())
end

-- The first bytes of s, at most that many; no letter of UTF-8 is cut in two.
local function head(s, most)
    if #s <= most then return s end
    for n = most, most - 3, -1 do
        if s:byte(n + 1) & 0xC0 ~= 0x80 then return s:sub(1, n) end
    end
    return s:sub(1, most) -- no UTF-8 anyway
end

local function string_text(s, most)
    local rest = #s > most and (" … (%d bytes)"):format(#s) or ""
    s = head(s, most)
    local pat = utf8.len(s) and '[%c"\\]' or '[%c"\\\x80-\xff]'
    return '"' .. s:gsub(pat, escape) .. '"' .. rest
end

-- Numbers, strings, and so on, each among themselves.
local function before(a, b)
    local ta, tb = type(a), type(b)
    if ta ~= tb then return (RANKS[ta] or 4) < (RANKS[tb] or 4) or RANKS[ta] == RANKS[tb] and ta < tb end
    if ta == "number" or ta == "string" then return a < b end
    return errors.text_of(a) < errors.text_of(b)
end

-- What an object says of itself; nil for a plain table.
local function own_text(v)
    local meta = debug.getmetatable(v)
    if type(v) ~= "table" or (type(meta) == "table" and meta.__tostring) then
        local ok, text = pcall(tostring, v)
        return ok and text or ("<%s whose __tostring fails>"):format(type(v))
    end
    return nil
end

local function key_text(self, key, depth)
    local plain = type(key) == "string" and #key < LINE and key:find("^[%a_][%w_]*$")
    if plain and not KEYWORDS[key] then return key end
    return "[" .. self:value(key, depth) .. "]"
end

local Show = {}
Show.__index = Show

-- The items of a table as texts, cut short after ITEMS.
function Show:items(t, depth)
    local out, keys, n = {}, {}, rawlen(t)
    for key in next, t do
        if not (math.type(key) == "integer" and key >= 1 and key <= n) then keys[#keys + 1] = key end
    end
    table.sort(keys, before)
    local function add(text)
        self.left = self.left - 1
        out[#out + 1] = text
        return #out < ITEMS and self.left > 0
    end
    local more = true
    for i = 1, n do
        more = add(self:value(rawget(t, i), depth))
        if not more then break end
    end
    for i = 1, more and #keys or 0 do
        if not add(key_text(self, keys[i], depth) .. " = " .. self:value(rawget(t, keys[i]), depth)) then
            break
        end
    end
    if #out < n + #keys then out[#out + 1] = ("… (%d more)"):format(n + #keys - #out) end
    return out
end

function Show:table(t, depth)
    if self.open[t] then return "<a table that this is in>" end
    if next(t) == nil then return "{}" end
    if depth > DEPTH or self.left <= 0 then return "{…}" end
    self.open[t] = true
    local items = self:items(t, depth + 1)
    self.open[t] = nil
    local text = "{ " .. table.concat(items, ", ") .. " }"
    if #text + 2 * depth <= LINE and not text:find("\n", 1, true) then return text end
    local indent = ("  "):rep(depth)
    return "{\n" .. indent .. table.concat(items, ",\n" .. indent) .. "\n" .. ("  "):rep(depth - 1) .. "}"
end

function Show:value(v, depth)
    if type(v) == "string" then return string_text(v, depth == 1 and TEXT or STRING) end
    if type(v) == "number" then return tostring(v) end
    if type(v) == "function" and debug.getinfo(v, "S").what ~= "C" then
        return ("<function at %s>"):format(errors.defined_at(v))
    end
    return own_text(v) or self:table(v, depth)
end

return function(v)
    local text = setmetatable({ open = {}, left = ALL_ITEMS }, Show):value(v, 1)
    if #text <= TEXT + 100 then return text end
    return head(text, TEXT) .. ("… (%d bytes)"):format(#text)
end
