-- What a handler or middleware gave, its results or what it raised, as one answer.
--
-- An entry is what chain.lua calls so, or the `nowhere` of a view: { view, route, handler }, without the
-- last two. fn is the function of the site that gave it, which the log names. What is no answer becomes
-- the page of a 500, what came too late that of a 503; req.error is then the abort object, the error, or
-- the sentence about the results. Nothing here raises, but for want of memory.

local core = require "lunette.core"
local errors = require "lunette.errors"
local pages = require "lunette.pages"
local response = require "lunette.response"

local type, select = type, select
local is_abort = errors.is_abort
local files = response.files

local outcome = {}

-- Statuses that may be returned alone: false where that means an error page.
local PLAIN = {}
for status = 100, 599 do PLAIN[status] = status < 400 end

-- A sentence with the function that it is about: "… (the handler at scripts/main.lua:6)".
local function naming(entry, fn, text)
    if not fn then return text end
    return ("%s (the %s at %s)"):format(text, fn == entry.handler and "handler" or "middleware",
        errors.defined_at(fn))
end

-- The page of an error that is a sentence of ours; the log has it.
local function fail(entry, req, status, text, traceback)
    req.error = req.error or text
    return pages.answer(entry, req,
        { status = status, cause = text, text = text, traceback = traceback })
end

-- Results that are no answer, by the sentence of core.normalise: logged with their function.
local function no_answer(entry, req, fn, why)
    local late, cut, cut_at = core.late(req, why)
    if late then -- what it returned is what became of that: `return pcall(f)`
        local text = cut or "the handler took longer than " .. late
        pages.log(req, 503, text, cut_at)
        return fail(entry, req, 503, text, cut_at)
    end
    local text = naming(entry, fn, why)
    pages.log(req, 500, text)
    return fail(entry, req, 500, text)
end
outcome.no_answer = no_answer

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

-- The answer of an abort object.
local function leave_with(entry, fn, req, e)
    req.error = e
    if e.response then return respond(entry, fn, req, e.response) end
    if e.status >= 400 then return pages.answer(entry, req, e) end
    local headers = response.headers(e.headers)
    headers["Content-Type"] = headers["Content-Type"] or "text/plain; charset=utf-8"
    return respond(entry, fn, req, response.new(e.status, headers, e.message or ""))
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
    if is_abort(e) then return leave_with(entry, fn, req, e) end
    local f = errors.failure(e)
    local text, traceback = f.message, f.traceback
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
    elseif f.lost then
        text = naming(entry, fn, text)
    end
    pages.log(req, status, text, traceback)
    return pages.answer(entry, req,
        { status = status, cause = f.cause, text = text, traceback = traceback,
            stack = not cut and f.stack or nil })
end
outcome.failure = failure

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
outcome.settle = settle

-- The same without middleware, where the raw results go to C as they are.
function outcome.finish(entry, req, ok, ...)
    local first, second, third = ...
    if ok then
        local plain = PLAIN[first]
        if plain or (plain == false and (second ~= nil or third ~= nil)) then return ... end
        local kind = type(first)
        if kind == "string" or (kind == "table" and not files[first]) then return ... end
    end
    return settle(entry, entry.handler, req, ok, ...)
end

-- The answer to what failed where nothing was raised, which C has logged: results that cannot be sent
-- (500), or that came too late (503). why: nil for an error's status that was returned alone.
function outcome.failed(entry, req, status, why)
    if not why then return pages.answer(entry, req, { status = status }) end
    return fail(entry, req, status, status == 500 and naming(entry, entry.handler, why) or why)
end

return outcome
