-- Sizes and durations as site authors write them: 1048576, 16*2^20, "20M"; 5, 0.25, "250ms", "5m".

local units = {}

local SIZES = { [""] = 1, K = 2 ^ 10, M = 2 ^ 20, G = 2 ^ 30 }
local SECONDS = { [""] = 1, ms = 0.001, s = 1, m = 60, h = 3600, d = 86400 }

-- Bytes as an integer, or nil when v is no size: not negative, integral, below 2^53.
function units.size(v)
    if type(v) == "string" then
        local digits, unit = v:match("^(%d+)(%u?)$")
        local factor = SIZES[unit]
        v = factor and tonumber(digits) * factor
    end
    local n = type(v) == "number" and math.tointeger(v)
    return n and n >= 0 and n < 2 ^ 53 and n or nil
end

-- Seconds as a number, or nil when v is no duration: above 0, finite.
function units.duration(v)
    if type(v) == "string" then
        local digits, unit = v:match("^(%d+%.?%d*)(%l*)$")
        local factor = SECONDS[unit]
        v = factor and tonumber(digits) * factor
    end
    return type(v) == "number" and v > 0 and v < math.huge and v or nil
end

return units
