"""What a handler receives: every field of the request table, and its methods."""
import json
import re

import pytest
import requests

from running import Answer, ask, log_of, new_folder, running, unix_get

MAIN = r"""
    local app = require "lunette"
    local json = require "lunette.json"
    local task = require "lunette.task"

    app.any("/show/*rest", function(req)
      return {
        method = req.method, path = req.path, raw_path = req.raw_path,
        query_string = req.query_string, target = req.target, version = req.version,
        scheme = req.scheme, host = req.host, port = req.port, remote_addr = req.remote_addr,
        remote_port = req.remote_port, id = req.id, body = req.body,
        types = { math.type(req.port), math.type(req.remote_port), type(req.id) },
      }
    end)
    app.any("/tables/:n{int}/:s", function(req)
      return { headers = req.headers, headers_all = req.headers_all, query = req.query,
        query_all = req.query_all, cookies = req.cookies, cookies_all = req.cookies_all,
        params = req.params }
    end)
    app.get("/pairs", function(req)
      local out = {}
      for _, source in ipairs { "headers", "query", "cookies", "params", "query_all" } do
        local names = {}
        for name in pairs(req[source]) do names[#names + 1] = name end
        local first = next(req[source])
        table.sort(names)
        out[source] = table.concat(names, ",") .. (first == nil and " empty" or "")
        assert(json.encode(req[source]))
      end
      return out
    end)
    app.get("/case", function(req)
      return { req.headers["x-test"], req.headers["X-TEST"], req.headers["X-Test"],
        tostring(req.headers.nope), tostring(req.headers[1]) }
    end)
    app.get("/kept", function(req)
      local headers, query = req.headers, req.query
      assert(headers == req.headers and query == req.query and req.id == req.id)
      req.query.added = "yes"
      req.user = { name = "Anna" }
      assert(req.query.added == "yes" and req.user.name == "Anna")
      assert(req.nothing == nil)
      return 204
    end)
    app.get("/own", function(req)
      local seen = {}
      req.mine = 1
      local _ = req.path
      for name in pairs(req) do seen[#seen + 1] = tostring(name) end
      table.sort(seen)
      return app.text(table.concat(seen, ","))
    end)

    -- a request that is over
    local old
    app.post("/over/keep", function(req)
      old = req
      local _ = req.path, req.query, req.body, req.headers
      return 204
    end)
    app.get("/over/read", function()
      local function try(fn)
        local ok, e = pcall(fn)
        return ok and "ok" or e
      end
      return { old.path, old.query.a, old.body, old.headers["x-old"],
        try(function() return old.host end), try(function() return old.cookies end),
        try(function() return old:set_cookie("a", "b") end) }
    end)

    app.get("/int", function(req) return app.text(tostring(req:int("n"))) end)
    app.get("/int/opts", function(req)
      return app.text(tostring(req:int("n", { default = 1, min = 1, max = 10 })))
    end)
    app.get("/int/from/:n", function(req)
      local n = req:int("n", { from = "params" })
      return app.text(n .. " " .. req:int("x-n", { from = "headers" }))
    end)
    app.get("/int/wrong", function(req) return req:int("n", { defualt = 1 }) end)

    local function show(v) return app.text(tostring(v)) end
    app.get("/accepts", function(req)
      return show(req:accepts("html", "application/json", "text"))
    end)
    app.get("/language", function(req) return show(req:accepts_language("en", "de", "pt-BR")) end)
    app.get("/encoding", function(req) return show(req:accepts_encoding("gzip", "identity")) end)
    app.get("/negotiate", function(req)
      return req:negotiate {
        json = function() return { as = "json" } end,
        html = function() return "<p>html" end,
        ["text/csv"] = function() return app.text("csv") end,
      }
    end)
    app.get("/accepts/wrong", function(req) return show(req:accepts("htlm")) end)

    app.any("/check", function(req) req:check("v1", 1000000000) return app.text("went on") end)
    app.put("/check/required", function(req) req:check("v1", { required = true }) return 204 end)

    app.get("/cookie", function(req)
      req:set_cookie("a", "1")
      req:set_cookie("b", "2",
        { path = "/x", max_age = 60, same_site = "Strict", http_only = false })
      req:expire_cookie("c")
      req:add_header("X-Added", "one")
      req:add_header("X-Added", 2)
      return app.text("body", 200, { ["X-Own"] = "3" })
    end)
    app.get("/cookie/error", function(req)
      req:set_cookie("a", "1")
      app.abort(403)
    end)
    app.get("/cookie/wrong", function(req) req:set_cookie("a", "x y") return 204 end)
    app.get("/cookie/split", function(req) req:set_cookie("a", req.query.v) return 204 end)

    app.get("/after", function(req)
      req:after(function() print("after: " .. req.path) end)
      req:after(function() task.sleep(0.01) print("after waits") end)
      req:after(function() error("after fails") end)
      req:after(function() print("after the failure") end)
      return app.text("sent")
    end)

    for _, name in ipairs { "int", "accepts", "check", "set_cookie", "add_header", "after",
        "negotiate", "expect_json", "read", "chunks" } do
      app.get("/dot/" .. name, function(req) return req[name]("x") end)
    end

    app.post("/echo", function(req) return 200, { ["Content-Type"] = "x/y" }, req.body end)
    app.post("/size", function(req) return app.text(#req.body) end)
    app.get("/bytes/:x", function(req)
      return 200, { ["Content-Type"] = "x/y" },
        req.params.x .. "|" .. tostring(req.query.q) .. "|" .. tostring(req.headers["x-raw"]) .. "|"
        .. tostring(req.cookies.c)
    end)
"""


@pytest.fixture(scope="module")
def site():
    folder = new_folder()
    folder.chmod(0o777)
    socket = folder / "s"
    with running({"scripts/main.lua": MAIN}, "--workers", "1",
                 "--listen", f"unix:{socket}") as server:
        server.socket = socket
        yield server


def show(server, target, **more):
    return json.loads(ask(server, target, **more).body)


def test_the_plain_fields(site):
    told = show(site, "/show/a%20b/../c%2Fd//e?x=1&y=%20", method="PATCH", host="Example.COM:8081",
                body=b"the body")
    assert told["method"] == "PATCH"
    assert told["raw_path"] == "/show/a%20b/../c%2Fd//e"
    assert told["query_string"] == "x=1&y=%20"
    assert told["target"] == "/show/a%20b/../c%2Fd//e?x=1&y=%20"
    assert told["path"].startswith("/show/c")
    assert told["version"] == "1.1" and told["scheme"] == "http"
    assert told["host"] == "example.com" and told["port"] == 8081
    assert told["remote_addr"] == "127.0.0.1" and 0 < told["remote_port"] < 65536
    assert told["body"] == "the body"
    assert told["types"] == ["integer", "integer", "string"]
    assert len(told["id"]) >= 8


def test_fields_that_are_not_there(site):
    told = show(site, "/show/")
    assert told["query_string"] == "" and told["body"] == "" and told["port"] == 80
    assert show(site, "/show/?")["query_string"] == ""
    assert show(site, "/show/", version="1.0")["version"] == "1.0"


def test_an_absolute_target_gives_the_host(site):
    told = show(site, "http://other.test:99/show/x?q", host="other.test:99")
    assert told["host"] == "other.test" and told["port"] == 99
    assert told["path"] == "/show/x" and told["raw_path"] == "/show/x"
    assert told["target"] == "http://other.test:99/show/x?q"
    assert show(site, "/show/", host="[::1]:8080")["host"] in ("[::1]", "::1")


def test_an_absolute_target_replaces_the_host_field(site):
    """RFC 9112 section 3.2.2: what the field says is to be ignored."""
    told = show(site, "http://other.test:99/tables/1/x", host="evil.test")
    assert told["headers"]["host"] == "other.test:99"
    assert told["headers_all"]["host"] == ["other.test:99"]


def test_each_request_has_an_id_of_its_own(site):
    ids = {show(site, "/show/")["id"] for _ in range(20)}
    assert len(ids) == 20


def test_over_a_unix_socket(site):
    told = json.loads(unix_get(site.socket, "/show/x").body)
    assert told["path"] == "/show/x" and told["scheme"] == "http"
    assert told["remote_addr"].startswith("unix") and told["remote_port"] == 0


def test_tables_of_values(site):
    answer = ask(site, "/tables/7/a%2Fb?a=1&b=2&a=3&empty=&bare&c=%C3%BC+x", "X-Test: one",
                 "x-test: two", "Cookie: sid=first; other=\"q\"", "Cookie: sid=second",
                 "X-Empty:")
    told = json.loads(answer.body)
    assert told["params"] == {"n": 7, "s": "a/b"}
    assert told["query"] == {"a": "3", "b": "2", "empty": "", "bare": "", "c": "ü x"}
    assert told["query_all"]["a"] == ["1", "3"] and told["query_all"]["b"] == ["2"]
    assert told["headers"]["x-test"] == "one, two" and told["headers"]["x-empty"] == ""
    assert told["headers_all"]["x-test"] == ["one", "two"]
    assert told["headers"]["host"] == "localhost"
    assert set(told["headers"]) == {"host", "connection", "x-test", "cookie", "x-empty"}
    assert told["cookies"]["sid"] == "first"
    assert told["cookies_all"]["sid"] == ["first", "second"]


def test_source_tables_are_plain_and_whole(site):
    told = json.loads(ask(site, "/pairs?b=1&a=2", "Cookie: c=1").body)
    assert told == {"headers": "connection,cookie,host", "query": "a,b", "cookies": "c",
                    "params": " empty", "query_all": "a,b"}
    told = json.loads(ask(site, "/pairs").body)
    assert told["query"] == told["cookies"] == " empty"


def test_headers_are_found_in_any_case(site):
    assert json.loads(ask(site, "/case", "x-TEST: v").body) == ["v", "v", "v", "nil", "nil"]


def test_values_are_made_once_and_may_be_added_to(site):
    assert ask(site, "/kept?a=1").status == 204
    assert ask(site, "/own").body == b"mine,path"


def test_what_was_read_stays_when_the_request_is_over(site):
    ask(site, "/over/keep?a=1", "X-Old: yes", method="POST", body=b"kept body")
    told = json.loads(ask(site, "/over/read").body)
    assert told[:4] == ["/over/keep", "1", "kept body", "yes"]
    for error in told[4:]:
        assert "the request is over" in error and "scripts/main.lua:" in error


def test_int(site):
    assert ask(site, "/int?n=42").body == b"42"
    assert ask(site, "/int?n=-9223372036854775808").body == b"-9223372036854775808"
    for query, why in [("", "n is missing"), ("?n=", "n must be an integer"), ("?n=1.5", "n must"),
                       ("?n=9223372036854775808", "n must be an integer"), ("?n=0x10", "n must"),
                       ("?n=-9223372036854775809", "n must be an integer")]:
        answer = ask(site, "/int" + query, "Accept: text/html")
        assert answer.status == 400 and why.encode() in answer.body
    assert ask(site, "/int/opts").body == b"1"
    assert b"at least 1" in ask(site, "/int/opts?n=0").body
    assert b"at most 10" in ask(site, "/int/opts?n=11").body
    assert ask(site, "/int/from/7", "X-N: 8").body == b"7 8"
    assert ask(site, "/int/wrong").status == 500
    assert '"default"' in log_of(site, "/int/wrong")


ACCEPTS = [
    ("/accepts", None, "html"), ("/accepts", "Accept: application/json", "application/json"),
    ("/accepts", "Accept: text/*;q=0.5, text/plain", "text"),
    ("/accepts", "Accept: text/html;q=0, */*", "application/json"),
    ("/accepts", "Accept: image/png", "nil"), ("/accepts", "Accept: */*", "html"),
    ("/language", None, "en"), ("/language", "Accept-Language: de-AT, en;q=0.5", "de"),
    ("/language", "Accept-Language: pt-BR", "pt-BR"), ("/language", "Accept-Language: fr", "nil"),
    ("/encoding", None, "gzip"), ("/encoding", "Accept-Encoding: gzip;q=0", "identity"),
    ("/encoding", "Accept-Encoding: br, gzip", "gzip"),
]


@pytest.mark.parametrize("path, field, best", ACCEPTS)
def test_accepts(site, path, field, best):
    answer = ask(site, path, *([field] if field else []))
    assert answer.body.decode() == best
    vary = {"/accepts": "Accept", "/language": "Accept-Language", "/encoding": "Accept-Encoding"}
    assert vary[path] in answer["Vary"].split(", ")


def test_a_type_that_nobody_knows_raises(site):
    assert ask(site, "/accepts/wrong").status == 500
    assert '"html"' in log_of(site, "/accepts/wrong")


def test_negotiate(site):
    assert ask(site, "/negotiate").body == b"<p>html"
    answer = ask(site, "/negotiate", "Accept: application/json")
    assert answer.body == b'{"as":"json"}' and "Accept" in answer["Vary"]
    assert ask(site, "/negotiate", "Accept: text/csv").body == b"csv"
    answer = ask(site, "/negotiate", "Accept: image/png")
    assert answer.status == 406 and "Accept" in answer["Vary"]


OLD, NEW = "Fri, 01 Jan 1999 00:00:00 GMT", "Fri, 01 Jan 2010 00:00:00 GMT"
CHECKS = [
    ("GET", [], 200), ("PUT", [], 200),
    ("GET", ['If-None-Match: "v1"'], 304), ("HEAD", ['If-None-Match: "v1"'], 304),
    ("GET", ['If-None-Match: "v0", W/"v1"'], 304), ("GET", ['If-None-Match: "v2"'], 200),
    ("PUT", ['If-None-Match: "v1"'], 412), ("PUT", ["If-None-Match: *"], 412),
    ("PUT", ['If-Match: "v1"'], 200), ("PUT", ['If-Match: "v0"'], 412),
    ("PUT", ["If-Match: *"], 200), ("PUT", ['If-Match: W/"v1"'], 412),
    ("GET", ['If-Match: "v0"'], 412),
    ("GET", [f"If-Modified-Since: {NEW}"], 304), ("GET", [f"If-Modified-Since: {OLD}"], 200),
    ("PUT", [f"If-Unmodified-Since: {OLD}"], 412), ("PUT", [f"If-Unmodified-Since: {NEW}"], 200),
]


@pytest.mark.parametrize("method, fields, status", CHECKS)
def test_check(site, method, fields, status):
    answer = ask(site, "/check", *fields, method=method)
    assert answer.status == status
    if status == 200 and method != "HEAD":
        assert answer.body == b"went on"
    if status == 304:
        assert answer.body == b"" and answer["ETag"] == '"v1"'


def test_check_required(site):
    assert ask(site, "/check/required", method="PUT").status == 428
    assert ask(site, "/check/required", 'If-Match: "v1"', method="PUT").status == 204
    assert ask(site, "/check/required", 'If-Match: "v2"', method="PUT").status == 412


def test_cookies_and_headers_are_added_to_whatever_is_returned(site):
    answer = ask(site, "/cookie")
    assert answer.body == b"body" and answer["X-Own"] == "3"
    assert answer.headers["x-added"] == ["one", "2"]
    a, b, c = answer.headers["set-cookie"]
    assert sorted(a.split("; ")) == ["HttpOnly", "Path=/", "SameSite=Lax", "a=1"]
    assert "b=2" in b and "Path=/x" in b and "Max-Age=60" in b and "SameSite=Strict" in b
    assert "HttpOnly" not in b
    assert c.startswith("c=;") and ("Max-Age=0" in c or "1970" in c)
    answer = ask(site, "/cookie/error")
    assert answer.status == 403 and answer["Set-Cookie"].startswith("a=1")


def test_cookies_in_a_browser_like_client(site):
    with requests.Session() as client:
        client.get(site.url("/cookie"))
        assert client.cookies["a"] == "1"
        told = client.get(site.url("/tables/1/x")).json()
        assert told["cookies"]["a"] == "1" and "b" not in told["cookies"]


def test_a_cookie_that_browsers_would_drop_raises(site):
    for path in ["/cookie/wrong", "/cookie/split?v=a%0d%0ab", "/cookie/split?v=a;b"]:
        answer = ask(site, path)
        assert answer.status == 500 and "set-cookie" not in answer.headers


def test_after_runs_once_the_answer_is_sent(site):
    assert ask(site, "/after").body == b"sent"
    site.wait_for(r"after waits")
    site.wait_for(r"scripts/main\.lua:\d+: after fails")
    site.wait_for(r"after the failure")
    assert re.search(r"scripts/main\.lua:\d+: after: /after", site.errors())
    assert ask(site, "/after").status == 200


@pytest.mark.parametrize("path, field", [("/accepts", "Accept"), ("/language", "Accept-Language"),
                                         ("/encoding", "Accept-Encoding")])
def test_no_element_of_a_long_accept_field_is_dropped_in_silence(site, path, field):
    value = ",".join(f"x{i}" for i in range(64)) if field != "Accept" else ",".join(["a/b"] * 64)
    assert ask(site, path, f"{field}: {value}").status == 200
    assert ask(site, path, f"{field}: {value}, */*").status == 400
    site.wait_for(f"400 GET {path}: {field} has more than 64 elements")
    assert ask(site, "/nowhere", f"{field}: {value}, */*").status == 404


@pytest.mark.parametrize("name", ["int", "accepts", "check", "set_cookie", "add_header", "after",
                                  "negotiate", "expect_json", "read", "chunks"])
def test_a_method_called_with_a_dot_says_so(site, name):
    assert ask(site, f"/dot/{name}").status == 500
    log = log_of(site, f"/dot/{name}")
    assert f"req.{name}: call with a colon" in log and "scripts/main.lua:" in log


def test_bodies(site):
    every = bytes(range(256)) * 3
    assert ask(site, "/echo", method="POST", body=every).body == every
    answer = Answer(site.raw(
        b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n1;ext=1\r\nd\r\n0\r\nX-Trailer: t\r\n\r\n"))
    assert answer.body == b"abcd"
    large = b"0123456789abcdef" * 65536            # beyond limits.body_memory
    assert ask(site, "/echo", method="POST", body=large).body == large
    assert ask(site, "/size", method="POST", body=b"x" * (16 << 20)).body == b"16777216"
    assert ask(site, "/size", method="POST", body=b"x" * ((16 << 20) + 1)).status == 413
    assert "limits.body_bytes" in log_of(site, "/size")


def test_bytes_that_are_not_utf_8_arrive_as_they_are(site):
    data = site.raw(b"GET /bytes/%FFa%80?q=%FE+x HTTP/1.1\r\nHost: x\r\nX-Raw: a\xe9b\r\n"
                    b"Cookie: c=\xfcx\r\nConnection: close\r\n\r\n")
    assert Answer(data).body == b"\xffa\x80|\xfe x|a\xe9b|\xfcx"
