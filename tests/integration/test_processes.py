"""The master's processes: signals at any time, process 1 of a container, files of one server alone."""
import contextlib
import fcntl
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from conftest import LUNETTE, Server, eventually
from running import children_of, preloadable, start_fails
from test_ends import SANITIZED, cpu_seconds
from test_faults import NO_LEAKS, injected, traced, tracing
from test_log_files import give
from test_replace import MAIN, SITE, Replaced, alive, descriptors, hammered, let_go, one, under_way

CONFIG = "return { timeouts = { stop = 10 } }"


@pytest.fixture
def launch():
    """launch(folder, arguments…) → Server: it ends with the test, however that does."""
    made = []

    def start(folder, *arguments, ready=True):
        made.append(Server(folder, arguments, ready=False))
        if ready:
            made[-1].wait_for(" serves ")
        return made[-1]
    yield start
    for server in made:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


# --- signals before the server serves ---

@pytest.mark.parametrize("name", ["HUP", "USR1", "USR2"])
def test_a_signal_while_the_settings_are_read_does_not_end_the_start(launch, make_site, name):
    busy = "local t = os.clock() while os.clock() < t + 0.7 do end " + CONFIG
    folder = make_site({"scripts/main.lua": MAIN, "scripts/config.lua": busy})
    server = launch(folder, "--workers", "1", ready=False)
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
    for child in children_of(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if os.readlink(f"/proc/{child}/exe") == program:
                return child
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

def test_a_master_sleeps_while_another_one_begins(make_site):
    """However long that takes: the look at its control socket is not due all the time."""
    site = {**SITE, "scripts/main.lua": "require 'lunette.task'.sleep(4)\n" + MAIN}
    r = Replaced(make_site(site), "--workers", "1")
    try:
        first = r.pid()
        before = cpu_seconds(first)
        os.kill(first, signal.SIGUSR2)
        r.pids.append(eventually(lambda: r.pid() != first and r.pid(), 40))
        assert cpu_seconds(first) - before < 0.5
    finally:
        r.stop()


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


@tracing
@pytest.mark.parametrize("name", ["HUP", "USR1", "USR2"])
def test_a_signal_while_the_new_program_is_loaded_does_not_end_it(make_site, name):
    """As one to all processes of the server comes, or of the terminal."""
    r = Replaced(make_site(SITE), "--workers", "1")
    try:
        first = r.pid()
        with injected(first, "execve:delay_exit=60000000") as trace:
            os.kill(first, signal.SIGUSR2)
            r.server.wait_for("replacing the program")
            new = int(re.search(r"starts as (\d+)", r.server.errors())[1])
            eventually(lambda: "execve(" in trace())
            os.kill(new, getattr(signal, "SIG" + name))
        r.pids.append(eventually(lambda: r.pid() != first and r.pid(), 20))  # strace is gone: leaks are looked for
        assert r.pids[1] == new and one(r.server).body == b"one"
        if name == "USR2":  # what it asked for is done
            r.pids.append(eventually(lambda: r.pid() != new and r.pid(), 20))
    finally:
        r.stop()


@tracing
def test_a_stop_that_crosses_the_takeover_leaves_nothing_over(make_site):
    """The new one has written its pid and said that it is ready, which the old one has not heard yet."""
    site = {**SITE, "scripts/main.lua": "require 'lunette.task'.sleep(3)\n" + MAIN}
    r = Replaced(make_site(site), "--workers", "1")
    try:
        first = r.pid()
        os.kill(first, signal.SIGUSR2)
        r.server.wait_for("replacing the program")
        with injected(first, "poll:delay_exit=60000000"):
            r.pids.append(eventually(lambda: r.pid() != first and r.pid(), 40))
            os.kill(first, signal.SIGTERM)
            eventually(lambda: stat_of(r.pids[1])[0] == "S")  # it has said so, and waits
            eventually(lambda: stat_of(first)[0] == "t")
        eventually(lambda: "was not replaced: the server stops" in r.server.errors())
        assert r.server.process.wait(20) == 0
        assert not alive(r.pids[1])
        assert not r.pid_file.exists() or r.pid_file.read_text() == ""  # its folder is root's
    finally:
        r.stop()


def test_a_predecessor_that_is_killed_while_the_new_one_begins_takes_no_socket_along(make_site):
    site = {**SITE, "scripts/main.lua": "require 'lunette.task'.sleep(1.5)\n" + MAIN}
    r = Replaced(make_site(site), "--workers", "1")
    try:
        old, workers = r.pid(), r.server.workers()
        os.kill(old, signal.SIGUSR2)
        r.server.wait_for("replacing the program")
        new = int(re.search(r"starts as (\d+)", r.server.errors())[1])
        r.pids.append(new)
        eventually(lambda: children_of(new), 20)  # it has the sockets
        os.kill(old, signal.SIGKILL)
        r.server.process.wait()
        eventually(lambda: r.pid() == new, 20)
        eventually(lambda: not any(alive(pid) for pid in workers), 20)
        for _ in range(20):
            assert one(r.server).body == b"one"
    finally:
        r.stop()


@contextlib.contextmanager
def held_after(pid, call):
    """That process stands still for as long as this lasts once it has made the call."""
    with subprocess.Popen(
            ["strace", "-qq", "-o", "/dev/null", "-p", str(pid), "-e", f"trace={call}", "-e", "signal=none",
             "-e", f"inject={call}:delay_exit=60000000:when=1"], stderr=subprocess.PIPE) as strace:
        try:
            eventually(lambda: traced(pid) or strace.poll() is not None)
            assert strace.poll() is None, strace.stderr.read()
            yield
        finally:
            strace.kill()


def ends_without_sockets(r, workers):
    """It was killed, as its workers hear; the new one serves."""
    r.server.process.wait()
    eventually(lambda: not any(alive(pid) for pid in workers), 20)
    for _ in range(20):
        assert one(r.server).body == b"one"


@tracing
def test_a_predecessor_that_is_killed_as_soon_as_the_new_one_is_there_takes_no_socket_along(make_site):
    r = Replaced(make_site(SITE), "--workers", "1")
    try:
        old, workers = r.pid(), r.server.workers()
        with held_after(old, "clone,clone3,fork"):
            os.kill(old, signal.SIGUSR2)
            [new] = eventually(lambda: [pid for pid in children_of(old) if pid not in workers], 20)
            r.pids.append(new)
            eventually(lambda: r.pid() == new, 20)  # it serves
            assert "replacing the program" not in r.server.errors()  # the old one has not got so far
            os.kill(old, signal.SIGKILL)
        ends_without_sockets(r, workers)
    finally:
        r.stop()


def test_a_predecessor_that_is_killed_before_it_hears_of_the_takeover_takes_no_socket_along(make_site):
    site = {**SITE, "scripts/main.lua": "require 'lunette.task'.sleep(1)\n" + MAIN}
    r = Replaced(make_site(site), "--workers", "1")  # slow enough to be stopped before it takes over
    try:
        old, workers = r.pid(), r.server.workers()
        os.kill(old, signal.SIGUSR2)
        r.server.wait_for("replacing the program")
        os.kill(old, signal.SIGSTOP)
        new = int(re.search(r"starts as (\d+)", r.server.errors())[1])
        r.pids.append(new)
        eventually(lambda: r.pid() == new, 20)  # written before it says so to the old one
        os.kill(old, signal.SIGKILL)
        ends_without_sockets(r, workers)
        assert "has taken over" not in r.server.errors()
    finally:
        r.stop()


@tracing
def test_a_new_one_that_is_killed_before_the_old_one_hears_of_it_takes_no_socket_along(make_site):
    """It has the pid file, and has said nothing yet."""
    site = {**SITE, "scripts/main.lua": "require 'lunette.task'.sleep(1.5)\n" + MAIN}
    r = Replaced(make_site(site), "--workers", "1")
    try:
        old, workers = r.pid(), r.server.workers()
        os.kill(old, signal.SIGUSR2)
        r.server.wait_for("replacing the program")
        new = int(re.search(r"starts as (\d+)", r.server.errors())[1])
        theirs = eventually(lambda: children_of(new), 20)
        with held_after(new, "ftruncate"):
            eventually(lambda: r.pid() == new, 20)
            os.kill(new, signal.SIGKILL)
        r.server.wait_for("was not replaced")
        eventually(lambda: not any(alive(pid) for pid in theirs), 20)
        eventually(lambda: r.server.workers() == workers, 20)
        eventually(lambda: r.pid() == old, 20)
        for _ in range(20):
            assert one(r.server).body == b"one"
        assert alive(old)
    finally:
        r.stop()


# --- process 1 of a container ---

UNSHARE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


def may_unshare():
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


contained = pytest.mark.skipif(not may_unshare(), reason="needs a namespace of its own (unshare)")


def stat_of(pid):
    """State and parent of a process; "" and 0 where it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0], int(fields[1])
    return "", 0


def beneath(top):
    """All that descends from a process: {pid: state}."""
    found, known = {}, {top}
    pids = sorted(int(p) for p in os.listdir("/proc") if p.isdigit())
    while True:
        before = len(found)
        for pid in pids:
            state, parent = stat_of(pid)
            if parent in known and pid not in found:
                found[pid] = state
                known.add(pid)
        if len(found) == before:
            return found


class Contained:
    """A server that is process 1 of a namespace: .first is its pid outside."""

    def __init__(self, folder, *arguments):
        self.pid_file = folder.parent / (folder.name + ".pid")
        self.server = Server(folder, ("--pid-file", str(self.pid_file), "--workers", "2",
                                      *arguments))
        self.first = child_of(self.server.process.pid, os.environ["CONTAINED"])
        assert self.number() == 1

    def number(self):
        """Of the present master, within."""
        text = self.pid_file.read_text(encoding="ascii")
        return int(text) if text.endswith("\n") else 0

    def master(self):
        """The same process outside."""
        [pid] = [pid for pid in [self.first, *beneath(self.first)] if number_of(pid) == self.number()]
        return pid

    def signal(self, name):
        os.kill(self.first, getattr(signal, "SIG" + name))

    def replace(self):
        old = self.number()
        self.signal("USR2")
        eventually(lambda: self.number() not in (0, old), 20)

    def replace_until_alone(self, times=1):
        """One replacement after the other; each has ended what it had before the next."""
        for _ in range(times):
            self.replace()
            eventually(self.is_alone, 30)

    def is_alone(self):
        """The master that serves, and process 1 with 0 to 2, its line, its signals, and a hold on
        that master: the others have ended."""
        masters = [pid for pid, state in beneath(self.first).items() if state != "Z" and
                   stat_of(pid)[1] == self.first and number_of(pid)]
        return masters == [self.master()] and sum(descriptors(self.first).values()) == 6

    def end(self, seconds=20):
        """The status with which process 1, and so everything, has ended."""
        assert self.server.ends_within(seconds), self.server.errors()
        assert "Sanitizer" not in self.server.errors(), self.server.errors()
        return self.server.process.wait()


def number_of(pid):
    """What a process is called in its own namespace."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    return 0


@pytest.fixture
def contain(make_site, monkeypatch, place):
    """Starts servers that are process 1."""
    place.chmod(0o755)
    wrapper, made = place / "contained", []
    wrapper.write_text(f"#!/bin/sh\nexec {' '.join(UNSHARE)} {LUNETTE} \"$@\"\n")
    wrapper.chmod(0o755)
    monkeypatch.setattr("conftest.LUNETTE", str(wrapper))
    monkeypatch.setenv("CONTAINED", LUNETTE)

    def start(site=SITE, own=None):
        folder = make_site(dict(site))
        if own:
            give(folder / own)
        made.append(Contained(folder))
        return made[-1]
    yield start
    for c in made:
        if c.server.process.poll() is None:
            os.kill(c.first, signal.SIGKILL)
            c.server.process.wait()


@contained
def test_process_1_outlives_its_replacements_and_not_a_request_is_lost(contain):
    c = contain()
    assert hammered(c, 2, c.is_alone, 30).lost == []
    assert c.number() > 2 and one(c.server).body == b"one"
    inside = list(beneath(c.first))
    c.signal("TERM")
    assert c.end() == 0
    assert not any(alive(pid) for pid in [c.first, *inside])


@contained
@pytest.mark.parametrize("replacements", [1, 2])
def test_what_process_1_is_asked_the_present_master_does(contain, replacements):
    c = contain()
    c.replace_until_alone(replacements)
    c.signal("HUP")
    c.server.wait_for(r"\[%d\] reloaded" % c.number())
    c.signal("USR1")
    with under_way(c.server) as slow:
        c.signal("QUIT")
        assert slow.s.recv(100) == b""
    assert c.end() == 0


@contained
@pytest.mark.parametrize("replacements", [1, 2])
def test_an_old_master_in_a_container_opens_its_logs_again_too(contain, replacements):
    """What it still serves is not written to a file that was rotated away."""
    c = contain({**SITE, "logs/.keep": "", "scripts/config.lua": """
        return { timeouts = { stop = 20 }, log = { access = "logs/access.log" } }"""}, own="logs")
    c.replace_until_alone(replacements - 1)
    log = c.server.folder / "logs/access.log"
    with c.server.wire() as stream:
        stream.get("/stream/x")
        eventually(lambda: stream.s.recv(1))
        c.replace()
        eventually(lambda: "has taken over" in c.server.errors())
        log.rename(log.with_name("access.1"))
        c.signal("USR1")
        eventually(lambda: len(set(re.findall(r"\[(\d+)\] the logs were opened again",
                                              c.server.errors()))) == 2)
        assert one(c.server, "/end/x").status == 204
        eventually(lambda: " /stream/x " in log.read_text())
    assert " /stream/x " not in log.with_name("access.1").read_text()
    c.signal("TERM")
    assert c.end() == 0


@contained
@pytest.mark.parametrize("replacements", [1, 2])
def test_process_1_asked_to_stop_while_an_old_one_finishes_waits_for_it(contain, replacements):
    c = contain()
    c.replace_until_alone(replacements - 1)
    with under_way(c.server) as slow:
        c.replace()
        new = c.master()
        c.signal("TERM")
        eventually(lambda: not alive(new), 20)
        let_go(c.server)
        assert slow.answer().body == b"slow"
    assert c.end() == 0


@contained
@pytest.mark.parametrize("replacements", [1, 2])
def test_process_1_asked_twice_to_stop_ends_at_once(contain, replacements):
    c = contain()
    c.replace_until_alone(replacements - 1)
    with c.server.wire() as stream:
        stream.get("/stream/x")
        stream.begin()
        c.replace()
        c.signal("TERM")
        time.sleep(0.2)
        c.signal("TERM")
        assert c.end(4) == 0


@contained
def test_process_1_ends_with_the_status_of_the_last_master(contain):
    c = contain()
    c.replace_until_alone()
    os.kill(c.master(), signal.SIGKILL)
    assert c.end() == 128 + 9


@contained
def test_process_1_ends_with_the_status_of_one_that_the_one_before_survives(contain):
    c = contain()
    with under_way(c.server) as slow:
        c.replace()
        eventually(lambda: "has taken over" in c.server.errors())
        os.kill(c.master(), signal.SIGKILL)
        let_go(c.server)
        assert slow.answer().body == b"slow"
    assert c.end() == 128 + 9


def kill_while_next_begins(c):
    """Kills the master while its successor loads, which it gives: no master serves then."""
    second = c.master()
    c.signal("USR2")
    third = eventually(lambda: [pid for pid in beneath(second) if stat_of(pid)[1] == second and
                                children_of(pid)], 20)[0]
    os.kill(second, signal.SIGKILL)
    eventually(lambda: not alive(second))
    eventually(lambda: stat_of(third)[1] == c.first)
    return third


@contained
def test_process_1_told_to_stop_between_two_masters_stops_the_next(contain):
    """The second is killed while the third begins."""
    c = contain()
    c.replace_until_alone()
    main = c.server.folder / "scripts/main.lua"
    main.write_text("require 'lunette.task'.sleep(1.5)\n" + MAIN)
    third = kill_while_next_begins(c)
    c.signal("TERM")
    assert c.end() == 0
    assert not alive(third)


@contained
def test_process_1_takes_the_ends_of_orphans(contain):
    """Of the scripts of a master that has ended."""
    c = contain({"scripts/main.lua": MAIN + """
        app.get("/spawn", function() os.execute("sleep 3 &") return app.text "spawned" end)""",
        "scripts/config.lua": "return { sandbox = false, timeouts = { stop = 10 } }"})
    c.replace_until_alone()
    assert one(c.server, "/spawn").body == b"spawned"
    [orphan] = eventually(lambda: sleeping(c))
    c.replace()
    eventually(lambda: not alive(orphan) or stat_of(orphan)[1] == c.first, 20)
    eventually(lambda: not pathlib.Path(f"/proc/{orphan}").exists(), 20)
    assert "Z" not in beneath(c.first).values()
    c.signal("TERM")
    assert c.end() == 0


@contained
@tracing
def test_process_1_takes_the_end_of_one_that_ends_while_it_looks_at_another(contain):
    """A SIGCHLD that it reads behind the look is another child's."""
    c = contain({"scripts/main.lua": MAIN + """
        app.get("/spawn", function() os.execute("sleep 60 &") return app.text "spawned" end)""",
        "scripts/config.lua": "return { sandbox = false, timeouts = { stop = 10 } }"})
    c.replace_until_alone()
    assert one(c.server, "/spawn").body == one(c.server, "/spawn").body == b"spawned"
    orphans = eventually(lambda: len(sleeping(c)) == 2 and sleeping(c))
    c.replace()
    eventually(lambda: [stat_of(pid)[1] for pid in orphans] == [c.first] * 2, 30)
    with injected(c.first, "wait4:delay_exit=1500000"):
        os.kill(orphans[0], signal.SIGKILL)
        eventually(lambda: not pathlib.Path(f"/proc/{orphans[0]}").exists())
        time.sleep(2.2)  # between the two looks, each 1.5 s long: the second finds nobody
        os.kill(orphans[1], signal.SIGKILL)
        eventually(lambda: not pathlib.Path(f"/proc/{orphans[1]}").exists(), 20)
    c.signal("TERM")
    assert c.end() == 0


def sleeping(c):
    found = []
    for pid in beneath(c.first):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if pathlib.Path(f"/proc/{pid}/comm").read_text() == "sleep\n":
                found.append(pid)
    return found


@contained
def test_process_1_is_told_to_stop_while_it_reads_its_settings(launch, contain, make_site):
    """The kernel would drop the signal, since nothing is there yet to take it."""
    busy = "local t = os.clock() while os.clock() < t + 1 do end " + CONFIG
    folder = make_site({"scripts/main.lua": MAIN, "scripts/config.lua": busy})
    server = launch(folder, "--workers", "1", ready=False)
    first = eventually(lambda: child_of(server.process.pid, os.environ["CONTAINED"]))
    eventually(lambda: beneath(first))
    os.kill(first, signal.SIGTERM)
    assert server.ends_within(20) and server.process.wait() == 0


# --- one pid file, one server ---

def is_given_back(path):
    """Removed, or emptied where the server has given up root's right to that."""
    return not path.exists() or path.read_text(encoding="ascii") == ""


def test_a_second_server_with_the_same_pid_file_is_refused(launch, make_site, place):
    path = place / "pid"
    folder = make_site(SITE)
    server = launch(folder, "--workers", "1", "--pid-file", str(path))
    pid = server.process.pid
    why = start_fails(make_site(SITE), "--pid-file", str(path))
    assert f"the pid file {path} is that of a server which runs: process {pid}\n" in why
    assert path.read_text() == f"{pid}\n" and one(server).body == b"one"
    server.process.kill()  # what it leaves behind refuses nobody
    server.process.wait()
    again = launch(folder, "--workers", "1", "--pid-file", str(path))
    assert path.read_text() == f"{again.process.pid}\n"
    assert again.stop() == 0 and is_given_back(path)


def test_a_replacement_has_the_pid_file_as_the_first_had_it(make_site):
    site = make_site(SITE)
    r = Replaced(site, "--workers", "1")
    try:
        main = site / "scripts/main.lua"
        main.write_text("error 'not today'")  # one that fails takes nothing along
        os.kill(r.pid(), signal.SIGUSR2)
        r.server.wait_for("was not replaced")
        why = start_fails(make_site(SITE), "--pid-file", str(r.pid_file))
        assert f"which runs: process {r.pid()}\n" in why
        main.write_text(MAIN)
        new = r.replace()
        eventually(lambda: not alive(r.pids[0]), 20)
        why = start_fails(make_site(SITE), "--pid-file", str(r.pid_file))
        assert f"which runs: process {new}\n" in why
    finally:
        r.stop()
    assert is_given_back(r.pid_file)


def test_a_pid_file_that_another_has_made_in_place_of_it_stays(launch, make_site, place):
    path = place / "pid"
    place.chmod(0o777)
    server = launch(make_site(SITE), "--workers", "1", "--pid-file", str(path))
    path.rename(place / "old")
    path.write_text(f"{server.process.pid}\n")
    assert server.stop() == 0
    assert path.exists()


# --- the folder for large bodies ---

def test_a_lock_of_the_folder_for_bodies_does_not_hold_up_a_start(launch, make_site):
    """A cleaner of /tmp takes one; another folder stands in."""
    made = make_site({**SITE, "data/.keep": "", "scripts/main.lua": MAIN + """
        app.post("/large", function(req) return app.text(tostring(#req.body)) end)"""})
    folder = made.rename(made.with_name(f"locked{os.getpid()}"))  # like no other site's
    (folder / "data").chmod(0o555)
    server = launch(folder, "--workers", "1")
    uid = os.stat(f"/proc/{server.workers()[0]}").st_uid
    [bodies] = pathlib.Path(f"/tmp/lunette-{uid}").glob(f"{folder.name}-*/bodies")
    server.process.kill()
    server.process.wait()
    lock = os.open(bodies, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        again = launch(folder, "--workers", "1")
        assert bodies.with_name("bodies.2").is_dir()
        with again.wire() as wire:
            wire.send(f"POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: {1 << 20}\r\n\r\n"
                      + "x" * (1 << 20))
            assert wire.answer().body == b"%d" % (1 << 20)
        assert again.stop() == 0
        assert not bodies.with_name("bodies.2").exists()
    finally:
        os.close(lock)
    last = launch(folder, "--workers", "1")
    assert bodies.is_dir() and last.stop() == 0
    assert not bodies.parent.exists()


# --- workers ---

def test_a_worker_that_is_never_ready_is_replaced(make_site):
    """Its place would be empty for good. The 90 seconds are of a clock that goes faster: under a sanitizer,
    where a worker that can be ready takes longer for it, not as much."""
    fast = preloadable("fast", f"-DTIMES={20 if SANITIZED else 100}")
    folder = make_site(dict(SITE))
    (folder / "scripts/main.lua").write_text(f"""
        if io.open "{folder}/scripts/stuck" then require("lunette.task").sleep(1e6) end
        """ + MAIN)
    server = Server(folder, ("--workers", "1"), env=fast)
    try:
        [worker] = server.workers()
        (folder / "scripts/stuck").write_text("")
        os.kill(worker, signal.SIGKILL)
        server.wait_for("is ended: it was not ready within 90 s")
        (folder / "scripts/stuck").unlink()
        assert one(server).body == b"one"
    finally:
        server.stop()


def test_workers_that_end_soon_one_behind_another_do_not_keep_the_machine_busy(make_site):
    """Each ends of a task of its scripts just after it is ready."""
    folder = make_site({**SITE, "scripts/config.lua": "return { sandbox = false }"})
    (folder / "scripts/main.lua").write_text(f"""
        if io.open "{folder}/scripts/crash" then
          os.execute "P=$PPID; (sleep 0.05; kill -9 $P) >&- 2>&- &"
        end
        """ + MAIN)
    server = Server(folder, ("--workers", "1"))
    try:
        (folder / "scripts/crash").write_text("")
        os.kill(server.workers()[0], signal.SIGKILL)
        ends = eventually(lambda: (t := restarts(server)) and len(t) >= 12 and t, 60)
        assert (ends[11] - ends[1]) % 86400 >= 0.95 + 10 * 0.05
        (folder / "scripts/crash").unlink()
        eventually(lambda: serves(server))
    finally:
        server.stop()


def serves(server):
    with contextlib.suppress(AssertionError, OSError):  # of a worker that is killed still
        return one(server).body == b"one"
    return False


def restarts(server):
    """When, in seconds of the day, workers were started in place of others."""
    found = re.findall(r"T(\d\d):(\d\d):([\d.]+)Z .* was killed by .*; started \d+", server.errors())
    return [int(h) * 3600 + int(m) * 60 + float(s) for h, m, s in found]
