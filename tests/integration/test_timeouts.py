"""Timeouts: each ends what it is for, near its time, and nothing else.

Everything waits at the same time, on servers with timeouts of less than a second. The bounds are
wide: a timeout must not come early, and has seconds to come late.
"""
import socket
import time

import pytest

from conftest import eventually, post, together

MAIN = """
    local app = require "lunette"
    local task = require "lunette.task"
    app.get("/hello", function() return app.text "hello" end)
    app.get("/sleep/:ms{int}", function(req)
      task.sleep(req.params.ms / 1000)
      return app.text "slept"
    end)
    app.get("/own", { timeout = 0.2 }, function() task.sleep(60) return app.text "slept" end)
    app.get("/long", { timeout = 60 }, function() task.sleep(1) return app.text "slept" end)
    app.post("/sleep/:ms{int}", function(req)
      task.sleep(req.params.ms / 1000)
      return app.text(req.body)
    end)
    app.post("/own", { timeout = 0.2 }, function(req) task.sleep(60) return app.text "slept" end)
    app.get("/drip", function()
      return app.stream(function(write)
        for i = 1, 8 do write(tostring(i)) task.sleep(0.15) end
      end)
    end)
    app.get("/tidy", function(req)
      local closed <close> = setmetatable({}, { __close = function() print "tidied up" end })
      task.sleep(60)
    end)
    app.on_error(503, function(req, err) return app.text "too late, sorry" end)
    """
TIMES = "header = 0.5, body = 0.5, idle = 0.5, send = 0.5, linger = 0.3"


LARGE = {"site/large.bin": b"x" * 20_000_000}  # far more than what all buffers on the way hold


def site(times=TIMES):
    return {
        "scripts/main.lua": MAIN,
        "scripts/config.lua": f"return {{ timeouts = {{ {times} }} }}",
    }


@pytest.fixture
def server(serve):
    return serve(site())


class Between:
    """with Between(0.4, 5): the block takes that many seconds."""

    def __init__(self, least, most=8):
        self.least, self.most = least, most

    def __enter__(self):
        self.start = time.monotonic()

    def __exit__(self, kind, *_):
        took = time.monotonic() - self.start
        assert kind or self.least <= took <= self.most, f"took {took:.2f} s"


# --- header and idle ---

def test_the_head_must_come_in_time(server):
    def nothing_comes():
        with server.wire() as w, Between(0.4):
            w.assert_end()

    def half_a_head(data):
        with server.wire() as w, Between(0.4):
            assert w.send(data).answer().status == 408
            w.s.shutdown(socket.SHUT_WR)
            w.assert_end()

    def a_byte_now_and_then():
        with server.wire() as w, Between(0.4, 5):  # all of it would take 6 seconds
            for byte in "GET /hello HTTP/1.1\r\nHost: localhost\r\nX-Slow: yes, very":
                w.send(byte)
                w.s.settimeout(0.1)
                try:
                    w.fill()
                    break
                except TimeoutError:
                    pass
            w.s.settimeout(10)
            assert w.answer().status == 408

    def half_of_a_second_head():
        with server.wire() as w:
            w.get("/hello").answer()
            w.assert_silent(0.3)
            with Between(0.4):
                assert w.send("GET /hello HTTP/1.1\r\n").answer().status == 408
    together(nothing_comes, lambda: half_a_head("G"), a_byte_now_and_then, half_of_a_second_head,
             lambda: half_a_head("GET /hello HTTP/1.1\r\nHost: a\r\n"))
    server.wait_for(r"408 to 127\.0\.0\.1: .*timeouts\.header")


def test_an_idle_connection_is_closed_without_a_word(server):
    def idle(requests):
        with server.wire() as w:
            for _ in range(requests):
                assert w.get("/hello").answer().status == 200
            with Between(0.4):
                w.assert_end()

    def used_now_and_then():
        with server.wire() as w:
            for _ in range(5):
                assert w.get("/hello").answer().status == 200
                w.assert_silent(0.25)
    together(lambda: idle(1), lambda: idle(3), used_now_and_then)


# --- body ---

def test_a_body_must_keep_coming(server):
    def stops():
        with server.wire() as w, Between(0.4):
            assert w.send(post("/sleep/1", b"x" * 10)[:-5]).answer().status == 408

    def comes_in_time():
        with server.wire() as w, Between(1.0):
            w.send("POST /sleep/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n")
            for _ in range(5):
                w.assert_silent(0.25)
                w.send("x" * 1000)
            assert w.answer().status == 200

    def comes_too_slowly():
        """Ten bytes a second pause never for timeouts.body, yet would hold the handler for ever."""
        with server.wire() as w, Between(0.4, 5):
            w.send("POST /sleep/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n")
            for _ in range(60):
                w.send("x")
                w.s.settimeout(0.1)
                try:
                    w.fill()
                    break
                except TimeoutError:
                    pass
            w.s.settimeout(10)
            assert w.answer().status == 408
    together(stops, comes_in_time, comes_too_slowly)
    server.wait_for(r"408 POST /sleep/1: .*timeouts\.body")
    server.wait_for(r"408 POST /sleep/1: .*minimum rate")


def test_a_body_that_nobody_reads_must_come_in_time_too(server):
    with server.wire() as w, Between(0.4):
        assert w.send(post("/nowhere", b"x" * 100)[:-50]).answer().status == 404
        w.assert_end()


# --- send ---

def test_a_client_that_does_not_read_is_cut_off(serve):
    server = serve({**site(), **LARGE})
    before = server.sockets()
    with server.wire() as w:
        w.get("/large.bin")
        eventually(lambda: server.sockets() == before + 1)
        with Between(0.3):
            eventually(lambda: server.sockets() == before)
        with pytest.raises(ConnectionResetError):
            while w.s.recv(1 << 20):
                pass
            raise ConnectionResetError  # an end before the length that was promised is as good


def test_a_client_that_reads_slowly_is_not_cut_off(serve):
    server = serve({**site(), **LARGE})
    with socket.socket() as s, Between(1.2, 30):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
        s.settimeout(10)
        s.connect(("127.0.0.1", server.port))
        s.sendall(b"GET /large.bin HTTP/1.0\r\n\r\n")
        got = 0
        for _ in range(6):
            time.sleep(0.2)
            got += len(s.recv(2_000_000, socket.MSG_WAITALL))
        while more := s.recv(1 << 20):
            got += len(more)
        assert got > 20_000_000


# --- linger ---

def test_a_client_that_never_closes_does_not_linger_for_ever(server):
    before = server.sockets()
    with server.wire() as w:
        assert w.get("/hello", "Connection: close").answer().status == 200
        w.assert_end()
        assert server.sockets() <= before + 1
        eventually(lambda: server.sockets() == before)


# --- handler ---

def test_a_handler_may_take_longer_than_header_and_idle(serve):
    """The timer of the head once went on running, and cut the connection under the handler. The clients
    have longer for their heads than others here: a busy machine may need half a second to send one."""
    server = serve(site("header = 2, idle = 2"))

    def ask(w):
        with Between(2.4):
            assert w.get("/sleep/2500").answer().body == b"slept"

    def first():
        with server.wire() as w:
            ask(w)

    def after_another():
        with server.wire() as w:
            w.get("/hello").answer()
            w.assert_silent(0.2)
            ask(w)

    def pipelined():
        with server.wire() as w, Between(4.1):
            w.get("/sleep/2100").get("/sleep/2100")
            assert [w.answer().body for _ in range(2)] == [b"slept"] * 2
    together(first, after_another, pipelined)


def test_a_handler_that_takes_too_long_is_a_503(serve):
    server = serve(site(TIMES + ", handler = 0.6"))

    def late(path):
        with server.wire() as w:
            with Between(0.15):
                a = w.get(path).answer()
            assert (a.status, a.body) == (503, b"too late, sorry")
            assert w.get("/hello").answer().body == b"hello"  # the connection goes on

    def in_time(path, body):
        with server.wire() as w:
            a = w.get(path).answer()
            assert (a.status, a.body) == (200, body)

    together(lambda: late("/sleep/60000"), lambda: late("/own"), lambda: late("/tidy"),
             lambda: in_time("/sleep/300", b"slept"), lambda: in_time("/long", b"slept"),
             lambda: in_time("/drip", b"12345678"))  # its first byte was in time
    server.wait_for(r"503 GET /sleep/60000: .*timeouts\.handler\n\t+scripts/main\.lua:\d+:")
    assert "500 GET" not in server.errors()  # one record, and where it waited
    server.wait_for("tidied up")


def test_the_time_of_a_handler_counts_from_its_body_on(serve):
    """A body that took longer than the handler may must neither count nor stop the clock."""
    server = serve(site("body = 5, handler = 0.5"))

    def upload(path):
        w = server.wire()
        w.send(post(path, "twenty bytes of body")[:-10])
        w.assert_silent(0.8)
        return w.send("es of body")

    def late(path):
        with upload(path) as w, Between(0.15):
            assert w.answer().status == 503

    def in_time():
        with upload("/sleep/200") as w:
            assert w.answer().body == b"twenty bytes of body"
    together(lambda: late("/sleep/60000"), lambda: late("/own"), in_time)


def test_every_timeout_may_be_written_as_text(serve):
    server = serve(site('header = "300ms", idle = "1m"'))
    with server.wire() as w, Between(0.2):
        w.assert_end()
    with server.wire() as w:
        w.get("/hello").answer()
        w.assert_silent(0.6)
