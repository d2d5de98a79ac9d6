local app = require "lunette"
local task = require "lunette.task"
local time = require "lunette.time"

-- The handler runs once in five seconds, whoever asks.
app.get("/demo/cached", { cache = { ttl = 5, tags = { "moon" } } }, function()
    task.sleep(0.5)
    return app.text("Made at " .. time.iso(time.now()) .. "\n")
end)

app.post("/demo/purge", function()
    app.purge { tag = "moon" }
    return 204
end)
