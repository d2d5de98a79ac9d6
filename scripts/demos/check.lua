local app = require "lunette"

app.post("/demo/check", {
    form = {
        name = { "string", min = 1, max = 20, trim = true },
        cups = { "integer", min = 1, max = 12 },
        tea = { "string", one_of = { "oolong", "mint" }, default = "mint" },
    },
}, function(req)
    return req.valid -- { cups = 2, … }: an integer, no text
end)
