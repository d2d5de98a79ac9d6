"""The access log as JSON: one object a line, whatever clients send."""
import datetime
import json
import re
import socket
import struct

import pytest

from conftest import eventually
from running import running

MAIN = """
    local app = require "lunette"
    app.get("/notes/:id", function(req) return app.text(req.id) end)
    app.get("/plain", { use = { function(req, handle) return handle(req) end } }, function(req)
      return app.text(req.params.id or "none")
    end)
    app.post("/notes", function(req) return 204 end)
    app.group("/api", function(g) g.get("/things/*rest", function() return 204 end) end)
    app.get("/stream", function()
      return app.stream(function(write) write "12345" write "678" end)
    end)
    app.any("/long", function() print "long begun" require "lunette.task".sleep(20) return 204 end)
    app.get("/slow", function() require "lunette.task".sleep(0.2) return 204 end)
    """
SITE = {
    "scripts/main.lua": MAIN, "site/file.txt": "a file of 22 letters...",
    "scripts/config.lua": """
        return { log = { format = "json" }, trusted_proxies = { "127.0.0.2" } }
        """}
NAMES = ["time", "id", "remote_addr", "method", "target", "protocol", "status", "bytes", "duration",
         "host", "route", "referer", "user_agent", "pid"]


@pytest.fixture(scope="module")
def site():
    with running(SITE) as server:
        yield server


def lines_about(server, mark, count=1):
    def found():
        return [json.loads(line) for line in server.accesses().splitlines() if mark in line]
    eventually(lambda: len(found()) >= count)
    assert len(found()) == count
    return found()


def test_a_request(site):
    with site.wire() as w:
        id = w.get("/notes/7?mark=one", "User-Agent: tests/1.0",
                   "Referer: http://a.example/b").answer().body.decode()
    (line,) = lines_about(site, "mark=one")
    assert list(line) == NAMES
    when = datetime.datetime.fromisoformat(line.pop("time").replace("Z", "+00:00"))
    assert abs((datetime.datetime.now(datetime.timezone.utc) - when).total_seconds()) < 60
    assert 0 < line.pop("duration") < 10
    assert line.pop("pid") in site.workers()
    assert line == {
        "id": id, "remote_addr": "127.0.0.1", "method": "GET", "target": "/notes/7?mark=one",
        "protocol": "HTTP/1.1", "status": 200, "bytes": 16, "host": "localhost",
        "route": "/notes/:id", "referer": "http://a.example/b", "user_agent": "tests/1.0"}
    assert re.fullmatch("[0-9a-f]{16}", id)


def test_the_time_has_milliseconds_and_the_duration_microseconds(site):
    site.get("/slow?mark=time")
    text = raw_line(site, b"mark=time").decode()
    assert re.match(r'\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",', text)
    duration = re.search(r'"duration":(\d+\.\d{6}),', text)
    assert 0.2 <= float(duration[1]) < 10


@pytest.mark.parametrize("path, route", [
    ("/plain", "/plain"), ("/plain/", "/plain"), ("/api/things/a/b", "/api/things/*rest"),
    ("/stream", "/stream"), ("/file.txt", None), ("/nowhere", None)])
def test_the_route_is_its_pattern(site, path, route):
    for _ in range(2):  # the second time by the shortcuts
        site.get(path + "?mark=" + path)
    lines = lines_about(site, f'mark={path}"', 2)  # /plain/ is another path than /plain
    assert [line["route"] for line in lines] == [route] * 2


def test_another_method_has_no_route(site):
    site.raw(b"DELETE /plain?mark=no HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    (line,) = lines_about(site, "mark=no")
    assert (line["method"], line["status"], line["route"]) == ("DELETE", 405, None)


@pytest.mark.parametrize("sent, words", [
    (b"nonsense", ("nonsense", None, None)),
    (b"GET /no-host?x HTTP/1.1", ("GET", "/no-host?x", "HTTP/1.1")),
    (b"GET /two words HTTP/1.1", ("GET", "/two", "words HTTP/1.1")),
    (b'GET /"\x01\xff HTTP/1.1', ("GET", '/"\x01\N{REPLACEMENT CHARACTER}', "HTTP/1.1")),
    (b"\r\n\r\nafter /lines HTTP/7", ("after", "/lines", "HTTP/7")),
    (b"G" * 100 + b" /long-method HTTP/1.1", ("G" * 19 + "\N{HORIZONTAL ELLIPSIS}", "/long-method", "HTTP/1.1")),
])
def test_what_is_no_request_has_what_came_and_nulls(sent, words):
    with running(SITE, "--workers", "1") as server:
        server.raw(sent + b"\r\n\r\n")
        (line,) = lines_about(server, '"bytes":0,"duration":0.000000,"host":null')
    assert list(line) == NAMES
    assert (line["method"], line["target"], line["protocol"]) == words
    for name in ["id", "host", "route", "referer", "user_agent"]:
        assert line[name] is None
    assert line["remote_addr"] == "127.0.0.1" and line["status"] >= 400


def test_who_left_before_the_answer(site):
    with site.wire() as w:
        w.get("/long?mark=left")
        site.wait_for("long begun")
        w.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    (line,) = lines_about(site, "mark=left")
    assert (line["status"], line["bytes"], line["route"]) == (499, 0, "/long")
    assert line["duration"] > 0 and list(line) == NAMES


def raw_line(server, mark):
    """The bytes of the one line with the mark."""
    def found():
        return [t for t in server.out.read_bytes().splitlines() if mark in t]
    eventually(found)
    (line,) = found()
    return line


def test_hostile_bytes_are_valid_json(site):
    with site.wire() as w:
        w.get("/notes/1?mark=hostile'%22%00", 'User-Agent: a"\\\xff\xc3\xa9 \xed\xa0\x80\tz',
              "Referer: \xf0\x9f\x98\x80 \xc0\xaf").answer()
    line = json.loads(raw_line(site, b"mark=hostile").decode("utf-8", errors="strict"))
    assert line["target"] == "/notes/1?mark=hostile'%22%00"
    assert line["user_agent"] == 'a"\\\ufffd\u00e9 \ufffd\ufffd\ufffd\tz'
    assert line["referer"] == "\U0001f600 \ufffd\ufffd"


def test_long_values_are_cut_and_say_so(site):
    with site.wire() as w:
        w.get("/notes/1?mark=long" + "q" * 7000, "User-Agent: " + "\x80" * 3000,
              'Referer: ' + '"' * 3000).answer()
    text = raw_line(site, b"mark=long")
    assert len(text) < 4096
    line = json.loads(text)
    assert line["target"].startswith("/notes/1?mark=longqqq")
    for name in ("target", "user_agent", "referer"):
        assert line[name].endswith("\u2026")


def test_the_client_behind_a_trusted_proxy_and_its_id(site):
    import socket
    with socket.create_connection(("127.0.0.1", site.port), 5, ("127.0.0.2", 0)) as s:
        s.sendall(b"GET /notes/1?mark=proxy HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.9\r\n"
                  b"X-Request-Id: from-outside/1\r\nX-Forwarded-Host: www.example\r\n"
                  b"Connection: close\r\n\r\n")
        while s.recv(4096):
            pass
    (line,) = lines_about(site, "mark=proxy")
    assert (line["id"], line["remote_addr"], line["host"]) == \
        ("from-outside/1", "192.0.2.9", "www.example")


def test_records_of_the_error_log_have_the_same_id():
    site = {**SITE, "scripts/main.lua": """
        local app = require "lunette"
        local log = require "lunette.log"
        app.get("/fails", function(req)
          log.warn("about to fail")
          print("printed")
          error "on purpose"
        end)
        app.get("/wrong", function(req) return {}, 1, 2, 3 end)
        log.info("loading")
        """}
    with running(site) as server:
        for path in ("/fails", "/wrong"):
            server.get(path)
            (line,) = lines_about(server, path)
            assert re.search(rf"error \[\d+\] \[{line['id']}\] 500 GET {path}: ", server.errors())
            if path == "/fails":
                assert re.search(rf"warn \[\d+\] \[{line['id']}\] scripts/main\.lua:5: about",
                                 server.errors())
                assert re.search(rf"info \[\d+\] \[{line['id']}\] scripts/main\.lua:6: printed",
                                 server.errors())
        assert re.search(r"info \[\d+\] scripts/main\.lua:10: loading\n", server.errors())


def test_what_a_terminal_would_follow_is_escaped(site):
    """U+009B is CSI to terminals, as ESC [ is."""
    site.raw(b"GET /plain?mark=c1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
             b"User-Agent: a\xc2\x9b2J \xc2\xa9\xc2\x80\r\n\r\n")
    assert b'"user_agent":"a\\u009b2J \xc2\xa9\\u0080"' in raw_line(site, b"mark=c1")
    assert lines_about(site, "mark=c1")[0]["user_agent"] == "a\u009b2J \u00a9\u0080"
