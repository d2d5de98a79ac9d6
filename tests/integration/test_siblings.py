"""Files that the site's author has compressed: x.gz, x.br and x.zst beside x."""
import gzip
import os
import time

import pytest

from conftest import eventually

TEXT = b"some text of a page, again and again\n" * 60
LARGE = TEXT * 40  # more than is kept in memory, in every form
NOISE = os.urandom(40_000)
MAIN = """
    local app = require "lunette"
    app.use("/seen", function(req, handle)
      local res = handle(req)
      res.headers["X-Seen"] = "yes"
      return res
    end)
    app.use("/changed", function(req, handle)
      local res = handle(req)
      res.body = (res.body .. "!"):sub(2)
      return res
    end)
    app.static("/more", "more")
    app.static("/tagged", "more", { headers = { ["X-Tag"] = "1" } })
    app.get("/file", function() return app.file("site/page.html") end)
    app.get("/kept", function() return app.file("a.txt", { root = "more", type = "text/x-own" }) end)
    app.get("/plain", { gzip = false }, function() return app.file("site/page.html") end)
    """


def forms_of(name, data, *kinds):
    """The file and its forms; what they hold need not decode, but tells them apart."""
    files = {name: data}
    for kind in kinds:
        files[f"{name}.{kind}"] = kind.encode() + b" form of " + data
    return files


SITE = {
    "scripts/main.lua": MAIN,
    **forms_of("site/page.html", TEXT, "gz", "br", "zst"),
    **forms_of("site/large.txt", LARGE, "gz", "br"),
    **forms_of("site/only.txt", TEXT, "br"),
    **forms_of("site/tiny.txt", b"tiny", "gz"),
    **forms_of("site/picture.png", NOISE, "gz"),
    **forms_of("site/sub/index.html", TEXT, "gz"),
    **forms_of("site/seen/page.html", TEXT, "br"),
    **forms_of("site/seen/large.txt", LARGE, "br"),
    **forms_of("site/changed/page.html", TEXT, "br"),
    **forms_of("more/a.txt", TEXT, "br"),
    "site/plain.txt": TEXT,
}


@pytest.fixture
def server(serve):
    return serve(SITE, "--workers", "1")


def ask(server, path, codings=None, *fields, method="GET"):
    lines = [f"{method} {path} HTTP/1.1", "Host: a", *fields]
    if codings is not None:
        lines.append(f"Accept-Encoding: {codings}")
    with server.wire() as w:
        return w.send("\r\n".join([*lines, "", ""])).answer(method)


def without_dates(answer):
    return {k: v for k, v in answer.headers.items() if k not in ("date", "expires")}


@pytest.mark.parametrize("path, codings, coding", [
    ("/page.html", "gzip", "gzip"), ("/page.html", "br", "br"), ("/page.html", "zstd", "zstd"),
    ("/page.html", "gzip, br;q=0.5", "gzip"), ("/page.html", "gzip, br", "br"),
    ("/large.txt", "gzip, br;q=0.9", "gzip"), ("/large.txt", "br", "br"),
    ("/only.txt", "gzip, br", "br"), ("/tiny.txt", "gzip", "gzip"),
    ("/picture.png", "gzip", "gzip"), ("/sub/", "gzip", "gzip"),
    ("/seen/page.html", "br", "br"), ("/seen/large.txt", "br", "br"),
    ("/more/a.txt", "br", "br"), ("/tagged/a.txt", "br", "br"),
    ("/file", "zstd", "zstd"), ("/kept", "br", "br")])
def test_a_form_beside_a_file_is_sent(server, path, codings, coding):
    plain = ask(server, path)
    assert "content-encoding" not in plain.headers and plain.headers["vary"] == "Accept-Encoding"
    suffix = {"gzip": b"gz", "br": b"br", "zstd": b"zst"}[coding]
    for _ in range(2):
        coded = ask(server, path, codings)
        assert coded.status == 200 and coded.body == suffix + b" form of " + plain.body
        assert coded.headers["content-encoding"] == coding
        assert coded.headers["etag"] == plain.headers["etag"][:-1] + f'-{coding}"'
        for name in ("content-type", "last-modified", "vary", "cache-control", "accept-ranges"):
            assert coded.headers[name] == plain.headers[name]
        assert coded.headers["content-length"] == str(len(coded.body))
        head = ask(server, path, codings, method="HEAD")
        assert without_dates(head) == without_dates(coded)
    tag = coded.headers["etag"]
    same = ask(server, path, codings, f"If-None-Match: {tag}")
    assert (same.status, same.headers["etag"], same.headers["vary"]) == (304, tag, "Accept-Encoding")


def test_what_no_form_answers(server):
    assert ask(server, "/only.txt", "zstd").body == TEXT
    made = ask(server, "/only.txt", "gzip")  # no such form: it is made
    assert made.headers["content-encoding"] == "gzip" and gzip.decompress(made.body) == TEXT
    assert "content-encoding" not in ask(server, "/plain.txt", "br").headers
    assert "content-encoding" not in ask(server, "/page.html", "gzip;q=0").headers
    assert "content-encoding" not in ask(server, "/plain", "gzip, br").headers
    part = ask(server, "/page.html", "gzip, br", "Range: bytes=0-9")
    assert (part.status, part.body) == (206, TEXT[:10])
    assert "content-encoding" not in part.headers and part.headers["vary"] == "Accept-Encoding"
    changed = ask(server, "/changed/page.html", "br")
    assert changed.body == TEXT[1:] + b"!"  # middleware made another body of it


def test_a_form_is_a_file_of_its_own_too(server):
    form = ask(server, "/page.html.gz", "gzip, br")
    assert form.body == b"gz form of " + TEXT and form.headers["content-type"] == "application/gzip"
    assert "content-encoding" not in form.headers


def test_forms_come_go_and_grow_old(server):
    path = server.folder / "site/plain.txt"
    form = path.with_name("plain.txt.br")

    def coding():
        return ask(server, "/plain.txt", "br").headers.get("content-encoding")
    assert coding() is None
    form.write_bytes(b"compressed")
    eventually(lambda: coding() == "br", 5)
    assert ask(server, "/plain.txt", "br").body == b"compressed"
    os.utime(form, ns=(0, path.stat().st_mtime_ns - 1_000_000_000))
    eventually(lambda: coding() is None, 5)
    os.utime(form, ns=(0, path.stat().st_mtime_ns))
    eventually(lambda: coding() == "br", 5)
    form.write_bytes(b"")  # an empty file is no form of anything
    eventually(lambda: coding() is None, 5)
    form.unlink()
    form.mkdir()
    assert coding() is None
    form.rmdir()
    outside = server.folder.parent / "outside.br"
    outside.write_bytes(b"secret")
    form.symlink_to(outside)
    time.sleep(1.1)
    assert ask(server, "/plain.txt", "br").body == TEXT
    form.unlink()
    (path.parent / "else.br").write_bytes(b"linked")
    form.symlink_to("else.br")  # a link that stays inside is followed, as for any file
    eventually(lambda: ask(server, "/plain.txt", "br").body == b"linked", 5)
    path.write_bytes(TEXT)
    os.utime(path, ns=(0, time.time_ns() + 5_000_000_000))  # the file itself is newer now
    eventually(lambda: coding() is None, 5)


def test_in_dev_a_form_counts_at_once(serve):
    server = serve({"site/a.txt": TEXT}, "--dev")
    assert "content-encoding" not in ask(server, "/a.txt", "br").headers
    form = server.folder / "site/a.txt.br"
    form.write_bytes(b"compressed")
    assert ask(server, "/a.txt", "br").body == b"compressed"
    form.write_bytes(b"compressed better")
    assert ask(server, "/a.txt", "br").body == b"compressed better"
    form.unlink()
    assert ask(server, "/a.txt", "br").body == TEXT


def test_a_form_that_vanishes_within_the_second(server):
    """Every answer is whole: the form, or the file, never a head of one with the body of the other."""
    form = server.folder / "site/page.html.br"
    coded = b"br form of " + TEXT
    for _ in range(20):
        form.unlink()
        for _ in range(20):
            a = ask(server, "/page.html", "br")
            assert a.body == (coded if a.headers.get("content-encoding") else TEXT)
            assert a.headers["etag"].endswith('-br"') == ("content-encoding" in a.headers)
        new = form.with_name(".new")
        new.write_bytes(coded)
        os.replace(new, form)


def test_descriptors_of_forms_are_given_back(server):
    for _ in range(3):
        for path in ("/large.txt", "/seen/large.txt", "/page.html", "/file"):
            ask(server, path, "br")
    before = len(server.open_files("/"))
    for _ in range(50):
        for path in ("/large.txt", "/seen/large.txt", "/page.html", "/file"):
            for method in ("GET", "HEAD"):
                ask(server, path, "br", method=method)
                ask(server, path, "br", "If-None-Match: *", method=method)
    assert len(server.open_files("/")) <= before
