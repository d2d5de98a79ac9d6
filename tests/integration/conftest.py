"""A real server for each test that asks for one, on a free port of 127.0.0.1, with real clients.

`serve` starts the program on a site made from a dictionary of files, waits until it says that it
serves, and stops it at the end; a server that did not stop by itself, or that left a word of a
sanitizer in its log, fails the test.
"""
import atexit
import collections
import os
import pathlib
import random
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

ROOT = pathlib.Path(__file__).parents[2]
START_S = 20


def for_everybody(program):
    """The program; for root a copy of it, since tests start it as other users too, who may not pass
    the folder that a repository in root's home is in."""
    if os.getuid() != 0:
        return program
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lunette-"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return shutil.copy(program, folder)


def runtime_folder():
    """Where servers of tests that root starts have their control sockets, instead of in /run."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lunette-"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return str(folder)


os.environ["RUNTIME_DIRECTORY"] = runtime_folder()
LUNETTE = for_everybody(os.environ.get("LUNETTE") or str(ROOT / "build" / "lunette"))


given = collections.deque(maxlen=1000)  # ports that free_port gave last
first_lane = 0  # tests/browser, whose journeys run beside these tests, begins with another


def free_port():
    """A port that nobody has, and below those that the kernel gives to clients: one of them could
    take a port of its choice before the server does. Tests that run at the same time, in processes
    of pytest-xdist, have a range each."""
    lane = (first_lane + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])) % 8
    while True:
        port = 10000 + 2700 * lane + random.randrange(2700)
        if port in given:  # a server may be about to take it
            continue
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            given.append(port)
            return port


class Server:
    """A running lunette: .port, .url(path), .log() of both logs, .raw(bytes)."""

    def __init__(self, folder, arguments=(), ready=True, env=None, user=None, limit=None):
        """limit: (resource.RLIMIT_…, value) for the server."""
        self.folder, self.port = folder, free_port()
        self.out = folder.parent / (folder.name + ".out")
        self.err = folder.parent / (folder.name + ".err")
        command = [LUNETTE, "serve", str(folder), "--listen", f"127.0.0.1:{self.port}", *arguments]
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
                env={**os.environ, **(env or {})}, user=user, cwd=folder.parent,
                preexec_fn=limit and (lambda: resource.setrlimit(limit[0], (limit[1], limit[1]))))
        if ready:
            self.wait_for(r"lunette \S+ serves .* on ")

    def wait_for(self, pattern, seconds=START_S):
        """Waits for a line of the error log."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if re.search(pattern, self.errors()):
                return
            if self.process.poll() is not None and not re.search(pattern, self.errors()):
                raise AssertionError(f"it ended ({self.process.returncode}): {self.errors()}")
            time.sleep(0.01)
        raise AssertionError(f"no {pattern!r} in: {self.errors()}")

    def wait_for_access(self, pattern, seconds=5):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if re.search(pattern, self.accesses()):
                return
            time.sleep(0.01)
        raise AssertionError(f"no {pattern!r} in: {self.accesses()}")

    def errors(self):
        return self.err.read_text(errors="replace")

    def accesses(self):
        return self.out.read_text(errors="replace")

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def connect(self, timeout=10):
        s = socket.create_connection(("127.0.0.1", self.port), timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def raw(self, data, timeout=10):
        """Sends bytes, returns everything until the server closes."""
        with self.connect(timeout) as s:
            s.sendall(data)
            return read_all(s)

    def get(self, path, *fields):
        """One GET by hand; the whole answer as bytes."""
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *fields, "", ""]
        return self.raw("\r\n".join(lines).encode("latin-1"))

    def wire(self, timeout=10):
        """A connection that knows where answers end."""
        return Wire(self.connect(timeout))

    def workers(self):
        """The master's children but the one that tends the cache for a moment after a death: that has its
        name soon after it is there, or has ended."""
        pid = self.process.pid
        children = [int(p) for p in open(f"/proc/{pid}/task/{pid}/children").read().split()]
        time.sleep(0.01)
        return [p for p in children if name_of(p) not in ("", "lunette-tend")]

    def open_files(self, kind=""):
        """What the workers have open, as /proc names it: "socket:[1]", "/path (deleted)"."""
        names = []
        for pid in self.workers():
            for fd in os.listdir(f"/proc/{pid}/fd"):
                try:
                    names.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
                except FileNotFoundError:  # closed meanwhile
                    pass
        return [name for name in names if name.startswith(kind)]

    def sockets(self):
        """How many sockets the workers hold: a fixed number, and one for each connection."""
        return len(self.open_files("socket:"))

    def stop(self, how=signal.SIGTERM, seconds=15):
        if self.process.poll() is None:
            self.process.send_signal(how)
            if not self.ends_within(seconds):
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                raise AssertionError(f"the server did not stop: {self.errors()}")
        for word in ("AddressSanitizer", "LeakSanitizer", "runtime error:", "Assertion",
                     "(SIGSEGV)", "(SIGBUS)", "(SIGABRT)"):
            assert word not in self.errors(), self.errors()
        return self.process.wait()

    def ends_within(self, seconds):
        """Waits for the end of the master; whether it came. (wait(timeout) of subprocess would
        look only every 50 ms.)"""
        if self.process.poll() is not None:  # and send_signal looks, too: its number is no more
            return True
        end = os.pidfd_open(self.process.pid)
        try:
            return bool(select.select([end], [], [], seconds)[0])
        finally:
            os.close(end)


def read_all(s):
    out = b""
    while True:
        try:
            more = s.recv(65536)
        except ConnectionResetError:
            return out
        if not more:
            return out
        out += more


def read_until(s, end, limit=1 << 20):
    out = b""
    while end not in out and len(out) < limit:
        more = s.recv(65536)
        if not more:
            break
        out += more
    return out


class Answer:
    """One response: .status, .headers (lower-case names, repeated ones joined), .body, .head."""

    def __init__(self, head):
        self.head = head
        lines = head.decode("latin-1").split("\r\n")
        self.version, status, self.reason = lines[0].split(" ", 2)
        self.status, self.headers, self.body = int(status), {}, b""
        for line in lines[1:]:
            name, value = line.split(":", 1)
            name, value = name.lower(), value.strip()
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value

    def __repr__(self):
        return f"<{self.head!r} and {len(self.body)} bytes>"


class Wire:
    """Raw bytes out, whole answers in; a context manager that closes the socket."""

    def __init__(self, s):
        self.s, self.buffer = s, b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def send(self, *parts):
        for part in parts:
            self.s.sendall(part.encode("latin-1") if isinstance(part, str) else part)
        return self

    def get(self, path, *fields):
        return self.send("\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *fields, "", ""]))

    def fill(self):
        """Reads once; False at the end."""
        more = self.s.recv(1 << 20)
        self.buffer += more
        return bool(more)

    def begin(self):
        """Waits until something has come, and leaves it to be read."""
        assert self.buffer or self.fill(), "the end before anything came"
        return self

    def take(self, n):
        while len(self.buffer) < n:
            assert self.fill(), f"{len(self.buffer)} of {n} bytes: {self.buffer[:200]}"
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def take_line(self):
        while b"\r\n" not in self.buffer:
            assert self.fill(), f"the end within a line: {self.buffer[:200]}"
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def take_chunks(self):
        body = b""
        while size := int(self.take_line().split(b";")[0], 16):
            body += self.take(size)
            assert self.take(2) == b"\r\n"
        while self.take_line():
            pass
        return body

    def answer(self, method="GET"):
        """The next response, 1xx included."""
        lines = []
        while not lines or lines[-1]:
            lines.append(self.take_line())
        a = Answer(b"\r\n".join(lines[:-1]))
        if method == "HEAD" or a.status in (204, 304) or a.status < 200:
            return a
        if a.headers.get("transfer-encoding") == "chunked":
            a.body = self.take_chunks()
        elif "content-length" in a.headers:
            a.body = self.take(int(a.headers["content-length"]))
        else:
            a.body = self.rest()
        return a

    def rest(self):
        """What comes until the server closes."""
        while self.fill():
            pass
        taken, self.buffer = self.buffer, b""
        return taken

    def assert_end(self):
        """The server closes, and sends nothing more before it does."""
        assert self.rest() == b""

    def assert_silent(self, seconds=0.1):
        """Nothing comes, not even the end, for a while."""
        assert self.buffer == b""
        patience = self.s.gettimeout()
        self.s.settimeout(seconds)
        with pytest.raises(TimeoutError):
            self.s.recv(1, socket.MSG_PEEK)
        self.s.settimeout(patience)


def post(path, body=b"", *fields, method="POST"):
    """The bytes of a request with a body of known length."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}",
             *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def eventually(check, seconds=10):
    """Waits until check() is true, and returns what it gave."""
    end = time.monotonic() + seconds
    while not (result := check()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.01)
    return result


def name_of(pid):
    """Of a process; "" when it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def together(*jobs):
    """Runs functions at the same time, each in a thread; raises the first error, if any."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        return [f.result() for f in [pool.submit(job) for job in jobs]]


def write_site(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(textwrap.dedent(text))


@pytest.fixture
def place():
    """A folder of the test's own that any user may look into, unlike tmp_path; gone afterwards."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lunette-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def make_site(place):
    """make_site({"scripts/main.lua": "…"}) → the folder, readable by any user."""
    count = 0

    def make(files):
        nonlocal count
        count += 1
        folder = place / f"site{count}"
        folder.mkdir()
        write_site(folder, files)
        return folder
    return make


@pytest.fixture
def serve(make_site):
    """serve({"scripts/main.lua": "…"}, arguments…) → Server. Two workers unless told otherwise."""
    servers = []

    def start(files, *arguments, **options):
        if "--workers" not in arguments and "--dev" not in arguments:
            arguments = (*arguments, "--workers", "2")
        server = Server(make_site(files), arguments, **options)
        servers.append(server)
        return server
    yield start
    for server in servers:
        server.stop()
