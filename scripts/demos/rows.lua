local app = require "lunette"
local html = require "lunette.html"

local TURNS = 10
local MAP = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

local function plain(s)
    return (s:gsub("[&<>\"']", MAP))
end

-- The table of the workloads rows and rows_lib.
local function rows(escape)
    local out = { "<table>\n" }
    for i = 1, 100 do
        out[#out + 1] = "<tr><td>" .. i .. "</td><td>" .. escape("Item <" .. i .. ">") .. "</td><td>"
            .. escape("A \"quoted\" & 'escaped' text no " .. i) .. "</td></tr>\n"
    end
    out[#out + 1] = "</table>\n"
    return table.concat(out)
end

-- Microseconds of this process's time for one table.
local function cost(escape)
    local start = os.clock()
    for _ = 1, TURNS do rows(escape) end
    return math.floor((os.clock() - start) / TURNS * 1e6 + 0.5)
end

app.get("/demo/rows", function()
    return { plain_us = cost(plain), library_us = cost(html.escape) }
end)
