local app = require "lunette"

app.post("/demo/form", function(req)
    return {
        form = req.form,         -- the last value of each
        form_all = req.form_all, -- every value, in order
        query = req.query,       -- never mixed with them
    }
end)
