-- How a template's values are written: one function for each context, by the names that
-- template_context.lua gives.
--
-- Nil is written as nothing, but for null in JavaScript's code; text, numbers and booleans as
-- tostring gives them; tables by their __tostring, where they have one, and in JavaScript's code as
-- JSON. Anything else raises at the template's line.
--
-- HTML and JSON that is finished is a table: made by escape.safe (for text alone; in an attribute it
-- is a text like others), by escape.json, or by escape.done (for the very place that it was made in).

local core = require "lunette.core"
local errors = require "lunette.errors"
local html = require "lunette.html"

local type, tostring, getmetatable, setmetatable = type, tostring, getmetatable, setmetatable
local html_escape = html.escape

local escape = {}

local function text_of(self) return self.text end

local Safe = { __name = "lunette.safe", __tostring = text_of }
function Safe.__call(self) return self end -- csrf_field and csrf_field() are the same
local Json = { __name = "lunette.json text", __tostring = text_of }
local Done = { __name = "lunette.done", __tostring = text_of }

function escape.safe(s)
    if getmetatable(s) == Safe then return s end
    errors.expect(s, "string", "template.safe: the HTML")
    return setmetatable({ text = s }, Safe)
end

function escape.done(s) return setmetatable({ text = s }, Done) end

-- A value's plain text.
local function show(v)
    local kind = type(v)
    if kind == "string" then return v end
    if kind == "nil" then return "" end
    if kind == "number" or kind == "boolean" then return tostring(v) end
    local meta = getmetatable(v)
    if type(meta) ~= "table" or not meta.__tostring then
        errors.misuse("a %s cannot be written into a page%s", kind, kind == "table"
            and ": write its fields, or json(…) of it" or kind == "function" and ": call it" or "")
    end
    return tostring(v)
end

-- HTML's text, and values of attributes in quotes.
function escape.text(v)
    if type(v) == "string" then return html_escape(v) end
    local meta = type(v) == "table" and getmetatable(v)
    if meta == Safe or meta == Done then return v.text end
    return html_escape(show(v))
end

-- The value of an attribute: finished HTML is a text here.
function escape.attr(v)
    if type(v) == "string" then return html_escape(v) end
    if type(v) == "table" and getmetatable(v) == Done then return v.text end
    return html_escape(show(v))
end

-- In a comment, which dashes end.
function escape.comment(v)
    if type(v) == "table" and getmetatable(v) == Done then return v.text end
    return (html_escape(show(v)):gsub("-", "&#45;"))
end

-- What {{{ }}} writes.
escape.raw = show

-- --- URLs ---

local function percent(c) return ("%%%02X"):format(c:byte()) end

local SCHEMES = { http = true, https = true, mailto = true, tel = true, sms = true, ftp = true }

-- What stands in place of a URL that could run code or hold a page.
escape.BLOCKED = "about:blank#blocked"

-- A URL, whole or from a place within its authority on, with all that it cannot hold coded.
local function whole_url(s)
    s = s:gsub("[^%w%-._~:/?#%[%]@!$&'()*+,;=%%]", percent)
    return (s:gsub("%%(%x?%x?)", function(hex) return (#hex == 2 and "%" or "%25") .. hex end))
end

local function start_url(v)
    local s = show(v):match("^[%z\1-\32]*(.-)[%z\1-\32]*$")
    local scheme = s:match("^([^/?#]-):")
    if scheme and not SCHEMES[scheme:lower()] then return escape.BLOCKED end
    return whole_url(s)
end

-- An escaper of attributes: code makes the text that the browser shall see.
local function attribute(code)
    return function(v)
        if type(v) == "table" and getmetatable(v) == Done then return v.text end
        return html_escape(code(v))
    end
end

escape.url_start = attribute(start_url)
escape.url_authority = attribute(function(v) return whole_url(show(v)) end)
escape.url_path = attribute(function(v) return (show(v):gsub("[^%w%-._~/:@!$'()*+,;=]", percent)) end)
escape.url_query = attribute(function(v) return (show(v):gsub("[^%w%-._~]", percent)) end)
escape.srcset = attribute(function(v) return (start_url(v):gsub("[,%s]", percent)) end)

-- --- JavaScript ---

local function unicode(c) return ("\\u%04x"):format(c:byte()) end
local SEPARATORS = { ["\u{2028}"] = "\\u2028", ["\u{2029}"] = "\\u2029" }

-- The inside of a string, whatever its quotes: those, backslashes, and what HTML sees.
local function js_string(v)
    local s = show(v):gsub("[%c\"'`\\<>&/$\127]", unicode)
    return (s:gsub("\u{2028}", SEPARATORS):gsub("\u{2029}", SEPARATORS))
end

-- JSON without what HTML or old JavaScript would see in it.
local function hardened(text)
    text = text:gsub("[<>&']", unicode)
    return (text:gsub("\u{2028}", SEPARATORS):gsub("\u{2029}", SEPARATORS))
end

local function encode(v)
    local text, why = core.encode { v } -- mends text that is not UTF-8
    if not text then errors.misuse("json: %s", why) end
    return text:sub(2, -2)
end

-- json(v) in templates: v as JSON, for any place.
function escape.json(v)
    return setmetatable({ text = hardened(v == nil and "null" or encode(v)) }, Json)
end

-- A value as an expression.
local function js(v)
    local kind = type(v)
    if kind == "nil" then return "null" end
    if kind == "boolean" then return tostring(v) end
    if kind == "string" then return '"' .. js_string(v) .. '"' end
    if kind == "number" then
        if v ~= v or v == math.huge or v == -math.huge then return "null" end
        local short = math.type(v) == "integer" and ("%d"):format(v) or ("%.15g"):format(v)
        return tonumber(short) == v and short or ("%.17g"):format(v)
    end
    local meta = getmetatable(v)
    if meta == Json then return v.text end
    if kind == "table" and not (type(meta) == "table" and meta.__tostring) then
        return hardened(encode(v))
    end
    return '"' .. js_string(v) .. '"'
end

-- --- CSS ---

-- In place of a value that could end a declaration or load something.
local CSS_BLOCKED = "blocked"

local function css(v)
    local s = show(v)
    local plain = s:find("^[%w%s#%%.,+_-]*$") and not s:find("--", 1, true)
    return plain and not s:lower():find("expression") and s or CSS_BLOCKED
end

local function css_string(v)
    return (show(v):gsub("[^%w\128-\255 ._-]", function(c) return ("\\%x "):format(c:byte()) end))
end

-- In elements. A block of a page may be finished text for these, too.
local function element(code)
    return function(v)
        if type(v) == "table" and getmetatable(v) == Done then return v.text end
        return code(v)
    end
end

escape.js, escape.js_attr = element(js), attribute(js)
escape.js_string, escape.js_string_attr = element(js_string), attribute(js_string)
escape.css, escape.css_attr = element(css), attribute(css)
escape.css_string, escape.css_string_attr = element(css_string), attribute(css_string)

return escape
