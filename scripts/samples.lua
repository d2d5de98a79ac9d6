-- Code on the guide's pages: each function gives a <figure>. Tests run every one of them, and go by
-- its attributes (tests/integration/test_guide_samples.py):
--
--   demo, shown   data-file: a file of scripts/, which runs here
--   site     data-sample="site": a site begins, and this is its scripts/main.lua
--   file     data-sample="file": one more file of that site
--   console  data-sample="console": commands behind "$ ", asked of that site, and what they print
--   serve    data-sample="serve": a command that goes on while the ones after it are run
--   defaults data-sample="defaults": a config.lua that says what is so without it
--   values   data-sample="values": lines of "expression  --> what it is", beside other Lua

local highlight = require "highlight"
local html = require "lunette.html"

local samples = {}

local FOLDER = package.path:match "^[^?]*" -- the site's scripts/ is searched first

local function read(name)
    local file <close> = assert(io.open(FOLDER .. name, "rb"))
    return file:read "a"
end

local LANGUAGES = { lua = "lua", html = "html" }

local function language_of(name)
    return LANGUAGES[name:match "%.(%a+)$"] or "text"
end

local function figure(caption, language, text, attribute, value)
    return ('<figure class="code %s" %s="%s"><figcaption>%s</figcaption>'
        .. '<pre tabindex="0" aria-label="%s"><code>%s</code></pre></figure>'):format(
        language, attribute, html.escape(value), html.escape(caption), html.escape(caption),
        highlight.html(language, text))
end

-- A file of scripts/.
function samples.shown(path)
    local name = "scripts/" .. path
    return figure(name, language_of(path), read(path), "data-file", name)
end

-- The file of a demonstration, scripts/demos/<name>.lua.
function samples.demo(name)
    return samples.shown("demos/" .. name .. ".lua")
end

function samples.site(text)
    return figure("scripts/main.lua", "lua", text, "data-sample", "site")
end

function samples.file(name, text)
    return figure(name, language_of(name), text, "data-sample", "file")
end

function samples.console(text)
    return figure("console", "console", text, "data-sample", "console")
end

function samples.serve(text)
    return figure("console", "console", text, "data-sample", "serve")
end

function samples.defaults(text)
    return figure("scripts/config.lua", "lua", text, "data-sample", "defaults")
end

function samples.values(text)
    return figure("Lua", "lua", text, "data-sample", "values")
end

return samples
