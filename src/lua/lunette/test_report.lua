-- What `lunette test` prints of a file: for people, or with --tap in the Test Anything Protocol,
-- version 14.
--
--   tests/notes_test.lua
--     ok    a note is kept
--     FAIL  an empty note is refused
--           tests/notes_test.lua:14: expected 422, got 303
--            14 |     expect(answer.status).equals(422)
--           logged:
--           | info scripts/main.lua:9: hello

local console = require "lunette.console"
local show = require "lunette.show"
local trial = require "lunette.trial"

local report = {}

local LOG_LINES = 40 -- of the last that was logged
local TITLE = 240    -- bytes of a name that the other process knows (TRIAL_TITLE_MAX has room for them)

local function colour(code, text)
    return console.colours and ("\27[%sm%s\27[0m"):format(code, text) or text
end

local function lines_of(text)
    local lines = {}
    for line in (text:gsub("\n+$", "") .. "\n"):gmatch("(.-)\n") do lines[#lines + 1] = line end
    return lines
end

-- Names and messages are the site's: nothing in them may drive the terminal.
local function plain(text)
    text = text:gsub("%c", function(c)
        return c == "\n" and c or c == "\t" and "    " or ("\\x%02x"):format(c:byte())
    end)
    return (text:gsub("\xC2([\x80-\x9F])", function(c) return ("\\u{%02x}"):format(c:byte()) end))
end

local function one_line(text)
    return (plain(text):gsub("\n", "\\n"))
end

-- The name of a test as it is printed: in TAP with its file, and so that nothing in it is a directive.
local function title_of(name)
    if not trial.tap then return one_line(name) end
    return (one_line(("%s: %s"):format(trial.file, name)):gsub("[\\#]", "\\%0"))
end

-- The same for the process that waits for this one, and tells of a test that ends it: cut to what
-- there is room for, whatever its bytes become.
function report.title(name)
    return title_of(show.cut(name, TITLE))
end

-- The line of the test that place names, or nil.
local function source_line(place)
    local name, number = place:match("^(.+%.lua):(%d+)$")
    local file = name and name:sub(1, 1) ~= "/" and io.open(console.site .. "/" .. name)
    if not file then return nil end
    local wanted, n, found = tonumber(number), 0, nil
    for line in file:lines() do
        n = n + 1
        if n == wanted then found = line break end
    end
    file:close()
    return found and ("%4d | %s"):format(wanted, found)
end

-- Records without the time and the process, which are the same for all: "info scripts/main.lua:9: …".
local function log_lines(log)
    local lines = lines_of(log)
    if #lines == 1 and lines[1] == "" then return {} end
    local from = math.max(1, #lines - LOG_LINES + 1)
    local out = { from > 1 and ("logged (the last %d of %d lines):"):format(LOG_LINES, #lines) or "logged:" }
    for i = from, #lines do
        local level, rest = lines[i]:match("^%d+%-%d+%-%d+T%S+Z (%l+) %[%d+%] (.*)$")
        out[#out + 1] = "| " .. (level and level .. " " .. rest:gsub("^%[[^%]%s]+%] ", "") or lines[i])
    end
    return out
end

-- Everything about a failure, line by line.
local function detail(failure, log)
    local out = lines_of(failure.message)
    out[#out + 1] = source_line(failure.place)
    local frames = failure.traceback ~= "" and lines_of(failure.traceback) or {}
    if #frames > 1 then
        for _, frame in ipairs(frames) do out[#out + 1] = frame:gsub("^\t", "  ") end
    end
    for _, line in ipairs(log_lines(log)) do out[#out + 1] = line end
    for i, line in ipairs(out) do out[i] = plain(line) end
    return out
end

-- TAP ------------------------------------------------------------------------------------------------

local function write_tap(number, name, failure, log)
    console.write(("%sok %d - %s\n"):format(failure and "not " or "", number, title_of(name)))
    if not failure then return end
    local out = { "  ---", "  at: " .. one_line(failure.place), "  message: |" }
    for _, line in ipairs(detail(failure, log)) do out[#out + 1] = "    " .. line end
    out[#out + 1] = "  ...\n"
    console.write(table.concat(out, "\n"))
end

-- For people -----------------------------------------------------------------------------------------

local function write_plain(name, failure, log)
    if not failure then
        console.write(("  %s    %s\n"):format(colour("32", "ok"), title_of(name)))
        return
    end
    local out = { ("  %s  %s"):format(colour("31", "FAIL"), title_of(name)) }
    for _, line in ipairs(detail(failure, log)) do out[#out + 1] = "        " .. line end
    console.write(table.concat(out, "\n") .. "\n")
end

-- The results of a file follow.
function report.file(name)
    if not trial.tap then console.write(one_line(name) .. "\n") end
end

-- What became of the test of that name, the number-th of all; failure: nil, or { message, place,
-- traceback }.
function report.result(number, name, failure, log)
    if trial.tap then
        write_tap(number, name, failure, log)
    else
        write_plain(name, failure, log)
    end
end

-- The site cannot be loaded.
function report.bail_out(message, log)
    if trial.tap then console.write("Bail out! the site cannot be loaded\n") end
    local out = { "lunette: the site cannot be loaded: " .. plain(message) }
    for _, line in ipairs(log_lines(log or "")) do out[#out + 1] = plain(line) end
    console.complain(table.concat(out, "\n") .. "\n")
end

return report
