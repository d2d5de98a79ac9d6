"""Folders that are listed, and the options of app.static that go with files."""
import email.utils
import html.parser
import os
import re
import threading
import time
import urllib.parse

import pytest
import requests

from conftest import eventually

MAIN = """
    local app = require "lunette"
    app.static("/pub", "pub", { listing = true })
    app.static("/tagged", "pub", { listing = true, headers = { ["X-Tag"] = "1" } })
    app.static("/forever", "pub", { immutable = true, fallback = "note.txt" })
    app.static("/day", "pub", { immutable = true, max_age = "1d" })
    app.static("/never", "pub", { max_age = 0 })
    app.static("/own", "pub", { headers = { ["cache-control"] = "private" } })
    app.static("/save", "pub", { download = true, index = "note.txt", fallback = "note.txt" })
    app.get("/as", function(req)
      return app.file("note.txt", { root = "pub", download = req.query.name, max_age = 60 })
    end)
    app.get("/private", function()
      return app.file("note.txt", { root = "pub" }, { ["Cache-Control"] = "private" })
    end)
    app.use("/seen", function(req, handle)
      local res = handle(req)
      res.headers["X-Seen"] = type(res.body)
      return res
    end)
    app.static("/seen", "pub", { listing = true })
    """
SITE = {
    "scripts/main.lua": MAIN,
    "pub/note.txt": "a note",
    "pub/b.txt": "b" * 2000,
    "pub/h\u00e4user \"x\".txt": "umlaut",
    "pub/sub/deep/c.txt": "c",
    "pub/indexed/index.html": "<p>index",
    "pub/.hidden": "secret",
    "site/bare/a.txt": "a",
}


@pytest.fixture
def server(serve):
    return serve(SITE)


class Links(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.links.append(dict(attrs)["href"])


def links(answer):
    """Where the names of a page lead: no headings."""
    return [link for link in Links(answer.text).links if not link.startswith("?")]


def test_a_folder_is_a_page(server):
    answer = requests.get(server.url("/pub/"))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache" and "ETag" not in answer.headers
    assert links(answer) == ["./indexed/", "./sub/", "./b.txt", "./h%C3%A4user%20%22x%22.txt",
                             "./note.txt"]
    for link in links(answer):
        assert requests.get(urllib.parse.urljoin(answer.url, link)).status_code == 200
    (server.folder / "pub/new.txt").write_text("new")
    assert "./new.txt" in links(requests.get(server.url("/pub/")))  # at once: nothing is kept
    assert requests.get(server.url("/pub/indexed/")).text == "<p>index"
    deep = requests.get(server.url("/pub/sub/"))
    assert links(deep) == ["../", "./deep/"]
    assert "X-Tag" in requests.get(server.url("/tagged/")).headers
    assert requests.get(server.url("/seen/sub/")).headers["X-Seen"] == "string"


def test_a_page_is_sorted_by_links(server):
    answer = requests.get(server.url("/pub/"))
    headings = [link for link in Links(answer.text).links if link.startswith("?")]
    assert headings == ["?sort=name&order=desc", "?sort=size&order=desc", "?sort=time&order=desc"]
    by_size = requests.get(urllib.parse.urljoin(answer.url, headings[1]))
    assert links(by_size)[2:] == ["./b.txt", "./h%C3%A4user%20%22x%22.txt", "./note.txt"]
    back = [link for link in Links(by_size.text).links if "size" in link]
    assert back == ["?sort=size&order=asc"]
    assert links(requests.get(urllib.parse.urljoin(answer.url, back[0])))[2:] == [
        "./h%C3%A4user%20%22x%22.txt", "./note.txt", "./b.txt"]


def test_a_folder_without_its_slash_is_redirected(server):
    for path in ("/pub", "/pub/sub", "/save"):
        answer = requests.get(server.url(path + "?sort=size"), allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (308, path + "/?sort=size")
    assert requests.get(server.url("/forever")).text == "a note"  # no index, no listing: a fallback


def test_what_is_not_listed(server):
    (server.folder / "pub/empty").mkdir()
    for path in ("/pub/none/", "/pub/.hidden/", "/pub/note.txt/", "/bare/", "/forever/.git/"):
        want = 200 if path.startswith("/forever") else 404
        assert requests.get(server.url(path)).status_code == want, path
    assert "nothing here" in requests.get(server.url("/pub/empty/")).text
    answer = requests.post(server.url("/pub/"))
    assert answer.status_code == 405 and "GET" in answer.headers["Allow"]
    if os.getuid() != 0:
        (server.folder / "pub/empty").chmod(0)
        assert requests.get(server.url("/pub/empty/")).status_code == 403
        (server.folder / "pub/empty").chmod(0o755)


def test_listing_for_the_site_itself(serve):
    server = serve({"site/sub/a.txt": "a", "site/b.txt": "b",
                    "scripts/config.lua": "return { static = { listing = true } }"})
    assert links(requests.get(server.url("/"))) == ["./sub/", "./b.txt"]
    assert links(requests.get(server.url("/sub/"))) == ["../", "./a.txt"]
    assert requests.get(server.url("/sub"), allow_redirects=False).status_code == 308
    assert requests.get(server.url("/none/")).status_code == 404


def test_a_large_folder_holds_nobody_up(serve):
    server = serve({"scripts/main.lua": MAIN, "pub/note.txt": "a note", "site/a.txt": "a"},
                   "--workers", "1")
    folder = server.folder / "pub/large"
    folder.mkdir()
    for i in range(10_050):
        (folder / f"file {i} <&>.txt").touch()
    stop, slowest = threading.Event(), [0]

    def watch():
        with requests.Session() as s:
            while not stop.is_set():
                began = time.monotonic()
                assert s.get(server.url("/a.txt")).text == "a"
                slowest[0] = max(slowest[0], time.monotonic() - began)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for coding in ("identity", "gzip"):
            answer = requests.get(server.url("/pub/large/"), headers={"Accept-Encoding": coding})
            assert len(links(answer)) == 10_001 and "There is more" in answer.text
    finally:
        stop.set()
        watcher.join()
    print(f"the slowest of the others: {slowest[0] * 1000:.0f} ms")
    assert slowest[0] < 2


def test_folders_that_change_while_they_are_read(server):
    """Whatever happens to it, an answer is a page or an error page."""
    folder = server.folder / "pub/moving"
    stop = threading.Event()

    def move():
        n = 0
        while not stop.is_set():
            n += 1
            folder.mkdir()
            for i in range(20):
                (folder / f"{i}").write_text("x")
            (folder / "5").unlink()
            (folder / "5").symlink_to("/etc/passwd" if n % 2 else "6")
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
            folder.symlink_to("/etc")
            folder.unlink()
            folder.write_text("a file now")
            folder.unlink()
    mover = threading.Thread(target=move)
    mover.start()
    try:
        with requests.Session() as s:
            for _ in range(300):
                answer = s.get(server.url("/pub/moving/"))
                assert answer.status_code in (200, 404)
                assert "passwd" not in answer.text and "hostname" not in answer.text
                assert s.get(server.url("/pub/moving")).status_code in (200, 404)
    finally:
        stop.set()
        mover.join()


# --- the other options ---

def caching(server, path):
    answer = requests.get(server.url(path))
    assert answer.status_code == 200
    date, expires = (email.utils.parsedate_to_datetime(answer.headers[name]).timestamp()
                     for name in ("Date", "Expires"))
    return answer.headers["Cache-Control"], expires - date


@pytest.mark.parametrize("path, value, seconds", [
    ("/forever/note.txt", "max-age=31536000, immutable", 31536000),
    ("/day/note.txt", "max-age=86400, immutable", 86400), ("/never/note.txt", "max-age=0", 0),
    ("/pub/note.txt", "max-age=10", 10), ("/as?name=x", "max-age=60", 60),
    ("/forever/not-there", "max-age=10", 10)])
def test_how_long_files_are_fresh(server, path, value, seconds):
    control, until = caching(server, path)
    assert control == value and abs(until - seconds) <= 1


def test_expires_goes_with_its_cache_control(server):
    for path in ("/own/note.txt", "/private"):
        answer = requests.get(server.url(path))
        assert answer.headers["Cache-Control"] == "private" and "Expires" not in answer.headers


def test_expires_goes_with_the_clock(server):
    def expires():
        return requests.get(server.url("/pub/note.txt")).headers["Expires"]
    first = expires()
    eventually(lambda: expires() != first, 5)


@pytest.mark.parametrize("path, value", [
    ("/save/note.txt", 'attachment; filename="note.txt"'),
    ("/save/sub/deep/c.txt", 'attachment; filename="c.txt"'),
    ("/save/h%C3%A4user%20%22x%22.txt",
     'attachment; filename="h_user _x_.txt"; filename*=UTF-8\'\'h%C3%A4user%20%22x%22.txt'),
    ("/save/", None), ("/save/not-there", None), ("/pub/note.txt", None), ("/as", None),
    ("/as?name=a.b", 'attachment; filename="a.b"'),
    ("/as?name=a%0D%0AX-Evil:+1", 'attachment; filename="a__X-Evil: 1"; '
                                  "filename*=UTF-8''a__X-Evil%3A%201")])
def test_downloads(server, path, value):
    answer = requests.get(server.url(path))
    assert answer.status_code == 200 and answer.headers.get("Content-Disposition") == value
    head = requests.head(server.url(path))
    assert head.headers.get("Content-Disposition") == value
    assert not re.search(r"^X-Evil", "\n".join(answer.headers), re.M)
