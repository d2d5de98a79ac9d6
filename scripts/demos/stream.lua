local app = require "lunette"
local task = require "lunette.task"

local PHASES = { "🌑", "🌒", "🌓", "🌔", "🌕", "🌖", "🌗", "🌘" }

-- Each write goes out at once, as a chunk.
app.get("/demo/stream", function()
    return app.stream(function(write)
        for day, moon in ipairs(PHASES) do
            write(("%s  phase %d of %d\n"):format(moon, day, #PHASES))
            task.sleep(0.25)
        end
    end, { ["Content-Type"] = "text/plain; charset=utf-8" })
end)
