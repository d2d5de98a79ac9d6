-- The stack at the moment of an error, for --dev: frames, innermost first, with their locals as text.
--
--   frame { source = "scripts/main.lua", line, name, kind = "site", "library" or "C", tail = a call
--           before it is lost, locals = { { name, text }… }, more = there are more of them }

local value = require "lunette.dev_value"

local getinfo, getlocal = debug.getinfo, debug.getlocal
local find, sub = string.find, string.sub

local frames = {}

frames.FRAMES = 60 -- at most
frames.LOCALS = 40 -- of one frame
local BYTES = 100000 -- of all values
local VARIABLES = 30 -- of a template
local VARARGS = 10

local function is_template(source) return find(source, "^scripts/views/") ~= nil end

-- A frame's own name: the function's, as far as Lua knows it.
local function name_of(info)
    if info.what == "main" then return "main chunk" end
    if info.name then return ("function '%s'"):format(info.name) end
    return ("function at line %d"):format(info.linedefined)
end

local function source_of(info)
    return sub(info.source, 1, 1) == "@" and sub(info.source, 2) or info.short_src
end

local function add(list, budget, name, v)
    local text = value.text(v, name)
    budget.left = budget.left - #text
    list[#list + 1] = { name, text }
end

-- The variables that a template was given, which are raw members of its environment.
local function add_variables(list, budget, env)
    local names = {}
    for name in next, env do
        if type(name) == "string" and #names < 200 then names[#names + 1] = name end
    end
    table.sort(names)
    for i = 1, math.min(#names, VARIABLES) do add(list, budget, names[i], rawget(env, names[i])) end
end

-- Temporaries, and the parameters of a compiled template.
local function is_own(name) return find(name, "^%(") or find(name, "^__%a$") end

-- Collects the stack of a coroutine. after: a function whose frame, and those within it, are left out;
-- nil: all count. is_library(source): whether a chunk is lunette's.
function frames.collect(thread, after, is_library)
    local list, level, budget = {}, 0, { left = BYTES }
    while after do
        local info = getinfo(thread, level, "f")
        if not info then return list end
        level = level + 1
        if info.func == after then break end
    end
    while #list < frames.FRAMES do
        local info = getinfo(thread, level, "Slntu")
        if not info then break end
        local frame = { source = source_of(info), line = info.currentline, name = name_of(info),
            tail = info.istailcall, kind = "site", locals = {} }
        list[#list + 1] = frame
        if info.what == "C" then
            frame.kind, frame.name = "C", info.name or "?"
        elseif is_library(info.source) then
            frame.kind = "library"
        else
            for n = 1, frames.LOCALS + 1 do
                local name, v = getlocal(thread, level, n)
                if not name then break end
                frame.more = n > frames.LOCALS or budget.left < 0
                if frame.more then break end
                if name == "_ENV" and is_template(frame.source) then
                    if type(v) == "table" then add_variables(frame.locals, budget, v) end
                elseif not is_own(name) then
                    add(frame.locals, budget, name, v)
                end
            end
            for n = 1, info.isvararg and not is_template(frame.source) and VARARGS or 0 do
                local name, v = getlocal(thread, level, -n)
                if not name or budget.left < 0 then break end
                add(frame.locals, budget, ("...[%d]"):format(n), v)
            end
        end
        level = level + 1
    end
    return list
end

-- Frames of a traceback as text, "\tscripts/main.lua:6: in …": without locals.
function frames.parse(traceback)
    local list = {}
    for source, line, name in traceback:gmatch("\t([^\n]-):(%d+): in ([^\n]*)") do
        list[#list + 1] = { source = source, line = tonumber(line), name = name, kind = "site",
            locals = {} }
    end
    return list
end

return frames
