-- Paths that a route pattern matches, made up: to see what else would match them.
--
-- Of each capture a few texts are tried, short and long ones, and odd ones that hardly any other
-- pattern takes. So what all samples of a route say is very likely true of all its paths, and no more:
-- Lua patterns cannot be compared.

local pattern = require "lunette.pattern"

local samples = {}

local COUNT = 5    -- samples of a pattern, for each form of its end
local LONG = 25    -- repetitions in the longest: more than an {int} has digits

local PLAIN = { "~", "q!z", "Z~9-_.é", "7", ("~x"):rep(LONG) }
local NAMED = {
    int = { "7", "0", "42", "123456789", "900000000000000000" },
    uuid = { "01234567-89ab-cdef-0123-456789abcdef", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF" },
    slug = { "a-b", "x_1", "7", "Q", ("-a"):rep(LONG) },
}
local RESTS = { {}, { "~" }, { "~", "q!z" }, { "7" }, { "a", "b", "c", "d" } }

local LETTERS = {}
for c in ("a7Zq0-x5_~.9B!$&'()*+,;=:@ %éf\"<>[]^`{|}#?\\"):gmatch(utf8.charpattern) do
    for i = 1, #c do LETTERS[#LETTERS + 1] = c:sub(i, i) end
end

local taken = setmetatable({}, { __mode = "v" }) -- item of a Lua pattern → the letters that it takes

-- The n-th of the bytes that one item of a Lua pattern takes; nil when it takes none of them.
local function letter(item, n)
    local list = taken[item]
    if not list then
        list = {}
        for _, c in ipairs(LETTERS) do
            if c:find("^" .. item) then list[#list + 1] = c end
        end
        taken[item] = list
    end
    return list[(n - 1) % math.max(#list, 1) + 1]
end

local COUNTS = { -- how often an item with a quantifier comes in the n-th sample
    ["*"] = { 0, 1, 2, 3, LONG }, ["-"] = { 0, 1, 2, 3, LONG }, ["+"] = { 1, 2, 3, 4, LONG },
    ["?"] = { 0, 1, 0, 1, 1 },
}

-- The n-th text for a Lua pattern; nil where that takes more than this.
local function text_for(lua_pattern, n)
    local out, at = {}, 1
    while at <= #lua_pattern do
        local last = pattern.item_end(lua_pattern, at)
        local item = lua_pattern:sub(at, last)
        local quantifier = lua_pattern:sub(last + 1, last + 1)
        at = last + 1
        if item:find("^%%[bf%d]") then return nil end
        if item ~= "(" and item ~= ")" then
            local counts = COUNTS[quantifier]
            if counts then at = at + 1 end
            for i = 1, counts and counts[n] or 1 do
                out[#out + 1] = letter(item, n + i) or ""
            end
        end
    end
    return table.concat(out)
end

local function capture_text(spec, n)
    if not spec then return PLAIN[n] end
    local named = NAMED[spec.key]
    return named and named[(n - 1) % #named + 1] or not named and text_for(spec.key, n) or nil
end

-- The n-th text for a mixed segment, or nil.
local function segment_text(segment, n)
    local out = {}
    for i, part in ipairs(segment.parts) do
        out[i] = type(part) == "string" and part or capture_text(part.spec, n)
        if not out[i] then return nil end
    end
    local text = table.concat(out)
    local kept = text ~= "." and text ~= ".." and not text:find("%z")
    return kept and pattern.match(segment, text, {}, 0) and text or nil
end

local function path_for(p, n)
    local path = {}
    for _, segment in ipairs(p) do
        if segment.rest then
            table.move(RESTS[n], 1, #RESTS[n], #path + 1, path)
        else
            local text = segment.literal or segment_text(segment, n)
            if not text then return nil end
            path[#path + 1] = text
        end
    end
    return path
end

-- Paths of a parsed pattern as arrays of segments, a last "" for a slash at the end.
function samples.paths(p)
    local list = {}
    for n = 1, p.literal and 1 or COUNT do
        local path = path_for(p, n)
        if path then
            list[#list + 1] = path
            if #path > 0 then list[#list + 1] = table.move(path, 1, #path, 1, { [#path + 1] = "" }) end
        end
    end
    return list
end

return samples
