"""The route option cache: whole responses, one fill at a time over all workers, app.purge."""
import gzip
import os
import signal
import socket
import struct
import threading
import time

import pytest

from conftest import eventually, together
from running import ask, running

MAIN = r"""
    local app = require "lunette"
    local cache = require "lunette.cache"
    local task = require "lunette.task"

    -- Every answer begins with the number of its run.
    local function run(req)
      local n = cache.incr("runs of " .. req.path)
      if req.query.s then task.sleep(tonumber(req.query.s)) end
      return n
    end
    app.get("/runs", function(req) return app.text(cache.get("runs of " .. req.query.of) or 0) end)
    app.get("/stats", function() return cache.stats() end)
    local f = assert(io.open("/proc/self/stat"))
    local pid = f:read("n")
    f:close()
    app.get("/pid", function() return app.text(pid) end)

    app.get("/plain", { cache = 60 }, function(req) return app.text(run(req)) end)
    app.get("/slow/:x", { cache = "5m" }, function(req)
      return app.text(run(req) .. " " .. req.params.x)
    end)
    app.get("/short", { cache = "300ms" }, function(req) return app.text(run(req)) end)
    app.get("/stale", { cache = { ttl = "500ms", stale = 60 } }, function(req)
      return app.text(run(req))
    end)
    app.get("/max", { cache = { ttl = 60, max_age = "2m" } }, function(req) return app.text(run(req)) end)
    app.get("/max/own", { cache = { ttl = 60, max_age = "2m" } }, function(req)
      return 200, { ["Cache-Control"] = "max-age=7" }, tostring(run(req))
    end)
    app.get("/max/not", { cache = { ttl = 60, max_age = "2m" } }, function(req)
      return app.text(run(req) .. tostring(req.cookies.a))
    end)
    app.get("/host", { cache = 60 }, function(req)
      return app.text(run(req) .. (" %s %s %d"):format(req.scheme, req.host, req.port))
    end)
    app.get("/named", { cache = 60 }, function(req)
      return app.text(req.headers.host:lower():gsub(":80$", "") .. " " .. req.target)
    end)
    app.get("/status/:n{int}", { cache = 60 }, function(req)
      return req.params.n, { Location = "/", ["X-Run"] = run(req) }, "body"
    end)
    app.get("/abort/:n{int}", { cache = 60 }, function(req)
      app.abort(req.params.n, "run " .. run(req))
    end)
    app.get("/headers", { cache = 60 }, function(req)
      req:add_header("X-Added", "by req")
      return 200, { ["X-One"] = run(req), ["X-Two"] = { "a", "b" }, Age = 100,
        Link = "</a>; rel=next" }, { json = { 1, 2 } }
    end)
    app.get("/ages", { cache = { ttl = 60, key = function(req) return req.query.age end } },
      function(req) return 200, { Age = req.query.age }, "" end)
    app.get("/empty", { cache = 60 }, function(req)
      return app.response(200, { ["X-Run"] = run(req) })
    end)
    app.get("/large", { cache = 60 }, function(req) return app.text(run(req) .. ("x"):rep(2^20)) end)
    app.get("/stream", { cache = 60 }, function(req)
      local n = run(req)
      return app.stream(function(write) write(tostring(n)) end)
    end)
    app.get("/file", { cache = 60 }, function(req) run(req) return app.file("site/f.txt") end)
    app.get("/text", { cache = 60 }, function(req) run(req) return app.text(("line\n"):rep(2000)) end)
    app.get("/etag", { cache = 60, etag = true }, function(req) return app.text(run(req)) end)
    app.get("/version", { cache = 60, etag = function() return "v1" end }, function(req)
      return app.text(run(req))
    end)
    app.get("/checked", { cache = 60 }, function(req)
      req:check("v1")
      return 200, { ETag = '"v1"' }, tostring(run(req))
    end)
    app.get("/negotiated", { cache = 60 }, function(req)
      return req:negotiate {
        html = function() return app.html(run(req) .. " html") end,
        json = function() return app.json { run = run(req) } end,
      }
    end)
    app.get("/language", { cache = { ttl = 60 }, use = function(req, handle)
      req.language = req:accepts_language("en", "de")
      return handle(req)
    end }, function(req) return app.text(run(req) .. " " .. req.language) end)
    app.get("/two/vary", { cache = 60 }, function(req)
      local a = req:accepts("html", "json")
      local l = a == "json" and req:accepts_language("en", "de") or "-"
      return app.text(("%d %s %s"):format(run(req), a, l))
    end)
    app.get("/vary/star", { cache = 60 }, function(req)
      return 200, { Vary = "*" }, tostring(run(req))
    end)
    app.get("/vary/option", { cache = { ttl = 60, vary = { "X-Kind" } } }, function(req)
      return app.text(run(req) .. " " .. tostring(req.headers["x-kind"]))
    end)
    app.route({ "GET", "POST" }, "/both", { cache = 60 }, function(req)
      return app.text(req.method .. " " .. run(req))
    end)
    app.group("/group", { cache = 60, etag = true }, function(g)
      g.get("/a", function(req) return app.text(run(req)) end)
      g.get("/b", { cache = false }, function(req) return app.text(run(req)) end)
      g.post("/a", function(req) return 204 end)
    end)

    -- what cannot be kept, or fails
    app.get("/cookie", { cache = 60 }, function(req)
      req:set_cookie("a", "b")
      return app.text(run(req))
    end)
    app.get("/no-store", { cache = 60 }, function(req)
      return 200, { ["cache-control"] = "No-Store" }, tostring(run(req))
    end)
    app.get("/fails/:n{int}", { cache = 60 }, function(req)
      local n = run(req)
      if n <= req.params.n then error("run " .. n) end
      return app.text(n)
    end)

    app.get("/late", { cache = 60, timeout = "700ms" }, function(req)
      local n = run(req)
      if n == 1 then task.sleep(5) end
      return app.text(n)
    end)
    app.get("/bad/tags", { cache = { ttl = 60, tags = function() return { 5 } end } }, function()
      return "x"
    end)

    -- middleware runs on hits
    app.get("/counted", { cache = 60, use = function(req, handle)
      local n = cache.incr("middleware of /counted")
      req:add_header("X-Before", tostring(n))
      local res = handle(req)
      res.headers["X-After"] = tostring(n)
      return res
    end }, function(req) return app.text(run(req)) end)

    -- purging
    app.get("/tagged/:x", { cache = { ttl = 60, tags = { "all" } } }, function(req)
      return app.text(run(req))
    end)
    app.get("/posts/:id", { cache = { ttl = 60, tags = function(req, res)
      return { "post " .. req.params.id, "length " .. #res.body }
    end } }, function(req) return app.text(run(req)) end)
    -- a text that changes: the answer is read first, and given later
    app.get("/text/now", { cache = { ttl = 60, stale = 60, tags = { "text" } } }, function(req)
      local version = cache.get("text") or 0
      task.sleep(math.random() / 50)
      return app.text(version)
    end)
    app.post("/text", function(req)
      local version = cache.incr("text")
      if version % 2 == 0 then app.purge("/text/now") else app.purge { tag = "text" } end
      return app.text(version)
    end)
    app.post("/purge", function(req)
      local q = req.query
      return app.text(tostring(app.purge(q.path or { tag = q.tags and { q.tag, q.tags } or q.tag })))
    end)
    app.post("/clear", function() cache.clear() return 204 end)
    app.get("/misuse", function(req)
      local said = {}
      for i, v in ipairs { "x", 5, {}, { tag = 5 }, { tags = "a" } } do
        local ok, why = pcall(app.purge, v)
        said[i] = why
      end
      return app.text(table.concat(said, "\n"))
    end)
    app.purge("/plain") -- while it loads, too
"""
FILES = {"scripts/main.lua": MAIN, "site/f.txt": "a" * (1 << 20)}


@pytest.fixture(scope="module")
def site():
    with running(FILES, "--workers", "3") as server:
        yield server


def body(site, path, *fields, **options):
    answer = ask(site, path, *fields, **options)
    assert answer.status == 200, (answer.status, answer.body)
    return answer.body.decode()


def runs(site, path):
    return int(body(site, f"/runs?of={path}"))


def all_of(site, path, n=24):
    """Asks until every worker had its chance."""
    return {body(site, path) for _ in range(n)}


def purge(site, query):
    assert ask(site, f"/purge?{query}", method="POST").body == b"true"


# --- the key, and what is kept ---

def test_a_response_is_made_once_for_all_workers(site):
    assert all_of(site, "/plain") == {"1"}


def test_scheme_host_port_path_and_query_tell_responses_apart(site):
    def at(path, host):
        return body(site, path, host=host)
    assert at("/host", "a.example") == "1 http a.example 80"
    assert at("/host", "b.example") == "2 http b.example 80"
    assert at("/host", "a.example:81") == "3 http a.example 81"
    assert at("/host", "A.Example:80") == "1 http a.example 80"
    assert at("/host?", "a.example") == "1 http a.example 80"
    assert at("/host?x", "a.example") == "4 http a.example 80"
    assert at("/host?x=1&y=2", "a.example") == "5 http a.example 80"
    assert at("/host?y=2&x=1", "a.example") == "6 http a.example 80"
    assert at("/host?x=1&y=2", "a.example") == "5 http a.example 80"
    assert body(site, "/slow/a%2Fb") == "1 a/b"
    assert body(site, "/slow/a%2fb") == "2 a/b"  # as sent


@pytest.mark.parametrize("line, field", [
    ("GET http://shared.example/named?{} HTTP/1.1", "evil.example"),
    ("GET /named?{} HTTP/1.1", "shared.example:99999999999999999999"),
    ("GET http://shared.example/named?{} HTTP/1.1", "shared.example"),
])
def test_a_host_field_that_is_not_the_host_poisons_nobodys_page(site, line, field):
    """The target's host goes before the field's (RFC 9112 section 3.2.2), which a handler can read."""
    query = str(abs(hash((line, field))))
    head = [line.format(query), f"Host: {field}", "Connection: close", "", ""]
    site.raw("\r\n".join(head).encode())
    said = ask(site, f"/named?{query}", host="shared.example").body.decode()
    assert said == f"shared.example /named?{query}"
    again = ask(site, f"/named?{query}", host="SHARED.example:80")
    assert again.body.decode() == said and "age" in again.headers


def test_a_host_that_is_no_number_of_a_port(site):
    assert ask(site, "/host", host="a:99999999999999").status in (200, 400)


@pytest.mark.parametrize("status, kept", [
    (200, True), (203, True), (301, True), (308, True), (404, True), (410, True),
    (201, False), (202, False), (302, False), (303, False), (307, False), (400, False),
    (403, False), (500, False), (503, False)])
def test_statuses(site, status, kept):
    first, second = [ask(site, f"/status/{status}") for _ in range(2)]
    assert first.status == second.status == status
    assert (first["x-run"] == second["x-run"]) == kept
    assert first.body == second.body == b"body"
    assert ("age" in second.headers) == kept and "age" not in first.headers


def test_an_abort_is_kept_with_its_page(site):
    pages = [ask(site, "/abort/404") for _ in range(3)]
    assert [p.status for p in pages] == [404] * 3
    assert all(b"run 1" in p.body for p in pages)
    as_json = ask(site, "/abort/404", "Accept: application/problem+json")
    assert as_json["content-type"] == "application/problem+json" and b"run 2" in as_json.body
    assert b"run 1" in ask(site, "/abort/404").body


def test_headers_and_bodies_come_back_as_they_were(site):
    first, second = [ask(site, "/headers") for _ in range(2)]
    for name in ("x-one", "x-two", "x-added", "link", "content-type"):
        assert sorted(first.headers[name]) == sorted(second.headers[name]), name
    assert first.body == second.body == b'{"json":[1,2]}'
    assert second["content-type"] == "application/json" and second["x-two"] == "a, b"
    assert int(second["age"]) >= 100
    assert [ask(site, "/empty")["x-run"] for _ in range(2)] == ["1", "1"]


def test_what_is_no_string_or_too_large_passes_through(site):
    assert [ask(site, "/stream", version="1.0").body for _ in range(2)] == [b"1", b"2"]
    assert [len(body(site, "/file")) for _ in range(2)] == [1 << 20] * 2
    assert runs(site, "/file") == 2
    assert [body(site, "/large")[:2] for _ in range(3)] == ["1x", "2x", "3x"]
    assert site.errors().count("GET /large are not kept by its cache: one has more than the 1048576 ") == 1


def test_cookies_and_directives_forbid_it(site):
    for path in ("/cookie", "/no-store", "/vary/star"):
        assert [body(site, path) for _ in range(2)] == ["1", "2"]
    assert "GET /cookie are not kept by its cache: its handler sets a cookie" in site.errors()
    assert "GET /no-store" not in site.errors()


def test_head_is_answered_from_gets_and_never_kept_as_it(site):
    head = ask(site, "/slow/head", method="HEAD")
    assert head.status == 200 and head.body == b"" and runs(site, "/slow/head") == 1
    get = ask(site, "/slow/head")
    assert get.body == b"2 head"
    head = ask(site, "/slow/head", method="HEAD")
    assert runs(site, "/slow/head") == 2 and head.body == b""
    for name in ("content-length", "content-type", "etag"):
        assert head[name] == get[name]
    assert "age" in head.headers


def test_other_methods_pass_and_take_it_back(site):
    assert [body(site, "/both") for _ in range(2)] == ["GET 1", "GET 1"]
    assert body(site, "/both", method="POST") == "POST 2"
    assert [body(site, "/both") for _ in range(2)] == ["GET 3", "GET 3"]


def test_a_group_gives_it_to_its_routes(site):
    assert all_of(site, "/group/a", 5) == {"1"}
    assert [body(site, "/group/b") for _ in range(2)] == ["1", "2"]
    ask(site, "/group/a", method="POST")
    assert all_of(site, "/group/a", 5) == {"2"}


# --- variants ---

def test_each_variant_has_its_own(site):
    for _ in range(3):
        assert body(site, "/negotiated", "Accept: text/html") == "1 html"
        answer = ask(site, "/negotiated", "Accept: application/json")
        assert answer.body == b'{"run":2}' and "Accept" in answer.headers["vary"]
    assert ask(site, "/negotiated", "Accept: image/png").status == 406


def test_what_middleware_negotiated_counts(site):
    for _ in range(3):
        assert body(site, "/language", "Accept-Language: de") == "1 de"
        assert body(site, "/language", "Accept-Language: en") == "2 en"
        assert body(site, "/language") == "3 en"


def test_variants_of_variants(site):
    for _ in range(2):
        assert body(site, "/two/vary", "Accept: text/html", "Accept-Language: de") == "1 html -"
        assert body(site, "/two/vary", "Accept: text/html", "Accept-Language: en") == "1 html -"
        as_json = ("Accept: application/json",)
        assert body(site, "/two/vary", *as_json, "Accept-Language: de") == "2 json de"
        assert body(site, "/two/vary", *as_json, "Accept-Language: en") == "3 json en"


def test_headers_that_the_option_names(site):
    for _ in range(2):
        assert body(site, "/vary/option", "X-Kind: a") == "1 a"
        assert body(site, "/vary/option", "X-Kind: b") == "2 b"
        assert body(site, "/vary/option") == "3 nil"
        assert body(site, "/vary/option", "X-Kind:") in ("4 ", "4 nil")
    assert "x-kind" in ask(site, "/vary/option")["vary"].lower()


# --- age and lifetime ---

def test_age_counts_from_the_making(site):
    assert "age" not in ask(site, "/slow/age").headers
    assert ask(site, "/slow/age")["age"] in ("0", "1")
    time.sleep(2)
    assert int(ask(site, "/slow/age")["age"]) >= 2


@pytest.mark.parametrize("age, least", [("5", 5), ("5.5", 5), ("-1", 0), ("1e99", 0), ("x", 0),
                                        ("nan", 0)])
def test_an_age_that_a_handler_gives(site, age, least):
    ask(site, f"/ages?age={age}")
    assert least <= int(ask(site, f"/ages?age={age}")["age"]) < least + 5


def test_max_age_is_for_what_is_kept(site):
    assert [ask(site, "/max")["cache-control"] for _ in range(2)] == ["max-age=120"] * 2
    assert ask(site, "/max?q", method="HEAD")["cache-control"] == "max-age=120"
    assert [ask(site, "/max/own")["cache-control"] for _ in range(2)] == ["max-age=7"] * 2
    assert "cache-control" not in ask(site, "/max/not").headers


def test_it_expires(site):
    assert body(site, "/short") == "1"
    eventually(lambda: body(site, "/short") == "2")


def test_stale_while_one_fills(site):
    path = "/stale?s=1.5"
    assert body(site, path) == "1"
    time.sleep(0.6)
    filler = {}
    t = threading.Thread(target=lambda: filler.update(body=body(site, path)))
    t.start()
    eventually(lambda: runs(site, "/stale") == 2)
    assert "1" in {body(site, path) for _ in range(5)}
    t.join()
    assert filler["body"] == "2" and runs(site, "/stale") == 2


# --- conditions, ranges, codings ---

def test_conditions(site):
    first = ask(site, "/text")
    tag = first["etag"]
    assert ask(site, "/text")["etag"] == tag
    same = ask(site, "/text", f"If-None-Match: {tag}")
    assert same.status == 304 and same.body == b"" and same["etag"] == tag
    assert ask(site, "/text", 'If-None-Match: "other"').status == 200
    assert ask(site, "/text", 'If-Match: "other"').status == 412
    assert runs(site, "/text") == 1


def test_ranges(site):
    part = ask(site, "/text", "Range: bytes=5-9")
    assert part.status == 206 and part.body == b"line\n"
    assert part["content-range"] == "bytes 5-9/10000"
    assert ask(site, "/text", "Range: bytes=20000-").status == 416
    assert runs(site, "/text") == 1


def test_coded_forms(site):
    tag = ask(site, "/text")["etag"]
    for _ in range(3):
        coded = ask(site, "/text", "Accept-Encoding: gzip")
        assert coded["content-encoding"] == "gzip" and "Accept-Encoding" in coded["vary"]
        assert gzip.decompress(coded.body) == b"line\n" * 2000
        assert coded["etag"] == tag[:-1] + '-gzip"'
    assert ask(site, "/text", f"If-None-Match: {coded['etag']}",
               "Accept-Encoding: gzip").status == 304
    assert ask(site, "/text").body == b"line\n" * 2000
    assert runs(site, "/text") == 1


@pytest.mark.parametrize("path", ["/slow/cond", "/etag", "/version", "/checked"])
def test_a_conditional_request_fills_for_all(site, path):
    """What it asks is judged on the whole answer, which is kept."""
    part = ask(site, path, "Range: bytes=0-0", 'If-None-Match: "v1", "none"')
    assert part.status == (304 if path in ("/version", "/checked") else 206)
    whole = ask(site, path)
    assert whole.status == 200 and "age" in whole.headers and runs(site, path) == 1
    assert ask(site, path, f"If-None-Match: {whole['etag']}").status == 304
    assert runs(site, path) == 1


# --- middleware ---

def test_middleware_runs_for_every_request(site):
    answers = [ask(site, "/counted") for _ in range(3)]
    assert [a.body for a in answers] == [b"1"] * 3
    assert [a.headers["x-before"] for a in answers] == [["1"], ["2"], ["3"]]
    assert [a.headers["x-after"] for a in answers] == [["1"], ["2"], ["3"]]


# --- one fill ---

def test_32_cold_clients_are_one_fill(site):
    begun = time.monotonic()
    bodies = together(*[lambda: body(site, "/slow/cold?s=0.5")] * 32)
    assert set(bodies) == {"1 cold"} and time.monotonic() - begun < 10


def test_variants_are_filled_by_one_each(site):
    jobs = [lambda kind=kind: body(site, "/vary/option?s=0.3&cold", f"X-Kind: {kind}")
            for kind in "pqr" * 8]
    before = runs(site, "/vary/option")
    bodies = together(*jobs)
    assert len(set(bodies)) == 3 and runs(site, "/vary/option") == before + 3


@pytest.mark.parametrize("path", ["/cookie", "/no-store", "/stream", "/file", "/max/not",
                                  "/status/302"])
def test_what_cannot_be_kept_does_not_queue(site, path):
    """Ten that take 0.2 s each: the first is waited for, the others run together."""
    begun = time.monotonic()
    answers = together(*[lambda: ask(site, f"{path}?s=0.2&queue")] * 10)
    assert time.monotonic() - begun < 1.5
    assert {a.status for a in answers} <= {200, 302}


def test_a_fill_that_fails_is_passed_on(site):
    answers = together(*[lambda: ask(site, "/fails/1?s=0.2")] * 12)
    assert sorted(a.status for a in answers) == [200] * 11 + [500]
    assert {a.body for a in answers if a.status == 200} == {b"2"}


def test_what_always_fails_does_not_queue(site):
    begun = time.monotonic()
    answers = together(*[lambda: ask(site, "/fails/999999?s=0.2")] * 16)
    assert {a.status for a in answers} == {500}
    assert time.monotonic() - begun < 2.5


def test_a_fill_that_takes_too_long_is_passed_on(site):
    with site.wire() as w:
        w.get("/late")
        eventually(lambda: runs(site, "/late") == 1)
        time.sleep(0.3)  # so that those who wait have more time left
        assert {a.body for a in together(*[lambda: ask(site, "/late")] * 4)} == {b"2"}
        assert w.answer().status == 503


def test_tags_of_another_type_are_told(site):
    assert ask(site, "/bad/tags").status == 500
    assert "cache.tags of the route at scripts/main.lua:" in site.errors()


def test_a_request_without_a_host(site):
    answer = site.raw(b"GET /host HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200") and b"http  80" in answer


def test_who_leaves_passes_the_fill_on(site):
    with site.wire() as w:
        w.get("/slow/left?s=0.5")
        eventually(lambda: runs(site, "/slow/left") == 1)
        w.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
    answers = together(*[lambda: body(site, "/slow/left?s=0.5")] * 6)
    assert set(answers) == {"2 left"}


def test_a_worker_that_dies_passes_its_fill_on(serve):
    site = serve(FILES)
    pids = set(site.workers())
    with site.wire() as w, site.wire() as other:
        w.get("/pid")
        pid = int(w.answer().body)
        other.get("/pid")
        while int(other.answer().body) == pid:
            other.s.close()
            other.s, other.buffer = site.connect(), b""
            other.get("/pid")
        w.get("/slow/dies?s=1")
        eventually(lambda: runs_by(other, "/slow/dies") == 1)
        other.get("/slow/dies?s=1")
        assert pid in pids
        os.kill(pid, signal.SIGKILL)
        assert other.answer().body == b"2 dies"


def runs_by(wire, path):
    return int(wire.get(f"/runs?of={path}").answer().body)


# --- app.purge ---

def test_purging_a_path_takes_all_of_it_back_in_all_workers(site):
    paths = ["/slow/purged", "/slow/purged?x=1"]
    before = {p: all_of(site, p) for p in paths}
    before["host"] = body(site, "/slow/purged", host="other.example")
    other = all_of(site, "/slow/purge")
    purge(site, "path=/slow/purged")
    after = {p: all_of(site, p) for p in paths}
    after["host"] = body(site, "/slow/purged", host="other.example")
    assert all(len(after[p]) == 1 and after[p] != before[p] for p in paths)
    assert after["host"] != before["host"]
    assert all_of(site, "/slow/purge") == other


@pytest.mark.parametrize("path, purged", [
    ("/slow/caf%C3%A9", "/slow/caf%25C3%25A9"), ("/slow/a%3Fb", "/slow/a%3Fb"),
    ("/slow/a%3Fc", "/slow/a%253Fc"), ("/slow/sl/", "/slow/sl"), ("/slow/sm", "/slow/sm/"),
    ("/slow/q?a=b", "/slow/q%3Fx=y"), ("/slow/100%25", "/slow/100%25")])
def test_a_path_may_be_written_in_both_ways(site, path, purged):
    first = body(site, path)
    assert body(site, path) == first
    purge(site, f"path={purged}")
    assert body(site, path) != first


def test_purging_a_tag(site):
    before = [body(site, f"/tagged/{x}") for x in "ab"]
    posts = [body(site, f"/posts/{n}") for n in (1, 2)]
    assert before == [body(site, f"/tagged/{x}") for x in "ab"] == ["1", "1"]
    purge(site, "tag=all")
    assert [all_of(site, f"/tagged/{x}") for x in "ab"] == [{"2"}, {"2"}]
    assert posts == [body(site, f"/posts/{n}") for n in (1, 2)]
    purge(site, "tag=post+1")
    assert [all_of(site, f"/posts/{n}") for n in (1, 2)] == [{"2"}, {"1"}]
    purge(site, "tag=nobody&tags=length+1")
    assert [all_of(site, f"/posts/{n}") for n in (1, 2)] == [{"3"}, {"2"}]


@pytest.mark.parametrize("how", ["path=/slow/late", "path=/posts/late", "tag=post+late", "clear"])
def test_a_fill_that_began_before_a_purge_keeps_nothing(site, how):
    path = "/slow/late" if "slow" in how or how == "clear" else "/posts/late"
    before = runs(site, path)
    target = f"{path}?s=0.5&{how}"
    filler = threading.Thread(target=lambda: body(site, target))
    filler.start()
    eventually(lambda: runs(site, path) == before + 1)
    if how == "clear":
        assert ask(site, "/clear", method="POST").status == 204
        before = -1  # the count of runs is a value as well
    else:
        purge(site, how)
    assert body(site, target)[0] == str(before + 2)
    filler.join()
    assert body(site, target)[0] == str(before + 2)


def test_stale_responses_are_purged_too(site):
    path = "/stale?s=0.4&p"
    first = body(site, path)
    time.sleep(0.6)
    purge(site, "path=/stale")
    assert first not in together(*[lambda: body(site, path)] * 6)


def test_nobody_sees_what_was_before_a_purge_that_is_over(site):
    """A change, its purge, and then any worker: many times, while others read all the time."""
    over = threading.Event()
    least, seen = [0], []

    def read():
        while not over.is_set():
            before = least[0]
            got = int(body(site, "/text/now"))
            seen.append(got)
            assert got >= before, (got, before)

    def change():
        try:
            for _ in range(60):
                least[0] = int(body(site, "/text", method="POST"))
                assert int(body(site, "/text/now")) == least[0]
        finally:
            over.set()
    together(change, *[read] * 6)
    assert len(seen) > 60


def test_misuse_of_purge(site):
    said = body(site, "/misuse").splitlines()
    assert 'the path "x" must begin with "/"' in said[0]
    assert "a path or {tag=} expected, not the number 5" in said[1]
    assert "a path or {tag=} expected" in said[2]
    assert "app.purge: tag must be a table" in said[3] and '"tag"' in said[4]
    assert all("scripts/main.lua:" in line for line in said)
