-- `lunette routes`: what a site declares, in the order of its declaration, as tables.

local app = require "lunette.app"
local columns = require "lunette.command.columns"
local console = require "lunette.console"
local describe = require "lunette.command.describe"

local function join(list)
    return table.concat(list, " ")
end

local function middleware(route)
    local out = {}
    for i, one in ipairs(describe.middleware(route)) do
        out[i] = one.text .. (one.sure and "" or " (by path)")
    end
    return table.concat(out, ", ")
end

local function route_rows(site)
    local rows = { { "METHOD", "HOST", "PATTERN", "NAME", "MIDDLEWARE", "OPTIONS", "HANDLER" } }
    for _, route in ipairs(describe.all_routes(site)) do
        rows[#rows + 1] = { describe.methods(route), route.tier.host or "", route.pattern.text,
            route.name or "", middleware(route), join(describe.options(route)),
            describe.fn(route.handler, route.place) }
    end
    return rows
end

local function static_rows(site)
    local rows = { { "FILES", "HOST", "FOLDER", "OPTIONS", "DECLARED" } }
    for _, folder in ipairs(site.statics) do
        rows[#rows + 1] = { folder.prefix.text:gsub("/$", "") .. "/*", folder.tier.host or "", folder.dir,
            join(describe.static_options(folder)), folder.place or "" }
    end
    return rows
end

-- The statuses of a scope's pages, "*" last.
local function statuses(pages)
    local list = {}
    for status in pairs(pages) do list[#list + 1] = status end
    table.sort(list, function(a, b)
        if type(a) ~= type(b) then return type(a) == "number" end
        return a < b
    end)
    return list
end

local function page_rows(site)
    local rows = { { "ERROR", "HOST", "BENEATH", "PAGE" } }
    for _, scope in ipairs(site.paged) do
        for _, status in ipairs(statuses(scope.pages)) do
            rows[#rows + 1] = { tostring(status), scope.tier.host or "",
                scope.text == "" and "/" or scope.text, describe.fn(scope.pages[status], "?") }
        end
    end
    return rows
end

-- The line about site/.
local function public_files()
    local n, why = console.count_files(console.site .. "/site")
    if why then return "site/: " .. why end
    if not n then return "no folder site/: there are no public files" end
    return ("site/: %s%d public file%s, where no route matches"):format(
        n == console.count_max and "more than " or "", n, n == 1 and "" or "s")
end

return function(given)
    if given.error then
        console.complain("lunette: " .. given.error .. "\n")
        return 1
    end
    local site, bold = app.site, console.colours
    local out = {}
    for i, rows in ipairs { route_rows(site), static_rows(site), page_rows(site) } do
        if #rows > 1 then
            out[#out + 1] = columns.text(rows, bold)
        elseif i == 1 then
            out[#out + 1] = "no routes are declared\n"
        end
    end
    out[#out + 1] = public_files() .. "\n"
    console.write(table.concat(out, "\n"))
    return 0
end
