-- Where in a page a template's text ends, so that the value which comes next can be escaped for it.
--
-- A state machine over literal text, after the tokenizer of HTML (WHATWG HTML, 13.2.5), simplified
-- where that is safe. A context is a flat table:
--   state    text, rcdata (title, textarea), raw (elements that take no values), script, style,
--            comment, bogus (<!…>, <?…>), open ("<" seen), tag (in its name), before (an attribute),
--            name (of one), after (a name), equals, value (quoted), unquoted, quoted (a value has just
--            ended), between (one of before, name, after, quoted: branches differ)
--   elem     the element's name in lower case; closing: it is an end tag
--   attr, kind, q    the attribute's name, what its value is, and its quote
--   type     of a script element
--   foreign  how many <svg> and <math> are open: titles, styles and scripts are read otherwise there
--   url, lit, dyn                see template_url.lua
--   js, css, slash, nest, why    see template_script.lua

local script = require "lunette.template_script"
local set = require "lunette.words"
local url = require "lunette.template_url"
local value = require "lunette.template_value"

local context = {}

local FIELDS = { "state", "elem", "closing", "attr", "kind", "q", "url", "lit", "dyn", "type", "js",
    "css", "slash", "nest", "foreign" }

function context.new()
    return { state = "text" }
end

function context.copy(ctx)
    local copy = {}
    for _, field in ipairs(FIELDS) do copy[field] = ctx[field] end
    copy.why = ctx.why
    return copy
end

-- A text that two contexts share when they are the same.
function context.key(ctx)
    local out = {}
    for i, field in ipairs(FIELDS) do out[i] = tostring(ctx[field]) end
    return table.concat(out, "\0")
end

local function same_but(a, b, left)
    for _, field in ipairs(FIELDS) do
        if a[field] ~= b[field] and not left[field] then return false end
    end
    return true
end

-- Sentences for messages: where a context is.
function context.describe(ctx)
    local state = ctx.state
    if state == "value" or state == "unquoted" or state == "equals" then
        return ("the attribute %s of <%s>"):format(ctx.attr, ctx.elem)
    elseif state == "text" then
        return ctx.foreign and "text of <svg> or <math>" or "text"
    elseif state == "comment" or state == "bogus" then
        return "a comment"
    elseif state == "rcdata" or state == "raw" or state == "script" or state == "style" then
        return ("<%s>"):format(ctx.elem)
    end
    return ("the tag <%s%s>"):format(ctx.closing and "/" or "", ctx.elem or "")
end

-- --- tags ---

local RCDATA, RAW = set "title textarea", set "xmp iframe noembed noframes plaintext"

local FOREIGN = set "svg math"

local function count_foreign(ctx, empty)
    if not FOREIGN[ctx.elem] or (empty and not ctx.closing) then return end
    local n = (ctx.foreign or 0) + (ctx.closing and -1 or 1)
    ctx.foreign = n > 0 and n or nil
end

-- A tag is over: what stands in its element? empty: it ended with "/>".
local function end_tag(ctx, empty, fail)
    local elem, kind = ctx.elem, ctx.type
    ctx.attr = nil
    count_foreign(ctx, empty)
    if empty and ctx.foreign and not ctx.closing and (RCDATA[elem] or RAW[elem] or elem == "script"
        or elem == "style") then
        fail(("write <%s></%s> instead of <%s/>"):format(elem, elem, elem))
    end
    if ctx.closing or not (RCDATA[elem] or RAW[elem] or elem == "script" or elem == "style") then
        ctx.state, ctx.elem, ctx.closing, ctx.type = "text", nil, nil, nil
    elseif elem == "script" then
        ctx.state = "script"
        script.enter(ctx, "js")
        local plain = (kind or ""):lower():gsub("[%s;].*", "")
        if plain ~= "" and plain ~= "module" and plain ~= "importmap" and plain ~= "speculationrules"
            and not plain:find("javascript") and not plain:find("ecmascript")
            and not plain:find("json$") then
            ctx.state = "raw"
            script.leave(ctx)
        end
        ctx.type = nil
    elseif elem == "style" then
        ctx.state = "style"
        script.enter(ctx, "css")
    else
        ctx.state = RCDATA[elem] and "rcdata" or "raw"
    end
end

local step = {} -- state → function(ctx, s, i, fail, lower) → where to go on

local function begin_tag(ctx, closing)
    ctx.state, ctx.closing, ctx.elem, ctx.type = "tag", closing or nil, "", nil
end

function step.text(ctx, s, i, fail)
    local at = s:find("<", i, true)
    if not at then return #s + 1 end
    local mark, past = s:match("^<(/?)()%a", at)
    if mark then
        begin_tag(ctx, mark == "/")
        return past
    end
    if s:find("^<!%-%-", at) then
        local _, closed = s:find("^<!%-%-%-?>", at)
        if closed then return closed + 1 end
        ctx.state = "comment"
        return at + 4 > #s and at + 3 or at + 4
    end
    if ctx.foreign and s:find("^<!%[CDATA%[", at) then fail("write text of <svg> without CDATA") end
    if s:find("^<[!?]", at) or s:find("^</[^>]", at) then
        ctx.state = "bogus"
        return at + 2
    end
    mark = s:match("^<(/?)$", at)
    if not mark then return at + 1 end
    ctx.state, ctx.closing = "open", mark == "/" or nil
    return #s + 1
end

-- A piece of text that goes on after "<".
function step.open(ctx, s, i)
    if s:find("^%a", i) then
        begin_tag(ctx, ctx.closing)
        return i
    end
    if s:find("^/", i) and not ctx.closing then
        ctx.closing = true
        return i + 1
    end
    ctx.state, ctx.closing = s:find("^[!?]", i) and "bogus" or "text", nil
    return i
end

function step.comment(ctx, s, i, fail)
    local _, at = s:find("%-%-!?>", i)
    if not at then
        if s:find("%-$") or s:find("%-%-!$") then
            fail("in a comment, a space must come between - and what follows")
        end
        return #s + 1
    end
    ctx.state = "text"
    return at + 1
end

function step.bogus(ctx, s, i)
    local at = s:find(">", i, true)
    if not at then return #s + 1 end
    ctx.state = "text"
    return at + 1
end

function step.tag(ctx, s, i)
    local name, past = s:match("^([^%s/>]*)()", i)
    ctx.elem = ctx.elem .. name:lower()
    if past <= #s then ctx.state = "before" end
    return past
end

function step.before(ctx, s, i, fail)
    local past = s:match("^[%s/]*()", i)
    if past > i then return past end
    local c = s:sub(i, i)
    if c == ">" then
        end_tag(ctx, s:sub(i - 1, i - 1) == "/", fail)
        return i + 1
    end
    if c:find("[\"'=<]") then fail(("a stray %s in %s"):format(c, context.describe(ctx))) end
    ctx.state, ctx.attr = "name", ""
    return i
end

function step.name(ctx, s, i, fail)
    local name, past = s:match("^([^%s/>=]*)()", i)
    local stray = name:match("[\"'<]")
    if stray then fail(("a stray %s in %s"):format(stray, context.describe(ctx))) end
    ctx.attr = ctx.attr .. name:lower()
    if past <= #s then
        local c = s:sub(past, past)
        ctx.state = c == "=" and "equals" or c:find("%s") and "after" or "before"
        if c == "=" then return past + 1 end
    end
    return past
end

function step.after(ctx, s, i)
    local past = s:match("^%s*()", i)
    local c = s:sub(past, past)
    if c == "" then return past end
    ctx.state = c == "=" and "equals" or "before"
    return c == "=" and past + 1 or past
end

function step.equals(ctx, s, i)
    local past = s:match("^%s*()", i)
    local c = s:sub(past, past)
    if c == "" then return past end
    if c == '"' or c == "'" then
        ctx.state = "value"
        value.enter(ctx, c)
        return past + 1
    end
    if c == ">" then
        ctx.state = "before"
    else
        ctx.state, ctx.type = "unquoted", value.kind(ctx.elem, ctx.attr) == "type" and "" or ctx.type
    end
    return past
end

function step.value(ctx, s, i, fail)
    local at = s:find(ctx.q, i, true)
    value.feed(ctx, s:sub(i, (at or #s + 1) - 1), fail)
    if at then
        value.leave(ctx)
        ctx.state = "quoted"
    end
    return (at or #s) + 1
end

function step.unquoted(ctx, s, i)
    local text, past = s:match("^([^%s>]*)()", i)
    if ctx.type and ctx.attr == "type" then ctx.type = ctx.type .. text end
    if past <= #s then ctx.state, ctx.attr = "before", nil end
    return past
end

function step.quoted(ctx, _, i)
    ctx.state = "before"
    return i
end

function step.between(ctx, s, i, fail)
    if not s:find("^[%s/>]", i) then
        fail(("what follows in %s must begin with a space"):format(context.describe(ctx)))
    end
    ctx.state = "before"
    return i
end

-- Literal text of such an element. Whether its tags are text depends on what surrounds it (in <svg>
-- and <select> they are not), so there may be none, but in scripts and styles outside of those.
local function feed_element(ctx, s, fail)
    local code = ctx.js and "js" or ctx.css and "css"
    local plain = s:gsub("<!%[CDATA%[", "")
    if (not code or ctx.foreign) and (plain:find("<[%a/!?]") or plain:find("<$")) then
        fail(("write &lt; for < within %s"):format(context.describe(ctx)))
    end
    if not code then return end
    script.feed(ctx, code, s)
    if ctx.foreign and s:find("&", 1, true) then
        script.lose(ctx, code, "entities are read in <svg>, and one is before it")
    end
end

-- Text of an element that only its own end tag ends.
local function element_text(ctx, s, i, fail, lower)
    local from = i
    local at, past = lower:find("</" .. ctx.elem, i, true)
    while at and not s:find("^[%s/>]", past + 1) and past < #s do
        at, past = lower:find("</" .. ctx.elem, past, true)
    end
    local inner = s:sub(from, (at or #s + 1) - 1)
    if not at and inner:find("</%a*$") or at and past == #s then
        fail(("the end of %s is cut in two"):format(context.describe(ctx)))
    end
    feed_element(ctx, inner, fail)
    if not at then return #s + 1 end
    local elem = ctx.elem
    script.leave(ctx)
    begin_tag(ctx, true)
    ctx.elem = elem
    return past + 1
end
step.rcdata, step.raw, step.script, step.style =
    element_text, element_text, element_text, element_text

-- Follows literal text. fail(sentence, lines) raises; lines: how many of s are before that place.
function context.feed(ctx, s, fail)
    local i, lower = 1, s:lower()
    local function fail_here(why)
        local _, lines = s:sub(1, i - 1):gsub("\n", "")
        fail(why, lines)
    end
    while i <= #s do i = step[ctx.state](ctx, s, i, fail_here, lower) end
end

-- --- values ---

local IN_TAG = set "open tag before name after quoted between"

-- The name of the escaper for a value that stands here; or nil and why there can be none.
function context.escaper(ctx)
    local state = ctx.state
    if state == "text" then return "text" end
    if state == "rcdata" then return "attr" end
    if state == "comment" then return "comment" end
    if state == "value" then return value.escaper(ctx) end
    if state == "script" then return script.escaper(ctx, "js") end
    if state == "style" then return script.escaper(ctx, "css") end
    if state == "unquoted" or state == "equals" then
        return nil, ('put the value of the attribute in quotes: %s="{{ … }}"'):format(ctx.attr)
    end
    if state == "open" then return nil, 'it stands behind a "<", and would be the name of a tag' end
    if IN_TAG[state] then
        return nil, ("it would be a name in %s: write {%% if … then %%} name{%% end %%}"):format(
            context.describe(ctx))
    end
    return nil, ("no value can stand in %s"):format(context.describe(ctx))
end

-- A value was written. raw: by {{{ }}}, wherever it stood.
function context.wrote(ctx, raw)
    if ctx.kind == "url" and ctx.url == "start" then ctx.dyn = true end
    if ctx.js == "code" then ctx.slash = "div" end
    if not raw then return end
    local state = ctx.state
    if state == "equals" then
        ctx.state = "unquoted"
    elseif state == "open" then
        begin_tag(ctx, ctx.closing)
        ctx.elem = "?"
    elseif state == "name" or state == "tag" then
        local field = state == "name" and "attr" or "elem"
        ctx[field] = ctx[field] .. "?"
    elseif IN_TAG[state] then
        ctx.state = "between"
    end
end

-- --- branches ---

local BETWEEN = set "tag before name after quoted between"

local function join_tags(a, b)
    if not (BETWEEN[a.state] and BETWEEN[b.state]) then return nil end
    if a.elem ~= b.elem or a.closing ~= b.closing then return nil end
    local made = { state = "between", elem = a.elem, closing = a.closing }
    made.type = a.type == b.type and a.type or "?"
    if a.type == nil and b.type == nil then made.type = nil end
    return made
end

-- The context after branches that end in a and b; nil when no text could follow both.
function context.join(a, b)
    if same_but(a, b, {}) then return context.copy(a) end
    if a.kind == "url" and same_but(a, b, { url = true, lit = true, dyn = true }) then
        local made = context.copy(a)
        return url.join(made, b) and made or nil
    end
    if a.js == b.js and same_but(a, b, { slash = true }) then
        local made = context.copy(a)
        made.slash = "unknown"
        return made
    end
    return join_tags(a, b)
end

-- The context at the start of a loop's body, which the end of the body leads back to.
function context.loop(ctx)
    local made = context.copy(ctx)
    if BETWEEN[ctx.state] and ctx.state ~= "before" then made = join_tags(ctx, ctx) end
    if ctx.js == "code" then made.slash = "unknown" end
    if ctx.kind == "url" and ctx.url == "start" then made.dyn = true end
    return made
end

return context
