"""HEAD carries what GET would: for every kind of answer that files give."""
import os

import pytest

TEXT = "some text of a page, again and again\n" * 60
SITE = {
    "scripts/main.lua": """
        local app = require "lunette"
        app.static("/pub", "pub", { listing = true, download = true, headers = { ["X-A"] = "b" } })
        app.use("/seen", function(req, handle) return handle(req) end)
        app.get("/file", function() return app.file("site/large.txt", { max_age = 60 }) end)
        app.get("/missing", function() return app.file("site/none") end)
        """,
    "pub/a.txt": TEXT,
    "site/index.html": "<p>home" + TEXT,
    "site/small.txt": "small",
    "site/text.txt": TEXT,
    "site/large.txt": TEXT * 100,
    "site/huge.txt": TEXT * 1000,
    "site/huge.bin": os.urandom(300_000),
    "site/both.txt": TEXT, "site/both.txt.br": "a form of it", "site/both.txt.gz": "another",
    "site/both.bin": os.urandom(40_000), "site/both.bin.gz": os.urandom(30_000),
    "site/seen/both.txt": TEXT, "site/seen/both.txt.br": "a form of it",
    "site/noname": "text", "site/picture": b"GIF89a\1\0\1\0\0\0\0",
    "site/folder/index.html": "<p>folder",
}
PATHS = ["/", "/small.txt", "/text.txt", "/large.txt", "/huge.bin", "/both.txt", "/both.bin",
         "/both.txt.gz", "/seen/both.txt", "/noname", "/picture", "/folder", "/folder/", "/none",
         "/none/", "/pub", "/pub/", "/pub/?sort=size", "/pub/a.txt", "/file", "/missing"]
FIELDS = [[], ["Accept-Encoding: gzip"], ["Accept-Encoding: gzip, br"], ["Accept-Encoding: zstd"],
          ["If-None-Match: *"], ["If-None-Match: *", "Accept-Encoding: br"], ['If-Match: "x"'],
          ["If-Modified-Since: Fri, 31 Dec 2100 00:00:00 GMT"],
          ["Accept-Encoding: identity;q=0"]]


@pytest.fixture(scope="module")
def server():
    from running import running
    with running(SITE, "--workers", "1") as server:
        yield server


def ask(wire, method, path, fields):
    lines = [f"{method} {path} HTTP/1.1", "Host: a", *fields, "", ""]
    answer = wire.send("\r\n".join(lines)).answer(method)
    for name in ("date", "expires"):  # the second may have passed
        answer.headers.pop(name, None)
    return answer


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_a_body(server, path):
    kinds = set()
    with server.wire() as w:
        for fields in FIELDS:
            get, head = (ask(w, method, path, fields) for method in ("GET", "HEAD"))
            assert (head.status, head.headers) == (get.status, get.headers), fields
            assert head.body == b""
            kinds.add((get.status, get.headers.get("content-encoding")))
    assert len(kinds) > 1 or path in ("/folder", "/none", "/none/", "/pub", "/missing")


def test_a_body_that_is_made_while_it_is_sent(server):
    """Its length is not known, and HEAD does not make it to find out."""
    with server.wire() as w:
        get = ask(w, "GET", "/huge.txt", ["Accept-Encoding: gzip"])
        head = ask(w, "HEAD", "/huge.txt", ["Accept-Encoding: gzip"])
    for answer in (get, head):
        answer.headers.pop("transfer-encoding", None)
        answer.headers.pop("content-length", None)
    assert (head.status, head.headers) == (get.status, get.headers)


def test_head_ignores_a_range(server):
    """Range is for GET alone (RFC 9110 §14.2): HEAD shows the whole."""
    with server.wire() as w:
        part = ask(w, "GET", "/text.txt", ["Range: bytes=0-9"])
        head = ask(w, "HEAD", "/text.txt", ["Range: bytes=0-9"])
        whole = ask(w, "GET", "/text.txt", [])
    assert part.status == 206 and (head.status, head.headers) == (200, whole.headers)
