-- A router: the routes of one host as a tree, a level for each segment.
--
-- A node's alternatives are tried from the most specific to the least: the literal, mixed segments
-- in the order of pattern.before, the rest. The first leaf that has the method ends the search, so
-- the most specific path with the method wins. A node of depth d is only ever matched with segment
-- d, so that a search visits each node once at most.
--
--   node { literals = {text → node}, edges = { {segment, node}… }, leaf, rest }
--   leaf { loose = {method → route}, bare = …, slash = … }    without and with opts.strict
--
-- The path that is being matched lies in this module (load, then find, params, allowed), which
-- saves a table a request. Nothing here waits; who waits in between has to load again.

local pattern = require "lunette.pattern"

local find, sub, concat = string.find, string.sub, table.concat
local match = pattern.match

local router = {}

router.methods = { "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT" }

local segs, count, slash = {}, 0, false -- the loaded path
local caps = {}                         -- values captured so far
local want                              -- the method looked for
local met                               -- a leaf without it was met
local gather                            -- a set of methods to fill, or nil

-- A router without routes.
function router.new()
    return { literals = {}, edges = {} }
end

local function insert_edge(node, segment)
    local at = #node.edges + 1
    for i, edge in ipairs(node.edges) do
        if edge.segment.shape == segment.shape then return edge.node end
        if at > i and pattern.before(segment, edge.segment) then at = i end
    end
    local edge = { segment = segment, node = router.new() }
    table.insert(node.edges, at, edge)
    return edge.node
end

local function new_leaf()
    return { loose = {}, bare = {}, slash = {} }
end

local function leaf_of(node, p)
    for _, segment in ipairs(p) do
        if segment.rest then
            node.rest = node.rest or new_leaf()
            return node.rest
        elseif segment.literal then
            local next = node.literals[segment.literal] or router.new()
            node.literals[segment.literal] = next
            node = next
        else
            node = insert_edge(node, segment)
        end
    end
    node.leaf = node.leaf or new_leaf()
    return node.leaf
end

-- Adds route { pattern, methods = {"GET"…}, strict }. When a route of the same shape has one of the
-- methods already, nothing is added and that route and the method come back.
function router.add(self, route)
    local p = route.pattern
    local leaf = leaf_of(self, p)
    local kind = not route.strict and "loose" or (p.slash or p.rest) and "slash" or "bare"
    local routes = leaf[kind]
    for _, method in ipairs(route.methods) do
        if routes[method] then return routes[method], method end
    end
    for _, method in ipairs(route.methods) do routes[method] = route end
end

-- Lets GET answer HEAD wherever no route of its own does. Call once, when all are added.
function router.freeze(self)
    for _, leaf in pairs { self.leaf or false, self.rest or false } do
        for _, routes in pairs(leaf or {}) do routes.HEAD = routes.HEAD or routes.GET end
    end
    for _, node in pairs(self.literals) do router.freeze(node) end
    for _, edge in ipairs(self.edges) do router.freeze(edge.node) end
end

-- Makes path (decoded, normalised, no encoded slashes) the one that is matched.
function router.load(path)
    if path == "*" then path = "/" end
    local n, at = 0, 2
    local stop = find(path, "/", 2, true)
    while stop do
        if stop > at then
            n = n + 1
            segs[n] = sub(path, at, stop - 1)
        end
        at = stop + 1
        stop = find(path, "/", at, true)
    end
    slash = at > #path
    if not slash then
        n = n + 1
        segs[n] = sub(path, at)
    end
    count = n
end

-- The same for an array of decoded segments, with a last "" for a trailing slash.
function router.load_segments(list)
    local n = #list
    slash = n == 0 or list[n] == ""
    if slash and n > 0 then n = n - 1 end
    for i = 1, n do segs[i] = list[i] end
    count = n
end

-- Whether a prefix (a parsed pattern) covers the loaded path.
function router.covers(prefix)
    return pattern.covers(prefix, segs, count)
end

-- What of the loaded path follows the first n segments: "/css/a.css", "/" for nothing; nil when a
-- segment holds an encoded slash, which is no separator.
function router.tail(n)
    for i = n + 1, count do
        if find(segs[i], "/", 1, true) then return nil end
    end
    local text = concat(segs, "/", n + 1, count)
    return "/" .. text .. (slash and text ~= "" and "/" or "")
end

local function note(routes)
    if next(routes) == nil then return end
    met = true
    if gather then
        for method in pairs(routes) do gather[method] = true end
    end
end

-- The leaf's route for the method, its trailing slash as in the path.
local function pick(leaf, with_slash)
    local strict, loose = with_slash and leaf.slash or leaf.bare, leaf.loose
    local route = strict[want] or loose[want]
    if route then return route end
    note(strict)
    note(loose)
    return nil
end

local function walk(node, i, c)
    if i > count then
        local leaf = node.leaf
        local route = leaf and pick(leaf, slash)
        if route then return route end
    else
        local s = segs[i]
        local next = node.literals[s]
        local route = next and walk(next, i + 1, c)
        if route then return route end
        local edges = node.edges
        for e = 1, #edges do
            local edge, n = edges[e], c + 1
            if edge.segment.whole then
                caps[n] = s
            else
                n = match(edge.segment, s, caps, c)
            end
            route = n and walk(edge.node, i + 1, n)
            if route then return route end
        end
    end
    local rest = node.rest
    local route = rest and pick(rest, slash or i <= count)
    if route then
        local text = concat(segs, "/", i, count)
        caps[c + 1] = text ~= "" and slash and text .. "/" or text
    end
    return route
end

-- The route for a method and the loaded path, or nil and whether another method is there.
function router.find(self, method)
    want, met, gather = method, false, nil
    local route = walk(self, 1, 0)
    return route, met
end

-- The captured values by name, after find gave the route; {int} as integers.
function router.params(route)
    local params, names = {}, route.pattern.names
    for i = 1, #names do params[names[i]] = caps[i] end
    return params
end

-- Adds to the set every method that any route has for the loaded path.
function router.allowed(self, set)
    want, met, gather = false, false, set
    walk(self, 1, 0)
    gather = nil
    return set
end

return router
