local app = require "lunette"
local session = require "lunette.session"

local keep = session.middleware { cookie = "demo", max_age = "1h" }

app.group("/demo/session", { use = keep }, function(g)
    g.get("/", function(req)
        local s = req.session
        s.visits = (s.visits or 0) + 1
        return s
    end)
    g.delete("/", function(req)
        session.clear(req)
        return 204
    end)
end)
