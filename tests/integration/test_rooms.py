"""Folders that workers may use, removed and made anew while they serve."""
import os
import re
import shutil
import signal
import time

import pytest

from conftest import eventually, post
from test_log_files import give
from test_replace import Hammer
from test_sandbox import needs_landlock

MAIN = """
    local app = require "lunette"
    local task = require "lunette.task"
    local function keep(name)
      local file, why = io.open(app.data .. "/" .. name, "w")
      if not file then return app.text(why, 500) end
      file:write "kept"
      file:close()
      return app.text "kept"
    end
    LOADS
    app.get("/", function() return app.text "one" end)
    app.post("/", function(req) return app.text(tostring(#req.body)) end)
    app.get("/keep/:name", function(req) return keep(req.params.name) end)
    app.get("/slow", function() task.sleep(1.5) return app.text "slow" end)
    app.get("/read", function(req)
      local file = io.open(app.settings.elsewhere .. "/file")
      return file and app.text(file:read "a") or 500
    end)
    """
CONFIG = "return { timeouts = { stop = 10 } }"

pytestmark = needs_landlock


def site(loads=""):
    return {"scripts/main.lua": MAIN.replace("LOADS", loads), "scripts/config.lua": CONFIG}


def made_anew(folder):
    """With the same owner."""
    before = folder.stat()
    shutil.rmtree(folder)
    folder.mkdir()
    os.chown(folder, before.st_uid, before.st_gid)


def hup(server, number):
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(rf"reloaded \({number}\)")


def keep(server, name):
    with server.wire(20) as wire:
        return wire.get(f"/keep/{name}", "Connection: close").answer().status


@pytest.mark.parametrize("workers", ["1", "3"])
def test_data_that_was_made_anew_is_written_after_a_reload(serve, workers):
    """Under clients, none of whom loses a request; a second reload has nothing to replace."""
    server = serve(site(), "--workers", workers)
    before = server.workers()
    assert keep(server, "a") == 200
    hammer = Hammer(server)
    try:
        with server.wire() as slow:
            slow.get("/slow").assert_silent()
            made_anew(server.folder / "data")
            assert keep(server, "b") == 500
            server.process.send_signal(signal.SIGHUP)
            assert slow.answer().body == b"slow"
        server.wait_for(r"reloaded \(1\)", 40)
        for i in range(10):
            assert keep(server, f"c{i}") == 200
    finally:
        lost = hammer.end()
    assert lost == [] and hammer.answers > 50
    after = server.workers()
    assert len(after) == len(before) and not set(before) & set(after)
    assert (server.folder / "data/c0").read_text() == "kept"
    assert re.search(rf"info \[\d+\] {server.folder}/data is another file or folder than the one that "
                     r"workers have been allowed to use: they are replaced, one after the other",
                     server.errors())
    assert " warn [" not in server.errors()
    hup(server, 2)
    eventually(lambda: server.workers() == after)
    assert server.errors().count("is another") == 1


def test_with_dev_as_well(serve):
    """Where what is saved is reloaded by itself."""
    server = serve(site(), "--dev")
    before = server.workers()
    made_anew(server.folder / "data")
    (server.folder / "scripts/part.lua").write_text("return 1")
    server.wait_for(r"reloaded \(1\)", 40)
    assert not set(server.workers()) & set(before) and keep(server, "a") == 200


def test_scripts_that_open_data_when_they_load_are_reloaded(serve):
    """The folder is looked at before the scripts are loaded, not after."""
    server = serve(site('assert(io.open(app.data .. "/log", "a")):close()'), "--workers", "2")
    made_anew(server.folder / "data")
    hup(server, 1)
    assert "came to nothing" not in server.errors() and keep(server, "a") == 200


def test_a_folder_that_is_missing_is_waited_for(serve):
    server = serve(site(), "--workers", "2")
    before = server.workers()
    shutil.rmtree(server.folder / "data")
    hup(server, 1)
    eventually(lambda: server.workers() == before)  # the process that tried the scripts is on its way out
    (server.folder / "data").mkdir()
    give(server.folder / "data")
    hup(server, 2)
    assert not set(server.workers()) & set(before) and keep(server, "a") == 200


def test_folders_within_the_site_are_read_all_the_same(serve):
    """Theirs are the rights of the site's folder, unless they are links to elsewhere."""
    server = serve({**site(), "site/a.txt": "a"}, "--workers", "2")
    before = server.workers()
    for name in ("scripts", "site"):
        shutil.copytree(server.folder / name, server.folder / "new")
        shutil.rmtree(server.folder / name)
        (server.folder / "new").rename(server.folder / name)
    hup(server, 1)
    eventually(lambda: server.workers() == before)
    assert server.get("/a.txt").endswith(b"\r\n\r\na")


def test_a_folder_that_config_names_and_a_link_of_the_site(serve, place):
    for name in ("one", "two", "named"):
        (place / name).mkdir()
        (place / name / "file").write_text(name)
    server = serve({**site(), "scripts/config.lua": f"""
        return {{ sandbox = {{ read = {{ "{place}/named" }} }}, site = {{ elsewhere = "{place}/named" }} }}
        """, "site/.keep": ""}, "--workers", "2")
    shutil.rmtree(server.folder / "site")
    (server.folder / "site").symlink_to(place / "one")
    hup(server, 1)
    assert server.get("/file").endswith(b"\r\n\r\none")
    (server.folder / "site").unlink()
    (server.folder / "site").symlink_to(place / "two")
    made_anew(place / "named")
    (place / "named/file").write_text("again")
    hup(server, 2)
    assert server.get("/file").endswith(b"\r\n\r\ntwo")
    assert server.get("/read").endswith(b"\r\n\r\nagain")


def test_a_worker_that_does_not_start_again_leaves_the_others(serve):
    """The scripts in force do not load with what is there; once they do, a reload finishes it."""
    server = serve(site('assert(not io.open(app.data .. "/bad"), "on purpose")'), "--workers", "2")
    before = server.workers()
    made_anew(server.folder / "data")
    bad = server.folder / "data/bad"
    bad.touch()
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("not all workers could be replaced: those that are left cannot use "
                    f"{server.folder}/data as it is now", 40)
    assert set(server.workers()) & set(before)
    assert b"one" in server.get("/")
    bad.unlink()
    server.wait_for(r"reloaded \(1\)|reload 1 came to nothing", 60)
    hup(server, 2)
    assert not set(server.workers()) & set(before)


def told(server, name):
    return len(re.findall(rf"error \[\d+\] {server.folder}/{name} is no longer the file or folder that workers "
                          "have been allowed to use: they cannot use it before a reload",
                          server.errors()))


def test_that_a_folder_is_another_is_told_once(serve):
    """Until a reload, or until it is another again. Nobody is replaced before."""
    server = serve({**site(), "site/a.txt": "a"}, "--workers", "2")
    before = server.workers()
    made_anew(server.folder / "data")
    eventually(lambda: told(server, "data") == 1, 20)
    shutil.rmtree(server.folder / "data")
    time.sleep(3)  # a look meanwhile: nothing is there that could be used
    (server.folder / "data").mkdir()
    give(server.folder / "data")
    eventually(lambda: told(server, "data") == 2, 20)
    time.sleep(5)  # looks that have nothing to tell
    assert told(server, "data") == 2 and server.errors().count("is no longer") == 2
    assert server.workers() == before and keep(server, "a") == 500
    hup(server, 1)
    assert keep(server, "a") == 200
    time.sleep(5)
    assert told(server, "data") == 2


def test_large_bodies_without_a_folder_are_not_a_line_each(serve):
    """Of what the folder is to blame for: that it cannot be used, and how often."""
    server = serve(site(), "--workers", "1")
    made_anew(server.folder / "data")
    began, posts = time.monotonic(), 51
    lines = (r"a body's temporary file in \S+/data: Permission denied"
             r"( \(and (\d+) times more since it was told last\))?\n")
    for i in range(posts):
        if i == posts - 1:
            time.sleep(1.2)  # the last one tells of those that were not told
        with server.wire() as wire:
            assert wire.send(post("/", b"x" * 100_000)).answer().status == 500
    found = re.findall(lines, server.errors())
    assert len(found) <= time.monotonic() - began + 1
    assert sum(1 + int(more or 0) for _, more in found) == posts
    hup(server, 1)
    with server.wire() as wire:
        assert wire.send(post("/", b"x" * 100_000)).answer().body == b"100000"


def test_a_stopped_worker_does_not_hold_a_reload_up_for_ever(serve):
    server = serve({**site(), "scripts/config.lua": "return { timeouts = { stop = 1 } }"},
                   "--workers", "2")
    stopped = server.workers()[0]
    os.kill(stopped, signal.SIGSTOP)
    made_anew(server.folder / "data")
    began = time.monotonic()
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(r"reloaded \(1\)", 40)
    assert time.monotonic() - began < 30
    assert stopped not in server.workers() and keep(server, "a") == 200
