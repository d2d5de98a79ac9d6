"""Faults on purpose: system calls that fail, are interrupted or move less than they were asked to.

strace makes calls of a running worker fail (it comes from outside, past the sandbox); for calls that
move less a small library is preloaded (short.c). Whatever fails, the answer is right or a clear
refusal, and afterwards nothing is left: right answers, the same descriptors, no processor time.
"""
import contextlib
import hashlib
import os
import pathlib
import re
import resource
import shutil
import subprocess
import time

import pytest

from conftest import LUNETTE, Server, eventually, free_port, post, together
from running import make_folder, new_folder, preloadable, running
from test_ends import SANITIZED, cpu_seconds

MAIN = """
    local app = require "lunette"
    local task = require "lunette.task"
    local gzip = require "lunette.gzip"
    app.get("/hello", function() return app.text "hello" end)
    app.get("/big", function() return app.text(("0123456789abcdef"):rep(2^16)) end)
    app.get("/stream", function()
      return app.stream(function(write)
        for i = 1, 64 do write(("0123456789abcdef"):rep(1024)) end
      end)
    end)
    app.get("/file", function() return app.file("site/big.bin") end)
    app.post("/echo", function(req) return app.text(req.body) end)
    app.post("/read", { stream_body = true, max_body = "1G" }, function(req)
      local n = 0
      for chunk in req:chunks() do n = n + #chunk end
      return app.text(tostring(n))
    end)
    app.post("/upload", function(req)
      local f = req.files.f
      f:save_as("saved")
      return app.text(tostring(f.size))
    end)
    """
BIG = b"0123456789abcdef" * 2**16
SITE = {
    "scripts/main.lua": MAIN,
    "scripts/config.lua": 'return { limits = { body_memory = "16K", body_bytes = "4M" } }',
    "site/small.txt": "small",
    "site/big.bin": BIG,
    "site/twice-big.bin": BIG * 2,  # more than is sent in one turn
}
FORM = (b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n' + BIG
        + b"\r\n--b--\r\n")
FORM_TYPE = "Content-Type: multipart/form-data; boundary=b"


# The search for leaks at the end of a process does not work beside strace: for servers that end, or whose
# children do, while they are traced. Leaks of all others are looked for.
NO_LEAKS = {"ASAN_OPTIONS": "detect_leaks=0"}


def may_trace():
    """Whether strace is there and may look at processes of another user."""
    return bool(shutil.which("strace")) and os.getuid() == 0


tracing = pytest.mark.skipif(not may_trace(), reason="needs strace, and root to attach it")


@contextlib.contextmanager
def injected(pid, *faults):
    """Calls of the process fail as told ("accept4:error=EMFILE"); gives what the trace says so far."""
    trace = new_folder() / "trace"
    names = ",".join({fault.split(":")[0] for fault in faults})
    command = ["strace", "-f", "-qq", "-o", str(trace), "-p", str(pid), "-e", f"trace={names}",
               "-e", "signal=none"]
    for fault in faults:
        command += ["-e", f"inject={fault}"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as strace:
        try:
            eventually(lambda: traced(pid) or strace.poll() is not None)
            assert strace.poll() is None, strace.stderr.read()
            yield trace.read_text
            let_rest(trace)
        finally:
            strace.terminate()
            strace.wait()


def let_rest(trace):
    """A strace that ends in the midst of a call which it makes fail leaves ENOSYS there, which no kernel
    gives: it is to end while the process waits in a call that it leaves alone."""
    for _ in range(40):
        size = trace.stat().st_size
        time.sleep(0.03)
        if trace.stat().st_size == size:
            return


def traced(pid):
    """All of its threads are."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if "TracerPid:\t0\n" in (task / "status").read_text():
            return False
    return True


def is_right(server):
    """One request of each kind."""
    with server.wire() as w:
        assert w.get("/hello").answer().body == b"hello"
        assert w.get("/small.txt").answer().body == b"small"
        assert w.get("/big.bin").answer().body == BIG
        assert w.get("/file").answer().body == BIG
        assert w.get("/big").answer().body == BIG
        assert w.get("/stream").answer().body == BIG
        assert w.send(post("/echo", "body")).answer().body == b"body"
        assert w.send(post("/echo", BIG)).answer().body == BIG
        assert w.send(post("/read", BIG)).answer().body == b"%d" % len(BIG)
        assert w.send(post("/upload", FORM, FORM_TYPE)).answer().body == b"%d" % len(BIG)


def is_at_rest(server):
    pids = [server.process.pid, *server.workers()]
    before = sum(cpu_seconds(p) for p in pids)
    time.sleep(0.3)
    return sum(cpu_seconds(p) for p in pids) - before <= 0.05


def open_now(server):
    """Without files that the cache keeps open."""
    return sorted(re.sub(r"\d+", "", name) for name in server.open_files()
                  if not name.endswith("big.bin"))


@pytest.fixture(scope="module")
def server():
    with running(SITE, "--workers", "1") as s:
        is_right(s)
        yield s


def connections(server):
    """Of clients, that the workers have open."""
    held = server.open_files("socket:")
    rows = [line.split() for line in open("/proc/net/tcp")][1:]
    return [row for row in rows if int(row[1].split(":")[1], 16) == server.port and row[3] != "0A"  # it listens
            and f"socket:[{row[9]}]" in held]


def at_rest(server):
    """What is open once nothing changes any more: connections of tests before are on their way out."""
    eventually(lambda: not connections(server))
    names = None
    while names != (names := open_now(server)):
        time.sleep(0.2)
    return names


@contextlib.contextmanager
def is_left_as_it_was(server):
    workers, before = server.workers(), at_rest(server)
    yield server
    is_right(server)
    assert server.workers() == workers, server.errors()
    with contextlib.suppress(AssertionError):
        eventually(lambda: open_now(server) == before)
    assert open_now(server) == before
    eventually(lambda: is_at_rest(server))
    assert not [n for n in os.listdir(server.folder / "data") if n != "saved"]


@pytest.fixture
def unharmed(server):
    """The test leaves the server as it was."""
    with is_left_as_it_was(server):
        yield server


def ask(server, path):
    with server.wire() as w:
        return w.get(path).answer()


# --- accepting ---

@tracing
@pytest.mark.parametrize("error", ["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"])
def test_accepting_pauses_while_there_are_no_descriptors(unharmed, error):
    [worker] = unharmed.workers()
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(unharmed.wire())
        assert old.get("/hello").answer().body == b"hello"  # so it is accepted
        trace = stack.enter_context(injected(worker, f"accept4:error={error}"))
        assert old.get("/hello").answer().body == b"hello"  # it is only accepting that fails
        with unharmed.wire() as new:
            new.get("/hello")
            time.sleep(1)
            assert old.get("/hello").answer().body == b"hello"
            assert 2 <= trace().count("accept4(") <= 15  # every 100 ms, and no spinning
    unharmed.wait_for("cannot accept connections, trying again every 100 ms: "
                      + re.escape(os.strerror(getattr(__import__("errno"), error))))


@tracing
@pytest.mark.parametrize("error", ["ECONNABORTED", "EINTR", "EPROTO", "EAGAIN", "EPERM"])
def test_an_accept_that_fails_for_one_connection_delays_nobody(unharmed, error):
    [worker] = unharmed.workers()
    told = unharmed.errors()
    with injected(worker, f"accept4:error={error}:when=1..3"):
        assert ask(unharmed, "/hello").body == b"hello"
    assert unharmed.errors() == told


@tracing
@pytest.mark.parametrize("fault", ["epoll_ctl:error=ENOMEM:when=1", "epoll_ctl:error=ENOSPC:when=1"])
def test_a_connection_that_cannot_be_watched_is_closed(unharmed, fault):
    [worker] = unharmed.workers()
    with injected(worker, fault):
        with unharmed.wire() as w:
            with contextlib.suppress(ConnectionError):
                w.get("/hello").assert_end()
        assert ask(unharmed, "/hello").body == b"hello"


@tracing
def test_a_connection_that_cannot_be_watched_is_not_counted_as_accepted():
    with running({"scripts/config.lua": "return { metrics = '/metrics' }", "site/a.txt": "a"},
                 "--workers", "1") as server:
        def accepted():
            text = ask(server, "/metrics").body.decode()
            return int(re.search(r"^lunette_connections_accepted_total (\d+)$", text, re.M)[1])
        before = accepted()
        with injected(server.workers()[0], "epoll_ctl:error=ENOMEM:when=1"):
            with server.wire() as w:
                with contextlib.suppress(ConnectionError):
                    w.get("/a.txt").assert_end()
        assert accepted() == before + 1  # that one itself


# --- interrupted calls ---

@tracing
@pytest.mark.parametrize("call", ["epoll_wait", "accept4", "recvfrom", "sendmsg,sendto", "sendfile",
                                  "pread64", "pwritev", "write", "openat,openat2"])
def test_calls_that_are_interrupted_are_made_again(unharmed, call):
    [worker] = unharmed.workers()
    with injected(worker, *[f"{name}:error=EINTR:when=1+2" for name in call.split(",")]):
        is_right(unharmed)


@tracing
@pytest.mark.parametrize("call", ["wait4", "read", "poll"])
def test_calls_of_the_master_that_are_interrupted(serve, call):
    """A reload needs all of them, and has children that end."""
    server = serve(SITE, "--workers", "1", env=NO_LEAKS)
    is_right(server)
    with is_left_as_it_was(server):
        with injected(server.process.pid, f"{call}:error=EINTR:when=1+3"):
            server.process.send_signal(1)
            with contextlib.suppress(AssertionError):
                eventually(lambda: server.errors().count("reloaded (") == 1, 10)
        assert server.errors().count("reloaded (") == 1, server.errors()


# --- no room ---

@tracing
@pytest.mark.parametrize("path,fields,body", [("/echo", (), BIG), ("/upload", (FORM_TYPE,), FORM)], ids=["body", "form"])
@pytest.mark.parametrize("fault,status", [
    ("pwritev:error=ENOSPC", 507), ("pwritev:error=ENOSPC:when=3", 507), ("pwritev:error=EDQUOT", 507),
    ("pwritev:error=EIO", 500), ("pwritev:error=EIO:when=2", 500),
    ("openat:error=ENOSPC", 507), ("openat:error=EMFILE", 503), ("openat:error=EACCES", 500)])
def test_a_body_that_finds_no_room(unharmed, path, fields, body, fault, status):
    [worker] = unharmed.workers()
    with unharmed.wire() as w, injected(worker, fault):
        a = w.send(post(path, body, "Expect: 100-continue", *fields)[:-len(body)]).answer()
        assert a.status == 100
        with contextlib.suppress(ConnectionError):
            w.send(body)
        a = w.answer()
        assert (a.status, a.headers["connection"]) == (status, "close")
        assert not [name for name in unharmed.open_files(f"{unharmed.folder}/data/")]


@tracing
@pytest.mark.parametrize("fault,statuses", [
    ("openat,openat2:error=EMFILE", {500, 503}), ("openat,openat2:error=ENFILE", {500, 503}),
    ("openat,openat2:error=EIO", {500, 503}), ("openat,openat2:error=EACCES", {403, 404})])
def test_a_file_that_cannot_be_opened(serve, fault, statuses):
    server = serve(SITE, "--workers", "1")
    [worker] = server.workers()
    calls, error = fault.split(":")
    with injected(worker, *[f"{call}:{error}" for call in calls.split(",")]):
        answers = [ask(server, "/small.txt") for _ in range(3)]
        assert {a.status for a in answers} <= statuses
    time.sleep(1.1)  # what was found is believed for a second
    is_right(server)


@tracing
@pytest.mark.parametrize("fault", ["sendfile:error=EIO", "sendfile:error=ENOMEM:when=2+"])
def test_a_file_that_cannot_be_read_any_more_ends_its_connection(unharmed, fault):
    [worker] = unharmed.workers()
    with injected(worker, fault), unharmed.wire() as w:
        with contextlib.suppress(ConnectionError):
            data = w.get("/twice-big.bin", "Connection: close").rest()
            assert len(data) < 2 * len(BIG)


@tracing
@pytest.mark.parametrize("fault", ["sendmsg,sendto:error=ENOMEM:when=1", "recvfrom:error=ENOMEM:when=1",
                                   "sendmsg,sendto:error=ENOBUFS:when=1",
                                   "recvfrom:error=ETIMEDOUT:when=1", "recvfrom:error=ECONNRESET:when=1",
                                   "sendmsg,sendto:error=EPIPE:when=1"])
def test_a_socket_that_fails_ends_its_connection_alone(unharmed, fault):
    [worker] = unharmed.workers()
    calls, error, when = fault.split(":")
    faults = [f"{call}:{error}:{when}" for call in calls.split(",")]
    with unharmed.wire() as other, injected(worker, *faults):
        for _ in range(2):
            with contextlib.suppress(OSError, AssertionError), unharmed.wire() as w:
                w.get("/hello").answer()
        assert other.get("/hello").answer().body == b"hello"


# --- processes ---

@tracing
def test_a_worker_that_cannot_be_started_yet(serve):
    server = serve(SITE, "--workers", "1", env=NO_LEAKS)
    # the first one is to deal with what the dead one has left in the cache
    with injected(server.process.pid, "clone:error=EAGAIN:when=1..4"):
        os.kill(server.workers()[0], 9)
        server.wait_for("a worker could not be started: Resource temporarily unavailable")
        eventually(lambda: server.errors().count("a worker could not be started") == 3)
        server.wait_for("; started", 5)
    assert eventually(lambda: len(server.workers()) == 1)
    is_right(server)


# --- the start ---

def start_with(folder, *faults):
    """Starts a server whose calls fail; its end, or that it served: (code or None, stderr)."""
    port = free_port()
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "signal=none"]
    for fault in faults:
        command += ["-e", f"trace={fault.split(':')[0]}", "-e", f"inject={fault}"]
    with subprocess.Popen([*command, LUNETTE, "serve", str(folder), "--workers", "1", "--listen",
                           f"127.0.0.1:{port}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, env={**os.environ, **NO_LEAKS}) as p:
        said = ""
        for line in p.stderr:
            said += line
            if " serves " in line:
                [child] = pathlib.Path(f"/proc/{p.pid}/task/{p.pid}/children").read_text().split()
                os.kill(int(child), 15)
                return None, said + p.stderr.read()
        return p.wait(20), said


def count_calls(name, *arguments):
    """How often the program makes a call, without its children, until it ends or serves."""
    trace = new_folder() / "trace"
    with subprocess.Popen(["strace", "-qq", "-o", str(trace), "-e", f"trace={name}", LUNETTE,
                           *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True) as p:
        if " serves " in p.stderr.readline():
            [child] = pathlib.Path(f"/proc/{p.pid}/task/{p.pid}/children").read_text().split()
            os.kill(int(child), 15)
        p.stderr.read()
    return trace.read_text().count(f"{name}(")


SENTENCE = r"[Mm]emory|Cannot allocate|cannot|could not"


@tracing
@pytest.mark.skipif(SANITIZED, reason="the sanitizer itself cannot do without its memory")
def test_a_start_in_which_an_mmap_fails():
    """Each in turn, from the first that is not the loader's: a sentence and an end, or no harm."""
    folder = make_folder(SITE)
    listen = f"127.0.0.1:{free_port()}"
    count = count_calls("mmap", "serve", str(folder), "--workers", "1", "--listen", listen)
    first = count_calls("mmap", "--help")

    def one(n):
        code, said = start_with(folder, f"mmap:error=ENOMEM:when={n}")
        assert code is None or (code == 1 and re.search(SENTENCE, said)), (n, code, said)
    numbers = range(first + 1, count + 4)
    assert len(numbers) >= 4
    for i in range(0, len(numbers), 4):
        together(*[lambda n=n: one(n) for n in numbers[i:i + 4]])


@pytest.mark.skipif(SANITIZED, reason="the sanitizer itself cannot do without its memory")
def test_a_start_with_too_little_memory():
    """However much address space there is: it serves, or ends with a sentence."""
    folder, ends = make_folder(SITE), set()
    for megabytes in (16, 24, 32, 40, 48, 56, 64, 72, 80, 96, 112, 128, 160, 192, 256, 512):
        server = Server(folder, ("--workers", "1"), ready=False,
                        limit=(resource.RLIMIT_AS, megabytes << 20))
        eventually(lambda: server.process.poll() is not None or " serves " in server.errors())
        code, said = server.process.poll(), server.errors()
        ends.add(code)
        if code is None:
            server.stop()
        else:
            assert code in (1, 127) and re.search(SENTENCE, said), (megabytes, code, said)
    assert ends >= {None, 1}


@tracing
@pytest.mark.parametrize("fault,words", [
    ("socket:error=EMFILE:when=1+", "cannot listen on .*Too many open files"),
    ("listen:error=EADDRINUSE", "cannot listen on .*Address already in use"),
    ("memfd_create:error=EMFILE", "Too many open files"),
    ("epoll_create1:error=EMFILE", "a worker cannot start: the event loop: Too many open files"),
    ("eventfd2:error=EMFILE:when=1", "Too many open files"),
    ("pipe2:error=EMFILE", "Too many open files"),
    ("signalfd4:error=EMFILE", "Too many open files"),
])
def test_a_start_without_descriptors_says_so(fault, words):
    """Without processes it tries again: test_a_worker_that_cannot_be_started_yet."""
    code, said = start_with(make_folder(SITE), fault)
    assert code == 1 and re.search(words, said), (code, said)


# --- less than asked for ---

def test_everything_in_small_pieces(make_site):
    server = Server(make_site(SITE), ("--workers", "2"), env=preloadable("short"))
    for _ in range(3):
        is_right(server)
    with server.wire() as w:  # and bytes of a file coded on the way
        w.get("/big.bin", "Range: bytes=5-1000000").answer()
        a = w.get("/big.bin", "Accept-Encoding: gzip").answer()
        assert a.status == 200
    server.process.send_signal(1)
    server.wait_for(r"reloaded \(1\)", 20)
    is_right(server)
    assert hashlib.sha256((server.folder / "data/saved").read_bytes()).digest() == \
        hashlib.sha256(BIG).digest()
    server.stop()
