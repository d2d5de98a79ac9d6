"""lunette test: the client that tests ask the site with, and what they expect."""
import subprocess

import pytest

from conftest import LUNETTE
from running import make_folder
from site_testing import fails, passes, run



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
            expect(function() end).never.raises("b")
            expect(1).never.equals("1")
            expect({ 1 }).never.equals { 1, 2 }
            expect({ 1, 2 }).never.equals { 1 }
            expect({}).never.contains("a")
            expect("5").never.matches("a")
                expect(nil).equals(nil)
                expect(1).never.equals(nil)
                expect(1).never:equals(nil)
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
    ('expect("a\\n\\0é").equals("b")', r'expected "b", got "a\n\x00é"'),
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
    # What was not asked for is no success, with never either.
    ('expect(function() error("real bug", 0) end).never.raises("other")',
     'expected no error that matches "other", got another: "real bug"'),
    ('expect(function() error "other" end).never.raises("other")',
     'expected no error that matches "other", got "tests/a_test.lua:'),
    *(f for never in ("", "never.") for f in [
        (f"expect(1).{never}equals()", "expect(…).equals: what it is to equal is missing"),
        (f"expect(1){'.never' if never else ''}:equals()",
         "expect(…).equals: what it is to equal is missing"),
        (f"expect({{}}).{never}contains(nil)", "expect(…).contains: what it is to contain is missing, or nil"),
        (f"expect({{}}).{never}contains()", "expect(…).contains: what it is to contain is missing, or nil"),
        (f'expect(nil).{never}contains("a")',
         "expect(…).contains: what contains it must be a string or a table, not nil"),
        (f"expect(5).{never}contains(5)", "expect(…).contains: what contains it must be a string or a table, not the number 5"),
        (f"expect('5').{never}contains(5)", "expect(…).contains: a string contains strings, not the number 5"),
        (f'expect(5).{never}matches("5")', "expect(…).matches: what matches must be a string, not the number 5"),
        (f'expect("a").{never}matches()', "expect(…).matches: the pattern must be a string, not nil"),
        (f'expect("a").{never}raises()', "expect(…).raises: what is to raise must be a function, not the string \"a\""),
        (f"expect(error).{never}raises(nil)", "expect(…).raises: the pattern must be a string, not nil"),
        (f"expect(error).{never}raises(5)", "expect(…).raises: the pattern must be a string, not the number 5"),
    ]),
]


def test_expectations_that_do_not_hold():
    out = fails("".join(f'test("{i}", function() {code} end)\n' for i, (code, _) in enumerate(BROKEN)))
    parts = out.split("FAIL  ")[1:]
    assert len(parts) == len(BROKEN)
    for i, (part, (_, sentence)) in enumerate(zip(parts, BROKEN)):
        assert f"tests/a_test.lua:{5 + i}: {sentence}" in part
