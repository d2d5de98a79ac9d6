"""What an exchange costs once a connection is warm: one read and one write, and no memory from malloc.

System calls are strace's, allocations those of a library that is preloaded (allocations.c). Both count
everything, Lua's share included: small blocks of Lua are kept (script/vm_blocks.h), and so is what the
core needs, so that nothing is left to be told apart. A few things happen once a second, whatever the
number of exchanges: files are looked at again, the watchdog wakes.
"""
import collections
import contextlib
import pathlib
import re
import struct
import subprocess
import time

import pytest

from conftest import LUNETTE, eventually, post
from running import new_folder, preloadable, running
from test_ends import SANITIZED
from test_faults import traced, tracing

MAIN = """
    local app = require "lunette"
    local function text(s) return 200, { ["Content-Type"] = "text/plain" }, s end
    app.get("/hello", function() return text "Hello, World!" end)
    app.get("/json", function(req)
      local n = tonumber(req.query.n)
      return { name = req.query.name, n = n, header = req.headers["X-Bench"],
               session = req.cookies.sid }
    end)
    app.post("/form", function(req) return text(req.form.note) end)
    app.get("/large", function() return text(("x"):rep(2^20)) end)
    """
SITE = {
    "scripts/main.lua": MAIN,
    "scripts/config.lua": 'return { log = { access = "off" } }',
    "site/4k.html": b"x" * 4096,
}
LOGGED = {**SITE, "scripts/config.lua": "return {}"}


def get(path, *fields):
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


# Requests in one write, and how many.
EXCHANGES = {
    "hello": (get("/hello"), 1),
    "pipelined": (get("/hello") * 16, 16),
    "json": (get("/json?name=x&n=5", "X-Bench: hdr-42", "Cookie: theme=dark; sid=abc123"), 1),
    "form": (post("/form", "first=Ada&last=Lovelace&note=hello+world%21",
                  "Content-Type: application/x-www-form-urlencoded"), 1),
    "file": (get("/4k.html"), 1),
}
WARM_UP, TRACED, COUNTED = 200, 200, 500  # turns
# Calls in all for what is done once a second, and for the first turn after a rest.
APART = 8


def exchange(wire, name):
    requests, n = EXCHANGES[name]
    wire.send(requests)
    for _ in range(n):
        assert wire.answer().status == 200


# --- system calls ---

@contextlib.contextmanager
def all_calls(pid):
    """Gives what the trace of all calls of the process says so far: name and rest of each."""
    trace = new_folder() / "trace"
    command = ["strace", "-f", "-qq", "-o", str(trace), "-p", str(pid), "-e", "signal=none"]

    def so_far():
        return re.findall(r"^\d+ +(\w+)(\(.*)", trace.read_text(), re.M)

    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as strace:
        try:
            eventually(lambda: traced(pid) or strace.poll() is not None)
            yield so_far
        finally:
            strace.terminate()
            strace.wait()


def settle(server):
    """Until no file was written in the last seconds: such a file is read anew at each look at it, once a
    second (content/filecache.c), and that is another state than the steady one."""
    newest = max(p.stat().st_ctime for p in server.folder.rglob("*"))
    time.sleep(max(0, newest + 4 - time.time()))


def calls_of(server, name, turns):
    """Names and numbers of the calls in that many turns, and how long they took."""
    [pid] = server.workers()
    if name == "file":
        settle(server)
    with server.wire() as w:
        for _ in range(WARM_UP):
            exchange(w, name)
        with all_calls(pid) as so_far:
            exchange(w, name)  # the worker was at rest
            eventually(lambda: so_far() and so_far()[-1][0] == "epoll_wait")
            before, start = len(so_far()), time.monotonic()
            for _ in range(turns):
                exchange(w, name)
            took = time.monotonic() - start
            # The last answer is here before strace has written that it was sent.
            eventually(lambda: [n for n, _ in so_far()[before:]].count("sendto") >= turns)
            eventually(lambda: so_far()[-1][0] == "epoll_wait")
            return collections.Counter(n for n, _ in so_far()[before:]), took


def expect_calls(seen, turns, took, **expected):
    """Of each call the number that is named; few others, and none that changes what is watched."""
    for name, n in expected.items():
        assert seen.pop(name, 0) == n, (name, seen)
    assert turns <= seen.pop("epoll_wait") <= turns + APART + APART * took, seen
    for name in ("mmap", "munmap", "madvise", "sigaltstack") if SANITIZED else ():
        seen.pop(name, 0)  # the sanitizer's: freed memory apart, stacks that unwind
    for name in ("epoll_ctl", "timerfd_settime", "timer_settime", "setitimer", "setsockopt",
                 "fcntl", "ioctl"):
        assert name not in seen, seen
    assert seen.total() <= APART + APART * took, seen


@pytest.fixture(scope="module")
def server():
    with running(SITE, "--workers", "1") as s:
        yield s


@tracing
@pytest.mark.parametrize("name", EXCHANGES)
def test_one_read_and_one_write(server, name):
    seen, took = calls_of(server, name, TRACED)
    expect_calls(seen, TRACED, took, recvfrom=TRACED, sendto=TRACED)


@tracing
def test_a_line_of_the_access_log_is_one_write_more(server):
    with running(LOGGED, "--workers", "1") as logged:
        for name, (_, n) in EXCHANGES.items():
            before = logged.accesses().count("\n")
            seen, took = calls_of(logged, name, TRACED)
            expect_calls(seen, TRACED, took, recvfrom=TRACED, sendto=TRACED, write=TRACED)
            lines = n * (WARM_UP + 1 + TRACED)
            eventually(lambda: logged.accesses().count("\n") == before + lines)


# --- memory ---

class Allocations:
    """A library that counts, to be preloaded with env."""

    def __init__(self):
        self.file = new_folder() / "counts"
        self.file.write_bytes(bytes(16 * 1024))
        self.file.chmod(0o666)
        self.env = {**preloadable("allocations"), "ALLOCATIONS": str(self.file)}

    def so_far(self):
        """Address that the call came from → how many."""
        pairs = struct.iter_unpack("QQ", self.file.read_bytes())
        return collections.Counter({caller: n for caller, n in pairs if n})


def places(server, counted):
    """Where in the program the allocations were, for a failure's message."""
    [pid] = server.workers()
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
    base = int(re.search(rf"^(\w+)-.* 0+ .*{re.escape(str(LUNETTE))}$", maps, re.M)[1], 16)
    names = {}
    for caller, n in counted.items():
        done = subprocess.run(["addr2line", "-fspi", "-e", LUNETTE, hex(caller - base - 1)],
                              capture_output=True, text=True, check=False)
        names[done.stdout.strip() or hex(caller)] = n
    return names


def allocated(allocations, wire, requests, answers, turns):
    """Callers and numbers of allocations in that many turns."""
    before = allocations.so_far()
    for _ in range(turns):
        wire.send(requests)
        for _ in range(answers):
            assert wire.answer().status == 200
    return allocations.so_far() - before


@pytest.fixture(scope="module")
def counted():
    allocations = Allocations()
    with running(SITE, "--workers", "1", env=allocations.env) as s:
        yield s, allocations


preloading = pytest.mark.skipif(SANITIZED, reason="a sanitizer has a malloc of its own")


# Blocks of Lua are kept from the first collection of its garbage on, and given back by a worker at rest.
@preloading
@pytest.mark.parametrize("name", EXCHANGES)
def test_no_memory_from_malloc(counted, name):
    server, allocations = counted
    with server.wire() as w:
        for _ in range(20):
            seen = allocated(allocations, w, *EXCHANGES[name], COUNTED)
            if seen.total() <= APART:
                return
    raise AssertionError(places(server, seen))


@preloading
def test_allocations_are_counted(counted):
    server, allocations = counted
    with server.wire() as w:
        assert allocated(allocations, w, get("/large"), 1, 50).total() >= 50
