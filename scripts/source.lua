-- Files of scripts/ as text, and Lua source as HTML with its words coloured.

local html = require "lunette.html"

local source = {}

local FOLDER = package.path:match "^[^?]*" -- the site's scripts/ is searched first

-- The text of a file in scripts/.
function source.read(name)
    local file <close> = assert(io.open(FOLDER .. name, "rb"))
    return file:read "a"
end

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
    return then true until while]]):gmatch "%a+" do
    KEYWORDS[word] = true
end

-- What a piece of source can be: the first pattern that matches names its class.
local PIECES = {
    { "^%-%-[^\n]*", "comment" },
    { '^"[^"\n]*"', "string" },
    { "^'[^'\n]*'", "string" },
    { "^%d[%w.]*", "number" },
    { "^[%a_][%w_]*", "word" },
    { "^%s+" },
    { "^[^%w%s\"'_-]+" },
    { "^." },
}

-- The piece of text at position at, and its class or nil.
local function piece(text, at)
    for _, p in ipairs(PIECES) do
        local found = text:match(p[1], at)
        if found and p[2] == "word" then return found, KEYWORDS[found] and "keyword" end
        if found then return found, p[2] end
    end
end

-- Lua source as HTML.
function source.coloured(text)
    local out, at = {}, 1
    while at <= #text do
        local found, class = piece(text, at)
        local escaped = html.escape(found)
        out[#out + 1] = class and ('<span class="%s">%s</span>'):format(class, escaped) or escaped
        at = at + #found
    end
    return table.concat(out)
end

-- A file of scripts/ as a <figure>.
function source.figure(name)
    return ('<figure class="code"><figcaption>scripts/%s</figcaption>'
        .. '<pre tabindex="0" aria-label="Source of scripts/%s"><code>%s</code></pre></figure>')
        :format(name, name, source.coloured(source.read(name)))
end

return source
