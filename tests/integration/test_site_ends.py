"""lunette test: what hangs, dies or is told to end; and --watch."""
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import tempfile

import pytest

from conftest import LUNETTE, eventually, write_site
from running import make_folder
from site_testing import HEAD, SITE, fails, run, temporary_folder, with_tests


@pytest.fixture
def temporary():
    with temporary_folder() as env:
        yield env


# Ends

# Loaded in a moment, of which timeouts.cpu is the bound as well.
SMALL = {"scripts/main.lua": 'require "lunette"\n'}


def cpu(seconds):
    return {"scripts/config.lua": f"return {{ timeouts = {{ cpu = {seconds} }} }}"}


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
    out = fails("""
        test("loops", function() while true do pcall(function() while true do end end) end end)
        test("good", function() end)
    """, SMALL, **cpu(0.3))
    assert "tests/a_test.lua:6: Lua ran for longer than timeouts.cpu (0.3 s)" in out
    assert "1 passed, 1 failed" in out


def test_a_process_that_dies_is_a_failure_of_the_test_that_ran(temporary):
    hang = 'test("dies", function() ("a"):rep(60):find(("a-"):rep(60) .. "b") end)'  # C that does not end
    folder = with_tests('test("good", function() end)\n' + hang, SMALL, **cpu(0.3),
                        **{"tests/b.lua": HEAD + 'test("more", function() end)'})
    done = run(folder, env=temporary, code=1)
    assert "  FAIL  dies\n        the process ended\n" in done.stdout
    assert "Lua does not come back: in find called at tests/a_test.lua:6\n" in done.stderr
    assert "  ok    more" in done.stdout and "2 passed, 1 failed" in done.stdout
    assert "not ok 2 - tests/a_test.lua: dies" in run(folder, "--tap", env=temporary, code=1).stdout


NAMES = [
    ('"all good # TODO"', r"all good \# TODO", "all good # TODO"),
    (r'"a\nok 9 - forged"', r"a\\nok 9 - forged", r"a\nok 9 - forged"),
    (r'"a\\ # SKIP"', r"a\\ \# SKIP", r"a\ # SKIP"),
    (r'"\27[2Jgone\u{9b}2J"', r"\\x1b[2Jgone\\u{9b}2J", r"\x1b[2Jgone\u{9b}2J"),
    (r'"nul\0nul"', r"nul\\x00nul", r"nul\x00nul"),
    ('("é"):rep(300)', "é" * 120, "é" * 120),
    (r'("\1"):rep(300)', r"\\x01" * 240, r"\x01" * 240),
]


# Tells who it is, and waits for the end.
WAITS = """
    local f = assert(io.open(app.data .. "/pid", "w"))
    f:write(io.open "/proc/self/stat":read "n", "\\n")
    f:close()
    require "lunette.task".sleep(60)
"""


def run_and_kill(folder, env, *words):
    """What it prints; every process that tells who it is is killed."""
    told = set()

    def kill():
        for path in pathlib.Path(env["TMPDIR"]).glob("*/data/pid"):
            with contextlib.suppress(FileNotFoundError):
                pid = path.read_text()
                if pid.endswith("\n") and pid not in told:
                    told.add(pid)
                    os.kill(int(pid), signal.SIGKILL)
        return process.poll() is not None
    with subprocess.Popen([LUNETTE, "test", folder, *words], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **env}) as process:
        eventually(kill, 60)
        assert process.returncode == 1 and process.stderr.read() == ""
        return process.stdout.read()


def test_the_name_of_a_killed_test_is_nothing_but_a_name(temporary):
    """Each in a file of its own, whose process ends with it."""
    files = {f"tests/{i}.lua": HEAD + f"""
    test({name} .. "!", function() end)
    test({name}, {{ timeout = 60 }}, function() {WAITS} end)
""" for i, (name, _, _) in enumerate(NAMES)}
    folder = make_folder({**SITE, **files, "tests/b#\n.lua": HEAD + WAITS})
    lines = run_and_kill(folder, temporary, "--tap").split("\n")
    told = [line for line in lines if re.match("(not )?ok|[0-9]|Bail", line)]
    assert lines[1] == told[0]
    for i, (_, tap, _) in enumerate(NAMES):
        ok, not_ok = told[2 * i:2 * i + 2]
        assert ok.startswith(f"ok {2 * i + 1} - tests/{i}.lua: {tap}")  # the same escapes, of all of it
        assert not_ok == f"not ok {2 * i + 2} - tests/{i}.lua: {tap}"
    n = 2 * len(NAMES) + 1
    assert told[n - 1:] == [rf"not ok {n} - tests/b\#\\n.lua: the file itself", f"1..{n}"]
    said = run_and_kill(folder, temporary)
    for _, _, plain in NAMES:
        assert f"\n  FAIL  {plain}\n        the process was ended by signal 9 (Killed)\n" in said


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
