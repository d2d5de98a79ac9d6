local app = require "lunette"
local csrf = require "lunette.csrf"
local session = require "lunette.session"

local safe = {
    session.middleware { cookie = "demo-csrf", max_age = "1h" },
    csrf.middleware {}, -- within the session's
}

app.group("/demo/csrf", { use = safe }, function(g)
    g.get("/", function(req)
        return { token = req:csrf_token() }
    end)
    g.post("/", function()
        return app.text("The token is this session's.\n")
    end)
end)
