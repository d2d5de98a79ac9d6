"""Limits of config.lua: each refuses what is over it, says so, and lets everything else go on."""
import os
import pathlib
import resource

import pytest
import requests

from conftest import LUNETTE, eventually, post, together

MAIN = """
    local app = require "lunette"
    local task = require "lunette.task"
    app.get("/hello", function() return app.text "hello" end)
    app.get("/sleep/:ms{int}", function(req)
      task.sleep(req.params.ms / 1000)
      return app.text "slept"
    end)
    app.get("/target/*rest", function(req) return app.text(req.target) end)
    local kept = {}
    app.get("/keep", function()
      for i = 1, 64 do kept[#kept + 1] = ("x"):rep(2^20 + i) end
      return app.text "kept"
    end)
    app.get("/drop", function() kept = {} collectgarbage() return app.text "dropped" end)
    app.get("/table", function()
      local t = {}
      for i = 1, 1e8 do t[i] = { i } end
      return app.text "built"
    end)
    app.get("/caught", function()
      local ok, message = pcall(string.rep, "x", 2^28)
      return app.text(tostring(ok) .. " " .. message)
    end)
    app.get("/modest", function() return app.text(tostring(#("x"):rep(2^19))) end)
    app.get("/wait_and_grow", function()
      local held = ("x"):rep(2^20)
      task.sleep(0.05)
      local more = ("y"):rep(2^21)
      return app.text(tostring(#held + #more))
    end)
    app.post("/length", function(req) return app.text(tostring(#req.body)) end)
    """


def site(limits):
    return {"scripts/main.lua": MAIN, "scripts/config.lua": f"return {{ limits = {{ {limits} }} }}"}


def status_of(server, path):
    with server.wire() as w:
        return w.get(path).answer().status


# --- connections ---

@pytest.mark.parametrize("workers", ["1", "2", "3"])
def test_connections_over_the_limit_are_told_so(serve, workers):
    """However many workers there are, the limit is over all of them."""
    server = serve(site("connections = 10"), "--workers", workers)
    held = [server.wire() for _ in range(10)]
    for w in held:
        assert w.get("/hello").answer().status == 200
    for _ in range(5):
        with server.wire() as one_too_many:
            a = one_too_many.answer()  # without even asking
            assert (a.status, a.headers["connection"]) == (503, "close")
            assert int(a.headers["retry-after"]) > 0
            one_too_many.assert_end()
    server.wait_for(r"limits\.connections \(10\)")
    for w in held:  # those that are in stay in
        assert w.get("/hello").answer().status == 200
    held.pop().s.close()
    w = eventually(lambda: admitted(server))
    held.append(w)
    with server.wire() as one_too_many:
        assert one_too_many.answer().status == 503
    for w in held:
        w.s.close()
    for w in eventually(lambda: all_admitted(server, 10)):
        w.s.close()


def admitted(server):
    """A connection that was let in, or None."""
    w = server.wire()
    try:
        if w.get("/hello").answer().status == 200:
            return w
    except ConnectionError:  # it was turned away while it was still asking
        pass
    w.s.close()
    return None


def all_admitted(server, n):
    wires = []
    while len(wires) < n:
        w = admitted(server)
        if not w:
            for other in wires:
                other.s.close()
            return None
        wires.append(w)
    return wires


def test_the_place_of_a_connection_is_free_again_however_it_ends(serve):
    server = serve(site("connections = 4"))
    for round_ in range(5):
        for path in ["/hello", "/sleep/20"]:
            w = eventually(lambda: admitted(server))
            w.get(path, "Connection: close").answer()
            w.s.close()
            w = eventually(lambda: admitted(server))
            w.get("/sleep/100")  # and leaves
            w.s.close()
            w = eventually(lambda: admitted(server))
            w.send("nonsense\r\n\r\n").answer()
            w.s.close()
    for w in eventually(lambda: all_admitted(server, 4)):
        w.s.close()


# --- heads ---

def test_header_bytes(serve):
    server = serve(site("header_bytes = 1024"))

    def ask(size):
        start = "GET /hello HTTP/1.1\r\nHost: localhost\r\nX: "
        with server.wire() as w:
            return w.send(start + "y" * (size - len(start) - 4) + "\r\n\r\n").answer().status
    assert [ask(n) for n in (100, 1023, 1024, 1025, 5000)] == [200, 200, 200, 431, 431]
    server.wait_for(r"431 to 127\.0\.0\.1: .*limits\.header_bytes")


def test_header_bytes_are_refused_as_they_come(serve):
    server = serve(site("header_bytes = 1024"))
    with server.wire() as w:
        w.send("GET /hello HTTP/1.1\r\nHost: localhost\r\n" + "X: y\r\n" * 200)  # and no end
        assert w.answer().status == 431


def test_header_bytes_hold_for_trailers(serve):
    server = serve(site("header_bytes = 1024"))
    with server.wire() as w:
        w.send("POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
               + "X: y\r\n" * 200)
        assert w.answer().status == 431


def test_headers(serve):
    server = serve(site("headers = 5"))

    def ask(count):
        fields = [f"X-{n}: y" for n in range(count - 1)]  # and Host
        with server.wire() as w:
            return w.get("/hello", *fields).answer().status
    assert [ask(n) for n in (1, 4, 5, 6, 50)] == [200, 200, 200, 431, 431]
    server.wait_for(r"431 to 127\.0\.0\.1: .*limits\.headers")


def test_uri_bytes(serve):
    server = serve(site("uri_bytes = 64"))
    targets = ["/target/" + "y" * (n - 8) for n in (60, 64, 65, 500)]
    assert [status_of(server, t) for t in targets] == [200, 200, 414, 414]
    assert status_of(server, "/target/?" + "q" * 55) == 200
    assert status_of(server, "/target/?" + "q" * 56) == 414
    server.wait_for(r"414 to 127\.0\.0\.1: .*limits\.uri_bytes")


def test_body_bytes(serve):
    server = serve(site('body_bytes = "1K"'))
    with server.wire() as w:
        assert w.send(post("/length", b"x" * 1024)).answer().body == b"1024"
        assert w.send(post("/length", b"x" * 1025)).answer().status == 413


# --- memory of Lua ---

def test_one_request_over_its_memory_is_a_503_for_that_one(serve):
    server = serve(site('request_memory = "2M"'), "--workers", "1")
    with server.wire() as other, server.wire() as sleeper:
        sleeper.get("/sleep/300")
        for _ in range(3):
            assert status_of(server, "/table") == 503
            assert other.get("/hello").answer().body == b"hello"
            assert other.get("/modest").answer().body == b"524288"
        assert other.get("/caught").answer().body == b"false not enough memory"
        assert other.get("/wait_and_grow").answer().status == 503
        assert sleeper.answer().body == b"slept"
    assert "GET /table" in server.accesses()
    server.wait_for(r"503 GET /table: .*limits\.request_memory")


def test_memory_of_all_of_lua_is_a_503_until_there_is_some_again(serve):
    server = serve(site('lua_memory = "32M", request_memory = "128M"'), "--workers", "1")
    with server.wire() as other, server.wire() as sleeper:
        sleeper.get("/sleep/300")
        for _ in range(3):
            assert status_of(server, "/table") == 503
            assert other.get("/hello").answer().body == b"hello"
        assert status_of(server, "/keep") == 503  # and what it kept is still there
        assert other.get("/drop").answer().body == b"dropped"
        assert other.get("/modest").answer().body == b"524288"
        assert sleeper.answer().body == b"slept"
    server.wait_for(r"503 GET /table: .*limits\.lua_memory")
    assert len(server.workers()) == 1 and "was killed" not in server.errors()


def test_no_space_for_a_body_that_a_page_reads_is_an_error_in_the_log(serve):
    server = serve({"scripts/main.lua": """
        local app = require "lunette"
        app.use(function(req, handle) local n = #req.body return handle(req) end)
        """}, "--workers", "1", limit=(resource.RLIMIT_FSIZE, 200_000))
    assert server.raw(post("/none", bytes(300_000))).startswith(b"HTTP/1.1 507 ")
    server.wait_for("error .* 507 POST /none: the body was not received: no space left")


# --- memory that came and went ---

ASAN = b"__asan_init" in pathlib.Path(LUNETTE).read_bytes()


def resident(pid):
    """The memory of a process, in bytes."""
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.skipif(ASAN, reason="its allocator gives memory back as it likes")
def test_memory_of_the_pool_s_threads_is_given_back(serve):
    server = serve({"scripts/main.lua": """
        local app, gzip = require "lunette", require "lunette.gzip"
        app.post("/gzip", function(req) return app.text(tostring(#gzip.compress(req.body, 1))) end)
        """}, "--workers", "1")
    worker, = server.workers()
    data = os.urandom(12 << 20)
    together(*[lambda: requests.post(server.url("/gzip"), data=data, timeout=60)] * 8)
    eventually(lambda: resident(worker) < 40 << 20, 20)


@pytest.mark.skipif(ASAN, reason="its allocator gives memory back as it likes")
def test_memory_of_bodies_that_never_came_whole_is_given_back(serve):
    server = serve({"scripts/main.lua": MAIN}, "--workers", "1")
    worker, = server.workers()
    clients = [server.connect() for _ in range(600)]
    for s in clients:
        s.sendall(b"POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n" + bytes(60_000))
    eventually(lambda: resident(worker) > 30 << 20)
    for s in clients:
        s.close()
    eventually(lambda: resident(worker) < 20 << 20, 20)
