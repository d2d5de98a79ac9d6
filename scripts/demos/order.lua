local app = require "lunette"

-- 415 for what is no JSON, 400 for what is
-- malformed, 422 for what is no object.
app.post("/demo/order", function(req)
    local order = req:expect_json()
    return app.json({ ordered = order }, 201)
end)
