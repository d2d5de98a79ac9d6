local app = require "lunette"
local task = require "lunette.task"

-- Only this handler waits: each has a coroutine of its own.
app.get("/demo/sleep", function(req)
    local seconds = req:int("seconds", { min = 0, max = 5 })
    task.sleep(seconds)
    return app.text(("slept for %d s\n"):format(seconds))
end)

app.get("/demo/awake", function()
    return app.text("awake\n")
end)
