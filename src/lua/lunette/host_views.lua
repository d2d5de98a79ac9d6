-- What was declared (scope.lua), compiled: a view for each host that app.host names and one for all
-- others, in which a literal path without middleware costs two table lookups.
--
--   view  { tiers, literal = {method → {path → entry}}, entries = {route → entry}, uses, statics,
--           paged, nowhere, answers, alone }
--   tiers   whose routes count, in order: the host's own, wildcards above it, the app's
--   entry   see chain.lua; made when it is first needed, for literal paths at once
--   nowhere stands for the entry where there is no route
--   answers see unrouted.lua
--   alone   no hosts are declared: it is the view of every request
--
-- "The loaded path" is that of router.lua.

local chain = require "lunette.chain"
local core = require "lunette.core"
local router = require "lunette.router"
local unrouted = require "lunette.unrouted"

local find = router.find

local host_views = {}

local site  -- what was declared
local views -- host pattern → view, once compiled; [false] is that of unknown hosts

-- The route of the first tier that has one for the method and the loaded path, or nil and whether
-- the path has other methods.
local function find_route(view, method)
    local met, tiers = false, view.tiers
    for i = 1, #tiers do
        local route, other = find(tiers[i].router, method)
        if route then return route end
        met = met or other
    end
    return nil, met
end
host_views.find_route = find_route

-- The view for a host name: its own, that of the longest wildcard above it, "*", or the app's.
local function view_of_host(host)
    local view = views[host]
    if view then return view end
    local dot = host:find(".", 1, true)
    while dot do
        view = views["*" .. host:sub(dot)]
        if view then return view end
        dot = host:find(".", dot + 1, true)
    end
    return views["*"] or views[false]
end

-- The same for the text of a Host field, which may have a port.
function host_views.of_text(host)
    host = host:lower()
    if not host:find("]", 1, true) then host = host:gsub(":%d*$", "") end
    return view_of_host((host:gsub("%.$", "")))
end

-- The view for a pattern of app.host; nil: that of hosts which none names.
function host_views.get(host)
    return views[host or false]
end

-- The tiers of a host pattern, the most specific first.
local function tiers_of(host)
    local list = {}
    if host == "*" then
        list[1] = site.hosts["*"]
    elseif host then
        list[1] = site.hosts[host]
        local dot = host:find(".", host:sub(1, 1) == "*" and 3 or 1, true)
        while dot do
            list[#list + 1] = site.hosts["*" .. host:sub(dot)]
            dot = host:find(".", dot + 1, true)
        end
    end
    list[#list + 1] = site.tier
    return list
end

-- What of a list belongs to the tiers; sorted by tier, then by depth of prefix when asked to.
local function of_tiers(list, tiers, sorted)
    local rank, found = {}, {}
    for i, tier in ipairs(tiers) do rank[tier] = i end
    for i, item in ipairs(list) do
        if rank[item.tier] then found[#found + 1] = { item = item, at = i } end
    end
    if sorted then
        table.sort(found, function(a, b)
            local x, y = a.item, b.item
            if x.tier ~= y.tier then return rank[x.tier] < rank[y.tier] end
            if #x.prefix ~= #y.prefix then return #x.prefix > #y.prefix end
            if (x.parent == nil) ~= (y.parent == nil) then return x.parent ~= nil end
            return a.at < b.at
        end)
    end
    for i, item in ipairs(found) do found[i] = item.item end
    return found
end

-- The entry of a route.
local function entry_of(view, route)
    local entry = view.entries[route]
    if not entry then
        entry = chain.entry(view, route)
        view.entries[route] = entry
    end
    return entry
end
host_views.entry = entry_of

local none = {}

-- Fills view.literal: what the tree would find for every literal path, so that both agree. For the
-- view of a host, the app's own routes are left to `remember`: hosts × routes may be many.
local function fill_literals(view)
    for _, method in ipairs(router.methods) do view.literal[method] = {} end
    for _, tier in ipairs(view.tiers) do
        local later = tier == site.tier and #view.tiers > 1
        for _, route in ipairs(later and none or tier.routes) do
            local path = route.pattern.literal and route.pattern.text:gsub("(.)/$", "%1")
            for _, form in ipairs(path and { path, path ~= "/" and path .. "/" or nil } or none) do
                for method, paths in pairs(view.literal) do
                    router.load(form)
                    local found = find_route(view, method)
                    if found and found.pattern.literal then paths[form] = entry_of(view, found) end
                end
            end
        end
    end
end

local function new_view(host)
    local view = { tiers = tiers_of(host), literal = {}, entries = {}, alone = next(site.hosts) == nil }
    view.uses = of_tiers(site.uses, view.tiers)
    view.statics = of_tiers(site.statics, view.tiers, true)
    view.paged = of_tiers(site.paged, view.tiers, true)
    view.nowhere = { view = view }
    view.answers = unrouted.answers(view)
    fill_literals(view)
    return view
end

-- Adds what the tree found to the literals of a host's view, where the app's view has that path as
-- a literal too: so the table stays as small as what was declared.
function host_views.remember(view, method, path, entry)
    local shared = views[false].literal[method]
    if shared and shared[path] and entry.route.pattern.literal then
        view.literal[method][path] = entry
    end
end

-- Tells C which literal paths need no more than their handler.
local function tell_plain(view)
    for method, paths in pairs(view.literal) do
        local handlers = {}
        for path, entry in pairs(paths) do
            if not (entry.chain or entry.uses or entry.early or entry.max_body) then
                handlers[path] = entry.handler
            end
        end
        if next(handlers) then core.plain(method, handlers) end
    end
end

-- Compiles what was declared; nothing may be declared afterwards. The view of every request; nil where the
-- host decides.
function host_views.compile(declared)
    site = declared
    router.freeze(site.tier.router)
    for _, tier in pairs(site.hosts) do router.freeze(tier.router) end
    views = { [false] = new_view(nil) }
    for host in pairs(site.hosts) do views[host] = new_view(host) end
    if not views[false].alone then return nil end
    tell_plain(views[false])
    return views[false]
end

return host_views
