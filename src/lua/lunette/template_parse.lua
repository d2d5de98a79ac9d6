-- A template's text as pieces: { kind, line, text, … } with
--   text      literal text
--   value     an expression, escaped          {{ expr }}
--   raw       an expression, as it is         {{{ expr }}}
--   code      statements of Lua               {% … %}
--   extends   another template's name         {% extends "layout.html" %}
--   block     a name                          {% block name %}
--   endblock  a name, or ""                   {% endblock [name] %}
--   include   an expression list              {% include "part.html"[, { name = value }] %}
-- {# comments #} leave nothing, and {% raw %}…{% endraw %} is literal text. A line that holds nothing
-- but one {% %} or {# #} leaves nothing either. Comments of Lua are gone from text.

local parse = {}

local find, sub, rep = string.find, string.sub, string.rep

local function newlines(s)
    local _, n = s:gsub("\n", "")
    return n
end

-- The index past a string of Lua that begins at i; nil when it does not end.
local function past_string(s, i)
    local quote = sub(s, i, i)
    if quote == "[" then
        local level = s:match("^%[(=*)%[", i)
        if not level then return i + 1 end
        local _, e = find(s, "]" .. level .. "]", i, true)
        return e and e + 1
    end
    i = i + 1
    while true do
        local at = find(s, "[\\\n" .. quote .. "]", i)
        if not at or sub(s, at, at) == "\n" then return nil end
        if sub(s, at, at) == quote then return at + 1 end
        i = at + 2
    end
end
parse.past_string = past_string

-- The index past a comment of Lua at i, which a tag's end ends too.
local function past_comment(s, i, closer)
    local level = s:match("^%-%-%[(=*)%[", i)
    if level then
        local _, e = find(s, "]" .. level .. "]", i, true)
        return e and e + 1
    end
    local line, close = find(s, "\n", i, true), find(s, closer, i, true)
    return math.min(line or #s + 1, close or #s + 1)
end

-- The Lua code from i to closer → the code without comments, the index past closer; or nil.
local function scan(s, i, closer)
    local out, from, depth = {}, i, 0
    while true do
        local at = find(s, "[\"'%[{}%%-]", i)
        if not at then return nil end
        local c = sub(s, at, at)
        if depth == 0 and sub(s, at, at + #closer - 1) == closer then
            out[#out + 1] = sub(s, from, at - 1)
            return table.concat(out), at + #closer
        end
        local past = at + 1
        if c == "{" then
            depth = depth + 1
        elseif c == "}" then
            depth = math.max(depth - 1, 0)
        elseif c == '"' or c == "'" or c == "[" then
            past = past_string(s, at)
        elseif sub(s, at, at + 1) == "--" then
            past = past_comment(s, at, closer)
            if not past then return nil end
            out[#out + 1] = sub(s, from, at - 1) .. " " .. rep("\n", newlines(sub(s, at, past - 1)))
            from = past
        end
        if not past then return nil end
        i = past
    end
end

local DIRECTIVES = { extends = true, block = true, endblock = true, include = true, super = true }

-- The piece that a tag's code makes.
local function tag_piece(code, fail)
    local word, rest = code:match("^%s*(%a+)%s*(.-)%s*$")
    if not DIRECTIVES[word] or rest:find("^[=.:]") or (rest:find("^,") and word ~= "include") then
        return { kind = "code", text = code }
    end
    if word == "super" then return { kind = "raw", text = "super()" } end
    if word == "extends" then
        rest = rest:match('^"([^"\\]*)"$') or rest:match("^'([^'\\]*)'$")
            or fail('write the name of the template in quotes: {% extends "layout.html" %}')
    elseif word == "block" and not rest:find("^[%a_][%w_]*$") then
        fail("a block needs a name: {% block content %}")
    elseif word == "endblock" and not rest:find("^[%w_]*$") then
        fail("after endblock there may be nothing but the block's name")
    elseif word == "include" and rest == "" then
        fail('an include needs a name: {% include "part.html" %}')
    end
    return { kind = word, text = rest }
end

-- Where the tag from `from` to before `past` stands alone on its line: the index of the line's start
-- and of the next line's; nil when there is more on it.
local function alone(s, from, past)
    local before = from
    while before > 1 and find(s, "^[ \t]", before - 1) do before = before - 1 end
    if before > 1 and sub(s, before - 1, before - 1) ~= "\n" then return nil end
    local after = s:match("^[ \t]*\r?\n()", past)
    if not after and not find(s, "^[ \t]*$", past) then return nil end
    return before, after or #s + 1
end

local function raw_section(s, past, fail)
    local at, stop = find(s, "{%%%s*endraw%s*%%}", past)
    if not at then fail("{% raw %} without {% endraw %}") end
    return sub(s, past, at - 1), stop + 1
end

-- One tag at `at`, opened by open → its piece or nil, the index past it.
local function tag_at(s, at, open, fail)
    if open == "{#" then
        local _, e = find(s, "#}", at + 2, true)
        if not e then fail("{# without #}") end
        return nil, e + 1
    end
    local closer = open == "{%" and "%}" or open == "{{" and "}}" or "}}}"
    local code, past = scan(s, at + #open, closer)
    if not code then
        fail(("%s without %s, or a string in it that does not end"):format(open, closer))
    end
    if open == "{%" then
        if code:find("^%s*raw%s*$") then
            local text
            text, past = raw_section(s, past, fail)
            return { kind = "text", text = text }, past
        end
        return tag_piece(code, fail), past
    end
    if not code:find("%S") then fail(("%s %s holds no expression"):format(open, closer)) end
    return { kind = open == "{{" and "value" or "raw", text = code }, past
end

-- The pieces of s. fail(sentence, line) raises.
function parse.pieces(s, fail)
    local pieces, i, line = {}, 1, 1
    local function add(piece, at_line)
        piece.line = at_line
        pieces[#pieces + 1] = piece
    end
    while true do
        local at = find(s, "{[{%%#]", i)
        if not at then break end
        local open = s:match("^{{{", at) or sub(s, at, at + 1)
        local tag_line = line + newlines(sub(s, i, at - 1))
        local piece, past = tag_at(s, at, open, function(why) fail(why, tag_line) end)
        local from, stop = at, past
        if open == "{#" or (open == "{%" and piece.kind ~= "text" and piece.kind ~= "raw") then
            local a, b = alone(s, at, past)
            if a and a >= i then from, stop = a, b end
        end
        if from > i then add({ kind = "text", text = sub(s, i, from - 1) }, line) end
        if piece then add(piece, tag_line) end
        line = line + newlines(sub(s, i, stop - 1))
        i = stop
    end
    if i <= #s then add({ kind = "text", text = sub(s, i) }, line) end
    return pieces
end

return parse
