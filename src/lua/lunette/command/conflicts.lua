-- Routes that stand in each other's way: those that nothing reaches, and pairs that only the order of
-- their declaration tells apart. Both are found by trying paths (samples.lua).

local app = require "lunette.app"
local describe = require "lunette.command.describe"
local host_views = require "lunette.host_views"
local meeting = require "lunette.command.meeting"
local near = require "lunette.command.near"
local samples = require "lunette.command.samples"
local task = require "lunette.task"

local conflicts = {}

-- The views of requests: one for each host that is declared, and one for all others.
local function all_views(site)
    local views = { not site.hosts["*"] and host_views.get(nil) or nil }
    for host in pairs(site.hosts) do views[#views + 1] = host_views.get(host) end
    return views
end

-- Which other route answers every path of a route with a method, in the views that have it; nil when
-- it answers one itself. Several others may only share the paths of a literal, which are all there.
local function winner(route, method, paths, views)
    local only = nil
    for _, view in ipairs(views) do
        for _, path in ipairs(near.has_tier(view, route.tier) and paths or {}) do
            local found = meeting.route(view, method, path)
            if found == route then return nil end
            if only and found ~= only and not route.pattern.literal then return nil end
            only = only or found
        end
    end
    return only
end

local made = setmetatable({}, { __mode = "k" }) -- route → its paths

local function own_paths(route)
    if made[route] then return made[route] end
    local list = {}
    for _, path in ipairs(samples.paths(route.pattern)) do
        if near.has(route, path) then list[#list + 1] = path end
    end
    made[route] = list
    return list
end

-- What nothing reaches: { route, by, methods }…, methods being those that are taken from it.
function conflicts.unreachable()
    local site, list = app.site, {}
    local views = all_views(site)
    for _, route in ipairs(describe.all_routes(site)) do
        local paths, methods, by = own_paths(route), {}, nil
        for _, method in ipairs(route.methods) do
            local other = winner(route, method, paths, views)
            if other then methods[#methods + 1], by = method, by or other end
        end
        if by then list[#list + 1] = { route = route, by = by, methods = methods } end
        task.sleep(0) -- many routes take their time: no single run is to be long
    end
    return list
end

local function share_a_method(a, b)
    for _, method in ipairs(a.methods) do
        for _, other in ipairs(b.methods) do
            if method == other then return method end
        end
    end
    return nil
end

-- Whether no path can be one of both patterns, as their lengths or literals say.
local function are_apart(p, q)
    if #p ~= #q and not p.rest and not q.rest then return true end
    for i = 1, math.min(#p, #q) do
        if p[i].literal and q[i].literal and p[i].literal ~= q[i].literal then return true end
    end
    return false
end

-- A path that both routes match with the method, or nil.
local function common_path(a, b, method)
    for _, pair in ipairs { { a, b }, { b, a } } do
        for _, path in ipairs(own_paths(pair[1])) do
            if near.has(pair[1], path, method) and near.has(pair[2], path, method) then return path end
        end
    end
    return nil
end

-- What a pattern has to have in common with another at one place: its literal, or at 0 its length; nil
-- where it may be like any other there.
local function fixed_at(p, i)
    if i == 0 then return not p.rest and #p or nil end
    return p[i] and p[i].literal
end

-- Routes by what is fixed at a place: a table of lists, and the list of those with nothing fixed.
local function split(routes, i)
    local fixed, open = {}, {}
    for _, route in ipairs(routes) do
        local key = fixed_at(route.pattern, i)
        if key ~= nil and not fixed[key] then fixed[key] = {} end
        local list = key ~= nil and fixed[key] or open
        list[#list + 1] = route
    end
    return fixed, open
end

local FEW = 8 -- routes of which each is looked at beside each

-- Calls found(a, b) for the routes a of one list and b of another that have, from the place i on, the
-- same literals. Work is in proportion to the routes and to what is found, not to all pairs.
local function meet(as, bs, i, found)
    if #as == 0 or #bs == 0 then return end
    local deepest = 0
    for _, route in ipairs(as) do deepest = math.max(deepest, #route.pattern) end
    if i > deepest or #as + #bs <= FEW then
        for _, a in ipairs(as) do
            for _, b in ipairs(bs) do found(a, b) end
            task.sleep(0)
        end
        return
    end
    local fixed, open = split(as, i)
    local others, other_open = split(bs, i)
    for key, list in pairs(fixed) do
        meet(list, others[key] or {}, i + 1, found)
        meet(list, other_open, i + 1, found)
    end
    for _, list in pairs(others) do meet(open, list, i + 1, found) end
    meet(open, other_open, i + 1, found)
end

-- What two segments with captures have in common when the order of declaration decides between them
-- (pattern.before) and some text is one of both: as much of everything, and the same text in front.
local function rank_of(segment)
    return ("%d:%d:%d:%s:%s"):format(segment.literals, segment.plain, segment.captures,
        segment.rank, segment.head)
end

-- Routes that may be as specific as each other part at a segment with captures: those with the same
-- shapes before one, and one of the same rank, are together. A list of { shape there → routes }.
local function families(routes)
    local known, list = {}, {}
    for _, route in ipairs(routes) do
        local start = ""
        for _, segment in ipairs(route.pattern) do
            if segment.parts then
                local key = start .. "\0\0" .. rank_of(segment)
                if not known[key] then
                    known[key] = {}
                    list[#list + 1] = known[key]
                end
                local family = known[key]
                family[segment.shape] = family[segment.shape] or {}
                table.insert(family[segment.shape], route)
            end
            start = start .. "\0" .. segment.shape
        end
    end
    return list
end

-- Calls found(a, b) for all pairs of a tier that may be ambiguous, once, and for others.
local function each_candidate(routes, found)
    for _, family in ipairs(families(routes)) do
        local earlier = {}
        for _, list in pairs(family) do
            meet(earlier, list, 0, found)
            table.move(list, 1, #list, #earlier + 1, earlier)
            task.sleep(0)
        end
    end
end

-- The path for which only the order of declaration tells two routes apart, or nil.
local function shared_path(first, second)
    local _, equal = near.parting(first.pattern, second.pattern)
    if not equal or are_apart(first.pattern, second.pattern) then return nil end
    task.sleep(0)
    local method = share_a_method(first, second)
    return method and common_path(first, second, method)
end

-- Pairs that match the same path, as specific as each other: { first, second, path }…
function conflicts.ambiguous()
    local list = {}
    local function look(tier)
        local number = {}
        for i, route in ipairs(tier.routes) do number[route] = i end
        each_candidate(tier.routes, function(a, b)
            local first, second = a, b
            if number[b] < number[a] then first, second = b, a end
            local path = shared_path(first, second)
            if path then
                list[#list + 1] = { first = first, second = second, path = "/" .. table.concat(path, "/") }
            end
        end)
    end
    look(app.site.tier)
    for _, tier in pairs(app.site.hosts) do look(tier) end
    return list
end

return conflicts
