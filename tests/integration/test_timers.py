"""Background work: app.every, app.at and app.at_start. What runs where is read from the log, whose
records have the worker's pid."""
import contextlib
import os
import re
import signal
import subprocess
import time

import pytest

from conftest import LUNETTE, eventually
from running import ask
from test_replace import SITE as REPLACED_SITE, start  # noqa: F401 (a fixture)

HEAD = """
    local app = require "lunette"
    local task = require "lunette.task"
    """


def put(server, name, text):
    path = server.folder / name
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def said(server, word):
    """The records of print(word …), as (pid, text) in their order."""
    return [(int(pid), text) for pid, text in
            re.findall(rf"info \[(\d+)\](?: \[\w+\])? \S+:\d+: ({word}.*)", server.errors())]


def pids(server, word):
    return {pid for pid, _ in said(server, word)}


def reload(server, number):
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(rf"reloaded \({number}\), in \d+ ms")


def assert_never_two(events):
    """begin and end take turns."""
    for before, after in zip(events, events[1:]):
        assert before != after, events


TICKS = {"scripts/main.lua": HEAD + """
    app.every(0.05, function() print "tick one" end)
    app.every("50ms", function() print "own" end, { each_worker = true })
    app.get("/", function() return app.text "here" end)
    """}


def test_one_worker_does_it(serve):
    server = serve(TICKS, "--workers", "4")
    eventually(lambda: len(said(server, "tick")) >= 10 and len(pids(server, "own")) == 4)
    assert len(pids(server, "tick")) == 1
    assert pids(server, "own") == set(server.workers())


def test_another_takes_over(serve):
    server = serve(TICKS, "--workers", "3")
    gone = set()
    for _ in range(3):
        eventually(lambda: pids(server, "tick") - gone)
        assert len(pids(server, "tick") - gone) == 1
        leader, = pids(server, "tick") - gone
        gone.add(leader)
        os.kill(leader, signal.SIGKILL)
        eventually(lambda: pids(server, "tick") - gone, 5)
    order = [pid for pid, _ in said(server, "tick")]  # each its own time: they never take turns
    assert len([1 for a, b in zip(order, order[1:]) if a != b]) == len(set(order)) - 1
    eventually(lambda: pids(server, "own") >= set(server.workers()))


def test_the_only_worker_is_replaced(serve):
    server = serve(TICKS, "--workers", "1")
    eventually(lambda: said(server, "tick"))
    old, = server.workers()
    os.kill(old, signal.SIGKILL)
    eventually(lambda: pids(server, "tick") - {old})


def test_a_reload_swaps_it(serve):
    server = serve(TICKS, "--workers", "2")
    eventually(lambda: said(server, "tick"))
    leader = said(server, "tick")[0][0]
    put(server, "scripts/main.lua", TICKS["scripts/main.lua"].replace("tick one", "tick two"))
    reload(server, 1)
    eventually(lambda: len([1 for _, text in said(server, "tick") if text == "tick two"]) > 5)
    texts = [text for _, text in said(server, "tick")]
    assert "tick one" not in texts[texts.index("tick two"):]
    assert pids(server, "tick") == {leader}


def test_a_reload_that_fails_changes_nothing(serve):
    server = serve(TICKS, "--workers", "2")
    put(server, "scripts/main.lua", TICKS["scripts/main.lua"].replace("one", "two") + "error 'no'")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("came to nothing")
    n = len(said(server, "tick"))
    eventually(lambda: len(said(server, "tick")) > n + 3)
    assert {text for _, text in said(server, "tick")} == {"tick one"}


def test_twenty_reloads_leave_one_of_it(serve):
    server = serve({"scripts/main.lua": HEAD + """
        local big = ("x"):rep(2^20)
        app.every(0.2, function() print "tick" return #big end)
        app.every(3600, function() return #big end)
        app.at("03:30", function() return #big end)
        app.get("/", function() return app.text "here" end)
        """, "scripts/config.lua": 'return { metrics = "/metrics" }'}, "--workers", "2")

    def memory():
        text = ask(server, "/metrics").body.decode()
        return sum(float(n) for n in re.findall(r"^lunette_lua_memory_bytes\S* (\S+)", text, re.M))

    reload(server, 1)
    small = eventually(memory)
    for i in range(2, 21):
        reload(server, i)
    n = len(said(server, "tick"))
    began = time.monotonic()
    time.sleep(2)
    took = time.monotonic() - began
    assert 1 <= len(said(server, "tick")) - n <= took / 0.2 + 2
    assert len(pids(server, "tick")) == 1
    eventually(lambda: memory() < small + 3 * 2**20)  # two workers, and one generation more perhaps


def test_it_never_overlaps_itself(serve):
    server = serve({"scripts/main.lua": HEAD + """
        app.every(0.02, function() print "run begins" task.sleep(0.1) print "run ends" end)
        """}, "--workers", "2")
    eventually(lambda: len(said(server, "run")) >= 12)
    assert_never_two([text for _, text in said(server, "run")])
    reload(server, 1)  # while one is under way, most likely
    eventually(lambda: len(said(server, "run")) >= 40)
    assert_never_two([text for _, text in said(server, "run")])


def test_what_falls_into_a_run_is_left_out(serve):
    server = serve({"scripts/main.lua": HEAD + """
        local time, began, first = require "lunette.time", nil, true
        app.every(0.5, function()
          began = began or time.now()
          print(("at %.2f"):format(time.now() - began))
          if first then first = false task.sleep(1.2) end
        end, { at_once = true })
        """}, "--workers", "1")
    eventually(lambda: len(said(server, "at")) >= 4)
    times = [float(text.split()[1]) for _, text in said(server, "at")]
    assert times[1] >= 1.2, times  # after the first run, and one alone
    assert times[2] - times[1] >= 0.1 and times[3] >= 2.1, times


def test_at_once_and_after_an_interval(serve):
    server = serve({"scripts/main.lua": HEAD + """
        app.every("1h", function() print "now" end, { at_once = true })
        app.every("1h", function() print "later" end)
        app.every(0.3, function() print "soon" end)
        """}, "--workers", "2")
    eventually(lambda: len(said(server, "soon")) >= 2)
    assert len(said(server, "now")) == 1 and not said(server, "later")


def test_at_start_runs_once_for_each_scripts(serve):
    server = serve({"scripts/main.lua": HEAD + """
        print "loaded"
        app.at_start(function() task.sleep(0.01) print "started" end)
        app.at_start(function() print "own start" end, { each_worker = true })
        app.at_start(function() error "cannot" end)
        app.get("/", function() return app.text "here" end)
        """}, "--workers", "2")
    eventually(lambda: len(said(server, "started")) == 1 and len(said(server, "own start")) == 2)
    assert ask(server, "/").body == b"here"
    server.wait_for(r"app\.at_start at scripts/main\.lua:8 failed: scripts/main\.lua:8: cannot")
    reload(server, 1)
    eventually(lambda: len(said(server, "started")) == 2 and len(said(server, "own start")) == 4)
    assert len(said(server, "loaded")) == 5  # by the checker too, which starts nothing
    assert pids(server, "started") | pids(server, "own start") <= set(server.workers())
    leader = said(server, "started")[-1][0]
    os.kill(leader, signal.SIGKILL)
    eventually(lambda: len(said(server, "own start")) == 5)
    time.sleep(0.5)
    assert len(said(server, "started")) == 2  # it was over: the next worker has nothing to do


def test_what_at_start_began_is_taken_over(serve):
    server = serve({"scripts/main.lua": HEAD + """
        app.at_start(function() print "short" end)
        app.at_start(function()
          print "loop"
          while true do task.sleep(0.05) end
        end)
        """}, "--workers", "2")
    first = eventually(lambda: said(server, "loop") and said(server, "short"))[0][0]
    os.kill(said(server, "loop")[0][0], signal.SIGKILL)
    eventually(lambda: len(said(server, "loop")) == 2)
    assert said(server, "loop")[1][0] != first
    assert len(said(server, "short")) == 1


def test_scripts_that_fail_to_load_start_nothing(serve):
    server = serve({"scripts/main.lua": HEAD + 'app.get("/", function() return "" end)'})
    put(server, "scripts/main.lua", HEAD + 'app.at_start(function() print "started" end) error "no"')
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("came to nothing")
    put(server, "scripts/main.lua", HEAD + 'app.at_start(function() print "started" end)')
    reload(server, 2)
    eventually(lambda: said(server, "started"))
    assert len(said(server, "started")) == 1


def test_errors_are_logged_and_the_next_run_comes(serve):
    server = serve({"scripts/main.lua": HEAD + """
        local function deep() error "oh no" end
        app.every(0.05, function()
          print "run"
          deep()
        end)
        app.every(0.05, function() error({ code = 5 }) end)
        app.every(0.05, function() while true do end end)
        """, "scripts/config.lua": "return { timeouts = { cpu = 0.3 } }"}, "--workers", "1")
    eventually(lambda: len(said(server, "run")) >= 3)
    record = re.search(r"error \[\d+\] app\.every at scripts/main\.lua:6 failed: "
                       r"scripts/main\.lua:5: oh no\n((?:\t.*\n|stack.*\n)+)", server.errors())
    assert record, server.errors()
    assert "scripts/main.lua:8: in" in record[1]
    server.wait_for(r"app\.every at scripts/main\.lua:10 failed: table: ")
    server.wait_for(r"app\.every at scripts/main\.lua:11 failed: .*timeouts\.cpu \(0\.3 s\)")


def test_an_endless_loop_ends_with_its_scripts(serve):
    server = serve({"scripts/main.lua": HEAD + """
        app.at_start(function()
          local over <close> = setmetatable({}, { __close = function() print "loop one over" end })
          while true do print "loop one" task.sleep(0.02) end
        end)
        """}, "--dev")
    eventually(lambda: said(server, "loop one"))
    put(server, "scripts/main.lua", HEAD + """
        app.at_start(function() while true do print "loop two" pcall(task.sleep, 0.02) end end)
        """)
    eventually(lambda: len([1 for _, text in said(server, "loop") if text == "loop two"]) > 3)
    texts = [text for _, text in said(server, "loop")]
    two = texts.index("loop two")
    assert texts[two - 1] == "loop one over" and set(texts[two:]) == {"loop two"}
    server.wait_for(r"app\.at_start at scripts/main\.lua:5 still ran 0\.5 s after its scripts went out of use")
    put(server, "scripts/main.lua", HEAD + 'app.at_start(function() print "loop three" end)')
    eventually(lambda: said(server, "loop three"))
    texts = [text for _, text in said(server, "loop")]
    assert "loop two" not in texts[texts.index("loop three"):]
    server.wait_for(r"app\.at_start at scripts/main\.lua:5 went on, and is killed")


def test_a_run_is_finished_before_a_stop(serve):
    server = serve({"scripts/main.lua": HEAD + """
        app.every(0.02, function() print "run begins" task.sleep(1) print "run ends" end)
        """}, "--workers", "2")
    eventually(lambda: said(server, "run"))
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert [text for _, text in said(server, "run")] == ["run begins", "run ends"]


def test_a_run_without_end_is_ended_at_a_stop(serve):
    server = serve({"scripts/main.lua": HEAD + """
        app.at_start(function()
          print "loop"
          local over <close> = setmetatable({}, { __close = function() print "over" end })
          while true do task.sleep(0.05) end
        end)
        """, "scripts/config.lua": "return { timeouts = { stop = 1 } }"}, "--workers", "2")
    eventually(lambda: said(server, "loop"))
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert len(said(server, "over")) == 1
    assert "app.at_start at scripts/main.lua:5 is cut: the worker ends" in server.errors()


def test_quit_does_not_wait(serve):
    server = serve({"scripts/main.lua": HEAD + """
        app.at_start(function() print "begins" task.sleep(3600) print "ends" end)
        """}, "--workers", "2")
    eventually(lambda: said(server, "begins"))
    server.process.send_signal(signal.SIGQUIT)
    assert server.process.wait(4) == 0
    assert not said(server, "ends")


def test_another_program_takes_over(start):  # noqa: F811
    replaced = start({**REPLACED_SITE, "scripts/main.lua": HEAD + """
        app.every(0.02, function() print "run begins" task.sleep(0.3) print "run ends" end)
        app.at_start(function() print "started" end)
        app.get("/", function() return app.text "here" end)
        """})
    server = replaced.server
    for n in (1, 2):
        eventually(lambda: said(server, "run"))
        before = pids(server, "run")
        replaced.replace()
        eventually(lambda: pids(server, "run") - before, 20)
        count = len(said(server, "run"))
        eventually(lambda: len(said(server, "run")) > count + 6)
        assert_never_two([text for _, text in said(server, "run")])
        assert len(said(server, "started")) == n + 1


def test_a_replacement_that_fails_leaves_the_work(start):  # noqa: F811
    replaced = start({**REPLACED_SITE, "scripts/main.lua": HEAD + """
        app.every(0.05, function() print "tick" end)
        """})
    server = replaced.server
    eventually(lambda: said(server, "tick"))
    before = pids(server, "tick")
    put(server, "scripts/main.lua", "error 'no'")
    os.kill(replaced.pid(), signal.SIGUSR2)
    server.wait_for("the program was not replaced")
    count = len(said(server, "tick"))
    eventually(lambda: len(said(server, "tick")) > count + 3)
    assert pids(server, "tick") == before


def zone_in_which_it_is(hour, minute, second):
    """A TZ whose clock shows that now, to the second or so."""
    now = time.time() % 86400
    ahead = int(hour * 3600 + minute * 60 + second - now) % 86400
    ahead -= 86400 if ahead > 43200 else 0
    sign = "-" if ahead >= 0 else "+"
    ahead = abs(ahead)
    return f"XYZ{sign}{ahead // 3600}:{ahead // 60 % 60:02}:{ahead % 60:02}"


DAILY = {"scripts/main.lua": HEAD + """
    app.at("03:30", function() print("daily " .. os.date "%H:%M") end)
    app.at("3:31", function() print "wrong" end)
    app.at("03:29", function() print "wrong" end)
    app.get("/", function() return app.text "here" end)
    """}


def test_a_time_of_day(serve):
    server = serve(DAILY, "--workers", "3", env={"TZ": zone_in_which_it_is(3, 29, 56)})
    eventually(lambda: said(server, "daily"), 20)
    time.sleep(1)
    assert [text for _, text in said(server, "daily")] == ["daily 03:30"]
    assert not said(server, "wrong")


def test_a_time_of_day_is_not_lost_in_reloads(serve):
    server = serve(DAILY, "--workers", "2", env={"TZ": zone_in_which_it_is(3, 29, 57)})
    number, end = 0, time.monotonic() + 6
    while time.monotonic() < end:
        number += 1
        reload(server, number)
    assert [text for _, text in said(server, "daily")] == ["daily 03:30"]
    assert not said(server, "wrong")


def test_a_time_of_day_is_not_lost_with_a_worker(serve):
    server = serve(DAILY, "--workers", "2", env={"TZ": zone_in_which_it_is(3, 29, 57)})
    end = time.monotonic() + 7
    while time.monotonic() < end:  # half of them are the one that counts
        os.kill(server.workers()[0], signal.SIGKILL)
        time.sleep(0.3)
    eventually(lambda: said(server, "daily"), 10)
    assert not said(server, "wrong")


@pytest.mark.parametrize("call,why", [
    ('app.every(0, print)', "scripts/main.lua:1: app.every: the interval must be a duration"),
    ('app.at("25:00", print)', 'scripts/main.lua:1: app.at: the time must be a time of day from '
                               '"00:00" to "23:59", not "25:00"'),
    ('for _ = 1, 65 do app.at_start(print) end',
     "scripts/main.lua:1: app.at_start: there are 64 of them already"),
    ('for _ = 1, 1001 do app.every(5, print) end',
     "scripts/main.lua:1: app.every: there are 1000 pieces of background work already"),
    ('app.group("/g", function(g) g.at_start(print) end)', "declared on app, not in a group"),
])
def test_misuse(serve, call, why):
    server = serve({"scripts/main.lua": 'local app = require "lunette"'})
    put(server, "scripts/main.lua", f'local app = require "lunette" {call}')
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("came to nothing")
    assert why in server.errors()


def test_a_worker_that_is_told_to_end_hands_over_at_once(serve):
    server = serve({"scripts/main.lua": HEAD + """
        app.every(0.05, function() print "tick" end)
        app.get("/", function() print "asked" task.sleep(4) return app.text "slow" end)
        """}, "--workers", "2")
    leader = eventually(lambda: said(server, "tick"))[0][0]
    with contextlib.ExitStack() as stack:
        for _ in range(8):  # each worker has some
            stack.enter_context(server.wire()).get("/")
        eventually(lambda: len(said(server, "asked")) == 8)
        assert leader in pids(server, "asked")
        os.kill(leader, signal.SIGTERM)
        os.kill(leader, signal.SIGTERM)
        eventually(lambda: pids(server, "tick") - {leader}, 3)
        assert leader in server.workers()  # it still answers


def test_an_idle_server_stops_at_once(serve):
    server = serve(TICKS, "--workers", "2")
    eventually(lambda: said(server, "tick"))
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(4) == 0


def test_a_command_that_only_loads_starts_nothing(make_site):
    site = make_site({"scripts/main.lua": HEAD + """
        app.every(0.01, function() print "ran" end, { at_once = true })
        app.at_start(function() print "ran" end, { each_worker = true })
        """, "tests/waits.lua": """
        local test = require "lunette.test"
        test.test("a while", function() require "lunette.task".sleep(0.3) end)
        """})
    done = subprocess.run([LUNETTE, "test", str(site)], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0 and "1 passed" in done.stdout, done
    assert "ran" not in done.stdout + done.stderr
