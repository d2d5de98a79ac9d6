"""Which handler answers: patterns, methods, hosts, groups, and url_for."""
import json

import pytest
import requests

from running import ask, log_of, make_folder, running, start_fails

MAIN = r"""
    local app = require "lunette"

    -- A handler that tells its name and what it was given.
    local function says(name)
      return function(req, ...)
        return 200, { ["X-Route"] = name, ["X-Method"] = req.method },
          { route = name, params = req.params, more = select("#", ...) }
      end
    end

    app.get("/", says "root")

    -- every form for one segment, declared from the widest to the narrowest …
    app.get("/down/*rest", says "rest")
    app.get("/down/:name", says "plain")
    app.get("/down/:slug{slug}", says "slug")
    app.get("/down/:word{%l+}", says "pattern")
    app.get("/down/:id{int}", says "int")
    app.get("/down/:id{uuid}", says "uuid")
    app.get("/down/photo-:name", says "text before")
    app.get("/down/new", says "literal")
    -- … and the other way round
    app.get("/up/new", says "literal")
    app.get("/up/photo-:name", says "text before")
    app.get("/up/:id{uuid}", says "uuid")
    app.get("/up/:id{int}", says "int")
    app.get("/up/:word{%l+}", says "pattern")
    app.get("/up/:slug{slug}", says "slug")
    app.get("/up/:name", says "plain")
    app.get("/up/*rest", says "rest")

    app.get("/photo/:id{%x+}.jpg", says "photo")
    app.get("/trip/:from-to-:to", says "trip")
    app.get("/braces/:x{[{}]+}", says "braces")
    app.get("/only/:id{int}", says "only int")
    app.get("/whole/:x{%d%d}", says "whole")

    app.get("/back/lit/other", says "lit other")
    app.get("/back/:x/end", says "x end")
    app.get("/back/:id{int}/num", says "int num")
    app.get("/back/:x/*rest", says "x rest")

    app.get("/files/*path", says "files")
    app.get("/one/:x", says "one")
    app.get("/two/:x/:y", says "two")
    app.get("/café/crème brûlée", says "words")

    app.get("/m/:x", says "get x")
    app.post("/m/lit", says "post lit")
    app.put("/every", says "put")
    app.patch("/every", says "patch")
    app.delete("/every", says "delete")
    app.any("/any", says "any")
    app.route({ "GET", "POST" }, "/some", says "some")
    app.get("/head", says "get")
    app.head("/head", says "own head")
    app.options("/opt", says "own options")
    app.get("/opt", says "get opt")

    app.get("/same", says "same")
    app.get("/strict", { strict = true }, says "strict bare")
    app.get("/both", { strict = true }, says "both bare")
    app.get("/both/", { strict = true }, says "both slash")
    app:get("/colon", says "colon")

    app.group("/api", { strict = true }, function(g)
      g.get("/users", says "api users")
      g.group("/v:version{int}", function(v)
        v:get("/users/:id{int}", { name = "user" }, says "versioned")
        v.get("/loose", { strict = false }, says "loose")
      end)
    end)

    app.post("/small", { max_body = "1K" }, function(req) return app.text(#req.body) end)
    app.get("/slow", { timeout = "200ms" }, function() require "lunette.task".sleep(20) end)
    app.static("/other", "shared", { max_age = 60, headers = { ["X-Folder"] = "shared" } })
    app.static("/spa", "shared", { index = "start.html", fallback = "start.html" })

    app.get("/tags/:tag/*rest", { name = "tag" }, says "tag")
    app.get("/slash/:x/", { name = "slash" }, says "slash")
    app.get("/photo2/:id{%x+}.jpg", { name = "photo" }, says "photo2")
    app.post("/url", function(req)
      local args = load("return " .. req.body, "=args", "t", {})
      local ok, url = pcall(app.url_for, args())
      return app.text(ok and url or "error: " .. url)
    end)

    app.get("/who", says "everybody")
    app.get("/shared", says "everybody's own")
    app.host("api.example.com", function(h)
      h.get("/who", says "api")
      h.get("/api-only", says "api only")
      h.group("/in", function(g) g.get("/side", says "api group") end)
    end)
    app.host("*.example.com", function(h)
      h.get("/who", says "below example.com")
      h.get("/wild", says "wild")
    end)
    app.host("*.deep.example.com", function(h) h.get("/who", says "deep") end)
    app.host("*", function(h) h.get("/who", says "unknown") end)
"""


@pytest.fixture(scope="module")
def site():
    files = {"scripts/main.lua": MAIN, "shared/a.txt": "from shared\n",
             "shared/start.html": "<p>start", "site/plain.txt": "a file\n"}
    with running(files) as server:
        yield server


def route(server, target, **more):
    """The name of the route that answered, and its params; or the status."""
    answer = ask(server, target, **more)
    if answer.status != 200:
        return answer.status
    told = json.loads(answer.body)
    return told["route"], told["params"]


UUID = "123e4567-e89b-12d3-a456-426614174000"


@pytest.mark.parametrize("order", ["down", "up"])
def test_the_most_specific_pattern_wins_in_any_order_of_declaration(site, order):
    def at(segment):
        return route(site, f"/{order}/{segment}")
    assert at("new") == ("literal", {})
    assert at("photo-42") == ("text before", {"name": "42"})
    assert at(UUID) == ("uuid", {"id": UUID})
    assert at("42") == ("int", {"id": 42})
    assert at("word") == ("pattern", {"word": "word"})
    assert at("Word-2") == ("slug", {"slug": "Word-2"})
    assert at("a.b") == ("plain", {"name": "a.b"})
    assert at("a/b/c") == ("rest", {"rest": "a/b/c"})
    assert at("") == ("rest", {"rest": ""})


def test_int_gives_an_integer_and_nothing_beyond_64_bits(site):
    assert route(site, "/only/7") == ("only int", {"id": 7})
    assert route(site, "/only/007") == ("only int", {"id": 7})
    assert route(site, "/only/9223372036854775807") == ("only int", {"id": 2**63 - 1})
    for word in ["9223372036854775808", "1.5", "1e3", "0x10", "", "%20"]:
        assert route(site, f"/only/{word}") == 404


def test_literal_text_around_captures(site):
    assert route(site, "/photo/beef.jpg") == ("photo", {"id": "beef"})
    assert route(site, "/photo/.jpg") == 404
    assert route(site, "/photo/xyz.jpg") == 404
    assert route(site, "/photo/beef.png") == 404
    assert route(site, "/trip/rome-to-oslo") == ("trip", {"from": "rome", "to": "oslo"})
    assert route(site, "/trip/a-to-b-to-c") == ("trip", {"from": "a", "to": "b-to-c"})


def test_a_lua_pattern_must_match_the_whole_decoded_segment(site):
    assert route(site, "/whole/12") == ("whole", {"x": "12"})
    assert route(site, "/whole/%31%32") == ("whole", {"x": "12"})
    assert route(site, "/whole/123") == 404
    assert route(site, "/braces/%7B%7D") == ("braces", {"x": "{}"})


def test_matching_tracks_back_over_every_form(site):
    assert route(site, "/back/lit/other") == ("lit other", {})
    assert route(site, "/back/lit/end") == ("x end", {"x": "lit"})
    assert route(site, "/back/5/num") == ("int num", {"id": 5})
    assert route(site, "/back/5/end") == ("x end", {"x": "5"})
    assert route(site, "/back/5/x/y") == ("x rest", {"x": "5", "rest": "x/y"})
    assert route(site, "/back/lit/num") == ("x rest", {"x": "lit", "rest": "num"})


def test_the_rest_may_be_empty(site):
    assert route(site, "/files") == ("files", {"path": ""})
    assert route(site, "/files/") == ("files", {"path": ""})
    assert route(site, "/files/a%20b/c") == ("files", {"path": "a b/c"})


def test_segments_are_split_before_they_are_decoded(site):
    assert route(site, "/one/a%2Fb") == ("one", {"x": "a/b"})
    assert route(site, "/two/a%2fb/c") == ("two", {"x": "a/b", "y": "c"})
    assert route(site, "/two/a%2Fb") == 404
    assert route(site, "/one%2Fa") == 404
    assert route(site, "/one/%252F") == ("one", {"x": "%2F"})


def test_literals_are_compared_decoded(site):
    assert route(site, "/caf%C3%A9/cr%c3%a8me%20br%C3%BBl%C3%A9e") == ("words", {})
    assert route(site, "/caf%C3%A9/cr%c3%a8me+br%C3%BBl%C3%A9e") == 404


def test_an_invalid_escape_or_a_nul_is_a_bad_request(site):
    for target in ["/one/%zz", "/one/%4", "/one/%", "/one/%00", "/%00", "/one/a%00b"]:
        assert route(site, target) == 400


def test_a_trailing_slash_is_the_same_route_without_a_redirect(site):
    assert route(site, "/same") == route(site, "/same/") == ("same", {})
    assert route(site, "/one/x/") == ("one", {"x": "x"})
    assert route(site, "/slash/x") == route(site, "/slash/x/") == ("slash", {"x": "x"})


def test_strict_tells_the_two_apart(site):
    assert route(site, "/strict") == ("strict bare", {})
    assert route(site, "/strict/") == 404
    assert route(site, "/both") == ("both bare", {})
    assert route(site, "/both/") == ("both slash", {})


def test_groups_nest_and_their_options_are_defaults(site):
    assert route(site, "/api/users") == ("api users", {})
    assert route(site, "/api/users/") == 404
    assert route(site, "/api/v2/users/7") == ("versioned", {"version": 2, "id": 7})
    assert route(site, "/api/v2/users/7/") == 404
    assert route(site, "/api/v2/loose/") == ("loose", {"version": 2})
    assert route(site, "/colon") == ("colon", {})


def test_a_handler_gets_exactly_one_argument(site):
    assert json.loads(ask(site, "/same").body)["more"] == 0
    assert json.loads(ask(site, "/one/x").body)["more"] == 0


def test_the_most_specific_path_that_has_the_method_wins(site):
    assert route(site, "/m/lit") == ("get x", {"x": "lit"})
    assert route(site, "/m/lit", method="POST") == ("post lit", {})


def test_405_only_where_no_path_has_the_method(site):
    answer = ask(site, "/m/other", method="POST")
    assert answer.status == 405
    assert sorted(answer["Allow"].split(", ")) == ["GET", "HEAD", "OPTIONS"]
    answer = ask(site, "/m/lit", method="DELETE")
    assert answer.status == 405
    assert sorted(answer["Allow"].split(", ")) == ["GET", "HEAD", "OPTIONS", "POST"]
    assert ask(site, "/nowhere", method="POST").status == 404


def test_each_call_is_its_method(site):
    for method in ["PUT", "PATCH", "DELETE"]:
        assert route(site, "/every", method=method) == (method.lower(), {})
    assert ask(site, "/every").status == 405
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]:
        assert route(site, "/any", method=method) == ("any", {})
    assert ask(site, "/any", method="HEAD")["X-Method"] == "HEAD"
    assert route(site, "/some") == route(site, "/some", method="POST") == ("some", {})
    assert ask(site, "/some", method="PUT").status == 405


def test_get_answers_head_with_the_same_headers_and_no_body(site):
    get, head = ask(site, "/same"), ask(site, "/same", method="HEAD")
    assert head.status == 200 and head.body == b""
    assert head["X-Method"] == "HEAD"
    assert head["Content-Length"] == get["Content-Length"] == str(len(get.body))
    assert head["Content-Type"] == get["Content-Type"]


def test_a_head_route_of_its_own_wins(site):
    assert ask(site, "/head", method="HEAD")["X-Route"] == "own head"
    assert ask(site, "/head")["X-Route"] == "get"


def test_options_is_answered_where_no_route_does(site):
    answer = ask(site, "/m/lit", method="OPTIONS")
    assert answer.status == 204 and answer.body == b""
    assert sorted(answer["Allow"].split(", ")) == ["GET", "HEAD", "OPTIONS", "POST"]
    assert route(site, "/opt", method="OPTIONS") == ("own options", {})
    assert ask(site, "*", method="OPTIONS").status == 204
    assert ask(site, "/nowhere", method="OPTIONS").status == 404


def test_files_are_served_where_no_route_matches(site):
    assert ask(site, "/plain.txt").body == b"a file\n"
    answer = ask(site, "/plain.txt", method="POST")
    assert answer.status == 405 and "GET" in answer["Allow"]


def test_static_folders(site):
    answer = ask(site, "/other/a.txt")
    assert answer.body == b"from shared\n"
    assert answer["X-Folder"] == "shared" and answer["Cache-Control"] == "max-age=60"
    assert ask(site, "/other/../scripts/main.lua").status == 404
    assert ask(site, "/other/%2e%2e/scripts/main.lua").status == 404
    assert ask(site, "/spa/").body == ask(site, "/spa/any/page").body == b"<p>start"


def test_max_body_of_a_route(site):
    assert ask(site, "/small", method="POST", body=b"x" * 1024).body == b"1024"
    assert ask(site, "/small", method="POST", body=b"x" * 1025).status == 413
    assert "max_body" in log_of(site, "/small")


def test_timeout_of_a_route(site):
    assert ask(site, "/slow").status == 503
    assert "timeouts.handler" in log_of(site, "/slow")


HOSTS = [
    ("api.example.com", "api"), ("API.Example.COM", "api"), ("api.example.com:8080", "api"),
    ("www.example.com", "below example.com"), ("a.b.example.com", "below example.com"),
    ("x.deep.example.com", "deep"), ("deep.example.com", "below example.com"),
    ("example.com", "unknown"), ("other.org", "unknown"), ("127.0.0.1", "unknown"),
    ("[::1]:80", "unknown"), ("badexample.com", "unknown"),
]


@pytest.mark.parametrize("host, expected", HOSTS)
def test_hosts(site, host, expected):
    assert route(site, "/who", host=host) == (expected, {})


def test_routes_outside_serve_every_host(site):
    for host in ["api.example.com", "x.example.com", "nobody.org"]:
        assert route(site, "/shared", host=host) == ("everybody's own", {})
    assert route(site, "/api-only", host="api.example.com") == ("api only", {})
    assert route(site, "/api-only", host="www.example.com") == 404
    assert route(site, "/wild", host="api.example.com") == ("wild", {})
    assert route(site, "/in/side", host="api.example.com") == ("api group", {})


URLS = [
    ("'user', {version=2, id=7}", "/api/v2/users/7"),
    ("'tag', {tag='a b/c', rest='x/ü y'}", "/tags/a%20b%2Fc/x/%C3%BC%20y"),
    ("'tag', {tag='a', rest=''}, {b=2, a={'x','y z'}, c=true}",
     "/tags/a/?a=x&a=y%20z&b=2&c=true"),
    ("'photo', {id='beef'}", "/photo2/beef.jpg"),
    ("'slash', {x=1}", "/slash/1/"),
    ("'slash', {x=1}, nil, {absolute=true}", "http://www.test:81/slash/1/"),
]


@pytest.mark.parametrize("args, expected", URLS)
def test_url_for(site, args, expected):
    assert ask(site, "/url", method="POST", host="www.test:81",
               body=args.encode()).body.decode() == expected


URL_ERRORS = [
    ("'user', {version=2}", '"id" is missing'),
    ("'user', {version=2, id='x'}", "does not match its pattern"),
    ("'user', {version=2, id=7, extra=1}", '"extra" is not in'),
    ("'usr', {}", '"user"'),
    ("'slash', {x=''}", 'parameter "x"'),
    ("'slash', {x='..'}", "cannot be"),
]


@pytest.mark.parametrize("args, sentence", URL_ERRORS)
def test_url_for_raises_rather_than_lead_nowhere(site, args, sentence):
    body = ask(site, "/url", method="POST", body=args.encode()).body.decode()
    assert body.startswith("error: scripts/main.lua:") and sentence in body


def test_a_path_made_by_url_for_leads_back(site):
    made = ask(site, "/url", method="POST", body=b"'tag', {tag='a/b c%', rest='x/y z'}").body
    assert route(site, made.decode()) == ("tag", {"tag": "a/b c%", "rest": "x/y z"})


def test_an_ordinary_client(site):
    with requests.Session() as client:
        answer = client.get(site.url("/trip/Wien-to-Zürich"))
        assert answer.json()["params"] == {"from": "Wien", "to": "Zürich"}
        assert client.head(site.url("/same")).headers["X-Method"] == "HEAD"
        assert client.options(site.url("/m/lit")).headers["Allow"]
        assert client.post(site.url("/same/")).status_code == 405


REFUSED = [
    ('app.get("hello", print)', 'must begin with "/"'),
    ('app.get("/a//b", print)', "empty segment"),
    ('app.get("/:a/:a", print)', 'captures "a" twice'),
    ('app.get("/*rest/more", print)', "must be the last segment"),
    ('app.get("/:id{itn}", print)', "{int}"),
    ('app.get("/:id{%d+", print)', "without its }"),
    ('app.get("/:id{[a}", print)', "{"),
    ('app.get("/x")', "the handler must be a function, not nil"),
    ('app.get("/x", { nmae = "a" }, print)', '"name"'),
    ('app.get("/x", { max_body = "20X" }, print)', "max_body must be a size"),
    ('app.get("/x/:a", print)\napp.get("/x/:b", print)', "declared already at scripts/main.lua:2"),
    ('app.get("/x", {name="n"}, print)\napp.get("/y", {name="n"}, print)', 'the name "n"'),
    ('app.gte("/x", print)', "app.get"),
    ('app.route({"GETT"}, "/x", print)', "GET"),
    ('app.host("http://x.com/", print)', "host name without a port"),
    ('app.on_error(200, print)', "from 400 to 599"),
    ('app.static("/f", "no-such-folder")', "no-such-folder"),
    ('app.websocket("/ws", print)', "not in this version"),
    ('app.get("/x", { cache = "5x" }, print)', "cache.ttl must be a duration"),
]


@pytest.mark.parametrize("lines, sentence", REFUSED)
def test_a_wrong_declaration_ends_the_start_with_its_line(lines, sentence):
    folder = make_folder({
        "scripts/main.lua": 'local app = require "lunette"\n' + lines + "\n"})
    said = start_fails(folder, "--workers", "2")
    assert sentence in said
    assert f"scripts/main.lua:{2 + lines.count(chr(10))}:" in said


def test_routes_are_declared_while_main_lua_loads(serve):
    site = serve({"scripts/main.lua": """
        local app = require "lunette"
        app.get("/late", function() app.get("/new", print) return 204 end)
    """})
    assert ask(site, "/late").status == 500
    assert "scripts/main.lua:3: app.get: routes are declared while main.lua loads" \
        in log_of(site, "/late")
