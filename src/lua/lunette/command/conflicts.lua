-- Routes that stand in each other's way: those that nothing reaches, and pairs that only the order of
-- their declaration tells apart. Both are found by trying paths (samples.lua).

local app = require "lunette.app"
local describe = require "lunette.command.describe"
local dispatch = require "lunette.dispatch"
local near = require "lunette.command.near"
local samples = require "lunette.command.samples"
local task = require "lunette.task"

local conflicts = {}

-- The views of requests: one for each host that is declared, and one for all others.
local function all_views(site)
    local views = { not site.hosts["*"] and dispatch.view(nil) or nil }
    for host in pairs(site.hosts) do views[#views + 1] = dispatch.view(host) end
    return views
end

-- Which other route answers every path of a route with a method, in the views that have it; nil when
-- it answers one itself. Several others may only share the paths of a literal, which are all there.
local function winner(route, method, paths, views)
    local only = nil
    for _, view in ipairs(views) do
        for _, path in ipairs(near.has_tier(view, route.tier) and paths or {}) do
            local found = dispatch.find(view, method, path)
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

-- Pairs that match the same path, as specific as each other: { first, second, path }…
function conflicts.ambiguous()
    local list = {}
    local function look(tier)
        for j, second in ipairs(tier.routes) do
            for i = 1, j - 1 do
                local first = tier.routes[i]
                local _, equal = near.parting(first.pattern, second.pattern)
                local maybe = equal and not are_apart(first.pattern, second.pattern)
                local method = maybe and share_a_method(first, second)
                local path = method and common_path(first, second, method)
                if maybe then task.sleep(0) end
                if path then
                    list[#list + 1] = { first = first, second = second, path = "/" .. table.concat(path, "/") }
                end
            end
            task.sleep(0)
        end
    end
    look(app.site.tier)
    for _, tier in pairs(app.site.hosts) do look(tier) end
    return list
end

return conflicts
