local app = require "lunette"

app.get("/hello/:name", function(req)
    return app.text("Hello, " .. req.params.name .. "!\n")
end)

-- Only digits match {int}; the handler gets an integer.
app.get("/square/:n{int}", function(req)
    local n = req.params.n
    return app.text(("%d × %d = %d\n"):format(n, n, n * n))
end)
