-- app.events: the bytes of an event, what cannot be one, and the response.

local check = dofile "tests/unit/lua/check.lua"
local fake = dofile "tests/unit/lua/fake.lua"

local app = fake.open()
local events = require "lunette.events"

local format = events.format

for _, case in ipairs {
    { "hello", "data: hello\n\n" },
    { "", "data: \n\n" },
    { " led by a space", "data:  led by a space\n\n" },
    { "a\nb", "data: a\ndata: b\n\n" },
    { "a\r\nb\rc\n", "data: a\ndata: b\ndata: c\ndata: \n\n" },
    { "\r\r\n\n", "data: \ndata: \ndata: \ndata: \n\n" },
    { "id: 7\n\nevent: forged", "data: id: 7\ndata: \ndata: event: forged\n\n" },
    { "ü\u{2028}\0", "data: ü\u{2028}\0\n\n" }, -- not a line break, here
    { { data = "x" }, "data: x\n\n" },
    { { data = 1.5 }, "data: 1.5\n\n" },
    { { data = { a = 1 } }, "data: {a}\n\n" },
    { { data = "" }, "data: \n\n" },
    { { event = "tick", data = "a\nb", id = "7", retry = 2500 },
        "event: tick\nid: 7\nretry: 2500\ndata: a\ndata: b\n\n" },
    { { id = 42 }, "id: 42\n\n" },
    { { id = "" }, "id: \n\n" }, -- forgets the last id
    { { retry = 0 }, "retry: 0\n\n" },
    { { retry = 3000.0 }, "retry: 3000\n\n" },
} do
    check.equals(format(case[1]), case[2])
end

for _, case in ipairs {
    { nil, "send: the event must be a table, not nil" },
    { 5, "must be a table, not the number 5" },
    { {}, "send: the event is empty" },
    { { dat = "x" }, 'unknown option "dat".*"data"' },
    { { "x" }, 'unknown option "1"' },
    { { event = "tick" }, "an event without data never arrives" },
    { { event = "a\nb", data = "x" }, "send: event must not hold a line break or NUL" },
    { { event = true, data = "x" }, "send: event must be a string" },
    { { id = "a\rb" }, "send: id must not hold a line break or NUL" },
    { { id = "a\0b" }, "send: id must not hold a line break or NUL" },
    { { id = 1.5 }, "send: id must be a string" },
    { { retry = -1 }, "send: retry must be a whole number of milliseconds, not the number %-1" },
    { { retry = 1.5 }, "whole number of milliseconds" },
    { { retry = "1000" }, "whole number of milliseconds" },
    { { data = true }, "send: data must be a string, a number or a table, not a boolean" },
    { { data = print }, "not a function" },
} do
    check.misuse(function()
        local text = format(case[1])
        return text
    end, case[2])
end

-- The response.
local res = app.events(function() end)
check.equals({ res.status, res.headers }, { 200, {
    ["Content-Type"] = "text/event-stream", ["Cache-Control"] = "no-store",
    ["X-Accel-Buffering"] = "no",
} })

local given = { ["cache-control"] = "no-cache", ["X-A"] = "1" }
res = app:events(function() end, given)
check.equals(res.headers, {
    ["Content-Type"] = "text/event-stream", ["cache-control"] = "no-cache",
    ["X-Accel-Buffering"] = "no", ["X-A"] = "1",
})
check.equals(given, { ["cache-control"] = "no-cache", ["X-A"] = "1" })

check.misuse(function() app.events("x") end, "app.events: the stream must be a function")
check.misuse(function() app.events(print, 5) end, "app.events: headers must be a table")

-- Through a write that is a function of somebody's own.
local wrote = {}
local trailers = app.events(function(send)
    send "a"
    send { id = 1 }
    return { ["X-Count"] = "2" }
end).body(function(bytes) wrote[#wrote + 1] = bytes end)
check.equals({ wrote, trailers }, { { "data: a\n\n", "id: 1\n\n" }, { ["X-Count"] = "2" } })

check.done()
