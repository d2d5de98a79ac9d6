-- `lunette why METHOD PATH`: what answers a request, and why routes that are like it do not. Nothing of
-- the site is called.

local app = require "lunette.app"
local columns = require "lunette.command.columns"
local console = require "lunette.console"
local core = require "lunette.core"
local describe = require "lunette.command.describe"
local errors = require "lunette.errors"
local meeting = require "lunette.command.meeting"
local near = require "lunette.command.near"
local pages = require "lunette.pages"
local router = require "lunette.router"
local suggest = require "lunette.suggest"
local without_route = require "lunette.unrouted"
local url = require "lunette.url"

local NEAR_MAX = 20 -- routes that are named though they do not answer

local METHODS = {}
for _, method in ipairs(router.methods) do METHODS[method] = true end

-- What was asked for: { method, host, raw_path, query }; or nil and what is wrong with it.
local function parse(words)
    local ask = { method = words[1]:upper(), host = "localhost", query = "" }
    if not METHODS[ask.method] then
        return nil, ("%s is no method that routes have%s"):format(words[1],
            suggest.hint(ask.method, METHODS))
    end
    local target = words[2]:gsub("#.*", "")
    local authority, rest = target:match("^https?://([^/?]*)(.*)$")
    if authority then
        local parsed = url.parse(target)
        if not parsed or not parsed.host or parsed.host == "" then
            return nil, ("%s is no URL"):format(words[2])
        end
        ask.host, target = authority:gsub("^.*@", ""), rest:find("^/") and rest or "/" .. rest
    elseif target ~= "*" and target:sub(1, 1) ~= "/" then
        return nil, ("a path begins with /, a URL with http://: %s does not"):format(words[2])
    end
    ask.raw_path, ask.query = target:match("^([^?]*)%??(.*)$")
    return ask
end

-- Files --------------------------------------------------------------------------------------------

-- What is at a path beneath a folder: its name there; or nil, or "redirect".
local function look_in(root, dir, path)
    if core.has(root, path) then
        return dir:gsub("/$", "") .. path .. (path:sub(-1) == "/" and " (its index, or a listing)" or "")
    end
    if path:sub(-1) ~= "/" and core.has(root, path .. "/") then return "redirect" end
    return nil
end

-- The file that would answer, as look_in has it, and where its folder was declared.
local function find_file(found, path)
    for _, here in ipairs(found.statics) do
        local static = here.static
        local file = look_in(static.root, static.dir, here.path)
        if not file and static.fallback and core.has(static.fallback_root, static.fallback) then
            file = static.dir:gsub("/$", "") .. static.fallback .. " (the fallback)"
        end
        if file then return file, "app.static at " .. (static.place or "?") end
    end
    return path and look_in(nil, "site", path), "the public files"
end

-- The sentence about a request that no route has. uses: the middleware that it passes.
local function unrouted(ask, found, path)
    local function all(list) return list end
    if ask.raw_path == "*" then return "is answered with every method that there is", all end
    if next(found.allowed) ~= nil then
        found.allowed.OPTIONS = true
        local text = without_route.allow(found.allowed)
        if ask.method == "OPTIONS" then return "is answered by itself: Allow: " .. text, all end
        return "is a 405 Method Not Allowed: the path has " .. text, all
    end
    local file, of = find_file(found, path)
    if not file then return "is a 404 Not Found: no route matches, and there is no such file", all end
    if ask.method == "OPTIONS" then
        return "is answered by itself: Allow: GET, HEAD, OPTIONS, for the file " .. file, all
    elseif ask.method ~= "GET" and ask.method ~= "HEAD" then
        return ("is a 405 Method Not Allowed: no route matches, and the file %s has GET, HEAD"):format(
            file), all
    end
    local sentence = file == "redirect" and "is redirected to the folder, with a / at its end (%s)"
        or "is answered by the file " .. file:gsub("%%", "%%%%") .. " (%s)"
    return sentence:format(of), function(uses)
        local list = {}
        for _, use in ipairs(uses) do list[#list + 1] = use.files and use or nil end
        return list
    end
end

-- Lines --------------------------------------------------------------------------------------------

local function shown(v)
    return type(v) == "string" and ("%q"):format(v) or tostring(v)
end

local function pairs_text(names, values)
    local out = {}
    for i, name in ipairs(names) do out[i] = ("%s = %s"):format(name, shown(values[name])) end
    return table.concat(out, ", ")
end

local function middleware_lines(uses, route)
    local list = {}
    for _, use in ipairs(uses) do list[#list + 1] = describe.fn(use.fn, use.place) end
    for _, fn in ipairs(route and route.given or {}) do
        list[#list + 1] = describe.fn(fn, route.place)
    end
    for i, text in ipairs(list) do list[i] = ("%d. %s"):format(i, text) end
    return list
end

-- The pages that errors would get: "404: scripts/main.lua:9", and what all others get.
local function page_lines(found, segments)
    local place, known, list = { view = found.view, route = found.route }, {}, {}
    local function note(scope)
        for status in pairs(scope.pages) do known[status] = true end
    end
    for _, scope in ipairs(found.view.paged) do note(scope) end
    local scope = found.route and found.route.scope
    while scope do
        note(scope)
        scope = scope.parent
    end
    local others = pages.find(place, segments, "*")
    known["*"] = nil
    for status in pairs(known) do
        local page = pages.find(place, segments, status)
        if page and page ~= others then
            list[#list + 1] = ("%d: %s"):format(status, errors.defined_at(page))
        end
    end
    table.sort(list)
    list[#list + 1] = (#list > 0 and "others: " or "")
        .. (others and errors.defined_at(others) or "the built-in page")
    return list
end

-- Rows { "label", text } for a list of texts, the label at the first.
local function add_rows(rows, label, list)
    for i, text in ipairs(list) do rows[#rows + 1] = { i == 1 and label or "", text } end
end

local function details(ask, found, segments, uses)
    local rows, route = { { "", "" } }, found.route
    if route then
        add_rows(rows, "handler", { describe.fn(route.handler, route.place) })
        if route.name then add_rows(rows, "name", { route.name }) end
        if #route.pattern.names > 0 then
            add_rows(rows, "params", { pairs_text(route.pattern.names, found.params) })
        end
        local options = describe.options(route)
        if #options > 0 then add_rows(rows, "options", { table.concat(options, " ") }) end
    end
    if ask.query ~= "" then
        local query, names = url.parse_query(ask.query), {}
        for name in pairs(query) do names[#names + 1] = name end
        table.sort(names)
        add_rows(rows, "query", { pairs_text(names, query) })
    end
    add_rows(rows, "middleware", middleware_lines(uses, route))
    add_rows(rows, "errors", page_lines(found, segments))
    return rows
end

-- Every route, with why it is not the one: those that are most like it first.
local function other_rows(look)
    local list, rows = {}, { { "", "", "" } }
    for _, route in ipairs(describe.all_routes(app.site)) do
        local why, distance = nil, nil
        if route ~= look.route then why, distance = near.why_not(route, look) end
        if why then list[#list + 1] = { route = route, why = why, at = distance, place = #list } end
    end
    table.sort(list, function(a, b)
        if a.at ~= b.at then return a.at < b.at end
        return a.place < b.place
    end)
    for i = 1, math.min(#list, NEAR_MAX) do
        rows[#rows + 1] = { describe.route(list[i].route), list[i].route.place, list[i].why }
    end
    return rows, #list - (#rows - 1)
end

-- The text of rows, whose head is of no use, two blanks in front of each.
local function indented(rows)
    if #rows == 1 then return "" end
    return (columns.text(rows):gsub("^[^\n]*\n", ""):gsub("([^\n]+)", "  %1"))
end

local function say(ask, path, segments)
    local found = meeting.explain(ask.method, ask.host, segments)
    local sentence, choose
    if found.route then
        sentence = "is answered by the route " .. describe.route(found.route)
        choose = function(list) return list end
    else
        local plain = true
        for _, segment in ipairs(segments) do plain = plain and not segment:find("/", 1, true) end
        sentence, choose = unrouted(ask, found, plain and path)
    end
    local out = { ("%s %s %s\n"):format(ask.method, ask.shown, sentence) }
    if console.colours then out[1] = "\27[1m" .. out[1]:gsub("\n$", "") .. "\27[0m\n" end
    out[2] = indented(details(ask, found, segments, choose(found.uses)))
    local look = { method = ask.method, segments = segments, view = found.view, route = found.route }
    local others, more = other_rows(look)
    if #others > 1 and ask.raw_path ~= "*" then
        out[#out + 1] = "\nnot by\n" .. indented(others)
        if more > 0 then out[#out + 1] = ("  and %d more that are less like it\n"):format(more) end
    end
    console.write(table.concat(out))
    return 0
end

return function(given)
    local ask, wrong = parse(given.words)
    if not ask then
        console.complain("lunette why: " .. wrong .. "\n")
        return 2
    end
    if given.error then
        console.complain("lunette: " .. given.error .. "\n")
        return 1
    end
    ask.shown = given.words[2]
    if ask.raw_path == "*" then return say(ask, nil, {}) end
    local segments, path = core.split_path(ask.raw_path)
    if not segments then
        console.write(("%s %s is a 400 Bad Request: %s\n"):format(ask.method, ask.shown, path))
        return 0
    end
    for _, name in ipairs { "metrics", "health" } do
        if given[name] == path then
            console.write(("%s %s is answered by the server itself: it is config.lua's %s\n"):format(
                ask.method, ask.shown, name))
            return 0
        end
    end
    return say(ask, path, segments)
end
