"""Bugs that a hostile reading found, one test each, named for the bug."""
import pathlib
import resource
import socket
import struct
import time

import pytest

from conftest import eventually
from test_stop import refused

MAIN = """
    local app = require "lunette"
    local task = require "lunette.task"
    app.get("/ok", function() return "fine" end)
    app.get("/pause", function() return 200, nil, function(write)
        write("first\\n") task.sleep(1.5) write("second\\n")
    end end)
    app.get("/breaks", function() return 200, nil, function(write)
        write("part") task.sleep(0.05) error("in the middle")
    end end)
    app.get("/early", function() return 200, nil, function(write)
        write("part") error("in the same turn")
    end end)
    app.get("/refused", function(req) return 200, nil, function(write)
        write(req:int("n"))
    end end)
    app.get("/retry", function()
        for _ = 1, 400 do pcall(task.sleep, 0.05) end
        return "late"
    end)
    app.get("/forever", function() print "forever begun"
        while true do pcall(task.sleep, 0.05) end
    end)
    app.get("/fields", function(req)
        req:add_header("Content-Type", "text/plain")
        req:add_header("Connection", "close")
        return "x"
    end)
    app.get("/server", function() return 200, { Server = "mine" }, "x" end)
    app.get("/date", function() return 200, { Date = "Sun, 06 Nov 1994 08:49:37 GMT" }, "x" end)
    app.get("/reset", function() return 205, nil, "no content in a 205" end)
    app.post("/post", function() return "posted" end)
    app.get("/spawned", function(req)
        task.spawn(function()
            local c <close> = setmetatable({}, { __close = function() return req.query end })
            task.sleep(1000)
        end)
        return "ok"
    end)
    app.use("/star", function(req, handle) return handle(req) end)
    app.use(function(req, handle)
        if req.path ~= "*" then return handle(req) end
        req.path = "/star"
        return 200, { ["X-A"] = "a\\nb" }, "x"
    end)
"""
SITE = {"scripts/main.lua": MAIN, "site/big.bin": bytes(12_000_000)}


def config(text):
    return {**SITE, "scripts/config.lua": "return { " + text + " }"}


@pytest.fixture
def server(serve):
    return serve(SITE, "--workers", "1")


def test_a_stream_may_pause_for_longer_than_the_send_timeout(serve):
    """Its first bytes were sent at once, and the timer that was set before that cut it."""
    server = serve(config("timeouts = { send = 0.5 }"))
    assert server.get("/pause").endswith(b"first\n\r\n7\r\nsecond\n\r\n0\r\n\r\n")


def test_a_stream_that_breaks_off_leaves_earlier_answers_whole(server):
    got = server.raw(b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\nGET /breaks HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"fine" in got and got.endswith(b"4\r\npart\r\n")  # and no last chunk
    server.wait_for(r"GET /breaks: the answer breaks off: .*in the middle")


def test_a_stream_that_fails_in_its_first_turn_is_an_error_page(server):
    got = server.get("/early")
    assert got.startswith(b"HTTP/1.1 500 ") and b"part" not in got
    server.wait_for(r"500 GET /early: scripts/main.lua:\d+: in the same turn")


def test_abort_in_a_stream_is_its_own_status(server):
    assert server.get("/refused").startswith(b"HTTP/1.1 400 ")


def test_pcall_does_not_put_off_the_handler_timeout(serve):
    server = serve(config("timeouts = { handler = 0.5 }"))
    begun = time.monotonic()
    assert server.get("/retry").startswith(b"HTTP/1.1 503 ")
    assert time.monotonic() - begun < 4  # its waits alone are 20 s


def test_a_handler_that_never_gives_up_is_ended(serve):
    server = serve(config("timeouts = { handler = 0.3 }"))
    assert server.get("/forever").startswith(b"HTTP/1.1 503 ")
    server.wait_for(r"it was ended", 30)


def test_a_handler_whose_client_left_is_ended_too(serve):
    server = serve(config("timeouts = { handler = 60 }"))
    with server.connect() as s:
        s.sendall(b"GET /forever HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_for("forever begun")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.wait_for(r"it was ended", 30)


def test_the_core_notices_fields_that_were_added(server):
    head = server.get("/fields").lower()
    assert head.count(b"content-type:") == 1 and head.count(b"connection:") == 1


def test_server_and_date_are_neither_doubled_nor_lost(server):
    mine, old = server.get("/server").lower(), server.get("/date").lower()
    assert mine.count(b"server:") == 1 and b"server: mine" in mine and b"date:" in mine
    assert old.count(b"date:") == 1 and b"1994" in old and b"server: lunette" in old


def test_205_has_no_content(server):
    got = server.get("/reset")
    assert b"Content-Length: 0\r\n" in got and got.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("rest", [b"\r\n", b"GET /half HTTP/1.1\r\n"])
def test_what_was_answered_still_goes_out_when_input_ends(server, rest):
    with server.connect(30) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        s.sendall(b"GET /big.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=0-3149999\r\n\r\n" + rest)
        s.shutdown(socket.SHUT_WR)
        time.sleep(0.2)
        got = 0
        while more := s.recv(65536):
            got += len(more)
    assert got > 3150000


def test_a_stop_does_not_wait_for_a_body_that_nobody_wanted(serve):
    server = serve(config("timeouts = { stop = 20 }"))
    with server.connect() as s:
        s.sendall(b"POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        assert s.recv(65536).startswith(b"HTTP/1.1 405 ")
        begun = time.monotonic()
        server.process.terminate()
        eventually(lambda: refused(server))
        s.sendall(b"defghij")
        while s.recv(65536):
            pass
    server.stop()
    assert time.monotonic() - begun < 15


def test_lua_that_ends_with_the_worker_may_hold_a_request(server):
    """What runs in __close at the stop asked a handler that was freed."""
    assert b"ok" in server.get("/spawned")
    assert server.stop() == 0


def test_a_path_that_middleware_rewrote_does_not_end_the_worker(server):
    pids = server.workers()
    got = server.raw(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 500 ")
    assert b"fine" in server.get("/ok") and server.workers() == pids


def test_the_next_server_keeps_its_socket_and_pid_file(place, serve):
    """A server that stopped slowly took them with it."""
    path, pid = place / "s.sock", place / "pid"
    place.chmod(0o777)
    arguments = ("--listen", f"unix:{path}", "--pid-file", str(pid), "--workers", "1")
    first = serve(SITE, *arguments)
    slow = first.connect()
    slow.sendall(b"GET /pause HTTP/1.1\r\nHost: a\r\n\r\n")
    slow.recv(65536)
    first.process.terminate()
    second = eventually(lambda: start_again(serve, arguments), 10)
    slow.close()
    assert first.process.wait(20) == 0
    assert path.exists() and pid.read_text().strip() == str(second.process.pid)


def start_again(serve, arguments):
    try:
        return serve(SITE, *arguments)
    except AssertionError:
        return None


MORE = """
    local app = require "lunette"
    local task = require "lunette.task"
    local kept
    app.get("/large", function() return 200, nil, function(write)
        write(("x"):rep(20000000))
    end end)
    app.get("/file", function(req)
        local res = app.file("site/big.bin")
        return res
    end)
    app.use("/file", function(req, handle) handle(req) return handle(req) end)
    app.get("/orphan", function() return 200, nil, function(write)
        kept = task.spawn(function() write(("y"):rep(5000000)) end)
        task.sleep(0.05)
        error("the stream is over, its writer is not")
    end end)
    app.get("/after", function(req) return app.stream(function(write)
        req:after(function() write(("x"):rep(20000)) end) print "after begun"
        task.sleep(0.5)
    end) end)
    app.get("/cancel", function() if kept then kept:cancel() end return "ok" end)
    app.get("/nul", function(req) return app.file("site/small.txt\\0.png") end)
    app.get("/linked", function(req) return app.file("site/link.txt") end)
    app.post("/echo", function(req) return req.body end)
"""


def test_a_write_of_any_size_goes_out(serve):
    """After 1.1 MB to a fast reader nobody woke the stream again."""
    server = serve({"scripts/main.lua": MORE}, "--workers", "1")
    got = server.raw(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", timeout=30)
    assert got.endswith(b"0\r\n\r\n") and got.count(b"x") >= 20_000_000


def test_files_of_responses_are_closed_with_them(serve):
    server = serve({"scripts/main.lua": MORE, "site/big.bin": bytes(200_000)}, "--workers", "1")
    worker = server.workers()[0]
    for _ in range(300):
        assert server.get("/file").endswith(bytes(1000))
    assert len(list(pathlib.Path(f"/proc/{worker}/fd").iterdir())) < 60


def test_a_writer_that_outlives_its_stream_touches_no_other(serve):
    server = serve({"scripts/main.lua": MORE}, "--workers", "1")
    assert not server.get("/orphan").endswith(b"0\r\n\r\n")
    with server.connect(30) as s:
        s.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        got = s.recv(65536)
        assert b"ok" in server.get("/cancel")
        while more := s.recv(1 << 20):
            got += more
    assert got.endswith(b"0\r\n\r\n") and got.count(b"x") >= 20_000_000


def test_app_file_ends_no_path_at_nul_and_follows_no_link(serve):
    server = serve({"scripts/main.lua": MORE, "site/small.txt": "small"}, "--workers", "1")
    (server.folder / "site/link.txt").symlink_to("../scripts/main.lua")
    for path in ("/nul", "/linked"):
        got = server.get(path)
        assert got.startswith(b"HTTP/1.1 404 ") and b"lunette\"" not in got


@pytest.mark.parametrize("n", [300_000, 200_001])
def test_a_limit_on_file_sizes_is_no_signal(serve, n):
    """A body beyond it killed the worker. The second is known only when the last bytes, gathered in
    memory, are written."""
    server = serve({"scripts/main.lua": MORE}, "--workers", "1", limit=(resource.RLIMIT_FSIZE, 200_000))
    got = server.raw(f"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {n}\r\n\r\n".encode() + bytes(n))
    assert got.startswith(b"HTTP/1.1 507 ")
    assert b"ok" in server.get("/cancel")


def test_a_broken_http_10_stream_is_reset(server):
    with server.connect() as s:
        s.sendall(b"GET /breaks HTTP/1.0\r\nHost: a\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            while s.recv(65536):
                pass


def test_after_functions_may_hold_the_write_of_a_client_that_left(serve):
    """They answered on a connection that was closed, and an assertion ended the worker."""
    server = serve({"scripts/main.lua": MORE}, "--workers", "1")
    pids = server.workers()
    s = server.connect()
    s.sendall(b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n")
    server.wait_for("after begun")
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    server.wait_for(r"in req:after: .*the client closed the connection")
    assert b"ok" in server.get("/cancel") and server.workers() == pids
