local app = require "lunette"

app.get("/demo/moon", function(req)
    local name = req.query.name or "Luna"
    return app.render("demo/moon.html", {
        name = name:sub(1, 40),
        phases = { "new", "waxing", "full", "waning" },
    })
end)
