-- lunette.test: the tests of a site, which `lunette test` runs. In tests/notes_test.lua:
--
--   local test = require "lunette.test"
--   local client, expect = test.client, test.expect
--
--   test("a note is kept", function()
--       expect(client.post("/notes", { form = { text = "milk" } }).status).equals(303)
--       expect(client.get("/notes").body).contains("milk")
--   end)
--
-- Every file is run with the site freshly loaded, in a process of its own; within a file the site
-- stays loaded, and what its modules keep in variables stays there. Every test begins with
--   data/    as it was when the site and the file had been loaded: empty but for what they made then.
--            It is a temporary folder; the site's own data/ is left alone. Paths begin with app.data.
--            A database of ":memory:" is no file: it stays as the test before has left it.
--   cache    empty: lunette.cache, kept answers, sessions in the cache, rates of lunette.limit
--   client   without cookies
--   clock    the system's
-- It may wait, for 10 seconds in all unless it has another timeout (the file itself for a minute); Lua
-- that runs for timeouts.cpu without waiting is ended, too. What is logged meanwhile, print included, is
-- shown when it fails, and only then. What a handler has spawned goes on into the next test.
--
-- The site runs as with --dev: app.dev is true, error pages show tracebacks. Folders of sandbox.write are
-- what they are.
--
-- test(name[, {timeout=}], fn)   declares a test; test.test is the same
-- test.before_each(fn)           runs before every test of the file, as part of it
-- test.client                    see test_client.lua; test.new_client() is another visitor's
-- test.expect(x)                 see test_expect.lua
-- test.time(t)                   the clock stands at t (seconds since 1970, UTC, or text like
--                                "2026-01-31T12:00:00Z") until it is set again, or with nil, or the end
--                                of the test, runs. What sees it: lunette.time.now, os.time() and
--                                os.date(), sessions, signatures and tokens, cookies of the client, Date,
--                                and ages of files. What the cache keeps, and rates of lunette.limit, get
--                                older by as much as the clock is moved forward, and never younger.
--                                Waits, timeouts and the log go by the system's.
--
-- require finds modules in scripts/ as in the site, and in tests/.

local errors = require "lunette.errors"
local suggest = require "lunette.suggest"
local units = require "lunette.units"

local misuse, expect, check_options = errors.misuse, errors.expect, errors.check_options

if not package.preload["lunette.trial"] then
    misuse("lunette.test is for the files in tests/, which `lunette test` runs")
end

local suite = require "lunette.test_suite"
local time = require "lunette.time"
local trial = require "lunette.trial"

local test = {
    client = require "lunette.test_client".client,
    new_client = require "lunette.test_client".new,
    expect = require "lunette.test_expect",
}

local TIMEOUT = 10
local OPTIONS = { timeout = true }

local function check_open(what)
    if suite.closed then misuse("%s: tests are declared while their file loads", what) end
end

-- test(name[, {timeout=}], fn)
function test.test(name, opts, fn)
    check_open("test")
    if fn == nil and type(opts) == "function" then fn, opts = opts, nil end
    expect(name, "string", "test: the name")
    expect(fn, "function", "test: the function")
    opts = check_options(opts, OPTIONS, "test")
    local timeout = opts.timeout == nil and TIMEOUT or units.duration(opts.timeout)
    if not timeout then
        misuse('test: timeout must be a duration like 5 or "1m", not %s', errors.kind(opts.timeout))
    end
    local other = suite.named[name]
    if other then misuse("test: %q is the name of the test at %s already", name, other.place) end
    local one = { name = name, fn = fn, timeout = timeout, place = errors.place() or trial.file }
    suite.tests[#suite.tests + 1], suite.named[name] = one, one
end

-- before_each(fn)
function test.before_each(fn)
    check_open("test.before_each")
    expect(fn, "function", "test.before_each: the function")
    suite.before[#suite.before + 1] = fn
end

-- time(t)
function test.time(t)
    if type(t) == "string" then
        local seconds, why = time.parse_iso(t)
        if not seconds then misuse("test.time: %q is %s", t, why) end
        t = seconds
    end
    if t ~= nil then expect(t, "number", "test.time: the time") end
    if t and not (t >= 0 and t < 253402300800) then
        misuse("test.time: %s is not a time between 1970 and the year 9999", tostring(t))
    end
    trial.clock(t)
end
suite.renew[#suite.renew + 1] = function() trial.clock(nil) end

local known = {}
for name in pairs(test) do known[name] = true end

return setmetatable(test, {
    __call = function(_, ...) test.test(...) end,
    __index = function(_, name)
        misuse("test.%s is unknown%s", tostring(name), suggest.hint(name, known))
    end,
})
