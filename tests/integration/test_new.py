"""lunette new: the site that it makes works, is tested, and is served; and it is made whole or not at all."""
import os
import re
import shutil
import subprocess
import threading

import pytest
import requests

from conftest import LUNETTE, Server, eventually, free_port
from running import new_folder, preloadable, start_fails

FILES = """.editorconfig .gitignore .luarc.json README.md scripts/config.lua scripts/main.lua scripts/notes.lua
    scripts/views/error.html scripts/views/layout.html scripts/views/notes.html site/style.css
    tests/notes_test.lua""".split()


def new(*words, cwd=None, code=0, **options):
    done = subprocess.run([LUNETTE, "new", *map(str, words)], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=20, cwd=cwd, check=False, **options)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "Sanitizer" not in done.stderr and "runtime error:" not in done.stderr, done.stderr
    assert (done.stdout if code else done.stderr) == ""
    return done.stderr if code else done.stdout


def files_of(folder):
    """But for the annotations, of which there are some."""
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert ".lunette/meta/lunette/init.lua" in files
    return [name for name in files if not name.startswith(".lunette/")]


@pytest.fixture
def made():
    folder = new_folder() / "mysite"
    new(folder)
    return folder


def token_of(page):
    return re.search(r'name="csrf_token" value="([^"]+)"', page)[1]


def use(server):
    """A visitor keeps a note, sees it, and deletes it."""
    visitor = requests.Session()
    page = visitor.get(server.url(), timeout=20)
    assert page.status_code == 200 and "There are no notes yet." in page.text
    form = {"text": "milk & bread", "csrf_token": token_of(page.text)}
    page = visitor.post(server.url("/notes"), data=form, timeout=20)
    assert page.url == server.url() and "milk &amp; bread" in page.text and "The note is kept." in page.text
    notes = requests.get(server.url("/api/notes"), timeout=20).json()["notes"]
    assert [note["text"] for note in notes] == ["milk & bread"]
    assert requests.post(server.url("/notes"), data={"text": "x"}, timeout=20).status_code == 403
    assert visitor.post(server.url("/notes"), data={**form, "text": " "}, timeout=20).status_code == 422
    assert requests.get(server.url("/style.css"), timeout=20).status_code == 200
    assert "<h2>404</h2>" in requests.get(server.url("/none"), headers={"Accept": "text/html"}, timeout=20).text
    page = visitor.post(server.url(f"/notes/{notes[0]['id']}/delete"), data=form, timeout=20)
    assert page.status_code == 200 and "There are no notes yet." in page.text


def test_what_it_makes_and_says():
    top = new_folder()
    said = new("my site", cwd=top)
    assert "lunette serve 'my site' --dev" in said and "lunette test 'my site'" in said
    assert files_of(top / "my site") == FILES
    assert [path.name for path in top.iterdir()] == ["my site"]
    os.umask(mask := os.umask(0))
    assert (top / "my site").stat().st_mode & 0o777 == 0o777 & ~mask


def test_its_tests_pass_and_find_what_is_broken(made):
    done = subprocess.run([LUNETTE, "test", made], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "6 passed, 0 failed" in done.stdout and done.stderr == ""
    assert not (made / "data").exists()
    main = made / "scripts/main.lua"
    main.write_text(main.read_text().replace("notes.add(req.valid.text)", "-- forgotten"))
    done = subprocess.run([LUNETTE, "test", made], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "FAIL  a note is kept" in done.stdout


def test_it_is_served_in_dev_without_a_word_and_an_edit_is_served(made):
    server = Server(made, ["--dev"])
    try:
        use(server)
        layout = made / "scripts/views/layout.html"
        layout.write_text(layout.read_text().replace("<main>", "<main><p>edited</p>"))
        eventually(lambda: "<p>edited</p>" in requests.get(server.url(), timeout=20).text)
        assert not re.search(r" (warn|error) ", server.errors())
    finally:
        server.stop()


def test_it_is_served_with_a_secret_and_says_so_without(made):
    server = Server(made, ["--workers", "2"], env={"LUNETTE_SECRET": "0123456789abcdef0123456789abcdef"})
    try:
        use(server)
        assert not re.search(r" (warn|error) ", server.errors())
    finally:
        server.stop()
    assert "`secret`" in start_fails(made, "--listen", str(free_port()))


def test_many_workers_keep_every_note(made):
    server = Server(made, ["--workers", "4"], env={"LUNETTE_SECRET": "0123456789abcdef0123456789abcdef"})

    def add(i):
        visitor = requests.Session()
        token = token_of(visitor.get(server.url(), timeout=20).text)
        for j in range(10):
            visitor.post(server.url("/notes"), data={"text": f"{i}-{j}", "csrf_token": token}, timeout=20)
    try:
        threads = [threading.Thread(target=add, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        notes = requests.get(server.url("/api/notes"), timeout=20).json()["notes"]
        assert sorted(note["text"] for note in notes) == sorted(f"{i}-{j}" for i in range(8) for j in range(10))
    finally:
        server.stop()


def test_an_empty_folder_is_filled_and_stays_the_same():
    top = new_folder()
    folder = top / "empty"
    folder.mkdir(0o750)
    inode = folder.stat().st_ino
    new(".", cwd=folder)
    assert folder.stat().st_ino == inode and folder.stat().st_mode & 0o777 == 0o750
    assert files_of(folder) == FILES


def test_a_folder_that_is_not_empty_is_refused():
    top = new_folder()
    for name in ["a", "b", "c", "d"]:
        (top / name).write_text("")
    assert f"{top} is not empty: it has a, b, c and 1 more\n" in new(top, code=1)
    (top / "c").unlink()
    (top / "d").unlink()
    assert "it has a and b\n" in new(str(top) + "/", code=1)
    assert "/a is there already, and is no folder" in new(top / "a", code=1)
    (top / "link").symlink_to("nowhere")
    assert "is there already" in new(top / "link", code=1)
    assert f"{top}/none/deeper cannot be made: No such file or directory" in new(top / "none/deeper", code=1)
    assert sorted(path.name for path in top.iterdir()) == ["a", "b", "link"]


@pytest.mark.parametrize("exists", [False, True])
def test_nothing_is_left_when_it_cannot_be_made(exists):
    top = new_folder()
    folder = top / "site"
    if exists:
        folder.mkdir()
    # No file may have a byte.
    done = subprocess.run(["/bin/sh", "-c", f"ulimit -f 0; trap '' XFSZ; exec '{LUNETTE}' new '{folder}'"],
                          capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1 and "cannot be made: File too large" in done.stderr
    assert [path.name for path in top.iterdir()] == (["site"] if exists else [])
    assert not exists or list(folder.iterdir()) == []


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("when", ["made", "filled"])
def test_a_link_in_place_of_what_is_being_made_is_not_followed(when, exists):
    top = new_folder()
    victim = top / "victim"
    (victim / "scripts").mkdir(parents=True)
    (victim / "scripts/main.lua").write_text("mine")
    (victim / ".lunette/meta/lunette").mkdir(parents=True)
    (victim / ".lunette/meta/lunette/init.lua").write_text("mine")
    victim.chmod(0o700)
    before = {path: path.lstat().st_mtime_ns for path in [victim, *victim.rglob("*")]}
    place = top / "place"
    place.mkdir()
    said = new(place if exists else place / "site", code=1,
               env={**os.environ, **preloadable("thief"), "THIEF_WHEN": when, "THIEF_VICTIM": str(victim)})
    assert "cannot be made: " in said
    assert {path: path.lstat().st_mtime_ns for path in [victim, *victim.rglob("*")]} == before
    assert (victim / "scripts/main.lua").read_text() == "mine" and victim.stat().st_mode & 0o777 == 0o700
    assert (place / "stolen").is_dir() and list((place / "stolen").iterdir()) == []


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\rb", "\x9b31m", "it's \x07", "line\nline"])
def test_no_name_writes_to_a_terminal_what_it_follows(name):
    folder = new_folder() / name
    said = new(folder)
    assert not set(said) & set("\x1b\r\x07\x9b")
    word = said.splitlines()[0].removeprefix("made the site ")
    done = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, timeout=20, check=True)
    assert done.stdout == os.fsencode(folder)
    (folder / name).touch()
    for path in folder.glob("[!l.]*"):
        if path.name != name:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    said = new(folder, code=1)
    assert "is not empty" in said and not set(said) & set("\x1b\r\x07\x9b")
    said = new(folder / name, code=1)
    assert "is no folder" in said and not set(said) & set("\x1b\r\x07\x9b")
