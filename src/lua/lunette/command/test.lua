-- `lunette test`: runs the tests of one file, in a process of its own (app/trial.h), and prints what
-- comes of them.

local console = require "lunette.console"
local errors = require "lunette.errors"
local report = require "lunette.test_report"
local suite = require "lunette.test_suite"
local task = require "lunette.task"
local trial = require "lunette.trial"

local LOADING = 60 -- seconds that the code outside of tests may take

-- A failure whose message begins with its place: the one that it has, or the innermost of the traceback.
local function told(message, traceback, fallback)
    local place = message:match("^(%S+%.lua:%d+): ")
    if not place then
        place = traceback:match("^%s*(%S+%.lua:%d+): ") or fallback
        message = place .. ": " .. message
    end
    return { message = message, place = place, traceback = traceback }
end

-- Runs fn in a coroutine of its own, for so many seconds at most. nil when all is well, else
-- { message =, place =, traceback = }.
local function run(fn, seconds, fallback)
    local failure = nil
    local function body()
        local ok, e = xpcall(fn, errors.on_raise)
        if ok then return true end
        failure = errors.failure(e)
        return false
    end
    local ok, done, why = pcall(task.timeout, seconds, body)
    if not ok then return told(errors.text_of(done), "", fallback) end -- cut, or out of memory
    if done then return nil end
    if why ~= "timeout" then return told(failure.message, failure.traceback, fallback) end
    task.sleep(0) -- it ends in a later turn, and tells where it waited
    task.sleep(0)
    return told(("the test took longer than its timeout of %g s"):format(seconds),
        failure and failure.traceback or "", fallback)
end

local function start_anew()
    local ok, why = trial.reset()
    if not ok then error("the folder of the data cannot be made as it was: " .. why, 0) end
    for _, fn in ipairs(suite.renew) do fn() end
    trial.log()
end

local function run_test(one)
    trial.begin(report.title(one.name))
    start_anew()
    local failure = run(function()
        for _, fn in ipairs(suite.before) do fn() end
        one.fn()
    end, one.timeout, one.place)
    for _, fn in ipairs(suite.renew) do fn() end
    report.result(trial.count(not failure), one.name, failure, failure and trial.log())
    return not failure
end

-- The file itself: it declares its tests. false, told, when it fails.
local function load_file()
    local chunk, why = trial.load(trial.file)
    local failure = not chunk and told(why, "", trial.file)
        or run(chunk, LOADING, trial.file)
    suite.closed = true
    if not failure then
        for _, fn in ipairs(suite.renew) do fn() end -- databases are closed for it
        local ok, mirror = trial.keep()
        if not ok then failure = told("data/ cannot be kept: " .. mirror, "", trial.file) end
    end
    if not failure then return true end
    report.result(trial.count(false), "the file is loaded", failure, trial.log())
    return false
end

return function(given)
    if given.error then
        report.bail_out(given.error, trial.log())
        return 1
    end
    package.path = ("%s;%s/tests/?.lua"):format(package.path, console.site)
    trial.started(report.title "the file itself")
    report.file(trial.file)
    local good = load_file()
    for _, one in ipairs(good and suite.tests or {}) do good = run_test(one) and good end
    trial.over()
    return good and 0 or 1
end
