"""What a site's author reads when the scripts ask for something that cannot be."""
import re
import socket

import pytest

from running import ask, log_of, running

MAIN = """\
    local app = require "lunette"

    app.use(function(req, handle)
      local res = handle(req)
      res.headers["X-Error"] = req.error and "seen" or "none"
      return res
    end)
    local function bad(name, fn) app.get("/" .. name, fn) end
    local locked = setmetatable({}, { __metatable = true })

    bad("tail/json", function() return app.json({}, "x") end)
    bad("tail/file", function() return app.file(5) end)
    bad("tail/int", function(req) return req:int(5) end)
    bad("straight", function() local res = app.json({}, "x") return res end)
    app.get("/tail/middleware", { use = function(_, handle) return handle(5) end },
      function() return 204 end)
    bad("scripts", function() return app.file("site/../scripts/main.lua") end)
    bad("abort/headers", function()
      local res = app.file("site/a.txt")
      res.headers = 5
      app.abort(res)
    end)
    bad("folder", function() return app.file("site/sub") end)
    bad("nul", function() return app.file("site/a.txt\\0.jpg") end)
    bad("body/file", function() return 200, nil, app.file("site/a.txt") end)
    bad("body/json", function() local res = app.json(app.json { 1 }) return res end)
    bad("body/set", function() local r = app.text("x") r.body = app.text("y") return r end)
    bad("status/after", function() return app.json({ 1 }), 201 end)
    bad("status/file", function() return app.file("site/a.txt"), 201 end)
    bad("header/true", function() return 200, { ["X"] = true }, "x" end)
    bad("header/line", function() return app.text("x", { X = "a\\r\\nb" }) end)
    bad("json/function", function() return app.json { f = print } end)
    bad("json/bytes", function() return app.json { text = "\\255" } end)
    bad("cookie/name", function(req) req:set_cookie("a b", "x") return 204 end)
    bad("cookie/gone", function(req) req:expire_cookie("a b") return 204 end)
    bad("header/add", function(req) req:add_header("a b", "x") return 204 end)
    bad("task", function() require "lunette.task":sleep(0) return 204 end)
    bad("locked", function() error(locked) end)
"""
FILES = {"scripts/main.lua": MAIN, "site/a.txt": "a", "site/sub/b.txt": "b"}


@pytest.fixture(scope="module")
def site():
    with running(FILES) as server:
        yield server


def line_of(text):
    """scripts/main.lua:N, where the text stands."""
    lines = [i for i, line in enumerate(MAIN.splitlines(), 1) if text in line]
    assert len(lines) == 1, text
    return f"scripts/main.lua:{lines[0]}"


@pytest.mark.parametrize("path", ["/tail/json", "/tail/file", "/tail/int"])
def test_misuse_in_a_tail_call_names_the_handler_not_the_middleware_around_it(site, path):
    assert ask(site, path)["X-Error"] == "seen"
    first = log_of(site, path).splitlines()[0]
    assert first.endswith(f"(the handler at {line_of(path[1:])})")
    assert line_of("= handle(req)") not in first


def test_misuse_has_the_line_of_the_call(site):
    assert ask(site, "/straight").status == 500
    place = line_of('bad("straight')
    assert f"500 GET /straight: {place}: app.json: " in log_of(site, "/straight")


def test_misuse_in_middleware_names_it(site):
    assert ask(site, "/tail/middleware").status == 500
    first = log_of(site, "/tail/middleware").splitlines()[0]
    assert first.endswith(f"(the middleware at {line_of('/tail/middleware')})")


def test_an_error_object_with_a_locked_metatable(site):
    assert ask(site, "/locked").status == 500
    assert "500 GET /locked: (error object is a table value)" in log_of(site, "/locked")


WRONG = [
    ("/scripts", "app.file: files in scripts/ are never sent"),
    ("/abort/headers", "the response's headers are not a table"),
    ("/body/file", "the body is a response: return it alone, or set its status and headers"),
    ("/body/json", "app.json: the body is a response: return it alone"),
    ("/body/set", "the body is a response: return it alone"),
    ("/status/after", "its status within (app.json(t, 201))"),
    ("/status/file", "a response is returned alone"),
    ("/header/true", "header X: a boolean is neither string, number nor array of strings"),
    ("/header/line", "header X: its value has a CR, LF or another control character"),
    ("/json/function", "function"),
    ("/task", "task.sleep: call with a dot"),
]


@pytest.mark.parametrize("path, sentence", WRONG)
def test_a_wrong_answer_is_a_500_that_middleware_sees(site, path, sentence):
    answer = ask(site, path)
    assert (answer.status, answer["X-Error"]) == (500, "seen")
    log = log_of(site, path)
    place = line_of(f'bad("{path[1:]}"')
    assert sentence in log and place in log.splitlines()[0]


@pytest.mark.parametrize("path, call", [("/cookie/name", "set_cookie"),
                                        ("/cookie/gone", "expire_cookie"),
                                        ("/header/add", "add_header")])
def test_what_the_core_refuses_is_said_at_the_authors_line(site, path, call):
    assert ask(site, path).status == 500
    first = log_of(site, path).splitlines()[0]
    assert f"{line_of(path[1:])}: req:{call}: " in first and "lunette/" not in first


@pytest.mark.parametrize("path", ["/folder", "/nul"])
def test_what_is_no_file_is_missing(site, path):
    assert ask(site, path).status == 404


def test_bytes_that_are_not_utf_8_are_mended_behind_middleware_too(site):
    answer = ask(site, "/json/bytes")
    assert (answer.status, answer.body) == (200, '{"text":"\ufffd"}'.encode())


def test_a_site_without_anything_to_serve_says_so_once():
    with running({"scripts/config.lua": "return {}"}) as server:
        assert ask(server, "/").status == 404
        assert server.errors().count("scripts/main.lua is not there, nor site/") == 1


def test_the_start_names_the_port_that_the_kernel_chose():
    with running({"site/a.txt": "a"}, "--listen", "127.0.0.1:0") as server:
        port = re.search(r"on http://127\.0\.0\.1:(\d+) ", server.errors()).group(1)
        with socket.create_connection(("127.0.0.1", int(port)), timeout=10) as s:
            s.sendall(b"GET /a.txt HTTP/1.0\r\n\r\n")
            assert s.recv(100).startswith(b"HTTP/1.")
