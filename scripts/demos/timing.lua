local app = require "lunette"
local time = require "lunette.time"

-- Middleware surrounds every route below /demo.
app.use("/demo", function(req, handle)
    local start = time.now()
    local res = handle(req)
    local ms = ("%.2f"):format((time.now() - start) * 1000)
    res.headers["Server-Timing"] = "handler;dur=" .. ms
    return res
end)
