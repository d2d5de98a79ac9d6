"""Long downloads, by real clients: whole, resumed, in parallel ranges, slow, and dear to make; what
they cost in memory, descriptors and time. `make soak` does the first of them with a gibibyte."""
import contextlib
import hashlib
import os
import random
import socket
import subprocess
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import eventually
from running import running
from test_uploads import MB, forget_peak, peak

SIZE = 64 * MB  # of site/big.bin

MAIN = """
    local app = require "lunette"
    local text = { ["Content-Type"] = "text/plain" }
    app.get("/small", function() return app.text("small") end)
    app.get("/file", function() return app.file("site/big.bin") end)
    app.get("/stream", function()
      return app.stream(function(write)
        local f <close> = assert(io.open(app.data .. "/../site/big.bin", "rb"))
        for block in f:lines(50000) do write(block) end
      end)
    end)
    local zeros = ("\\0"):rep(2 ^ 20 // 1)
    app.get("/zeros", function()
      return app.stream(function(write) while true do write(zeros) end end, text)
    end)
    app.get("/tiny", function()
      return app.stream(function(write) while true do write "x" end end, text)
    end)
    app.get("/zeros/file", function() return app.file("site/zeros.txt") end)
    """


class Downloads:
    """A server of one worker with a large file, of which every block is another."""

    def __init__(self, server, size):
        self.server, self.size, self.folder = server, size, server.folder.parent
        self.sockets = server.sockets()
        digest, source = hashlib.sha256(), random.Random(size)
        with (server.folder / "site/big.bin").open("wb") as f:
            for _ in range(size // MB):
                block = source.randbytes(MB)
                digest.update(block)
                f.write(block)
        self.sha256 = digest.hexdigest()

    def start(self, path, out, *options):
        """A running curl that writes to the file named out."""
        return subprocess.Popen(["curl", "-sS", "--fail", "--max-time", "300", *options,
                                 "-o", str(self.folder / out), self.server.url(path)],
                                stderr=subprocess.PIPE)

    @contextlib.contextmanager
    def piped(self, path, *options):
        """What a curl writes, who gets no further than it is read here; killed at the end."""
        with subprocess.Popen(["curl", "-sS", "--fail", "--max-time", "300", *options,
                               self.server.url(path)], stdout=subprocess.PIPE) as client:
            try:
                yield client.stdout
            finally:
                client.kill()

    def length(self, out):
        return os.stat(self.folder / out).st_size if (self.folder / out).exists() else 0

    def take(self, *names):
        """The digest of these files behind each other, which are then removed."""
        digest = hashlib.sha256()
        for name in names:
            with (self.folder / name).open("rb") as f:
                while block := f.read(MB):
                    digest.update(block)
            (self.folder / name).unlink()
        return digest.hexdigest()

    def open(self):
        """How many files the worker has open, once all clients are gone."""
        eventually(lambda: self.server.sockets() == self.sockets)
        return len(self.server.open_files())

    @contextlib.contextmanager
    def cost_nothing(self, what):
        """The worker's memory grows by less than 16 MiB meanwhile, and nothing stays open."""
        [worker] = self.server.workers()
        for path in ("/big.bin", "/file"):  # which the file cache then keeps open
            self.server.get(path, "Range: bytes=0-0")
        files = self.open()
        forget_peak(worker)
        before, start = peak(worker), time.monotonic()
        yield
        grown = peak(worker) - before
        print(f"{what}: {time.monotonic() - start:.1f} s; the worker's peak memory grew by "
              f"{grown / MB:.1f} MiB")
        assert grown < 16 * MB
        assert self.open() <= files

    def whole(self, path):
        succeeds(self.start(path, "whole"))
        assert self.take("whole") == self.sha256

    def resumed(self, path, times=4):
        """Each curl but the last is killed when it has got further by a part of the file."""
        for i in range(1, times):
            with self.piped(path, "-C", str(self.length("part"))) as body, \
                    (self.folder / "part").open("ab") as part:
                while part.tell() <= self.size * i // times:
                    assert part.write(body.read(50_000)) == 50_000
            assert self.length("part") < self.size
        succeeds(self.start(path, "part", "-C", "-"))
        assert self.take("part") == self.sha256

    def ranges(self, path, n=8):
        step = self.size // n
        clients = [self.start(path, f"range{i}", "-r", f"{i * step}-{(i + 1) * step - 1}")
                   for i in range(n)]
        for client in clients:
            succeeds(client)
        assert self.take(*(f"range{i}" for i in range(n))) == self.sha256

    def beside_a_slow_reader(self, *jobs):
        """The slow one gets its bytes all the while, and they are the right ones. Then there is more to come
        than what was on its way."""
        with self.piped("/big.bin") as body, ThreadPoolExecutor(1) as pool:
            slow = SlowReader(body, self.size // 2)
            reading = pool.submit(slow.read_slowly)
            try:
                eventually(lambda: slow.got)
                for job in jobs:
                    job()
                before = slow.got
                eventually(lambda: slow.got > before, 30)
            finally:
                slow.over = True
            reading.result()
            slow.read(self.size // 4)
        assert slow.got < self.size
        with (self.server.folder / "site/big.bin").open("rb") as f:
            right = hashlib.sha256()
            for at in range(0, slow.got, MB):
                right.update(f.read(min(MB, slow.got - at)))
        assert slow.digest.digest() == right.digest()


class SlowReader:
    """Reads four megabytes a second, and ever less when it comes near the most that it is to get: it is not
    at the end before others are, however long those take."""

    def __init__(self, body, most):
        self.body, self.most, self.got, self.over = body, most, 0, False
        self.digest = hashlib.sha256()

    def read(self, n):
        for at in range(0, n, MB):
            block = self.body.read(min(MB, n - at))
            assert len(block) == min(MB, n - at)
            self.digest.update(block)
            self.got += len(block)

    def read_slowly(self):
        while not self.over:
            self.read(max(1, min(65536, (self.most - self.got) // 256)))
            time.sleep(0.016)


def succeeds(client):
    _, said = client.communicate(timeout=300)
    assert client.returncode == 0, said


def serving(main=MAIN):
    """Under ASan without its quarantine, which keeps what was freed, so that memory can be counted."""
    options = f"{os.environ.get('ASAN_OPTIONS', '')}:quarantine_size_mb=0".strip(":")
    return running({"scripts/main.lua": main, "site/here": ""}, "--workers", "1",
                   env={"ASAN_OPTIONS": options})


@pytest.fixture(scope="module")
def downloads():
    with serving() as server:
        yield Downloads(server, SIZE)


# --- large files ---

@pytest.mark.parametrize("path", ["/big.bin", "/file", "/stream"])
def test_a_large_body_arrives_whole(downloads, path):
    with downloads.cost_nothing(path):
        downloads.whole(path)


@pytest.mark.parametrize("path", ["/big.bin", "/file"])
def test_a_large_file_is_resumed(downloads, path):
    with downloads.cost_nothing(path):
        downloads.resumed(path)
    assert downloads.server.accesses().count(f'"GET {path} HTTP/1.1" 206 ') >= 3


@pytest.mark.parametrize("path", ["/big.bin", "/file"])
def test_a_large_file_in_eight_ranges_at_once(downloads, path):
    with downloads.cost_nothing(path):
        downloads.ranges(path)


def test_a_slow_reader_beside_others(downloads):
    with downloads.cost_nothing("beside a slow reader"):
        downloads.beside_a_slow_reader(lambda: downloads.whole("/big.bin"),
                                       lambda: downloads.ranges("/file"),
                                       lambda: downloads.whole("/stream"))


# --- bodies that are dear to make ---

class Reader:
    """A client that asks for a coded body and reads it bit by bit."""

    def __init__(self, server, path, coding="gzip"):
        self.s = socket.socket()
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.s.settimeout(10)
        self.s.connect(("127.0.0.1", server.port))
        self.s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {coding}\r\n\r\n"
                       .encode())
        self.s.setblocking(False)
        self.got = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def read(self):
        """Some of what has come; how much it is in all."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(16):
                self.got += len(self.s.recv(65536))
        return self.got


def ticks(pid):
    """The processor time of a process, in hundredths of a second."""
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.fixture(scope="module")
def dear():
    with serving() as server:
        with (server.folder / "site/zeros.txt").open("wb") as f:
            f.truncate(4 * 1024 * MB)
        yield server


@pytest.mark.parametrize("path", ["/zeros.txt", "/zeros/file", "/zeros", "/tiny"])
def test_small_requests_beside_bodies_that_are_dear_to_make(dear, path):
    """Four gigabytes of zeros, coded while they are sent, are four megabytes: a worker that filled
    its queues with them before it looked at anybody else was away for half a minute."""
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(Reader(dear, path)) for _ in range(4)]
        for reader in readers:
            eventually(reader.read)
        slowest, before = 0, [reader.read() for reader in readers]
        with dear.wire() as w:
            for _ in range(30):
                start = time.monotonic()
                assert w.get("/small").answer().body == b"small"
                slowest = max(slowest, time.monotonic() - start)
                for reader in readers:
                    reader.read()
        for reader, got in zip(readers, before):  # and none of them was forgotten
            eventually(lambda reader=reader, got=got: reader.read() > got, 20)
    print(f"beside four of {path}: the slowest of 30 took {slowest * 1000:.0f} ms")
    assert slowest < 1


@pytest.mark.parametrize("path, coding", [
    ("/zeros.txt", "gzip"), ("/zeros.txt", "identity"), ("/zeros", "identity"),
    ("/tiny", "identity")])
def test_a_client_that_does_not_read_costs_no_time(dear, path, coding):
    [worker] = dear.workers()

    def rests():
        before = ticks(worker)
        time.sleep(0.5)
        return ticks(worker) - before <= 5
    with Reader(dear, path, coding) as reader:
        eventually(reader.read)
        eventually(rests, 30)
        got = reader.read()
        eventually(rests, 30)
        eventually(lambda: reader.read() > got)  # it goes on when the client does


def test_a_coded_body_is_right_after_all_its_pauses(dear):
    """The first of it, decoded as it comes."""
    inflate, n = zlib.decompressobj(31), 0
    client = subprocess.Popen(["curl", "-sS", "-H", "Accept-Encoding: gzip", "--raw", "-N",
                               "--http1.0", dear.url("/zeros.txt")], stdout=subprocess.PIPE)
    with client:
        while n < 128 * MB:
            block = inflate.decompress(client.stdout.read(16384))
            assert block.count(0) == len(block)
            n += len(block)
        client.kill()
