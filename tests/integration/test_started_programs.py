"""Programs that a site's scripts start: signals do with them what they do with any other program."""
import os
import pathlib
import signal

import pytest

from conftest import eventually
from running import new_folder, running
from test_replace import alive
from test_stop import refused

MAIN = """
    local app = require "lunette"
    local kept
    app.get("/popen", function()
      kept = io.popen("echo $$; exec sleep 600")
      return kept:read "l"
    end)
    app.get("/execute", function()
      local path = os.tmpname()
      os.execute("sleep 600 >/dev/null & echo $! > " .. path)
      local pid = io.open(path):read "l"
      os.remove(path)
      return pid
    end)
    app.get("/waits", function(req)
      local at = req.query.at
      os.execute(("touch %s/begun; until [ -e %s/go ]; do sleep 0.02; done"):format(at, at))
      return "waited"
    end)
    app.get("/sleeps", function() require "lunette.task".sleep(60) end)
    app.get("/ends", function()
      local ok, how, number = os.execute("kill -PIPE $$; exit 3")
      return ("%s %s %d"):format(tostring(ok), how, number)
    end)
"""
SITE = {"scripts/main.lua": MAIN,
        "scripts/config.lua": "return { sandbox = false, timeouts = { stop = 10 } }"}


@pytest.fixture
def server():
    with running(SITE, "--workers", "1") as started:
        yield started


def start(server, how):
    pid = int(server.get(how).split(b"\r\n\r\n")[1])
    eventually(lambda: pathlib.Path(f"/proc/{pid}/comm").read_text() == "sleep\n")
    return pid


def signals_of(pid, kind):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(kind + ":"):
            mask = int(line.split()[1], 16)
            return {n for n in range(1, 32) if mask >> (n - 1) & 1}
    raise AssertionError(kind)


@pytest.mark.parametrize("how,name", [
    ("/popen", "TERM"), ("/popen", "QUIT"), ("/popen", "HUP"), ("/popen", "USR1"), ("/popen", "PIPE"),
    ("/execute", "TERM"), ("/execute", "HUP"), ("/execute", "USR2")])  # "&" of the shell ignores QUIT
def test_a_signal_ends_a_program_that_a_script_has_started(server, how, name):
    pid = start(server, how)
    os.kill(pid, getattr(signal, "SIG" + name))
    eventually(lambda: not alive(pid))


def test_it_begins_with_no_signal_blocked_or_ignored(server):
    pid = start(server, "/popen")
    try:
        assert signals_of(pid, "SigBlk") == set()
        ours = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTERM,
                signal.SIGUSR1, signal.SIGUSR2, signal.SIGXFSZ, signal.SIGCHLD}
        assert not signals_of(pid, "SigIgn") & ours
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_pipe_that_nobody_reads_ends_it(server):
    assert server.get("/ends").endswith(b"nil signal 13")


@pytest.mark.parametrize("name", ["TERM", "QUIT"])
def test_a_worker_is_still_told_of_its_end(server, name):
    [worker] = server.workers()
    os.kill(worker, getattr(signal, "SIG" + name))
    server.wait_for(rf"worker {worker} ended .*started (\d+)")
    assert server.workers() != [worker]


def test_an_end_at_once_is_not_lost_while_os_execute_waits(server):
    """The C library ignores QUIT meanwhile: the worker served on until it was killed, and the access log had
    nothing of what that cut."""
    folder = new_folder()
    folder.chmod(0o777)
    with server.wire() as sleeper, server.wire() as waiter:
        sleeper.get("/sleeps").assert_silent()
        waiter.get(f"/waits?at={folder}")
        eventually((folder / "begun").exists)
        server.process.send_signal(signal.SIGQUIT)
        eventually(lambda: refused(server))  # the worker has been told by then
        (folder / "go").touch()
        sleeper.assert_end()
    assert server.process.wait(15) == 0
    assert '"GET /sleeps HTTP/1.1" 503' in server.accesses()
    assert "was killed" not in server.errors()
