"""Streams that handlers write, with clients that mean them ill: that trickle, half-close, speak
HTTP/1.0, ask for the head alone; and functions that raise, or write what cannot be written."""
import contextlib
import gzip
import os
import re
import socket
import time
import zlib

import pytest

from conftest import eventually, read_all, read_until
from running import ask, log_of, running

MAIN = r"""
    local app = require "lunette"
    local task = require "lunette.task"
    local text = { ["Content-Type"] = "text/plain" }

    local function witness(name)
      return setmetatable({}, { __close = function(_, e)
        print(("%s closed: %s."):format(name, tostring(e)))
      end })
    end
    local function noted(req, fn, headers)
      local name = req.query.name
      return app.stream(function(write)
        local seen <close> = witness(name)
        return fn(write)
      end, headers or text)
    end

    app.get("/three", function(req)
      return noted(req, function(write)
        for i = 1, 3 do write("piece " .. i .. "\n") task.sleep(0.05) end
      end)
    end)
    app.get("/much", function(req)
      local piece = ("0123456789abcdef"):rep(4096)
      return noted(req, function(write) for i = 1, 16 do write(piece) end end)
    end)
    app.get("/endless", function(req)
      return noted(req, function(write) while true do write(("x"):rep(1000)) end end)
    end)
    app.get("/ticking", function(req)
      return noted(req, function(write) while true do write "tick\n" task.sleep(0.02) end end)
    end)
    app.get("/raises", function(req)
      return noted(req, function(write)
        write(("before "):rep(100))
        if req.query.wait then task.sleep(0.05) end
        if req.query.large then write(("x"):rep(1000000)) end
        error("midway")
      end)
    end)
    app.get("/raises/late", function(req)
      return noted(req, function(write) write "a" task.sleep(0.05) error({ "a table" }) end)
    end)
    app.get("/caught", function(req)
      return noted(req, function(write)
        write "a"
        task.sleep(0.02)
        assert(not pcall(error, "x"))
        write "b"
      end)
    end)
    app.get("/wrong", function(req)
      local values = { none = nil, table = {}, boolean = true, fn = print, thread = coroutine.create(print) }
      return noted(req, function(write)
        if req.query.late then write "begun " task.sleep(0.02) end
        write(values[req.query.value])
      end)
    end)
    app.get("/numbers", function(req)
      return noted(req, function(write) write(1) write(2.5) write "" write "x" end)
    end)
    app.get("/empties", function(req)
      return noted(req, function(write)
        for i = 1, 5 do write "" task.sleep(0.01) end
        write "end"
        write ""
      end)
    end)
    app.get("/status/:n{int}", function(req)
      return req.params.n, { ["Content-Type"] = "text/plain" }, function(write)
        print("a body for " .. req.params.n)
        write "a body"
      end
    end)
    app.get("/length", function(req)
      return noted(req, function(write)
        write(("x"):rep(tonumber(req.query.n)))
      end, { ["Content-Length"] = "10" })
    end)
    app.get("/after", function(req)
      return noted(req, function(write)
        write "x"
        task.sleep(0.3)
        for i = 1, 3 do
          local ok, e = pcall(write, "y")
          print(("after %d: %s %s"):format(i, tostring(ok), tostring(e)))
        end
      end)
    end)
    app.get("/spawned", function(req)
      return noted(req, function(write)
        write "first "
        local t = task.spawn(function() task.sleep(0.02) write "second" end)
        t:join()
      end)
    end)
    -- Each write is given up while it waits for a reader; what it wrote is garbage then.
    app.get("/given-up", function(req)
      return noted(req, function(write)
        for i = 1, 4 do
          local f <close> = io.open(app.data .. "/../site/chunks.bin", "rb")
          f:seek("set", (i - 1) * 200000)
          local chunk = f:read(200000)
          task.timeout(0.1, function() write(chunk) end)
          chunk = nil
          collectgarbage()
          collectgarbage()
          local other = ("z"):rep(200000)
        end
        write "the end"
      end)
    end)
    app.get("/tagged", function(req)
      return noted(req, function(write)
        write(("x"):rep(tonumber(req.query.n)))
        task.sleep(0.02)
        write "y"
      end, { ["Content-Type"] = "text/plain", ETag = '"v"' })
    end)
    app.get("/events", function()
      return app.events(function(send)
        for i = 1, 3 do send("number " .. i) task.sleep(0.2) end
      end)
    end)
"""


CHUNKS = [os.urandom(200_000) for _ in range(4)]


def files(config=""):
    return {"scripts/main.lua": MAIN, "site/chunks.bin": b"".join(CHUNKS), "scripts/config.lua": f"return {{ {config} }}"}


@pytest.fixture(scope="module")
def site():
    with running(files(), "--workers", "1") as server:
        yield server


@contextlib.contextmanager
def asking(site, path, *fields, version="1.1", method="GET"):
    """A small socket that has asked and read nothing yet."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(10)
        s.connect(("127.0.0.1", site.port))
        lines = [f"{method} {path} HTTP/{version}", "Host: x", *fields, "", ""]
        s.sendall("\r\n".join(lines).encode())
        yield s


def closed_with(site, name, error, seconds=20):
    site.wait_for(rf"{name} closed: .*{error}", seconds)


def dechunk(body):
    """The bytes of a chunked body, and whether its last chunk came."""
    out = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        n = int(size, 16)
        if n == 0:
            return out, body == b"\r\n"
        out, body = out + body[:n], body[n + 2:]
    return out, False


MUCH = b"0123456789abcdef" * 4096 * 16


# --- readers ---

@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_a_reader_that_trickles_gets_all(site, version, coding):
    """A few bytes, then more and more at a time, and never where a chunk ends."""
    name = f"trickle-{version}-{coding}"
    with asking(site, f"/much?name={name}", f"Accept-Encoding: {coding}", "Connection: close",
                version=version) as s:
        data, n = b"", 1
        while more := s.recv(n):
            data += more
            n = min(n * 3 // 2 + 1, 100000)
            time.sleep(0.002)
    head, _, body = data.partition(b"\r\n\r\n")
    if version == "1.1":
        assert b"Transfer-Encoding: chunked" in head
        body, whole = dechunk(body)
        assert whole
    else:
        assert b"Transfer-Encoding" not in head and b"Connection: close" in head
    assert (gzip.decompress(body) if coding == "gzip" else body) == MUCH
    closed_with(site, name, "nil")


@pytest.mark.parametrize("path", ["/three", "/much"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_client_that_shuts_its_writing_side_gets_all(site, path, version):
    with asking(site, f"{path}?name=half", version=version) as s:
        s.shutdown(socket.SHUT_WR)
        head, _, body = read_all(s).partition(b"\r\n\r\n")
    if version == "1.1":
        body, whole = dechunk(body)
        assert whole
    assert head.startswith(b"HTTP/1.1 200") and b"Connection: close" in head or version == "1.1"
    assert body == (MUCH if path == "/much" else b"piece 1\npiece 2\npiece 3\n")


def test_an_old_client_with_keep_alive_is_told_that_the_end_is_the_end(site):
    answer = ask(site, "/three?name=old", "Connection: keep-alive", version="1.0")
    assert answer["Connection"] == "close" and "content-length" not in answer.headers
    assert answer.body == b"piece 1\npiece 2\npiece 3\n"


@pytest.mark.parametrize("path", ["/three", "/raises", "/endless", "/wrong?value=table"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_head_on_a_stream_runs_no_function(site, path, version):
    """The answer is the head, the connection goes on, and nothing was written."""
    with site.wire() as w:
        lines = [f"HEAD {path} HTTP/{version}", "Host: x", "Connection: keep-alive", "", ""]
        answer = w.send("\r\n".join(lines)).answer("HEAD")
        assert answer.status == 200 and answer.headers["content-type"] == "text/plain"
        assert "content-length" not in answer.headers
        if answer.headers.get("connection") != "close":
            assert w.get("/three?name=behind-head").answer().body.endswith(b"piece 3\n")


@pytest.mark.parametrize("status", [204, 304])
def test_a_stream_whose_status_has_no_body(site, status):
    with site.wire() as w:
        for _ in range(2):
            answer = w.get(f"/status/{status}").answer()
            assert answer.status == status and answer.body == b""
            assert "transfer-encoding" not in answer.headers
            assert "content-length" not in answer.headers
        assert w.get("/numbers?name=n").answer().body == b"12.5x"
    assert f"a body for {status}" not in site.errors()


def test_a_stream_with_205_sends_nothing(site):
    with site.wire() as w:
        answer = w.get("/status/205").answer()
        assert answer.status == 205 and answer.headers["content-length"] == "0"
        assert w.get("/numbers?name=n").answer().body == b"12.5x"


# --- clients that leave ---

@pytest.mark.parametrize("path", ["/endless", "/ticking"])
@pytest.mark.parametrize("coding", ["identity", "gzip"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_client_that_leaves_ends_the_function(site, path, coding, version):
    name = f"left{path.replace('/', '-')}-{coding}-{version}"
    with asking(site, f"{path}?name={name}", f"Accept-Encoding: {coding}", version=version) as s:
        assert s.recv(1000)
    closed_with(site, name, "the client closed the connection")


def test_each_write_after_the_client_left_raises(site):
    with asking(site, "/after?name=after") as s:
        read_until(s, b"x\r\n")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    site.wait_for("after closed: ", 5)
    assert "after 1: true" not in site.errors()


# --- functions that fail ---

@pytest.mark.parametrize("how", ["wait=1", "large=1", "wait=1&large=1"])
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_a_function_that_raises_midway_breaks_the_answer_off(site, how, coding):
    path = f"/raises?name=midway&{how}&of={coding}"
    answer = ask(site, path, f"Accept-Encoding: {coding}")
    body, whole = dechunk(answer.body)
    assert answer.status == 200 and not whole, "no last chunk"
    if coding == "gzip":
        inflate = zlib.decompressobj(31)
        body = inflate.decompress(body)
        assert not inflate.eof, "not the end of the coded text either"
    assert body.startswith(b"before ") and len(body) <= 700 + 1000000
    assert re.search(r"scripts/main\.lua:\d+: midway", log_of(site, "/raises"))


def test_for_an_old_client_it_is_a_reset(site):
    """The end of the connection would be the end of the body."""
    with asking(site, "/raises?name=old&wait=1", version="1.0") as s:
        with pytest.raises(ConnectionResetError):
            while s.recv(65536):
                pass


def test_a_function_that_raises_before_a_wait_gets_an_error_page(site):
    answer = ask(site, "/raises?name=early")
    assert answer.status == 500 and b"before" not in answer.body


def test_an_error_that_is_a_table_breaks_it_off_too(site):
    body, whole = dechunk(ask(site, "/raises/late?name=table").body)
    assert body == b"a" and not whole
    assert dechunk(ask(site, "/caught?name=caught").body) == (b"ab", True)


@pytest.mark.parametrize("value, kind", [("none", "nil"), ("table", "table"), ("fn", "function"),
                                         ("boolean", "boolean"), ("thread", "thread")])
def test_what_is_no_string_cannot_be_written(site, value, kind):
    path = f"/wrong?value={value}&name=wrong"
    assert ask(site, path).status == 500
    assert re.search(rf"scripts/main\.lua:\d+: bad argument #1 to .*string expected, got "
                     rf"(no value|{kind})", log_of(site, "/wrong"))
    body, whole = dechunk(ask(site, path + "&late=1").body)
    assert body == b"begun " and not whole


def test_numbers_and_empty_strings(site):
    assert ask(site, "/numbers?name=n").body == b"5\r\n12.5x\r\n0\r\n\r\n"
    assert ask(site, "/empties?name=e").body == b"3\r\nend\r\n0\r\n\r\n"
    assert gzip.decompress(dechunk(ask(site, "/empties?name=e", "Accept-Encoding: gzip").body)[0]
                           ) == b"end"


def test_another_task_may_write(site):
    assert dechunk(ask(site, "/spawned?name=spawned").body) == (b"first second", True)


@pytest.mark.parametrize("n", [0, 9, 10, 11, 100000])
def test_a_length_that_the_handler_gave_is_not_believed(site, n):
    """It is the core that frames: what is written is what arrives."""
    answer = ask(site, f"/length?name=length&n={n}")
    assert "content-length" not in answer.headers
    assert dechunk(answer.body) == (b"x" * n, True)


# --- codings of streams ---

def arrivals(site, path, *fields):
    """When each piece of the decoded body could be read, counted from the request."""
    start, out = time.monotonic(), []
    with asking(site, path, *fields) as s:
        data = read_until(s, b"\r\n\r\n")
        head, _, rest = data.partition(b"\r\n\r\n")
        inflate = zlib.decompressobj(31) if b"Content-Encoding: gzip" in head else None
        while True:
            body, whole = dechunk_some(rest)
            text = zlib.decompressobj(31).decompress(body) if inflate else body
            if not out or len(text) > out[-1][1]:
                out.append((time.monotonic() - start, len(text)))
            if whole:
                return head, text, out
            more = s.recv(65536)
            assert more
            rest += more


def dechunk_some(body):
    """What can be decoded of a chunked body so far."""
    out = b""
    while b"\r\n" in body:
        size, _, body = body.partition(b"\r\n")
        n = int(size, 16)
        if n == 0:
            return out, True
        out, body = out + body[:n], body[n + 2:]
    return out, False


def test_each_piece_of_a_coded_stream_can_be_decoded_when_it_comes(site):
    head, text, times = arrivals(site, "/three?name=gz", "Accept-Encoding: gzip")
    assert b"Content-Encoding: gzip" in head and text == b"piece 1\npiece 2\npiece 3\n"
    assert [n for _, n in times if n] == [8, 16, 24]


@pytest.mark.parametrize("config", ["", 'gzip = { types = { "text/event-stream" } }'])
def test_events_come_one_by_one_coded_or_not(config):
    with running(files(config), "--workers", "1") as site:
        head, text, times = arrivals(site, "/events", "Accept-Encoding: gzip")
        assert (b"Content-Encoding: gzip" in head) == bool(config)
        assert text.count(b"data: number") == 3
        steps = [n for _, n in times if n]
        assert len(steps) >= 3 and steps[0] < 30, steps
        assert times[-1][0] - times[0][0] > 0.2


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_a_write_that_is_given_up_leaves_nothing_behind(site, coding):
    """The coder still had a part of the string, after it was collected."""
    with asking(site, f"/given-up?name=given-up-{coding}", f"Accept-Encoding: {coding}",
                "Connection: close") as s:
        time.sleep(0.7)
        body, whole = dechunk(read_all(s).partition(b"\r\n\r\n")[2])
    text = gzip.decompress(body) if coding == "gzip" else body
    assert whole and text.endswith(b"the end")
    rest = text.removesuffix(b"the end")
    for chunk in CHUNKS:  # as far as each was taken
        rest = rest[len(os.path.commonprefix([chunk, rest])):]
    assert not rest


@pytest.mark.parametrize("n", [0, 1, 20000, 1000000])
@pytest.mark.parametrize("field, status", [('If-None-Match: "v"', 304), ('If-Match: "x"', 412)])
def test_a_stream_that_nobody_needs_ends_in_silence(site, n, field, status):
    """A large write stood for ever, a small one made the next a failure in the log."""
    name = f"tagged-{n}-{status}"
    answer = ask(site, f"/tagged?n={n}&name={name}", field)
    assert answer.status == status and answer.body == b""
    closed_with(site, name, "", 5)
    assert log_of(site, "/tagged") == ""
    assert dechunk(ask(site, f"/tagged?n={n}&name=whole").body) == (b"x" * n + b"y", True)


# --- what is left ---

def test_nothing_is_left_of_them(site):
    eventually(lambda: site.sockets() == 5)  # the listener's, the line to the master, three spares of it
    assert "PANIC" not in site.errors()
