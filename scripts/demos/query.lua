local app = require "lunette"

app.get("/demo/query", function(req)
    return {
        query_string = req.query_string,
        query = req.query,         -- the last value of each
        query_all = req.query_all, -- every value, in order
    }
end)
