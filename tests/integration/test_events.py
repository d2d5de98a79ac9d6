"""Server-sent events, trailers, and how streams and their clients wait for each other."""
import contextlib
import re
import socket
import struct
import subprocess
import time

import pytest
import requests

from conftest import eventually, read_until
from running import ask, log_of, running

KEEP_ALIVE = 0.3  # instead of the 15 s that sites have
MIB = 1 << 20

MAIN = r"""
    local app = require "lunette"
    local task = require "lunette.task"
    require "lunette.events".keep_alive = KEEP_ALIVE

    -- A variable that says in the log how a stream ended.
    local function witness(name)
      return setmetatable({}, { __close = function(_, e)
        print(("%s closed: %s."):format(name, tostring(e)))
      end })
    end

    app.get("/ticks", function(req)
      local first = (tonumber(req.headers["Last-Event-ID"]) or 0) + 1
      return app.events(function(send)
        for i = first, first + 2 do
          send { event = "tick", id = i, data = { n = i } }
          task.sleep(0.02)
        end
      end)
    end)
    app.get("/forms", function()
      return app.events(function(send)
        send "plain\r\ntwo"
        send { retry = 1500 }
        send { data = "" }
      end, { ["X-A"] = "b", ["Cache-Control"] = "no-cache" })
    end)
    app.get("/silent", function(req)
      return app.events(function(send)
        local seen <close> = witness(req.query.name)
        task.sleep(20)
      end)
    end)
    app.get("/silent/stream", function(req)
      return app.stream(function(write)
        local seen <close> = witness(req.query.name)
        write "x"
        task.sleep(20)
      end)
    end)
    app.get("/late", function()
      return app.events(function(send) task.sleep(0.1) send "first" end)
    end)
    app.get("/early", function() return app.events(function() error("too early") end) end)
    app.get("/misuse", function() return app.events(function(send) send {} end) end)
    app.get("/empty", function() return app.events(function() end) end)
    app.on_error(500, function(req)
      if not req.query.page then return 500 end
      return app.stream(function(write)
        task.sleep(KEEP_ALIVE * 2)
        write "the page"
      end)
    end)
    app.get("/early/page", function() return app.events(function() error("too early") end) end)
    app.get("/half-way", function()
      return app.events(function(send) send "one" task.sleep(0.05) send { event = "two" } end)
    end)
    app.get("/timeout", { timeout = "100ms" }, function()
      return app.events(function(send) task.sleep(0.4) send "still here" end)
    end)
    app.get("/busy", function()
      return app.events(function(send)
        for i = 1, 12 do send(i .. "") task.sleep(KEEP_ALIVE / 4) end
      end)
    end)
    app.get("/large", function()
      return app.events(function(send)
        local line = ("x"):rep(99)
        for _ = 1, 20 do send((line .. "\n"):rep(10000)) end
      end)
    end)
    app.use("/wrapped", function(req, handle)
      local res = handle(req)
      local body = res.body
      res.body = function(write) return body(function(s) write(s:upper()) end) end
      return res
    end)
    app.get("/wrapped", function()
      return app.events(function(send) send "a" task.sleep(KEEP_ALIVE * 2) send "b" end)
    end)

    -- trailers
    local function with(trailers)
      return app.stream(function(write) write "body" return trailers end)
    end
    app.get("/trailers", function()
      return with { ["Server-Timing"] = "db;dur=5", ["X-Count"] = 3, ["X-List"] = { "a", "b" } }
    end)
    app.get("/trailers/waits", function()
      return app.stream(function(write)
        write "body"
        task.sleep(0.02)
        return { ["X-Sum"] = "7" }
      end)
    end)
    app.get("/trailers/alone", function()
      return app.stream(function() return { ["X-Sum"] = "7" } end)
    end)
    app.get("/trailers/events", function()
      return app.events(function(send) send "x" return { ["X-Sum"] = "7" } end)
    end)
    app.get("/trailers/forbidden", function(req)
      return with { ["X-A"] = "b", [req.query.name] = "1" }
    end)
    app.get("/trailers/value", function() return with { ["X-A"] = "b\r\nX-B: c" } end)
    app.get("/trailers/array", function() return with { "X-A: b" } end)
    app.get("/trailers/response", function() return with(app.text("x")) end)
    app.get("/trailers/string", function() return with "done" end)

    -- back-pressure
    local written = {}
    app.get("/written", function(req) return app.text(written[req.query.name]) end)
    app.get("/much", function(req)
      local name, piece = req.query.name, ("x"):rep(tonumber(req.query.piece))
      return app.stream(function(write)
        local seen <close> = witness(name)
        for i = 1, tonumber(req.query.times) do
          write(piece)
          written[name] = i
        end
      end)
    end)
    app.get("/events/much", function(req)
      local name, piece = req.query.name, ("x"):rep(1000)
      return app.events(function(send)
        local seen <close> = witness(name)
        while true do send(piece) end
      end)
    end)
    local kept
    app.get("/kept", function()
      return app.stream(function(write) kept = write write "x" end)
    end)
    app.get("/kept/events", function()
      return app.events(function(send) kept = send send "x" end)
    end)
    app.get("/kept/again", function()
      local ok, e = pcall(kept, "more")
      return app.text(tostring(ok) .. " " .. tostring(e))
    end)
    app.get("/kept/soon", function(req)
      return app.stream(function(write)
        write "x"
        task.spawn(function()
          task.sleep(0)
          print("soon: " .. tostring(select(2, pcall(write, "y"))))
        end)
      end)
    end)
    app.get("/two", function()
      return app.stream(function(write)
        local other = task.spawn(function() write(("y"):rep(1000000)) end)
        task.sleep(0.02)
        print("two: " .. tostring(select(2, pcall(write, "x"))))
        other:join()
      end)
    end)
"""


def files(config):
    return {
        "scripts/main.lua": MAIN.replace("KEEP_ALIVE", str(KEEP_ALIVE)),
        "scripts/config.lua": f"return {{ {config} }}",
    }


@pytest.fixture(scope="module")
def site():
    memory = 'limits = { request_memory = "256M", lua_memory = "512M" }'
    with running(files(memory), "--workers", "1") as server:
        yield server


@contextlib.contextmanager
def listening(site, path, *fields, small=False):
    """A socket that has asked for a stream and read nothing yet."""
    with socket.socket() as s:
        s.settimeout(10)
        if small:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.connect(("127.0.0.1", site.port))
        lines = [f"GET {path} HTTP/1.1", "Host: x", *fields, "", ""]
        s.sendall("\r\n".join(lines).encode())
        yield s


def events_of(site, path, *fields):
    """The body of an event stream that ends, as text."""
    with site.wire() as w:
        return w.get(path, *fields).answer().body.decode()


def without_comments(text):
    return text.replace(":\n\n", "")


def resident(site):
    """Bytes of memory that the worker really holds."""
    worker, = site.workers()
    with open(f"/proc/{worker}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * 4096


def settled(read):
    """The value of a count that has stopped growing for a while."""
    last, since, end = None, time.monotonic(), time.monotonic() + 20
    while time.monotonic() < end:
        value = read()
        if value != last:
            last, since = value, time.monotonic()
        if time.monotonic() - since > 0.4:
            return value
        time.sleep(0.02)
    raise AssertionError("it never stops")


def closed_with(site, name, error, seconds=20):
    site.wait_for(rf"{name} closed: .*{error}", seconds)


# --- events ---

def test_events_are_written_as_they_happen(site):
    with site.wire() as w:
        answer = w.get("/ticks").answer()
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.body.decode() == "".join(
        f'event: tick\nid: {i}\ndata: {{"n":{i}}}\n\n' for i in (1, 2, 3))


def test_forms_of_events_and_headers(site):
    answer = ask(site, "/forms")
    assert answer["X-A"] == "b" and answer.headers["cache-control"] == ["no-cache"]
    assert b"data: plain\ndata: two\n\nretry: 1500\n\ndata: \n\n" in answer.body


def test_a_client_goes_on_after_the_last_id_it_got(site):
    assert re.findall(r"id: (\d+)", events_of(site, "/ticks", "Last-Event-ID: 7")) == [
        "8", "9", "10"]


def test_other_clients(site):
    """curl and requests see whole events, each before the next is made."""
    done = subprocess.run(["curl", "-sN", "--max-time", "10", site.url("/ticks")],
                          capture_output=True, text=True, check=True)
    assert done.stdout.count("event: tick\n") == 3
    with requests.get(site.url("/ticks"), stream=True, timeout=10) as answer:
        lines = answer.iter_lines(decode_unicode=True)
        assert next(lines) == "event: tick"
        assert [line for line in lines if line.startswith("id: ")] == ["id: 1", "id: 2", "id: 3"]
    assert ask(site, "/ticks", version="1.0").body.startswith(b"event: tick\nid: 1\n")
    assert ask(site, "/silent?name=head", method="HEAD").body == b""


def test_the_head_does_not_wait_for_the_first_event(site):
    start = time.monotonic()
    with listening(site, "/silent?name=head") as s:
        head = read_until(s, b":\n\n\r\n")
        assert time.monotonic() - start < KEEP_ALIVE
        assert head.startswith(b"HTTP/1.1 200 OK\r\n") and head.endswith(b"\r\n\r\n3\r\n:\n\n\r\n")
    assert events_of(site, "/late") == ":\n\ndata: first\n\n"
    assert not events_of(site, "/ticks").startswith(":"), "no comment where an event comes at once"


def test_a_silent_stream_is_kept_alive(site):
    with listening(site, "/silent?name=kept") as s:
        read_until(s, b":\n\n\r\n")
        for _ in range(3):
            start = time.monotonic()
            assert s.recv(100) == b"3\r\n:\n\n\r\n"
            assert KEEP_ALIVE * 0.6 < time.monotonic() - start < KEEP_ALIVE * 5


def test_a_stream_that_speaks_needs_no_comments(site):
    assert events_of(site, "/busy") == "".join(f"data: {i}\n\n" for i in range(1, 13))


def test_an_error_before_the_first_wait_is_a_page(site):
    assert ask(site, "/early").status == 500
    assert "too early" in log_of(site, "/early")
    assert ask(site, "/misuse").status == 500
    assert re.search(r"scripts/main\.lua:\d+: send: the event is empty", log_of(site, "/misuse"))
    assert ask(site, "/empty").status == 200
    # A page that is a stream itself does not inherit the comments.
    answer = ask(site, "/early/page?page=1")
    assert answer.status == 500 and answer.body == b"8\r\nthe page\r\n0\r\n\r\n"


def test_an_error_after_it_breaks_the_answer_off(site):
    answer = ask(site, "/half-way")
    assert answer.status == 200 and b"data: one" in answer.body
    assert not answer.body.endswith(b"0\r\n\r\n")
    assert "an event without data never arrives" in log_of(site, "/half-way")


def test_the_handlers_timeout_ends_at_the_head(site):
    assert without_comments(events_of(site, "/timeout")) == "data: still here\n\n"


def test_comments_never_split_an_event(site):
    """Large events to a client that sleeps through many comments."""
    with listening(site, "/large", "Connection: close") as s:
        s.settimeout(20)
        time.sleep(KEEP_ALIVE * 2)
        data = bytearray()
        while more := s.recv(MIB):
            if len(data) < 4 * MIB:
                time.sleep(KEEP_ALIVE / 20)
            data += more
    data = bytes(data)
    body, rest = b"", data.partition(b"\r\n\r\n")[2]
    while True:
        size, _, rest = rest.partition(b"\r\n")
        n = int(size, 16)
        if n == 0:
            break
        body += rest[:n]
        rest = rest[n + 2:]
    blocks = body.decode().split("\n\n")
    events = [block for block in blocks if block != ":"]
    assert events.pop() == "" and len(events) == 20
    assert set(events) == {("data: " + "x" * 99 + "\n") * 10000 + "data: "}


def test_middleware_around_write_gets_whole_events_and_no_comments(site):
    assert events_of(site, "/wrapped") == "DATA: A\n\nDATA: B\n\n"


# --- clients that leave ---

def test_a_listener_that_left_is_noticed_by_a_comment(site):
    """It closes in good order, which looks like the end of its request's body."""
    with listening(site, "/silent?name=gone") as s:
        read_until(s, b":\n\n\r\n")
    closed_with(site, "gone", "the client closed the connection", KEEP_ALIVE * 10)


@pytest.mark.parametrize("path", ["/silent", "/silent/stream"])
def test_a_reset_ends_a_silent_stream_at_once(site, path):
    name = "reset" + path.replace("/", "-")
    with listening(site, f"{path}?name={name}") as s:
        read_until(s, b"\n\r\n" if path == "/silent" else b"x\r\n")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    closed_with(site, name, "the client closed the connection", 5)


def test_a_client_that_only_stops_talking_is_served(site):
    with listening(site, "/busy") as s:
        s.shutdown(socket.SHUT_WR)
        assert b"data: 12\n\n" in read_until(s, b"\r\n0\r\n\r\n")


def test_a_writer_stops_when_its_client_goes(site):
    with listening(site, "/much?name=leaver&piece=65536&times=16384", small=True) as s:
        read_until(s, b"xxxx")
    closed_with(site, "leaver", "the client closed the connection")
    with listening(site, "/events/much?name=listener", small=True) as s:
        read_until(s, b"xxxx")
    closed_with(site, "listener", "the client closed the connection")


def test_a_listener_that_does_not_read_is_given_up(site):
    with running(files("timeouts = { send = 0.5 }"), "--workers", "1") as server:
        with listening(server, "/events/much?name=deaf", small=True) as s:
            closed_with(server, "deaf", "the client closed the connection", 10)


# --- trailers ---

def trailers_of(site, path, *fields):
    """The answer's body and what stands behind its last chunk."""
    answer = ask(site, path, *fields)
    assert answer.status == 200 and "trailer" not in answer.headers
    body, _, trailers = answer.body.partition(b"\r\n0\r\n")
    assert trailers.endswith(b"\r\n")
    return body, trailers[:-2].decode()


ASKS = "TE: trailers"


def test_trailers_go_to_those_who_ask(site):
    body, trailers = trailers_of(site, "/trailers", ASKS)
    assert body == b"4\r\nbody"
    assert sorted(trailers.splitlines()) == [
        "Server-Timing: db;dur=5", "X-Count: 3", "X-List: a", "X-List: b"]
    assert trailers_of(site, "/trailers") == (b"4\r\nbody", "")
    assert trailers_of(site, "/trailers", "TE: gzip") == (b"4\r\nbody", "")
    assert trailers_of(site, "/trailers", "Te: gzip;q=0.5 , Trailers")[1] != ""
    assert ask(site, "/trailers", ASKS, version="1.0").body == b"body"
    assert trailers_of(site, "/trailers/waits", ASKS) == (b"4\r\nbody", "X-Sum: 7\r\n")
    assert ask(site, "/trailers/alone", ASKS).body == b"0\r\nX-Sum: 7\r\n\r\n"
    assert trailers_of(site, "/trailers/events", ASKS) == (b"9\r\ndata: x\n\n", "X-Sum: 7\r\n")


def test_clients_that_do_not_know_trailers_go_on(site):
    """Two answers on one connection, as requests and curl read them."""
    with requests.Session() as client:
        for _ in range(2):
            assert client.get(site.url("/trailers"), headers={"TE": "trailers"}).text == "body"
    done = subprocess.run(["curl", "-s", "-H", ASKS, site.url("/trailers"), site.url("/trailers")],
                          capture_output=True, check=True, timeout=10)
    assert done.stdout == b"bodybody"


@pytest.mark.parametrize("query, why", [
    ("forbidden?name=Content-Length", r"Content-Length cannot be a trailer"),
    ("forbidden?name=set-cookie", r"set-cookie cannot be a trailer"),
    ("forbidden?name=If-None-Match", r"If-None-Match cannot be a trailer"),
    ("forbidden?name=X%20A", r'header name "X A" has a character'),
    ("value", r"header X-A: its value has a CR, LF"),
    ("array", r"a header's name is a number"),
    ("response", r"it returned a response"),
])
def test_wrong_trailers_are_left_out_and_logged(site, query, why):
    path = f"/trailers/{query}"
    assert trailers_of(site, path, ASKS) == (b"4\r\nbody", "")
    log = log_of(site, path)
    assert re.search(rf"200 GET \S+: the stream ends without trailers: {why}.*"
                     r"\(the handler at scripts/main\.lua:\d+\)", log), log


def test_other_results_are_no_trailers(site):
    assert trailers_of(site, "/trailers/string", ASKS) == (b"4\r\nbody", "")
    assert log_of(site, "/trailers/string") == ""


# --- back-pressure ---

def body_length(s):
    """Reads a chunked answer to its end; how many bytes of "x" it had."""
    n, tail = 0, b""
    while not tail.endswith(b"0\r\n\r\n"):
        more = s.recv(MIB)
        assert more, "the end before the last chunk"
        n += more.count(b"x")
        tail = (tail + more)[-16:]
    return n


def test_a_gigabyte_waits_for_its_reader(site):
    """In a few MiB: what the kernel keeps for the socket is not the worker's."""
    ask(site, "/much?name=warm&piece=65536&times=16")
    before = resident(site)
    with listening(site, "/much?name=slow&piece=65536&times=16384") as s:
        eventually(lambda: ask(site, "/written?name=slow").status == 200)

        def written():
            return int(ask(site, "/written?name=slow").body)
        first = settled(written)
        assert 0 < first < 200, "of 16384"
        assert resident(site) - before < 4 * MIB
        for _ in range(200):
            s.recv(65536)
        assert settled(written) > first
        assert resident(site) - before < 4 * MIB
        assert body_length(s) > 1000 * MIB
        assert resident(site) - before < 4 * MIB
    assert written() == 16384
    closed_with(site, "slow", "nil")


def test_a_string_of_100_mib_is_one_write(site):
    with listening(site, f"/much?name=huge&piece={100 * MIB}&times=1") as s:
        assert b"200 OK" in read_until(s, b"xxxx", 1)
        before = resident(site)
        assert body_length(s) > 99 * MIB
        assert resident(site) - before < 4 * MIB, "no copy of it"
    closed_with(site, "huge", "nil")


def test_many_tiny_writes_are_few_chunks(site):
    with site.wire(60) as w:
        answer = w.get("/much?name=tiny&piece=1&times=1000000").answer()
    assert answer.body == b"x" * 1000000
    raw = ask(site, "/much?name=tiny&piece=1&times=100000").body
    assert raw.count(b"\r\n") < 200, "two lines a chunk"


def test_empty_writes_are_nothing(site):
    assert ask(site, "/much?name=nothing&piece=0&times=100000").body == b"0\r\n\r\n"


def test_a_write_after_the_end_says_so(site):
    for path in ("/kept", "/kept/events"):
        assert ask(site, path).status == 200
        said = ask(site, "/kept/again").body.decode()
        assert said.startswith("false ") and said.endswith("its request is over"), said
    assert ask(site, "/kept/soon").body == b"1\r\nx\r\n0\r\n\r\n"
    site.wait_for(r"soon: .*(write after the stream's function returned|its request is over)")


def test_two_writers_do_not_mix(site):
    with listening(site, "/two", "Connection: close") as s:
        site.wait_for("two: .*another write to this stream is waiting")
        while s.recv(MIB):
            pass
