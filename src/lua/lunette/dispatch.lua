-- From a request to its answer. Routes are compiled once into views, one for each declared host and
-- one for all others; a request to a literal path without middleware then costs two table lookups
-- and an xpcall.
--
--   view  { tiers, literal = {method → {path → entry}}, entries = {route → entry}, uses, statics,
--           paged, nowhere, answers }
--   tiers   whose routes count, in order: the host's own, wildcards above it, the app's
--   entry { view, route, handler, chain, inner, uses, max_body, timeout, streams, identity, watched,
--           number, early }
--   number  of the route, for the access log and the metrics; nil when nobody wants it
--   chain   the handler with its middleware, composed; nil when there is none
--   uses    instead of chain, when the path decides which middleware covers it
--   early   something is to be done before the handler even when there is no body
--
-- Inside a chain everything is a function(req) → response that never raises.

local core = require "lunette.core"
local errors = require "lunette.errors"
local pages = require "lunette.pages"
local pattern = require "lunette.pattern"
local response = require "lunette.response"
local router = require "lunette.router"

local xpcall, type, select = xpcall, type, select
local byte, sub = string.byte, string.sub
local DOT = byte "."
local on_raise, is_abort = errors.on_raise, errors.is_abort
local files = response.files
local find = router.find

local dispatch = {}

local site     -- what was declared, see app.lua
local views    -- host pattern → view, once compiled; [false] is that of unknown hosts
local everyone -- the only view, while no hosts are declared

errors.called_by(core.run)

-- Statuses that may be returned alone: false where that means an error page.
local PLAIN = {}
for status = 100, 599 do PLAIN[status] = status < 400 end

-- "the handler at scripts/main.lua:6", for a function that the library called; nil without one.
local function name_of(entry, fn)
    if not fn then return nil end
    return ("the %s at %s"):format(fn == entry.handler and "handler" or "middleware",
        errors.defined_at(fn))
end

-- Results that are no answer, by the sentence of core.normalise: logged with their function.
local function no_answer(entry, req, fn, why)
    local late, cut, cut_at = core.late(req, why)
    if late then -- what it returned is what became of that: `return pcall(f)`
        local text = cut or "the handler took longer than " .. late
        pages.log(req, 503, text, cut_at)
        req.error = req.error or text
        return pages.answer(entry, req,
            { status = 503, cause = text, text = text, traceback = cut_at })
    end
    local name = name_of(entry, fn)
    local text = name and ("%s (%s)"):format(why, name) or why
    pages.log(req, 500, text)
    req.error = req.error or text
    return pages.answer(entry, req, { status = 500, cause = text, text = text })
end

-- One value that a function returned, or left with, as a response; app.file's is opened.
local function respond(entry, fn, req, value)
    local res, why = core.normalise(value)
    if not res then return no_answer(entry, req, fn, why) end
    if not files[res] then return res end
    local opened, status = response.open(core, req, res)
    return opened or pages.answer(entry, req, { status = status })
end

-- Whether an abort object, which a site may have caught and changed, still says what to answer.
local function can_leave_with(e)
    return math.type(e.status) == "integer" and e.status >= 200 and e.status <= 599
        and (e.message == nil or type(e.message) == "string")
        and (e.headers == nil or type(e.headers) == "table")
end

-- The answer to what xpcall caught from fn, or from the handler.
local function failure(entry, req, e, fn)
    if core.over(req) then -- the client left: the error is its consequence
        errors.failure(e)
        return nil
    end
    fn = fn or entry.handler
    if is_abort(e) and not e.response and not can_leave_with(e) then
        e = "what app.abort raised was changed: its status is no status, or its message no string"
    end
    if is_abort(e) then
        req.error = e
        if e.response then return respond(entry, fn, req, e.response) end
        if e.status < 400 then
            local headers = response.headers(e.headers)
            headers["Content-Type"] = headers["Content-Type"] or "text/plain; charset=utf-8"
            return respond(entry, fn, req, response.new(e.status, headers, e.message or ""))
        end
        return pages.answer(entry, req, e)
    end
    local f = errors.failure(e)
    local text, traceback, name = f.message, f.traceback, name_of(entry, fn)
    req.error = f.cause
    local late, cut, cut_at = core.late(req, text) -- where it was when its time was over
    local status = late and 503 or 500
    if f.cause == "not enough memory" then -- where endless recursion ends, too
        status = 503
        text = "out of memory: the request is over limits.request_memory, "
            .. "or all of them together over limits.lua_memory"
    end
    if cut then
        text, traceback = cut, cut_at
    elseif f.lost and name then
        text = ("%s (%s)"):format(text, name)
    end
    pages.log(req, status, text, traceback)
    return pages.answer(entry, req,
        { status = status, cause = f.cause, text = text, traceback = traceback,
            stack = not cut and f.stack or nil })
end

local NOTHING = "it returned nothing: return what handle(req) gave, or a response of its own"

-- The results of a handler or middleware as one response.
local function settle(entry, fn, req, ok, ...)
    local first, second, third = ...
    if not ok then return failure(entry, req, first, fn) end
    if second == nil and third == nil then
        if PLAIN[first] == false then return pages.answer(entry, req, { status = first }) end
        if files[first] then return respond(entry, fn, req, first) end
    end
    if select("#", ...) == 0 and fn ~= entry.handler then
        return no_answer(entry, req, fn, NOTHING)
    end
    local res, why = core.normalise(...)
    return res or no_answer(entry, req, fn, why)
end

-- The same without middleware, where the raw results go to C as they are.
local function finish(entry, req, ok, ...)
    local first, second, third = ...
    if ok then
        local plain = PLAIN[first]
        if plain or (plain == false and (second ~= nil or third ~= nil)) then return ... end
        local kind = type(first)
        if kind == "string" or (kind == "table" and not files[first]) then return ... end
    end
    return settle(entry, entry.handler, req, ok, ...)
end

-- What middleware sees of a response: a copy of its own, whose body is no table.
local function visible(entry, req, res)
    local copy = response.copy(res)
    if type(copy.body) ~= "table" then return copy end
    local text, why = core.encode(copy.body)
    if not text then
        copy = response.copy(no_answer(entry, req, entry.handler, why))
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

local function wrap(entry, fn, inner)
    local made = wrapped[inner]
    if not made then
        made = {}
        wrapped[inner] = made
    end
    made[fn] = made[fn] or layer(entry, fn, inner)
    return made[fn]
end

-- inner within those of a list of middleware that cover the loaded path.
local function surround(entry, uses, inner)
    for i = #uses, 1, -1 do
        if router.covers(uses[i].prefix) then inner = wrap(entry, uses[i].fn, inner) end
    end
    return inner
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

-- The number by which C knows a route, for logs and figures; nil where nobody asks.
local numbers = {}

local function number_of(route)
    local text = route.pattern.text
    numbers[text] = numbers[text] or core.route(text)
    return numbers[text]
end

dispatch.uses_of = uses_of -- for who lists the middleware of routes

-- Whether a use covers every path of a route.
function dispatch.always(use, route)
    return pattern.relation(use.prefix, route.pattern) == "always"
end

local function new_entry(view, route)
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

local function allow(methods)
    local list = {}
    for method in pairs(methods) do list[#list + 1] = method end
    table.sort(list)
    return table.concat(list, ", ")
end

local function allowed_at(view, req)
    local set = { OPTIONS = true }
    router.load_segments(core.segments(req))
    for _, tier in ipairs(view.tiers) do router.allowed(tier.router, set) end
    return allow(set)
end

local ALL = table.concat(router.methods, ", ")
local OF_FILES = "GET, HEAD, OPTIONS"

local function options(methods)
    return response.new(204, { Allow = methods }, nil)
end

-- The innermost answers where no route is; errors by their status, files of an app.static with
-- headers by its record.
local function new_answers(view)
    local answers = {}
    local function refuse(req, methods)
        return pages.answer(view.nowhere, req, { status = 405, headers = { Allow = methods } })
    end
    function answers.file(req)
        local res, status = core.file_response(req)
        return res or pages.answer(view.nowhere, req, { status = status })
    end
    function answers.listing(req) return answers.file(req) end
    function answers.options(req) return options(allowed_at(view, req)) end
    function answers.refused(req) return refuse(req, allowed_at(view, req)) end
    function answers.all() return options(ALL) end
    function answers.file_options() return options(OF_FILES) end
    function answers.file_refused(req) return refuse(req, OF_FILES) end
    for _, status in ipairs { 403, 404, 500, 503 } do
        answers[status] = function(req)
            return pages.answer(view.nowhere, req, { status = status })
        end
    end
    for _, static in ipairs(view.statics) do
        answers[static] = static.headers and function(req)
            local res = response.copy(answers.file(req))
            response.overlay(res, static.headers)
            return res
        end or answers.file
    end
    return answers
end

-- The app.static folders over the loaded path, with the rest of the path: { static, path }…
local function statics_here(view)
    local list = {}
    for _, static in ipairs(view.statics) do
        local path = router.covers(static.prefix) and router.tail(#static.prefix)
        if path then list[#list + 1] = { static = static, path = path } end
    end
    return list
end

-- Whether an app.static has a file there; nil, status when it may not be read.
local function find_static(req, look, here)
    local found, status = look(req, here.static.root, here.path)
    if found or status then return found, status end
    local fallback = here.static.fallback
    return fallback and look(req, here.static.fallback_root, fallback)
end

-- The answer by files, and whether it is a file. May wait.
local function file_answer(view, req, method, statics)
    local answers = view.answers
    local reads = method == "GET" or method == "HEAD"
    local look = reads and core.find or core.exists
    local found, status, answer = nil, nil, answers.file
    for _, here in ipairs(statics) do
        found, status = find_static(req, look, here)
        answer = found and answers[here.static] or answer
        if found or status then break end
    end
    if not found and not status then found, status = look(req) end
    if not found then return answers[status or 404] or answers[500], false end
    if reads then
        return found == "listing" and answer == answers.file and answers.listing or answer, true
    end
    return method == "OPTIONS" and answers.file_options or answers.file_refused, false
end

local none = {}

-- The middleware that covers the loaded path.
local function covering(uses)
    local list = {}
    for _, use in ipairs(uses) do
        if router.covers(use.prefix) then list[#list + 1] = use end
    end
    return list
end

-- The answer where no route has the method; met: another method has one.
local function unrouted(view, req, method, path, met)
    local answers = view.answers
    local uses = #view.uses > 0 and covering(view.uses) or none
    local statics, inner, is_file = none, nil, nil
    if path == "*" then
        inner = answers.all
    elseif met then
        inner = method == "OPTIONS" and answers.options or answers.refused
    else
        if #view.statics > 0 then statics = statics_here(view) end
        inner, is_file = file_answer(view, req, method, statics)
    end
    for i = #uses, 1, -1 do
        if uses[i].files or not is_file then inner = wrap(view.nowhere, uses[i].fn, inner) end
    end
    if inner == answers.file then
        if everyone and #statics == 0 then core.files_decide(req) end
        return core.FILE
    end
    return inner(req)
end

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

-- The same for a request's Host, which may have a port.
local function view_of_text(host)
    host = host:lower()
    if not host:find("]", 1, true) then host = host:gsub(":%d*$", "") end
    return view_of_host((host:gsub("%.$", "")))
end

local function view_of(req)
    return view_of_text(tostring(req.host or ""))
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

local function entry_of(view, route)
    local entry = view.entries[route]
    if not entry then
        entry = new_entry(view, route)
        view.entries[route] = entry
    end
    return entry
end

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
    local view = { tiers = tiers_of(host), literal = {}, entries = {} }
    view.uses = of_tiers(site.uses, view.tiers)
    view.statics = of_tiers(site.statics, view.tiers, true)
    view.paged = of_tiers(site.paged, view.tiers, true)
    view.nowhere = { view = view }
    view.answers = new_answers(view)
    fill_literals(view)
    return view
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

-- Compiles what was declared (see app.lua); nothing may be declared afterwards.
function dispatch.compile(declared)
    site = declared
    router.freeze(site.tier.router)
    for _, tier in pairs(site.hosts) do router.freeze(tier.router) end
    views = { [false] = new_view(nil) }
    for host in pairs(site.hosts) do views[host] = new_view(host) end
    everyone = next(site.hosts) == nil and views[false] or nil
    if everyone then tell_plain(everyone) end
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

-- Adds what the tree found to the literals of a host's view, where the app's view has that path as
-- a literal too: so the table stays as small as what was declared.
local function remember(view, method, path, entry)
    local shared = views[false].literal[method]
    if shared and shared[path] and entry.route.pattern.literal then
        view.literal[method][path] = entry
    end
end

-- Whether a path is lunette's own: without --dev nothing is there, whatever a site has for all paths.
local function is_reserved(path)
    return byte(path, 2) == DOT and (path == "/.lunette" or sub(path, 1, 10) == "/.lunette/")
end

-- The answer to a request: raw results of a handler, a response, or core.FILE. C calls it in a
-- coroutine of the request. encoded: a segment holds an encoded slash.
function dispatch.dispatch(req, method, path, encoded, has_body)
    local view = everyone or view_of(req)
    local literal = not encoded and view.literal[method]
    local entry = literal and literal[path]
    local chain
    if entry then
        chain = entry.chain
    else
        load_path(req, path, encoded)
        local met
        if path ~= "*" and not is_reserved(path) then entry, met = find_entry(view, req, method) end
        if not entry then return unrouted(view, req, method, path, met) end
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

-- The view for a pattern of app.host; nil: that of hosts which none names.
function dispatch.view(host)
    return views[host or false]
end

-- The route of a view for a method and the decoded segments of a path, or nil.
function dispatch.find(view, method, segments)
    router.load_segments(segments)
    return (find_route(view, method))
end

-- What a request would meet, for who explains it: host is the text of a Host field, segments are those
-- of the decoded path, { "" } for "/". view; route and params, or where none has the method: allowed, a
-- set of the methods that the path has (empty: it is no route's), and statics, { static, path }… over
-- it; uses, the middleware of app.use that covers the path.
function dispatch.explain(method, host, segments)
    local view = everyone or view_of_text(host)
    router.load_segments(segments)
    local route = find_route(view, method)
    local found = { view = view, route = route, uses = covering(view.uses), allowed = {} }
    if route then
        found.params = router.params(route)
        return found
    end
    for _, tier in ipairs(view.tiers) do router.allowed(tier.router, found.allowed) end
    found.statics = statics_here(view)
    return found
end

-- The entry that a request went to, found again; view.nowhere without one.
local function locate(req)
    local view = everyone or view_of(req)
    local method, is_all = core.asked(req)
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

-- The answer to a request that failed outside Lua's reach: its results could not be sent, it took
-- too long, it ran out of memory. C has logged it.
function dispatch.failed(req, status, message, cause)
    return pages.answer(locate(req), req, {
        status = status,
        message = status < 500 and message or nil,
        cause = cause or message,
        text = status >= 500 and message or nil,
    })
end

-- What the function of a stream raised, as errors.on_raise gave it: the answer in its place, or where
-- the answer was sent already, a record in the log.
function dispatch.raised(req, e, sent)
    if core.over(req) then return nil end -- the client left: the error is its consequence
    if not sent then return failure(locate(req), req, e) end
    if is_abort(e) then
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
