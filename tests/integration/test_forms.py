"""What handlers receive, sent by real clients: requests and curl. Forms, JSON, files, cookies, queries."""
import hashlib
import json
import os
import subprocess

import pytest
import requests

from conftest import post

SITE = {
    "scripts/main.lua": """
        local app = require "lunette"
        local function part(p)
          return { name = p.name, filename = p.filename, content_type = p.content_type,
                   size = p.size, sha256 = p.sha256, detected = p.detected_type,
                   headers = p.headers, body = #p.body <= 200 and p.body or nil }
        end
        local function list(parts)
          local out = require "lunette.json".array {}
          for i, p in ipairs(parts) do out[i] = part(p) end
          return out
        end
        app.any("/all", function(req)
          local files, files_all = {}, {}
          for name, p in pairs(req.files) do files[name] = part(p) end
          for name, all in pairs(req.files_all) do files_all[name] = list(all) end
          return app.json { form = req.form, form_all = req.form_all, json = req.json,
            parts = list(req.parts), files = files, files_all = files_all,
            query = req.query, query_all = req.query_all,
            cookies = req.cookies, cookies_all = req.cookies_all, length = #req.body }
        end)
        app.post("/json", function(req)
          local value = req.json
          return app.json { kind = math.type(value) or type(value), value = value }
        end)
        app.post("/object", function(req) return app.json(req:expect_json()) end)
        app.post("/array", function(req) return app.json(req:expect_json { type = "array" }) end)
        app.post("/any", function(req)
          return app.json { value = req:expect_json { type = "any", null = true } }
        end)
        app.post("/misuse", function(req) return app.json(req:expect_json { type = "objekt" }) end)
        app.post("/int", function(req) return app.json { n = req:int("n", { from = "form" }) } end)
        app.post("/photo", { files = { photo = { type = "image/*", max = "1K", required = true },
            doc = { type = { "application/pdf", "text/plain" } } } }, function(req)
          return app.json { req.files.photo.detected_type }
        end)
        app.post("/raw", function(req) return app.text(req.form.a) end)
        app.post("/order", function(req)
          local f = req.files.f
          return app.json { #req.body, f.body, req.form.a, f == req.parts[2], f == req.files_all.f[1] }
        end)
        """,
}
PNG = (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0\x90wS\xde\0\0\0\x0cIDATx\x9cc```\0"
       b"\0\0\4\0\1\xf6\x178U\0\0\0\0IEND\xaeB`\x82")


@pytest.fixture
def server(serve):
    return serve(SITE, "--workers", "1")


def ask(server, path="/all", **options):
    answer = requests.post(server.url(path), timeout=20, **options)
    assert answer.status_code == 200, answer.text + server.errors()
    return answer.json()


def curl(server, path, *options, body=b""):
    done = subprocess.run(["curl", "-sS", "--max-time", "20", *options, server.url(path)],
                          input=body, capture_output=True, check=True)
    return json.loads(done.stdout)


# --- requests ---

def test_requests_sends_a_form(server):
    got = ask(server, data={"a": "1", "b": ["x", "y"], "c": "ä+b & c=d;e%", "empty": ""})
    assert got["form"] == {"a": "1", "b": "y", "c": "ä+b & c=d;e%", "empty": ""}
    assert got["form_all"]["b"] == ["x", "y"]
    assert got["files"] == {} and got["parts"] == [] and "json" not in got


def test_requests_sends_json(server):
    value = {"n": 9007199254740993, "big": -2**63, "f": 0.1, "s": "ä\u2028\0\ud83d\ude00", "t": True,
             "list": [1, [], {}, None], "empty": [], "o": {}}
    got = ask(server, json=value)
    assert got["json"] == value | {"s": "ä\u2028\0😀"}
    assert got["form"] == {} and got["files"] == {}


def test_requests_sends_files_as_a_form_does(server):
    big = os.urandom(100_000)
    got = ask(server, data={"title": "héllo", "tag": ["a", "b"]}, files=[
        ("photo", ("p.png", PNG, "image/jpeg")),
        ("doc", ("one.txt", b"first", "text/plain")),
        ("doc", ("two ü.bin", big)),
        ("none", ("", b"", "application/octet-stream")),
    ])
    assert got["form"] == {"title": "héllo", "tag": "b"}
    assert got["form_all"] == {"title": ["héllo"], "tag": ["a", "b"]}
    assert [p["name"] for p in got["parts"]][:3] == ["title", "tag", "tag"]
    photo = got["files"]["photo"]
    assert (photo["filename"], photo["content_type"], photo["detected"]) == (
        "p.png", "image/jpeg", "image/png")
    assert photo["size"] == len(PNG) and photo["sha256"] == hashlib.sha256(PNG).hexdigest()
    assert photo["headers"]["content-type"] == "image/jpeg"
    first, second = got["files_all"]["doc"]
    assert (first["filename"], first["body"], first["detected"]) == ("one.txt", "first", "text/plain")
    assert (second["filename"], second["size"]) == ("two ü.bin", len(big))
    assert second["sha256"] == hashlib.sha256(big).hexdigest()
    assert got["files"]["doc"]["filename"] == "two ü.bin"
    assert "none" not in got["files"] and "content_type" not in got["parts"][0]


def test_requests_sends_cookies_and_params(server):
    got = ask(server, cookies={"a": "1", "b": "two"},
              params={"q": ["x y", "z"], "u": "ü&=", "e": ""})
    assert got["cookies"] == {"a": "1", "b": "two"}
    assert got["query"] == {"q": "z", "u": "ü&=", "e": ""}
    assert got["query_all"]["q"] == ["x y", "z"]


@pytest.mark.parametrize("filename, bare", [
    ("../../etc/passwd", "passwd"), ("C:\\\\Users\\\\me\\\\cat.jpg", "cat.jpg"),
    ("/etc/", ""), ("..", ""), ("a\tb.txt", "ab.txt"), (".htaccess", ".htaccess"),
    ("日本.txt", "日本.txt"),
])
def test_filenames_are_bare(server, filename, bare):
    body = (f'--b\r\nContent-Disposition: form-data; name="f"; filename="{filename}"\r\n\r\nx\r\n'
            "--b--\r\n").encode()
    got = ask(server, data=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert got["files"]["f"]["filename"] == bare


# --- curl ---

def test_curl_sends_forms(server, tmp_path):
    (tmp_path / "p.png").write_bytes(PNG)
    (tmp_path / 'odd "name".txt').write_bytes(b"odd")
    got = curl(server, "/all", "-F", "title=hello world", "-F", f"photo=@{tmp_path}/p.png",
               "-F", f'odd=@"{tmp_path}/odd \\"name\\".txt"', "-F", "empty=",
               "-F", "typed=x;type=text/csv")
    assert got["form"] == {"title": "hello world", "empty": "", "typed": "x"}
    assert got["files"]["photo"]["detected"] == "image/png"
    assert got["files"]["odd"]["body"] == "odd"
    assert got["files"]["odd"]["filename"] in ('odd "name".txt', "odd %22name%22.txt")
    assert got["parts"][-1]["content_type"] == "text/csv"


def test_curl_sends_urlencoded(server):
    got = curl(server, "/all?x=1&x=2", "--data-urlencode", "a=ü & +", "--data-urlencode", "b=;%")
    assert got["form"] == {"a": "ü & +", "b": ";%"}
    assert got["query_all"] == {"x": ["1", "2"]}


def test_curl_waits_for_100_continue(server, tmp_path):
    (tmp_path / "f").write_bytes(b"x" * 200_000)
    got = curl(server, "/all", "-H", "Expect: 100-continue", "--expect100-timeout", "15",
               "-F", f"f=@{tmp_path}/f")
    assert got["files"]["f"]["size"] == 200_000


def test_curl_uploads_in_chunks(server):
    got = curl(server, "/all", "-X", "POST", "-H", "Content-Type: application/json", "-T", "-",
               body=json.dumps({"list": list(range(20_000))}).encode())
    assert got["json"]["list"][-1] == 19_999


# --- odd, but right ---

@pytest.mark.parametrize("text, form", [
    ("", {}), ("a", {"a": ""}), ("=x", {"": "x"}), ("&&a=1&&", {"a": "1"}),
    ("a=1;b=2", {"a": "1;b=2"}), ("a=%zz%4&b=%", {"a": "%zz%4", "b": "%"}),
    ("a=b=c", {"a": "b=c"}), ("a%3D=1", {"a=": "1"}), ("a=1&a=2", {"a": "2"}),
])
def test_urlencoded_text(server, text, form):
    got = ask(server, data=text, headers={
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"})
    assert got["form"] == form


def test_bytes_that_are_no_utf8_arrive_as_they_are(server):
    head = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = requests.post(server.url("/raw"), data=b"a=%ff%00\xfe", headers=head)
    assert answer.content == b"\xff\0\xfe"


def test_a_body_of_another_type_is_no_form(server):
    got = ask(server, data="a=1", headers={"Content-Type": "text/plain"})
    assert got["form"] == {} and got["parts"] == [] and got["length"] == 3


def test_everything_may_be_read_in_any_order(server):
    got = ask(server, "/order", data={"a": "1"}, files={"f": ("n", b"file")})
    assert got[1:] == ["file", "1", True, True] and got[0] > 100


MULTIPART = {
    "preamble and epilogue": "before\r\n--b\r\n{a}--b--\r\nafter\r\n--b\r\n",
    "no final newline": "--b\r\n{a}--b--",
    "padding": "--b \t\r\n{a}--b--  \r\n",
}


@pytest.mark.parametrize("name", MULTIPART)
def test_multipart_with_more_around_it(server, name):
    body = MULTIPART[name].format(
        a='Content-Disposition: form-data; name="a"\r\n\r\none\r\n--bo\r\n')
    body = body.replace("one\r\n--bo\r\n", "one\r\n-bo\r\n")
    got = ask(server, data=body, headers={"Content-Type": 'multipart/form-data; boundary="b"'})
    assert got["form"] == {"a": "one\r\n-bo"}


# --- JSON ---

def refused(server, path, data, kind="application/json", method="POST"):
    head = {"Content-Type": kind} if kind else {}
    answer = requests.request(method, server.url(path), data=data, timeout=20,
                              headers=head | {"Accept": "application/json"})
    return answer.status_code, answer.json()["detail"]


@pytest.mark.parametrize("text, where", [
    ('{"a": 1,}', "line 1, column 9"), ('{\n  "a": tru\n}', "line 2, column 8"), ("", "empty"),
    ('["\\ud800"]', "line 1"), ("[1] 2", "line 1, column 5"), ("\ufeff{}", "line 1, column 1"),
    ("[" * 100_000, "nested"),
])
def test_malformed_json_is_a_400_that_says_where(server, text, where):
    for path in ("/json", "/object"):
        status, detail = refused(server, path, text.encode())
        assert status == 400 and where in detail, detail
        server.wait_for(rf"info .*400 POST {path}: the body is .*{where}")


def test_expect_json(server):
    assert refused(server, "/object", "{}", "text/plain")[0] == 415
    assert refused(server, "/object", "{}", None)[0] == 415
    assert refused(server, "/object", "[]") == (422, "the JSON body must be an object, not an array")
    assert refused(server, "/object", "null") == (422, "the JSON body must be an object, not null")
    assert refused(server, "/array", '"x"') == (422, "the JSON body must be an array, not a string")
    answer = requests.post(server.url("/object"), data="x=1")
    assert answer.status_code == 415 and answer.headers["Accept"] == "application/json"
    assert ask(server, "/object", json={"a": None, "b": [None]}) == {"b": [None]}
    assert ask(server, "/any", json={"a": None}) == {"value": {"a": None}}
    assert ask(server, "/any", data="3", headers={"Content-Type": "application/x+json"}) == {"value": 3}
    assert ask(server, "/array", json=[]) == []


def test_a_wrong_type_for_expect_json_names_the_right_one(server):
    assert requests.post(server.url("/misuse"), json={}).status_code == 500
    server.wait_for(r'main.lua:\d+: req:expect_json: type must be .*"objekt".*"object"')


def test_int_reads_the_form(server):
    assert ask(server, "/int", data={"n": "42"}) == {"n": 42}
    assert requests.post(server.url("/int"), data={"n": "x"}).status_code == 400


# --- malformed multipart ---

BAD = {
    "the end is missing": ("--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx", 400),
    "no part": ("nothing", 400),
    "no disposition": ("--b\r\nX: y\r\n\r\nx\r\n--b--", 400),
    "no name": ("--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--", 400),
    "a field without a colon": ("--b\r\nContent-Disposition\r\n\r\nx\r\n--b--", 400),
    "a long head": ("--b\r\nX: " + "y" * 20_000 + "\r\n\r\nx\r\n--b--", 413),
    "many parts": ("--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n" * 1001 + "--b--", 413),
}


@pytest.mark.parametrize("name", BAD)
def test_malformed_multipart_is_refused_and_logged(server, name):
    body, expected = BAD[name]
    status, _ = refused(server, "/all", body, "multipart/form-data; boundary=b")
    assert status == expected
    server.wait_for(rf"info .*{expected} POST /all: the multipart body, .*at byte \d+")


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=",
                                  "multipart/form-data; boundary=" + "x" * 71])
def test_a_bad_boundary_is_a_400(server, kind):
    assert refused(server, "/all", "x", kind)[0] == 400
    server.wait_for("400 POST /all: the multipart body, .*boundary")


# --- the route option files ---

def photo(server, files):
    answer = requests.post(server.url("/photo"), files=files, timeout=20,
                           headers={"Accept": "application/json"})
    return answer.status_code, answer.json()


def test_files_are_held_against_the_option(server):
    assert photo(server, {"photo": ("x.txt", PNG, "text/plain")}) == (200, ["image/png"])
    status, problem = photo(server, {"photo": ("x.png", b"just text", "image/png")})
    assert status == 415 and problem["detail"] == (
        "photo: it is text/plain by its content, and must be image/*")
    status, problem = photo(server, {"photo": ("x.png", PNG + b"\0" * 2000, "image/png")})
    assert status == 413 and "files.photo.max" in problem["detail"] and "1024" in problem["detail"]
    assert photo(server, {"other": ("x.png", PNG)})[0] == 422
    assert photo(server, {"photo": ("", b"")})[0] == 422
    assert photo(server, [("photo", ("a", PNG)), ("photo", ("b", b"text"))])[0] == 415
    assert photo(server, [("photo", ("a", PNG)), ("doc", ("b", PNG))])[0] == 415
    assert photo(server, [("photo", ("a", PNG)), ("doc", ("b", b"%PDF-1.4\n%x\n"))])[0] == 200
    server.wait_for("info .*415 POST /photo: photo: it is text/plain")


# --- values that a request sends twice or not at all ---

def test_the_tables_are_complete_and_never_nil(server):
    with server.wire() as w:
        got = json.loads(w.send(post("/all", b"")).answer().body)
    for name in ("form", "files", "query", "cookies", "form_all", "files_all"):
        assert got[name] == {}
    assert got["parts"] == []
