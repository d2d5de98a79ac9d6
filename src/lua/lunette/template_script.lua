-- Where in JavaScript or CSS a text ends: within code, a string, a comment, a regular expression.
--
-- Fields of a context (template_context.lua) that live here:
--   js     "code", "dq" "sq" "tpl" (strings by their quotes), "line" "block" (comments), "regex",
--          "class" (a set in a regex), "lost"
--   slash  in code: what a "/" would be: "regex", "div" or "unknown"
--   nest   open braces within ${…}: "$" for each of those, "{" for others
--   css    "code", "dq", "sq", "comment", "url" (without quotes), "lost"
--   why    what lost it. That matters only where a value comes later: a script without values may
--          be as it likes

local script = {}

local NEST_MAX = 64

-- From here on nothing can be told of the code (field: "js" or "css"), and why.
local function lose(ctx, field, why)
    ctx[field], ctx.why = "lost", why
end
script.lose = lose

-- Words after which a "/" begins a regular expression.
local BEFORE_REGEX = {}
for word in ("return typeof instanceof in of new delete void throw case do else yield await")
    :gmatch("%a+") do
    BEFORE_REGEX[word] = true
end

local QUOTES = { ['"'] = "dq", ["'"] = "sq", ["`"] = "tpl" }

local function push(ctx, what)
    if #ctx.nest == NEST_MAX then
        lose(ctx, "js", "braces in template literals nest too deep")
    end
    ctx.nest = ctx.nest .. what
end

local function close_brace(ctx)
    local top = ctx.nest:sub(-1)
    ctx.nest = ctx.nest:sub(1, -2)
    if top == "$" then
        ctx.js = "tpl"
    else
        ctx.slash = "unknown"
    end
end

-- A "/" in code → where to go on.
local function slash(ctx, s, i)
    local two = s:sub(i, i + 1)
    if two == "//" or two == "/*" then
        ctx.js = two == "//" and "line" or "block"
        return i + 2
    end
    if ctx.slash == "unknown" then
        lose(ctx, "js", 'whether a "/" before it divides or begins a regular expression is not clear')
    elseif ctx.slash == "regex" then
        ctx.js = "regex"
    else
        ctx.slash = "regex"
    end
    return i + 1
end

local js = {}

function js.code(ctx, s, i)
    local word, past = s:match("^([%w_$\128-\255]+)()", i)
    if word then
        ctx.slash = BEFORE_REGEX[word] and "regex" or "div"
        return past
    end
    local blank = s:match("^%s+()", i)
    if blank then return blank end
    local c, two = s:sub(i, i), s:sub(i, i + 1)
    if QUOTES[c] then
        ctx.js, ctx.slash = QUOTES[c], "div"
    elseif c == "/" then
        return slash(ctx, s, i)
    elseif s:find("^<!%-%-", i) then
        ctx.js = "line"
        return i + 4
    elseif c == "{" then
        if ctx.nest ~= "" then push(ctx, "{") end
        ctx.slash = "regex"
    elseif c == "}" then
        close_brace(ctx)
    elseif two == "++" or two == "--" then
        ctx.slash = "div"
        return i + 2
    else
        ctx.slash = (c == ")" or c == "]") and "div" or "regex"
    end
    return i + 1
end

-- A string in quotes of one line, of the language that field of the context names.
local function quoted(language, quote)
    local stop = "[\\\n" .. quote .. "]"
    return function(ctx, s, i)
        local at = s:find(stop, i)
        if not at then return #s + 1 end
        local c = s:sub(at, at)
        if c == "\\" then return at + 2 end
        if c == quote then
            ctx[language] = "code"
        else
            lose(ctx, language, "a string before it is not closed on its line")
        end
        return at + 1
    end
end
js.dq, js.sq = quoted("js", '"'), quoted("js", "'")

function js.tpl(ctx, s, i)
    local at = s:find("[\\`$]", i)
    if not at then return #s + 1 end
    local c = s:sub(at, at)
    if c == "\\" then return at + 2 end
    if c == "`" then
        ctx.js = "code"
    elseif s:sub(at + 1, at + 1) == "{" then
        ctx.js, ctx.slash = "code", "regex"
        push(ctx, "$")
        return at + 2
    end
    return at + 1
end

function js.line(ctx, s, i)
    local at = s:find("[\r\n]", i)
    if not at then return #s + 1 end
    ctx.js = "code"
    return at + 1
end

function js.block(ctx, s, i)
    local _, at = s:find("*/", i, true)
    if not at then return #s + 1 end
    ctx.js = "code"
    return at + 1
end

function js.regex(ctx, s, i)
    local at = s:find("[\\%[/\n]", i)
    if not at then return #s + 1 end
    local c = s:sub(at, at)
    if c == "\\" then return at + 2 end
    if c == "[" then
        ctx.js = "class"
    elseif c == "/" then
        ctx.js, ctx.slash = "code", "div"
    else
        lose(ctx, "js", "a regular expression before it is not closed on its line")
    end
    return at + 1
end

function js.class(ctx, s, i)
    local at = s:find("[\\%]]", i)
    if not at then return #s + 1 end
    if s:sub(at, at) == "\\" then return at + 2 end
    ctx.js = "regex"
    return at + 1
end

function js.lost(_, s) return #s + 1 end

local css = {}

function css.code(ctx, s, i)
    local at = s:find("[\"'/uU\\]", i)
    if not at then return #s + 1 end
    local c = s:sub(at, at)
    if QUOTES[c] then
        ctx.css = QUOTES[c]
    elseif s:sub(at, at + 1) == "/*" then
        ctx.css = "comment"
        return at + 2
    elseif c == "\\" then
        return at + 2
    else
        local quote, past = s:match("^[uU][rR][lL]%(%s*([\"']?)()", at)
        if past then
            ctx.css = QUOTES[quote] or "url"
            return past
        end
    end
    return at + 1
end

css.dq, css.sq = quoted("css", '"'), quoted("css", "'")

function css.comment(ctx, s, i)
    local _, at = s:find("*/", i, true)
    if not at then return #s + 1 end
    ctx.css = "code"
    return at + 1
end

function css.url(ctx, s, i)
    local at = s:find(")", i, true)
    if not at then return #s + 1 end
    ctx.css = "code"
    return at + 1
end

function css.lost(_, s) return #s + 1 end

local machines = { js = js, css = css }

-- A context enters code of a kind, "js" or "css".
function script.enter(ctx, kind)
    ctx[kind] = "code"
    if kind == "js" then ctx.slash, ctx.nest = "regex", "" end
end

-- It leaves it.
function script.leave(ctx)
    ctx.js, ctx.css, ctx.slash, ctx.nest, ctx.why = nil, nil, nil, nil, nil
end

-- Follows s.
function script.feed(ctx, kind, s)
    local machine, i = machines[kind], 1
    while i <= #s do i = machine[ctx[kind]](ctx, s, i) end
end

local REFUSED = {
    line = "in a comment of JavaScript: write {# … #} around it",
    block = "in a comment of JavaScript: write {# … #} around it",
    comment = "in a comment of CSS: write {# … #} around it",
    regex = "in a regular expression", class = "in a regular expression",
    url = 'in url(…) without quotes: write url("{{ … }}")',
}

-- How a value is written here: the name of an escaper (template_escape.lua), or nil and why none is.
function script.escaper(ctx, kind)
    local at = ctx[kind]
    if at == "lost" then return nil, "where it stands cannot be told: " .. ctx.why end
    if REFUSED[at] then return nil, "it stands " .. REFUSED[at] end
    return at == "code" and kind or kind .. "_string"
end

return script
