-- From a request to its answer, and what C calls about one (lunette.lua): the raw results of a handler, a
-- response, or core.FILE, "send what core.find prepared". A request to a literal path without middleware
-- costs two table lookups and an xpcall. Nothing here raises, but for want of memory.

local core = require "lunette.core"
local errors = require "lunette.errors"
local host_views = require "lunette.host_views"
local outcome = require "lunette.outcome"
local pages = require "lunette.pages"
local router = require "lunette.router"

local xpcall = xpcall
local byte, sub = string.byte, string.sub
local DOT = byte "."
local on_raise = errors.on_raise
local finish = outcome.finish
local surround = require "lunette.chain".surround
local answer_unrouted = require "lunette.unrouted".answer
local view_of_text, find_route = host_views.of_text, host_views.find_route
local entry_of, remember = host_views.entry, host_views.remember

local dispatch = {}

local everyone -- the only view, while no hosts are declared

errors.called_by(core.run)

-- Compiles what was declared (scope.lua); nothing may be declared afterwards.
function dispatch.compile(declared)
    everyone = host_views.compile(declared)
end

-- Makes the path the loaded one.
local function load_path(req, path, encoded)
    if encoded then
        router.load_segments(core.segments(req))
    else
        router.load(path)
    end
end

-- Sets the deadline of an entry and receives the body, or leaves that to the handler; nil, or the
-- response when that fails.
local function prepare(entry, req, has_body)
    if entry.number then core.routed(entry.number) end
    if entry.timeout then core.timeout(req, entry.timeout) end
    if entry.identity then core.no_coding(req) end
    if entry.watched then core.watch(req) end
    if not has_body and not entry.streams then return nil end
    local take = entry.streams and core.stream or core.receive
    local status, why = take(req, entry.max_body)
    if status == 0 then return nil end
    pages.log(req, status, why, nil, status < 500 and "info" or "error")
    return pages.answer(entry, req, { status = status, message = why })
end

-- The entry for a path with captures, its params set; or nil and whether other methods are there.
local function find_entry(view, req, method)
    local route, met = find_route(view, method)
    if not route then return nil, met end
    if not route.pattern.literal then req.params = router.params(route) end
    return entry_of(view, route)
end

-- Whether a path is lunette's own: without --dev nothing is there, whatever a site has for all paths.
local function is_reserved(path)
    return byte(path, 2) == DOT and (path == "/.lunette" or sub(path, 1, 10) == "/.lunette/")
end

-- The answer to a request: raw results of a handler, a response, or core.FILE. C calls it in a
-- coroutine of the request. encoded: a segment holds an encoded slash.
function dispatch.dispatch(req, method, path, encoded, has_body)
    local view = everyone or view_of_text(req.host)
    local literal = not encoded and view.literal[method]
    local entry = literal and literal[path]
    local chain
    if entry then
        chain = entry.chain
    else
        load_path(req, path, encoded)
        local met
        if path ~= "*" and not is_reserved(path) then entry, met = find_entry(view, req, method) end
        if not entry then return answer_unrouted(view, req, method, path, met) end
        if literal and not everyone then remember(view, method, path, entry) end
        chain = entry.uses and surround(entry, entry.uses, entry.inner) or entry.chain
    end
    if has_body or entry.early then
        local refused = prepare(entry, req, has_body)
        if refused then return refused end
    end
    if chain then return chain(req) end
    return finish(entry, req, xpcall(entry.handler, on_raise, req))
end

-- The entry that a request went to, found again; view.nowhere without one.
local function locate(req)
    local method, is_all, host = core.asked(req)
    local view = everyone or view_of_text(host)
    if is_all then return view.nowhere end
    router.load_segments(core.segments(req))
    local route = find_route(view, method)
    return route and entry_of(view, route) or view.nowhere
end

-- The answer to what the handler of a plain route gave, which C has called: whether it went well, and
-- its results or the error.
function dispatch.settle(req, ok, ...)
    return finish(locate(req), req, ok, ...)
end

-- The answer to a request that failed outside of Lua's reach; see outcome.failed.
function dispatch.failed(req, status, why)
    return outcome.failed(locate(req), req, status, why)
end

-- What the function of a stream raised, as errors.on_raise gave it: the answer in its place, or where
-- the answer was sent already, a record in the log.
function dispatch.raised(req, e, sent)
    if core.over(req) then return nil end -- the client left: the error is its consequence
    if not sent then return outcome.failure(locate(req), req, e) end
    if errors.is_abort(e) then
        pages.log(req, e.status or 500, "app.abort after the answer had begun: it breaks off")
    else
        local f = errors.failure(e)
        local late, cut, cut_at = core.late(req, f.message)
        pages.log(req, late and 503 or 500, "the answer breaks off: " .. (cut or f.message),
            cut_at or f.traceback)
    end
end

-- "scripts/main.lua:6", where the handler of a request is defined, for C's own log lines; nil
-- without a route.
function dispatch.place(req)
    local entry = locate(req)
    return entry.handler and errors.defined_at(entry.handler)
end

return dispatch
