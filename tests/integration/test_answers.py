"""What a handler may return: every form of it, every wrong form with its sentence, and streams."""
import json
import re
import socket
import time

import pytest
import requests

from conftest import read_until
from running import Answer, ask, log_of, running

MAIN = r"""
    local app = require "lunette"
    local task = require "lunette.task"
    local line = {}                       -- path → the line of its handler

    local function get(path, fn)
      line[path] = debug.getinfo(fn, "S").linedefined
      app.route({ "GET", "POST" }, path, fn)
    end
    app.get("/line", function(req) return app.text(line[req.query.of]) end)

    -- right forms
    get("/three", function() return 201, { ["X-A"] = "b" }, "body" end)
    get("/three/nil", function() return 200, nil, "body" end)
    get("/three/none", function() return 200, { ["X-A"] = "b" }, nil end)
    get("/three/types", function()
      return 200, { ["X-Number"] = 42, ["X-Float"] = 1.5, ["X-List"] = { "a", "b", 3 } }, "x"
    end)
    get("/float", function() return 201.0, nil, "x" end)
    get("/string", function() return "<p>hi" end)
    get("/string/empty", function() return "" end)
    get("/table", function() return { b = 10 / 2, a = { 1, 2 } } end)
    get("/table/empty", function() return {} end)
    get("/status", function() return 204 end)
    get("/status/200", function() return 200 end)
    get("/status/404", function() return 404 end)
    get("/status/503", function() return 503 end)
    get("/status/string", function() return 404, "gone fishing" end)
    get("/status/headers", function() return 204, { ["X-A"] = "b" } end)
    get("/status/location", function() return 303, { Location = "/" } end)
    get("/body/table", function() return 202, nil, { ok = true } end)
    get("/body/number", function() return 200, nil, 42 end)
    get("/body/stream", function() return 200, nil, function(write) write "s" end end)
    get("/type", function() return 200, { ["content-type"] = "text/x-mine" }, { a = 1 } end)
    get("/utf8", function() return { text = "a\xffb" } end)
    get("/big", function() return app.text(("0123456789abcde\n"):rep(196608)) end)
    local kept = app.text("kept", 202)
    get("/kept", function() return kept end)
    get("/changed", function()
      local res = app.response(200, { ["X-A"] = "1" }, "one")
      res.status, res.body = 203, "two"
      res.headers["X-B"] = "2"
      res:add_header("X-A", "3")
      return res
    end)
    get("/and", function(req) return req.query.x and app.text("x") or app.text("none", 404) end)

    -- helpers
    get("/json", function() return app.json({ 1, 2 }, 201, { ["X-A"] = "b" }) end)
    get("/json/value", function() return app.json("text") end)
    get("/json/headers", function() return app.json({}, { ["X-A"] = "b" }) end)
    get("/html", function() return app.html("<p>", 201) end)
    get("/text", function() return app.text(5, 201, { ["X-A"] = "b" }) end)
    get("/redirect", function() return app.redirect("/to here/ü") end)
    get("/redirect/301", function() return app.redirect("/new", 301, { ["X-A"] = "b" }) end)
    get("/redirect/inject", function(req) return app.redirect(req.query.to) end)
    get("/back", function(req) return app.redirect_back(req, "/home") end)
    get("/file", function() return app.file("files/a.txt", nil, { ["X-A"] = "b" }) end)
    get("/file/as", function()
      return app.file("files/a.txt",
        { type = "text/x-a", download = 'my "é".txt', max_age = "1h" })
    end)
    get("/file/missing", function() return app.file("files/none.txt") end)
    get("/file/gone", function() return app.file("files/none.txt", { missing = 410 }) end)
    get("/file/out", function() return app.file("../secret.txt") end)
    get("/file/scripts", function() return app.file("scripts/main.lua") end)
    get("/file/root", function() return app.file("a.txt", { root = "files" }) end)
    get("/problem", function() return app.problem(422, "too short", { field = "name" }) end)

    -- wrong forms
    get("/wrong/nothing", function() return end)
    get("/wrong/forgotten", function() local _ = 1 end)
    get("/wrong/nil", function() return nil end)
    get("/wrong/message", function() return nil, "no such row", 5 end)
    get("/wrong/message2", function() return nil, "no such row" end)
    get("/wrong/swapped", function() return "body", 201 end)
    get("/wrong/number", function() return 42 end)
    get("/wrong/600", function() return 600, nil, "x" end)
    get("/wrong/boolean", function() return true end)
    get("/wrong/function", function() return print end)
    get("/wrong/json", function() return 201, { id = 1 } end)
    get("/wrong/four", function() return 200, nil, "x", "y" end)
    get("/wrong/headers", function() return 200, "text/plain", "x" end)
    get("/wrong/body", function() return 200, nil, true end)
    get("/wrong/value", function() return 200, { ["X-A"] = true }, "x" end)
    get("/wrong/name", function() return 200, { "X-A: b" }, "x" end)
    get("/wrong/list", function() return { 1, 2, a = 3 } end)
    get("/wrong/loop", function() local t = {} t.t = t return t end)
    get("/wrong/fraction", function() return 200.5, nil, "x" end)
    get("/wrong/status", function() local r = app.text("x") r.status = "ok" return r end)

    -- header injection
    get("/inject", function(req) return 200, { ["X-A"] = req.query.v }, "x" end)
    get("/inject/name", function(req) return 200, { [req.query.v] = "x" }, "x" end)
    get("/inject/list", function(req) return 200, { ["X-A"] = { "a", req.query.v } }, "x" end)
    get("/inject/helper", function(req) return app.text("x", 200, { ["X-A"] = req.query.v }) end)
    get("/inject/add", function(req) req:add_header("X-A", req.query.v) return "x" end)

    -- bodies where there are none
    get("/none/204", function() return 204, nil, "a body" end)
    get("/none/304", function() return 304, { ETag = '"v"' }, "a body" end)
    local wrote = {}
    get("/none/stream", function()
      return 204, nil, function(write) wrote.stream = true write "x" end
    end)
    get("/none/wrote", function() return app.text(tostring(wrote.stream)) end)

    -- streams
    local cache = require "lunette.cache"
    get("/heard", function() cache.set("heard", true, 60) return 204 end)
    get("/stream", function(req)
      local held = req.query.held  -- until the client has heard the first
      return app.stream(function(write)
        for i = 1, 3 do
          write("part " .. i .. "\n")
          repeat task.sleep(0.02) until not held or cache.get "heard"
        end
      end, { ["Content-Type"] = "text/x-parts" })
    end)
    get("/stream/empty", function() return app.stream(function() end) end)
    get("/stream/blank", function()
      return app.stream(function(write) write "" write "x" write "" end)
    end)
    get("/stream/big", function()
      return app.stream(function(write) write(("x"):rep(1000000)) write("y") end)
    end)
    get("/stream/error", function()
      return app.stream(function(write) write "so far" task.sleep(0.02) error("half-way") end)
    end)
    get("/stream/misuse", function()
      return app.stream(function(write) write "x" task.sleep(0.01) write({}) end)
    end)
    get("/stream/early", function() return app.stream(function() error("too early") end) end)
    get("/stream/early/wait", function()
      return app.stream(function() task.sleep(0.01) error("early, later") end)
    end)
    app.get("/stream/late", { timeout = "100ms" }, function()
      return app.stream(function(write)
        pcall(task.sleep, 20)
        write "x"
      end)
    end)
    app.on_error(502, function() return app.stream(function() error("the page fails") end) end)
    get("/stream/failing", function() app.abort(502) end)
    get("/framing", function()
      return 200, { ["Content-Length"] = "9", ["Transfer-Encoding"] = "chunked" }, "hello"
    end)
    get("/stream/length", function()
      return 200, { ["Content-Length"] = "5" }, function(write) write "hello" end
    end)
    local written = {}
    get("/stream/endless", function(req)
      local key = req.query.key
      written[key] = 0
      return app.stream(function(write)
        local state <close> = setmetatable({}, { __close = function(_, e)
          print("stream " .. key .. " closed: " .. tostring(e))
        end })
        local chunk = ("x"):rep(100000)
        for i = 1, 100000 do
          write(chunk)
          written[key] = i
        end
      end)
    end)
    get("/stream/written", function(req) return app.text(written[req.query.key]) end)
    get("/stream/after", function()
      local saved
      return app.stream(function(write) saved = write write "x" end), saved
    end)
"""


@pytest.fixture(scope="module")
def site():
    files = {"scripts/main.lua": MAIN, "files/a.txt": "a\n", "site/plain.txt": "a file\n"}
    with running(files, "--workers", "1") as server:
        yield server


HTML = "text/html; charset=utf-8"
FORMS = [
    # path, status, type, body, some headers
    ("/three", 201, HTML, b"body", {"X-A": "b"}),
    ("/three/nil", 200, HTML, b"body", {}),
    ("/three/none", 200, None, b"", {"X-A": "b", "Content-Length": "0"}),
    ("/three/types", 200, HTML, b"x", {"X-Number": "42", "X-Float": "1.5", "X-List": "a, b, 3"}),
    ("/float", 201, HTML, b"x", {}),
    ("/string", 200, HTML, b"<p>hi", {}),
    ("/string/empty", 200, HTML, b"", {"Content-Length": "0"}),
    ("/table/empty", 200, "application/json", b"{}", {}),
    ("/status", 204, None, b"", {}),
    ("/status/200", 200, None, b"", {"Content-Length": "0"}),
    ("/status/string", 404, HTML, b"gone fishing", {}),
    ("/status/headers", 204, None, b"", {"X-A": "b"}),
    ("/status/location", 303, None, b"", {"Location": "/"}),
    ("/body/table", 202, "application/json", b'{"ok":true}', {}),
    ("/body/number", 200, HTML, b"42", {}),
    ("/type", 200, "text/x-mine", b'{"a":1}', {}),
    ("/utf8", 200, "application/json", '{"text":"a\ufffdb"}'.encode(), {}),
    ("/kept", 202, "text/plain; charset=utf-8", b"kept", {}),
    ("/changed", 203, HTML, b"two", {"X-A": "1, 3", "X-B": "2"}),
    ("/and", 404, "text/plain; charset=utf-8", b"none", {}),
    ("/and?x=1", 200, "text/plain; charset=utf-8", b"x", {}),
    ("/json", 201, "application/json", b"[1,2]", {"X-A": "b"}),
    ("/json/value", 200, "application/json", b'"text"', {}),
    ("/json/headers", 200, "application/json", b"{}", {"X-A": "b"}),
    ("/html", 201, HTML, b"<p>", {}),
    ("/text", 201, "text/plain; charset=utf-8", b"5", {"X-A": "b"}),
    ("/redirect", 302, None, b"", {"Location": "/to%20here/%C3%BC"}),
    ("/redirect/301", 301, None, b"", {"Location": "/new", "X-A": "b"}),
    ("/file", 200, "text/plain; charset=utf-8", b"a\n", {"X-A": "b"}),
    ("/file/root", 200, "text/plain; charset=utf-8", b"a\n", {}),
]


@pytest.mark.parametrize("path, status, kind, body, headers", FORMS)
def test_forms(site, path, status, kind, body, headers):
    answer = ask(site, path)
    assert (answer.status, answer.body) == (status, body)
    if kind is None:
        assert "content-type" not in answer.headers or answer.status != 204
    else:
        assert answer.headers["content-type"] == [kind]
    for name, value in headers.items():
        assert answer[name] == value
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["date"] and answer.headers["server"]


def test_every_form_is_the_same_over_and_over(site):
    """One connection, so that nothing of an answer is left for the next."""
    with requests.Session() as client:
        for _ in range(2):
            for path, status, _, body, _ in FORMS:
                answer = client.get(site.url(path), allow_redirects=False)
                assert (answer.status_code, answer.content) == (status, body), path


def test_a_table_is_json(site):
    answer = ask(site, "/table")
    assert answer["Content-Type"] == "application/json"
    assert json.loads(answer.body) == {"a": [1, 2], "b": 5} and b'"b":5' in answer.body
    assert b"5.0" not in answer.body


def test_an_array_of_strings_is_a_repeated_header(site):
    assert ask(site, "/three/types").headers["x-list"] == ["a", "b", "3"]
    assert ask(site, "/changed").headers["x-a"] == ["1", "3"]


def test_an_error_status_alone_is_its_page(site):
    for status in [404, 503]:
        answer = ask(site, f"/status/{status}", "Accept: text/html")
        assert answer.status == status and answer["Content-Type"] == HTML
        assert str(status).encode() in answer.body


def test_a_problem(site):
    answer = ask(site, "/problem")
    assert answer.status == 422 and answer["Content-Type"] == "application/problem+json"
    assert json.loads(answer.body) == {"type": "about:blank", "title": "Unprocessable Content",
                                       "status": 422, "detail": "too short", "field": "name"}


def test_redirect_back_stays_on_this_site(site):
    own = f"http://127.0.0.1:{site.port}"
    host = f"127.0.0.1:{site.port}"
    for referer, goal in [(own + "/from?x=1", own + "/from?x=1"), ("http://evil.test/", "/home"),
                          (own + "@evil.test/", "/home"), ("javascript:alert(1)", "/home"),
                          ("//evil.test/", "/home")]:
        answer = ask(site, "/back", f"Referer: {referer}", host=host)
        assert answer.status == 302 and answer["Location"] == goal
    assert ask(site, "/back", host=host)["Location"] == "/home"


def test_a_file_with_options(site):
    answer = ask(site, "/file/as")
    assert answer.body == b"a\n" and answer["Content-Type"] == "text/x-a"
    assert answer["Cache-Control"] == "max-age=3600"
    disposition = answer["Content-Disposition"]
    assert disposition.startswith("attachment; filename=")
    assert "filename*=UTF-8''my%20%22%C3%A9%22.txt" in disposition


def test_a_file_that_is_not_there(site):
    assert ask(site, "/file/missing").status == 404
    assert ask(site, "/file/gone").status == 410
    assert ask(site, "/file/out").status == 404
    answer = ask(site, "/file/scripts")
    assert answer.status == 500 and b"lunette" not in answer.body.replace(b"Server", b"")
    assert "never sent" in log_of(site, "/file/scripts")


WRONG = [
    ("/wrong/nothing", "return 204 for an empty answer"),
    ("/wrong/forgotten", "return 204 for an empty answer"),
    ("/wrong/nil", "return 204 for an empty answer"),
    ("/wrong/message", "no such row"),
    ("/wrong/message2", "no such row"),
    ("/wrong/swapped", "the status comes first"),
    ("/wrong/number", "no status from 200 to 599"),
    ("/wrong/600", "no status from 200 to 599"),
    ("/wrong/boolean", "a boolean was returned"),
    ("/wrong/function", "a function was returned alone"),
    ("/wrong/json", "for a JSON body"),
    ("/wrong/four", "more than three values"),
    ("/wrong/headers", "table of headers"),
    ("/wrong/body", "the body is a boolean"),
    ("/wrong/value", "header X-A: a boolean"),
    ("/wrong/name", "header's name is a number"),
    ("/wrong/list", "list"),
    ("/wrong/loop", "itself"),
    ("/wrong/fraction", "no status from 200 to 599"),
    ("/wrong/status", "status is not an integer"),
]


@pytest.mark.parametrize("path, sentence", WRONG)
def test_wrong_forms_are_a_500_whose_log_names_the_handler(site, path, sentence):
    answer = ask(site, path)
    assert answer.status == 500
    assert sentence.encode() not in answer.body and b"scripts" not in answer.body
    log = log_of(site, path)
    line = ask(site, f"/line?of={path}").body.decode()
    assert sentence in log and f"scripts/main.lua:{line}" in log
    assert log.count("\n") == 0, "one record, without a traceback"


BREAKS = ["a%0d%0aX-B:%201", "a%0aX-B:%201", "a%0dX-B:%201", "a%00b"]


@pytest.mark.parametrize("path", ["", "/list", "/name", "/helper", "/add"])
@pytest.mark.parametrize("value", BREAKS)
def test_a_header_with_a_line_break_or_nul_is_never_sent(site, path, value):
    answer = ask(site, f"/inject{path}?v={value}")
    assert answer.status == 500
    assert "x-b" not in answer.headers and "x-a" not in answer.headers
    log = log_of(site, f"/inject{path}") or log_of(site, f"/inject{path}?v={value}")
    assert "header" in log and "scripts/main.lua:" in log


def test_a_redirect_cannot_be_split(site):
    answer = ask(site, "/redirect/inject?to=/%0d%0aX-B:%201")
    assert answer.status == 500 and "x-b" not in answer.headers


def test_head_204_and_304_carry_no_body(site):
    with requests.Session() as client:       # what was wrongly sent would spoil the next answer
        for path, status in [("/none/204", 204), ("/none/304", 304), ("/none/stream", 204)]:
            answer = client.get(site.url(path))
            assert answer.status_code == status and answer.content == b""
            assert "Transfer-Encoding" not in answer.headers
        plain = client.head(site.url("/big"), headers={"Accept-Encoding": "identity"})
        assert plain.headers["Content-Length"] == str(3 << 20)
        assert client.head(site.url("/stream")).content == b""
        assert client.get(site.url("/none/wrote")).text == "nil"
        assert client.get(site.url("/kept")).text == "kept"
    assert ask(site, "/none/304")["ETag"] == '"v"'


def test_a_large_string(site):
    answer = ask(site, "/big")
    assert answer["Content-Length"] == str(3 << 20)
    assert answer.body == b"0123456789abcde\n" * 196608


def test_large_strings_pipelined_and_read_slowly(site):
    with site.connect() as s:
        s.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n" * 2
                  + b"GET /kept HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert ask(site, "/kept").body == b"kept"
        data = b""
        while more := s.recv(1 << 20):
            data += more
    assert data.count(b"0123456789abcde\n") == 2 * 196608 and data.endswith(b"kept")


# Streams


def unchunk(body):
    """The data and the sizes of the chunks of a chunked body, which must be whole."""
    data, sizes = b"", []
    while True:
        size, _, body = body.partition(b"\r\n")
        n = int(size, 16)
        sizes.append(n)
        assert body[n:n + 2] == b"\r\n"
        data, body = data + body[:n], body[n + 2:]
        if n == 0:
            assert body == b""
            return data, sizes


def test_a_stream_is_chunked(site):
    answer = ask(site, "/stream")
    assert answer["Transfer-Encoding"] == "chunked" and "content-length" not in answer.headers
    assert answer["Content-Type"] == "text/x-parts"
    data, sizes = unchunk(answer.body)
    assert data == b"part 1\npart 2\npart 3\n" and len(sizes) == 4


def test_parts_arrive_as_they_are_written(site):
    with site.connect() as s:
        s.sendall(b"GET /stream?held HTTP/1.1\r\nHost: x\r\n\r\n")
        first = read_until(s, b"part 1\n")
        assert b"part 3" not in first
        assert ask(site, "/heard").status == 204
        assert b"part 3" in first + read_until(s, b"0\r\n\r\n")


def test_http_1_0_gets_a_stream_until_the_close(site):
    answer = ask(site, "/stream", version="1.0")
    assert "transfer-encoding" not in answer.headers
    assert answer.body == b"part 1\npart 2\npart 3\n"


def test_streams_of_odd_sizes(site):
    assert ask(site, "/stream/empty")["Content-Type"] == "application/octet-stream"
    assert unchunk(ask(site, "/stream/empty").body)[0] == b""
    assert unchunk(ask(site, "/stream/blank").body)[0] == b"x"
    assert unchunk(ask(site, "/stream/big").body)[0] == b"x" * 1000000 + b"y"
    assert unchunk(ask(site, "/body/stream").body)[0] == b"s"


def test_a_stream_that_fails_is_cut_off_and_logged(site):
    answer = ask(site, "/stream/error")
    assert answer.status == 200 and b"so far" in answer.body
    assert not answer.body.endswith(b"0\r\n\r\n"), "the client must see that it is not whole"
    assert re.search(r"scripts/main\.lua:\d+: half-way", site.errors())
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(site.url("/stream/error"), timeout=10)


def test_write_takes_strings(site):
    assert not ask(site, "/stream/misuse").body.endswith(b"0\r\n\r\n")
    site.wait_for(r"scripts/main\.lua:\d+: bad argument #1 .*string expected, got table")


@pytest.mark.parametrize("path, error", [("/stream/early", "too early"),
                                         ("/stream/early/wait", "early, later")])
def test_a_stream_that_fails_before_its_first_byte_is_a_500(site, path, error):
    answer = ask(site, path)
    assert answer.status == 500 and answer["Content-Type"] == HTML
    assert error.encode() not in answer.body
    assert re.search(rf"scripts/main\.lua:\d+: {error}", log_of(site, path))


def test_a_stream_without_a_byte_in_time_is_a_503(site):
    assert ask(site, "/stream/late").status == 503
    assert "timeouts.handler" in log_of(site, "/stream/late")


def test_a_failing_stream_of_an_error_page_is_the_plain_page(site):
    answer = ask(site, "/stream/failing")
    assert answer.status == 500 and b"500" in answer.body
    assert "the page fails" in site.errors()


def resident(pid):
    """Bytes of memory that a process really holds."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
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


def test_a_slow_reader_holds_the_writer_back(site):
    """The writer waits for the client, in bounded memory, while others are served."""
    worker, = site.workers()
    ask(site, "/stream/big")
    before = resident(worker)
    with site.connect() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.sendall(b"GET /stream/endless?key=slow HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(s, b"xxxx")

        def written():
            return int(ask(site, "/stream/written?key=slow").body)
        first = settled(written)
        assert first < 200, "of 100000 chunks of 100 KB"
        for _ in range(100):
            s.recv(100000)
        assert resident(worker) - before < 20 << 20
        taken = 0
        while taken < 100 * 100000:
            taken += len(s.recv(1 << 20))
        assert settled(written) > first
        assert resident(worker) - before < 20 << 20


def test_a_client_that_leaves_raises_in_the_next_write(site):
    with site.connect() as s:
        s.sendall(b"GET /stream/endless?key=left HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(s, b"xxxx")
    site.wait_for(r"stream left closed: .*the client closed the connection")
    assert "left closed: nil" not in site.errors()
    log = [line for line in site.errors().splitlines() if "/stream/endless?key=left" in line]
    assert log == [], "a client that leaves is no error"


def test_framing_is_the_cores(site):
    """A length or a coding that a handler names cannot spoil the framing."""
    answer = ask(site, "/stream/length")
    assert answer["Transfer-Encoding"] == "chunked" and "content-length" not in answer.headers
    answer = ask(site, "/framing")
    assert answer.headers["content-length"] == ["5"] and answer.body == b"hello"
    assert "transfer-encoding" not in answer.headers


def test_a_response_and_something_is_no_answer(site):
    assert ask(site, "/stream/after").status == 500


def test_pieces_of_one_read_are_whole_answers(site):
    """Streams, files and strings pipelined on one connection come in order."""
    paths = ["/stream/blank", "/kept", "/plain.txt", "/stream/big", "/table/empty"]
    request = "".join(f"GET {p} HTTP/1.1\r\nHost: x\r\n\r\n" for p in paths[:-1])
    request += f"GET {paths[-1]} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    data = site.raw(request.encode())
    assert data.count(b"HTTP/1.1 2") == 5 and data.endswith(b"{}")
    assert Answer(data).status == 200
    assert data.index(b"kept") < data.index(b"a file\n") < data.index(b"xxxx")
