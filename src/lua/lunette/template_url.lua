-- Where in a URL of an attribute a text ends, so that values cannot give it another scheme, nor leave
-- the part that they stand in.
--
-- Fields of a context (template_context.lua) that live here:
--   url   "start" (nothing but values and letters so far: the scheme is open), "authority", "path",
--         "query" (or the fragment), "unknown" (path or query: branches differ), "code" (javascript:),
--         "data" (a data: URL that is no image), "hidden" (entities were in it)
--   lit   at the start: the literal text so far
--   dyn   at the start: a value may have come

local url = {}

function url.enter(ctx) ctx.url, ctx.lit = "start", "" end

function url.leave(ctx) ctx.url, ctx.lit, ctx.dyn = nil, nil, nil end

local function leave_start(ctx, where)
    ctx.url, ctx.lit, ctx.dyn = where, "", nil
end

-- The literal text since the start of a URL has one of / ? # : at `at`.
local function leave_scheme(ctx, text, at, fail)
    local c = text:sub(at, at)
    if c == ":" then
        local scheme = text:sub(1, at - 1):gsub("%s", ""):lower()
        if ctx.dyn then
            fail("a URL whose scheme comes from a value: give the whole URL as one value")
        end
        if scheme == "javascript" or scheme == "vbscript" then
            leave_start(ctx, "code")
        elseif scheme == "data" then
            leave_start(ctx, text:lower():find("^%s*data:image/") and "query" or "data")
        else
            leave_start(ctx, text:find("^//", at + 1) and "authority" or "path")
        end
        return text:sub(at + (ctx.url == "authority" and 3 or 1))
    end
    local double = c == "/" and not ctx.dyn and text:find("^%s*//")
    leave_start(ctx, double and "authority" or c == "/" and "path" or "query")
    return text:sub(at + (double and 2 or 1))
end

-- Follows literal text, decoded. fail(sentence) raises.
function url.feed(ctx, s, fail)
    if ctx.url == "start" then
        local text = ctx.lit .. s
        local at = text:find("[/?#:]")
        if not at then
            ctx.lit = text:gsub("^%s+", "")
            return
        end
        s = leave_scheme(ctx, text, at, fail)
    end
    if ctx.url == "authority" and s:find("[/?#]") then ctx.url = "path" end
    if ctx.url == "path" and s:find("[?#]") then ctx.url = "query" end
    if ctx.url == "unknown" and s:find("[?#&=]") then ctx.url = "query" end
end

-- Nothing can be told of the rest.
function url.hide(ctx) leave_start(ctx, "hidden") end

local REFUSED = {
    code = "it stands in a javascript: URL", data = "it stands in a data: URL that is no image",
    unknown = "whether it stands in the path or the query of the URL is not clear",
    hidden = "characters of the URL before it are written as entities",
}

-- The name of the escaper for a value that stands here; or nil and why there is none.
function url.escaper(ctx)
    if REFUSED[ctx.url] then return nil, REFUSED[ctx.url] end
    return "url_" .. ctx.url
end

local FIXED = { code = true, data = true, hidden = true }

-- Makes a what follows branches that end in a and b; false when nothing could.
function url.join(a, b)
    local one, two = a.url, b.url
    if a.lit ~= b.lit or FIXED[one] or FIXED[two] then return false end
    local start = one == "start" or two == "start"
    a.dyn = start or nil
    if one == two then return true end
    if one == "query" or two == "query" or one == "unknown" or two == "unknown" then
        a.url, a.dyn = "unknown", nil
    else
        a.url = start and "start" or "path"
    end
    return true
end

return url
