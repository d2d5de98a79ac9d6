local app = require "lunette"
local limit = require "lunette.limit"

-- Three at once, and one more every five seconds.
local slowly = limit.middleware { rate = 1, per = "5s", burst = 3 }

app.get("/demo/limited", { use = slowly }, function()
    return app.text("There you are.\n")
end)
