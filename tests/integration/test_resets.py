"""Peers that leave: resets and half-closes at every byte of an exchange, and connections by the
thousand. Afterwards descriptors, connections and coroutines are what they were."""
import contextlib
import re
import resource
import socket
import struct
import time

import pytest

from conftest import eventually, post, read_all, together
from running import running
from test_ends import SANITIZED, cpu_seconds

MAIN = """
    local app = require "lunette"
    local task = require "lunette.task"
    app.get("/hello", function() return app.text "hello" end)
    app.get("/sleep", function() task.sleep(0.01) return app.text "slept" end)
    app.get("/big", function() return app.text(("0123456789abcdef"):rep(2^16)) end)
    app.get("/stream", function()
      return app.stream(function(write)
        while true do write(("0123456789abcdef"):rep(16)) task.sleep(0.005) end
      end)
    end)
    app.get("/events", function()
      return app.events(function(send)
        while true do send { data = "tick" } task.sleep(0.005) end
      end)
    end)
    app.post("/form", function(req) return app.text(req.form.a or "none") end)
    app.post("/upload", function(req)
      return app.text(tostring(req.files.f and req.files.f.size))
    end)
    app.post("/echo", function(req) return app.text(req.body) end)
    app.post("/read", { stream_body = true }, function(req)
      local n = 0
      for chunk in req:chunks() do n = n + #chunk end
      return app.text(tostring(n))
    end)
    """
SITE = {
    "scripts/main.lua": MAIN,
    "scripts/config.lua": 'return { metrics = "/metrics", limits = { body_memory = 64 } }',
    "site/small.txt": "small",
    "site/big.bin": b"0123456789abcdef" * 2**16,
}


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def chunked(path):
    return (f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            f"5;x=y\r\nhello\r\n50\r\n{'x' * 80}\r\n0\r\nX: y\r\n\r\n").encode()


FORM = (b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n' + b"x" * 100
        + b"\r\n--b--\r\n")
KINDS = {
    "file": get("/small.txt"),
    "handler": get("/hello"),
    "waits": get("/sleep"),
    "big file": get("/big.bin"),
    "big answer": get("/big"),
    "stream": get("/stream"),
    "events": get("/events"),
    "form": post("/form", "a=b&c=d", "Content-Type: application/x-www-form-urlencoded"),
    "upload": post("/upload", FORM, "Content-Type: multipart/form-data; boundary=b"),
    "body in a file": post("/echo", "x" * 200),
    "chunked": chunked("/echo"),
    "read as it comes": chunked("/read"),
    "100-continue": post("/echo", "x" * 20, "Expect: 100-continue"),
    "pipelined": get("/hello") + post("/echo", "xyz") + get("/small.txt") + get("/sleep"),
}
ENDLESS = {"stream", "events"}


@pytest.fixture(scope="module")
def server():
    with running(SITE, "--workers", "1") as s:
        yield s


def figures(server):
    text = server.get("/metrics").decode()
    return [int(n) for n in re.findall(r"^(?:lunette_connections_open|lunette_coroutines\S*) (\d+)$",
                                       text, re.M)]


@pytest.fixture
def unharmed(server):
    """The test leaves as many descriptors, connections and coroutines as there were."""
    for path in ("/big.bin", "/small.txt"):  # the cache keeps the one open
        server.get(path)
    eventually(lambda: figures(server) == [1, 0])  # the one that asks
    worker, files = server.workers(), eventually(lambda: steady(server))
    yield server
    eventually(lambda: figures(server) == [1, 0])
    eventually(lambda: len(server.open_files()) == files)
    assert server.workers() == worker
    assert server.get("/hello").endswith(b"\r\n\r\nhello")


def steady(server):
    n = len(server.open_files())
    time.sleep(0.1)
    return n if n == len(server.open_files()) else 0


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def places_in(n, most=150):
    """0 … n, all of them where they are few, else evenly spread with both ends."""
    return sorted({round(i * n / min(n, most)) for i in range(min(n, most) + 1)})


@pytest.mark.parametrize("kind", KINDS)
def test_a_reset_after_every_byte_of_a_request(unharmed, kind):
    data = KINDS[kind]
    for n in range(len(data) + 1):
        s = unharmed.connect()
        s.sendall(data[:n])
        if n % 2:  # before the server has seen it, or after
            time.sleep(0.0005)
        reset(s)


@pytest.mark.parametrize("kind", KINDS)
def test_a_reset_after_every_byte_of_an_answer(unharmed, kind):
    data = KINDS[kind]
    with contextlib.suppress(TimeoutError), unharmed.connect(0.3) as s:
        s.sendall(data)
        size, most = 0, 500 if kind in ENDLESS else 2000
        while size < most and (more := s.recv(most - size)):
            size += len(more)
    for n in places_in(size, 40 if kind in ENDLESS else 150):
        s = unharmed.connect()
        s.sendall(data)
        taken = 0
        while taken < n:
            more = s.recv(n - taken)
            assert more
            taken += len(more)
        reset(s)


@pytest.mark.parametrize("kind", KINDS)
def test_a_half_close_after_every_byte_of_a_request(unharmed, kind):
    """What came whole is answered; what did not, ends. Nobody waits for what will not come."""
    data = KINDS[kind]
    whole = unharmed.raw(data.replace(b"\r\nHost", b"\r\nConnection: close\r\nHost")) \
        if kind not in ENDLESS and kind != "pipelined" else None

    def ends_well(numbers):
        for n in numbers:
            with unharmed.connect(8) as s:
                s.sendall(data[:n])
                s.shutdown(socket.SHUT_WR)
                if n == len(data) and kind in ENDLESS:
                    assert s.recv(12) == b"HTTP/1.1 200"
                    continue
                answer = read_all(s)
            if n == len(data) and whole:
                assert answer.split(b"\r\n\r\n")[-1] == whole.split(b"\r\n\r\n")[-1]
            elif n < len(data) and kind != "pipelined":
                assert b" 200 " not in answer
    numbers = places_in(len(data))
    together(*[lambda i=i: ends_well(numbers[i::4]) for i in range(4)])


def resident(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1)) * 1024


def test_five_thousand_idle_connections_beside_others(serve):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = 5000
    if hard < count + 500:
        pytest.skip(f"this process may open {hard} files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = serve(SITE, "--workers", "2")
    server.get("/hello")
    files = eventually(lambda: steady(server))
    before = sum(map(resident, server.workers()))
    idle = []
    try:
        for _ in range(count):
            s = socket.create_connection(("127.0.0.1", server.port), 10)
            idle.append(s)
        eventually(lambda: figures(server)[0] == count + 1)
        began = time.monotonic()
        for _ in range(100):
            with server.wire() as w:
                assert w.get("/hello").answer().body == b"hello"
        took = time.monotonic() - began
        each = (sum(map(resident, server.workers())) - before) / count
        print(f"{count} idle connections: {each:.0f} bytes of a worker each, 100 answers beside them "
              f"in {took * 1000:.0f} ms")
        assert (each < 4096 or SANITIZED) and took < 5
        idle[0].sendall(get("/hello"))
        assert idle[0].recv(12) == b"HTTP/1.1 200"
    finally:
        for s in idle:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    eventually(lambda: len(server.open_files()) == files)
    assert figures(server)[0] == 1


def test_twenty_thousand_connections_opened_and_closed(serve):
    server = serve(SITE, "--workers", "2")
    server.get("/hello")
    files = eventually(lambda: steady(server))

    def open_and_close(n):
        for i in range(n):
            s = socket.create_connection(("127.0.0.1", server.port), 10)
            if i % 4 == 0:
                s.sendall(get("/hello"))
                assert s.recv(12) == b"HTTP/1.1 200"
            reset(s)  # or the ports would be used up
    began = time.monotonic()
    open_and_close(1000)  # what the first need stays
    before = sum(map(resident, server.workers()))
    together(*[lambda: open_and_close(19000 // 4)] * 4)
    took = time.monotonic() - began
    eventually(lambda: len(server.open_files()) == files)
    grown = sum(map(resident, server.workers())) - before
    print(f"20,000 connections opened and closed in {took:.1f} s: the workers grew by {grown} bytes")
    assert SANITIZED or grown < 1 << 20  # a sanitizer keeps what was freed
    assert figures(server)[0] == 1


def test_connections_without_descriptors_for_them_wait(serve):
    """Accepting pauses, at no cost, and goes on as soon as somebody leaves."""
    server = serve(SITE, "--workers", "1", limit=(resource.RLIMIT_NOFILE, 80))
    server.get("/hello")
    files = eventually(lambda: steady(server))
    wires = [server.wire() for _ in range(150)]
    server.wait_for("cannot accept connections, trying again every 100 ms: Too many open files")
    assert wires[0].get("/hello").answer().body == b"hello"
    [worker] = server.workers()
    before = cpu_seconds(worker)
    time.sleep(1)
    assert cpu_seconds(worker) - before < 0.3
    for w in wires[:100]:
        w.s.close()
    for w in wires[100:]:
        assert w.get("/hello").answer().body == b"hello"
        w.s.close()
    eventually(lambda: len(server.open_files()) == files)


def test_an_overload_is_refused_before_memory_grows(serve):
    server = serve({**SITE, "scripts/config.lua": "return { limits = { connections = 50 } }"},
                   "--workers", "2")
    held = [server.wire() for _ in range(50)]
    for w in held:
        assert w.get("/hello").answer().status == 200
    before = sum(map(resident, server.workers()))
    refused = 0
    for _ in range(3000):
        with server.wire() as w:
            a = w.answer()
            refused += a.status == 503 and int(a.headers["retry-after"]) > 0
    assert refused == 3000
    assert SANITIZED or sum(map(resident, server.workers())) - before < 512 * 1024
    for w in held:
        assert w.get("/hello").answer().status == 200
        w.s.close()
