-- Answers to errors: the page that on_error gives for a status, or the built-in one.
--
-- An error is { status, message, headers, data, cause, text, traceback, stack }: message is for everybody
-- (from abort), cause, text, traceback and stack only for --dev and the log. A place is what
-- chain.lua calls an entry: { view, route or nil, … }.

local core = require "lunette.core"
local errors = require "lunette.errors"
local pattern = require "lunette.pattern"
local response = require "lunette.response"

local is_abort, on_raise = errors.is_abort, errors.on_raise

local dev_page = core.dev and require "lunette.dev_page"
if dev_page then errors.collect = dev_page.collect end

local pages = {}

-- Control bytes of a decoded path must not make lines of their own in the log.
local function one_line(s)
    return (tostring(s):gsub("%c", function(c) return ("\\x%02x"):format(c:byte()) end))
end

-- Logs what went wrong with a request: "500 GET /path: message", and the traceback below; a server
-- with --dev adds lines of the source. level: "error" unless given.
function pages.log(req, status, message, traceback, level)
    local text = ("%d %s %s: %s"):format(status, one_line(req.method), one_line(req.path), message)
    if traceback and traceback ~= "" then text = text .. "\n" .. traceback end
    local lines = core.live and status >= 500 and dev_page.log_text(message)
    if lines then text = text .. "\n" .. lines end
    core.log(level or "error", text)
end

-- Leaves the handler because of what the client sent, or because there is no room for it; the log has
-- the sentence too. For C, whose lazy fields of the request find it out.
function pages.refuse(req, status, message, headers)
    pages.log(req, status, message, nil, status < 500 and "info" or "error")
    errors.leave(status, message, headers)
end

local function page_of(scope, status)
    return scope.pages[status] or scope.pages["*"]
end

-- The innermost on_error for a status: by the groups that the route stands in, then by host and
-- path, then the app's. segs: the segments of the path.
function pages.find(place, segs, status)
    local scope = place.route and place.route.scope
    while scope and scope.parent do
        if page_of(scope, status) then return page_of(scope, status) end
        scope = scope.parent
    end
    local n = segs[#segs] == "" and #segs - 1 or #segs
    for _, outer in ipairs(place.view.paged) do
        if page_of(outer, status) and pattern.covers(outer.prefix, segs, n) then
            return page_of(outer, status)
        end
    end
    return nil
end

local function find_page(place, req, status)
    if #place.view.paged == 0 then return nil end
    local _, is_all = core.asked(req)
    return pages.find(place, is_all and {} or core.segments(req), status)
end

local OFFERED = { "text/html", "application/problem+json", "application/json" }

local OFFERED_IN_DEV = { "text/html", "application/problem+json", "application/json", "text/plain" }

-- The answer of --dev to an error that has a text; nil where that cannot be made: memory may be out.
local function dev_answer(place, req, err, plain)
    if not dev_page then return nil end
    local ok, res = pcall(dev_page.answer, req, place, err, plain)
    if ok then return res end
    core.log("warn", "the error page of --dev failed: " .. errors.text_of(res))
    return nil
end

-- Whether who asks may be told what is only for --dev: not under a name that is none of the site's, which
-- may be that of a page that had its own name lead here.
local function shows(req) return core.dev and core.shows(req) end

-- The built-in answer: a page, or problem+json for clients that prefer JSON. In --dev it shows the
-- error and its traceback.
local function built_in(place, req, err)
    local message, told = err.message, err.text and shows(req)
    if told then message = err.text .. "\n" .. (err.traceback or "") end
    core.vary(req, "Accept")
    local best = core.accept(req, told and OFFERED_IN_DEV or OFFERED) or 1
    local res = told and (best == 1 or best == 4) and dev_answer(place, req, err, best == 4)
    if res then return res end
    if best == 2 or best == 3 then
        local body = response.problem_table(err.status, message, err.data)
        return response.new(err.status, { ["Content-Type"] = "application/problem+json" }, body)
    end
    return response.new(err.status, { ["Content-Type"] = "text/html; charset=utf-8" },
        core.page(err.status, message))
end

-- What on_error sees. The message is never nil.
local function public(req, err)
    local told = shows(req)
    return {
        status = err.status,
        message = err.message or errors.reason(err.status),
        headers = err.headers or {},
        data = err.data,
        cause = told and err.cause or nil,
        traceback = told and err.traceback or nil,
    }
end

-- With --dev the failure of a page is shown with the error that it was for, or in place of one that has
-- nothing to show.
local function show_page_failure(err, failure)
    local text = "on_error: " .. failure.message
    if err.text then
        err.note = { "The page for it failed, too", text .. "\n" .. failure.traceback }
    else
        err.text, err.traceback, err.stack = failure.message, failure.traceback, failure.stack
        err.note = { "This is in the page of on_error", ("for %d %s"):format(err.status,
            err.message or errors.reason(err.status)) }
    end
end

-- What a page returned → response with the error's status unless it names another; nil when it
-- failed or is no answer, which is logged.
local function page_result(page, place, req, err, ok, ...)
    local first, second, third = ...
    if not ok then
        if not is_abort(first) then
            local failure = errors.failure(first)
            pages.log(req, 500, "on_error: " .. failure.message, failure.traceback)
            if core.dev then show_page_failure(err, failure) end
        end
        return nil
    end
    local named = math.type(first) == "integer"
    if named and first >= 400 and second == nil and third == nil then
        return built_in(place, req, { status = first })
    end
    local res, why
    if response.files[first] then
        res = response.open(core, req, first)
        if not res then why = "the file of the page is missing" end
    else
        res, why = core.normalise(...)
    end
    if not res then
        pages.log(req, 500, ("on_error: %s (the page at %s)"):format(why, errors.defined_at(page)))
        return nil
    end
    if response.is(first) then named = not (res.implied and res.status == 200) end
    return response.new(named and res.status or err.status, res.headers, res.body)
end

-- Adds headers that the response lacks; a length is of another body.
local function add_missing(res, headers)
    if not headers then return res end
    res.headers = response.headers(res.headers)
    for name, value in pairs(headers) do
        if res.headers[name] == nil and tostring(name):lower() ~= "content-length" then
            res.headers[name] = value
        end
    end
    return res
end

-- The response to an error at a place. Never raises.
function pages.answer(place, req, err)
    if core.dev then -- which adds to it; an abort object is the author's
        local copy = {}
        for name, v in next, err do copy[name] = v end
        err = copy
    end
    local page = find_page(place, req, err.status)
    local res = page and page_result(page, place, req, err, xpcall(page, on_raise, req, public(req, err)))
    return add_missing(res or built_in(place, req, err), err.headers)
end

return pages
