local app = require "lunette"

local moon = { name = "Luna", radius = 1737 }

-- The client says what it wants; Vary: Accept is added.
app.get("/demo/negotiate", function(req)
    return req:negotiate {
        json = function() return moon end,
        csv = function()
            local text = ("name,radius\n%s,%d\n"):format(moon.name, moon.radius)
            return 200, { ["Content-Type"] = "text/csv" }, text
        end,
    }
end)
