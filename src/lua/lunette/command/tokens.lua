-- The tokens of a Lua 5.4 text that compiles (Lua manual, §3.1): an array of { kind, text, line }.
--
--   name     an identifier             string   text is what stands between the quotes, as it is
--   keyword  a reserved word           number   text is the numeral
--   op       an operator, a bracket …  eof      the last one

local set = require "lunette.words"

local KEYWORDS = set [[and break do else elseif end false for function goto if in local nil not or
    repeat return then true until while]]

local OPERATORS = { "^%.%.%.", "^%.%.", "^::", "^==", "^~=", "^<=", "^>=", "^//", "^<<", "^>>", "^." }

local find, sub, match = string.find, string.sub, string.match

-- The index past a byte order mark and a first line that begins with "#", but for its line feed.
local function past_preamble(text)
    local at = sub(text, 1, 3) == "\xEF\xBB\xBF" and 4 or 1
    return find(text, "^#", at) and (find(text, "\n", at, true) or #text + 1) or at
end

-- The text between long brackets that open at `at`, and the index past them; nil where none do.
local function long_text(text, at)
    local level, from = match(text, "^%[(=*)%[()", at)
    if not level then return nil end
    local first, last = find(text, "]" .. level .. "]", from, true)
    first, last = first or #text + 1, last or #text
    return sub(text, from, first - 1), last + 1
end

local function quoted_text(text, at)
    local quote, i = sub(text, at, at), at + 1
    while true do
        local stop = find(text, "[\\" .. quote .. "]", i)
        if not stop then return sub(text, at + 1), #text + 1 end
        if sub(text, stop, stop) == quote then return sub(text, at + 1, stop - 1), stop + 1 end
        i = stop + 2
    end
end

local function past_number(text, at)
    local exponent = find(text, "^0[xX]", at) and "[pP]" or "[eE]"
    while true do
        if find(text, "^" .. exponent .. "[+-]", at) then
            at = at + 2
        elseif find(text, "^[%x%.xXpP]", at) then
            at = at + 1
        else
            return at
        end
    end
end

local function past_comment(text, at)
    local _, past = long_text(text, at + 2)
    return past or find(text, "\n", at, true) or #text + 1
end

-- The token at `at`, which is not a blank or a comment → kind, text, the index past it.
local function token_at(text, at)
    local name, past = match(text, "^([%a_][%w_]*)()", at)
    if name then return KEYWORDS[name] and "keyword" or "name", name, past end
    if find(text, "^%.?%d", at) then
        past = past_number(text, at)
        return "number", sub(text, at, past - 1), past
    end
    if find(text, "^[\"']", at) then return "string", quoted_text(text, at) end
    local long
    long, past = long_text(text, at)
    if long then return "string", long, past end
    for _, operator in ipairs(OPERATORS) do
        local _, last = find(text, operator, at)
        if last then return "op", sub(text, at, last), last + 1 end
    end
end

local function newlines(text, from, to)
    local n = 0
    for _ in sub(text, from, to):gmatch("\n") do n = n + 1 end
    return n
end

return function(text)
    local list, at, line = {}, past_preamble(text), 1
    while true do
        local from = at
        at = match(text, "^%s*()", at)
        if at > #text then break end
        if find(text, "^%-%-", at) then
            at = past_comment(text, at)
            line = line + newlines(text, from, at - 1)
        else
            line = line + newlines(text, from, at - 1)
            local kind, value, past = token_at(text, at)
            list[#list + 1] = { kind = kind, text = value, line = line }
            line = line + newlines(text, at, past - 1)
            at = past
        end
    end
    list[#list + 1] = { kind = "eof", text = "", line = line }
    return list
end
