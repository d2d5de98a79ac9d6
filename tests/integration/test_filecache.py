"""Files over real connections while they change on disk: an answer is old or new, never a mixture,
and new within a second."""
import os
import re
import threading
import time

import pytest
import requests

from conftest import eventually

SMALL, LARGE = 1000, 100_000


def replace(path, data):
    """As an editor or a deployment does it: a new file under the old name."""
    new = path.with_name("." + path.name + ".new")
    new.write_bytes(data)
    os.replace(new, path)


def test_a_replaced_file_is_answered_whole_and_soon_new(serve):
    """Every answer has one letter throughout, and one letter for each tag; the last one wins."""
    server = serve({"site/small.txt": b"a" * SMALL, "site/large.bin": b"a" * LARGE})
    tags = {}
    with requests.Session() as s:
        for name, size in (("small.txt", SMALL), ("large.bin", LARGE)):
            path = server.folder / "site" / name
            for letter in "bcd":
                replace(path, letter.encode() * size)
                end = time.monotonic() + 10
                while True:
                    r = s.get(server.url("/" + name))
                    assert r.status_code == 200 and len(r.content) == size
                    assert len(set(r.content)) == 1
                    assert tags.setdefault(r.headers["ETag"], r.content) == r.content
                    if r.content[0] == ord(letter):
                        break
                    assert time.monotonic() < end, "the change was not noticed"
    assert len(tags) >= 6


@pytest.mark.parametrize("size", [1200, LARGE])
def test_a_change_that_leaves_size_and_date_is_one(serve, size):
    """As rsync, tar and reproducible builds leave them: the tag and the coded forms change too."""
    server = serve({"site/a.css": b"a" * size})
    path = server.folder / "site" / "a.css"
    os.utime(path, (1_000_000_000, 1_000_000_000))
    with requests.Session() as s:  # which asks for gzip
        def get(**fields):
            return s.get(server.url("/a.css"), headers=fields)
        time.sleep(3)  # it has been left alone for a while, and all that is kept of it counts
        old = get()
        assert old.headers["Content-Encoding"] == "gzip" and old.content == b"a" * size
        with path.open("r+b") as f:
            f.write(b"b" * size)
        os.utime(path, (1_000_000_000, 1_000_000_000))
        eventually(lambda: get(**{"Accept-Encoding": "identity"}).content == b"b" * size)
        new = get()
        assert new.content == b"b" * size and new.headers["ETag"] != old.headers["ETag"]
        assert get(**{"If-None-Match": old.headers["ETag"]}).status_code == 200


def test_a_file_made_longer_in_place_keeps_its_promise(serve):
    """The length and the tag of an answer are those of the bytes it sends, at every moment."""
    server = serve({"site/log.txt": b"x" * LARGE})
    path = server.folder / "site" / "log.txt"
    stop = threading.Event()

    def grow():
        with path.open("ab", buffering=0) as f:
            while not stop.wait(0.001):
                f.write(b"x" * 100)
    writer = threading.Thread(target=grow)
    writer.start()
    try:
        with requests.Session() as s:
            s.headers["Accept-Encoding"] = "identity"
            seen = {}
            for _ in range(300):
                r = s.get(server.url("/log.txt"))
                assert r.status_code == 200
                assert len(r.content) == int(r.headers["Content-Length"])
                size = int(re.match(r'"[0-9a-f]+-([0-9a-f]+)-', r.headers["ETag"])[1], 16)
                assert size == len(r.content)
                seen[size] = True
    finally:
        stop.set()
        writer.join()
    assert len(seen) > 1


def test_a_removed_file_is_gone_and_a_new_one_there(serve):
    server = serve({"site/a.txt": "a", "site/b.bin": b"b" * LARGE})
    with requests.Session() as s:
        for name in ("a.txt", "b.bin"):
            assert s.get(server.url("/" + name)).status_code == 200
            (server.folder / "site" / name).unlink()
            eventually(lambda: s.get(server.url("/" + name)).status_code == 404)
            (server.folder / "site" / name).write_text("back")
            assert s.get(server.url("/" + name)).text == "back"  # at once: its absence is not kept


def test_a_link_that_leads_out_is_not_followed_for_having_been_a_file(serve):
    server = serve({"site/a.txt": "a", "secret.txt": "secret"})
    with requests.Session() as s:
        assert s.get(server.url("/a.txt")).text == "a"
        path = server.folder / "site" / "a.txt"
        path.unlink()
        path.symlink_to("../secret.txt")
        eventually(lambda: s.get(server.url("/a.txt")).status_code == 404)


def test_with_dev_every_request_looks_again(serve):
    """Same size, at once, again and again: what an author saves is what the browser gets."""
    server = serve({"site/a.css": "0000"}, "--dev")
    path = server.folder / "site" / "a.css"
    with requests.Session() as s:
        for n in range(50):
            path.write_text(f"{n:04}")
            assert s.get(server.url("/a.css")).text == f"{n:04}"


def test_a_slow_download_outlives_its_file(serve):
    """A descriptor that an answer sends from stays open, whatever the cache and the disk do."""
    size = 20_000_000
    server = serve({"site/big.bin": b"a" * size, "site/other.txt": "o"})
    path = server.folder / "site" / "big.bin"
    with requests.Session() as s, s.get(server.url("/big.bin"), stream=True) as r:
        got = len(r.raw.read(1000))
        replace(path, b"b" * 10)
        eventually(lambda: requests.get(server.url("/big.bin")).content == b"b" * 10)
        while chunk := r.raw.read(1 << 20):
            assert set(chunk) == {ord("a")}
            got += len(chunk)
    assert got == size


def test_conditions_and_ranges_hold_for_a_kept_file(serve):
    server = serve({"site/a.txt": "0123456789", "site/big.bin": b"0123456789" * 10_000})
    with requests.Session() as s:
        for path, size in (("/a.txt", 10), ("/big.bin", 100_000)):
            for _ in range(2):
                r = s.get(server.url(path))
                tag = r.headers["ETag"]
                assert s.get(server.url(path), headers={"If-None-Match": tag}).status_code == 304
                assert s.get(server.url(path), headers={"If-Match": '"x"'}).status_code == 412
                part = s.get(server.url(path), headers={"Range": "bytes=2-4"})
                assert (part.status_code, part.text) == (206, "234")
                assert part.headers["Content-Range"] == f"bytes 2-4/{size}"
                past = s.get(server.url(path), headers={"Range": f"bytes={size}-"})
                assert past.status_code == 416
                head = s.head(server.url(path))
                assert head.headers["Content-Length"] == str(size)
                assert head.headers["ETag"] == tag


# --- files without Lua: what was said of a path once holds for the next requests ---

def test_the_second_request_gets_what_the_first_got(serve):
    server = serve({"site/a.txt": "a file", "site/index.html": "home", "scripts/main.lua": """
        local app = require "lunette"
        app.get("/other", function() return "a route" end)
    """}, "--workers", "1")
    with requests.Session() as s:
        for path, body in (("/a.txt", "a file"), ("/", "home"), ("/a.txt?q=1", "a file")):
            first = s.get(server.url(path))
            assert (first.status_code, first.text) == (200, body)
            for _ in range(3):
                again = s.get(server.url(path))
                assert (again.status_code, again.text) == (200, body)
                unlike = {"Date", "Expires"}  # of the second in which each was sent
                assert [h for h in again.headers.items() if h[0] not in unlike] == \
                       [h for h in first.headers.items() if h[0] not in unlike]
        assert s.post(server.url("/a.txt")).status_code == 405
        assert s.get(server.url("/a.txt"), data="a body").text == "a file"
        assert s.get(server.url("/other")).text == "a route"


def test_a_file_that_went_is_the_sites_own_404(serve):
    server = serve({"site/a.txt": "a file", "scripts/main.lua": """
        local app = require "lunette"
        app.on_error(404, function(req) return app.text("nothing at " .. req.path, 404) end)
    """}, "--workers", "1")
    with requests.Session() as s:
        for _ in range(3):
            assert s.get(server.url("/a.txt")).text == "a file"
        (server.folder / "site/a.txt").unlink()
        eventually(lambda: s.get(server.url("/a.txt")).text == "nothing at /a.txt")
        assert s.get(server.url("/a.txt")).status_code == 404
        (server.folder / "site/a.txt").write_text("back")
        for _ in range(3):
            assert s.get(server.url("/a.txt")).text == "back"
        (server.folder / "site/a.txt").unlink()
        (server.folder / "site/a.txt").mkdir()
        (server.folder / "site/a.txt/index.html").write_text("inside")
        eventually(lambda: s.get(server.url("/a.txt")).text == "inside")  # by its redirect
        assert s.get(server.url("/a.txt"), allow_redirects=False).status_code == 308


def test_middleware_sees_every_request_for_a_file(serve):
    server = serve({"site/a.txt": "a", "site/b/a.txt": "b", "scripts/main.lua": """
        local app, count = require "lunette", 0
        app.use("/b", function(req, handle)
            local res = handle(req)
            count = count + 1
            res.headers["X-Count"] = tostring(count)
            return res
        end)
    """}, "--workers", "1")
    with requests.Session() as s:
        for n in range(1, 5):
            assert s.get(server.url("/b/a.txt")).headers["X-Count"] == str(n)
            assert "X-Count" not in s.get(server.url("/a.txt")).headers


def test_hosts_with_a_route_of_their_own_keep_it(serve):
    server = serve({"site/a.txt": "a file", "scripts/main.lua": """
        local app = require "lunette"
        app.host("one.example", function(h)
            h.get("/a.txt", function() return "one's route" end)
        end)
    """}, "--workers", "1")
    with requests.Session() as s:
        for _ in range(3):
            assert s.get(server.url("/a.txt")).text == "a file"
            one = s.get(server.url("/a.txt"), headers={"Host": "one.example"})
            assert one.text == "one's route"
