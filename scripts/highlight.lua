-- Source as HTML, with its words in spans of a class: keyword, string, comment, number; in console
-- samples prompt and output. What comes out is escaped, and the same text once the tags are gone.

local html = require "lunette.html"

local highlight = {}

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
    return then true until while]]):gmatch "%a+" do
    KEYWORDS[word] = "keyword"
end

-- What a piece of source can be: the first pattern that is found names its class; a table of words
-- gives theirs.
local PIECES = {
    lua = {
        { "^%-%-%[(=*)%[.-%]%1%]", "comment" },
        { "^%-%-[^\n]*", "comment" },
        { "^%[(=*)%[.-%]%1%]", "string" },
        { '^"[^"\n]*"', "string" },
        { "^'[^'\n]*'", "string" },
        { "^%d[%w.]*", "number" },
        { "^[%a_][%w_]*", KEYWORDS },
        { "^%s+" },
        { "^[^%w%s\"'%[_-]+" },
    },
    html = {
        { "^{#.-#}", "comment" },
        { "^<!%-%-.-%-%->", "comment" },
        { "^{%%.-%%}", "keyword" },
        { "^{{{.-}}}", "string" },
        { "^{{.-}}", "string" },
        { "^</?[%w-]+", "number" },
        { "^[^{<]+" },
    },
    console = {
        { "^%$ ", "prompt" },
        { "^[^\n]*\n" },
    },
}

-- The index past the piece of text at `at`, and its class or nil.
local function piece(pieces, text, at)
    for _, p in ipairs(pieces) do
        local _, last = text:find(p[1], at)
        if last then
            local class = p[2]
            if type(class) == "table" then class = class[text:sub(at, last)] end
            return last + 1, class
        end
    end
    return at + 1
end

-- The text in a language ("lua", "html", "console") as HTML; others are plain.
function highlight.html(language, text)
    local pieces = PIECES[language]
    if not pieces then return html.escape(text) end
    local out, at = {}, 1
    while at <= #text do
        local past, class = piece(pieces, text, at)
        local escaped = html.escape(text:sub(at, past - 1))
        out[#out + 1] = class and ('<span class="%s">%s</span>'):format(class, escaped) or escaped
        at = past
    end
    return table.concat(out)
end

return highlight
