local app = require "lunette"
local cache = require "lunette.cache"

app.every(1, function()
    cache.incr "demo:ticks"
end)

app.get("/demo/ticks", function()
    return { ticks = cache.get "demo:ticks" or 0 }
end)
