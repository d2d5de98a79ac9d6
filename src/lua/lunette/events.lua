-- Server-sent events (the WHATWG's HTML Standard, 9.2): app.events, and how an event is written.
--
-- An event is a block of lines, "name: value" each, with an empty line behind it. Data may hold any
-- text, each of whose lines becomes a line of its own; the other fields are one line by nature.

local core = require "lunette.core"
local errors = require "lunette.errors"
local response = require "lunette.response"

local misuse, expect = errors.misuse, errors.expect

local events = {}

-- Seconds of silence after which a comment goes out.
events.keep_alive = 15

local HEADERS = {
    ["Content-Type"] = "text/event-stream",
    ["Cache-Control"] = "no-store", -- it has no end that a cache could wait for
    ["X-Accel-Buffering"] = "no",   -- what nginx and its like ask for to pass it on at once
}

local FIELDS = { event = true, data = true, id = true, retry = true }

-- A field of one line; "" without a value.
local function line_of(name, value)
    if value == nil then return "" end
    if math.type(value) == "integer" then value = tostring(value) end
    expect(value, "string", "send: " .. name)
    if value:find("[\r\n\0]") then
        misuse("send: %s must not hold a line break or NUL, as %s does", name, errors.kind(value))
    end
    return name .. ": " .. value .. "\n"
end

local function retry_of(value)
    if value == nil then return "" end
    local ms = math.type(value) and math.tointeger(value)
    if not ms or ms < 0 then
        misuse("send: retry must be a whole number of milliseconds, not %s", errors.kind(value))
    end
    return ("retry: %d\n"):format(ms)
end

local function data_of(value)
    if value == nil then return "" end
    if type(value) == "table" then
        local text, why = core.encode(value)
        if not text then misuse("send: data: %s", why) end
        value = text
    elseif type(value) == "number" then
        value = tostring(value)
    end
    if type(value) ~= "string" then
        misuse("send: data must be a string, a number or a table, not %s", errors.kind(value))
    end
    if value:find("[\r\n]") then
        value = value:gsub("\r\n?", "\n"):gsub("\n", "\ndata: ")
    end
    return "data: " .. value .. "\n"
end

-- The bytes of one event: {event=, data=, id=, retry=}, or a string that is its data. Raises on
-- misuse: an event that says nothing, or that every client would drop.
function events.format(event)
    if type(event) == "string" then return data_of(event) .. "\n" end
    expect(event, "table", "send: the event")
    errors.check_options(event, FIELDS, "send")
    if next(event) == nil then misuse("send: the event is empty") end
    if event.event ~= nil and event.data == nil then
        misuse("send: an event without data never arrives: clients drop it")
    end
    return line_of("event", event.event) .. line_of("id", event.id) .. retry_of(event.retry)
        .. data_of(event.data) .. "\n"
end

-- app.events(fn[, headers]): fn(send) makes the events; send(event) may wait, as write of
-- app.stream does, and raises once the client has left. The head goes out at fn's first wait at the
-- latest, so an error before it is still an error page; from then on timeouts.handler has no say.
--
-- While fn is silent a comment goes out every 15 s: proxies keep the connection, and a client that
-- left is noticed; fn's wait then raises. A client that lost its connection comes again by itself
-- and names the last id it got in req.headers["Last-Event-ID"]: where ids are sent, fn can go on
-- from it. It comes again after fn's return too, unless it is then answered with 204. Where
-- middleware has put a function of its own around write, there are neither comments nor an early
-- head.
function events.events(fn, headers)
    expect(fn, "function", "app.events: the stream")
    if headers ~= nil then expect(headers, "table", "app.events: headers") end
    local all = response.headers(headers)
    for name, value in pairs(HEADERS) do
        if all[name] == nil then all[name] = value end
    end
    return response.new(200, all, function(write)
        local send = core.sender(write, events.format, events.keep_alive)
        return fn(send or function(event) write(events.format(event)) end)
    end, true)
end

return events
