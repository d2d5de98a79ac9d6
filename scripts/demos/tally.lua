local app = require "lunette"
local sqlite = require "lunette.sqlite"

local STEPS = {
    "CREATE TABLE vote (moon TEXT PRIMARY KEY, votes INTEGER NOT NULL)",
}

local function open()
    local db = sqlite.open "demo.db" -- data/demo.db
    db:migrate(STEPS)
    return db
end

app.get("/demo/tally", function()
    return open():rows "SELECT moon, votes FROM vote ORDER BY votes DESC"
end)

app.post("/demo/tally", {
    form = { moon = { "string", one_of = { "Luna", "Io", "Titan" } } },
}, function(req)
    local db = open()
    db:exec([[INSERT INTO vote VALUES (?, 1)
        ON CONFLICT (moon) DO UPDATE SET votes = votes + 1]], req.valid.moon)
    return db:row("SELECT * FROM vote WHERE moon = ?", req.valid.moon)
end)
