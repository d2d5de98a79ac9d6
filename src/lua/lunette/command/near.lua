-- Why a route is not the one that answers a path: one sentence for routes that are like it.

local describe = require "lunette.command.describe"
local pattern = require "lunette.pattern"
local router = require "lunette.router"
local suggest = require "lunette.suggest"

local near = {}

-- A segment of a pattern as its author wrote it.
local function segment_text(segment)
    if segment.literal then return segment.literal end
    if segment.rest then return "*" .. segment.rest end
    local out = {}
    for i, part in ipairs(segment.parts) do
        out[i] = type(part) == "string" and part
            or ":" .. part.name .. (part.spec and "{" .. part.spec.key .. "}" or "")
    end
    return table.concat(out)
end

local routers = setmetatable({}, { __mode = "k" }) -- route → a router with nothing but that

local function router_of(route)
    local alone = routers[route]
    if not alone then
        alone = router.new()
        router.add(alone, route)
        router.freeze(alone)
        routers[route] = alone
    end
    return alone
end

-- Whether a route alone would have the path for one of its methods, or for the given one.
function near.has(route, segments, method)
    local alone = router_of(route)
    router.load_segments(segments)
    if method then return router.find(alone, method) ~= nil end
    return next(router.allowed(alone, {})) ~= nil
end

-- Whether the routes of a tier count in a view.
function near.has_tier(view, wanted)
    for _, tier in ipairs(view.tiers) do
        if tier == wanted then return true end
    end
    return false
end

-- Which of two patterns stands first in the tree: the index of the first segment where they part, and
-- whether nothing but the order of declaration decides there.
function near.parting(p, q)
    for i = 1, math.max(#p, #q) do
        local a, b = p[i], q[i]
        if not a or not b then return i, false end
        if a.shape ~= b.shape then
            return i, a.parts ~= nil and b.parts ~= nil and pattern.before(a, b) == nil
                and pattern.before(b, a) == nil
        end
    end
    return nil, false
end

-- The path is one of the route's.
local function why_beaten(route, look)
    if not near.has(route, look.segments, look.method) then
        return ("it answers %s only"):format(table.concat(route.methods, ", "))
    end
    if not near.has_tier(look.view, route.tier) then
        return ("it is for the host %s"):format(route.tier.host)
    end
    local chosen = look.route
    if chosen.tier ~= route.tier then
        return ("the host %s has a route of its own"):format(chosen.tier.host)
    end
    local _, equal = near.parting(chosen.pattern, route.pattern)
    return (equal and "%s is as specific, and declared first" or "%s is more specific"):format(
        describe.route(chosen))
end

-- How the segments of a path (without a last "") are not those of a pattern: what is wrong with each
-- that differs, and how many the path has more.
local function compare(p, segs)
    local wrong = {}
    for i, segment in ipairs(p) do
        local s = segs[i]
        if segment.rest then return wrong, 0 end
        if not s then break end
        if segment.literal and segment.literal ~= s then
            wrong[#wrong + 1] = { ("%q is not %q"):format(s, segment.literal),
                suggest.nearest(s, { [segment.literal] = true }) ~= nil and 2 or 4 }
        elseif segment.parts and not pattern.match(segment, s, {}, 0) then
            wrong[#wrong + 1] = { ("%q does not match %s"):format(s, segment_text(segment)), 1 }
        end
    end
    return wrong, #segs - #p
end

-- look: { method, segments, view, route = the one that answers or nil }. Why that is not this route, and
-- how far off it is, from 0; nil for one that is nothing like it.
function near.why_not(route, look)
    if near.has(route, look.segments) then return why_beaten(route, look), 0 end
    local segs = look.segments
    local n = segs[#segs] == "" and #segs - 1 or #segs
    segs = table.move(segs, 1, n, 1, {})
    local wrong, more = compare(route.pattern, segs)
    if #wrong == 0 and more == 0 then
        return ("it is strict: its paths %s with /"):format(
            route.pattern.slash and "end" or "do not end"), 0
    end
    if #wrong == 1 and more == 0 then return wrong[1][1], wrong[1][2] end
    if #wrong == 0 and (more == 1 or more == -1) and n > 0 and #route.pattern > 0 then
        return ("the path has one segment %s"):format(more > 0 and "more" or "less"), 3
    end
    return nil
end

return near
