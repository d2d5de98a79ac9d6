local app = require "lunette"

-- What scripts/config.lua has as site.
app.get("/demo/settings", function()
    return { settings = app.settings, dev = app.dev }
end)
