local app = require "lunette"

-- In any case: req.headers["User-Agent"] is there too.
app.get("/demo/headers", function(req)
    return req.headers
end)
