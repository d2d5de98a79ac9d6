-- `lunette repl`: a prompt for Lua inside the loaded site.
--
-- Each piece of code runs in a task of its own, so that it may wait and Control-C can end it. Names that
-- it assigns are kept in a table of the prompt's, and do not count as globals of the site.

local app = require "lunette"
local console = require "lunette.console"
local errors = require "lunette.errors"
local json = require "lunette.json"
local set = require "lunette.words"
local show = require "lunette.show"
local task = require "lunette.task"

local CODE_MAX = 1 << 20 -- bytes of one piece of code, over all its lines
local BOUNDS = { line = 76, names = { [json.null] = "json.null" } } -- of a value that is printed

-- The modules of a site's author, by their last names.
local MODULES = set [[json cookie url html template cache session csrf cors auth limit secure validate
    crypto mime gzip time task sqlite http socket redis pg channel log test]]

local function print_line(...)
    local out = {}
    for i = 1, select("#", ...) do out[i] = tostring((select(i, ...))) end
    console.write(table.concat(out, "\t") .. "\n")
end

-- What is at hand: what was assigned, app, globals, modules of lunette.
local function new_environment()
    return setmetatable({ app = app }, { __index = function(_, name)
        local v = _G[name]
        if v == nil and MODULES[name] then v = require("lunette." .. name) end
        return v
    end })
end

-- Code as a function; or nil, Lua's complaint, and whether it may be the beginning of something.
local function compile(code, env)
    local fn, as_value = load("return " .. code, "=repl", "t", env)
    if fn then return fn end
    local other, why = load(code, "=repl", "t", env)
    if other then return other end
    if why:find("near <eof>", 1, true) then return nil, why, true end
    if as_value:find("near <eof>", 1, true) then return nil, as_value, true end
    return nil, why, false
end

-- --- running ---

local running -- the handle of the code that runs

local function print_values(values)
    if values.n == 0 then return end
    local out, lines = {}, false
    for i = 1, values.n do
        out[i] = show.text(values[i], BOUNDS)
        lines = lines or out[i]:find("\n", 1, true) ~= nil
    end
    console.write(table.concat(out, lines and "\n" or "\t") .. "\n")
end

local function complain(text)
    console.complain(text .. "\n")
    return false
end

-- Says what the code raised, with the lines that led there.
local function complain_of(e, interrupted)
    local f = errors.failure(e)
    if interrupted then return complain("interrupted") end
    return complain(f.message .. (f.traceback ~= "" and "\n" .. f.traceback or ""))
end

-- Runs it; whether that went well.
local function run(fn)
    local state = { interrupted = false }
    running = state
    state.handle = task.spawn(function()
        console.raise_interrupts(true)
        local results = table.pack(xpcall(fn, errors.on_raise))
        console.raise_interrupts(false)
        if not results[1] then return complain_of(results[2], state.interrupted) end
        print_values(table.pack(table.unpack(results, 2, results.n)))
        return true
    end)
    local joined, good = pcall(state.handle.join, state.handle)
    running = nil
    if joined then return good end
    return complain(state.interrupted and "interrupted" or errors.text_of(good))
end

-- Control-C while code waits ends it. Code that has caught that and goes on can only be ended with the
-- whole prompt: by the second.
local function listen()
    while true do
        console.wait_interrupt()
        if running and running.interrupted then console.die() end
        if running then
            running.interrupted = true
            running.handle:cancel()
        end
    end
end

-- --- reading ---

local function prompt(text)
    if console.interactive then console.write(text) end
end

-- The next piece of code, compiled; false for one that cannot be, after having said so; nil at the end.
local function read(env)
    local lines, size, wanting = {}, 0, nil
    prompt("> ")
    while true do
        local line, why = console.read_line()
        if not line and why == "interrupted" then
            console.write("\n")
            return true
        elseif not line and why then
            return complain(why)
        elseif not line then
            if #lines == 0 then return nil end
            return complain(wanting)
        end
        lines[#lines + 1], size = line, size + #line + 1
        if size > CODE_MAX then return complain(("code has more than %d bytes"):format(CODE_MAX)) end
        local code = table.concat(lines, "\n")
        if #lines == 1 and not code:find("%S") then return true end
        local fn, complaint, unfinished = compile(code, env)
        if fn then return fn end
        if not unfinished then return complain(complaint) end
        wanting = complaint
        prompt(">> ")
        task.sleep(0) -- no single run is to be long
    end
end

local function welcome()
    console.write(("%s: app and the modules of lunette are at hand; Control-D ends\n"):format(
        console.site))
end

return function(given)
    if given.error then
        console.complain("lunette: " .. given.error .. "\n")
        return 1
    end
    if console.interactive then
        welcome()
        console.catch_interrupts()
        task.spawn(listen)
    end
    rawset(_G, "print", print_line) -- what functions of the site print belongs here, too
    local env, good = new_environment(), true
    while true do
        local got = read(env)
        if got == nil then break end
        if type(got) == "function" then got = run(got) end
        good = got
    end
    prompt("\n")
    return (good or console.interactive) and 0 or 1
end
