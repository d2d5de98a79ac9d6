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
    if type(csrf) == "table" and csrf.field then return escape.safe(tostring(csrf.field(req))) end
    return escape.safe(('<input type="hidden" name="csrf_token" value="%s">'):format(
        escape.attr(req:csrf_token())))
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
    local inner = find(name, unit.contexts[number], {}, "include")
    run(inner, inner_env(env, vars), self.out, self.depth + 1)
end

-- --- compiling ---

local units, unit_count = {}, 0

local function check_name(name, what)
    for segment in (name .. "/"):gmatch("([^/]*)/") do
        if segment == "" or segment == "." or segment == ".." or segment:find("[%c\\]") then
            misuse("%s: %q is no name of a view, like \"page.html\" or \"mail/welcome.html\"", what,
                name)
        end
    end
end

-- What a template extends, as compile.unit asks for it.
local function parent_finder(own, chain)
    chain = table.move(chain, 1, #chain, 1, {})
    chain[#chain + 1] = own
    return function(name, line)
        local at = ("scripts/views/%s:%d: "):format(own, line)
        for _, other in ipairs(chain) do
            if other == name then
                error(at .. "templates extend each other in a circle: " .. concat(chain, " → ")
                    .. " → " .. name, 0)
            end
        end
        if #chain == EXTENDS_MAX then
            error(("%smore than %d templates extend each other"):format(at, EXTENDS_MAX), 0)
        end
        local ok, unit = pcall(find, name, context.new(), chain, "extends")
        if ok then return unit end
        error(tostring(unit):find("^scripts/views/") and unit or at .. tostring(unit), 0)
    end
end

local function check_size(text, what)
    if #text > TEXT_MAX then misuse("%s has more than %d bytes", what, TEXT_MAX) end
end

-- The unit of a view that begins in a context; chain: views that wait for it. what: the call.
function find(name, start, chain, what)
    local key = name .. "\0" .. context.key(start)
    local unit = units[key]
    if unit then return unit end
    check_name(name, what)
    local text, why = core.script_text("views/" .. name)
    if not text then misuse("%s: scripts/views/%s cannot be read: %s", what, name, why) end
    check_size(text, "scripts/views/" .. name)
    unit = compile.unit(text, "scripts/views/" .. name, start, parent_finder(name, chain))
    if unit_count < UNITS_MAX then
        units[key], unit_count = unit, unit_count + 1
    end
    return unit
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
    return write(find(name, context.new(), {}, what), vars)
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
    check_size(text, "template.compile: the text")
    name = name or "template"
    local unit = compile.unit(text, name, context.new(), function(parent)
        return find(parent, context.new(), {}, "extends")
    end)
    return function(vars) return write(unit, check_vars(vars, name)) end
end

-- template.safe(s): s is HTML already; {{ }} writes it into text as it is.
template.safe = escape.safe

return template
