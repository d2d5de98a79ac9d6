"""timeouts.cpu: Lua that runs without waiting is ended, wherever it is; nobody else notices.

The bounds in time are wide: an end must not come early, and has seconds to come late.
"""
import os
import re
import signal
import time

import pytest

from conftest import eventually, together
from running import ask, log_of, make_folder, running, start_fails

CPU = 0.5
CONFIG = {"scripts/config.lua": f"return {{ timeouts = {{ cpu = {CPU}, handler = 20 }} }}"}
SENTENCE = f"Lua ran for longer than timeouts.cpu ({CPU} s) without waiting"

HEAD = """
local app = require "lunette"
local task = require "lunette.task"
local crypto = require "lunette.crypto"
local id = crypto.token(8)
local function spin() while true do end end
local function stubborn() while true do pcall(spin) end end
app.get("/hello", function() return app.text "hello" end)
app.get("/who", function() return app.text(id) end)
app.get("/nap", function() task.sleep(2.5) return app.text(id) end)
"""

# Handlers that never come back by themselves: the body of each.
ENDLESS = {
    "while": "while true do end",
    "goto": "::again:: goto again",
    "numeric-for": "for i = 1, math.huge do end",
    "call": "spin()",
    "tail-call": "local function f() return f() end return f()",
    "pcall": "while true do pcall(function() while true do end end) end",
    "pcall-pcall": "while true do pcall(pcall, pcall, spin) end",
    "xpcall": "while true do xpcall(spin, function(e) return e end) end",
    "xpcall-handler-loops": "while true do xpcall(error, function() while true do end end) end",
    "xpcall-handler-errs": "while true do xpcall(spin, function() error 'again' end) end",
    "wrap": """
      while true do
        pcall(coroutine.wrap(function()
          pcall(coroutine.wrap(function()
            coroutine.wrap(stubborn)()
          end))
        end))
      end""",
    "resume": """
      while true do
        coroutine.resume(coroutine.create(function()
          while true do coroutine.resume(coroutine.create(stubborn)) end
        end))
      end""",
    "yields": """
      local next = coroutine.wrap(function() while true do coroutine.yield(1) end end)
      while true do next() end""",
    "index": "return setmetatable({}, { __index = stubborn }).x",
    "lt": "return setmetatable({}, { __lt = stubborn }) < 1",
    "concat": "return setmetatable({}, { __concat = spin }) .. ''",
    "close": "local x <close> = setmetatable({}, { __close = stubborn }) return 'closed'",
    "close-after-error": """
      while true do
        pcall(function()
          local x <close> = setmetatable({}, { __close = spin })
          spin()
        end)
      end""",
    "sort": "while true do pcall(table.sort, { 3, 2, 1 }, spin) end",
    "gsub": "while true do pcall(string.gsub, 'abc', '.', stubborn) end",
    "iterator": "for _ in function() return 1 end do end",
    "load": "load('while true do end', '=scripts/main.lua')()",
    "rep": "while true do local s = ('x'):rep(100000) end",
    "rep-refused": "while true do pcall(string.rep, 'x', 1 << 30) end",
    "tables": "while true do local t = {} for i = 1, 100 do t[i] = { i } end end",
    "recursion": "local function f(n) return 1 + f(n + 1) end while true do pcall(f, 1) end",
    "tostring": "return tostring(setmetatable({}, { __tostring = spin }))",
    "collect": "while true do collectgarbage 'step' end",
    "json": """
      local json = require "lunette.json"
      while true do json.decode(json.encode { 1, 2, { 3 } }) end""",
    "no-answer-stands": "pcall(spin) return app.text 'nothing happened'",
    "another-error": "pcall(spin) error 'of its own'",
    "abort": "pcall(spin) app.abort(404)",
    "waits-afterwards": "pcall(spin) task.sleep(0.01) return app.text 'nothing happened'",
    "again-and-again": "while true do pcall(spin) task.sleep(0) end",
    "stream": "return app.stream(spin)",
    "stream-caught": "return app.stream(function(write) pcall(spin) write 'fine' end)",
    "task": "return app.text(task.spawn(spin):join())",
}


def endless_site():
    """The files, and the lines of main.lua that each handler stands on."""
    text, lines = HEAD, {}
    for name, body in ENDLESS.items():
        first = text.count("\n") + 1
        text += f'app.get("/{name}", function(req)\n{body}\nend)\n'
        lines[name] = range(first, text.count("\n") + 1)
    return {"scripts/main.lua": text, **CONFIG}, lines


@pytest.fixture(scope="module")
def server():
    with running(endless_site()[0]) as s:
        yield s


LINES = endless_site()[1]


def timed(server, path):
    start = time.monotonic()
    answer = ask(server, path)
    return answer, time.monotonic() - start


@pytest.mark.parametrize("name", ENDLESS)
def test_endless_lua_is_a_503(server, name):
    workers, before = server.workers(), len(server.errors())
    answer, took = timed(server, f"/{name}")
    assert answer.status == 503
    assert b"Service Unavailable" in answer.body
    assert CPU <= took < CPU * (1 if name != "again-and-again" else 2) + 4
    assert server.workers() == workers  # nobody had to be killed
    record = log_of(server, f"/{name}")
    assert " 500 " not in record
    if "waits" in name or "again" in name or name == "task":  # told when it happened
        assert SENTENCE in server.errors()[before:]
        return
    at = re.search(re.escape(SENTENCE) + r"\n\t+scripts/main\.lua:(\d+): in ", record)
    assert at, record
    places = [int(n) for n in re.findall(r"\tscripts/main\.lua:(\d+): in ", record)]
    assert set(places) & set(LINES[name]) or "tail" in name or name == "stream", record
    assert ask(server, "/hello").status == 200


def test_a_loop_that_waits_may_last(serve):
    server = serve({"scripts/main.lua": HEAD + """
        app.get("/long", function()
          local started, turns = os.time(), 0
          while os.time() - started < 3 do task.sleep(0) turns = turns + 1 end
          return app.text(turns > 10 and "many turns" or "few turns")
        end)
        """, **CONFIG})
    assert ask(server, "/long").body == b"many turns"
    assert "timeouts.cpu" not in server.errors()


def test_time_in_which_the_process_stood_still_does_not_count(serve):
    server = serve({"scripts/main.lua": HEAD + """
        app.get("/busy", function()
          local started = os.clock()
          print "busy begun"
          while os.clock() - started < 0.3 do end
          return app.text "done"
        end)
        """, "scripts/config.lua": "return { timeouts = { cpu = 3 } }"}, "--workers", "1")
    worker, = server.workers()
    with server.wire() as w:
        w.get("/busy")
        server.wait_for("busy begun")
        os.kill(worker, signal.SIGSTOP)
        time.sleep(3.5)
        os.kill(worker, signal.SIGCONT)
        assert w.answer().body == b"done"
    assert "timeouts.cpu" not in server.errors()


def test_memory_and_time_hold_together(serve):
    """Bombs are refused, others go on."""
    server = serve({"scripts/main.lua": HEAD + """
        app.get("/grow", function() local t = {} while true do t[#t + 1] = { #t } end end)
        app.get("/rep", function() return ("x"):rep(1 << 30) end)
        app.get("/both", function()
          while true do
            pcall(function() local t = {} while true do t[#t + 1] = ("x"):rep(9999) .. #t end end)
          end
        end)
        """, "scripts/config.lua": f"""return {{ timeouts = {{ cpu = {CPU} }},
          limits = {{ request_memory = "16M", lua_memory = "64M" }} }}"""})

    def others():
        for _ in range(20):
            assert ask(server, "/hello").body == b"hello"
    workers = server.workers()
    statuses = []
    together(others, *[lambda p=p: statuses.append(ask(server, p).status)
                       for p in ("/grow", "/rep", "/both") * 2])
    assert statuses == [503] * 6
    assert server.workers() == workers


def test_many_at_once_hold_nobody_up_for_long(serve):
    server = serve({"scripts/main.lua": HEAD + 'app.get("/spin", spin)\n', **CONFIG})

    def others():
        for _ in range(5):
            assert ask(server, "/hello").body == b"hello"

    def endless():
        with server.wire(60) as w:
            assert w.get("/spin").answer().status == 503
            assert w.get("/hello").answer().body == b"hello"  # the connection goes on
    together(*[endless] * 20, *[others] * 2)
    assert server.errors().count(SENTENCE) == 20


def test_a_stream_that_has_begun_breaks_off(serve):
    server = serve({"scripts/main.lua": HEAD + """
        app.get("/begun", function()
          return app.stream(function(write)
            write "the beginning"
            task.sleep(0.05)
            while true do end
          end)
        end)
        app.get("/caught", function()
          return app.stream(function(write)
            write "the beginning"
            task.sleep(0.05)
            pcall(spin)
            write "the end"
          end)
        end)
        app.get("/stubborn", function()
          return app.stream(function(write) write "the beginning" task.sleep(0.05) stubborn() end)
        end)
        """, **CONFIG})

    def broken(path):
        data = server.get(path)
        assert b"HTTP/1.1 200" in data and b"the beginning" in data
        assert not data.endswith(b"0\r\n\r\n")
        assert SENTENCE in log_of(server, path)
    together(lambda: broken("/begun"), lambda: broken("/caught"), lambda: broken("/stubborn"))


def test_what_nobody_waits_for_is_ended_and_logged_once(serve):
    server = serve({"scripts/main.lua": HEAD + """
        app.get("/after", function(req)
          req:after(function() -- the loop
            while true do end
          end)
          return app.text "answered"
        end)
        app.get("/after-stubborn", function(req) req:after(stubborn) return app.text "answered" end)
        app.get("/spawn", function() task.spawn(spin) return app.text "answered" end)
        app.get("/later", function()
          task.spawn(function() while true do task.sleep(0.01) spin() end end)
          return app.text "answered"
        end)
        """, **CONFIG})
    for n, path in enumerate(("/after", "/after-stubborn", "/spawn", "/later"), 1):
        assert ask(server, path).body == b"answered"
        eventually(lambda n=n: server.errors().count(SENTENCE) == n)
        assert ask(server, "/hello").body == b"hello"
    assert re.search(r"in req:after: scripts/main\.lua:\d+: Lua ran", server.errors())
    assert re.search(r"a spawned function failed: scripts/main\.lua:6: Lua ran", server.errors())


def test_error_pages_have_their_moment_and_no_more(serve):
    def site(page):
        return {"scripts/main.lua": HEAD + f"""
            app.get("/spin", spin)
            app.get("/stubborn", stubborn)
            app.on_error(503, function(req, err) {page} end)
            """, **CONFIG}
    server = serve(site('return app.text("sorry: " .. req.path)'))
    assert ask(server, "/spin").body == b"sorry: /spin"
    assert ask(server, "/stubborn").status == 503  # by its own fault without the page
    server = serve(site("stubborn()"))
    answer, took = timed(server, "/spin")
    assert answer.status == 503 and CPU <= took < CPU + 4
    assert ask(server, "/hello").body == b"hello"


def test_close_variables_run(serve):
    server = serve({"scripts/main.lua": HEAD + """
        app.get("/tidy", function()
          local x <close> = setmetatable({}, { __close = function() print "tidied up" end })
          while true do end
        end)
        """, **CONFIG})
    assert ask(server, "/tidy").status == 503
    server.wait_for("tidied up")


@pytest.mark.parametrize("body", [
    "return xpcall(spin, function(m) return m end)", "return xpcall(spin, debug.traceback)",
    "return pcall(spin)", "pcall(spin)", "return nil, select(2, pcall(spin))"])
@pytest.mark.parametrize("options", ["", "{ use = { function(req, handle) return handle(req) end } }, "])
def test_what_a_cut_handler_returns_is_not_judged(serve, body, options):
    """One record, of the cut; none that says what is wrong with false and a message as an answer."""
    server = serve({"scripts/main.lua": HEAD + f'app.get("/x", {options}function() {body} end)\n',
                    **CONFIG}, "--workers", "1")
    assert ask(server, "/x").status == 503
    records = [line for line in server.errors().splitlines() if " error [" in line]
    assert len(records) == 1, records
    assert f"503 GET /x: scripts/main.lua:6: {SENTENCE}" in records[0]


def test_nor_is_what_one_returns_after_timeouts_handler(serve):
    server = serve({"scripts/main.lua": HEAD + """
        app.get("/x", { timeout = 0.2 }, function() return pcall(task.sleep, 60) end)
        """, **CONFIG}, "--workers", "1")
    assert ask(server, "/x").status == 503
    records = [line for line in server.errors().splitlines() if " error [" in line]
    assert len(records) == 1 and "503 GET /x: the handler took longer than timeouts.handler" in records[0]


def test_dev_shows_where_it_was(serve):
    server = serve({"scripts/main.lua": HEAD + 'app.get("/spin", spin)\n', **CONFIG}, "--dev")
    answer = ask(server, "/spin")
    assert answer.status == 503
    assert b"scripts/main.lua:6: Lua ran for longer than timeouts.cpu" in answer.body


# Where Lua has no hooks, the worker is ended.
HELD = {
    "pattern": ('return tostring(("a"):rep(60):find(("a*"):rep(30) .. "b"))', "in find called"),
    "move": ("table.move({}, 1, 1 << 60, 1)", "in move called"),
    "finalizer": ("setmetatable({}, { __gc = spin }) collectgarbage()", "in __gc"),
}


@pytest.mark.parametrize("name", HELD)
def test_a_worker_that_c_holds_is_replaced(serve, name):
    body, words = HELD[name]
    server = serve({"scripts/main.lua": HEAD + f'app.get("/held", function() {body} end)\n',
                    **CONFIG})
    workers = server.workers()
    wires, ids = [], []
    while len(set(ids)) < 2 or len(wires) < 8:
        wires.append(server.wire(30))
        ids.append(wires[-1].get("/who").answer().body)
        assert len(wires) < 500
    for w in wires:
        w.get("/nap")
    start = time.monotonic()
    assert server.get("/held?x=1") == b""
    assert CPU <= time.monotonic() - start < CPU + 5
    answered, lost = set(), set()
    for w, was in zip(wires, ids):
        with w:
            try:
                alive = w.fill()
            except ConnectionResetError:
                alive = False
            if alive:
                assert w.answer().body == was
                answered.add(was)
            else:
                lost.add(was)
    assert len(answered) == len(lost) == 1 and not answered & lost  # each worker as a whole
    server.wait_for(rf"worker \d+ is ended: .*timeouts\.cpu \({CPU} s\): GET /held\?x=1, "
                    rf"{re.escape(words)}.*scripts/main\.lua:\d+")
    server.wait_for(r"was killed by signal 9 \(SIGKILL\).*; started \d+")
    assert len(eventually(lambda: len(server.workers()) == 2 and server.workers())) == 2
    assert len(set(workers) & set(server.workers())) == 1
    assert ask(server, "/hello").body == b"hello"


@pytest.mark.parametrize("loop, says", [
    ("while true do end", rf"scripts/main\.lua:2: {re.escape(SENTENCE)}\n(.*\n)*.*main\.lua:2: in"),
    ("pcall(function() while true do end end)", r"ran for longer than timeouts\.cpu while they"),
    ("while true do pcall(function() while true do end end) end", re.escape(SENTENCE)),
    ('local _ = (("a"):rep(60)):find(("a*"):rep(30) .. "b")', r"find called at scripts/main\.lua:2"),
], ids=["loop", "caught", "stubborn", "pattern"])
def test_a_load_that_never_ends_is_no_start(loop, says):
    folder = make_folder({"scripts/main.lua": f'local app = require "lunette"\n{loop}\n', **CONFIG})
    assert re.search(says, start_fails(folder, "--workers", "2"))


def test_a_stop_does_not_wait_for_ever_for_finalizers(serve):
    server = serve({"scripts/main.lua": HEAD + "rawset(_G, 'kept', setmetatable({}, { __gc = spin }))",
                    **CONFIG})
    assert ask(server, "/hello").status == 200
    server.stop(seconds=10)


def test_a_worker_that_c_holds_ends_without_its_master():
    """It would keep the address from the next server."""
    with running({"scripts/main.lua": """
            local app = require "lunette"
            app.get("/hold", function()
              print "hold begun"
              debug.sethook()
              while true do debug.sethook() end
            end)
            """, **CONFIG}, "--workers", "1") as server:
        worker, = server.workers()
        with server.wire() as wire:
            wire.get("/hold")
            server.wait_for("hold begun")
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait()
            eventually(lambda: not os.path.exists(f"/proc/{worker}"), 10)
