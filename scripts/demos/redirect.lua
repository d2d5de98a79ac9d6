local app = require "lunette"

local both = { "GET", "POST" }

app.route(both, "/demo/redirect/:code{30[12378]}", function(req)
    local code = tonumber(req.params.code)
    return app.redirect("/demo/landed", code)
end)

app.any("/demo/landed", function(req)
    return app.text("Landed with " .. req.method .. ".\n")
end)
