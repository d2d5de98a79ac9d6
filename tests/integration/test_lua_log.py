"""lunette.log: records from scripts, with level, place, request id and fields."""
import re

import pytest

from conftest import eventually
from running import running

MAIN = r"""
    local app = require "lunette"
    local log = require "lunette.log"
    local task = require "lunette.task"
    local levels = { "debug", "info", "warn", "error" }
    for _, level in ipairs(levels) do
      app.get("/" .. level, function() log[level]("at " .. level) return 204 end)
    end
    app.get("/fields", function()
      log.info("with fields", { n = 5, half = 0.5, word = "plain/word", text = 'two "words"',
        empty = "", yes = true, list = { 1, "b" }, map = { z = 1, a = { b = 2 } },
        utf8 = "\xc3\xa9", bad = "\xff", line = "a\nb" })
      return 204
    end)
    app.get("/odd", function()
      local loop = {}
      loop.loop = loop
      local object = setmetatable({ f = print }, { __tostring = function() return "an object" end })
      log.warn("odd", { ["a b"] = 1, f = print, loop = loop, object = object })
      log.warn(setmetatable({}, { __tostring = function()
        log.info("within", { a = 1 })
        return "outer"
      end }), { b = 2 })
      return 204
    end)
    app.get("/many", function()
      local fields = { }
      for i = 1, 100 do fields[("k%03d"):format(i)] = ("x"):rep(1000) end
      log.info("many", fields)
      return 204
    end)
    app.get("/wrong/:how", function(req)
      local how = req.params.how
      local ok, why = pcall(log.error, "x", how == "list" and { 1, 2 } or how == "text" and "y")
      if how == "none" then ok, why = pcall(log.error) end
      return app.text(tostring(why))
    end)
    app.get("/waits", function(req)
      task.sleep(0.05)
      log.info("after a wait", { id = req.id })
      coroutine.wrap(function() log.info("in a coroutine", { id = req.id }) end)()
      task.spawn(function() log.info("spawned") end)
      return 204
    end)
    app.get("/zero/:how", function(req)
      local text = "before\0\27[2J\x9b[2J after"
      if req.params.how == "print" then print(text) end
      if req.params.how == "log" then log.info(text, { a = "\0b" }) end
      if req.params.how == "error" then error(text) end
      if req.params.how == "results" then return nil, text end
      return 204
    end)
    app.get("/forged", function() log.info("a\n2026-01-01T00:00:00.000Z error [1] b") return 204 end)
    """


@pytest.fixture(scope="module")
def site():
    with running({"scripts/main.lua": MAIN}) as server:
        yield server


def test_levels_and_place(site):
    for level in ("debug", "info", "warn", "error"):
        site.get("/" + level)
    for level in ("info", "warn", "error"):
        assert re.search(rf"Z {level} \[\d+\] \[\w{{16}}\] scripts/main\.lua:7: at {level}\n",
                         site.errors())
    assert "at debug" not in site.errors()


def test_debug_is_there_when_asked_for():
    with running({"scripts/main.lua": MAIN,
                  "scripts/config.lua": 'return { log = { level = "debug" } }'}) as server:
        server.get("/debug")
        assert re.search(r"Z debug \[\d+\] \[\w{16}\] scripts/main\.lua:7: at debug\n",
                         server.errors())


def test_fields(site):
    site.get("/fields")
    (line,) = [t for t in site.errors().splitlines() if "with fields" in t]
    assert line.split("with fields ")[1] == (
        r'bad="' + "\ufffd" + r'" empty="" half=0.5 line="a\nb" list=[1,"b"] '
        r'map={"a":{"b":2},"z":1} n=5 text="two \"words\"" utf8="' + "\u00e9"
        + r'" word=plain/word yes=true')


def test_odd_fields(site):
    site.get("/odd")
    (line,) = [t for t in site.errors().splitlines() if ": odd" in t]
    assert re.search(r' "a b"=1 f="function: \S+" ', line)
    assert 'loop="a table that JSON cannot hold" object="an object"' in line
    assert re.search(r": within a=1\n", site.errors())
    assert re.search(r": outer b=2\n", site.errors())


def test_too_many_fields_are_cut_and_say_so(site):
    site.get("/many")
    (line,) = [t for t in site.errors().splitlines() if ": many" in t]
    assert line.endswith(" …") and 30000 < len(line) < 34000


def test_misuse(site):
    assert b"fields have names" in site.get("/wrong/list")
    assert b"table expected, got string" in site.get("/wrong/text")
    assert b"value expected" in site.get("/wrong/none")


def test_the_id_is_that_of_the_request_whose_lua_runs(site):
    site.get("/waits")
    site.wait_for("spawned")
    for what in ("after a wait", "in a coroutine"):
        assert re.search(rf"\[(\w{{16}})\] scripts/main\.lua:\d+: {what} id=\1\n", site.errors())
    id_of = re.search(r"\[(\w{16})\] \S+: after a wait", site.errors())[1]
    assert re.search(rf"info \[\d+\] \[{id_of}\] scripts/main\.lua:\d+: spawned\n", site.errors())


# Each request, and tasks at every depth and what comes after it, also when the request is over by then.
TASKS = """
    local app = require "lunette"
    local log = require "lunette.log"
    local task = require "lunette.task"
    app.get("/many", function(req)
      local id = req.id
      log.info("asked", { id = id })
      req:after(function()
        log.info("after the answer", { id = id })
        task.sleep(0.05)
        task.spawn(function() log.info("long after the answer", { id = id }) end)
        error("after all id=" .. id)
      end)
      task.spawn(function()
        log.info("at once", { id = id })
        task.sleep(0.1)
        log.info("much later", { id = id })
        coroutine.wrap(function() print("printed id=" .. id) end)()
        task.all { function() log.info("in a task's task", { id = id }) end }
        error("broken id=" .. id)
      end)
      task.all { function() task.sleep(0) log.info("for the answer", { id = id }) end }
      assert(task.timeout(5, function() log.info("in time", { id = id }) return true end))
      return 204
    end)
    app.every(0.05, function() task.spawn(function() log.info("nobody asked") end) end)
    """
IN_TASKS = ["asked", "at once", "much later", "printed", "in a task's task", "for the answer", "in time",
            "broken", "after the answer", "long after the answer", "after all"]


def test_what_tasks_and_req_after_log_has_the_id_of_the_request():
    with running({"scripts/main.lua": TASKS}, "--workers", "1") as server:
        for _ in range(3):
            server.get("/many")
        eventually(lambda: server.errors().count("broken") == 3 == server.errors().count(": long after"))
        for what in IN_TASKS:
            ids = re.findall(rf"\[(\w{{16}})\] .*: {what} id=\1\n", server.errors())
            assert len(ids) == 3 == len(set(ids)), (what, server.errors())
        assert "a spawned function failed: scripts/main.lua:" in server.errors()
        server.wait_for(r"info \[\d+\] scripts/main\.lua:\d+: nobody asked\n")


LEFT = """
    local app = require "lunette"
    local log = require "lunette.log"
    local task = require "lunette.task"
    app.get("/left", function(req)
      local id = req.id
      local told <close> = setmetatable({}, { __close = function() log.info("closing", { id = id }) end })
      log.info("asked", { id = id })
      pcall(task.sleep, 600)
      log.info("caught", { id = id })
      task.spawn(function() log.info("spawned", { id = id }) end)
    end)
    """


def test_what_is_logged_when_the_client_has_left_has_the_id_of_its_request():
    with running({"scripts/main.lua": LEFT}, "--workers", "1") as server:
        with server.wire() as wire:
            wire.get("/left")
            server.wait_for("asked")
        for what in ("caught", "closing", "spawned"):
            server.wait_for(what)
            assert re.search(rf"\[(\w{{16}})\] \S+: {what} id=\1\n", server.errors()), server.errors()


def test_a_record_cannot_be_forged(site):
    site.get("/forged")
    assert re.search(r": a\n\t2026-01-01", site.errors())


@pytest.mark.parametrize("how, more", [("print", ""), ("log", r' a="\\u0000b"'), ("error", ".*"),
                                       ("results", ".*")])
def test_a_zero_byte_hides_nothing(site, how, more):
    """What others have sent may have one: what is behind it is in the record all the same, and what a
    terminal would follow is not."""
    before = len(site.errors())
    site.get(f"/zero/{how}")
    said = r"before\\x00\\x1b\[2J\\x9b\[2J after" + more + r"\n"
    eventually(lambda: re.search(said, site.errors()[before:]))
