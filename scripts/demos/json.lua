local app = require "lunette"
local json = require "lunette.json"
local time = require "lunette.time"

-- A table alone is a 200 with JSON.
app.get("/demo/json", function()
    return {
        largest = math.maxinteger,
        third = 1 / 3,
        none = json.array {},
        name = "Lünette 🌒",
        at = time.http(time.now()),
    }
end)
