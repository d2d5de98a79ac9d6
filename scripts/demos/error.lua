local app = require "lunette"

-- A mistake: the browser gets a 500, the log the traceback.
app.get("/demo/error", function(req)
    local moon = req.moon
    return "The moon is " .. moon.phase
end)

-- Not a mistake: the message is for everybody.
app.get("/demo/abort", function()
    app.abort(409, "the moon is full already")
end)
