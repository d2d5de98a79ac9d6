"""Waiting suspends one handler and nobody else; where Lua cannot wait, it says so."""
import concurrent.futures
import re
import time

import pytest
import requests

from conftest import read_all, read_until
from running import Answer, ask, log_of, new_folder, running

MAIN = r"""
    local app = require "lunette"
    local task = require "lunette.task"
    local sleep = task.sleep
    local loaded = require "slow"            -- its chunk waits while the site loads
    local NAP = 0.01

    local function closing(fn) return setmetatable({}, { __close = fn }) end

    local running, most = 0, 0
    app.get("/sleep", function(req)
      running = running + 1
      most = math.max(most, running)
      sleep(tonumber(req.query.s))
      running = running - 1
      return app.text("slept")
    end)
    app.get("/most", function() return app.text(most) end)
    app.get("/fine", function() return app.text("fine") end)
    app.get("/loaded", function() return app.text(loaded.how) end)

    -- /w/NAME: what it returns is the body; it must have waited once at least
    local function w(name, fn)
      app.get("/w/" .. name, function(req) return app.text(tostring((fn(req)))) end)
    end

    w("plain", function() return select("#", sleep(NAP)) end)
    w("durations", function() sleep(0) sleep("10ms") sleep(0.001) return "ok" end)
    w("pcall", function()
      local ok, a, b = pcall(function() sleep(NAP) return 1, 2 end)
      local bad, e = pcall(function() sleep(NAP) error("inner", 0) end)
      return table.concat({ tostring(ok), a, b, tostring(bad), e }, " ")
    end)
    w("xpcall", function()
      local function handler(m) return "handled " .. m end
      local ok, e = xpcall(function() sleep(NAP) error("inner", 0) end, handler)
      return tostring(ok) .. " " .. e
    end)
    w("iterator", function()
      local sum = 0
      local function next_one(_, i) sleep(0.001) return i < 5 and i + 1 or nil end
      for i in next_one, nil, 0 do sum = sum + i end
      return sum
    end)
    w("pairs", function()
      local function slowly() sleep(NAP) return next, { a = 1 }, nil end
      for k in pairs(setmetatable({}, { __pairs = slowly })) do return k end
    end)
    w("metamethods", function()
      local meta = {}
      for _, event in ipairs { "add", "sub", "mul", "div", "mod", "pow", "unm", "idiv", "band",
          "bor", "bxor", "shl", "shr", "bnot", "concat", "len", "eq", "lt", "le", "index",
          "call" } do
        meta["__" .. event] = function() sleep(0.001) return 7 end
      end
      local stored
      meta.__newindex = function(_, _, v) sleep(0.001) stored = v end
      local a, b = setmetatable({}, meta), setmetatable({}, meta)
      local sum = a + b + (a - b) + a * b + a / b + a % b + a ^ b + (-a) + a // b + (a & b)
        + (a | b) + (a ~ b) + (a << b) + (a >> b) + (~a) + (a .. b) + #a + a.field + a()
      a.x = 5
      assert(a == b and a < b and a <= b and not (a ~= b))
      return ("%d %d"):format(sum, stored)
    end)
    w("close", function()
      local out = {}
      do
        local x <close> = closing(function() sleep(NAP) out[#out + 1] = "x" end)
        local y <close> = closing(function() sleep(NAP) out[#out + 1] = "y" end)
        out[#out + 1] = "body"
      end
      return table.concat(out, " ")
    end)
    w("close/error", function()
      local out = {}
      local ok, e = pcall(function()
        local x <close> = closing(function(_, e) sleep(NAP) out[1] = e end)
        error("why", 0)
      end)
      return tostring(ok) .. e .. out[1]
    end)
    app.get("/raise", function()
      local x <close> = closing(function(_, e)
        print("close was given " .. type(e) .. " " .. e.code)
      end)
      error({ code = 17 })
    end)
    w("close/break", function()
      local n = 0
      for _ in function() sleep(0.001) return 1 end, nil, nil,
          closing(function() sleep(NAP) n = n + 1 end) do break end
      return n
    end)
    w("require", function()
      package.loaded.slow = nil
      return require("slow").how .. (require("slow") == require("slow") and " once" or "")
    end)
    w("dofile", function() return dofile(app.settings.chunk) end)
    w("load", function() return load("local s = ... s(0.01) return 'chunk'")(sleep) end)
    w("tail", function() return sleep(NAP) end)
    w("deep", function()
      local function down(n) if n == 0 then sleep(NAP) return 0 end return 1 + down(n - 1) end
      return down(1000)
    end)
    w("pcall/nested", function()
      local function down(n)
        if n == 0 then sleep(NAP) return 0 end
        local ok, v = pcall(down, n - 1)
        assert(ok, v)
        return v + 1
      end
      return down(50)
    end)

    -- the author's own coroutines
    w("co/resume", function()
      local co = coroutine.create(function(a)
        sleep(NAP)
        local b = coroutine.yield(a + 1)
        sleep(NAP)
        return b * 2
      end)
      local ok1, v1 = coroutine.resume(co, 1)
      local between = coroutine.status(co)
      local ok2, v2 = coroutine.resume(co, 10)
      return ("%s %d %s %s %d %s"):format(ok1, v1, between, ok2, v2, coroutine.status(co))
    end)
    w("co/wrap", function()
      local f = coroutine.wrap(function() for i = 1, 3 do sleep(0.001) coroutine.yield(i) end end)
      return f() + f() + f()
    end)
    w("co/generator", function()
      local function count(n)
        return coroutine.wrap(function()
          for i = 1, n do sleep(0.001) coroutine.yield(i, i * i) end
        end)
      end
      local sum = 0
      for i, square in count(4) do sleep(0.001) sum = sum + i * 100 + square end
      return sum
    end)
    w("co/nested", function()
      local outer = coroutine.wrap(function()
        local inner = coroutine.wrap(function()
          local innermost = coroutine.wrap(function()
            sleep(NAP) coroutine.yield "c" sleep(NAP) return "d"
          end)
          coroutine.yield("b" .. innermost())
          sleep(NAP)
          return "e" .. innermost()
        end)
        coroutine.yield("a" .. inner())
        return inner()
      end)
      return outer() .. outer()
    end)
    w("co/error", function()
      local co = coroutine.create(function() sleep(NAP) error("inside", 0) end)
      local ok, e = coroutine.resume(co)
      return tostring(ok) .. " " .. e .. " " .. coroutine.status(co)
    end)
    w("co/close", function()
      local closed
      local co = coroutine.create(function()
        local x <close> = closing(function() closed = "closed" end)
        sleep(NAP)
        coroutine.yield()
      end)
      coroutine.resume(co)
      return tostring(coroutine.close(co)) .. closed
    end)
    w("co/pcall", function()
      local co = coroutine.wrap(function()
        return pcall(function() sleep(NAP) coroutine.yield "y" sleep(NAP) error("e", 0) end)
      end)
      local y = co()
      local ok, e = co()
      return y .. tostring(ok) .. e
    end)
    local begun                            -- begun in one request, gone on with in another
    w("co/begin", function()
      begun = coroutine.create(function() sleep(NAP) coroutine.yield(1) sleep(NAP) return 2 end)
      return select(2, coroutine.resume(begun))
    end)
    w("co/go_on", function() return select(2, coroutine.resume(begun)) end)

    -- where Lua cannot wait
    local function no(name, fn) app.get("/no/" .. name, fn) end
    no("sort", function()
      table.sort({ 3, 2, 1 }, function(a, b) sleep(NAP) return a < b end)
      return 204
    end)
    app.post("/no/read", { stream_body = true }, function(req)
      table.sort({ 3, 2, 1 }, function(a, b) req:read(1) return a < b end)
      return 204
    end)
    no("gsub", function() return (("abc"):gsub("%w", function() sleep(NAP) end)) end)
    no("tostring", function()
      return tostring(setmetatable({}, { __tostring = function() sleep(NAP) return "x" end }))
    end)
    no("load", function() return assert(load(function() sleep(NAP) return nil end))() end)
    no("gc", function()
      local seen
      do setmetatable({}, { __gc = function() seen = select(2, pcall(sleep, NAP)) end }) end
      collectgarbage() collectgarbage()
      error(seen, 0)
    end)
    no("handler", function()
      local _, e = xpcall(error, function() local _, m = pcall(sleep, NAP) return m end)
      error(e, 0)
    end)
    no("concat", function()
      return table.concat(setmetatable({}, { __len = function() return 1 end,
        __index = function() sleep(NAP) return "x" end }))
    end)
    no("insert", function()
      table.insert(setmetatable({}, { __len = function() sleep(NAP) return 0 end }), 1)
      return 204
    end)

    -- a client that leaves
    app.get("/leave", function()
      local x <close> = closing(function(_, e)
        print("left: " .. tostring(e))
        sleep(NAP)                       -- a clean-up may wait
        print("cleaned up")
      end)
      sleep(60)
      print("never here")
    end)
    app.get("/leave/pcall", function()
      local ok, e = pcall(sleep, 60)
      print("caught: " .. tostring(ok) .. " " .. tostring(e))
      return 204
    end)
    app.get("/leave/co", function()
      local x <close> = closing(function() print("outer closed") end)
      coroutine.wrap(function()
        local y <close> = closing(function() print("inner closed") end)
        sleep(60)
      end)()
    end)

    -- tasks
    app.get("/spawn", function()
      task.spawn(function(a, b) sleep(0.05) print("spawned " .. a .. b) end, "x", "y")
      task.spawn(function() sleep(0.01) error("spawned badly") end)
      return app.text("at once")
    end)
    w("join", function()
      local h = task.spawn(function(...) sleep(NAP) return select("#", ...), ... end, "a", nil, "c")
      local n, a, b, c = h:join()
      local again = h:join()
      return table.concat({ n, a, tostring(b), c, again }, " ")
    end)
    w("join/error", function()
      local h = task.spawn(function() sleep(NAP) error({ code = 5 }) end)
      local ok, e = pcall(h.join, h)
      return tostring(ok) .. e.code
    end)
    w("cancel", function()
      local closed
      local h = task.spawn(function()
        local x <close> = closing(function() closed = "closed" end)
        sleep(60)
      end)
      sleep(NAP)
      h:cancel()
      local ok, e = pcall(h.join, h)
      return tostring(ok) .. " " .. tostring(e):match("cancelled") .. " " .. closed
    end)
    w("all", function()
      local r = task.all {
        function() sleep(0.03) return "a" end,
        function() sleep(0.01) return "b" end,
        function() return "c" end,
      }
      return table.concat(r)
    end)
    w("all/error", function()
      local cancelled
      local ok, e = pcall(task.all, {
        function() sleep(NAP) error("first", 0) end,
        function()
          local x <close> = closing(function() cancelled = "cancelled" end)
          sleep(60)
        end,
      })
      sleep(0)
      return tostring(ok) .. " " .. e .. " " .. tostring(cancelled)
    end)
    w("timeout", function()
      local v, why = task.timeout(0.02, function() sleep(60) return "late" end)
      local w = task.timeout(60, function() sleep(NAP) return "in time" end)
      return tostring(v) .. " " .. why .. " " .. w
    end)
    w("timeout/error", function()
      return select(2, pcall(task.timeout, 60, function() sleep(NAP) error("raised", 0) end))
    end)
    w("misuse", function()
      local out = {}
      for i, fn in ipairs { function() sleep(-1) end, function() sleep "5 apples" end,
          function() sleep() end, function() task.spawn(5) end, function() task.all { 1 } end,
          function() task.timeout(1) end } do
        local ok, e = pcall(fn)
        out[i] = tostring(ok) .. (e:find("^scripts/main.lua:%d+:") and "+" or "-")
      end
      return table.concat(out, " ")
    end)
"""
SLOW = """
    local task = require "lunette.task"
    task.sleep(0.02)
    return { how = "loaded slowly" }
"""
CHUNK = "require 'lunette.task'.sleep(0.01) return 'done'\n"


@pytest.fixture(scope="module")
def site():
    chunk = new_folder() / "chunk.lua"
    chunk.parent.chmod(0o755)
    chunk.write_text(CHUNK)
    files = {"scripts/main.lua": MAIN, "scripts/slow.lua": SLOW,
             "scripts/config.lua": f"""return {{
                 site = {{ chunk = "{chunk}" }}, sandbox = {{ read = {{ "{chunk}" }} }},
             }}"""}
    with running(files, "--workers", "1") as server:
        yield server


def test_sleeping_handlers_wait_side_by_side(site):
    """Twenty handlers of one worker sleep about as long as one, and others are served meanwhile."""
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(ask, site, "/sleep?s=1") for _ in range(20)]
        while int(ask(site, "/most").body) < 20:
            assert time.monotonic() - start < 10
        assert not any(a.done() for a in answers) or time.monotonic() - start > 1
        assert [a.result().body for a in answers] == [b"slept"] * 20
    assert 1 <= time.monotonic() - start < 10       # one after the other: 20 s


def test_a_module_may_wait_while_the_site_loads(site):
    assert ask(site, "/loaded").body == b"loaded slowly"


WAITS = [
    ("plain", "0"), ("durations", "ok"), ("pcall", "true 1 2 false inner"),
    ("xpcall", "false handled inner"), ("iterator", "15"), ("pairs", "a"),
    ("metamethods", "126 5"), ("close", "body y x"), ("close/error", "falsewhywhy"),
    ("close/break", "1"), ("require", "loaded slowly once"), ("dofile", "done"), ("load", "chunk"),
    ("tail", "nil"), ("deep", "1000"), ("pcall/nested", "50"),
    ("co/resume", "true 2 suspended true 20 dead"), ("co/wrap", "6"), ("co/generator", "1030"),
    ("co/nested", "abced"), ("co/error", "false inside dead"), ("co/close", "trueclosed"),
    ("co/pcall", "yfalsee"), ("join", "3 a nil c 3"), ("join/error", "false5"),
    ("cancel", "false cancelled closed"), ("all", "abc"), ("all/error", "false first cancelled"),
    ("timeout", "nil timeout in time"), ("timeout/error", "raised"),
    ("misuse", "false+ false+ false+ false+ false+ false+"),
]


@pytest.mark.parametrize("name, expected", WAITS)
def test_a_wait_works_in(site, name, expected):
    answer = ask(site, f"/w/{name}")
    assert answer.body.decode() == expected, log_of(site, f"/w/{name}")


def test_close_is_given_the_error_as_it_was_raised(site):
    assert ask(site, "/raise").status == 500
    assert "close was given table 17" in site.errors()


def test_waits_of_many_handlers_do_not_mix(site):
    """Every kind at the same time, over and over, on one worker."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        jobs = [(name, expected, pool.submit(ask, site, f"/w/{name}"))
                for _ in range(4) for name, expected in WAITS if name != "require"]
        for name, expected, job in jobs:
            assert job.result().body.decode() == expected, name


def test_a_coroutine_may_go_on_in_another_request(site):
    assert ask(site, "/w/co/begin").body == b"1"
    assert ask(site, "/w/co/go_on").body == b"2"


OBSTACLES = [
    ("sort", "table.sort"), ("gsub", "string.gsub"), ("tostring", "tostring"), ("load", "load"),
    ("gc", "__gc"), ("handler", "an error handler"), ("concat", "table.concat"),
    ("insert", "table.insert"),
]


@pytest.mark.parametrize("name, where", OBSTACLES)
def test_no_wait_inside(site, name, where):
    assert ask(site, f"/no/{name}").status == 500
    log = log_of(site, f"/no/{name}")
    assert f"cannot wait inside {where}" in log
    assert re.search(r"scripts/main\.lua:\d+: cannot wait inside", log)
    assert ask(site, "/fine").body == b"fine"


def test_the_line_of_a_forbidden_read_is_the_sites(site):
    assert ask(site, "/no/read", method="POST", body=b"abc").status == 500
    assert re.search(r"scripts/main\.lua:\d+: cannot wait inside table\.sort", log_of(site, "/no/read"))


def leave(site, path):
    """Asks, and leaves once the handler surely sleeps."""
    with site.connect() as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert ask(site, "/fine").body == b"fine"


def test_a_client_that_leaves_runs_close(site):
    leave(site, "/leave")
    site.wait_for(r"left: .*the client closed the connection")
    site.wait_for(r"cleaned up")
    leave(site, "/leave/pcall")
    site.wait_for(r"caught: false .*the client closed the connection")
    leave(site, "/leave/co")
    site.wait_for(r"outer closed")
    assert "inner closed" in site.errors()
    assert "never here" not in site.errors()
    assert " 500 GET /leave" not in site.errors()


def test_a_spawned_function_outlives_its_request(site):
    assert ask(site, "/spawn").body == b"at once"
    site.wait_for(r"spawned xy")
    site.wait_for(r"scripts/main\.lua:\d+: spawned badly")


def test_keep_alive_requests_wait_their_turn(site):
    """Pipelined requests are answered in order, though the first one sleeps."""
    with site.connect() as s:
        s.sendall(b"GET /sleep?s=0.05 HTTP/1.1\r\nHost: x\r\n\r\n"
                  b"GET /fine HTTP/1.1\r\nHost: x\r\n\r\n")
        data = read_until(s, b"fine")
    assert data.index(b"slept") < data.index(b"fine")
    assert Answer(data).status == 200


def test_a_stop_waits_for_those_who_sleep(serve):
    """TERM lets a sleeping handler finish and answer."""
    site = serve({"scripts/main.lua": """
        local app, task = require "lunette", require "lunette.task"
        app.get("/", function() print("begins") task.sleep(0.5) return app.text("finished") end)
    """})
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with site.connect() as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            site.wait_for("begins")
            stopped = pool.submit(site.stop)
            assert b"finished" in read_all(s)
        assert stopped.result() == 0


def test_a_handler_over_its_time_is_a_503(serve):
    site = serve({
        "scripts/config.lua": 'return { timeouts = { handler = "100ms" } }',
        "scripts/main.lua": """
            local app, task = require "lunette", require "lunette.task"
            app.get("/", function()
              local closing = { __close = function() print("closed") end }
              local x <close> = setmetatable({}, closing)
              task.sleep(20)
            end)
            app.get("/stubborn", function()
              pcall(task.sleep, 20)
              return app.text("too late")
            end)
        """})
    assert ask(site, "/").status == 503
    assert "closed" in site.errors() and "timeouts.handler" in log_of(site, "/")
    answer = ask(site, "/stubborn")
    assert answer.status == 503 and b"too late" not in answer.body


def test_a_sleep_is_never_short(serve):
    """It counted from the millisecond in which its turn began, however long that had lasted."""
    server = serve({"scripts/main.lua": """
        local app = require "lunette"
        local task, time = require "lunette.task", require "lunette.time"
        app.get("/", function()
          local shortest = 1
          for _ = 1, 20 do
            local begin = time.now()
            while time.now() < begin + 0.005 do end
            begin = time.now()
            task.sleep(0.01)
            shortest = math.min(shortest, time.now() - begin)
          end
          return app.json { shortest = shortest }
        end)
        """}, "--workers", "1")
    assert requests.get(server.url("/")).json()["shortest"] >= 0.01
