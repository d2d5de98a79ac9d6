local app = require "lunette"
local cache = require "lunette.cache"

-- One number for all workers. incr is a single step.
app.post("/demo/count", function()
    return { count = cache.incr "demo:count" }
end)

-- Filled once; whoever asks meanwhile waits for that.
app.get("/demo/fetch", function()
    return cache.fetch("demo:dice", "10s", function()
        return { dice = math.random(6), until_next = "10 s" }
    end)
end)
