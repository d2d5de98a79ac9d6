-- The global names that a Lua text uses, found without running it: a parser of Lua 5.4 (manual, §9)
-- that knows nothing but scopes.
--
-- A name is global where no local of that name is in scope: locals, parameters, variables of for,
-- local functions (in their own body too), attributes, `repeat` whose condition sees the block's
-- locals. Labels, fields, methods and keys of tables are no names. Beneath a local _ENV, or after
-- _ENV = …, names are fields of something else and are left out; _G.x = and _ENV.x = are assignments
-- to a global x, while _G.x alone asks whether there is one.
--
-- scopes(text) → { uses, declared, calls } of a text that compiles:
--   uses      { name, line, assigned }… in the order of the text
--   declared  set of names x of rawset(_G, "x", …), which is how a global is declared
--   calls     { module, name, line, secret }…: functions of modules that were got by
--             require "module", called by name; secret: an argument has a key `secret`

local set = require "lunette.words"
local tokens = require "lunette.command.tokens"

local Parser = {}
Parser.__index = Parser

local BLOCK_ENDS = set "end else elseif until"
local UNARY = set "not - # ~"
local BINARY = set "and or + - * / // % ^ .. == ~= < <= > >= & | ~ << >>"
local GLOBAL_TABLES = set "_G _ENV"

-- --- tokens ---

local function peek(self, n) return self.list[self.at + (n or 0)] or self.list[#self.list] end

local function take(self)
    local token = peek(self)
    self.at = self.at + 1
    return token
end

local function is(self, text, n)
    local token = peek(self, n)
    return token.text == text and (token.kind == "op" or token.kind == "keyword")
end

local function accept(self, text)
    if not is(self, text) then return false end
    self.at = self.at + 1
    return true
end

-- --- scopes ---

local function open(self) self.scope = { vars = {}, outer = self.scope } end

local function close(self) self.scope = self.scope.outer end

-- Declares a local; of: { module, field } where it is a module that was required, or a field of one.
local function declare(self, name, of)
    self.scope.vars[name] = { module = of and of.module, field = of and of.field }
end

local function find(self, name)
    local scope = self.scope
    while scope do
        if scope.vars[name] then return scope.vars[name] end
        scope = scope.outer
    end
    return nil
end

local function note(self, name, line, assigned)
    if name == "_ENV" then
        self.no_globals = self.no_globals or (assigned and not find(self, name))
        return
    end
    if find(self, name) or find(self, "_ENV") or self.no_globals then return end
    self.uses[#self.uses + 1] = { name = name, line = line, assigned = assigned or false }
end

-- --- expressions ---

local expression, block, body

-- What an expression is, as far as anybody asks: { name, line } a name that is not noted yet;
-- { base, field, line } a field of a name, or of a module that was required; { module } that itself.

local function settle(self, what, assigned)
    if what.name then
        note(self, what.name, what.line, assigned)
    elseif assigned and GLOBAL_TABLES[what.base] and what.field and not find(self, what.base) then
        note(self, what.field, what.line, true)
    end
end

local function expressions(self)
    local list = { expression(self) }
    while accept(self, ",") do list[#list + 1] = expression(self) end
    return list
end

local function table_constructor(self)
    take(self)
    while not is(self, "}") and peek(self).kind ~= "eof" do
        if accept(self, "[") then
            expression(self)
            accept(self, "]")
            accept(self, "=")
        elseif peek(self).kind == "name" and is(self, "=", 1) then
            self.at = self.at + 2
        end
        expression(self)
        if not accept(self, ",") then accept(self, ";") end
    end
    take(self)
end

-- Whether the arguments from here to their end hold a key `secret`.
local function names_secret(self)
    local depth, n = 0, 0
    repeat
        local token = peek(self, n)
        if token.kind == "op" and token.text:find("^[({]$") then depth = depth + 1 end
        if token.kind == "op" and token.text:find("^[)}]$") then depth = depth - 1 end
        if token.kind == "name" and token.text == "secret" and is(self, "=", n + 1) then return true end
        n = n + 1
    until depth <= 0 or token.kind == "eof"
    return false
end

-- The only argument, when it is a string in quotes.
local function string_argument(self)
    local n = is(self, "(") and 1 or 0
    return peek(self, n).kind == "string" and (n == 0 or is(self, ")", 2)) and peek(self, n).text
        or nil
end

local function is_global(self, what, name)
    return what.name == name and not find(self, name)
end

-- What a call of `what`, whose arguments come next, tells.
local function look_at_call(self, what)
    if is_global(self, what, "rawset") and peek(self, 1).text == "_G" and peek(self, 3).kind == "string"
    then
        self.declared[peek(self, 3).text] = true
    end
    local called = what.module and what or what.name and find(self, what.name)
    if called and called.module and called.field then
        self.calls[#self.calls + 1] = { module = called.module, name = called.field,
            line = what.line, secret = names_secret(self) }
    end
    if is_global(self, what, "require") then return { module = string_argument(self) } end
    return {}
end

local function arguments(self)
    if peek(self).kind == "string" then
        take(self)
    elseif is(self, "{") then
        table_constructor(self)
    else
        take(self)
        if not is(self, ")") then expressions(self) end
        accept(self, ")")
    end
end

local function field_of(self, what, name, line)
    local of = what.name and find(self, what.name) or what
    return { base = what.name, field = name, line = line,
        module = not of.field and of.module or nil }
end

local function primary(self)
    if accept(self, "(") then
        expression(self)
        accept(self, ")")
        return {}
    end
    local token = take(self)
    return { name = token.text, line = token.line }
end

local function starts_arguments(self)
    return is(self, "(") or is(self, "{") or peek(self).kind == "string"
end

-- A name or something in parentheses with all its fields, indices and calls. What is not noted of it
-- is left to the caller.
local function suffixed(self)
    local what = primary(self)
    while true do
        if is(self, ".") or (is(self, ":") and peek(self, 1).kind == "name") then
            local method = take(self).text == ":"
            local name = take(self)
            settle(self, what)
            what = field_of(self, what, name.text, name.line)
            if method then
                arguments(self)
                what = {}
            end
        elseif is(self, "[") then
            take(self)
            settle(self, what)
            local key = peek(self)
            local plain = key.kind == "string" and is(self, "]", 1)
            expression(self)
            accept(self, "]")
            what = field_of(self, what, plain and key.text or nil, key.line)
        elseif starts_arguments(self) then
            local made = look_at_call(self, what)
            settle(self, what)
            arguments(self)
            what = made
        else
            return what
        end
    end
end

local function simple(self)
    local token = peek(self)
    if is(self, "{") then
        table_constructor(self)
    elseif accept(self, "function") then
        body(self, false)
    elseif token.kind == "name" or is(self, "(") then
        local what = suffixed(self)
        settle(self, what)
        return what
    else
        take(self) -- a literal, or "..."
    end
    return {}
end

-- Gives what it is when it is nothing but a name, a field or a call.
function expression(self)
    local plain, what = true, nil
    repeat
        while peek(self).kind ~= "string" and UNARY[peek(self).text] do
            take(self)
            plain = false
        end
        what = simple(self)
        local operator = peek(self).kind ~= "string" and BINARY[peek(self).text]
        if operator then
            take(self)
            plain = false
        end
    until not operator
    return plain and what or {}
end

-- Parameters and block of a function; method: it has a self.
function body(self, method)
    open(self)
    if method then declare(self, "self") end
    accept(self, "(")
    while not accept(self, ")") and peek(self).kind ~= "eof" do
        local token = take(self)
        if token.kind == "name" then declare(self, token.text) end
    end
    block(self)
    accept(self, "end")
    close(self)
end

-- --- statements ---

local statement = {} -- keyword → function(self), once the keyword is taken

local function inner_block(self)
    open(self)
    block(self)
    close(self)
end

statement["if"] = function(self)
    repeat
        expression(self)
        accept(self, "then")
        inner_block(self)
    until not accept(self, "elseif")
    if accept(self, "else") then inner_block(self) end
    accept(self, "end")
end

statement["while"] = function(self)
    expression(self)
    accept(self, "do")
    inner_block(self)
    accept(self, "end")
end

statement["do"] = function(self)
    inner_block(self)
    accept(self, "end")
end

statement["for"] = function(self)
    local names = { take(self).text }
    while accept(self, ",") do names[#names + 1] = take(self).text end
    take(self) -- "=" or "in"
    expressions(self)
    accept(self, "do")
    open(self)
    for _, name in ipairs(names) do declare(self, name) end
    block(self)
    close(self)
    accept(self, "end")
end

statement["repeat"] = function(self)
    open(self)
    block(self)
    accept(self, "until")
    expression(self)
    close(self)
end

statement["function"] = function(self)
    local name, method, what = take(self), false, nil
    what = { name = name.text, line = name.line }
    while is(self, ".") or is(self, ":") do
        method = take(self).text == ":"
        settle(self, what)
        what = field_of(self, what, take(self).text, name.line)
    end
    settle(self, what, true)
    body(self, method)
end

local function attribute(self)
    if accept(self, "<") then
        take(self)
        accept(self, ">")
    end
end

statement["local"] = function(self)
    if accept(self, "function") then
        declare(self, take(self).text)
        return body(self, false)
    end
    local names = { take(self).text }
    attribute(self)
    while accept(self, ",") do
        names[#names + 1] = take(self).text
        attribute(self)
    end
    local values = accept(self, "=") and expressions(self) or {}
    for i, name in ipairs(names) do
        local value = values[i] or {}
        declare(self, name, value)
    end
end

statement["return"] = function(self)
    local token = peek(self)
    if not is(self, ";") and token.kind ~= "eof" and not BLOCK_ENDS[token.text] then
        expressions(self)
    elseif token.kind == "string" then
        expressions(self)
    end
    accept(self, ";")
end

statement["break"] = function() end

statement["goto"] = function(self) take(self) end

local function assignment_or_call(self)
    local targets = { suffixed(self) }
    while accept(self, ",") do targets[#targets + 1] = suffixed(self) end
    local assigns = accept(self, "=")
    if assigns then expressions(self) end
    for _, what in ipairs(targets) do settle(self, what, assigns) end
end

function block(self)
    while true do
        local token = peek(self)
        local keyword = token.kind == "keyword"
        if token.kind == "eof" or (keyword and BLOCK_ENDS[token.text]) then return end
        if accept(self, "::") then
            take(self)
            accept(self, "::")
        elseif keyword and statement[token.text] then
            take(self)
            statement[token.text](self)
        elseif not accept(self, ";") then
            assignment_or_call(self)
        end
    end
end

return function(text)
    local self = setmetatable({ list = tokens(text), at = 1, uses = {}, declared = {}, calls = {} },
        Parser)
    open(self)
    block(self)
    table.sort(self.uses, function(a, b) return a.line < b.line end)
    return { uses = self.uses, declared = self.declared, calls = self.calls }
end
