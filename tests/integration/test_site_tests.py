"""lunette test: what it prints, and what every test begins with."""
import os
import re
import subprocess
import textwrap

import pytest

from conftest import LUNETTE
from running import make_folder
from site_testing import HEAD, SITE, fails, passes, run, temporary_folder, with_tests


@pytest.fixture
def temporary():
    with temporary_folder() as env:
        yield env


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
                + 'test("good", function() end)',
                # A stack that overflows takes a fifth of a second of a processor, and many of a busy machine's.
                **{"scripts/config.lua": "return { timeouts = { cpu = 60 } }"})
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
