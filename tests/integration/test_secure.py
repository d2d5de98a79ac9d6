"""lunette.secure: headers for browsers, and the nonce of a policy."""
import re

import pytest
import requests

from running import make_folder, running, start_fails

MAIN = r"""
    local app = require "lunette"
    local secure = require "lunette.secure"
    app.use("/files", secure.middleware{})
    app.group("/default", { use = secure.middleware{} }, function(g)
      g.get("/page", function() return "page" end)
      g.get("/nonce", function(req) return req.csp_nonce .. " " .. req.csp_nonce end)
      g.get("/own", function() return 200, { ["x-frame-options"] = "DENY",
        ["Content-Security-Policy"] = "default-src 'none'" }, "own" end)
      g.get("/fails", function() error "oops" end)
      g.get("/cached", { cache = 60 }, function() return tostring(os.clock()) end)
      g.get("/cached-nonce", { cache = 60 }, function(req) return req.csp_nonce end)
    end)
    app.group("/given", { use = secure.middleware{ csp = "script-src 'nonce-{nonce}' 'nonce-{nonce}'",
        frame = "deny", referrer = "no-referrer", hsts = "2d", coop = false, permissions = false } },
      function(g)
        g.get("/page", function() return "page" end)
        g.get("/nonce", function(req) return req.csp_nonce end)
      end)
    app.group("/none", { use = secure.middleware{ csp = false, frame = false, referrer = false,
        hsts = false, coop = false, permissions = false } }, function(g)
      g.get("/page", function(req) return tostring(req.csp_nonce) end)
    end)
"""
CONFIG = 'return { trusted_proxies = { "127.0.0.1/32" } }'


@pytest.fixture(scope="module")
def site():
    with running({"scripts/main.lua": MAIN, "scripts/config.lua": CONFIG,
                  "site/files/a.html": "<p>file", "site/b.html": "<p>file"}) as server:
        yield server


def get(site, path, **headers):
    return requests.get(site.url(path), headers=headers, timeout=20)


def test_by_default_only_what_the_site_serves(site):
    for path, status in (("/default/page", 200), ("/default/fails", 500)):
        answer = get(site, path)
        assert answer.status_code == status
        assert answer.headers["Content-Security-Policy"] == (
            "default-src 'self'; base-uri 'self'; form-action 'self'; img-src 'self' data:; "
            "object-src 'none'; frame-ancestors 'self'")
        assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
        assert answer.headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Permissions-Policy"] == "camera=(), geolocation=(), microphone=()"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Strict-Transport-Security" not in answer.headers


def test_files_too(site):
    answer = get(site, "/files/a.html")
    assert answer.text == "<p>file" and answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert "X-Frame-Options" not in get(site, "/b.html").headers
    again = get(site, "/files/a.html", **{"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_hsts_is_for_tls(site):
    tls = {"X-Forwarded-Proto": "https"}
    assert get(site, "/default/page", **tls).headers["Strict-Transport-Security"] == "max-age=31536000"
    assert get(site, "/given/page", **tls).headers["Strict-Transport-Security"] == "max-age=172800"
    assert "Strict-Transport-Security" not in get(site, "/none/page", **tls).headers


def test_what_the_handler_says_goes_before(site):
    headers = get(site, "/default/own").headers
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Content-Security-Policy"] == "default-src 'none'"


def test_the_nonce_is_that_of_the_policy(site):
    answer = get(site, "/default/nonce")
    one, two = answer.text.split()
    assert one == two and re.fullmatch(r"[\w-]{22}", one)
    policy = answer.headers["Content-Security-Policy"]
    assert f"; script-src 'self' 'nonce-{one}'; style-src 'self' 'nonce-{one}'" in policy
    assert get(site, "/default/nonce").text != answer.text


def test_a_policy_of_the_sites(site):
    answer = get(site, "/given/nonce")
    nonce = answer.text
    assert answer.headers["Content-Security-Policy"] == f"script-src 'nonce-{nonce}' 'nonce-{nonce}'"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Cross-Origin-Opener-Policy" not in answer.headers
    assert "Permissions-Policy" not in answer.headers
    policies = {get(site, "/given/page").headers["Content-Security-Policy"] for _ in range(5)}
    assert len(policies) == 5 and "{nonce}" not in "".join(policies)


def test_none_of_it(site):
    answer = get(site, "/none/page")
    assert answer.text == "nil"
    for name in ("Content-Security-Policy", "X-Frame-Options", "Referrer-Policy"):
        assert name not in answer.headers


def test_a_page_with_a_nonce_is_not_kept(site):
    assert get(site, "/default/cached").text == get(site, "/default/cached").text
    answers = [get(site, "/default/cached-nonce") for _ in range(4)]
    assert len({answer.text for answer in answers}) == 4
    for answer in answers:
        assert f"'nonce-{answer.text}'" in answer.headers["Content-Security-Policy"]
    site.wait_for("its handler read req.csp_nonce")


@pytest.mark.parametrize("options, message", [
    ('{ frame = "ALLOW" }', r'frame must be "DENY", "SAMEORIGIN", or false'),
    ('{ referrer = "never" }', "referrer must be"),
    ('{ csp = "" }', "csp is empty"),
    ('{ csp = "a\\r\\nX: y" }', "holds a control character"),
    ('{ hsts = "soon" }', "hsts must be a duration"),
    ('{ cps = "x" }', r'unknown option "cps".*csp'),
    ("{ csp = 7 }", "csp must be a string"),
])
def test_misuse_stops_the_start(options, message):
    errors = start_fails(make_folder({
        "scripts/main.lua": f'require "lunette".use(require "lunette.secure".middleware{options})'}))
    assert re.search(message, errors), errors
