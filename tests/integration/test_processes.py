"""The master's processes: signals at any time, process 1 of a container, files of one server alone."""
import contextlib
import os
import pathlib
import re
import signal
import subprocess

import pytest

from conftest import LUNETTE, Server, eventually
from test_faults import NO_LEAKS, tracing
from test_replace import MAIN, SITE, Replaced, alive, one

CONFIG = "return { timeouts = { stop = 10 } }"


# --- signals before the server serves ---

@pytest.mark.parametrize("name", ["HUP", "USR1", "USR2"])
def test_a_signal_while_the_settings_are_read_does_not_end_the_start(make_site, name):
    busy = "local t = os.clock() while os.clock() < t + 0.7 do end " + CONFIG
    server = Server(make_site({"scripts/main.lua": MAIN, "scripts/config.lua": busy}),
                    ("--workers", "1"), ready=False)
    eventually(server.workers)  # the process of config.lua
    server.process.send_signal(getattr(signal, "SIG" + name))
    server.wait_for(" serves ")
    if name == "USR2":  # what it asked for is done
        server.wait_for("has taken over", 20)
        new = int(re.search(r"process (\d+) has taken over", server.errors())[1])
        assert one(server).body == b"one"
        os.kill(new, signal.SIGTERM)
        eventually(lambda: not alive(new), 20)
    else:
        assert one(server).body == b"one"
    assert server.stop() == 0


@contextlib.contextmanager
def slow_start(folder, call, *arguments):
    """A server whose start stands still before a call: strace, and the pid of its own."""
    with subprocess.Popen(
            ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", "signal=none",
             "-e", f"inject={call}:delay_enter=1500000:when=1", LUNETTE, "serve", str(folder),
             "--workers", "1", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, env={**os.environ, **NO_LEAKS}) as strace:
        pid = eventually(lambda: child_of(strace.pid, LUNETTE))
        try:
            yield strace, pid
        finally:
            if strace.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def child_of(pid, program):
    """The child of a process that runs the program; None: there is none yet."""
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if os.readlink(f"/proc/{child}/exe") == program:
                return int(child)
    return None


@tracing
@pytest.mark.parametrize("name", ["TERM", "INT", "QUIT", "HUP", "USR1"])
def test_a_signal_between_the_sockets_and_the_loop_leaves_nothing_over(make_site, place, name):
    """TERM, INT and QUIT end the start as they end a server; HUP and USR1 wait for it."""
    place.chmod(0o777)
    pid_file, path = place / "pid", place / "listen"
    with slow_start(make_site(SITE), "ftruncate", "--pid-file", str(pid_file), "--listen",
                    f"unix:{path}") as (strace, pid):
        eventually(path.is_socket, 20)
        eventually(pid_file.exists, 20)
        os.kill(pid, getattr(signal, "SIG" + name))
        if name in ("HUP", "USR1"):
            assert " serves " in strace.stderr.readline()
            os.kill(pid, signal.SIGTERM)
        said = strace.stderr.read()
        assert strace.wait(20) == 0, said
    assert not path.exists() and not pid_file.exists()


# --- a replacement asked for again ---

def test_a_second_one_while_the_first_begins_is_done_after_it(make_site):
    site = {**SITE, "scripts/main.lua": "require 'lunette.task'.sleep(1.5)\n" + MAIN}
    r = Replaced(make_site(site), "--workers", "1")
    try:
        first = r.pid()
        os.kill(first, signal.SIGUSR2)
        r.server.wait_for("replacing the program")
        os.kill(first, signal.SIGUSR2)
        r.pids.append(eventually(lambda: r.pid() != first and r.pid(), 20))
        r.pids.append(eventually(lambda: r.pid() not in r.pids and r.pid(), 20))
        assert one(r.server).body == b"one"
        eventually(lambda: not any(alive(pid) for pid in r.pids[:2]), 20)
    finally:
        r.stop()
