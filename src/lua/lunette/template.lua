-- Templates: scripts/views/*.html, each compiled once in a generation.
--
--   {{ expr }}     an expression of Lua, escaped for where it stands: in text, in an attribute (which
--                  has to be in quotes), in a URL, in JavaScript and CSS. Where nothing can be
--                  escaped (names of tags, say), compiling fails and says why. Nil prints nothing, in
--                  JavaScript's code null; other values there are JSON
--   {{{ expr }}}   the same as it is. What template.safe(s) gave is HTML already: {{ }} writes it
--                  into text as it is
--   {% lua %}      statements: {% for i, note in ipairs(notes) do %} … {% end %}
--   {% extends "layout.html" %}, {% block name %} … {% endblock %}: a block takes the place of the
--                  one of that name above; {{ super() }} writes that one
--   {% include "part.html", { note = note } %}: another template with the same variables, and those
--                  of the table; locals of this one have to be given so
--   {# comment #}, {% raw %} … {% endraw %}
--
-- Names are those of vars, what app.view gave (vars win), req, url_for, csrf_field, flashes, json,
-- safe, vars, and of Lua's library: assert, error, ipairs, next, pairs, pcall, select, tonumber,
-- tostring, type, math, string, table, utf8, and os.date, time, difftime. Any other name raises. A
-- variable that may be missing is vars.name: nil cannot be told from absent in a table of Lua.
-- Assigning to a name sets it for this render, for templates above and included, too.
--
-- URLs (href, src, action …) whose scheme is not http, https, mailto, tel, sms or ftp become
-- about:blank#blocked, and values that could end a declaration in CSS "blocked".

local core = require "lunette.core"
local compile = require "lunette.template_compile"
local context = require "lunette.template_context"
local errors = require "lunette.errors"
local escape = require "lunette.template_escape"
local suggest = require "lunette.suggest"

local misuse, expect = errors.misuse, errors.expect
local concat = table.concat

local template = {}

local TEXT_MAX = 1 << 20 -- bytes of a template
local EXTENDS_MAX = 16   -- templates that extend each other
local INCLUDES_MAX = 50  -- includes in each other, while one is written
local UNITS_MAX = 1000   -- compiled and kept: names × contexts that they are included in

-- --- variables ---

local views = {} -- functions of app.view

-- Adds a function(req) → variables for every render.
function template.add_view(fn)
    views[#views + 1] = fn
end

local OUTER, ORIGIN = {}, {} -- keys of an environment: the including one; vars with a metatable

local GLOBALS = {
    assert = assert, error = error, ipairs = ipairs, next = next, pairs = pairs, pcall = pcall,
    select = select, tonumber = tonumber, tostring = tostring, type = type, math = math,
    string = string, table = table, utf8 = utf8,
    os = { date = os.date, time = os.time, difftime = os.difftime },
    json = escape.json, safe = escape.safe,
}

-- A variable's value, or nil.
local function lookup(env, name)
    while env do
        local v = rawget(env, name)
        local origin = rawget(env, ORIGIN)
        if v == nil and origin then v = origin[name] end
        if v ~= nil then return v end
        env = rawget(env, OUTER)
    end
    return nil
end

-- vars: the same names, where a missing one is nil.
local function optional(env)
    return setmetatable({}, { __index = function(_, name) return lookup(env, name) end })
end

local function request_for(what)
    return core.current() or misuse("%s: there is no request here", what)
end

local lazy = {} -- name → function(env) → the value, for names that most templates do not use

function lazy.vars(env) return optional(env) end

function lazy.req() return core.current() end

function lazy.url_for() return require "lunette".url_for end

-- {{ csrf_field }} or {{ csrf_field() }}: the hidden input of a form.
function lazy.csrf_field()
    local req = request_for "csrf_field"
    local csrf = require "lunette.csrf"
    return escape.safe(csrf.input(req))
end

-- flashes or flashes(): the messages kept for this visitor, { kind=, text= } each.
function lazy.flashes()
    local list = require "lunette.session".flashes(request_for "flashes")
    return setmetatable(table.move(list, 1, #list, 1, {}), { __call = function(self) return self end })
end

local function known_names(env)
    local names = {}
    for _, source in ipairs { env, GLOBALS, lazy } do
        for name in next, source do
            if type(name) == "string" then names[name] = true end
        end
    end
    return names
end

local Env = { __name = "lunette.template variables" }

function Env.__index(env, name)
    local v = GLOBALS[name]
    if v == nil then v = lookup(env, name) end
    if v ~= nil then return v end
    if lazy[name] then
        v = lazy[name](env)
        rawset(env, name, v)
        return v
    end
    local near = suggest.nearest(name, known_names(env))
    misuse("undefined name '%s'%s: a variable that may be missing is vars.%s", tostring(name),
        near and (" (did you mean '%s'?)"):format(near) or "", tostring(name))
end

local function add(env, vars)
    for name, value in pairs(vars) do rawset(env, name, value) end
end

local function new_env(vars)
    local env = setmetatable({}, Env)
    local req = #views > 0 and core.current()
    for _, view in ipairs(req and views or {}) do
        local more = view(req)
        if more ~= nil then
            expect(more, "table", ("app.view: what the function at %s returns"):format(
                errors.defined_at(view)))
            add(env, more)
        end
    end
    add(env, vars)
    if getmetatable(vars) then rawset(env, ORIGIN, vars) end
    return env
end

-- The variables of an included template: its own, and those of the one that includes it.
local function inner_env(outer, vars)
    local env = setmetatable({ [OUTER] = outer }, { __index = outer })
    for name, value in pairs(vars or {}) do rawset(env, name, value) end
    rawset(env, "vars", optional(env))
    return env
end

-- --- one render ---

-- { out = pieces of text so far, blocks = {name → {level → function(super)}}, depth }
local State = {}
State.__index = State

local function run(unit, env, out, depth)
    local state = setmetatable({ out = out, blocks = {}, depth = depth }, State)
    local level = 1
    repeat
        unit.fn(env, state, level, out, escape, unit)
        unit, level = unit.parent, level + 1
    until not unit
end

local LEVELS = EXTENDS_MAX + 1

-- Writes the block of the lowest level from `from` on.
local function write_block(self, name, from)
    local levels = self.blocks[name]
    for level = from, LEVELS do
        if levels[level] then
            return levels[level](function()
                local out = self.out
                local n = #out
                write_block(self, name, level + 1)
                local text = concat(out, "", n + 1)
                for i = #out, n + 1, -1 do out[i] = nil end
                return escape.done(text)
            end)
        end
    end
    misuse("super(): no template above has written a block '%s'", name)
end

-- A template has come to a block: kept where it is to take another's place (top), else written.
function State:block(level, name, top, fn)
    local levels = self.blocks[name] or {}
    self.blocks[name] = levels
    levels[level] = fn
    if not top then write_block(self, name, 1) end
end

local find

-- {% include name, vars %} at the place with that number in unit.
function State:include(env, unit, number, name, vars)
    expect(name, "string", "include: the name")
    if vars ~= nil then expect(vars, "table", "include: the variables") end
    if self.depth == INCLUDES_MAX then
        misuse("include %q: templates include each other %d deep", name, INCLUDES_MAX)
    end
    local inner, why = find(name, unit.contexts[number], {})
    if not inner then misuse("include: %s", why) end
    run(inner, inner_env(env, vars), self.out, self.depth + 1)
end

-- --- compiling ---

local units, unit_count = {}, 0
local START = context.new() -- where what is not included begins

-- Why a name cannot be that of a view; nil when it can.
local function wrong_name(name)
    for segment in (name .. "/"):gmatch("([^/]*)/") do
        if segment == "" or segment == "." or segment == ".." or segment:find("[%c\\]") then
            return ("%q is no name of a view, like \"page.html\" or \"mail/welcome.html\""):format(name)
        end
    end
end

-- How compile.unit finds what a template extends. file: the template's name in messages; chain: views
-- that wait for it.
local function parent_finder(file, chain)
    return function(name, line)
        local function fail(why) error(("%s:%d: extends: %s"):format(file, line, why), 0) end
        for _, other in ipairs(chain) do
            if other == name then
                fail("templates extend each other in a circle: " .. concat(chain, " → ") .. " → " .. name)
            end
        end
        if #chain == EXTENDS_MAX then fail(("more than %d templates do"):format(EXTENDS_MAX)) end
        local unit, why = find(name, START, chain)
        return unit or fail(why)
    end
end

local function too_large(text)
    return #text > TEXT_MAX and ("it has more than %d bytes"):format(TEXT_MAX)
end

-- The unit of a view that begins in a context; or nil and why there is no such view. Raises what is
-- wrong with the template.
function find(name, start, chain)
    start.key = start.key or context.key(start)
    local key = name .. "\0" .. start.key
    if units[key] then return units[key] end
    local wrong = wrong_name(name)
    if wrong then return nil, wrong end
    local file = "scripts/views/" .. name
    local text, why = core.script_text("views/" .. name)
    why = text and too_large(text) or why
    if why then return nil, ("%s cannot be read: %s"):format(file, why) end
    local inner = table.move(chain, 1, #chain, 1, {})
    inner[#inner + 1] = name
    local unit = compile.unit(text, file, start, parent_finder(file, inner))
    if unit_count < UNITS_MAX then
        units[key], unit_count = unit, unit_count + 1
    end
    return unit
end

-- The unit of a view that begins in a context, by default as a page does; or nil and why there is no
-- such view. For who looks whether it compiles: raises what is wrong with the template.
function template.unit(name, start)
    return find(name, start or START, {})
end

-- --- for sites ---

local function write(unit, vars)
    local out = {}
    run(unit, new_env(vars), out, 0)
    return concat(out)
end

local function check_vars(vars, what)
    if vars ~= nil then expect(vars, "table", what .. ": the variables") end
    return vars or {}
end

-- The text of a view, for a call named what.
function template.render_for(what, name, vars)
    expect(name, "string", what .. ": the view")
    vars = check_vars(vars, what)
    local unit, why = find(name, START, {})
    if not unit then misuse("%s: %s", what, why) end
    return write(unit, vars)
end

-- template.render(name[, vars]) → the text of scripts/views/name. Raises what is wrong with the
-- template, with its file and line.
function template.render(name, vars)
    return template.render_for("template.render", name, vars)
end

-- template.compile(text[, name]) → a function(vars) → text. name stands in messages; without it they
-- read "template:12: …".
function template.compile(text, name)
    expect(text, "string", "template.compile: the text")
    if name ~= nil then expect(name, "string", "template.compile: the name") end
    local large = too_large(text)
    if large then misuse("template.compile: %s", large) end
    name = name or "template"
    local unit = compile.unit(text, name, START, parent_finder(name, {}))
    return function(vars) return write(unit, check_vars(vars, name)) end
end

-- template.safe(s): s is HTML already; {{ }} writes it into text as it is.
template.safe = escape.safe

return template
