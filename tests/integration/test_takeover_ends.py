"""Signals that cross a takeover: whom they reach, and what is finished first."""
import os
import re
import signal
import threading
import time

import pytest

from conftest import eventually
from test_faults import tracing
from test_processes import contain, contained, held_after, kill_while_next_begins, number_of, stat_of  # noqa: F401
from running import children_of
from test_replace import MAIN, SITE, Replaced, alive, let_go, one

LONG = "require 'lunette.task'.sleep(3)\n" + MAIN
HELD = """
    local app = require "lunette"
    while not io.open(app.data .. "/go") do require "lunette.task".sleep(0.02) end
    """ + MAIN


def ask_for(server, path, answers):
    thread = threading.Thread(target=lambda: answers.append(one(server, path)))
    thread.start()
    return thread


@tracing
def test_a_stop_that_crosses_the_takeover_lets_the_new_one_finish(make_site):
    """It served already when it was killed, and its worker was left alone with a request."""
    r = Replaced(make_site({**SITE, "scripts/main.lua": LONG}), "--workers", "1")
    answers = []
    try:
        first, [old] = r.pid(), r.server.workers()
        os.kill(first, signal.SIGUSR2)
        r.server.wait_for("replacing the program")
        with held_after(first, "poll"):
            r.pids.append(eventually(lambda: r.pid() != first and r.pid(), 40))
            [worker] = children_of(r.pids[1])
            os.kill(old, signal.SIGSTOP)  # so that the new one has the request
            eventually(lambda: stat_of(old)[0] == "T")
            asked = ask_for(r.server, "/slow", answers)
            r.server.wait_for(rf"\[{worker}\] .*/slow begun")
            os.kill(old, signal.SIGCONT)
            assert "has taken over" not in r.server.errors()
            os.kill(first, signal.SIGTERM)
        eventually(lambda: "was not replaced: the server stops" in r.server.errors(), 20)
        time.sleep(0.5)
        assert alive(r.pids[1])
        let_go(r.server)
        assert r.server.process.wait(30) == 0
        assert not alive(r.pids[1]) and not alive(worker)  # as soon as the first has ended
        asked.join(10)
        assert [a.body for a in answers] == [b"slow"]
    finally:
        r.stop()


@contained
@pytest.mark.parametrize("name", ["HUP", "USR2"])
def test_what_process_1_is_asked_between_two_masters_the_next_does(contain, name):  # noqa: F811
    """The second is killed while the third begins, which may have read its files before."""
    c = contain()
    c.replace()
    eventually(lambda: "has taken over" in c.server.errors())
    eventually(c.is_alone, 30)
    main = c.server.folder / "scripts/main.lua"
    main.write_text(HELD)
    third = kill_while_next_begins(c)
    number, its = c.number(), number_of(third)
    c.signal(name)
    assert number == c.number()  # it does not serve yet
    main.write_text(MAIN)
    let_go(c.server)
    done = r"\] reloaded" if name == "HUP" else "replacing the program"
    eventually(lambda: c.number() != number, 20)
    asked = rf"\[{its}\] .*" if name == "USR2" else rf"\[{its}"  # who may be replaced by now
    eventually(lambda: re.search(asked + done, c.server.errors()), 20)
    c.signal("TERM")
    assert c.end() == 0
