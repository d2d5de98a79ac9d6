"""lunette.csrf: requests that change something need a token of the visitor's session."""
import re

import pytest
import requests

from running import log_of, make_folder, running, start_fails

MAIN = r"""
    local app = require "lunette"
    local session = require "lunette.session"
    local csrf = require "lunette.csrf"
    app.use(session.middleware{ STORE }, { files = false })
    app.use(csrf.middleware{ except = { "/hooks", "/api/:version/in/*" } }, { files = false })
    app.get("/token", function(req) return app.text(req:csrf_token()) end)
    app.get("/page", function(req) return req:csrf_token() .. " " .. req:csrf_token() end)
    app.get("/renew", function(req) session.renew(req) return app.text(req:csrf_token()) end)
    app.any("/change", function(req) return app.text("changed " .. (req.form.a or "")) end)
    app.any("/json", function(req) return app.json(req.json) end)
    app.any("/hooks", function() return app.text("hook") end)
    app.any("/hooks/deep/down", function() return app.text("hook") end)
    app.any("/hookslike", function() return app.text("changed") end)
    app.any("/api/v1/in/x", function() return app.text("hook") end)
    app.any("/api/v1/out", function() return app.text("changed") end)
    app.any("/:slug", function(req) return app.text("changed " .. req.params.slug) end)
    app.put("/upload", { stream_body = true }, function(req)
      local n = 0
      for chunk in req:chunks() do n = n + #chunk end
      return app.text(n)
    end)
"""
CONFIG = 'return { secret = "0123456789abcdef0123456789abcdef" }'


def files(store='store = "cookie"', main=MAIN):
    return {"scripts/main.lua": main.replace("STORE", store), "scripts/config.lua": CONFIG}


@pytest.fixture(scope="module", params=["cookie", "cache"])
def site(request):
    with running(files(f'store = "{request.param}"')) as server:
        yield server


@pytest.fixture
def visitor():
    with requests.Session() as s:
        yield s


def token_of(client, server):
    return client.get(server.url("/token"), timeout=20).text


def post(client, server, path="/change", method="POST", **options):
    return client.request(method, server.url(path), timeout=20, **options)


def test_a_form_needs_the_token(site, visitor):
    token = token_of(visitor, site)
    assert re.fullmatch(r"[\w-]{64}", token)
    refused = post(visitor, site, data={"a": "1"})
    assert refused.status_code == 403
    assert "This form cannot be accepted" in refused.text
    assert post(visitor, site, data={"a": "1", "csrf_token": token}).text == "changed 1"
    for _ in range(4):  # it is good again, in both workers
        assert post(visitor, site, data={"csrf_token": token}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_all_methods_that_change(site, visitor, method):
    token = token_of(visitor, site)
    assert post(visitor, site, method=method).status_code == 403
    assert post(visitor, site, method=method, headers={"X-CSRF-Token": token}).status_code == 200


def test_methods_that_only_read(site):
    for method in ("GET", "HEAD", "OPTIONS"):
        assert post(requests, site, method=method).status_code == 200


def test_multipart_and_header(site, visitor):
    token = token_of(visitor, site)
    parts = {"a": (None, "2"), "csrf_token": (None, token), "file": ("x.txt", b"text")}
    assert post(visitor, site, files=parts).text == "changed 2"
    assert post(visitor, site, files={"a": (None, "2")}).status_code == 403
    answer = post(visitor, site, "/json", json={"x": 1}, headers={"X-CSRF-Token": token})
    assert answer.json() == {"x": 1}
    assert post(visitor, site, "/json", json={"csrf_token": token}).status_code == 403


def test_a_streamed_body_has_it_in_the_header(site, visitor):
    token = token_of(visitor, site)
    answer = post(visitor, site, "/upload", "PUT", data=b"x" * 100000,
                  headers={"X-CSRF-Token": token})
    assert answer.text == "100000"
    assert post(visitor, site, "/upload", "PUT", data=b"x").status_code == 403
    assert "reads its body as it comes" in log_of(site, "/upload")


def test_the_token_of_another_session(site, visitor):
    token_of(visitor, site)
    with requests.Session() as other:
        theirs = token_of(other, site)
        assert post(visitor, site, data={"csrf_token": theirs}).status_code == 403
        assert post(other, site, data={"csrf_token": theirs}).status_code == 200
    assert post(requests, site, data={"csrf_token": theirs}).status_code == 403


def test_tokens_that_are_none(site, visitor):
    token = token_of(visitor, site)
    other = "A" if token[0] != "A" else "B"
    for bad in ("", "x", token[:-1], token + "A", other + token[1:], token[:30] + other + token[31:],
                "A" * 64, "é" * 32, "=" * 64):
        if bad == token:
            continue
        assert post(visitor, site, data={"csrf_token": bad}).status_code == 403, bad


def test_it_is_masked(site, visitor):
    """The same token in every compressed page could be guessed by their lengths."""
    one, two = visitor.get(site.url("/page"), timeout=20).text.split()
    assert one != two and one[:20] != two[:20]
    for token in (one, two):
        assert post(visitor, site, data={"csrf_token": token}).status_code == 200


def test_renewing_makes_another(site, visitor):
    old = token_of(visitor, site)
    new = visitor.get(site.url("/renew"), timeout=20).text
    assert post(visitor, site, data={"csrf_token": old}).status_code == 403
    assert post(visitor, site, data={"csrf_token": new}).status_code == 200


def test_what_the_browser_says_goes_first(site, visitor):
    token = token_of(visitor, site)
    host = f"127.0.0.1:{site.port}"
    for headers, status in (
            ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-site"}, 200),
            ({"Sec-Fetch-Site": "same-origin"}, 200), ({"Sec-Fetch-Site": "none"}, 200),
            ({"Origin": f"http://{host}"}, 200), ({"Origin": f"https://{host}"}, 200),
            ({"Origin": "null"}, 200), ({"Origin": "http://evil.example"}, 403),
            ({"Origin": f"http://{host}.evil.example"}, 403), ({"Origin": "http://127.0.0.1"}, 403),
            ({"Origin": f"http://evil@{host}"}, 403), ({"Origin": "nonsense"}, 403)):
        answer = post(visitor, site, data={"csrf_token": token}, headers=headers)
        assert answer.status_code == status, headers
    assert post(visitor, site, headers={"Origin": f"http://{host}"}).status_code == 403  # not alone


def test_exceptions(site):
    for path in ("/hooks", "/hooks/", "/hooks/deep/down", "/api/v1/in/x"):
        assert post(requests, site, path).text == "hook", path
    for path in ("/hookslike", "/api/v1/out", "/hooks%2Fx", "/x/../change", "/hooks/../change",
                 "/nowhere/at/all"):
        request = requests.Request("POST", site.url("/")).prepare()
        request.url = site.url(path)  # as it is
        with requests.Session() as s:
            assert s.send(request, timeout=20).status_code == 403, path


def test_the_input_of_a_form(serve):
    server = serve(files(main=r"""
      local app = require "lunette"
      local csrf = require "lunette.csrf"
      app.use(require "lunette.session".middleware{})
      app.use(csrf.middleware{ field = 'a"b', header = "X-Mine" })
      app.get("/form", function(req) return csrf.input(req) end)
      app.post("/form", function() return "sent" end)
    """))
    with requests.Session() as s:
        html = s.get(server.url("/form"), timeout=20).text
        token = re.fullmatch(r'<input type="hidden" name="a&quot;b" value="([\w-]{64})">', html)[1]
        assert post(s, server, "/form", data={'a"b': token}).text == "sent"
        assert post(s, server, "/form", headers={"X-Mine": token}).text == "sent"
        assert post(s, server, "/form", data={"csrf_token": token}).status_code == 403


def test_a_page_of_the_sites(serve):
    server = serve(files(main=MAIN + r"""
      app.on_error(403, function(req, err) return "<p>" .. err.status .. " mine" end)
    """))
    answer = post(requests, server)
    assert answer.status_code == 403 and answer.text == "<p>403 mine"


def test_without_a_session_it_says_so(serve):
    server = serve({"scripts/main.lua": r"""
      local app = require "lunette"
      app.use(require "lunette.csrf".middleware{})
      app.post("/x", function() return "x" end)
      app.get("/y", function(req) return req:csrf_token() end)
    """})
    assert post(requests, server, "/x").status_code == 500
    assert "lunette.csrf: no session: app.use(lunette.session.middleware{})" in log_of(server, "/x")
    assert requests.get(server.url("/y"), timeout=20).status_code == 500
    assert "req:csrf_token: no session" in log_of(server, "/y")


@pytest.mark.parametrize("options, message", [
    ("{ feild = 1 }", r'unknown option "feild".*field'),
    ("{ field = 1 }", r"lunette\.csrf: field must be a string"),
    ('{ except = { "hooks" } }', r'except: the prefix "hooks"'),
    ("{ except = { 1 } }", r"a prefix in except must be a string"),
])
def test_misuse_stops_the_start(options, message):
    errors = start_fails(make_folder({
        "scripts/main.lua": f'require "lunette".use(require "lunette.csrf".middleware{options})'}))
    assert re.search(message, errors), errors
