"""lunette test: a site's own tests, with the real program."""
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import textwrap

import pytest

from conftest import LUNETTE, eventually, write_site
from running import make_folder, new_folder

HEAD = """
    local test = require "lunette.test"
    local client, expect = test.client, test.expect
    local app = require "lunette"
"""
MAIN = r"""
    local app = require "lunette"
    local cache = require "lunette.cache"
    local session = require "lunette.session"
    app.use(session.middleware{}, { files = false })
    loads = 0
    app.get("/hello/:name", function(req) return app.text("Hello, " .. req.params.name) end)
    app.get("/json", function() return { list = { 1, 2 }, deep = { a = { b = "c" } } } end)
    app.get("/visits", function(req)
      req.session.n = (req.session.n or 0) + 1
      return app.text(req.session.n)
    end)
    app.get("/append", function()
      local f <close> = assert(io.open(app.data .. "/x", "a+"))
      f:write("x")
      f:seek("set")
      return app.text(f:read("a"))
    end)
    app.get("/count", function() return app.text(cache.incr("n", 1, 60)) end)
    app.get("/fails", function(req)
      print("about to fail")
      error "oops"
    end)
    app.get("/hangs", function() require "lunette.task".sleep(100) end)
    app.post("/echo", function(req)
      local photo = req.files.photo
      return { form = req.form, type = req.headers["Content-Type"], body = not photo and req.body or nil,
        photo = photo and { name = photo.filename, size = photo.size, type = photo.content_type },
        photos = #(req.files_all.photo or {}) }
    end)
    app.any("/see", function(req)
      return { method = req.method, query = req.query_all, host = req.host, cookies = req.cookies,
        x = req.headers["X-One"], ip = req.remote_addr, body = req.body }
    end)
    app.get("/set", function(req)
      req:set_cookie("a", "1", { path = "/" })
      req:set_cookie("b", "2", { path = "/deep" })
      req:set_cookie("c", "3", { max_age = 60 })
      req:set_cookie("d", "4", { secure = true })
      return 204
    end)
    app.get("/unset", function(req) req:expire_cookie("a") return 204 end)
    app.get("/deep/see", function(req) return req.cookies end)
    app.get("/go", function() return app.redirect("/see?from=go") end)
    app.post("/go", function() return app.redirect("/see", 307) end)
    app.get("/round", function() return app.redirect("/round") end)
    app.get("/stream", function() return app.stream(function(write)
      for i = 1, 3 do write(("%d"):format(i):rep(1000)) end
    end) end)
    app.get("/broken", function() return app.stream(function(write)
      write("x")
      require "lunette.task".sleep(0.05)
      error "late"
    end) end)
    app.host("api.example.com", function(h) h.get("/", function() return app.text("api") end) end)
"""
SITE = {"scripts/main.lua": MAIN.replace("    loads = 0\n", ""), "site/a.txt": "text " * 200}


def run(folder, *words, env=None, code=None, **options):
    done = subprocess.run([LUNETTE, "test", str(folder), *words], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=60, check=False,
                          env={**os.environ, **(env or {})}, **options)
    assert "Sanitizer" not in done.stderr and "runtime error:" not in done.stderr, done.stderr
    if code is not None:
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def with_tests(text, site=SITE, **more):
    """The folder of a site with tests/a_test.lua."""
    return make_folder({**site, "tests/a_test.lua": textwrap.dedent(HEAD) + textwrap.dedent(text), **more})


def passes(text, site=SITE, **more):
    """All tests of the text pass; what was printed."""
    done = run(with_tests(text, site, **more), code=0)
    assert done.stderr == ""
    return done.stdout


def fails(text, site=SITE, **more):
    """Some do not; what was printed."""
    return run(with_tests(text, site, **more), code=1).stdout


@pytest.fixture
def temporary():
    """A TMPDIR of the test's own, in which nothing may be left."""
    folder = new_folder()
    folder.chmod(0o777)
    yield {"TMPDIR": str(folder)}
    assert list(folder.iterdir()) == []


# What it prints


def test_results_by_name_and_a_sum():
    out = passes("""
        test("first", function() expect(client.get("/hello/you").body).equals("Hello, you") end)
        test.test("second", function() end)
    """)
    assert out == "tests/a_test.lua\n  ok    first\n  ok    second\n\n2 passed, 0 failed\n"


def test_a_failure_has_its_line_both_values_and_what_was_logged():
    out = fails("""
        test("good", function() expect(client.get("/fails").status).equals(500) end)
        test("bad", function()
            expect(client.get("/fails").status).equals(200)
        end)
    """)
    assert "  ok    good\n" in out and "1 passed, 1 failed\n" in out
    bad = out[out.index("FAIL"):]
    assert re.search(r"FAIL  bad\n +tests/a_test.lua:8: expected 200, got 500\n"
                     r" +8 \|     expect\(client.get\(\"/fails\"\).status\).equals\(200\)\n +logged:\n", bad)
    assert re.search(r"\| info scripts/main.lua:\d+: about to fail\n", bad)
    assert re.search(r"\| error 500 GET /fails: scripts/main.lua:\d+: oops\n", bad)
    assert bad.count("about to fail") == 1


def test_an_error_has_its_traceback():
    out = fails("""
        local function deeper() local t = nil; return (t.x) end
        test("bad", function() deeper() end)
    """)
    assert "FAIL  bad\n        tests/a_test.lua:6: attempt to index a nil value" in out
    assert "tests/a_test.lua:7: in function" in out


ODD = [
    ("error({})", "(error object is a table value)"), ("error()", "(error object is a nil value)"),
    ('error(setmetatable({}, { __tostring = function() return "own words" end }))', "own words"),
    ('error("no place", 0)', "no place"), ("local x = ('x'):rep(1e9)", "not enough memory"),
    ("local function f() return 1 + f() end f()", "stack overflow"), ("os.exit(0)", "os.exit would stop"),
    ("coroutine.yield()", "attempt to yield from outside a coroutine"), ("app.abort(404)", "404 Not Found"),
]


def test_whatever_is_raised_is_told_with_a_line():
    out = fails("".join(f'test("{i}", function() {code} end)\n' for i, (code, _) in enumerate(ODD))
                + 'test("good", function() end)')
    parts = out.split("FAIL  ")[1:]
    assert len(parts) == len(ODD)
    for i, (part, (_, sentence)) in enumerate(zip(parts, ODD)):
        assert f"tests/a_test.lua:{5 + i}: {sentence}" in part
    assert "1 passed, 9 failed" in out


def test_many_requests_at_once():
    passes("""
        local task = require "lunette.task"
        test("all", function()
            local fns = {}
            for i = 1, 200 do fns[i] = function() return client.get("/hello/" .. i).body end end
            for i, body in ipairs(task.all(fns)) do expect(body).equals("Hello, " .. i) end
        end)
    """)


def test_files_in_order_and_each_with_a_fresh_site():
    counter = "return { n = 0 }"
    text = textwrap.dedent(HEAD) + """
        local counter = require "counter"
        for i = 1, 2 do
            test("loaded once " .. i, function()
                counter.n = counter.n + 1
                expect(counter.n).equals(i)
            end)
        end
    """
    folder = make_folder({**SITE, "scripts/counter.lua": counter, "tests/b.lua": text,
                          "tests/a.lua": text, "tests/.hidden.lua": "error()", "tests/c.txt": "x"})
    out = run(folder, code=0).stdout
    assert [line for line in out.splitlines() if line.startswith("tests/")] == ["tests/a.lua", "tests/b.lua"]
    assert "4 passed, 0 failed" in out


def test_tap():
    folder = with_tests("""
        test("good # one", function() end)
        test("bad", function() expect(1).equals(2) end)
    """, **{"tests/b.lua": HEAD + 'test("more", function() end)'})
    lines = run(folder, "--tap", code=1).stdout.splitlines()
    assert lines[0] == "TAP version 14"
    assert lines[1] == r"ok 1 - tests/a_test.lua: good \# one"
    assert lines[2] == "not ok 2 - tests/a_test.lua: bad"
    assert lines[3:7] == ["  ---", "  at: tests/a_test.lua:7", "  message: |",
                          "    tests/a_test.lua:7: expected 2, got 1"]
    assert lines[-3:] == ["  ...", "ok 3 - tests/b.lua: more", "1..3"]


def test_colours_are_for_terminals():
    folder = with_tests('test("good", function() end)')
    assert "\033" not in run(folder, env={"TERM": "xterm"}).stdout
    master, slave = os.openpty()
    env = {**os.environ, "TERM": "xterm"}
    env.pop("NO_COLOR", None)
    with subprocess.Popen([LUNETTE, "test", folder], stdout=slave, stderr=slave, env=env) as process:
        os.close(slave)
        out = b""
        while b"passed" not in out:
            out += os.read(master, 4096)
        assert process.wait(20) == 0
    os.close(master)
    assert b"\033[32mok\033[0m    good" in out


NONE = [
    ({}, "there are no tests: no file is called .*/tests/\\*.lua"),
    ({"tests/a.txt": "x"}, "there are no tests"),
    ({"tests/a.lua": "local x = 1"}, "no file of tests/ has a test in it"),
]


@pytest.mark.parametrize("files, sentence", NONE)
def test_no_test_is_a_failure(files, sentence):
    done = run(make_folder({**SITE, **files}), code=1)
    assert re.search(sentence, done.stderr)


def test_a_file_that_fails_to_load_is_a_failure_and_the_others_run():
    for text, sentence in [("local = 5", "tests/a_test.lua:5: <name> expected"),
                           ("error 'oops'", "tests/a_test.lua:5: oops"),
                           ("require 'lunette.task'.sleep(0)\nnil_function()", "nil_function")]:
        folder = make_folder({**SITE, "tests/a_test.lua": textwrap.dedent(HEAD) + text,
                              "tests/b.lua": HEAD + 'test("good", function() end)'})
        out = run(folder, code=1).stdout
        assert "FAIL  the file is loaded" in out and sentence in out
        assert "1 passed, 1 failed" in out


def test_a_site_that_fails_to_load_is_told_once():
    folder = make_folder({"scripts/main.lua": 'local app = require "lunette"\nerror "broken"',
                          "tests/a.lua": "", "tests/b.lua": ""})
    done = run(folder, code=1)
    assert done.stderr.count("scripts/main.lua:2: broken") == 1
    assert done.stdout == ""
    assert "Bail out!" in run(folder, "--tap", code=1).stdout


def test_a_wrong_config_is_told():
    folder = make_folder({**SITE, "scripts/config.lua": "return { lisen = 1 }", "tests/a.lua": ""})
    assert "scripts/config.lua:1" in run(folder, code=1).stderr


# The client


def test_requests_and_answers():
    passes(r"""
        test("all", function()
            local answer = client.get("/json")
            expect(answer.json).equals { deep = { a = { b = "c" } }, list = { 1, 2.0 } }
            expect(answer.headers["CONTENT-Type"]).equals("application/json")
            expect(answer.headers_all["content-type"]).equals { "application/json" }
            expect(answer.headers.connection).is_nil()
            expect(client:get("/hello/a%20b").body).equals("Hello, a b")
            expect(client.get("/hello/x").json).is_nil()
            for _, method in ipairs { "post", "put", "patch", "delete", "options" } do
                local see = client[method]("/see", { query = { b = { 1, 2 }, a = "ä" }, body = "text",
                    headers = { ["X-One"] = { "1", 2 } } }).json
                expect(see.method).equals(method:upper())
                expect(see.query).equals { a = { "ä" }, b = { "1", "2" } }
                expect(see.body).equals("text")
                expect(see.x).equals("1, 2")
                expect(see.ip).equals("127.0.0.1")
                expect(see.host).equals("localhost")
            end
            expect(client.request("PUT", "/see?x=1").json.query).equals { x = { "1" } }
            expect(client.request("BREW", "/see").status).equals(501)
            expect(client.get("/none").status).equals(404)
            expect(client.head("/json").body).equals("")
            expect(client.head("/json").headers["content-length"]).matches("^%d+$")
            expect(client.get("http://api.example.com/").body).equals("api")
            expect(client.get("/", { headers = { host = "api.example.com" } }).body).equals("api")
            expect(client.get("/stream").body).equals(("1"):rep(1000) .. ("2"):rep(1000) .. ("3"):rep(1000))
        end)
    """)


def test_bodies():
    passes(r"""
        test("forms", function()
            local echo = client.post("/echo", { form = { a = { "1 2", "ü" }, b = true } }).json
            expect(echo.form).equals { a = "ü", b = "true" }
            expect(echo.type).equals("application/x-www-form-urlencoded")
        end)
        test("json", function()
            local echo = client.post("/echo", { json = { a = {} } }).json
            expect(echo.body).equals('{"a":{}}')
            expect(echo.type).equals("application/json")
        end)
        test("files", function()
            local echo = client.post("/echo", { form = { a = 'x"y' }, files = { photo = {
                filename = "a.png", content = ("x"):rep(300000), type = "image/png" } } }).json
            expect(echo.photo).equals { name = "a.png", size = 300000, type = "image/png" }
            expect(echo.form).equals { a = 'x"y' }
            expect(client.post("/echo", { files = { photo = { { content = "a" }, "b" } } })
                .json.photos).equals(2)
        end)
        test("large", function()
            expect(#client.post("/see", { body = ("x"):rep(5000000) }).json.body).equals(5000000)
            expect(client.post("/see", { body = ("x"):rep(20000000) }).status).equals(413)
        end)
    """)


def test_cookies_as_a_browser_keeps_them():
    passes(r"""
        local time = require "lunette.time"
        test("kept", function()
            local answer = client.get("/set")
            expect(answer.cookies).equals { a = "1", b = "2", c = "3", d = "4" }
            expect(#answer.headers_all["set-cookie"]).equals(4)
            expect(client.get("/see").json.cookies).equals { a = "1", c = "3" }
            expect(client.get("/deep/see").json).equals { a = "1", b = "2", c = "3" }
            expect(client.get("http://other.example/see").json.cookies).equals {}
            expect(client.get("/see", { cookies = { a = "own", z = 1 } }).json.cookies)
                .equals { a = "own", c = "3", z = "1" }
            expect(client.get("/see").json.cookies).equals { a = "1", c = "3" }
            client.get("/unset")
            expect(client.get("/see").json.cookies).equals { c = "3" }
            test.time(time.now() + 61)
            expect(client.get("/see").json.cookies).equals {}
        end)
        test("new for each test", function() expect(client.get("/see").json.cookies).equals {} end)
        test("two visitors", function()
            local other = test.new_client()
            expect(client.get("/visits").body).equals("1")
            expect(client.get("/visits").body).equals("2")
            expect(other.get("/visits").body).equals("1")
        end)
    """)


def test_redirects():
    passes(r"""
        test("redirects", function()
            local answer = client.get("/go")
            expect(answer.status).equals(302)
            expect(answer.location).equals("/see?from=go")
            local see = client.get("/go", { follow = true }).json
            expect(see.query).equals { from = { "go" } }
            see = client.post("/go", { body = "x", follow = true }).json
            expect(see.method).equals("POST")
            expect(see.body).equals("x")
            expect(function() client.get("/round", { follow = true }) end).raises("more than 20 redirects")
        end)
    """)


def test_the_request_goes_through_the_whole_server():
    passes(r"""
        local gzip = require "lunette.gzip"
        test("files, conditions, ranges, gzip, limits", function()
            local whole = client.get("/a.txt")
            expect(whole.body).equals(("text "):rep(200))
            expect(client.get("/a.txt", { headers = { ["If-None-Match"] = whole.headers.etag } }).status).equals(304)
            local part = client.get("/a.txt", { headers = { Range = "bytes=5-8" } })
            expect({ part.status, part.body }).equals { 206, "text" }
            local coded = client.get("/a.txt", { headers = { ["Accept-Encoding"] = "gzip" } })
            expect(coded.headers["content-encoding"]).equals("gzip")
            expect(gzip.decompress(coded.body, 10000)).equals(whole.body)
            expect(client.get("/hello/" .. ("x"):rep(10000)).status).equals(414)
            expect(client.get("/see", { headers = { ["X-Big"] = ("x"):rep(20000) } }).status).equals(431)
            expect(client.get("/%00").status).equals(400)
            expect(client.request("*", "/").status).never.equals(200)
        end)
    """)


def test_an_answer_that_is_broken_off_is_told():
    out = fails('test("bad", function() client.get("/broken") end)')
    assert "tests/a_test.lua:5: GET /broken: the answer was broken off in its body" in out
    assert "late" in out  # what was logged


MISUSES = [
    ('client.get("x")', 'client.get: the path "x" must begin with "/" or "http://"'),
    ('client.get("/a b")', "must be percent-encoded"),
    ('client.get("/", { heders = {} })', 'client.get: unknown option "heders" (the nearest known one is "headers")'),
    ('client.post("/", { json = {}, body = "" })', "client.post: body and json are two bodies"),
    ('client.post("/", { form = "x" })', "client.post: form must be a table"),
    ('client.get("/", { headers = { ["A B"] = 1 } })', "is no name of a header"),
    ('client.get("/", { headers = { A = "1\\r\\nB: 2" } })', "has a byte that no header can have"),
    ('client.gett("/")', 'client.gett is unknown (the nearest known one is "get")'),
    ('client.request("/x")', "client.request: the method comes first"),
    ('local x = client.get("/json").sttus', 'an answer has no field sttus (the nearest known one is "status")'),
    ('expect(1).equal(1)', 'is unknown (the nearest known one is "equals")'),
    ('expect("a").matches(1)', "the pattern must be a string"),
    ('expect(1).raises()', "what is to raise must be a function"),
    ('test.tim(1)', 'test.tim is unknown (the nearest known one is "time")'),
    ('test.time("yesterday")', 'test.time: "yesterday" is not an ISO 8601 time'),
    ('test.time(-1)', "is not a time between"),
    ('test("x", print)', "test: tests are declared while their file loads"),
    ('test.before_each(print)', "test.before_each: tests are declared while their file loads"),
]


def test_misuse_is_told_with_its_line():
    text = "".join(f'test("{i}", function() {code} end)\n' for i, (code, _) in enumerate(MISUSES))
    out = fails(text)
    for i, (_, sentence) in enumerate(MISUSES):
        assert f"tests/a_test.lua:{5 + i}: " in out
        assert sentence in out
    assert f"0 passed, {len(MISUSES)} failed" in out


DECLARATIONS = [
    ('test("a", print) test("a", print)', 'test: "a" is the name of the test at tests/a_test.lua:5 already'),
    ('test("a", 5)', "test: the function must be a function"),
    ('test("a", { timeot = 1 }, print)', 'test: unknown option "timeot" (the nearest known one is "timeout")'),
    ('test("a", { timeout = -1 }, print)', "test: timeout must be a duration"),
]


@pytest.mark.parametrize("code, sentence", DECLARATIONS)
def test_declarations(code, sentence):
    assert f"tests/a_test.lua:5: {sentence}" in fails(code)


def test_the_module_is_for_tests_alone():
    done = run(make_folder({"scripts/main.lua": "require 'lunette'", "tests/a.lua": ""}))
    assert "no file of tests/ has a test" in done.stderr
    folder = make_folder({"scripts/main.lua": "require 'lunette.test'"})
    done = subprocess.run([LUNETTE, "routes", folder], capture_output=True, text=True, timeout=20, check=False)
    assert "scripts/main.lua:1: lunette.test is for the files in tests/" in done.stderr


# Expectations


def test_expectations_that_hold():
    passes(r"""
        test("all", function()
            local circle = {}
            circle.self = circle
            local other = {}
            other.self = other
            expect(circle).equals(other)
            expect({ 1, { a = { 2 } } }).equals { 1, { a = { 2.0 } } }
            expect(0 / 0).equals(0 / 0)
            expect("a.b").contains(".")
            expect({ { 1 }, 2 }).contains { 1 }
            expect({ x = "y" }).contains("y")
            expect("abc").matches("^%l+$")
            expect(nil).is_nil()
            expect(false).never.is_nil()
            expect(function() error "oops" end).raises()
            expect(function() error({}) end).raises()
            expect(function() error "oops" end).raises("oops$")
            expect(function() end).never.raises()
            expect(function() error "a" end).never.raises("b")
            expect(1).never.equals("1")
            expect({ 1 }).never.equals { 1, 2 }
            expect({ 1, 2 }).never.equals { 1 }
            expect(nil).never.contains("a")
            expect(5).never.matches("5")
            expect(1):equals(1)
            expect(1).never:equals(2)
            require "lunette.task".sleep(0.01)
            expect(function() require "lunette.task".sleep(0.01) error "later" end).raises("later")
        end)
    """)


BROKEN = [
    ('expect({ a = { 1, { b = "x" } } }).equals { a = { 1, { b = "y" } } }',
     'they differ at .a[2].b: expected "y", got "x"'),
    ('expect({ ["a b"] = 1 }).equals { ["a b"] = 2, c = 1 }', 'they differ at ["a b"]: expected 2, got 1'),
    ('expect({ 1, 2, 3 }).equals { 1, 2 }', "they differ at [3]: expected nil, got 3"),
    ('expect("a\\n\\0é").equals("b")', r'expected "b", got "a\n\0é"'),
    ('expect(("x"):rep(500) .. "a").equals(("x"):rep(500) .. "b")',
     'they differ at byte 501 of 501 and 501'),
    ('expect({}).contains(1)', "expected something that contains 1, got {}"),
    ('expect("abc").never.contains("b")', 'expected nothing that contains "b", got "abc"'),
    ('expect("abc").matches("%d")', 'expected something that matches "%d", got "abc"'),
    ('expect(1).is_nil()', "expected nil, got 1"),
    ('expect(nil).never.is_nil()', "expected anything but nil"),
    ('expect(1).never.equals(1)', "expected anything but 1"),
    ('expect(print).raises()', "expected an error, and nothing was raised"),
    ('expect(function() error "a" end).raises("b")', 'expected an error that matches "b", got "tests/a_test.lua:'),
    ('expect(function() error "a" end).never.raises()', 'expected no error, got "tests/a_test.lua:'),
]


def test_expectations_that_do_not_hold():
    out = fails("".join(f'test("{i}", function() {code} end)\n' for i, (code, _) in enumerate(BROKEN)))
    parts = out.split("FAIL  ")[1:]
    assert len(parts) == len(BROKEN)
    for i, (part, (_, sentence)) in enumerate(zip(parts, BROKEN)):
        assert f"tests/a_test.lua:{5 + i}: {sentence}" in part


# What every test begins with


def test_data_and_cache_are_empty_and_data_is_as_it_was_loaded(temporary):
    folder = with_tests(r"""
        for i = 1, 2 do
            test("empty " .. i, function()
                expect(client.get("/append").body).equals("x")
                expect(client.get("/append").body).equals("xx")
                expect(client.get("/count").body).equals("1")
                os.remove(app.data .. "/made")
                os.rename(app.data .. "/x", app.data .. "/y")
            end)
            test("made when loaded " .. i, function()
                local f <close> = assert(io.open(app.data .. "/made"))
                expect(f:read("a")).equals("once")
                expect(io.open(app.data .. "/y")).is_nil()
                local g <close> = assert(io.open(app.data .. "/made", "w"))
                g:write("something else")
            end)
        end
    """, {**SITE, "scripts/main.lua": SITE["scripts/main.lua"] + """
    local f <close> = assert(io.open(app.data .. "/made", "w"))
    f:write("once")
    """, "data/x": "mine"})
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert "4 passed, 0 failed" in run(folder, env=temporary, code=0).stdout
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_files_of_data_are_those_of_the_test(temporary):
    folder = with_tests(r"""
        for i = 1, 2 do test("files " .. i, function()
            expect(client.get("/file").status).equals(404)
            expect(client.get("/up/x").status).equals(404)
            client.get("/append")
            for _, path in ipairs { "/file", "/up/x", "/absolute", "/rooted" } do
                expect(client.get(path).body).equals("x")
            end
            expect(client.get("/other").body).equals("text")
        end) end
    """, {**SITE, "data/x": "mine", "files/y": "text", "scripts/main.lua": SITE["scripts/main.lua"] + """
    app.static("/up", "data")
    app.get("/file", function() return app.file("data/x") end)
    app.get("/absolute", function() return app.file("/data/x") end)
    app.get("/rooted", function() return app.file("x", { root = app.data }) end)
    app.get("/other", function() return app.file("files/y", { max_age = 5 }) end)
    """})
    run(folder, env=temporary, code=0)
    assert (folder / "data/x").read_text() == "mine"


def test_before_each():
    passes(r"""
        local n = 0
        test.before_each(function() n = n + 1 client.get("/append") end)
        test("a", function() expect(n).equals(1) expect(client.get("/append").body).equals("xx") end)
        test("b", function() expect(n).equals(2) expect(client.get("/append").body).equals("xx") end)
    """)
    assert "tests/a_test.lua:5: oops" in fails("""test.before_each(function() error "oops" end)
        test("a", function() end)""")


def test_the_clock():
    site = {"scripts/main.lua": """
        local app = require "lunette"
        local crypto = require "lunette.crypto"
        local limit = require "lunette.limit"
        local session = require "lunette.session"
        app.use(session.middleware{ max_age = "1h" }, { files = false })
        local time, date = os.time, os.date -- kept before any test runs
        app.get("/now", function() return { time(), require "lunette.time".now(), date("!%Y") } end)
        app.get("/signed", function() return app.text(crypto.sign("x", { max_age = 60 })) end)
        app.get("/check", function(req) return { crypto.unsign(req.query.s) or "too old" } end)
        app.get("/in", function(req) req.session.user = 1 return 204 end)
        app.get("/who", function(req) return app.text(tostring(req.session.user)) end)
        app.get("/limited", { use = limit.middleware{ rate = 1, per = "1m" } }, function() return 204 end)
        local made = 0
        app.get("/kept", { cache = 60 }, function() made = made + 1 return app.text(made) end)
    """}
    passes(r"""
        local start = 1769860800 -- 2026-01-31T12:00:00Z
        test("stands", function()
            test.time("2026-01-31T12:00:00Z")
            local answer = client.get("/now")
            expect(answer.json).equals { start, start, "2026" }
            expect(answer.headers.date).equals("Sat, 31 Jan 2026 12:00:00 GMT")
            expect(os.time()).equals(start)
            expect(os.time { year = 2000, month = 1, day = 1, hour = 12 }).never.equals(start)
            test.time(start + 0.5)
            expect(client.get("/now").json[2]).equals(start + 0.5)
            test.time()
            expect(os.time()).never.equals(start)
        end)
        test("runs again", function() expect(math.abs(os.time() - client.get("/now").json[1]) < 60).equals(true) end)
        test("sessions, signatures", function()
            test.time(start)
            client.get("/in")
            local text = client.get("/signed").body
            expect(client.get("/who").body).equals("1")
            test.time(start + 59)
            expect(client.get("/check", { query = { s = text } }).json).equals { "x" }
            test.time(start + 61)
            expect(client.get("/check", { query = { s = text } }).json).equals { "too old" }
            expect(client.get("/who").body).equals("1")
            test.time(start + 3601)
            expect(client.get("/who").body).equals("nil")
        end)
        test("rates and kept answers", function()
            test.time(start)
            expect(client.get("/limited").status).equals(204)
            expect(client.get("/limited").status).equals(429)
            expect(client.get("/kept").body).equals("1")
            expect(client.get("/kept").body).equals("1")
            test.time(start + 61)
            expect(client.get("/limited").status).equals(204)
            expect(client.get("/kept").body).equals("2")
        end)
    """, site)


# Ends


def test_what_hangs_is_ended_and_the_next_test_runs():
    out = fails("""
        test("hangs", { timeout = 0.3 }, function()
            client.get("/hangs")
        end)
        test("sleeps", { timeout = "300ms" }, function() require "lunette.task".sleep(100) end)
        test("good", function() expect(client.get("/hello/x").status).equals(200) end)
    """)
    assert "tests/a_test.lua:7: the test took longer than its timeout of 0.3 s" in out
    assert "tests/a_test.lua:9: the test took longer than its timeout of 0.3 s" in out
    assert "  ok    good" in out and "1 passed, 2 failed" in out


def test_lua_that_does_not_wait_is_cut():
    config = {"scripts/config.lua": "return { timeouts = { cpu = 0.3 } }"}
    out = fails("""
        test("loops", function() while true do pcall(function() while true do end end) end end)
        test("good", function() end)
    """, **config)
    assert "tests/a_test.lua:6: Lua ran for longer than timeouts.cpu (0.3 s)" in out
    assert "1 passed, 1 failed" in out


def test_a_process_that_dies_is_a_failure_of_the_test_that_ran(temporary):
    config = {"scripts/config.lua": "return { timeouts = { cpu = 0.3 } }"}
    hang = 'test("dies", function() ("a"):rep(60):find(("a-"):rep(60) .. "b") end)'  # C that does not end
    folder = with_tests('test("good", function() end)\n' + hang, **config,
                        **{"tests/b.lua": HEAD + 'test("more", function() end)'})
    done = run(folder, env=temporary, code=1)
    assert "  FAIL  dies\n        the process ended\n" in done.stdout
    assert "Lua does not come back" in done.stderr
    assert "  ok    more" in done.stdout and "2 passed, 1 failed" in done.stdout
    assert "not ok 2 - tests/a_test.lua: dies" in run(folder, "--tap", env=temporary, code=1).stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_it_and_the_folder_goes(temporary, number):
    folder = with_tests('test("hangs", function() client.get("/append") client.get("/hangs") end)')
    with subprocess.Popen([LUNETTE, "test", folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, **temporary}, start_new_session=True) as process:
        top = pathlib.Path(temporary["TMPDIR"])
        eventually(lambda: list(top.glob("*/data/x")))
        process.send_signal(number)
        assert process.wait(20) == -number
        assert b"passed" not in process.stdout.read()


def test_nobody_who_reads_is_no_reason_to_leave_the_folder(temporary):
    folder = with_tests('test("a", function() end)', **{"tests/b.lua": HEAD + 'test("b", function() end)'})
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([LUNETTE, "test", folder], stdin=subprocess.DEVNULL, stdout=write, timeout=60,
                          stderr=subprocess.PIPE, env={**os.environ, **temporary}, check=False)
    os.close(write)
    assert done.returncode == 1 and b"Broken pipe" in done.stderr


def test_a_folder_for_temporary_files_may_be_a_link():
    with tempfile.TemporaryDirectory() as top:
        (pathlib.Path(top) / "there").mkdir()
        (pathlib.Path(top) / "link").symlink_to("there")
        folder = with_tests('test("a", function() expect(client.get("/append").body).equals("x") end)')
        run(folder, env={"TMPDIR": f"{top}/link"}, code=0)
        assert list((pathlib.Path(top) / "there").iterdir()) == []
        done = run(folder, env={"TMPDIR": f"{top}/none"}, code=1)
        assert f"{top}/none/lunette-tests-" in done.stderr and "No such file" in done.stderr


def test_all_processes_end_when_the_first_is_killed():
    folder = with_tests('test("hangs", { timeout = 60 }, function() client.get("/hangs") end)')
    with tempfile.TemporaryDirectory() as top, subprocess.Popen(
            [LUNETTE, "test", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": top}) as process:
        assert b"a_test.lua" in process.stdout.readline()
        process.kill()
        assert process.stdout.read() == b""  # only when nobody holds the pipe any more


# --watch


class Watching:
    def __init__(self, folder, env):
        self.process = subprocess.Popen(
            [LUNETTE, "test", folder, "--watch"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={**os.environ, **env}, start_new_session=True, bufsize=0)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.text = ""

    def wait_for(self, sentence):
        def seen():
            self.text += (self.process.stdout.read() or b"").decode()
            return sentence in self.text
        eventually(seen, 20)
        self.text = self.text[self.text.index(sentence) + len(sentence):]


def test_watch_runs_again_after_a_save_and_ends_with_ctrl_c(temporary):
    folder = with_tests('test("it", function() expect(client.get("/hello/x").body).equals("Hello, x") end)')
    watching = Watching(folder, temporary)
    try:
        watching.wait_for("1 passed, 0 failed")
        watching.wait_for("waiting for something to be saved")
        main = folder / "scripts/main.lua"
        main.write_text(main.read_text().replace('"Hello, "', '"Bye, "'))
        watching.wait_for('expected "Hello, x", got "Bye, x"')
        watching.wait_for("0 passed, 1 failed")
        watching.wait_for("waiting for something to be saved")
        write_site(folder, {"scripts/config.lua": "return { oops = 1 }"})
        watching.wait_for("oops")
        watching.wait_for("waiting for something to be saved")
        write_site(folder, {"scripts/config.lua": "return {}", "tests/b.lua": HEAD + 'test("b", function() end)'})
        watching.wait_for("1 passed, 1 failed")
        os.killpg(watching.process.pid, signal.SIGINT)  # as a terminal does
        assert watching.process.wait(20) == 1
    finally:
        watching.process.kill()
        watching.process.wait()


def test_folders_that_come_while_it_watches(temporary):
    folder = make_folder(SITE)
    watching = Watching(folder, temporary)
    try:
        watching.wait_for("there are no tests")
        watching.wait_for("waiting for something to be saved")
        (folder / "data").mkdir()
        (folder / "notes.txt").write_text("x")
        write_site(folder, {"tests/a_test.lua": HEAD + 'test("good", function() end)'})
        watching.wait_for("1 passed, 0 failed")
        watching.wait_for("waiting for something to be saved")
        (folder / "tests").rename(folder / "other")
        watching.wait_for("there are no tests")
        watching.wait_for("waiting for something to be saved")
        (folder / "other").rename(folder / "tests")
        watching.wait_for("1 passed, 0 failed")
        watching.wait_for("waiting for something to be saved")
        write_site(folder, {"tests/b.lua": HEAD + 'test("more", function() end)'})
        watching.wait_for("2 passed, 0 failed")
        watching.process.terminate()
        assert watching.process.wait(20) == 0
    finally:
        watching.process.kill()
        watching.process.wait()


def test_a_run_that_a_save_finds_under_way_is_begun_again(temporary):
    folder = with_tests('test("hangs", { timeout = 60 }, function() client.get("/append") client.get("/hangs") end)')
    watching = Watching(folder, temporary)
    top = pathlib.Path(temporary["TMPDIR"])
    try:
        eventually(lambda: list(top.glob("*/data/x")))
        write_site(folder, {"tests/a_test.lua": HEAD + 'test("good", function() end)'})
        watching.wait_for("1 passed, 0 failed")
        watching.process.terminate()
        assert watching.process.wait(20) == 0
    finally:
        watching.process.kill()
        watching.process.wait()
