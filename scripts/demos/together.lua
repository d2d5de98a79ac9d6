local app = require "lunette"
local task = require "lunette.task"
local time = require "lunette.time"

local function slow(name, seconds)
    return function()
        task.sleep(seconds)
        return name
    end
end

-- Both sleep at the same time: the answer takes 0.4 s.
app.get("/demo/together", function()
    local start = time.now()
    local cup = task.all { slow("tea", 0.3), slow("milk", 0.4) }
    local seconds = time.now() - start
    local sugar, why = task.timeout(0.1, slow("sugar", 5))
    return { cup = cup, seconds = seconds, sugar = sugar, why = why }
end)
