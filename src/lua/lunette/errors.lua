-- Errors on their way to people: where in the site's scripts something went wrong, misuse that
-- raises with that place, abort objects, and tracebacks that leave this library's own frames out.

local suggest = require "lunette.suggest"

local getinfo = debug.getinfo
local running = coroutine.running
local xpcall = xpcall

local errors = {}

-- Chunks of the library are "=lunette…" inside the program, and files beside this one when it is
-- read from disk.
local HERE = getinfo(1, "S").source
local FOLDER = HERE:match("^(@.*)lunette/errors%.lua$")

local function is_library(source)
    if source:sub(1, 8) == "=lunette" then return true end
    if not FOLDER then return false end
    return source == FOLDER .. "lunette.lua" or source:sub(1, #FOLDER + 8) == FOLDER .. "lunette/"
end

errors.is_library = is_library

-- Whether a function is the library's own, and not the site's.
function errors.is_own(fn)
    return is_library(getinfo(fn, "S").source)
end

-- Frames a traceback shows at most.
local FRAMES = 30

local run -- the function of C that calls handlers, too; nil without a server

-- Tells which it is.
function errors.called_by(fn) run = fn end

-- Whether the library called into the site at a level of the caller's: by xpcall, or from C. Frames
-- farther out are those of middleware, which has no part in what happens within.
local function is_border(info, level)
    if info.func ~= xpcall then return run ~= nil and info.func == run end
    local outer = getinfo(level + 2, "S")
    return outer ~= nil and is_library(outer.source)
end

-- "scripts/main.lua:6" for the innermost line on the stack that is not the library's; nil when
-- there is none, since a tail call has taken it off.
function errors.place()
    for level = 2, 200 do
        local info = getinfo(level, "Slf")
        if not info or is_border(info, level) then break end
        if info.what ~= "C" and not is_library(info.source) then
            return info.short_src .. ":" .. info.currentline
        end
    end
    return nil
end

-- "scripts/main.lua:6" for the line where a function is defined.
function errors.defined_at(fn)
    local info = getinfo(fn, "S")
    if info.what == "C" then return "[C]" end
    return info.short_src .. ":" .. info.linedefined
end

-- Raises a sentence (a format and its values) with the place of the site's line; without it where
-- a tail call has taken that line off the stack.
function errors.misuse(format, ...)
    local place, text = errors.place(), format:format(...)
    error(place and place .. ": " .. text or text, 0)
end

-- Raises unless v has the type. what names the value: 'app.get: the handler'.
function errors.expect(v, kind, what)
    if type(v) ~= kind then
        errors.misuse("%s must be a %s, not %s", what, kind, errors.kind(v))
    end
end

-- What a value is, for messages: 'the string "x"', 'nil', 'a table'.
function errors.kind(v)
    if type(v) == "string" then return ("the string %q"):format(v:sub(1, 60)) end
    if type(v) == "number" then return ("the number %s"):format(v) end
    return v == nil and "nil" or "a " .. type(v)
end

-- Raises for keys of opts that `known` (a table with the names as keys) lacks; nil is {}.
function errors.check_options(opts, known, what)
    if opts == nil then return {} end
    errors.expect(opts, "table", what .. ": the options")
    for key in pairs(opts) do
        if not known[key] then
            errors.misuse("%s: unknown option %q%s", what, tostring(key),
                suggest.hint(key, known))
        end
    end
    return opts
end

-- Reason phrases of the statuses a site may want to name (RFC 9110 and its registry).
errors.reasons = {
    [200] = "OK", [201] = "Created", [202] = "Accepted", [204] = "No Content",
    [206] = "Partial Content", [301] = "Moved Permanently", [302] = "Found", [303] = "See Other",
    [304] = "Not Modified", [307] = "Temporary Redirect", [308] = "Permanent Redirect",
    [400] = "Bad Request", [401] = "Unauthorized", [402] = "Payment Required",
    [403] = "Forbidden", [404] = "Not Found", [405] = "Method Not Allowed",
    [406] = "Not Acceptable", [407] = "Proxy Authentication Required", [408] = "Request Timeout",
    [409] = "Conflict", [410] = "Gone", [411] = "Length Required", [412] = "Precondition Failed",
    [413] = "Content Too Large", [414] = "URI Too Long", [415] = "Unsupported Media Type",
    [416] = "Range Not Satisfiable", [417] = "Expectation Failed", [418] = "I'm a teapot",
    [421] = "Misdirected Request", [422] = "Unprocessable Content", [423] = "Locked",
    [424] = "Failed Dependency", [425] = "Too Early", [426] = "Upgrade Required",
    [428] = "Precondition Required", [429] = "Too Many Requests",
    [431] = "Request Header Fields Too Large", [451] = "Unavailable For Legal Reasons",
    [500] = "Internal Server Error", [501] = "Not Implemented", [502] = "Bad Gateway",
    [503] = "Service Unavailable", [504] = "Gateway Timeout", [505] = "HTTP Version Not Supported",
    [507] = "Insufficient Storage", [508] = "Loop Detected",
    [511] = "Network Authentication Required",
}

-- The phrase of a status; never nil.
function errors.reason(status)
    return errors.reasons[status] or (status < 500 and "Error" or "Server Error")
end

-- What abort raises: {status, message, headers, data} or {response}.
local Abort = { __name = "lunette.abort" }

function Abort.__tostring(self)
    if self.response then return "abort with a response" end
    return ("%d %s"):format(self.status, self.message or errors.reason(self.status))
end

-- Raises an abort object. The arguments have been checked.
function errors.leave(status, message, headers, data)
    local abort = { status = status, message = message, headers = headers, data = data }
    error(setmetatable(abort, Abort), 0)
end

-- Raises an abort object that carries a finished response.
function errors.leave_with(response)
    error(setmetatable({ response = response }, Abort), 0)
end

-- Leaves the handler with a 503 that says when to come back. C calls it, too.
function errors.busy(message)
    errors.leave(503, message, { ["Retry-After"] = "1" })
end

-- Whether e is an abort object, as pcall in a handler may catch.
function errors.is_abort(e)
    return getmetatable(e) == Abort
end

-- The text of any error value; tostring may be the author's, and fail.
local function text_of(e)
    if type(e) == "string" then return e end
    local ok, text = pcall(tostring, e)
    local meta = debug.getmetatable(e)
    if ok and (type(e) == "number" or meta and meta.__tostring) then return text end
    return ("(error object is a %s value)"):format(type(e))
end
errors.text_of = text_of

local function frame_name(info)
    if info.what == "main" then return "main chunk" end
    if info.name then return ("function '%s'"):format(info.name) end
    return ("function <%s:%d>"):format(info.short_src, info.linedefined)
end

-- The frames of the site's scripts and modules from level on, "\tscripts/main.lua:6: in …" each;
-- and whether none of them is of the function that the library called last.
local function traceback(level)
    local lines, more, lost = {}, false, nil
    while true do
        local info = getinfo(level, "Slnf")
        if not info then break end
        if lost == nil and is_border(info, level) then lost = #lines == 0 end
        if info.what ~= "C" and not is_library(info.source) then
            more = #lines == FRAMES
            if more then break end
            lines[#lines + 1] =
                ("\t%s:%d: in %s"):format(info.short_src, info.currentline, frame_name(info))
        end
        level = level + 1
    end
    if more then lines[#lines + 1] = "\t..." end
    return table.concat(lines, "\n"), lost or #lines == 0
end

-- With --dev: a function(handler) → the stack as it is within that message handler.
errors.collect = nil

-- What each coroutine raised last, until it is taken: coroutine → failure.
local raised = setmetatable({}, { __mode = "k" })

-- The message handler of every call into the site. The error itself passes unchanged, since __close
-- functions see what it returns; its traceback is kept until errors.failure asks for it.
function errors.on_raise(e)
    local failure = nil
    if getmetatable(e) ~= Abort then
        failure = { cause = e, message = text_of(e) }
        failure.traceback, failure.lost = traceback(3)
        if errors.collect then
            local ok, stack = pcall(errors.collect, errors.on_raise)
            failure.stack = ok and stack or nil
        end
    end
    raised[running()] = failure
    return e
end

-- A failure {cause, message, traceback, lost, stack} from what xpcall gave; lost: a tail call took the
-- function that xpcall called off the stack. For memory errors there is no traceback: Lua calls no
-- message handler then.
function errors.failure(e)
    local thread = running()
    local failure = raised[thread]
    raised[thread] = nil
    if failure and rawequal(failure.cause, e) then return failure end
    return { cause = e, message = text_of(e), traceback = "", lost = true }
end

return errors
