-- Routes within their middleware, as they run. Everything in a chain is a function(req) → response that
-- never raises; middleware sees the response of what it surrounds as a copy, whose body is no table.
--
--   entry { view, route, handler, chain, inner, uses, max_body, timeout, streams, identity, watched,
--           number, early }
--   chain   the handler with its middleware, composed; nil when there is none
--   uses    instead of chain, when the path decides which middleware covers it; inner is what they
--           surround
--   number  of the route, for the access log and the metrics; nil when nobody wants it
--   early   something is to be done before the handler even when there is no body
--
-- A use is { fn, prefix, files, … }, see scope.lua. "The loaded path" is that of router.lua.

local core = require "lunette.core"
local errors = require "lunette.errors"
local outcome = require "lunette.outcome"
local pattern = require "lunette.pattern"
local response = require "lunette.response"
local router = require "lunette.router"

local xpcall, type = xpcall, type
local on_raise = errors.on_raise
local settle = outcome.settle

local chain = {}

-- What middleware sees of a response: a copy of its own, whose body is no table.
local function visible(entry, req, res)
    local copy = response.copy(res)
    if type(copy.body) ~= "table" then return copy end
    local text, why = core.encode(copy.body)
    if not text then
        copy = response.copy(outcome.no_answer(entry, req, entry.handler, why))
        if type(copy.body) ~= "table" then return copy end
        text = core.encode(copy.body) or "" -- the error's page: it has no second one
    end
    copy.body = text
    copy.headers["Content-Type"] = copy.headers["Content-Type"] or "application/json"
    return copy
end

-- One middleware around the rest of a chain.
local function layer(entry, fn, inner)
    local function handle(req)
        errors.expect(req, "table", "handle: the request")
        return visible(entry, req, inner(req))
    end
    return function(req)
        return settle(entry, fn, req, xpcall(fn, on_raise, req, handle))
    end
end

-- Layers by what they surround and by middleware: each is made once.
local wrapped = {}

-- One middleware around inner.
local function wrap(entry, fn, inner)
    local made = wrapped[inner]
    if not made then
        made = {}
        wrapped[inner] = made
    end
    made[fn] = made[fn] or layer(entry, fn, inner)
    return made[fn]
end
chain.wrap = wrap

-- inner within those of a list of middleware that cover the loaded path.
function chain.surround(entry, uses, inner)
    for i = #uses, 1, -1 do
        if router.covers(uses[i].prefix) then inner = wrap(entry, uses[i].fn, inner) end
    end
    return inner
end

-- Those of a list of middleware that cover the loaded path.
function chain.covering(uses)
    local list = {}
    for _, use in ipairs(uses) do
        if router.covers(use.prefix) then list[#list + 1] = use end
    end
    return list
end

-- The middleware of a view that may cover a route, and whether the path has to decide.
local function uses_of(view, route)
    local list, open = {}, false
    local p = route.pattern
    if p.literal then router.load(p.text) end
    for _, use in ipairs(view.uses) do
        local how = pattern.relation(use.prefix, p)
        if p.literal then how = router.covers(use.prefix) and "always" or "never" end
        if how ~= "never" then list[#list + 1] = use end
        open = open or how == "maybe"
    end
    return list, open
end
chain.uses_of = uses_of

-- The number by which C knows a route, for logs and figures; nil where nobody asks.
local numbers = {}

local function number_of(route)
    local text = route.pattern.text
    numbers[text] = numbers[text] or core.route(text)
    return numbers[text]
end

-- The entry of a route in a view.
function chain.entry(view, route)
    local entry = {
        view = view, route = route, handler = route.handler,
        max_body = route.max_body, timeout = route.timeout, streams = route.stream_body,
        identity = route.gzip == false, watched = route.cache, number = number_of(route),
    }
    entry.early = entry.timeout ~= nil or entry.streams or entry.identity or entry.watched
        or entry.number ~= nil
    local handler = route.handler
    local function bottom(req)
        return settle(entry, handler, req, xpcall(handler, on_raise, req))
    end
    local inner = bottom
    for i = #route.use, 1, -1 do inner = wrap(entry, route.use[i], inner) end
    local uses, open = uses_of(view, route)
    if open then
        entry.uses, entry.inner = uses, inner
        return entry
    end
    for i = #uses, 1, -1 do inner = wrap(entry, uses[i].fn, inner) end
    if inner ~= bottom then entry.chain = inner end
    return entry
end

return chain
