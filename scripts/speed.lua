-- What the benchmark has measured, for the chapter "How fast it is": figures.json, which
-- `make bench-publish` writes, and how its numbers are shown.

local json = require "lunette.json"

local speed = {}

local FOLDER = package.path:match "^[^?]*" -- the site's scripts/ is searched first

-- The figures of a file beside this one; nil when it is not there.
local function read(name)
    local file <close> = io.open(FOLDER .. name, "rb")
    if not file then return nil end
    local value, message = json.decode(file:read "a")
    return value or error(("scripts/%s: %s"):format(name, message), 0)
end

speed.figures = read "figures.json"

-- Three digits or all before the point: 0.125, 1.25, 12.5, 1,250; an integer as it is.
function speed.number(n)
    if math.type(n) == "float" and n < 99.95 then
        local digits = n < 0.9995 and 3 or n < 9.995 and 2 or 1
        return ("%." .. digits .. "f"):format(n)
    end
    local text = ("%.0f"):format(n):reverse():gsub("(%d%d%d)", "%1,"):reverse()
    return (text:gsub("^,", ""))
end

-- A median and its interval, each divided: "1.25 (1.21 to 1.30)"; "–" when it was not measured.
function speed.spread(seen, divisor)
    if not seen then return "–" end
    local d = divisor or 1
    return ("%s (%s to %s)"):format(speed.number(seen.median / d), speed.number(seen.low / d),
        speed.number(seen.high / d))
end

-- The entry of a list whose name it is.
function speed.named(list, name)
    for _, entry in ipairs(list) do
        if entry.name == name then return entry end
    end
    return nil
end

return speed
