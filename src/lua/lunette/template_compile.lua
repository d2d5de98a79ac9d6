-- From the pieces of a template to a function of Lua that writes it.
--
-- Line n of the function's chunk is line n of the template, and the chunk bears the template's name:
-- so Lua's own messages and tracebacks are right. The chunk begins with its parameters:
--
--   _ENV  the variables of this render        __S  its state (template_run.lua), where __S.out is
--   __l   the level: 1 for what is rendered,       what has been written, __o
--         2 for the template that it extends…  __e  template_escape.lua
--
-- A unit, what compile.unit makes: { fn, name, parent = unit or nil, blocks = {name → context},
-- contexts = {context…} and includes = {{ name or nil, line }…} of its includes }.

local context = require "lunette.template_context"
local parse = require "lunette.template_parse"
local suggest = require "lunette.suggest"

local compile = {}

local OPEN_MAX = 150 -- blocks and statements in each other

local Writer = {}
Writer.__index = Writer

-- Raises what is wrong with the template, at a line of it.
local function fail(self, line, why, ...)
    if select("#", ...) > 0 then why = why:format(...) end
    error(("%s:%d: %s"):format(self.name, line, why), 0)
end

-- Appends code, after the newlines that take it to the piece's line.
local function emit(self, line, code)
    if line > self.line then
        self.code[#self.code + 1] = ("\n"):rep(line - self.line)
        self.line = line
    end
    self.code[#self.code + 1] = code
    local _, n = code:gsub("\n", "")
    self.line = self.line + n
end

-- Raises Lua's own complaint about an expression.
local function check_expression(self, piece, code)
    local fn, why = load("return (" .. code .. ")", "=?", "t")
    if fn then return end
    local line, text = why:match("^%?:(%d+): (.*)$")
    fail(self, piece.line + (tonumber(line) or 1) - 1, "%s", (text or why):gsub("near '%)'$",
        "near the end of the expression"))
end

-- --- what is open: blocks, and statements of Lua ---

local function push(self, entry)
    if #self.stack == OPEN_MAX then
        fail(self, entry.line, "blocks and statements nest deeper than %d", OPEN_MAX)
    end
    entry.start = entry.start or context.copy(self.ctx)
    self.stack[#self.stack + 1] = entry
end

local function pop(self, line, what)
    local entry = table.remove(self.stack)
    if not entry then fail(self, line, "'%s' without anything to end", what) end
    if (entry.what == "block") ~= (what == "endblock") then
        fail(self, line, "'%s' comes while the '%s' of line %d is open", what, entry.what, entry.line)
    end
    return entry
end

local function join(self, a, b, line, entry)
    local made = context.join(a, b)
    if not made then
        fail(self, line, "the branches of the '%s' at line %d end in different places of the page: "
            .. "in %s, and in %s", entry.what, entry.line, context.describe(a), context.describe(b))
    end
    return made
end

local LOOPS = { ["for"] = true, ["while"] = true, ["repeat"] = true }

local function require_same(self, entry, line, what)
    local made = context.join(entry.start, self.ctx)
    if not made or context.key(made) ~= context.key(entry.start) then
        fail(self, line, "the '%s' of line %d begins in %s, and %s in %s: it must be the same place "
            .. "of the page", entry.what, entry.line, context.describe(entry.start), what,
            context.describe(self.ctx))
    end
end

local function close(self, line, what)
    local entry = pop(self, line, what)
    if entry.what == "if" then
        local out = entry.out and join(self, entry.out, self.ctx, line, entry) or self.ctx
        self.ctx = entry.complete and out or join(self, out, entry.start, line, entry)
    elseif entry.what ~= "do" then
        require_same(self, entry, line, "ends")
        self.ctx = context.copy(entry.start)
    end
end

local function branch(self, line, what)
    local entry = self.stack[#self.stack]
    if not entry or entry.what ~= "if" then fail(self, line, "'%s' without an 'if'", what) end
    entry.out = entry.out and join(self, entry.out, self.ctx, line, entry) or self.ctx
    entry.complete = entry.complete or what == "else"
    self.ctx = context.copy(entry.start)
end

-- What leaves a loop or function does so in the place of the page where that began.
local function leave(self, line, what, kinds)
    for i = #self.stack, 1, -1 do
        local entry = self.stack[i]
        if kinds[entry.what] then
            require_same(self, entry, line, ("'%s' is"):format(what))
            return
        end
    end
    if what == "return" and context.join(self.start, self.ctx) == nil then
        fail(self, line, "'return' within %s", context.describe(self.ctx))
    end
end

local function label(self, line, name)
    local known = self.labels[name]
    if not known then
        self.labels[name] = { ctx = context.copy(self.ctx), line = line }
    elseif context.key(known.ctx) ~= context.key(self.ctx) then
        fail(self, line, "the label '%s' and its goto (line %d) are in different places of the page: "
            .. "%s, %s", name, known.line, context.describe(self.ctx), context.describe(known.ctx))
    end
end

local FUNCTIONS = { ["function"] = true, block = true }

local word_step = {} -- word → function(self, line)

for word in pairs(LOOPS) do
    word_step[word] = function(self, line)
        push(self, { what = word, line = line, start = context.loop(self.ctx), head = word ~= "repeat" })
        self.ctx = context.copy(self.stack[#self.stack].start)
    end
end
word_step["if"] = function(self, line) push(self, { what = "if", line = line }) end
word_step["function"] = function(self, line) push(self, { what = "function", line = line }) end
word_step["do"] = function(self, line)
    local top = self.stack[#self.stack]
    if top and top.head then
        top.head = nil
    else
        push(self, { what = "do", line = line })
    end
end
word_step["else"] = function(self, line) branch(self, line, "else") end
word_step["elseif"] = function(self, line) branch(self, line, "elseif") end
word_step["end"] = function(self, line) close(self, line, "end") end
word_step["until"] = function(self, line) close(self, line, "until") end
word_step["break"] = function(self, line) leave(self, line, "break", LOOPS) end
word_step["return"] = function(self, line) leave(self, line, "return", FUNCTIONS) end

-- Follows the statements of a piece of code: which branches begin and end with it.
local function follow(self, piece)
    local s, i, line = piece.text, 1, piece.line
    while true do
        local at = s:find("[%a_\"'%[%d:\n]", i)
        if not at then return end
        local word, past = s:match("^([%a_][%w_]*)()", at)
        local name, past_label = s:match("^::%s*([%a_][%w_]*)%s*::()", at)
        if s:sub(at, at) == "\n" then
            line, past = line + 1, at + 1
        elseif name then
            label(self, line, name)
            past = past_label
        elseif word == "goto" and s:find("^%s+[%a_]", past) then
            name, past = s:match("^%s+([%a_][%w_]*)()", past)
            label(self, line, name)
        elseif word then
            if word_step[word] then word_step[word](self, line) end
        elseif s:find("^%d", at) then
            past = s:match("^[%w_.]*()", at)
        elseif s:sub(at, at) == ":" then
            past = at + 1
        else
            past = parse.past_string(s, at)
            local _, n = s:sub(at, past - 1):gsub("\n", "")
            line = line + n
        end
        i = past
    end
end

-- --- pieces ---

local write = {} -- kind → function(self, piece)

local function at_top_of_child(self)
    if not self.parent then return false end
    for _, entry in ipairs(self.stack) do
        if entry.what == "block" or entry.what == "function" then return false end
    end
    return true
end

-- What a template that extends another writes outside of blocks would never be seen.
local function refuse_at_top(self, piece)
    if not at_top_of_child(self) then return end
    fail(self, piece.line, "this is outside of every block, and never written, since the template "
        .. "extends another")
end

function write.text(self, piece)
    local text = piece.text
    if at_top_of_child(self) then
        local blank, first = text:match("^(%s*)(%S?)")
        if first == "" then return end
        local _, n = blank:gsub("\n", "")
        refuse_at_top(self, { line = piece.line + n })
    end
    context.feed(self.ctx, text, function(why, lines)
        fail(self, piece.line + lines, "%s", why)
    end)
    emit(self, piece.line, (" __o[#__o+1]=%q;"):format(text):gsub("\\\n", "\\n"))
end

local function write_value(self, piece, escaper)
    refuse_at_top(self, piece)
    check_expression(self, piece, piece.text)
    context.wrote(self.ctx, piece.kind == "raw")
    emit(self, piece.line, (" __o[#__o+1]=__e.%s(%s);"):format(escaper, piece.text))
end

function write.value(self, piece)
    local escaper, why = context.escaper(self.ctx)
    if not escaper then
        fail(self, piece.line, "{{ %s }} cannot be escaped here: %s",
            piece.text:match("^%s*(.-)%s*$"):sub(1, 60), why)
    end
    write_value(self, piece, escaper)
end

function write.raw(self, piece) write_value(self, piece, "raw") end

function write.code(self, piece)
    local code = piece.text
    follow(self, piece)
    if code:find("^%s*return%f[^%w_]") then code = " do " .. code .. " end" end
    emit(self, piece.line, " " .. code .. " ;")
end

function write.extends(self, piece)
    fail(self, piece.line, "'extends' must come before everything else, and once")
end

-- The context that a block stands in, in the templates above.
local function block_above(self, name)
    local unit = self.parent
    while unit do
        if unit.blocks[name] then return unit.blocks[name] end
        unit = unit.parent
    end
end

local function names_above(self)
    local names, unit = {}, self.parent
    while unit do
        for name in pairs(unit.blocks) do names[name] = true end
        unit = unit.parent
    end
    return names
end

function write.block(self, piece)
    local name, top = piece.text, at_top_of_child(self)
    if self.blocks[name] then fail(self, piece.line, "the block '%s' is there already", name) end
    local outer, above = context.copy(self.ctx), block_above(self, name)
    if top then
        if not above then
            fail(self, piece.line, "no template above has a block '%s'%s", name,
                suggest.hint(name, names_above(self)))
        end
        self.ctx = context.copy(above)
    elseif above and context.key(above) ~= context.key(outer) then
        fail(self, piece.line, "the block '%s' is in %s here, and in %s in the template above", name,
            context.describe(outer), context.describe(above))
    end
    self.blocks[name] = context.copy(self.ctx)
    push(self, { what = "block", name = name, line = piece.line, outer = outer })
    emit(self, piece.line, (" __S:block(__l,%q,%s,function(super)"):format(name, tostring(top)))
end

function write.endblock(self, piece)
    local entry = pop(self, piece.line, "endblock")
    if piece.text ~= "" and piece.text ~= entry.name then
        fail(self, piece.line, "'endblock %s' ends the block '%s' of line %d", piece.text, entry.name,
            entry.line)
    end
    require_same(self, entry, piece.line, "ends")
    self.ctx = entry.outer
    emit(self, piece.line, " end);")
end

-- The name of an include that is nothing but a text in quotes, or nil.
local function plain_name(text)
    local _, name, after = text:match("^%s*([\"'])([^\"'\\\n]*)%1%s*(.?)")
    return name and (after == "" or after == ",") and name or nil
end

function write.include(self, piece)
    refuse_at_top(self, piece)
    local state = self.ctx.state
    if state ~= "text" and not context.escaper(self.ctx) then
        fail(self, piece.line, "nothing can be included in %s", context.describe(self.ctx))
    end
    local fn, why = load("return " .. piece.text, "=?", "t")
    if not fn then fail(self, piece.line, "include: %s", (why:gsub("^%?:%d+: ", ""))) end
    self.contexts[#self.contexts + 1] = context.copy(self.ctx)
    self.includes[#self.contexts] = { name = plain_name(piece.text), line = piece.line }
    emit(self, piece.line, (" __S:include(_ENV,__u,%d,%s);"):format(#self.contexts, piece.text))
end

-- --- units ---

-- Takes {% extends %} off the pieces, with the blank text and code before it.
local function take_parent(self, pieces, find)
    for i, piece in ipairs(pieces) do
        if piece.kind == "extends" then
            self.parent = find(piece.text, piece.line)
            table.remove(pieces, i)
            return
        end
        if piece.kind ~= "text" or piece.text:find("%S") then return end
    end
end

local PARAMETERS = "local _ENV,__S,__l,__o,__e,__u=...;"

-- Lua's complaint about the chunk, without names of ours.
local function chunk_error(self, why)
    why = why:gsub("near '__%a'", "near the end of the tag"):gsub("near ';'",
        "near the end of the tag"):gsub("near '<eof>'", "near the end of the template")
    error(why:find("^[^\n]-:%d+: ") and why or self.name .. ":1: " .. why, 0)
end

-- Compiles a template. name: of its chunk ("scripts/views/page.html"); start: the context that it
-- begins and ends in; find(name, line) → the unit of the template that it extends. Raises what is
-- wrong with it, with name and line.
function compile.unit(text, name, start, find)
    local self = setmetatable({
        name = name, code = {}, line = 1, ctx = context.copy(start), start = start, stack = {},
        blocks = {}, labels = {}, contexts = {}, includes = {},
    }, Writer)
    local pieces = parse.pieces(text, function(why, line) fail(self, line, "%s", why) end)
    take_parent(self, pieces, find)
    emit(self, 1, PARAMETERS)
    for _, piece in ipairs(pieces) do write[piece.kind](self, piece) end
    local open = self.stack[#self.stack]
    if open then fail(self, open.line, "this '%s' is not ended", open.what) end
    if not self.parent and not context.join(start, self.ctx) then
        local _, n = text:gsub("\n", "")
        fail(self, n + 1, "the template ends in %s", context.describe(self.ctx))
    end
    local fn, why = load(table.concat(self.code), "@" .. name, "t")
    if not fn then chunk_error(self, why) end
    return { fn = fn, name = name, parent = self.parent, blocks = self.blocks,
        contexts = self.contexts, includes = self.includes }
end

return compile
