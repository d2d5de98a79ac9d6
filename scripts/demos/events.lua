local app = require "lunette"
local task = require "lunette.task"

-- For EventSource in a browser. A client that lost its
-- connection names the last id that it got.
app.get("/demo/events", function(req)
    local from = tonumber(req.headers["Last-Event-ID"]) or 0
    return app.events(function(send)
        for id = from + 1, from + 3 do
            send { id = id, event = "tick", data = "event " .. id }
            task.sleep(0.3)
        end
    end)
end)
