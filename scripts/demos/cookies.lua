local app = require "lunette"

app.get("/demo/cookie", function(req)
    return { cookies = req.cookies }
end)

app.post("/demo/cookie/:flavour", function(req)
    req:set_cookie("flavour", req.params.flavour, {
        max_age = 3600, path = "/demo",
    })
    return app.text("The browser will keep it for an hour.\n")
end)

app.delete("/demo/cookie", function(req)
    req:expire_cookie("flavour", { path = "/demo" })
    return app.text("Forgotten.\n")
end)
