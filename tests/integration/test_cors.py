"""lunette.cors: preflights, marks, and origins that only look like those that are named."""
import re

import pytest
import requests

from running import make_folder, running, start_fails

MAIN = r"""
    local app = require "lunette"
    local cors = require "lunette.cors"
    local auth = require "lunette.auth"
    app.use("/list", cors.middleware{
      origins = { "https://example.com", "https://*.example.org", "http://localhost:3000" },
      methods = { "GET", "PUT" }, headers = { "X-One", "Content-Type" }, expose = { "X-Total" },
      credentials = true, max_age = "1h" })
    app.use("/open", cors.middleware{})
    app.use("/fn", cors.middleware{ origins = function(origin, req)
      return origin:find("^https://%w+%.test$") and req.query.no == nil
    end })
    app.use(auth.basic{ check = function(name) return name == "u" and { name = name } end })
    for _, prefix in ipairs { "/list", "/open", "/fn" } do
      app.get(prefix .. "/x", function(req)
        return 200, { ["X-Total"] = "3", ["Access-Control-Allow-Origin"] = "https://handler.example" },
          "hello"
      end)
      app.get(prefix .. "/fails", function() error "oops" end)
      app.get(prefix .. "/slow", { timeout = 0.2 }, function() require "lunette.task".sleep(9) end)
      app.get(prefix .. "/stream", function() return app.stream(function() error "oops" end) end)
    end
"""
ASK = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-one, x-two"}
USER = ("u", "p")


@pytest.fixture(scope="module")
def site():
    with running({"scripts/main.lua": MAIN}) as server:
        yield server


def preflight(site, path, origin, **more):
    return requests.options(site.url(path), headers={"Origin": origin, **ASK, **more}, timeout=20)


def get(site, path, origin=None, **options):
    headers = {"Origin": origin} if origin else {}
    return requests.get(site.url(path), headers=headers, timeout=20, **options)


def marks(answer):
    return {name[15:].lower(): value for name, value in answer.headers.items()
            if name.lower().startswith("access-control-")}


def test_a_preflight_comes_before_any_auth(site):
    answer = preflight(site, "/list/x", "https://example.com")
    assert answer.status_code == 204
    assert marks(answer) == {"allow-origin": "https://example.com", "allow-credentials": "true",
                             "allow-methods": "GET, PUT", "allow-headers": "X-One, Content-Type",
                             "max-age": "3600"}
    assert "Origin" in answer.headers["Vary"]
    assert requests.options(site.url("/list/x"), timeout=20).status_code == 401  # no preflight


def test_an_open_one_allows_what_is_asked(site):
    answer = preflight(site, "/open/nowhere", "null")
    assert answer.status_code == 204
    assert marks(answer) == {"allow-origin": "*", "allow-headers": "x-one, x-two", "max-age": "600",
                             "allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE"}
    assert answer.headers["Vary"] == "Access-Control-Request-Headers"
    long = {"Access-Control-Request-Headers": ",".join(f"x-{n}" for n in range(1000))}
    assert "allow-headers" not in marks(preflight(site, "/open/x", "https://a.example", **long))


def test_answers_are_marked_errors_too(site):
    mark = {"allow-origin": "https://example.com", "allow-credentials": "true",
            "expose-headers": "X-Total"}
    for path, options, status in (("/list/x", {"auth": USER}, 200), ("/list/x", {}, 401),
                                  ("/list/none", {"auth": USER}, 404),
                                  ("/list/fails", {"auth": USER}, 500),
                                  ("/list/stream", {"auth": USER}, 500),
                                  ("/list/slow", {"auth": USER}, 503)):
        answer = get(site, path, "https://example.com", **options)
        assert (answer.status_code, marks(answer)) == (status, mark), path
        assert "Origin" in answer.headers["Vary"]


def test_without_origin_there_is_no_mark_but_vary(site):
    answer = get(site, "/list/x", auth=USER)
    assert answer.text == "hello" and marks(answer) == {}
    assert answer.headers["Vary"] == "Origin"
    assert marks(get(site, "/open/x", auth=USER)) == {}


@pytest.mark.parametrize("origin", [
    "https://example.com", "https://EXAMPLE.com", "https://a.example.org", "https://a.b-c.example.org",
    "http://localhost:3000"])
def test_origins_that_are_named(site, origin):
    assert marks(get(site, "/list/x", origin, auth=USER))["allow-origin"] == origin


@pytest.mark.parametrize("origin", [
    "http://example.com", "https://example.com:8443", "https://example.com.evil.example",
    "https://evilexample.com", "https://example.org", "https://.example.org",
    "https://evil.example/.example.org", "https://evil.example?.example.org",
    "https://evil.example:1.example.org", "https://a@b.example.org", "https://aexample.org",
    "https://a.example.org:444", "http://a.example.org", "http://localhost", "http://localhost:30000",
    "null", "https://", "x"])
def test_origins_that_are_not(site, origin):
    assert marks(get(site, "/list/x", origin, auth=USER)) == {}
    answer = preflight(site, "/list/x", origin)
    assert answer.status_code == 204 and marks(answer) == {}


def test_a_function_decides(site):
    assert marks(get(site, "/fn/x", "https://a.test", auth=USER))["allow-origin"] == "https://a.test"
    assert marks(get(site, "/fn/x?no=1", "https://a.test", auth=USER)) == {}
    assert marks(get(site, "/fn/x", "https://a.b.test", auth=USER)) == {}


@pytest.mark.parametrize("options, message", [
    ("{ credentials = true }", r"credentials = true with origins \"\*\" would show"),
    ('{ origins = { "https://a.example", "*" }, credentials = true }', "name the origins"),
    ('{ origins = "example.com" }', r'an origin is like "https://example\.com"'),
    ('{ origins = "https://example.com/" }', "no path"),
    ('{ origins = "https://a.*.com" }', r"a \* stands for the first part of a name"),
    ('{ origins = "null" }', "every sandboxed page"),
    ("{ origins = {} }", "no origin is named"),
    ("{ origin = {} }", r'unknown option "origin".*origins'),
    ('{ headers = { "a b\\n" } }', "is no name"),
    ("{ max_age = -1 }", "max_age must be a duration"),
])
def test_misuse_stops_the_start(options, message):
    errors = start_fails(make_folder({
        "scripts/main.lua": f'require "lunette".use(require "lunette.cors".middleware{options})'}))
    assert re.search(message, errors), errors
