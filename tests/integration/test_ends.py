"""Processes that end as nobody asked them to: what the log says of it, what is lost, what is left."""
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import LUNETTE, Server, Wire, eventually, free_port, post
from running import children_of, unix_get
from test_stop import SITE as STOPPED, begun, refused

SITE = {
    "scripts/main.lua": STOPPED["scripts/main.lua"] + """
        app.get("/named", function(req)
          task.sleep(60)
          return app.text(req.id)
        end)
        app.get("/find", function()
          print "/find begun"
          return app.text(tostring(("a"):rep(40):find(("a*"):rep(20) .. "b")))
        end)
        """,
    "scripts/config.lua": "return { timeouts = { cpu = 60 } }",
}
# Under a sanitizer a signal that was sent is reported, and then an exit: nothing else differs.
SANITIZED = "asan" in os.environ.get("LUNETTE", "")


def dies(server, worker, signo):
    """The line of the log about its end."""
    os.kill(worker, signo)
    server.wait_for(rf"worker {worker} .*; started \d+")
    return re.search(rf"worker {worker} .*; started \d+", server.errors()).group()


def under_way(server, *paths):
    """Connections with a request each that has begun."""
    return [begun(server, server.wire(), path) for path in paths]


# --- why, and with what ---

def test_the_log_names_what_a_killed_worker_held(serve):
    server = serve(SITE, "--workers", "1")
    [worker] = server.workers()
    wires = under_way(server, "/held/60000?token=secret", "/held/50000")
    line = dies(server, worker, signal.SIGKILL)
    assert "was killed by signal 9 (SIGKILL), with 2 requests under way: " in line
    assert {"GET /held/60000", "GET /held/50000"} == set(re.findall(r"GET [^ ,;]+", line))
    assert "secret" not in line
    for w in wires:
        w.assert_end()


def test_a_worker_that_held_nothing_is_said_to_have_died_and_no_more(serve):
    server = serve(SITE, "--workers", "1")
    assert b"hello" in server.get("/hello")
    [worker] = server.workers()
    line = dies(server, worker, signal.SIGKILL)
    assert re.fullmatch(rf"worker {worker} was killed by signal 9 \(SIGKILL\); started \d+", line)


def test_the_names_of_paths_cannot_forge_a_line(serve):
    server = serve(SITE, "--workers", "1")
    with server.wire() as w:
        w.send(b"POST /\x80\xff%0aworker HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        w.send(post("/echo" + "/x" * 500, "abc")[:-1])
        [worker] = server.workers()
        line = dies(server, worker, signal.SIGKILL)
    assert "\n" not in line and len(line) < 400, line


# A sanitizer is to leave the signals of a crash to the program.
OWN_WORDS = {f"{name}_OPTIONS": ":".join(f"handle_{s}=0" for s in ("segv", "abort", "sigbus", "sigfpe", "sigill"))
             for name in ("ASAN", "UBSAN")}


@pytest.mark.parametrize("signo", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE,
                                   signal.SIGILL])
def test_a_crash_says_what_ran_and_where(make_site, signo):
    server = Server(make_site(SITE), ("--workers", "1"), env=OWN_WORDS)
    [worker] = server.workers()
    wires = under_way(server, "/held/60000", "/find")  # which Lua does not come back from
    used = cpu_seconds(worker)
    eventually(lambda: cpu_seconds(worker) > used + 0.05)  # it is in there
    line = dies(server, worker, signo)
    name = signal.Signals(signo).name
    assert f"was killed by signal {int(signo)} ({name}), in GET /find" in line, line
    where = SITE["scripts/main.lua"][:SITE["scripts/main.lua"].index(":find(")].count("\n")
    assert f"called at scripts/main.lua:{where + 1}," in line, line
    held = re.sub(r" \[\w{16}\]", "", line)  # what they printed has their ids
    assert "with 2 requests under way: GET /held/60000, GET /find; started" in held, line
    for w in wires:
        w.s.close()
    assert b"hello" in server.get("/hello")
    end_of_crashed(server)


def end_of_crashed(server):
    """Without the look at the log for crashes that stop() has."""
    server.process.terminate()
    assert server.process.wait(10) == 0


def test_a_crash_while_nothing_runs(make_site):
    server = Server(make_site(SITE), ("--workers", "1"), env=OWN_WORDS)
    [worker] = server.workers()
    line = dies(server, worker, signal.SIGSEGV)
    assert re.fullmatch(rf"worker {worker} was killed by signal 11 \(SIGSEGV\); started \d+", line)
    end_of_crashed(server)


# --- back-off ---

def test_a_worker_that_dies_at_start_is_not_started_in_a_loop(serve):
    site = {"scripts/main.lua": """
        local app = require "lunette"
        app.get("/", function() return app.text "up" end)
        local f = io.open(app.data .. "/broken")
        if f then error "broken" end
        """}
    server = serve(site, "--workers", "1")
    assert b"up" in server.get("/")
    broken = server.folder / "data/broken"
    broken.write_text("")
    os.kill(server.workers()[0], signal.SIGKILL)
    time.sleep(3)
    started = len(re.findall(r"; started \d+", server.errors()))
    assert 3 <= started <= 7, server.errors()  # at once, then after 0.1, 0.2, 0.4, 0.8, 1.6 s
    assert cpu_seconds(server.process.pid) < 0.5
    broken.unlink()
    assert eventually(lambda: answers(server, "/"), 8)
    os.kill(server.workers()[0], signal.SIGKILL)  # having served, it is replaced at once
    before = time.monotonic()
    assert eventually(lambda: answers(server, "/"), 8)
    assert time.monotonic() - before < 2


def answers(server, path):
    try:
        return server.get(path).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- kill -9 of each process in turn ---

class Load:
    """Clients that ask one thing after the other, a connection each, until they are told to stop."""

    def __init__(self, server, clients=4):
        self.server, self.going = server, True
        self.fine = self.lost = 0
        self.wrong = []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.ask_on) for _ in range(clients)]

    def ask_on(self):
        while self.going:
            try:
                with self.server.wire() as w:
                    for _ in range(20):
                        a = w.get("/sleep/2").answer()
                        self.count(a.status == 200 and a.body == b"slept", a)
                        if not self.going:
                            break
            except (OSError, AssertionError):  # the end before or within an answer
                with self.lock:
                    self.lost += 1
                time.sleep(0.01)

    def count(self, fine, answer):
        with self.lock:
            self.fine += fine
            if not fine:
                self.wrong.append(answer)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.going = False
        for t in self.threads:
            t.join()


def test_a_killed_worker_loses_what_it_held_and_nothing_else(serve):
    server = serve(SITE, "--workers", "2")
    kills = 10
    with Load(server) as load:
        for n in range(kills):
            time.sleep(0.15)
            os.kill(server.workers()[n % 2], signal.SIGKILL)
            eventually(lambda: server.errors().count("; started") == n + 1)
    assert not load.wrong and load.fine > 100
    assert load.lost <= kills * 4, load.lost  # four clients, one request each
    children = eventually(lambda: len(server.workers()) == 2 and server.workers())
    assert not [p for p in children if is_zombie(p)]


def is_zombie(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"


def is_gone(pid):
    try:
        return is_zombie(pid)  # its parent's to reap, which is not ours
    except (FileNotFoundError, ProcessLookupError):
        return True


def left_behind(site):
    """Names that a server of the site has made outside of it: in /dev/shm, and its folders for the
    control socket and for bodies, whose names begin with that of the site's folder."""
    names = {f"/dev/shm/{name}" for name in os.listdir("/dev/shm") if "lunette" in name}
    for base in (os.environ["RUNTIME_DIRECTORY"], *pathlib.Path("/tmp").glob("lunette-*")):
        names |= {str(path) for path in pathlib.Path(base).glob(f"{site}-*/*")}
    return names


def test_a_killed_master_leaves_nothing_behind(make_site):
    """The workers end, the port is free, nothing stays in /dev/shm or /tmp, a new one can start."""
    made = make_site(SITE)
    folder = made.rename(made.with_name(f"left{os.getpid()}"))  # like no other site's
    before = left_behind(folder.name)
    address = f"unix:{folder}/socket"
    server = Server(folder, ("--workers", "2", "--pid-file", f"{folder}/pid", "--listen", address))
    workers = server.workers()
    with Load(server) as load:
        eventually(lambda: load.fine > 20)
        server.process.kill()
        server.process.wait()
        eventually(lambda: all(is_gone(p) for p in workers), 15)
        assert refused(server)
    again = Server(folder, ("--workers", "2", "--pid-file", f"{folder}/pid", "--listen",
                            f"127.0.0.1:{server.port}", "--listen", address))
    with Wire(socket.create_connection(("127.0.0.1", server.port), 10)) as w:
        assert w.get("/hello").answer().body == b"hello"
    assert unix_get(f"{folder}/socket", "/hello").body == b"hello"
    assert left_behind(folder.name) > before  # the look sees what there is
    again.stop()
    assert left_behind(folder.name) <= before


def test_the_port_of_a_killed_master_is_free_at_once(make_site):
    """Its workers finish what they have, for as long as it takes, and listen no more."""
    server = Server(make_site(SITE), ("--workers", "2"))
    workers = server.workers()
    [slow] = under_way(server, "/held/2500")
    with slow:
        server.process.kill()
        server.process.wait()
        eventually(lambda: refused(server), 2)
        assert not all(is_gone(p) for p in workers)
        again = Server(make_site(SITE), ("--workers", "1", "--listen", f"127.0.0.1:{server.port}"))
        with Wire(socket.create_connection(("127.0.0.1", server.port), 10)) as w:
            assert w.get("/hello").answer().body == b"hello"
        assert slow.answer().body == b"slept"
    again.stop()
    eventually(lambda: all(is_gone(p) for p in workers))


def test_a_killed_checker_is_a_reload_that_comes_to_nothing(serve):
    server = serve({**SITE, "scripts/main.lua": SITE["scripts/main.lua"] + """
        print "main begun"
        local began = os.clock()
        while os.clock() - began < 0.5 do end
        """}, "--workers", "1")
    [worker] = server.workers()
    server.process.send_signal(signal.SIGHUP)
    checker = eventually(lambda: [p for p in server.workers() if p != worker])[0]
    eventually(lambda: server.errors().count("main begun") == 2)
    os.kill(checker, signal.SIGKILL)
    server.wait_for("reload 1 came to nothing: the process that tried the new scripts ended without a word")
    eventually(lambda: server.workers() == [worker])
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(r"reloaded \(2\)")


@contextlib.contextmanager
def started_oddly(folder, *arguments, before):
    """The program, of whom something was done before it began, and its port: what it says goes to a file.
    It ends when it is told to."""
    port = free_port()
    with open(folder.parent / "odd.err", "wb") as err:
        process = subprocess.Popen(
            [LUNETTE, "serve", str(folder), "--listen", f"127.0.0.1:{port}", "--workers", "2",
             *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err,
            preexec_fn=before)
    try:
        yield process, port
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def says_hello(port):
    try:
        with Wire(socket.create_connection(("127.0.0.1", port), 10)) as w:
            return w.get("/hello").answer().body == b"hello"
    except OSError:
        return False


def test_ends_of_workers_are_told_whatever_the_parent_thought_of_its_children(make_site):
    folder = make_site(SITE)
    with started_oddly(folder, before=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)) as started:
        process, port = started
        eventually(lambda: " serves " in (folder.parent / "odd.err").read_text(), 20)
        workers = children_of(process.pid)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(now := children_of(process.pid)) == 2 and
                   not set(now) & set(workers))
        eventually(lambda: says_hello(port))


def test_a_server_without_its_standard_descriptors_opens_nothing_in_their_place(make_site, place):
    pid_file = place / "odd.pid"
    with started_oddly(make_site(SITE), "--pid-file", str(pid_file),
                       before=lambda: [os.close(fd) for fd in range(3)]) as (process, port):
        eventually(lambda: says_hello(port), 20)
        assert pid_file.read_text() == f"{process.pid}\n"
