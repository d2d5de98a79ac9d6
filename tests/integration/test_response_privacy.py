"""The route option cache: what a handler or middleware read of one visitor never reaches another."""
import base64
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from running import ask, running

# One route for each way of reading: the answer names who asks, and must name no one else.
MAIN = r"""
    local app = require "lunette"
    local cache = require "lunette.cache"
    local json = require "lunette.json"
    local task = require "lunette.task"

    local function name_in(text) return text and text:match("name=(%w+)") or "nobody" end
    local function slowly(text)
      task.sleep(0.02) -- so that others come meanwhile
      return app.text("for " .. text)
    end
    local ways = {}

    function ways.cookies(req) return slowly(req.cookies.name or "nobody") end
    function ways.cookies_all(req) return slowly((req.cookies_all.name or { "nobody" })[1]) end
    function ways.header(req) return slowly(name_in(req.headers.cookie)) end
    function ways.header_case(req) return slowly(name_in(req.headers["COOKIE"])) end
    function ways.headers_all(req)
      return slowly(name_in((req.headers_all.Cookie or { "nobody" })[1]))
    end
    function ways.pairs(req)
      local found
      for name, value in pairs(req.headers) do if name == "cookie" then found = value end end
      return slowly(name_in(found))
    end
    function ways.pairs_all(req)
      local found
      for name, values in pairs(req.headers_all) do if name == "cookie" then found = values[1] end end
      return slowly(name_in(found))
    end
    function ways.next(req)
      local found
      local name, value = next(req.headers)
      while name do
        if name == "cookie" then found = value end
        name, value = next(req.headers, name)
      end
      return slowly(name_in(found))
    end
    function ways.in_next(req)
      local found
      for name, value in next, req.headers do if name == "cookie" then found = value end end
      return slowly(name_in(found))
    end
    function ways.json(req) return slowly(name_in(json.encode(req.headers))) end
    function ways.pretty(req) return slowly(name_in(json.encode(req.headers, { sort = true }))) end
    function ways.raw(req) return slowly(name_in(rawget(req.headers, "cookie"))) end
    function ways.returned(req) task.sleep(0.02) return { seen = req.headers } end
    function ways.response(req) return app.json({ seen = req.headers_all }) end
    function ways.kept_in_cache(req)
      cache.set(req.id, req.headers)
      return slowly(name_in(json.encode(cache.get(req.id))))
    end
    function ways.spawned(req)
      local found
      local handle = task.spawn(function() task.sleep(0.005) found = req.cookies.name end)
      handle:join()
      return slowly(found or "nobody")
    end
    function ways.coroutine(req)
      local read = coroutine.wrap(function() coroutine.yield(name_in(req.headers.cookie)) end)
      return slowly(read())
    end
    function ways.caught(req)
      local ok, name = pcall(function() return name_in(req.headers.cookie) end)
      return slowly(name)
    end
    function ways.aborted(req) app.abort(slowly(name_in(req.headers.cookie))) end
    function ways.missing(req) app.abort(404, "for " .. name_in(req.headers.cookie)) end
    function ways.set_cookie(req)
      local name = req.cookies.name or "nobody"
      req:set_cookie("again", name)
      return slowly(name)
    end
    function ways.own_cookie_header(req)
      local name = req.cookies.name or "nobody"
      return 200, { ["Set-Cookie"] = "a=" .. name, ["Content-Type"] = "text/plain" }, "for " .. name
    end
    function ways.private(req)
      return 200, { ["cache-control"] = "Private, max-age=5" }, "for " .. name_in(req.headers.cookie)
    end
    function ways.streamed(req)
      return app.stream(function(write) task.sleep(0.01) write("for " .. name_in(req.headers.cookie)) end)
    end
    function ways.authorization(req) return slowly(name_in(req.headers.authorization)) end
    function ways.kept_table(req)
      return slowly(name_in(req.held.cookie)) -- held by middleware, which did not read it
    end
    for way, handler in pairs(ways) do
      app.get("/by/" .. way, { cache = 60, use = function(req, handle)
        req.held = req.headers
        local agent = req.headers["user-agent"] -- nobody's own
        return handle(req)
      end }, handler)
    end

    -- middleware that hands on what it read
    local function user(req, handle)
      req.user = req.cookies.name or "nobody"
      return handle(req)
    end
    local function of_user(req) return slowly(req.user) end
    app.get("/by/route_use", { cache = 60, use = user }, of_user)
    app.get("/field/:name", { cache = 60 }, function(req)
      return app.text("for " .. (req.headers[req.params.name] or "nobody"))
    end)
    app.get("/scrubbed", { cache = 60, use = function(req, handle)
      req.headers.cookie, req.headers.authorization = nil, nil
      req.headers["x-real-ip"] = "new"
      return handle(req)
    end }, function(req)
      local seen = {}
      for name, value in pairs(req.headers) do seen[name] = value end
      return app.text(("%s %s %s"):format(req.headers.cookie, seen.authorization, seen["x-real-ip"]))
    end)
    app.group("/by/group", { cache = 60, use = user }, function(g) g.get("", of_user) end)
    app.use("/by/app_use", user)
    app.get("/by/app_use", { cache = 60 }, of_user)
    app.use("/by/captured", user)
    app.get("/by/captured/:x", { cache = 60 }, of_user)

    -- a session that is loaded when it is first asked for
    local function session(req, handle)
      req.session = setmetatable({}, { __index = function(_, key)
        return key == "name" and (req.cookies.name or "nobody")
      end })
      return handle(req)
    end
    app.get("/by/session", { cache = 60, use = session }, function(req)
      return slowly(req.session.name)
    end)

    -- what is made around a response that is everybody's
    app.get("/by/wrapped", { cache = { ttl = 60, max_age = 60 }, use = function(req, handle)
      local res = handle(req)
      res.body = "for " .. (req.cookies.name or "nobody") .. res.body
      return res
    end }, function() cache.incr("wrapped") task.sleep(0.02) return app.text(", and everybody") end)

    app.group("/by/page", { cache = 60 }, function(g)
      g.on_error(404, function(req) return app.text("for " .. (req.cookies.name or "nobody")) end)
      g.get("", function() app.abort(404) end)
    end)
    app.get("/by/etag", { cache = 60, etag = function(req) return req.cookies.name or "nobody" end },
      function(req) task.sleep(0.01) return app.text("for " .. (req.cookies.name or "nobody")) end)
    app.get("/by/tags", { cache = { ttl = 60, tags = function(req, res)
      res.body = "for " .. (req.cookies.name or "nobody")
      return { "a" }
    end } }, function() return app.text("nobody") end)

    -- and where it is said for whom it is
    app.get("/by/vary", { cache = { ttl = 60, vary = { "Cookie" }, max_age = 9 } }, function(req)
      cache.incr("vary")
      return slowly(req.cookies.name or "nobody")
    end)
    app.get("/by/key", { cache = { ttl = 60, max_age = 9, key = function(req)
      return req.cookies.name or ""
    end } }, function(req) cache.incr("key") return slowly(req.cookies.name or "nobody") end)
    app.get("/by/nil_key", { cache = { ttl = 60, key = function(req)
      if req.cookies.name then return nil end
      return "nobody"
    end } }, function(req) return slowly(req.cookies.name or "nobody") end)

    app.get("/address", { cache = 60 }, function(req) cache.incr("address") return req.remote_addr end)
    app.get("/runs/:k", function(req) return app.text(cache.get(req.params.k) or "0") end)
"""
WAYS = re.findall(r"function ways\.(\w+)", MAIN) + [
    "route_use", "group", "app_use", "captured/x", "session", "wrapped", "page", "etag", "tags",
    "vary", "key", "nil_key"]
VISITORS = [f"visitor{i}" for i in range(8)] + ["nobody"]


@pytest.fixture(scope="module")
def site():
    with running({"scripts/main.lua": MAIN}, "--workers", "3") as server:
        yield server


def fields_of(visitor, way):
    if visitor == "nobody":
        return ()
    return (f"{'Authorization' if way == 'authorization' else 'Cookie'}: name={visitor}",)


def visit(site, way, visitor, query=""):
    return ask(site, f"/by/{way}{query}", *fields_of(visitor, way))


def assert_own(answer, visitor, way):
    text = answer.body.decode() + str(answer.headers)
    for other in VISITORS:
        if other != visitor and other != "nobody":
            assert other not in text, (way, visitor, text)
    if way != "raw" and visitor != "nobody":  # rawget finds nothing there, which is nobody's either
        assert visitor in text, (way, visitor, text)


@pytest.mark.parametrize("way", WAYS)
def test_what_was_read_of_a_visitor_never_reaches_another(site, way):
    """Everybody at once while it is cold, and then again and again, over all workers."""
    with ThreadPoolExecutor(18) as pool:
        jobs = [(v, pool.submit(visit, site, way, v)) for v in VISITORS * 5]
        for visitor, job in jobs:
            assert_own(job.result(), visitor, way)


def test_every_way_is_tried_by_a_visitor_alone_first(site):
    """In order, so that the first answer would be the one that is given to the next."""
    for way in WAYS:
        for visitor in VISITORS:
            assert_own(visit(site, way, visitor, "?again"), visitor, way)


def test_what_middleware_adds_around_a_kept_response_is_its_own(site):
    answers = [visit(site, "wrapped", v, "?w") for v in VISITORS for _ in range(2)]
    assert ask(site, "/runs/wrapped").body in (b"1", b"2", b"3")  # one for each query asked here
    for answer in answers:
        assert answer.body.endswith(b", and everybody")
        assert "etag" not in answer.headers  # it would be that of another body
        assert "cache-control" not in answer.headers


def test_vary_and_key_keep_one_for_each(site):
    for way in ("vary", "key"):
        before = int(ask(site, f"/runs/{way}").body)
        for _ in range(3):
            for visitor in VISITORS:
                answer = visit(site, way, visitor, "?each")
                assert answer.body == f"for {visitor}".encode()
        assert int(ask(site, f"/runs/{way}").body) == before + len(VISITORS)
    assert visit(site, "vary", "visitor1")["cache-control"] == "max-age=9"
    assert visit(site, "vary", "visitor1")["vary"] == "cookie"
    # no header tells caches on the way for whom this is
    assert visit(site, "key", "visitor1")["cache-control"] == "private, max-age=9"
    assert visit(site, "key", "visitor1")["cache-control"] == "private, max-age=9"


def test_the_address_counts_too(site):
    for _ in range(3):
        assert ask(site, "/address").body == b"127.0.0.1"
    assert ask(site, "/runs/address").body == b"3"


def test_a_warning_says_so_once_with_the_line_of_the_route(site):
    for _ in range(6):
        visit(site, "cookies", "visitor1", "?warned")
        visit(site, "route_use", "visitor1", "?warned")
        visit(site, "pairs", "visitor1", "?warned")
        ask(site, "/address?warned")
    said = site.errors()
    line = MAIN[:MAIN.index("app.get(\"/by/route_use\"")].count("\n") + 1
    assert said.count("the answers of GET /by/cookies ") == 1, said
    assert ('of GET /by/cookies are not kept by its cache: its handler read req.cookies; say for '
            'whom they are, by vary = {"cookie"} or key = function(req)') in said
    assert said.count("the answers of GET /by/route_use ") == 1
    assert (f"scripts/main.lua:{line}: the answers of GET /by/route_use are not kept by its cache: "
            "middleware read req.cookies;") in said
    assert "of GET /address are not kept by its cache: its handler read req.remote_addr; say for " \
           "whom they are, by key = function(req)" in said
    assert "of GET /by/pairs are not kept by its cache: its handler read all of req.headers;" in said
    assert "of GET /by/wrapped " not in said and "of GET /by/key " not in said


def test_tables_are_whole_for_who_iterates(site):
    """What is noted must not be missing."""
    answer = ask(site, "/by/returned", "Cookie: name=visitor1", "Authorization: Basic eDp5", "X-A: b")
    for part in (b'"cookie":"name=visitor1"', b'"authorization":"Basic eDp5"', b'"x-a":"b"'):
        assert part in answer.body
    answer = ask(site, "/by/response", "Cookie: name=visitor1", "Cookie: b=c")
    assert b'"cookie":["name=visitor1","b=c"]' in answer.body


AUTHORIZED = r"""
    local app = require "lunette"
    local cache = require "lunette.cache"
    local function run(req) return cache.incr("runs of " .. req.raw_path) end
    app.get("/plain", { cache = 60 }, function(req) return app.text(run(req)) end)
    app.get("/public", { cache = 60 }, function(req)
      return 200, { ["Cache-Control"] = "public, max-age=5" }, tostring(run(req))
    end)
    app.get("/vary", { cache = { ttl = 60, vary = { "authorization" } } }, function(req)
      return app.text(run(req) .. (req.headers.authorization or ""))
    end)
    app.get("/body", { cache = 60 }, function(req) return app.text(run(req) .. req.body) end)
    -- keys that say nothing of the visitor, or only now and then
    app.get("/page", { cache = { ttl = 60, key = function(req) return req.query.page end } },
      function(req) return app.text(run(req) .. " for " .. tostring(req.cookies.name)) end)
    app.get("/sometimes", { cache = { ttl = 60, key = function(req)
      return req.query.all and "all" or req.cookies.name or "nobody"
    end } }, function(req) return app.text(run(req) .. " for " .. tostring(req.cookies.name)) end)
    app.get("/user", { cache = { ttl = 60, key = function(req) return req.user end },
      use = function(req, handle)
        req.user = req.cookies.name or "nobody"
        return handle(req)
      end }, function(req) return app.text(run(req) .. " for " .. req.user) end)
    -- middleware that reads for some only, and a key that does not tell
    app.get("/some", { cache = { ttl = 60, key = function() return "same" end },
      use = function(req, handle)
        if req.query.x ~= nil and req.headers["x-read"] then req.user = req.cookies.name end
        return handle(req)
      end }, function(req) return app.text(run(req) .. " for " .. tostring(req.user)) end)
    app.get("/wrong", { cache = { ttl = 60, key = function() return {} end } }, function() return "" end)

    app.get("/lazy", { cache = 60 }, function(req)
      local user = req.headers["x-user"]
      return app.text(run(req) .. (user and req.cookies.name or ""))
    end)
"""


def test_authorization_that_nobody_reads(serve):
    """RFC 9111 section 3.5: kept and given only when the response says that it may be."""
    site = serve({"scripts/main.lua": AUTHORIZED})
    sent = "Authorization: Basic " + base64.b64encode(b"a:b").decode()
    assert [ask(site, "/plain", sent).body for _ in range(2)] == [b"1", b"2"]
    assert [ask(site, "/plain").body for _ in range(2)] == [b"3", b"3"]
    assert ask(site, "/plain", sent).body == b"4"
    assert ask(site, "/plain").body == b"3"
    assert [ask(site, "/public", sent).body for _ in range(2)] == [b"1", b"1"]
    assert ask(site, "/public").body == b"1"
    assert [ask(site, "/vary", sent).body for _ in range(2)] == [b"1Basic YTpi"] * 2
    assert [ask(site, "/vary").body for _ in range(2)] == [b"2"] * 2


@pytest.mark.parametrize("name", [
    "authorization", "proxy-authorization", "x-api-key", "x-auth-token", "remote-user",
    "x-remote-user", "x-forwarded-user", "forwarded", "x-forwarded-for", "x-real-ip",
    "true-client-ip", "cf-connecting-ip"])
def test_fields_that_say_who_asks_reach_nobody_else(site, name):
    for who in ("a", "b", None):
        said = ask(site, f"/field/{name}", *([f"{name}: {who}"] if who else []))
        assert said.body == f"for {who or 'nobody'}".encode()


def test_a_field_that_middleware_takes_away_is_gone(site):
    """On a watched route as on any other; and what it puts there instead is what is read."""
    for _ in range(2):
        answer = ask(site, "/scrubbed", "Cookie: name=visitor1", "Authorization: Basic eDp5")
        assert answer.body == b"nil nil new"


def test_a_get_with_a_body_is_nobody_elses(serve):
    site = serve({"scripts/main.lua": AUTHORIZED})
    assert ask(site, "/body", body=b"mine").body == b"1mine"
    assert [ask(site, "/body").body for _ in range(2)] == [b"2", b"2"]
    assert ask(site, "/body", body=b"mine").body == b"3mine"


def test_an_answer_to_who_is_not_read_does_not_show_who_is(serve):
    site = serve({"scripts/main.lua": AUTHORIZED})
    assert ask(site, "/lazy", "X-User: yes", "Cookie: name=a").body == b"1a"
    assert ask(site, "/lazy", "X-User: yes", "Cookie: name=b").body == b"2b"
    assert ask(site, "/lazy", "Cookie: name=c").body == b"3"
    assert ask(site, "/lazy").body == b"3"


def test_a_key_covers_what_was_read_for_it_and_no_more(serve):
    site = serve({"scripts/main.lua": AUTHORIZED})

    def as_(name, path):
        return ask(site, path, f"Cookie: name={name}").body.decode()
    for path in ("/page?page=1", "/sometimes?all=1"):
        assert [as_(name, path) for name in "abab"] == ["1 for a", "2 for b", "3 for a", "4 for b"]
        assert f"GET {path.split('?')[0]} are not kept by its cache: its handler read" in site.errors()
    for path, first in (("/sometimes", 5), ("/user", 1)):
        assert [as_(name, path) for name in "abab"] == [
            f"{first} for a", f"{first + 1} for b", f"{first} for a", f"{first + 1} for b"]


def test_a_kept_answer_is_not_for_who_was_read_less_of(serve):
    site = serve({"scripts/main.lua": AUTHORIZED})
    assert ask(site, "/some?x", "X-Read: 1", "Cookie: name=a").body == b"1 for a"
    assert ask(site, "/some?x", "Cookie: name=b").body == b"2 for nil"
    assert ask(site, "/some?x").body == b"3 for nil"


def test_a_key_of_another_type_is_told(serve):
    site = serve({"scripts/main.lua": AUTHORIZED})
    assert ask(site, "/wrong").status == 500
    assert re.search(r"cache.key of the route at scripts/main.lua:\d+ must return a string, a number "
                     "or nil, not a table", site.errors())
