-- app.every, app.at and app.at_start: background work, declared while main.lua loads. It runs in one
-- worker of the server, and in another one when that dies; with each_worker in each of them. Nothing
-- of it runs before the scripts are in use: not in a check, nor where they are only loaded.
--
-- A piece of work never overlaps itself. Each run is a coroutine that may wait, bounded by timeouts.cpu
-- (not by timeouts.handler). What it raises is in the log with the place of the declaration, and
-- the next run comes all the same. When a reload takes new scripts into use, nothing more of the old
-- ones begins; runs under way have 5 seconds (half a second with --dev), then their wait raises. The
-- work of the new scripts begins once they are over.

local errors = require "lunette.errors"
local timer = require "lunette.timer"
local units = require "lunette.units"

local misuse, expect, check_options = errors.misuse, errors.expect, errors.check_options

local timers = {}

-- "app.every at scripts/main.lua:6", as the log names it.
local function name(what)
    return ("%s at %s"):format(what, errors.place() or "?")
end

local function check_work(fn, what)
    expect(fn, "function", what .. ": the work")
end

local function flags(opts, known, what)
    opts = check_options(opts, known, what)
    for key in pairs(opts) do expect(opts[key], "boolean", what .. ": " .. key) end
    return opts
end

local function declared(what, ok, why)
    if not ok then misuse("%s: %s", what, why) end
end

local EVERY_OPTIONS = { each_worker = true, at_once = true }

-- app.every(seconds or "5m", fn[, {each_worker=, at_once=}]): at a fixed rate, first after one
-- interval, or with at_once at the beginning. The rate counts from then on, so that it does not drift;
-- times that fall into a run are left out and not made up for.
function timers.every(interval, fn, opts)
    local seconds = units.duration(interval)
    if not seconds or seconds < 0.001 or seconds > 1e10 then
        misuse('app.every: the interval must be a duration of a millisecond or more, like 5, 0.25 or '
            .. '"5m", not %s', errors.kind(interval))
    end
    check_work(fn, "app.every")
    opts = flags(opts, EVERY_OPTIONS, "app.every")
    declared("app.every",
        timer.every(name "app.every", fn, seconds, opts.each_worker, opts.at_once))
end

-- app.at("03:30", fn): each day at that time of the local clock (TZ). A time that a change of the clock
-- skips comes with the next minute that there is, one that comes twice counts once. A time that
-- was missed, since the clock was set or workers changed, comes late, up to an hour.
function timers.at(time, fn, opts)
    if type(time) ~= "string" or not time:find "^%d%d?:%d%d$" then
        misuse('app.at: the time must be a time of day from "00:00" to "23:59", not %s',
            errors.kind(time))
    end
    check_work(fn, "app.at")
    if opts ~= nil then misuse("app.at takes a time and a function, and no options") end
    local ok, why = timer.daily(name "app.at", fn, time)
    if not ok and why == "no time of day" then
        misuse('app.at: the time must be a time of day from "00:00" to "23:59", not %q', time)
    end
    declared("app.at", ok, why)
end

local START_OPTIONS = { each_worker = true }

-- app.at_start(fn[, {each_worker=}]): once, when the server has begun to serve, and again with the scripts
-- of each reload. Where the worker dies before fn has returned, another one begins it anew. With
-- each_worker: once in each, also in those that are started later.
function timers.at_start(fn, opts)
    check_work(fn, "app.at_start")
    opts = flags(opts, START_OPTIONS, "app.at_start")
    declared("app.at_start", timer.start(name "app.at_start", fn, opts.each_worker))
end

return timers
