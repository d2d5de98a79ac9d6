"""lunette repl, on small sites, from pipes and on a terminal."""
import signal
import subprocess
import time

import pytest

from commands import Terminal, example, lunette, repl
from conftest import LUNETTE


PIECES = [
    ("1 + 1", "2\n"),
    ("1, 'x', nil, true", '1\t"x"\tnil\ttrue\n'),
    ("", ""), ("   ", ""), ("-- nothing", ""),
    ("x = 7\nx * 6", "42\n"),
    ("local y = 7\ny", "nil\n"),
    ("function f(n)\n  return n + 1\nend\nf(1)", "2\n"),
    ("for i = 1, 2 do\nprint(i, 'a')\nend", "1\ta\n2\ta\n"),
    ("x = [[a\nb]]\nx", '"a\\nb"\n'),
    ("{ b = 1, a = { 2 } }", "{ a = { 2 }, b = 1 }\n"),
    ("{1,\n2}", "{ 1, 2 }\n"),
    ("json.encode { a = 1 }, url.quote 'a b'", '"{\\"a\\":1}"\t"a%20b"\n'),
    ("app.url_for('note', { id = 7 })", '"/notes/7"\n'),
    ("local before = time.now() task.sleep(0.05) return time.now() - before >= 0.05", "true\n"),
    ("task.all { function() task.sleep(0.01) return 1 end, function() return 2 end }", "{ 1, 2 }\n"),
    ("require 'lunette' == app, _G.app", "true\tnil\n"),
    ("no_such_name, pages, console", "nil\tnil\tnil\n"),
    ("require 'talk'()", "said\n"),
    ("#string.rep('x', 1e6)", "1000000\n"),
]


@pytest.mark.parametrize("text, out", PIECES)
def test_repl(example, text, out):
    done = lunette(example, "repl", text=text + "\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == out
    assert "> " not in done.stdout, "no prompt"


def test_repl_goes_on_after_errors(example):
    out, errors = repl(example, "local function f() error 'oops' end f()\n1\ny.z\n2\n)\n3\n"
                                "app.abort(404, 'gone')\nerror({})\n4\n")
    assert out == "1\n2\n3\n4\n"
    assert errors.splitlines() == [
        "repl:1: oops", "\trepl:1: in function 'f'", "\trepl:1: in main chunk",
        "repl:1: attempt to index a nil value (global 'y')", "\trepl:1: in main chunk",
        "repl:1: unexpected symbol near ')'",
        "404 gone",
        "(error object is a table value)", "\trepl:1: in main chunk",
    ]


@pytest.mark.parametrize("text", ["error 'x'", "1\n)", "function f()", "x = [[", "('x'):rep(-1, 2, 3)()"])
def test_the_exit_status_is_that_of_the_last_piece(example, text):
    _, errors = repl(example, text, 1)
    assert "repl:1: " in errors
    repl(example, "error 'x'\n1\n", 0)


def test_repl_of_lines_without_an_end(example):
    out, errors = repl(example, "x" * (1 << 20) + "\n1\n")
    assert (out, errors) == ("1\n", "a line has more than 1048575 bytes\n")
    repl(example, "'" + "x" * (1 << 20), 1)
    out, errors = repl(example, "x =\n" + ("'" + "x" * 9990 + "' ..\n") * 105 + ")\n2\n", 0)
    assert errors.startswith("code has more than 1048576 bytes\n") and out == "2\n"


def test_repl_reads_files_and_pipes(example, tmp_path):
    code = tmp_path / "code.lua"
    code.write_text("1\n2")
    with code.open() as file:
        done = subprocess.run([LUNETTE, "repl", str(example)], stdin=file, capture_output=True, text=True,
                              timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n2\n")
    done = lunette(example, "repl")  # /dev/null
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_repl_lets_tasks_go_on_while_it_reads(example):
    with subprocess.Popen([LUNETTE, "repl", str(example)], stdin=subprocess.PIPE, text=True, bufsize=1,
                          stdout=subprocess.PIPE) as process:
        process.stdin.write("task.spawn(function() task.sleep(0.05) print 'later' end) print 'now'\n")
        assert process.stdout.readline() == "now\n"
        assert process.stdout.readline() == "later\n", "nothing was typed meanwhile"
        process.stdin.close()
        assert process.wait(20) == 0


def test_repl_of_a_site_that_does_not_load(make_site):
    done = lunette(make_site({"scripts/main.lua": "error 'no'"}), "repl", text="1\n")
    assert (done.returncode, done.stdout) == (1, "") and "scripts/main.lua:1: no" in done.stderr


@pytest.fixture
def terminal(example):
    t = Terminal(example, "repl")
    t.wait_for("Control-D ends\n> ")
    yield t
    t.type("\n\x04")
    assert t.end() == 0


def test_repl_has_prompts_on_a_terminal(terminal):
    terminal.type("1 + 1\n").wait_for("2\n> ")
    terminal.type("f(\n").wait_for(">> ")
    terminal.type("1)\n").wait_for("attempt to call a nil value (global 'f')")
    terminal.wait_for("\n> ")


def test_control_c_drops_what_is_typed(terminal):
    terminal.type("x = {\n").wait_for(">> ")
    terminal.type("1, 2\x03").wait_for("^C\n> ")
    terminal.type("x\n").wait_for("nil\n> ")


@pytest.mark.parametrize("code", [
    "task.sleep(1000)", "while true do end", "for i in function() return 1 end do end",
    "task.all { function() task.sleep(1000) end }",
    "coroutine.wrap(function() while true do end end)()",
])
def test_control_c_ends_what_runs(terminal, code):
    terminal.type("print 'begun' " + code + "\n").wait_for("begun\n")
    time.sleep(0.1)  # until it is at it
    terminal.type("\x03").wait_for("interrupted")
    terminal.wait_for("\n> ")
    terminal.type("40 + 2\n").wait_for("42\n> ")


def test_control_c_twice_ends_code_that_goes_on(example):
    t = Terminal(example, "repl")
    t.type("function asleep() print 'asleep' end\n")
    t.type("while true do task.spawn(asleep) print(pcall(task.sleep, 1000)) end\n").wait_for("asleep\n")
    t.type("\x03").wait_for("false\t")
    t.wait_for("asleep\n")
    t.type("\x03")
    assert t.end() == -signal.SIGINT
