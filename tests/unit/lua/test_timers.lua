-- Background work as it is declared: what reaches lunette.timer.

local fake = dofile "tests/unit/lua/fake.lua"
local check = dofile "tests/unit/lua/check.lua"

local function work() end

local app = fake.open()
local timer = require "lunette.timer"

local function last()
    return table.remove(timer.declared)
end

app.every(5, work)
check.equals(last(), { "every", "app.every at tests/unit/lua/test_timers.lua:15", work, 5, nil, nil, n = 6 })
app.every("5m", work, { at_once = true })
check.equals({ table.unpack(last(), 4, 6) }, { 300, nil, true })
app:every("250ms", work, { each_worker = true, at_once = false })
check.equals({ table.unpack(last(), 4, 6) }, { 0.25, true, false })
app.at("3:30", work)
check.equals(last(), { "daily", "app.at at tests/unit/lua/test_timers.lua:21", work, "3:30", n = 4 })
app.at_start(work)
check.equals(last(), { "start", "app.at_start at tests/unit/lua/test_timers.lua:23", work, nil, n = 4 })
app.at_start(work, { each_worker = true })
check.equals(last()[4], true)

-- Too many of them: C says so, and the line of the site is named.
timer.every = function() return nil, "there are 1000 pieces of background work already" end
check.misuse(function() app.every(5, work) end, "app.every: there are 1000 pieces")

check.done()
