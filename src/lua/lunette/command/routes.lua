-- `lunette routes`: the table of routes.

local console = require "lunette.console"

return function(given)
    if given.error then
        console.complain("lunette: " .. given.error .. "\n")
        return 1
    end
    console.write("loaded\n")
    return 0
end
