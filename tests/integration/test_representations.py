"""Content codings, conditions and ranges, of files and of what handlers make, by real clients."""
import gzip
import os
import re
import subprocess

import pytest
import requests

from conftest import eventually

SITE = {
    "scripts/main.lua": """
        local app = require "lunette"
        local runs = 0
        local text = ("a line of text, again and again\\n"):rep(200)
        app.get("/text", function() return app.text(text) end)
        app.get("/short", function() return app.text("short") end)
        app.get("/tagged", function()
          return 200, { ["Content-Type"] = "text/plain", ETag = '"v"',
            ["Last-Modified"] = "Sun, 06 Nov 1994 08:49:37 GMT", ["X-Own"] = "kept",
            ["Cache-Control"] = "max-age=5" }, text
        end)
        app.get("/plain", { gzip = false }, function() return app.text(text) end)
        app.get("/image", function() return 200, { ["Content-Type"] = "image/png" }, text end)
        app.get("/coded", function()
          return 200, { ["Content-Type"] = "text/plain", ["Content-Encoding"] = "x-own" }, text
        end)
        app.get("/still", function()
          return 200, { ["Content-Type"] = "text/plain", ["Cache-Control"] = "no-transform" }, text
        end)
        app.get("/large", function() return app.text(text:rep(200)) end)
        local rows = {}
        for i = 1, 20000 do rows[i] = { id = i, name = "row " .. i } end
        app.get("/rows", function() return rows end)
        app.get("/stream", function()
          return app.stream(function(write)
            for i = 1, 5 do write("piece " .. i .. "\\n") require "lunette.task".sleep(0.05) end
          end, { ["Content-Type"] = "text/plain" })
        end)
        app.get("/trailing", function()
          return app.stream(function(write) write(text) return { ["X-End"] = "yes" } end,
            { ["Content-Type"] = "text/plain" })
        end)
        app.get("/hashed", { etag = true }, function(req) return app.text(req.query.v or text) end)
        app.any("/versioned", { etag = function(req) return req.query.none == nil and "7" or nil end },
          function(req) runs = runs + 1 return app.text("run " .. runs) end)
        app.put("/checked", function(req)
          req:check("v", nil, { required = true })
          return app.text("changed")
        end)
        app.post("/post", function() return app.text(text) end)
        app.any("/refuses", function(req)
          return tonumber(req.query.with), { ["Content-Type"] = "text/plain" }, text
        end)
        app.get("/missing", function() app.abort(404, ("no "):rep(200)) end)
        app.get("/file", function() return app.file("site/page.html") end)
        app.use("/seen", function(req, handle)
          local res = handle(req)
          res.headers["X-Seen"] = res.headers["Content-Encoding"] or "identity"
          return res
        end)
        """,
    "site/page.html": "<p>some text of a page</p>\n" * 200,
    "site/seen/page.html": "<p>some text of a page</p>\n" * 200,
    "site/big.txt": "0123456789abcdef\n" * 40_000,
    "site/picture.png": os.urandom(5000),
    "site/digits.txt": "".join(f"{i:05d}" for i in range(20_000)),
}
TEXT = "a line of text, again and again\n" * 200


@pytest.fixture
def server(serve):
    return serve(SITE, "--workers", "1")


def ask(server, path, method="GET", **headers):
    """Raw bytes: nothing is decoded."""
    lines = [f"{method} {path} HTTP/1.1", "Host: a"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    with server.wire() as w:
        return w.send("\r\n".join([*lines, "", ""])).answer(method)


def ask_in_one_second(server, path, **headers):
    """GET and HEAD whose Date is the same, and so what is counted from it, as Expires."""
    for _ in range(5):
        whole, head = ask(server, path, **headers), ask(server, path, "HEAD", **headers)
        if whole.headers["date"] == head.headers["date"]:
            return whole, head
    raise AssertionError("the second changed five times")


# --- codings ---

@pytest.mark.parametrize("path", ["/text", "/tagged", "/page.html", "/file", "/seen/page.html"])
def test_text_is_compressed_for_who_asks(server, path):
    plain = ask(server, path)
    assert "content-encoding" not in plain.headers and "Accept-Encoding" in plain.headers["vary"]
    for _ in range(2):
        coded, head = ask_in_one_second(server, path, Accept_Encoding="gzip")
        assert coded.headers["content-encoding"] == "gzip"
        assert "Accept-Encoding" in coded.headers["vary"]
        assert gzip.decompress(coded.body) == plain.body and len(coded.body) < len(plain.body) / 5
        assert head.headers == coded.headers
    if "etag" in plain.headers:
        assert coded.headers["etag"] == plain.headers["etag"][:-1] + '-gzip"'


@pytest.mark.parametrize("path", ["/short", "/plain", "/image", "/coded", "/still", "/picture.png"])
def test_what_is_not_compressed(server, path):
    answer = ask(server, path, Accept_Encoding="gzip")
    assert answer.headers.get("content-encoding") in (None, "x-own")
    assert "accept-encoding" not in answer.headers.get("vary", "").lower()


def test_handlers_are_coded_as_the_client_likes(server):
    for name in ("br", "zstd"):
        assert ask(server, "/text", Accept_Encoding=name).headers["content-encoding"] == name
    assert "content-encoding" not in ask(server, "/text", Accept_Encoding="gzip;q=0").headers
    assert ask(server, "/post", "POST", Accept_Encoding="gzip",
               Content_Length="0").headers["content-encoding"] == "gzip"
    missing = ask(server, "/missing", Accept_Encoding="gzip")
    assert missing.status == 404 and missing.headers["content-encoding"] == "gzip"


def test_a_large_body_is_compressed_while_it_is_sent(server):
    answer = ask(server, "/large", Accept_Encoding="gzip")
    assert answer.headers["transfer-encoding"] == "chunked"
    assert gzip.decompress(answer.body).decode() == TEXT * 200
    assert requests.get(server.url("/large"), timeout=20).text == TEXT * 200


def test_a_large_table_lasts_until_it_is_sent(server):
    """Its text is the server's own, and not kept beyond the answer."""
    whole = requests.get(server.url("/rows"), headers={"Accept-Encoding": "identity"}).content
    assert len(whole) > 512 * 1024
    for _ in range(3):
        coded = requests.get(server.url("/rows"), headers={"Accept-Encoding": "gzip"})
        assert coded.headers["Content-Encoding"] == "gzip" and coded.content == whole
        parts = requests.get(server.url("/rows"), headers={
            "Accept-Encoding": "identity", "Range": "bytes=0-299999,400000-"})
        assert parts.status_code == 206
        assert whole[:300000] in parts.content and whole[400000:] in parts.content


def test_a_large_file_is_compressed_once(server):
    whole = server.folder / "site/big.txt"
    first = ask(server, "/big.txt", Accept_Encoding="gzip")
    assert first.headers["transfer-encoding"] == "chunked"
    second = ask(server, "/big.txt", Accept_Encoding="gzip")
    assert second.headers["content-length"] == str(len(second.body)) and second.body == first.body
    assert gzip.decompress(second.body) == whole.read_bytes()
    whole.write_text("changed\n" * 40_000)

    def changed():
        body = gzip.decompress(ask(server, "/big.txt", Accept_Encoding="gzip").body)
        return body if body.startswith(b"changed") else None
    assert eventually(changed, 3) == whole.read_bytes()


@pytest.mark.parametrize("size", [3000, 100000, 400000])
def test_a_coded_form_is_of_the_file_as_it_is(server, size):
    """Written to in place, with as many bytes, and its time put back, as rsync --inplace does."""
    path = server.folder / "site" / f"same-{size}.txt"

    def write(text):
        with open(path, "r+" if path.exists() else "w", encoding="ascii") as file:
            file.write(text * size)
        os.utime(path, (10**9, 10**9))
        whole = (text * size).encode()
        eventually(lambda: ask(server, f"/{path.name}").body == whole)
        coded = ask(server, f"/{path.name}", Accept_Encoding="gzip")
        assert coded.headers["content-encoding"] == "gzip"
        assert gzip.decompress(coded.body) == whole

    write("A")
    write("B")


def test_a_stream_is_compressed_piece_by_piece(server):
    done = subprocess.run(["curl", "-sS", "--compressed", "-N", "-D", "-", server.url("/stream")],
                          capture_output=True, check=True)
    assert done.stdout.endswith(b"".join(b"piece %d\n" % i for i in range(1, 6)))
    with server.wire() as w:
        w.send("GET /stream HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
        first = b""
        while first.count(b"\r\n") < 12:
            assert w.fill()
            first, w.buffer = first + w.buffer, b""
        assert b"Content-Encoding: gzip" in first and not first.endswith(b"0\r\n\r\n")


def test_trailers_stand_behind_a_compressed_stream(server):
    answer = server.get("/trailing", "TE: trailers", "Accept-Encoding: gzip")
    assert b"Content-Encoding: gzip" in answer and answer.endswith(b"\r\n0\r\nX-End: yes\r\n\r\n")


def test_middleware_sees_the_file_and_not_its_coding(server):
    answer = ask(server, "/seen/page.html", Accept_Encoding="gzip")
    assert answer.headers["x-seen"] == "identity"
    assert answer.headers["content-encoding"] == "gzip"


# --- conditions ---

@pytest.mark.parametrize("path", ["/tagged", "/page.html", "/seen/page.html"])
def test_conditional_requests(server, path):
    for coding in ("identity", "gzip"):
        first = ask(server, path, Accept_Encoding=coding)
        tag, date = first.headers["etag"], first.headers["last-modified"]
        for field in ({"If_None_Match": tag}, {"If_None_Match": f'"x", W/{tag}'},
                      {"If_Modified_Since": date}, {"If_None_Match": "*"}):
            again = ask(server, path, Accept_Encoding=coding, **field)
            assert (again.status, again.body) == (304, b"")
            assert again.headers["etag"] == tag
            assert "cache-control" in again.headers and "vary" in again.headers
            assert "content-type" not in again.headers and "content-length" not in again.headers
        assert ask(server, path, Accept_Encoding=coding, If_Match='"x"').status == 412
        assert ask(server, path, Accept_Encoding=coding, If_Match=tag).status == 200
    assert ask(server, path, "HEAD", If_None_Match=ask(server, path).headers["etag"]).status == 304


def test_own_headers_stay_with_a_304(server):
    assert ask(server, "/tagged", If_None_Match='"v"').headers["x-own"] == "kept"


def test_etag_true_makes_tags_of_bodies(server):
    first = ask(server, "/hashed?v=one")
    assert re.fullmatch(r'"[\w-]{22}"', first.headers["etag"])
    assert ask(server, "/hashed?v=one", If_None_Match=first.headers["etag"]).status == 304
    assert ask(server, "/hashed?v=two", If_None_Match=first.headers["etag"]).status == 200
    coded = ask(server, "/hashed", Accept_Encoding="gzip").headers["etag"]
    assert coded.endswith('-gzip"')
    assert ask(server, "/hashed", Accept_Encoding="gzip", If_None_Match=coded).status == 304


def test_an_etag_function_comes_before_the_handler(server):
    assert ask(server, "/versioned").body == b"run 1"
    assert ask(server, "/versioned", If_None_Match='"7"').status == 304
    assert ask(server, "/versioned", "PUT", If_Match='"6"', Content_Length="0").status == 412
    changed = ask(server, "/versioned", "PUT", If_Match='"7"', Content_Length="0")
    assert changed.body == b"run 2" and "etag" not in changed.headers
    assert ask(server, "/versioned").headers["etag"] == '"7"'
    assert ask(server, "/versioned?none", If_None_Match='"7"').body == b"run 4"


def test_check_takes_the_tag_of_a_coded_form(server):
    for tag, status in [('"v"', 200), ('"v-gzip"', 200), ('"w-gzip"', 412), ('"-gzip"', 412)]:
        assert ask(server, "/checked", "PUT", If_Match=tag, Content_Length="0").status == status
    assert ask(server, "/checked", "PUT", Content_Length="0").status == 428


# --- ranges ---

@pytest.mark.parametrize("path", ["/digits.txt", "/text"])
def test_ranges(server, path):
    whole = ask(server, path).body
    n = len(whole)
    for text, a, b in [("0-0", 0, 0), ("10-19", 10, 19), ("-5", n - 5, n - 1), ("100-", 100, n - 1),
                       (f"5-{n * 2}", 5, n - 1)]:
        part = ask(server, path, Range=f"bytes={text}", Accept_Encoding="gzip")
        assert (part.status, part.body) == (206, whole[a:b + 1]), text
        assert part.headers["content-range"] == f"bytes {a}-{b}/{n}"
        assert "content-encoding" not in part.headers
    beyond = ask(server, path, Range=f"bytes={n}-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{n}")
    assert ask(server, path, Range="bytes=5-1").status == 200
    assert ask(server, path, "HEAD", Range="bytes=0-1").status == 200


def test_several_ranges(server):
    for path in ("/digits.txt", "/text"):
        whole = ask(server, path).body
        answer = ask(server, path, Range="bytes=0-9,50-59,-10")
        assert answer.status == 206
        boundary = re.fullmatch(r"multipart/byteranges; boundary=(\w+)",
                                answer.headers["content-type"])[1].encode()
        assert answer.headers["content-length"] == str(len(answer.body))
        first, *parts, end = answer.body.split(b"--" + boundary)
        assert first == b"" and end == b"--\r\n" and len(parts) == 3
        for part, (a, b) in zip(parts, [(0, 9), (50, 59), (len(whole) - 10, len(whole) - 1)]):
            head, body = part.split(b"\r\n\r\n", 1)
            assert b"Content-Range: bytes %d-%d/%d" % (a, b, len(whole)) in head
            assert b"Content-Type: text/plain" in head
            assert body == whole[a:b + 1] + b"\r\n"


@pytest.mark.parametrize("status", [412, 416])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_handler_s_own_refusal_keeps_its_body(server, status, method):
    """It was taken for the core's own, whose body is empty."""
    for coding in ("identity", "gzip"):
        answer = ask(server, f"/refuses?with={status}", method, Accept_Encoding=coding)
        body = gzip.decompress(answer.body) if coding == "gzip" else answer.body
        assert answer.status == status and body.decode() == TEXT
        assert "content-range" not in answer.headers


def test_if_range(server):
    tag = ask(server, "/digits.txt").headers["etag"]
    assert ask(server, "/digits.txt", Range="bytes=0-1", If_Range=tag).status == 206
    assert ask(server, "/digits.txt", Range="bytes=0-1", If_Range='"x"').status == 200


def test_curl_resumes(server, tmp_path):
    out = tmp_path / "out"
    out.write_bytes((server.folder / "site/digits.txt").read_bytes()[:33_333])
    subprocess.run(["curl", "-sS", "-C", "-", "-o", str(out), server.url("/digits.txt")], check=True)
    assert out.read_bytes() == (server.folder / "site/digits.txt").read_bytes()
