"""Root's commands on the site of another user: they read, run and write as that user."""
import os

import pytest
import requests

from commands import lunette, repl
from conftest import Server
from running import make_folder, new_folder


@pytest.fixture
def owned():
    """A site of another user than root, in a place that he can get to: a function of its files."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files to another user")

    def make(files, owner=4321):
        folder = make_folder(files)
        folder.parent.chmod(0o755)
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, owner, owner)
            path.chmod(0o700 if path.is_dir() else 0o600)
        return folder
    return make


OWNED = {
    "scripts/main.lua": """\
        local app = require "lunette"
        require "lunette.sqlite".open("site.db"):migrate { "create table notes (id integer primary key)" }
        assert(io.open(app.data .. "/made", "w")):close()
        app.get("/", function() return "start" end)
        """,
    "tests/a_test.lua": """\
        local test = require "lunette.test"
        test("it", function() test.expect(test.client.get("/").body).equals("start") end)
        """,
}
UID = 'io.open("/proc/self/status"):read("a"):match("Uid:%s+(%d+)")'
WHO = UID + "\n"


@pytest.mark.parametrize("words", ["check", "routes", "why GET /", "test"])
def test_root_finds_a_site_of_another_user_as_healthy_as_it_is(owned, words):
    folder = owned(OWNED)
    (temp := new_folder()).chmod(0o1777)
    done = lunette(folder, words, env={"TMPDIR": str(temp)})
    assert (done.returncode, done.stderr) == (0, ""), (done.stdout, done.stderr)
    assert not (folder / "data").exists() and list(temp.iterdir()) == []


def test_what_root_makes_in_the_prompt_belongs_to_the_owner_of_the_site(owned):
    folder = owned(OWNED)
    out, _ = repl(folder, WHO)
    assert out == '"4321"\n'
    assert {path.stat().st_uid for path in [folder / "data", *(folder / "data").iterdir()]} == {4321}


def test_a_site_that_its_owner_cannot_get_to_stays_roots(owned):
    folder = owned(OWNED, owner=0)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    os.chown(folder, 4321, 4321)
    folder.chmod(0o755)
    folder.parent.chmod(0o700)  # root's home, as it were
    done = lunette(folder, "test")
    assert (done.returncode, done.stderr) == (0, ""), (done.stdout, done.stderr)
    out, _ = repl(owned({"scripts/main.lua": ""}, owner=0), WHO)
    assert out == '"0"\n'


def test_a_file_of_roots_names_whom_root_becomes(owned):
    folder = owned({**OWNED, "scripts/config.lua": "return { user = '4322' }"}, owner=0)
    (folder / "data").mkdir()
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    os.chown(folder / "data", 4322, 4322)
    repl(folder, "1\n")
    assert (folder / "data/made").stat().st_uid == 4322
    os.chown(folder / "scripts/config.lua", 4323, 4323)  # one of another's does not
    (folder / "scripts/main.lua").write_text("")
    assert repl(folder, WHO)[0] == '"0"\n'


SAYS_WHO = {
    "scripts/config.lua": f"return {{ site = {{ who = {UID} }} }}",
    "scripts/main.lua": f"""\
        local app = require "lunette"
        local loaded = {UID}
        app.get("/", function() return ("%s %s %s"):format(app.settings.who, loaded, {UID}) end)
        """,
}


@pytest.mark.parametrize("owner, arguments, who", [
    (4321, (), "4321"), (0, (), "0"), (0, ("--user", "4322"), "4322"), (4321, ("--user", "4322"), "4322")])
def test_dev_by_root_is_the_owner_of_the_folder_from_the_settings_on(owned, owner, arguments, who):
    folder = owned(SAYS_WHO, owner)
    if arguments:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
    server = Server(folder, ("--dev", *arguments))
    try:
        assert requests.get(server.url(), timeout=20).text == f"{who} {who} {who}"
        assert f"as {'root' if who == '0' else who}:" in server.errors()
        (folder / "scripts/other.lua").write_text("")  # and so after it is loaded again
        (folder / "scripts/other.lua").chmod(0o644)
        server.wait_for(r"reloaded \(1\)")
        assert requests.get(server.url(), timeout=20).text == f"{who} {who} {who}"
    finally:
        server.stop()


def test_dev_by_root_stays_root_where_the_owner_has_no_way(owned):
    folder = owned(SAYS_WHO)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    folder.parent.chmod(0o700)
    server = Server(folder, ("--dev",))
    try:
        assert requests.get(server.url(), timeout=20).text == "0 0 0"
    finally:
        server.stop()


LOADING = ["check", "routes", "why GET /", "test", "repl", "serve --dev --listen 127.0.0.1:0"]


@pytest.mark.parametrize("words", LOADING)
@pytest.mark.parametrize("closed, mode", [("site", 0o007), ("above", 0o007), ("of a group", 0o705)])
def test_no_mode_of_a_folder_makes_root_run_what_is_another_users(owned, words, closed, mode):
    marks = {name: f'io.open("{new_folder()}/{name}", "w")' for name in ("main", "config")}
    folder = owned({"scripts/main.lua": marks["main"], "scripts/config.lua": marks["config"] + " return {}",
                    "tests/a_test.lua": OWNED["tests/a_test.lua"]})
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    last = folder if closed == "site" else folder.parent
    if closed == "above":
        folder.chmod(0o755)
        os.chown(last, 4321, 4321)
    if closed == "of a group":
        folder.chmod(0o755)
        os.chown(last, 0, 4321)
    last.chmod(mode)
    done = lunette(folder, words, text="")
    assert done.returncode == 1 and "may not read" in done.stdout + done.stderr, done
    os.chown(last, 0, 0)
    last.chmod(0o755)
    assert not [mark for mark in marks.values() if os.path.exists(mark.split('"')[1])]


@pytest.mark.parametrize("words", LOADING)
@pytest.mark.parametrize("name", ["scripts/config.lua", "scripts/main.lua", "scripts/lib.lua"])
def test_root_reads_nothing_for_the_owner_of_a_site_that_he_may_not_read(owned, words, name):
    files = {"scripts/main.lua": 'require "lib"', "scripts/lib.lua": "return {}", "tests/a_test.lua": OWNED["tests/a_test.lua"]}
    folder = owned({**files, "scripts/config.lua": "return {}"})
    secret = folder.parent / "secret.lua"
    secret.write_text("hushhush = hushhush hushhush")
    secret.chmod(0o600)
    (folder / name).unlink()
    (folder / name).symlink_to(secret)
    done = lunette(folder, words, text="")
    assert done.returncode == 1 and "hushhush" not in done.stdout + done.stderr, done
    assert "ermission denied" in done.stdout + done.stderr or "may not read" in done.stderr, done
