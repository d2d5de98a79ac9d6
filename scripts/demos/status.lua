local app = require "lunette"

-- A status alone is that status with its error page, or with
-- an empty body.
app.get("/demo/status/:code{[245]%d%d}", function(req)
    return tonumber(req.params.code)
end)
