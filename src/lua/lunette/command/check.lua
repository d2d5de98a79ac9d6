-- `lunette check`: everything that is wrong with a site, a line for each thing.
--
-- A global is declared when Lua or the loaded site has it, or some script says rawset(_G, "name", …).
-- Assigning to it does not declare it: that is the error. What other versions of Lua have may be read,
-- since libraries ask for it.
--
-- A site that signs and has no secret is wrong; one whose secret comes from the environment (or wherever
-- config.lua looks) is warned that this one has none.

local app = require "lunette.app"
local conflicts = require "lunette.command.conflicts"
local console = require "lunette.console"
local core = require "lunette.core"
local describe = require "lunette.command.describe"
local scopes = require "lunette.command.scopes"
local set = require "lunette.words"
local suggest = require "lunette.suggest"
local task = require "lunette.task"
local tokens = require "lunette.command.tokens"
local view_errors = require "lunette.command.view_errors"

local OTHER_LUAS = set "unpack loadstring setfenv getfenv module jit bit bit32 newproxy gcinfo"

-- { list of { file, line, level, text }, seen }
local Report = {}
Report.__index = Report

local function add(self, level, file, line, text)
    local key = ("%s:%d:%s:%s"):format(file, line, level, text)
    if self.seen[key] then return end
    self.seen[key] = true
    self.count[level] = self.count[level] + 1
    self.list[#self.list + 1] = { file = file, line = line, level = level, text = text }
end

-- The number of a line from its digits; 0, which is none, for more of them than any line has.
local function line_of(digits) return math.tointeger(tonumber(digits)) or 0 end

-- A text that begins with its place, or is about the file.
local function add_text(self, level, text, file)
    local at, line, rest = text:match("^(scripts/[^:\n]+):(%d+): ([^\n]*)")
    if at then return add(self, level, at, line_of(line), rest) end
    add(self, level, file, 0, (text:match("^[^\n]*"):gsub(":$", "")))
end

local function add_at(self, level, place, text)
    local file, line = (place or ""):match("^(.-):(%d+)$")
    add(self, level, file or "scripts/main.lua", line_of(line), text)
end

-- --- loading ---

local function add_global(self, file, use, known)
    if use.assigned then
        return add(self, "error", file, use.line, ("undeclared global '%s' is assigned (say local %s, "
            .. "or declare it with rawset(_G, '%s', ...))"):format(use.name, use.name, use.name))
    end
    local near = suggest.nearest(use.name, known)
    add(self, "error", file, use.line, ("undeclared global '%s' is read%s"):format(use.name,
        near and (" (did you mean '%s'?)"):format(near) or ""))
end

-- What main.lua failed with, which has a traceback: its own place, or the site's innermost line.
local function add_failure(self, text)
    local message, trace = text:match("^(.-)\nstack traceback:(.*)$")
    message, trace = message or text, trace or ""
    local frame = trace:match("\t(scripts/[^:\n]+:%d+): ")
    if not message:find("^scripts/[^:\n]+:%d+: ") and frame then
        message = frame .. ": " .. message
    end
    local file, line, name = message:match(
        "^(scripts/[^:\n]+):(%d+): undeclared global '([^']*)' %(say")
    if name then -- which scopes finds as well
        return add_global(self, file, { name = name, line = line_of(line), assigned = true }, {})
    end
    add_text(self, "error", message, "scripts/main.lua")
end

-- --- scripts ---

-- A script's text as Lua reads it: without a byte order mark and a first line of "#".
local function text_of(name)
    local text, why = core.script_text(name)
    if not text then return nil, ("cannot be read: %s"):format(why) end
    return (text:gsub("^\xEF\xBB\xBF", ""):gsub("^#[^\n]*", ""))
end

-- Compiles every script, and gives what scopes finds in those that do: { file, … }.
local function read_scripts(self, names)
    local list = {}
    for _, name in ipairs(names) do
        local file = "scripts/" .. name
        local text, why = text_of(name)
        local fn = text and load(text, "@" .. file, "t")
        if not fn then
            why = text and select(2, load(text, "@" .. file, "t")) or why
            add_text(self, "error", why, file)
        else
            local found = scopes(text)
            found.file = file
            list[#list + 1] = found
        end
        task.sleep(0) -- no single run is to be long
    end
    return list
end

local function declared_names(scripts)
    local known = {}
    for name in next, _G do known[name] = true end
    for _, script in ipairs(scripts) do
        for name in pairs(script.declared) do known[name] = true end
    end
    return known
end

local function check_globals(self, scripts)
    local known = declared_names(scripts)
    for _, script in ipairs(scripts) do
        local assigned = {}
        for _, use in ipairs(script.uses) do
            if use.assigned then assigned[use.name .. use.line] = true end
        end
        for _, use in ipairs(script.uses) do
            local told = not use.assigned and (assigned[use.name .. use.line] or OTHER_LUAS[use.name])
            if not known[use.name] and not told then add_global(self, script.file, use, known) end
        end
    end
end

-- --- secrets ---

local SIGNING = set "sign unsign"

-- Whether config.lua has a line for a secret: what it comes to may depend on where it is evaluated.
local function names_secret()
    local text = text_of("config.lua")
    local list = text and load(text) and tokens(text) or {}
    for i = 1, #list - 1 do
        if list[i].kind == "name" and list[i].text == "secret" and list[i + 1].text == "=" then
            return true
        end
    end
    return false
end

-- Adds that something needs a secret; what happens without --dev.
local function add_secret(self, place, what, otherwise)
    if names_secret() then
        add_at(self, "warning", place, ("%s a secret, and that of config.lua is nil here: without "
            .. "--dev %s"):format(what, otherwise))
    else
        add_at(self, "error", place, ("%s a secret, and config.lua has none: without --dev %s (set "
            .. '`secret`, for instance to os.getenv "LUNETTE_SECRET")'):format(what, otherwise))
    end
end

local function check_secrets(self, scripts)
    local session = package.loaded["lunette.session"]
    for _, place in ipairs(session and session.own_secret or {}) do
        add_secret(self, place, "sessions need", "lunette serve does not start")
    end
    for _, script in ipairs(scripts) do
        for _, call in ipairs(script.calls) do
            if call.module == "lunette.crypto" and SIGNING[call.name] and not call.secret then
                add_secret(self, ("%s:%d"):format(script.file, call.line),
                    ("crypto.%s needs"):format(call.name), "it raises")
            end
        end
    end
end

-- --- routes ---

local function check_routes(self)
    local taken = {}
    for _, one in ipairs(conflicts.unreachable()) do
        local all = #one.methods == #one.route.methods
        taken[one.route] = one.by
        add_at(self, "warning", one.route.place, ("%s is never reached%s: %s at %s always wins"):format(
            describe.route(one.route), all and "" or " by " .. table.concat(one.methods, ", "),
            describe.route(one.by), one.by.place))
    end
    for _, pair in ipairs(conflicts.ambiguous()) do
        if taken[pair.second] ~= pair.first and taken[pair.first] ~= pair.second then
            add_at(self, "warning", pair.second.place, ("%s is ambiguous: %s at %s matches %s too, and "
                .. "wins because it is declared first"):format(describe.route(pair.second),
                describe.route(pair.first), pair.first.place, pair.path))
        end
    end
end

-- --- the whole ---

local function plural(n, what)
    return ("%d %s%s"):format(n, what, n == 1 and "" or "s")
end

local function summary(self, scripts, views)
    local errors, warnings = self.count.error, self.count.warning
    if errors > 0 then return ("%s, %s"):format(plural(errors, "error"), plural(warnings, "warning")) end
    return ("no errors%s: %s, %s, %s"):format(warnings > 0 and ", " .. plural(warnings, "warning") or "",
        plural(scripts, "script"), plural(views, "view"), plural(#describe.all_routes(app.site), "route"))
end

-- Names of files are given by others: what a terminal would follow is shown instead.
local function without_controls(s)
    s = s:gsub("%c", function(c) return ("\\x%02X"):format(c:byte()) end)
    return (s:gsub("\xC2([\x80-\x9F])", function(c) return ("\\u{%02X}"):format(c:byte()) end))
end

local function print_all(self, last)
    local out, colours = {}, console.colours
    table.sort(self.list, function(a, b)
        if a.file ~= b.file then return a.file < b.file end
        if a.line ~= b.line then return a.line < b.line end
        return a.text < b.text
    end)
    for i, one in ipairs(self.list) do
        local place = one.line > 0 and ("%s:%d"):format(one.file, one.line) or one.file
        local level = one.level
        if colours then level = ("\27[%dm%s\27[0m"):format(level == "error" and 31 or 33, level) end
        out[i] = ("%s: %s: %s\n"):format(without_controls(place), level, without_controls(one.text))
    end
    out[#out + 1] = last .. "\n"
    console.write(table.concat(out))
end

-- The names of scripts, and of views without their folder.
local function sort_names()
    local scripts, views = {}, {}
    for _, name in ipairs(core.script_names()) do
        local view = name:match("^views/(.*)$")
        if view then views[#views + 1] = view end
        if not view and name:find("%.lua$") then scripts[#scripts + 1] = name end
    end
    return scripts, views
end

return function(given)
    local self = setmetatable({ list = {}, seen = {}, count = { error = 0, warning = 0 } }, Report)
    local scripts, views = sort_names()
    if given.error then add_failure(self, given.error) end
    local read = read_scripts(self, scripts)
    check_globals(self, read)
    if given.secret_is_made then check_secrets(self, read) end
    for _, text in ipairs(view_errors(views)) do add_text(self, "error", text, "scripts/views") end
    if not given.error then check_routes(self) end
    print_all(self, summary(self, #scripts, #views))
    return self.count.error > 0 and 1 or 0
end
