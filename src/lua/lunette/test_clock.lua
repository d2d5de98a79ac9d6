-- The clock of Lua's own library, as lunette.test sets it: os.time() and os.date() without a time tell
-- what lunette.time.now does. Loaded before a site is whose tests are run.

local now = require "lunette.time".now
local time, date = os.time, os.date

function os.time(when)
    if when ~= nil then return time(when) end
    return math.floor(now())
end

function os.date(format, when)
    return date(format or "%c", when or math.floor(now()))
end

return true
