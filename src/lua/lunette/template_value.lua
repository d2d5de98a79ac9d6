-- Values of attributes in quotes: what they are by the attribute's name, and where within one a text
-- ends. For the fields of contexts see template_context.lua.

local script = require "lunette.template_script"
local set = require "lunette.words"
local url = require "lunette.template_url"

local value = {}

local URLS = set [[action archive background cite classid codebase data dynsrc formaction href icon
    longdesc lowsrc manifest ping poster profile src usemap xlink:href]]
local ANIMATIONS, ANIMATED = set "animate animatecolor animatemotion animatetransform set",
    set "by from to values"

-- What the value of an attribute is.
function value.kind(elem, attr)
    if attr:find("?", 1, true) then return "unknown" end
    if attr:find("^on%a") then return "js" end
    if attr == "style" then return "css" end
    if attr == "srcset" or attr == "imagesrcset" then return "srcset" end
    if attr == "srcdoc" then return "srcdoc" end
    if attr == "type" and elem == "script" then return "type" end
    if URLS[attr] or (ANIMATIONS[elem] and ANIMATED[attr]) then return "url" end
    return "plain"
end

local ENTITIES = { ["&quot;"] = '"', ["&#34;"] = '"', ["&apos;"] = "'", ["&#39;"] = "'",
    ["&amp;"] = "&", ["&lt;"] = "<", ["&gt;"] = ">", ["&nbsp;"] = " " }

-- Literal text of an attribute as the browser reads it, and the first entity beside the usual ones:
-- what those hide would decide how a value after them is escaped.
local function decode(s)
    if not s:find("&", 1, true) then return s end
    local odd = nil
    s = s:gsub("&#?%w+;?", function(entity)
        if ENTITIES[entity] then return ENTITIES[entity] end
        if entity:find("^&#") or entity:sub(-1) == ";" or entity:lower() == "&quot" then
            odd = odd or entity
        end
    end)
    return s, odd
end

-- A value begins, with its quote.
function value.enter(ctx, q)
    ctx.q, ctx.kind = q, value.kind(ctx.elem, ctx.attr)
    if ctx.kind == "url" then url.enter(ctx) end
    if ctx.kind == "js" or ctx.kind == "css" then script.enter(ctx, ctx.kind) end
    if ctx.kind == "type" then ctx.type = "" end
end

-- Follows literal text of it. fail(sentence) raises.
function value.feed(ctx, s, fail)
    local kind = ctx.kind
    if kind == "type" then ctx.type = ctx.type .. s end
    if kind ~= "url" and kind ~= "js" and kind ~= "css" then return end
    local text, odd = decode(s)
    if kind == "url" then
        url.feed(ctx, text, fail)
        if odd then url.hide(ctx) end
    else
        script.feed(ctx, kind, text)
        if odd then script.lose(ctx, kind, ("write the character itself for %s"):format(odd)) end
    end
end

-- It is over.
function value.leave(ctx)
    script.leave(ctx)
    ctx.q, ctx.kind, ctx.attr = nil, nil, nil
    url.leave(ctx)
end

-- The name of the escaper for what stands here; or nil and why there is none.
function value.escaper(ctx)
    local kind = ctx.kind
    if kind == "plain" then return "attr" end
    if kind == "srcset" then return "srcset" end
    if kind == "url" then return url.escaper(ctx) end
    if kind == "js" or kind == "css" then
        local name, why = script.escaper(ctx, kind)
        return name and name .. "_attr", why
    end
    if kind == "srcdoc" then return nil, "it stands in srcdoc, which is a page of its own" end
    return nil, ("what the attribute %s is cannot be told"):format(ctx.attr)
end

return value
