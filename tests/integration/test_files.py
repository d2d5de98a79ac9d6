"""Files of site/: what is served, as what, and what never is, whatever the path looks like."""
import email.utils
import hashlib
import os
import socket

import pytest
import requests

from conftest import post, together, eventually

MEDIUM = bytes(range(256)) * 400  # more than is sent from memory
LARGE = bytes(range(256)) * (20 * 2**20 // 256)
SITE = {
    "scripts/main.lua": """
        local app = require "lunette"
        app.get("/route.txt", function() return app.text "the route" end)
        app.post("/form.html", function() return app.text "posted" end)
        """,
    "scripts/secret.lua": "return 'secret'",
    "data/secret.txt": "secret",
    "site/index.html": "<p>home</p>",
    "site/style.css": "p { color: red }",
    "site/app.js": "let x;",
    "site/data.json": "{}",
    "site/note.txt": "a note",
    "site/no-extension": "what am I",
    "site/picture.SVG": "<svg/>",
    "site/empty.txt": "",
    "site/route.txt": "the file",
    "site/form.html": "<form>",
    "site/with space.txt": "space",
    "site/h\u00e4user.txt": "umlaut",
    "site/100%.txt": "percent",
    "site/folder/index.html": "<p>folder</p>",
    "site/bare/note.txt": "no index here",
    "site/.hidden": "secret",
    "site/.git/config": "secret",
    "site/folder/.htpasswd": "secret",
    "site/.well-known/security.txt": "Contact: nobody",
    "site/folder/.well-known/security.txt": "secret",
    "site/medium.bin": MEDIUM,
}


def lay_traps(folder):
    """What a dictionary of texts cannot say: links, a FIFO, files without permission."""
    site = folder / "site"
    (folder.parent / "outside").mkdir()
    (folder.parent / "outside" / "secret.txt").write_text("secret")
    (site / "out.txt").symlink_to("../data/secret.txt")
    (site / "absolute.txt").symlink_to(folder.parent / "outside" / "secret.txt")
    (site / "outside").symlink_to(folder.parent / "outside")
    (site / "up").symlink_to("..")
    (site / "proc").symlink_to("/proc/self/cwd")
    (site / "ring").symlink_to("ring")
    (site / "inside.txt").symlink_to("note.txt")
    (site / "inside").symlink_to("folder")
    os.mkfifo(site / "fifo")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(os.path.relpath(site / "socket"))
    (site / "forbidden.txt").write_text("secret")
    (site / "forbidden.txt").chmod(0)
    (site / "forbidden").mkdir()
    (site / "forbidden" / "note.txt").write_text("secret")
    (site / "forbidden").chmod(0)


@pytest.fixture
def server(serve):
    server = serve(SITE)
    lay_traps(server.folder)
    yield server
    (server.folder / "site" / "forbidden").chmod(0o755)


def get(server, path, *fields, method="GET"):
    with server.wire() as w:
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *fields, "", ""]
        return w.send("\r\n".join(lines)).answer(method)


# --- what is served ---

@pytest.mark.parametrize("path, kind", [
    ("/index.html", "text/html"), ("/style.css", "text/css"), ("/app.js", "text/javascript"),
    ("/data.json", "application/json"), ("/note.txt", "text/plain"),
    ("/picture.SVG", "image/svg+xml"), ("/no-extension", "text/plain"),
    ("/medium.bin", "application/octet-stream")])
def test_types_go_by_extension(server, path, kind):
    answer = requests.get(server.url(path))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].split(";")[0] == kind
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    if kind.startswith("text/"):
        assert "charset=utf-8" in answer.headers["Content-Type"]


def seconds(date):
    return email.utils.parsedate_to_datetime(date).timestamp()


def test_files_say_how_fresh_they_are(server):
    a = get(server, "/note.txt")
    modified = seconds(a.headers["last-modified"])
    assert modified == int((server.folder / "site/note.txt").stat().st_mtime)
    assert a.headers["etag"].startswith('"') and a.headers["accept-ranges"] == "bytes"
    assert a.headers["cache-control"] == "max-age=10"
    assert seconds(a.headers["expires"]) - seconds(a.headers["date"]) in (9, 10, 11)
    (server.folder / "site/note.txt").write_text("another")

    def changed():
        b = get(server, "/note.txt")
        return b.body == b"another" and b.headers["etag"] != a.headers["etag"]
    eventually(changed, 5)  # what was read before is believed for a second


@pytest.mark.parametrize("path, body", [
    ("/", b"<p>home</p>"), ("/folder/", b"<p>folder</p>"), ("/inside/", b"<p>folder</p>"),
    ("/inside.txt", b"a note"), ("/empty.txt", b""), ("/with%20space.txt", b"space"),
    ("/h%C3%A4user.txt", b"umlaut"), ("/100%25.txt", b"percent"), ("/%6eote.txt", b"a note"),
    ("/folder/../note.txt", b"a note"), ("/folder/%2e%2e/note.txt", b"a note"),
    ("/./note.txt", b"a note"), ("/note.txt?query=/../..", b"a note"),
    ("/.well-known/security.txt", b"Contact: nobody")])
def test_a_path_finds_its_file(server, path, body):
    a = get(server, path)
    assert (a.status, a.body) == (200, body)


def test_a_route_wins_over_a_file_of_its_method(server):
    assert get(server, "/route.txt").body == b"the route"


def test_head_is_get_without_a_body(server):
    with server.wire() as w:
        for path in ["/", "/note.txt", "/medium.bin", "/nowhere", "/folder"]:
            get_ = w.get(path).answer()
            head = w.send(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").answer("HEAD")
            for a in (get_, head):  # a second may have begun between them
                date = seconds(a.headers.pop("date"))
                if "expires" in a.headers:
                    a.headers["expires"] = seconds(a.headers["expires"]) - date
            assert (head.status, head.headers) == (get_.status, get_.headers)


def test_a_folder_without_its_slash_is_a_308(server):
    def location(path):
        a = get(server, path)
        assert a.status == 308
        return a.headers["location"]
    assert location("/folder") == "/folder/"
    assert location("/folder?a=b&c=%2F") == "/folder/?a=b&c=%2F"
    assert location("//folder") == "/folder/"
    assert get(server, "/bare").status in (308, 404)
    assert get(server, "/bare/").status == 404
    assert requests.get(server.url("/folder")).text == "<p>folder</p>"


def test_methods_that_files_do_not_take(server):
    for method in ["POST", "PUT", "PATCH", "DELETE"]:
        a = get(server, "/note.txt", "Content-Length: 0", method=method)
        assert a.status == 405
        assert {"GET", "HEAD"} <= set(a.headers["allow"].split(", "))
    a = get(server, "/note.txt", method="OPTIONS")
    assert a.status == 204 and "GET" in a.headers["allow"]
    assert get(server, "/nowhere", "Content-Length: 0", method="POST").status == 404
    assert (server.folder / "site/note.txt").read_text() == "a note"


# --- large files ---

def test_a_large_file_reaches_several_clients_at_their_own_pace(serve):
    server = serve({**SITE, "site/large.bin": LARGE})
    want = hashlib.sha256(LARGE).digest()

    def quick():
        answer = requests.get(server.url("/large.bin"))
        assert hashlib.sha256(answer.content).digest() == want

    def slow():
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
            s.settimeout(10)
            s.connect(("127.0.0.1", server.port))
            s.sendall(b"GET /large.bin HTTP/1.0\r\n\r\n")
            got = bytearray()
            while more := s.recv(20000):
                got += more
        assert hashlib.sha256(got.split(b"\r\n\r\n", 1)[1]).digest() == want

    def small():
        with server.wire() as w:
            for _ in range(100):
                assert w.get("/note.txt").answer().body == b"a note"

    def leaves():
        with server.wire() as w:
            w.get("/large.bin").take(1_000_000)
    together(quick, quick, quick, slow, small, leaves)


def test_a_file_that_shrinks_meanwhile_is_cut_not_padded(serve):
    server = serve({**SITE, "site/large.bin": LARGE})
    path = server.folder / "site/large.bin"
    with server.wire() as w:
        w.get("/large.bin").take(100_000)
        os.truncate(path, 5_000_000)
        assert len(w.rest()) < len(LARGE)
    assert get(server, "/note.txt").status == 200


# --- conditions and ranges ---

def test_a_file_that_did_not_change_is_a_304(server):
    with server.wire() as w:
        first = w.get("/note.txt").answer()
        tag, date = first.headers["etag"], first.headers["last-modified"]
        for field in [f"If-None-Match: {tag}", f'If-None-Match: "x", W/{tag}', "If-None-Match: *",
                      f"If-Modified-Since: {date}"]:
            a = w.get("/note.txt", field).answer()
            assert (a.status, a.body, a.headers["etag"]) == (304, b"", tag)
        for field in ['If-None-Match: "other"', f"If-Match: {tag}",
                      "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT"]:
            assert w.get("/note.txt", field).answer().body == b"a note"
        assert w.get("/note.txt", 'If-Match: "other"').answer().status == 412


@pytest.mark.parametrize("value, status, part", [
    ("bytes=0-0", 206, slice(0, 1)), ("bytes=-5", 206, slice(-5, None)),
    ("bytes=100000-", 206, slice(100_000, None)), ("bytes=5-9", 206, slice(5, 10)),
    ("bytes=0-99999999999", 206, slice(0, None)), ("bytes=102400-", 416, None),
    ("lines=1-2", 200, slice(0, None)), ("bytes=9-5", 200, slice(0, None))])
def test_ranges(server, value, status, part):
    answer = requests.get(server.url("/medium.bin"), headers={"Range": value})
    assert answer.status_code == status
    if status == 416:
        assert answer.headers["Content-Range"] == f"bytes */{len(MEDIUM)}"
        return
    assert answer.content == MEDIUM[part]
    if status == 206:
        first, last, _ = part.indices(len(MEDIUM))
        assert answer.headers["Content-Range"] == f"bytes {first}-{last - 1}/{len(MEDIUM)}"


def test_a_download_goes_on_where_it_broke_off(server):
    first = requests.get(server.url("/medium.bin"), headers={"Range": "bytes=0-9999"})
    rest = {"Range": "bytes=10000-", "If-Range": first.headers["ETag"]}
    second = requests.get(server.url("/medium.bin"), headers=rest)
    assert (first.status_code, second.status_code) == (206, 206)
    assert first.content + second.content == MEDIUM
    rest["If-Range"] = '"of another version"'
    assert requests.get(server.url("/medium.bin"), headers=rest).status_code == 200


# --- what is never served ---

CLIMBS = ["..", "%2e%2e", "%2E.", ".%2e", "%252e%252e", "..%00", "%c0%ae%c0%ae", "..;", "....",
          "..\\", "..%5c", "%2e%2e%2f", "..%2f", "..%252f", "\\..", "%5c..", "%u002e%u002e",
          "\u2024\u2024", "..%c0%af", "./.."]


@pytest.mark.parametrize("climb", CLIMBS)
def test_no_spelling_of_dots_leads_out(server, climb):
    climb = "".join(c if ord(c) < 128 else "".join(f"%{b:02x}" for b in c.encode()) for c in climb)
    for target in ["data/secret.txt", "scripts/secret.lua", "../outside/secret.txt"]:
        for start in ["/", "/folder/", "/folder/../", "//", "/nowhere/", "/note.txt/"]:
            for times in (1, 2, 3, 8):
                for path in [start + (climb + "/") * times + target,
                             start + climb * times + target]:
                    a = get(server, path)
                    assert a.status in (400, 404), path
                    assert b"secret" not in a.body.replace(b"secret.txt", b"")


@pytest.mark.parametrize("path", [
    "/out.txt", "/absolute.txt", "/outside/secret.txt", "/outside/", "/outside",
    "/up/data/secret.txt", "/up/", "/up", "/up/site/note.txt", "/proc/scripts/main.lua", "/proc",
    "/ring", "/ring/", "/fifo", "/socket", "/.hidden", "/.git/config", "/.git/", "/.git",
    "/folder/.htpasswd", "/folder/.well-known/security.txt", "/%2ehidden", "/%2Egit/config",
    "/.well-known/../.hidden", "/note.txt/", "/note.txt/x", "/index.html/",
    "/folder%2Findex.html", "/folder%2findex.html", "/%2Fetc%2Fpasswd", "//etc/passwd",
    "/NOTE.TXT", "/note.txt%20", "/note.txt.", "/scripts/main.lua", "/data/secret.txt"])
def test_what_is_not_public_is_not_found(server, path):
    a = get(server, path)
    assert a.status == 404 and b"secret" not in a.body


@pytest.mark.parametrize("path", ["/note.txt%00", "/%00", "/note.txt%00.html", "/%zz", "/%", "/%4",
                                  "/..", "/../", "/%2e%2e", "/folder/../../site/note.txt"])
def test_a_path_that_cannot_be_is_a_400(server, path):
    assert get(server, path).status == 400


def test_what_may_not_be_read_is_a_403(server):
    assert get(server, "/forbidden.txt").status == 403
    assert get(server, "/forbidden/note.txt").status == 403


def test_no_descriptor_is_left_behind(server):
    """Every kind of answer that has to do with a file, many times, and as many open as before."""
    def visit():
        for path in ["/", "/note.txt", "/medium.bin", "/folder", "/nowhere", "/fifo", "/ring",
                     "/up/", "/forbidden.txt", "/bare/"]:
            for method, field in [("GET", "X: y"), ("HEAD", "X: y"), ("GET", "Range: bytes=0-0"),
                                  ("GET", "If-None-Match: *"), ("GET", "Range: bytes=99999999-"),
                                  ("GET", "If-Match: \"x\""), ("OPTIONS", "X: y")]:
                w.send(f"{method} {path} HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n").answer(method)
            w.send(post(path)).answer()
    with server.wire(timeout=20) as w:
        visit()
        before = sorted(server.open_files())
        for _ in range(3):
            visit()
        assert sorted(server.open_files()) == before
