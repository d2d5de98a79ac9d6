"""Request bodies: framing, 100 Continue, the spool, limits, answers that do not wait for them."""
import hashlib
import os
import socket
import subprocess
import time

import pytest
import requests

from conftest import eventually, post, together

SITE = {
    "scripts/main.lua": """
        local app = require "lunette"
        app.any("/echo", function(req) return app.text(req.body) end)
        app.post("/length", function(req) return app.text(tostring(#req.body)) end)
        app.post("/small", { max_body = 10 }, function(req) return app.text(req.body) end)
        app.post("/large", { max_body = "8M" }, function(req)
          return app.text(tostring(#req.body))
        end)
        app.post("/fields", function(req)
          local names = {}
          for name in pairs(req.headers) do names[#names + 1] = name end
          table.sort(names)
          return app.text(table.concat(names, " "))
        end)
        app.group("/told", function(g)
          g.on_error("*", function(req, err) return app.text("page " .. #req[req.query.read]) end)
          g.post("/small", { max_body = 10 }, function() return 204 end)
        end)
        -- middleware that wants bodies, also of what no route takes
        local task = require "lunette.task"
        app.use("/logged", function(req, handle)
          local wants, res = req.query.wants
          if wants == "after" then
            res = handle(req)
            res:add_header("X-Body", req.body:sub(1, 20) .. " " .. #req.body)
          elseif wants == "json" then
            local value = req:expect_json()
            res = handle(req)
            res:add_header("X-Body", value.a)
          elseif wants == "parts" then
            res = handle(req)
            res:add_header("X-Body", req.parts[1].name .. "=" .. req.form.f)
          elseif wants == "caught" then
            local ok, why = pcall(function()
              table.sort({ 1, 2 }, function() return #req.body < 0 end)
            end)
            local _, late = task.timeout(0.1, function() return req.body end)
            res = handle(req)
            res:add_header("X-Why", tostring(why):match("cannot wait.*") or "none")
            res:add_header("X-Late", tostring(late))
            res:add_header("X-Body", #req.body)
          elseif wants == "two" then
            local both = { pcall(task.all, { function() return req.body end, function() return req.body end }) }
            res = handle(req)
            res:add_header("X-Body", #req.body)
            res:add_header("X-Why", tostring(both[2]):match("another.*") or "none")
          elseif wants == "late" then
            req:after(function() print(select(2, pcall(function() return req.body end))) end)
            res = handle(req)
          else
            res = handle(req)
          end
          return res
        end)
        app.post("/logged/route", function(req) return app.text(#req.body) end)
        app.get("/logged/get", function() return 204 end)
        app.group("/paged", function(g)
          g.on_error(404, function(req) return app.text("no " .. req.body) end)
        end)
        app.post("/closes", function() return 200, { Connection = "close" }, "bye" end)
        app.get("/hello", function() return app.text "hello" end)
        """,
    "scripts/config.lua": """
        return { limits = { body_bytes = "6M", body_memory = "16K" }, timeouts = { body = 0.4 } }
        """,
    "site/file.txt": "a file",
}
FIVE_MB = bytes(range(256)) * (5 * 2**20 // 256)


@pytest.fixture
def server(serve):
    return serve(SITE)


def assert_next_request_works(w):
    assert w.get("/hello").answer().body == b"hello"


def chunked(*chunks, path="/echo", end="0\r\n\r\n"):
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + "".join(f"{len(c):x}\r\n{c}\r\n" for c in chunks) + end


# --- both framings, by real clients ---

@pytest.mark.parametrize("size", [0, 1, 1000, 16384, 16385, 100_000, 5 * 2**20])
def test_bodies_of_every_size_come_back_the_same(server, size):
    body = os.urandom(size)
    whole = requests.post(server.url("/echo"), data=body)
    assert (whole.status_code, whole.content) == (200, body)
    pieces = (body[i:i + 7001] for i in range(0, size, 7001))
    streamed = requests.post(server.url("/echo"), data=pieces)
    assert streamed.request.headers["Transfer-Encoding"] == "chunked"
    assert (streamed.status_code, streamed.content) == (200, body)


def curl(server, path, *options, body=b""):
    return subprocess.run(["curl", "-sS", "-v", "--max-time", "20", *options, server.url(path)],
                          input=body, capture_output=True, check=False)


def test_curl_uploads_from_a_pipe_in_chunks(server):
    done = curl(server, "/echo", "-T", "-", body=FIVE_MB)
    assert b"Transfer-Encoding: chunked" in done.stderr
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(FIVE_MB).digest()


def test_curl_uploads_a_file(server, tmp_path):
    (tmp_path / "five").write_bytes(FIVE_MB)
    done = curl(server, "/echo", "-T", str(tmp_path / "five"))
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(FIVE_MB).digest()


def test_curl_waits_for_100_continue(server):
    done = curl(server, "/echo", "-H", "Expect: 100-continue", "--expect100-timeout", "15",
                "--data-binary", "@-", body=b"expected")
    assert b"HTTP/1.1 100 Continue" in done.stderr
    assert done.stdout == b"expected"


# --- 100 Continue ---

def test_100_continue_comes_before_the_body_and_once(server):
    with server.wire() as w:
        w.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
               "Expect: 100-continue\r\n\r\n")
        assert w.answer().status == 100
        w.assert_silent()
        assert w.send("body").answer().body == b"body"
        assert_next_request_works(w)


def test_no_100_where_the_body_is_here_already_or_the_client_is_old(server):
    with server.wire() as w:
        w.send("POST /echo HTTP/1.0\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        w.assert_silent()
        assert w.send("body").answer().status == 200


@pytest.mark.parametrize("target, length, status", [
    ("POST /echo", 7_000_000, 413), ("POST /small", 11, 413), ("POST /nowhere", 5, 404),
    ("POST /file.txt", 5, 405), ("PUT /small", 5, 405)])
def test_a_body_that_is_not_wanted_is_refused_before_100_continue(server, target, length, status):
    with server.wire() as w:
        w.send(f"{target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n"
               "Expect: 100-continue\r\n\r\n")
        a = w.answer()
        assert (a.status, a.headers["connection"]) == (status, "close")
        w.s.shutdown(socket.SHUT_WR)
        w.assert_end()


# --- bodies that no route has received ---

@pytest.mark.parametrize("path, status", [
    ("/logged/nothing", 404), ("/logged/get", 405), ("/logged/route", 200)])
def test_middleware_reads_the_body_where_no_route_takes_it(server, path, status):
    """It was empty there."""
    body = "x" * 50_000  # beyond body_memory
    for data in (body, (body[i:i + 7000].encode() for i in range(0, 50_000, 7000))):
        a = requests.post(server.url(path + "?wants=after"), data=data)
        assert (a.status_code, a.headers["X-Body"]) == (status, "x" * 20 + " 50000")
    a = requests.post(server.url(path + "?wants=json"), json={"a": "b"})
    assert (a.status_code, a.headers["X-Body"]) == (status, "b")
    a = requests.post(server.url(path + "?wants=parts"), files={"f": (None, "value")})
    assert (a.status_code, a.headers["X-Body"]) == (status, "f=value")
    assert requests.post(server.url(path + "?wants=json"), data="{", headers={
        "Content-Type": "application/json"}).status_code == 400


def test_the_page_of_a_404_reads_the_body(server):
    assert requests.post(server.url("/paged/x"), data="abc").text == "no abc"


def test_a_body_that_nobody_wants_is_not_received(server):
    for path in ("/logged/nothing", "/nowhere"):
        with server.wire() as w:
            w.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                   "Expect: 100-continue\r\n\r\n")
            assert w.answer().status == 404
    with server.wire() as w:
        w.send("POST /logged/nothing?wants=after HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
               "Expect: 100-continue\r\n\r\n")
        assert w.answer().status == 100
        a = w.send("hello").answer()
        assert (a.status, a.headers["x-body"]) == (404, "hello 5")
        assert_next_request_works(w)


def test_what_middleware_reads_has_the_limits_of_the_site(server):
    too_much = requests.post(server.url("/logged/nothing?wants=after"), data=b"x" * 7_000_000)
    assert too_much.status_code == 413
    server.wait_for("413 POST /logged/nothing.*limits.body_bytes")
    with server.wire() as w:  # it stops coming: timeouts.body
        w.send("POST /logged/nothing?wants=after HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
        assert w.answer().status == 408
    with server.wire() as w:
        w.send("POST /logged/nothing?wants=after HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
        w.s.shutdown(socket.SHUT_WR)
        assert w.answer().status == 400


def test_waits_for_a_late_body_can_fail_and_be_tried_again(server):
    with server.wire() as w:
        w.send("POST /logged/nothing?wants=caught HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
        time.sleep(0.2)
        a = w.send("cde").answer()
        assert (a.status, a.headers["x-body"], a.headers["x-late"]) == (404, "5", "timeout")
        assert a.headers["x-why"] == "cannot wait inside table.sort"
        assert_next_request_works(w)
    two = requests.post(server.url("/logged/nothing?wants=two"), data="abc")
    assert (two.headers["X-Body"], two.headers["X-Why"]) == (
        "3", "another coroutine is waiting for it already")
    requests.post(server.url("/logged/nothing?wants=late"), data="abc")
    server.wait_for("req.body: the answer has begun")


# --- trailers ---

def test_trailers_are_read_and_are_not_headers(server):
    with server.wire() as w:
        w.send(chunked("abc", path="/fields", end="0\r\nX-Trailer: t\r\nContent-Length: 9\r\n\r\n"))
        assert w.answer().body == b"host transfer-encoding"
        assert_next_request_works(w)


def test_malformed_trailers_are_a_400(server):
    with server.wire() as w:
        w.send(chunked("abc", end="0\r\nno colon\r\n\r\n"))
        a = w.answer()
        assert (a.status, a.headers["connection"]) == (400, "close")


# --- the spool ---

def unlinked_files(server):
    """Temporary files; the shared cache is a file without a name too, but in memory."""
    return [name for name in server.open_files()
            if name.endswith("(deleted)") and not name.startswith("/memfd:")]


def test_a_large_body_waits_in_a_file_without_a_name(server):
    with server.wire() as w:
        w.send(post("/length", FIVE_MB)[:-1000])
        (spool,) = eventually(lambda: unlinked_files(server))
        assert spool.startswith(str(server.folder / "data"))
        assert os.listdir(server.folder / "data") == []
        w.send(FIVE_MB[-1000:])
        assert w.answer().body == b"%d" % len(FIVE_MB)
        eventually(lambda: not unlinked_files(server))


def test_the_spool_of_a_client_that_left_goes_with_it(server):
    with server.wire() as w:
        w.send(post("/length", FIVE_MB)[:-1000])
        eventually(lambda: unlinked_files(server))
    eventually(lambda: not unlinked_files(server))


def test_many_large_bodies_at_once_do_not_mix(server):
    def upload(n):
        body = bytes([n]) * 700_000
        assert requests.post(server.url("/echo"), data=body).content == body
    together(*[lambda n=n: upload(n) for n in range(8)])


# --- 413 ---

@pytest.mark.parametrize("path, most", [("/small", 10), ("/length", 6 * 2**20),
                                        ("/large", 8 * 2**20)])
def test_a_body_may_have_as_many_bytes_as_the_limit_says(server, path, most):
    with server.wire() as w:
        assert w.send(post(path, b"x" * most)).answer().status == 200
        assert_next_request_works(w)
        assert w.send(post(path, b"x" * (most + 1))).answer().status == 413


def test_a_connection_outlives_a_413_when_little_is_left_to_read(server):
    with server.wire() as w:
        a = w.send(post("/small", b"x" * 1000)).answer()
        assert a.status == 413 and "connection" not in a.headers
        assert_next_request_works(w)


def test_the_size_of_a_chunk_is_enough_for_413(server):
    with server.wire() as w:
        w.send("POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n")
        assert w.answer().status == 413  # not a byte of the eleven was sent


def test_chunks_are_a_413_once_they_are_too_many(server):
    with server.wire() as w:
        w.send(chunked(*"abcdefghij", path="/small"))
        assert w.answer().body == b"abcdefghij"
        w.send(chunked(*"abcdefghij", path="/small", end=""))
        w.assert_silent()
        assert w.send("1\r\nk\r\n").answer().status == 413


def test_a_huge_chunked_body_is_a_413_midway(server):
    done = curl(server, "/length", "-T", "-", "-X", "POST", body=FIVE_MB * 2)
    assert b"HTTP/1.1 413 Content Too Large" in done.stderr


def test_the_log_names_the_limit(server):
    with server.wire() as w:
        w.send(post("/small", b"x" * 11)).answer()
    server.wait_for(r"413 POST /small: .*limits\.body_bytes")


# --- bodies that stop coming ---

def test_a_body_that_stops_is_a_408(server):
    def send(data):
        with server.wire() as w:
            a = w.send(data).answer()
            assert (a.status, a.headers["connection"]) == (408, "close")
    together(lambda: send(post("/echo", b"x" * 100)[:-1]),
             lambda: send(chunked("abc", end="")),
             lambda: send(chunked("abc", end="5\r\nab")),
             lambda: send(chunked("abc", end="0\r\nTrailer: ")),
             lambda: send(post("/length", b"x" * 100_000)[:-1]))


def test_a_body_cut_by_a_half_close_is_a_400(server):
    with server.wire() as w:
        w.send(post("/echo", b"x" * 100)[:-1])
        w.s.shutdown(socket.SHUT_WR)
        assert w.answer().status == 400
        w.assert_end()


@pytest.mark.parametrize("body, end, status", [
    (["a=1&b"], "zz\r\n", 400),
    (["a=1&b=2&c", "=3&d=4"], "0\r\n\r\n", 413),
])
def test_an_error_page_gets_no_part_of_a_body_that_was_not_received(server, body, end, status):
    for field in ("body", "form", "parts"):
        with server.wire() as w:
            request = chunked(*body, path=f"/told/small?read={field}", end=end)
            request = request.replace(
                "Host: a", "Host: a\r\nContent-Type: application/x-www-form-urlencoded")
            answer = w.send(request).answer()
        assert answer.status == status and b"page" not in answer.body
    server.wait_for(f"{status} POST /told/small: the body was not received")


# --- bodies that nobody reads ---

@pytest.mark.parametrize("path, status", [("/nowhere", 404), ("/file.txt", 405), ("/hello", 405)])
def test_a_body_that_no_route_takes_does_not_spoil_the_next_request(server, path, status):
    smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    with server.wire() as w:
        assert w.send(post(path, smuggled * 20)).answer().status == status
        assert_next_request_works(w)
        assert w.send(chunked(smuggled, smuggled, path=path)).answer().status == status
        assert_next_request_works(w)
        half = len(smuggled)
        w.send(post(path, smuggled * 2)[:-half])
        assert w.answer().status == status
        w.send(smuggled).get("/hello")
        assert w.answer().body == b"hello"
        assert w.buffer == b""
    assert "smuggled" not in server.accesses()


def test_malformed_chunks_that_no_route_takes_end_the_connection(server):
    with server.wire() as w:
        w.send(chunked("abc", path="/nowhere", end="xyz\r\n")).get("/hello")
        assert w.answer().status == 404
        w.s.shutdown(socket.SHUT_WR)
        w.assert_end()


# --- answers to a client that is still sending ---

def send_all(w, data):
    """True when all of it was taken: the server read on."""
    w.s.settimeout(20)
    w.send(data)
    return True


@pytest.mark.parametrize("head, status", [
    ("POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n", 404),
    ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n", 413),
    ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n", 400),
    ("POST /echo HTTP/1.1\r\nHost: a\r\nX: " + "y" * 20000 + "\r\n", 431),
    ("BREW /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n", 501)])
def test_a_client_that_is_still_sending_sees_the_early_answer(server, head, status):
    """It reads only when it has sent everything: a reset would have thrown the answer away."""
    with server.wire() as w:
        assert send_all(w, head + "\r\n") and send_all(w, b"x" * 20_000_000)
        a = w.answer()
        assert (a.status, a.headers["connection"]) == (status, "close")
        assert a.body
        w.s.shutdown(socket.SHUT_WR)
        w.assert_end()


def test_clients_of_every_kind_see_a_413_for_20_mb(server):
    answer = requests.post(server.url("/echo"), data=b"x" * 20_000_000)
    assert answer.status_code == 413
    done = curl(server, "/echo", "-X", "POST", "-T", "-", body=b"x" * 20_000_000)
    assert b"HTTP/1.1 413" in done.stderr


def test_a_handler_that_closes_does_so_after_the_body(server):
    with server.wire() as w:
        a = w.send(post("/closes", b"x" * 50_000)).answer()
        assert (a.body, a.headers["connection"]) == (b"bye", "close")
        w.s.shutdown(socket.SHUT_WR)
        w.assert_end()


# --- statuses of heads that are refused ---

@pytest.mark.parametrize("status, request_", [
    (411, "POST /echo HTTP/1.0\r\n\r\n"),
    (417, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: the-unexpected\r\nContent-Length: 1\r\n\r\nx"),
    (431, "GET /hello HTTP/1.1\r\nHost: a\r\nX: " + "y" * 20_000 + "\r\n\r\n"),
    (431, "GET /hello HTTP/1.1\r\nHost: a\r\n" + "X: y\r\n" * 200 + "\r\n"),
    (414, "GET /" + "y" * 9_000 + " HTTP/1.1\r\nHost: a\r\n\r\n"),
    (501, "BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n"),
    (501, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (505, "GET /hello HTTP/2.0\r\nHost: a\r\n\r\n"),
    (400, "GET /hello HTTP/1.1\r\n\r\n")])
def test_heads_are_refused_with_their_status(server, status, request_):
    with server.wire() as w:
        a = w.send(request_).answer()
        assert (a.status, a.headers["connection"]) == (status, "close")
        assert a.headers["date"] and a.headers["server"] == "lunette"
        w.s.shutdown(socket.SHUT_WR)
        w.assert_end()
