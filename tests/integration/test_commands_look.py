"""The commands that look into a site without serving it: what loading it may do, and what they leave behind."""
import os
import signal
import subprocess
import time

import pytest

from commands import ENV, Terminal, lunette, said
from conftest import LUNETTE, eventually
from running import preloadable


def test_commands_see_what_a_server_on_all_addresses_would(make_site):
    """--dev would refuse to listen there; these commands listen nowhere."""
    folder = make_site({
        "scripts/main.lua": "", "scripts/config.lua":
        "return { listen = { '0.0.0.0:80' }, metrics = '0.0.0.0:9145' }"})
    assert said(folder, "check") == "no errors: 2 scripts, 0 views, 0 routes\n"
    assert "no routes" in said(folder, "routes")


@pytest.mark.parametrize("kind, words", [
    ("fifo", "is a pipe, and no file"), ("folder", "is a folder, and no file"),
    ("loop", "is a link that leads in a circle, and no file"), ("nowhere", "is a link that leads nowhere, and no file")])
def test_a_main_lua_that_is_no_file_is_told(make_site, kind, words):
    folder = make_site({"scripts/lib.lua": "return {}", "tests/a_test.lua": ""})
    main = folder / "scripts/main.lua"
    if kind == "fifo":
        os.mkfifo(main)
    elif kind == "folder":
        main.mkdir()
    else:
        main.symlink_to("main.lua" if kind == "loop" else "none.lua")
    lines = said(folder, "check", 1).splitlines()
    assert lines[0].startswith("scripts/main.lua: error: ") and words in lines[0]
    assert lines[1:] == ["1 error, 0 warnings"]
    for command in ("routes", "why GET /", "test"):
        done = lunette(folder, command)
        assert done.returncode == 1 and words in done.stdout + done.stderr, done
    main.rmdir() if kind == "folder" else main.unlink()
    assert said(folder, "check").startswith("no errors: 1 script")


@pytest.mark.parametrize("words", ["check", "routes", "test"])
def test_a_site_that_waits_while_it_is_loaded_is_given_up(make_site, words):
    folder = make_site({
        "scripts/main.lua": "local task = require 'lunette.task'\nwhile true do task.sleep(0.05) end",
        "scripts/config.lua": "return { timeouts = { cpu = '10m' } }", "tests/a_test.lua": ""})
    done = lunette(folder, words, env=preloadable("fast"))
    text = done.stdout + done.stderr
    assert done.returncode == 1 and "scripts/main.lua still waits after 60 s, while it is loaded" in text, done


def test_what_scripts_write_while_commands_look_is_gone(make_site):
    folder = make_site({"scripts/main.lua": """\
        local app = require "lunette"
        local file = assert(io.open(app.data .. "/made", "w"))
        file:write("x")
        file:close()
        """})
    temp = folder / "temp"
    temp.mkdir()
    for words in ["check", "routes", "why GET /"]:
        said(folder, words, env={"TMPDIR": str(temp)})
        assert not (folder / "data").exists() and list(temp.iterdir()) == []


def test_looking_leaves_data_alone(make_site):
    main = """\
        local app = require "lunette"
        local db = require "lunette.sqlite".open("site.db")
        db:migrate { "create table notes (id integer primary key)", "drop table if exists notes" }
        assert(not io.open(app.data .. "/words.txt", "a+"):read("a"):find "word")
        """
    folder = make_site({"scripts/main.lua": main, "data/words.txt": "word", "data/site.db": "of an older version"})
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (folder / "data").iterdir()}
    for words in ["check", "routes", "why GET /"]:
        done = lunette(folder, words)
        assert (done.returncode, done.stderr) == (0, ""), done
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (folder / "data").iterdir()} == before
    (folder / "scripts/main.lua").write_text('assert(io.open(require "lunette".data .. "/words.txt"))')
    done = lunette(folder, "check")
    assert done.returncode == 1 and "words.txt: No such file" in done.stdout
    assert done.stderr == "lunette: the site was loaded with an empty folder as its data: " \
        f"{folder.resolve()}/data is left alone\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_an_interrupted_look_leaves_nothing(make_site, number):
    folder = make_site({"scripts/main.lua": """\
        assert(io.open(require "lunette".data .. "/begun", "w")):close()
        require "lunette.task".sleep(1000)
        """})
    temp = folder / "temp"
    temp.mkdir()
    t = Terminal(folder, "check", env={"TMPDIR": str(temp)})
    eventually(lambda: list(temp.glob("*/begun")), 20)
    if number == signal.SIGINT:
        t.type("\x03")
    else:
        os.kill(t.pid, number)
    assert t.end() == 128 + number and list(temp.iterdir()) == []


def test_a_look_that_is_ended_at_any_moment_leaves_nothing(make_site):
    folder = make_site({"scripts/main.lua": 'require "lunette.task".sleep(1000)'})
    temp = folder / "temp"
    temp.mkdir()
    for i in range(40):
        with subprocess.Popen([LUNETTE, "check", folder], stdout=subprocess.DEVNULL,
                              env={**ENV, "TMPDIR": str(temp)}) as process:
            time.sleep(i * 0.001)
            process.send_signal(signal.SIGTERM)
            # By the signal itself as long as there is nothing to remove.
            assert process.wait(20) in (-signal.SIGTERM, 128 + signal.SIGTERM), i
        assert list(temp.iterdir()) == [], i


def test_a_look_that_may_not_be_hung_up_goes_on(make_site):
    folder = make_site({"scripts/main.lua": """\
        assert(io.open(require "lunette".data .. "/begun", "w")):close()
        require "lunette.task".sleep(0.5)
        """})
    temp = folder / "temp"
    temp.mkdir()
    with subprocess.Popen(["nohup", LUNETTE, "check", folder], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, env={**ENV, "TMPDIR": str(temp)}) as process:
        eventually(lambda: list(temp.glob("*/begun")), 20)
        process.send_signal(signal.SIGHUP)
        assert "no errors: " in process.stdout.read()
    assert process.returncode == 0 and list(temp.iterdir()) == []


@pytest.mark.parametrize("top", ["temp", "."])
def test_data_has_an_absolute_path_whatever_the_environment_says(make_site, top):
    folder = make_site({"scripts/main.lua": 'assert(require "lunette".data:find("^/tmp/lunette%-%w+$"))'})
    (folder / "temp").mkdir()
    assert "no errors: " in said(folder, "check", env={"TMPDIR": top})
    assert sorted(path.name for path in folder.iterdir()) == ["scripts", "temp"]
