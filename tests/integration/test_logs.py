"""The two logs: every request in the access log, everything that went wrong in the error log."""
import re
import socket
import stat
import struct

import pytest
import requests

from conftest import eventually, post

MAIN = """
    local app = require "lunette"
    app.get("/hello", function() return app.text "hello" end)
    app.get("/stream", function()
      return app.stream(function(write) write "12345" write "678" end)
    end)
    app.get("/fails", function() error "on purpose" end)
    app.get("/prints", function() print("one\\ntwo", "a\\27[31mb") return 204 end)
    app.post("/small", { max_body = 10 }, function(req) return 204 end)
    app.any("/long", function() print "long begun" require "lunette.task".sleep(20) return 204 end)
    """
SITE = {"scripts/main.lua": MAIN, "site/file.txt": "a file of 22 letters..."}
LINE = re.compile(r'^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] '
                  r'"([^"]*)" (\d{3}) (\d+) "([^"]*)" "([^"]*)"$')


def lines_of(server, count):
    """The access log, once it has that many: (request, status, bytes, referer, agent) of each."""
    eventually(lambda: server.accesses().count("\n") >= count)
    lines = server.accesses().splitlines()
    assert len(lines) == count
    matches = [LINE.match(line) for line in lines]
    assert all(matches), lines
    return [m.groups() for m in matches]


# --- the access log ---

def test_a_line_for_each_request_in_the_combined_format(serve):
    server = serve(SITE)
    with server.wire() as w:
        w.get("/hello", "User-Agent: tests/1.0", "Referer: http://a.example/b?c").answer()
        w.get("/stream").answer()
        w.get("/file.txt?x=1").answer()
        w.send("HEAD /file.txt HTTP/1.1\r\nHost: a\r\n\r\n").answer("HEAD")
        w.get("/nowhere").answer()
        w.send("GET /hello HTTP/1.0\r\n\r\n").answer()
    lines = lines_of(server, 6)
    assert lines[0] == ("GET /hello HTTP/1.1", "200", "5", "http://a.example/b?c", "tests/1.0")
    assert lines[1] == ("GET /stream HTTP/1.1", "200", "8", "-", "-")
    assert lines[2] == ("GET /file.txt?x=1 HTTP/1.1", "200", "23", "-", "-")
    assert lines[3] == ("HEAD /file.txt HTTP/1.1", "200", "0", "-", "-")
    assert lines[4][:2] == ("GET /nowhere HTTP/1.1", "404") and int(lines[4][2]) > 0
    assert lines[5] == ("GET /hello HTTP/1.0", "200", "5", "-", "-")


def test_the_agent_of_a_real_client_is_there(serve):
    server = serve(SITE)
    requests.get(server.url("/hello"))
    ((_, _, _, _, agent),) = lines_of(server, 1)
    assert agent.startswith("python-requests/")


def test_nothing_that_a_client_sends_can_forge_a_line(serve):
    server = serve(SITE)
    with server.wire() as w:
        w.get("/hello", 'User-Agent: a" 200 "b\\', "Referer: \ttab\tand \xff\xe9 bytes").answer()
        w.get("/hello?%0a127.0.0.1", "User-Agent: ' or <b>").answer()
    first, second = lines_of(server, 2)
    assert first[4] == r"a\x22 200 \x22b\x5c"
    assert first[3] == r"tab\x09and \xff\xe9 bytes"
    assert second[0] == "GET /hello?%0a127.0.0.1 HTTP/1.1"
    assert second[4] == "' or <b>"


def test_long_fields_are_cut_and_the_line_stays_whole(serve):
    server = serve(SITE)
    with server.wire() as w:
        w.get("/hello?" + "q" * 6000, "User-Agent: " + "\x80" * 3000, "Referer: r").answer()
        w.get("/hello").answer()
    long, short = lines_of(server, 2)
    assert long[0].startswith("GET /hello?qqq") and long[1] == "200"
    assert short[0] == "GET /hello HTTP/1.1"


@pytest.mark.parametrize("data, status, line", [
    ("nonsense\r\n\r\n", 400, "nonsense"),
    ("GET /hello HTTP/1.1\r\n\r\n", 400, "GET /hello HTTP/1.1"),
    ("GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400, r"GET /\x01 HTTP/1.1"),
    ('\r\nGET /" \xe9\t', 408, r"GET /\x22 \xe9\x09"),
    ("POST /x HTTP/1.0\r\nHost: a\r\n\r\n", 411, "POST /x HTTP/1.0"),
    ("GET /%zz?a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "GET /%zz?a HTTP/1.1"),
    ("GET /" + "x" * 9000 + " HTTP/1.1\r\nHost: a\r\n\r\n", 414, "GET /" + "x" * 1495),
    ("GET / HTTP/1.1\r\nHost: a\r\n" + "X: y\r\n" * 101 + "\r\n", 431, "GET / HTTP/1.1"),
    ("GET / HTTP/1.1\r\nX: " + "y" * 20000 + "\r\n\r\n", 431, "GET / HTTP/1.1"),
    ("GET /three HTTP/3.0\r\nHost: a\r\n\r\n", 505, "GET /three HTTP/3.0"),
])
def test_bad_requests_are_in_the_access_log_with_what_came_of_them(serve, data, status, line):
    server = serve({**SITE, "scripts/config.lua": "return { timeouts = { header = 1 } }"})
    with server.wire() as w:
        assert w.send(data).answer().status == status
    assert lines_of(server, 1)[0][:2] == (line, str(status))


def test_lines_of_many_workers_do_not_mix(serve):
    server = serve(SITE, "--workers", "4")
    wires = [server.wire() for _ in range(16)]
    for _ in range(5):
        for w in wires:
            w.send("GET /hello HTTP/1.1\r\nHost: a\r\nUser-Agent: " + "u" * 500 + "\r\n\r\n" * 1)
        for w in wires:
            w.answer()
    for w in wires:
        w.s.close()
    assert all(line[4] == "u" * 500 for line in lines_of(server, 80))


def leave_by_reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


@pytest.mark.parametrize("leave", [socket.socket.close, leave_by_reset])
@pytest.mark.parametrize("data", ["GET /long?x HTTP/1.1\r\nHost: a\r\nReferer: b\r\n\r\n",
                                  "POST /long?x HTTP/1.1\r\nHost: a\r\nReferer: b\r\n"
                                  "Content-Length: 1\r\n\r\nx"])
def test_a_client_that_leaves_before_its_answer_is_a_499(serve, leave, data):
    server = serve(SITE, "--workers", "1")
    with server.wire() as w:
        w.get("/hello").answer()
        w.send(data)
        server.wait_for("long begun")
        leave(w.s)
    method = data.split(" ")[0]
    assert lines_of(server, 2)[1] == (f"{method} /long?x HTTP/1.1", "499", "0", "b", "-")
    with server.wire() as w:
        w.get("/hello").answer()
    lines_of(server, 3)


# --- the error log ---

@pytest.mark.parametrize("data, status, words", [
    ("nonsense\r\n\r\n", 400, "start line"),
    ("GET /hello HTTP/1.1\r\n\r\n", 400, "without Host"),
    ("GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "more than one Host"),
    ("GET /hello HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400, "field name"),
    ("GET /hello HTTP/1.1\r\nHost: a\r\nX: y\x00\r\n\r\n", 400, "control byte"),
    ("GET /hello HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n", 400, "obs-fold"),
    ("GET /hello HTTP/1.1\nHost: a\n\n", 400, "LF"),
    ("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, "%"),
    ("POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
     400, "Content-Length beside Transfer-Encoding"),
    ("POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400, "Content-Length"),
    ("POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400,
     "chunk size"),
    ("GET /hello HTTP/3.0\r\nHost: a\r\n\r\n", 505, "version"),
    ("BREW /hello HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method"),
    ("GET /hello HTTP/1.1\r\nHost: a\r\n" + "X: y\r\n" * 101 + "\r\n", 431, "limits.headers"),
    ("POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", 413, "limits.body_bytes")])
def test_the_error_log_says_what_was_wrong_with_a_request(serve, data, status, words):
    server = serve(SITE)
    with server.wire() as w:
        assert w.send(data).answer().status == status
    server.wait_for(rf"info \[\d+\] (\[\w+\] )?{status} .*{re.escape(words)}")


def test_a_failing_handler_is_in_the_log_before_its_answer_is_out(serve):
    server = serve(SITE)
    with server.wire() as w:
        a = w.get("/fails?x=1").answer()
        assert (a.status, b"on purpose" in a.body) == (500, False)
        assert re.search(r"error \[\d+\] \[\w{16}\] 500 GET /fails.*on purpose", server.errors())
        assert "scripts/main.lua:7" in server.errors()


def test_print_goes_to_the_log_with_its_place_and_without_control_bytes(serve):
    server = serve(SITE)
    with server.wire() as w:
        assert w.get("/prints").answer().status == 204
    assert re.search(r"info \[\d+\] \[\w{16}\] scripts/main\.lua:8: one\n\ttwo\ta\\x1b\[31mb\n",
                     server.errors())


# --- where logs go ---

def test_no_access_log(serve):
    server = serve({**SITE, "scripts/config.lua": 'return { log = { access = "off" } }'})
    with server.wire() as w:
        assert w.get("/hello").answer().status == 200
        assert w.get("/fails").answer().status == 500
    assert server.accesses() == "" and "on purpose" in server.errors()


def test_no_error_log(serve):
    server = serve({**SITE, "scripts/config.lua": 'return { log = { error = "off" } }'})
    with server.wire() as w:
        assert w.get("/fails").answer().status == 500
    assert "on purpose" not in server.errors()
    assert len(lines_of(server, 1)) == 1


def test_levels(serve):
    server = serve({**SITE, "scripts/config.lua": 'return { log = { level = "error" } }'})
    with server.wire() as w:
        assert w.send("nonsense\r\n\r\n").answer().status == 400
    with server.wire() as w:
        assert w.get("/fails").answer().status == 500
    assert "start line" not in server.errors() and "on purpose" in server.errors()


def test_logs_in_files_of_the_site(serve):
    server = serve({**SITE, "logs/old.log": "", "scripts/config.lua": """
        return { log = { access = "logs/access.log", error = "logs/error.log" } }
        """})
    access, error = server.folder / "logs/access.log", server.folder / "logs/error.log"
    with server.wire() as w:
        w.get("/hello").answer()
        w.get("/fails").answer()
        w.send(post("/small", "x" * 11)).answer()
    eventually(lambda: access.read_text().count("\n") == 3)
    assert all(LINE.match(line) for line in access.read_text().splitlines())
    assert "on purpose" in error.read_text() and "limits.body_bytes" in error.read_text()
    assert server.accesses() == "" and "on purpose" not in server.errors()
    for log in (access, error):
        assert stat.S_IMODE(log.stat().st_mode) & 0o007 == 0  # others have no business there


def test_logs_are_added_to_not_begun_anew(serve):
    server = serve({**SITE, "access.log": "yesterday\n", "scripts/config.lua": """
        return { log = { access = "access.log" } }
        """})
    with server.wire() as w:
        w.get("/hello").answer()
    log = server.folder / "access.log"
    eventually(lambda: log.read_text().count("\n") == 2)
    assert log.read_text().startswith("yesterday\n127.0.0.1 ")


def test_a_log_that_cannot_be_written_stops_the_start(serve):
    server = serve({**SITE, "scripts/config.lua": 'return { log = { access = "no/such.log" } }'},
                   ready=False)
    assert server.process.wait(10) == 1
    assert re.search(r"cannot open the log .*/no/such\.log: No such file", server.errors())
