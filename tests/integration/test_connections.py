"""Connections: keep-alive, pipelining, HTTP/1.0, half-close, slow clients, many at once."""
import hashlib
import random
import resource
import socket
import struct
import time

import pytest
import requests

from conftest import eventually, post, together

SITE = {
    "scripts/main.lua": """
        local app = require "lunette"
        local task = require "lunette.task"
        app.get("/hello", function() return app.text "hello" end)
        app.get("/n/:n", function(req) return app.text("number " .. req.params.n) end)
        app.get("/left", function()
          local e <close> = setmetatable({}, { __close = function() print "was ended" end })
          task.sleep(60)
        end)
        app.post("/slow", { stream_body = true }, function(req)
          local n = #req:read(1)
          task.sleep(1.3)
          for chunk in req:chunks() do n = n + #chunk end
          return app.text(n .. " slowly")
        end)
        app.get("/sleep/:ms{int}", function(req)
          task.sleep(req.params.ms / 1000)
          return app.text "slept"
        end)
        app.get("/big", function() return app.text(("0123456789abcdef"):rep(2^18)) end)
        app.get("/stream", function()
          return app.stream(function(write)
            for i = 1, 64 do write(("0123456789abcdef"):rep(4096)) end
          end)
        end)
        app.post("/echo", function(req) return app.text(req.body) end)
        """,
    "site/small.txt": "small",
    "site/64k.bin": bytes(range(256)) * 256,
}
FOUR_MB = {"site/4m.bin": b"0123456789abcdef" * 2**18}
BIG = hashlib.sha256(b"0123456789abcdef" * 2**18).hexdigest()


@pytest.fixture
def server(serve):
    return serve(SITE)


def data_segments_in(s):
    """How many TCP segments with data the socket has received: tcpi_data_segs_in of tcp(7)."""
    return struct.unpack_from("I", s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232), 152)[0]


def resident_kib(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


# --- keep-alive and pipelining ---

def test_one_connection_serves_many_requests(server):
    with server.wire() as w:
        for n in range(300):
            a = w.get(f"/n/{n}").answer()
            assert (a.status, a.body) == (200, b"number %d" % n)
            assert "connection" not in a.headers


def test_a_session_of_requests_reuses_its_connection(server):
    with requests.Session() as session:
        ports = set()
        for _ in range(5):
            answer = session.get(server.url("/hello"), stream=True)
            ports.add(answer.raw._connection.sock.getsockname()[1])
            assert answer.text == "hello"
        assert len(ports) == 1


def test_pipelined_requests_are_answered_in_order(server):
    with server.wire() as w:
        w.send(*[f"GET /n/{n} HTTP/1.1\r\nHost: a\r\n\r\n" for n in range(200)])
        assert [w.answer().body for _ in range(200)] == [b"number %d" % n for n in range(200)]


def test_answers_to_one_read_go_out_in_one_write(server):
    with server.wire() as w:
        for rounds in range(1, 6):
            w.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" * 16)
            assert w.fill()
            assert w.buffer.count(b"HTTP/1.1 200 OK\r\n") == 16  # one recv has them all
            for _ in range(16):
                w.answer()
            assert w.buffer == b""
            assert data_segments_in(w.s) == rounds


def test_head_and_body_of_a_small_file_go_out_in_one_write(server):
    with server.wire() as w:
        for rounds in range(1, 6):
            assert w.get("/small.txt").answer().body == b"small"
            assert data_segments_in(w.s) == rounds


def test_a_request_behind_one_that_waits_is_answered_after_it(server):
    with server.wire() as w:
        w.send("GET /sleep/150 HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        assert w.answer().body == b"slept"
        assert w.answer().body == b"hello"


def test_different_kinds_of_request_share_a_pipeline(server):
    with server.wire() as w:
        w.send("\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
               "HEAD /64k.bin HTTP/1.1\r\nHost: a\r\n\r\n",
               post("/echo", "body"),
               "GET /64k.bin HTTP/1.1\r\nHost: a\r\n\r\n\r\n",
               "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
               "3\r\nabc\r\n0\r\n\r\n",
               "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
               "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
               "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert w.answer().body == b"hello"
        assert w.answer("HEAD").headers["content-length"] == "65536"
        assert w.answer().body == b"body"
        assert w.answer().body == SITE["site/64k.bin"]
        assert w.answer().body == b"abc"
        assert w.answer().status == 404
        assert hashlib.sha256(w.answer().body).hexdigest() == BIG
        assert w.answer().body == b"hello"
        w.assert_end()


@pytest.mark.parametrize("path", ["/64k.bin", "/big"])
def test_a_long_pipeline_holds_little_memory(serve, path):
    """Answers that are not read must not gather in the server; others are served meanwhile."""
    server = serve(SITE, "--workers", "1")
    count = 400 if path == "/64k.bin" else 20
    with server.wire(timeout=30) as w, server.wire() as other:
        w.get(path).answer()
        before = resident_kib(server.workers()[0])
        together(lambda: w.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n" * count),
                 lambda: [other.get("/hello").answer() for _ in range(100)])
        assert resident_kib(server.workers()[0]) - before < 48 * 1024
        want = SITE["site/64k.bin"] if path == "/64k.bin" else b"0123456789abcdef" * 2**18
        for _ in range(count):
            assert w.answer().body == want


# --- the end of connections ---

@pytest.mark.parametrize("field", ["Connection: close", "connection: CLOSE",
                                   "Connection: x, close", "Connection: x\r\nConnection: close"])
def test_connection_close_is_said_and_done(server, field):
    with server.wire() as w:
        a = w.get("/hello", field).answer()
        assert (a.body, a.headers["connection"]) == (b"hello", "close")
        w.assert_end()


def test_what_is_pipelined_behind_a_close_is_not_answered(server):
    with server.wire() as w:
        w.get("/hello", "Connection: close").get("/n/2")
        assert w.answer().body == b"hello"
        w.assert_end()


def test_http_1_0_closes_unless_asked_to_keep_alive(server):
    with server.wire() as w:
        a = w.send("GET /hello HTTP/1.0\r\n\r\n").answer()
        assert (a.version, a.body, a.headers["connection"]) == ("HTTP/1.1", b"hello", "close")
        w.assert_end()
    with server.wire() as w:
        for _ in range(3):
            a = w.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").answer()
            assert (a.body, a.headers["connection"]) == (b"hello", "keep-alive")


def test_http_1_0_gets_streams_without_chunks_to_the_end_of_the_connection(server):
    with server.wire() as w:
        a = w.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").answer()
        assert "transfer-encoding" not in a.headers and "content-length" not in a.headers
        assert a.headers["connection"] == "close"
        assert hashlib.sha256(a.body).hexdigest() == BIG


@pytest.mark.parametrize("path", ["/hello", "/sleep/100", "/big", "/4m.bin", "/stream"])
def test_a_client_that_shut_its_writing_side_gets_its_answer(serve, path):
    server = serve({**SITE, **FOUR_MB})
    with server.wire() as w:
        w.get(path)
        w.s.shutdown(socket.SHUT_WR)
        assert w.answer().status == 200
        w.assert_end()


def test_all_of_a_pipeline_is_answered_after_a_half_close(server):
    with server.wire() as w:
        w.get("/n/1").get("/sleep/100").get("/n/3")
        w.s.shutdown(socket.SHUT_WR)
        assert [w.answer().body for _ in range(3)] == [b"number 1", b"slept", b"number 3"]
        w.assert_end()


@pytest.mark.parametrize("behind", [
    "GET /n/1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /echo HTTP/1.1\r\nContent-Length: 99999\r\n\r\n" + "x" * 99999], ids=["few", "many"])
def test_a_client_that_left_is_noticed_behind_pipelined_bytes(server, behind):
    """Also when they are more than the connection keeps."""
    with server.wire() as w:
        w.get("/left").send(behind)
    server.wait_for("was ended", 5)


def test_each_of_a_pipeline_has_its_second_after_a_half_close(server):
    with server.wire() as w:
        w.get("/sleep/600").get("/sleep/600").get("/n/3")
        w.s.shutdown(socket.SHUT_WR)
        assert [w.answer().body for _ in range(3)] == [b"slept", b"slept", b"number 3"]
        w.assert_end()
    with server.wire() as w:
        w.get("/n/1").get("/left").get("/n/3")
        w.s.shutdown(socket.SHUT_WR)
        assert w.answer().body == b"number 1"
        w.assert_end()
    server.wait_for("was ended", 5)


def test_a_body_that_is_read_slowly_is_read_after_a_half_close(server):
    with server.wire() as w:
        w.send(post("/slow", b"x" * 60_000))
        w.s.shutdown(socket.SHUT_WR)
        assert w.answer().body == b"60000 slowly"
        w.assert_end()


def test_half_a_request_before_the_end_is_no_request(server):
    with server.wire() as w:
        w.get("/hello").send("GET /n/2 HTTP/1.1\r\nHost: a\r\n")
        w.s.shutdown(socket.SHUT_WR)
        assert w.answer().body == b"hello"
        w.assert_end()


def test_clients_that_vanish_do_no_harm(serve):
    server = serve({**SITE, **FOUR_MB})
    for path in ["/sleep/50", "/big", "/4m.bin", "/stream", "/hello"]:
        for how in ["close", "reset"]:
            with server.wire() as w:
                w.get(path)
                if how == "reset":
                    w.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with server.wire() as w:
        assert w.get("/sleep/100").answer().body == b"slept"
    assert len(server.workers()) == 2
    assert "traceback" not in server.errors()


# --- slow clients ---

@pytest.mark.parametrize("path", ["/big", "/4m.bin", "/stream"])
def test_a_slow_reader_gets_everything_while_others_are_served(serve, path):
    server = serve({**SITE, **FOUR_MB}, "--workers", "1")
    with socket.socket() as s, server.wire() as other:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        s.settimeout(10)
        s.connect(("127.0.0.1", server.port))
        s.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        got = s.recv(4096)
        for _ in range(50):
            got += s.recv(4096)
            assert other.get("/hello").answer().body == b"hello"
        while more := s.recv(65536):
            got += more
    assert hashlib.sha256(got.split(b"\r\n\r\n", 1)[1]).hexdigest() == BIG


def send_in_pieces(w, data, sizes):
    while data:
        n = next(sizes)
        w.send(data[:n])
        data = data[n:]


REQUESTS = (b"GET /n/7 HTTP/1.1\r\nHost: localhost\r\nX-Filler: one two three\r\n\r\n"
            + post("/echo", "twelve bytes")
            + b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
              b"5;x=y\r\nhello\r\n7\r\n, world\r\n0\r\nTrailer: t\r\n\r\n")
ANSWERS = [b"number 7", b"twelve bytes", b"hello, world"]


def test_requests_may_come_a_byte_at_a_time(server):
    with server.wire() as w:
        send_in_pieces(w, REQUESTS, iter(lambda: 1, 0))
        assert [w.answer().body for _ in range(3)] == ANSWERS


def test_requests_may_be_cut_anywhere(server):
    dice = random.Random(9112)
    with server.wire() as w:
        for _ in range(50):
            send_in_pieces(w, REQUESTS, iter(lambda: dice.randint(1, 80), 0))
            assert [w.answer().body for _ in range(3)] == ANSWERS


# --- many at once ---

def test_five_hundred_idle_connections_cost_nobody_anything(serve):
    server = serve({**SITE, **FOUR_MB})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2048)), hard))
    before = sum(resident_kib(pid) for pid in server.workers())
    wires = [server.wire() for _ in range(500)]
    try:
        for w in wires:
            assert w.get("/hello").answer().body == b"hello"
        held = sum(resident_kib(pid) for pid in server.workers()) - before
        assert held < 500 * 64, f"{held} KiB for 500 idle connections"
        with server.wire() as other:
            assert other.get("/4m.bin").answer().status == 200
        for n, w in enumerate(wires):
            assert w.get(f"/n/{n}").answer().body == b"number %d" % n
    finally:
        for w in wires:
            w.s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_sleeping_handler_keeps_nobody_waiting(serve):
    server = serve(SITE, "--workers", "1")
    started = time.monotonic()
    sleepers = [server.wire().get("/sleep/400") for _ in range(25)]
    with server.wire() as w:
        for _ in range(50):
            assert w.get("/hello").answer().body == b"hello"
    for sleeper in sleepers:
        assert sleeper.answer().body == b"slept"
        sleeper.s.close()
    assert time.monotonic() - started < 8  # one after the other they would take 10 seconds


def test_connections_are_spread_over_the_workers(serve):
    server = serve({"scripts/main.lua": """
        local app = require "lunette"
        local task = require "lunette.task"
        app.get("/", function()
          task.sleep(0.05)
          return app.text((io.open "/proc/self/stat":read "n"))
        end)
        """})
    seen = set()

    def ask():
        with server.wire() as w:
            seen.add(int(w.get("/").answer().body))
        return len(seen) == 2
    eventually(lambda: together(*[ask] * 16) and len(seen) == 2)
    assert seen == set(server.workers())
