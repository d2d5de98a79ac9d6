"""Who the client is, when the connection comes from a proxy: believed only from those in
trusted_proxies. Every request here comes from 127.0.0.1 itself, or through a unix socket."""
import re
import socket

import pytest

from conftest import Wire

MAIN = r"""
    local app = require "lunette"
    local function show(req)
      return table.concat({ req.scheme, req.host, req.port, req.remote_addr, req.remote_port }, " ")
    end
    app.get("/", { name = "start" }, show)
    app.get("/id", function(req) return req.id end)
    app.get("/url", function(req) return app.url_for("start", {}, { absolute = true }) end)
    app.get("/back", function(req) return app.redirect_back(req, "/other") end)
    app.get("/cookie", function(req) req:set_cookie("a", "1") return "" end)
    app.host("inner.example", function(h) h.get("/", function() return "inner" end) end)
"""
FORWARDED = "Forwarded: for=203.0.113.9;proto=https;host=example.com"


def site(*trusted):
    names = ", ".join(f'"{name}"' for name in trusted)
    return {"scripts/main.lua": MAIN, "site/file.txt": "file",
            "scripts/config.lua": f"return {{ trusted_proxies = {{ {names} }} }}"}


@pytest.fixture
def proxied(serve):
    return serve(site("127.0.0.1", "10.0.0.0/8"))


def body(server, path, *fields):
    with server.wire() as wire:
        return wire.get(path, *fields).answer().body.decode()


def without_peer_port(text):
    return text.rsplit(" ", 1)[0]


@pytest.mark.parametrize("fields, want", [
    ([FORWARDED], "https example.com 443 203.0.113.9 0"),
    (['Forwarded: for="[2001:DB8::1]:4711";host="Example.COM:8443"'],
     "http example.com 8443 2001:db8::1 4711"),
    (["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https"],
     "https localhost 443 203.0.113.9 0"),
    (["X-Forwarded-For: 203.0.113.9:99", "X-Forwarded-Host: a.example", "X-Forwarded-Port: 81"],
     "http a.example 81 203.0.113.9 99"),
    (["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Host: a.example:82", "X-Forwarded-Port: 81"],
     "http a.example 82 203.0.113.9 0"),
    (["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Port: 8443", "X-Forwarded-Proto: https"],
     "https localhost 8443 203.0.113.9 0"),
    # further proxies, each in a field of its own or in one
    (["X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 10.1.2.3"],
     "http localhost 80 203.0.113.9 0"),
    (["Forwarded: for=1.1.1.1;host=evil", "Forwarded: for=203.0.113.9;host=good, for=10.1.2.3"],
     "http good 80 203.0.113.9 0"),
    (["Forwarded: for=10.9.9.9, for=10.1.2.3"], "http localhost 80 10.9.9.9 0"),
    # spoofed in front of what the proxy added
    (["X-Forwarded-For: 1.1.1.1, 203.0.113.9", "X-Forwarded-Proto: https, http"],
     "http localhost 80 203.0.113.9 0"),
    (['Forwarded: for="1.1.1.1', FORWARDED], "https example.com 443 203.0.113.9 0"),
    # worthless values
    (["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: gopher", "X-Forwarded-Host: a/b",
      "X-Forwarded-Port: 0"], "http localhost 80 203.0.113.9 0"),
])
def test_a_trusted_proxy_tells_of_the_client(proxied, fields, want):
    assert body(proxied, "/", *fields) == want
    assert without_peer_port(body(proxied, "/")) == "http localhost 80 127.0.0.1"


@pytest.mark.parametrize("fields", [
    ["X-Forwarded-For: 1.1.1.1, nonsense"],
    ["X-Forwarded-For: unknown"],
    ["Forwarded: for=unknown"],
    ["Forwarded: for=_hidden"],
    ["Forwarded: nonsense"],
    ["X-Real-IP: 1.1.1.1"],
])
def test_what_names_nobody_leaves_the_proxy(proxied, fields):
    text = body(proxied, "/", *fields)
    assert without_peer_port(text) == "http localhost 80 127.0.0.1"
    assert int(text.split()[-1]) > 0


@pytest.mark.parametrize("trusted", [(), ("10.0.0.0/8", "::1"), ("unix",)])
def test_nobody_else_is_believed(serve, trusted):
    server = serve(site(*trusted))
    for fields in ([FORWARDED], ["X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: https",
                                 "X-Forwarded-Host: inner.example", "X-Forwarded-Port: 1"]):
        assert without_peer_port(body(server, "/", *fields)) == "http localhost 80 127.0.0.1"
    assert body(server, "/id", "X-Request-Id: mine") != "mine"
    assert "Secure" not in server.get("/cookie", FORWARDED).decode()
    server.get("/file.txt", FORWARDED)
    server.wait_for_access(r"(?m)^127\.0\.0\.1 .*file\.txt")
    assert "203.0.113.9" not in server.accesses()


def test_two_fields_that_name_different_clients_are_refused(proxied):
    """A proxy that appends X-Forwarded-For lets a client's own Forwarded pass."""
    answer = proxied.get("/", "Forwarded: for=1.1.1.1;host=evil", "X-Forwarded-For: 203.0.113.9")
    assert answer.startswith(b"HTTP/1.1 400 ")
    proxied.wait_for(r"the proxy 127\.0\.0\.1 sent Forwarded \(for=1\.1\.1\.1;host=evil\) and "
                     r"X-Forwarded-For \(203\.0\.113\.9\), which name different clients")
    assert proxied.get("/file.txt", "Forwarded: x", "X-Forwarded-For: 203.0.113.9").startswith(
        b"HTTP/1.1 400 ")
    assert body(proxied, "/", FORWARDED, "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Host: other",
                ) == "https example.com 443 203.0.113.9 0"


def test_a_host_of_the_site_is_found_by_the_forwarded_name(proxied):
    assert body(proxied, "/", "X-Forwarded-Host: inner.example:8080") == "inner"
    assert body(proxied, "/", "Forwarded: host=INNER.example") == "inner"


def test_absolute_urls_are_the_clients(proxied):
    assert body(proxied, "/url") == "http://localhost/"
    assert body(proxied, "/url", FORWARDED) == "https://example.com/"
    assert body(proxied, "/url", "X-Forwarded-Proto: https", "X-Forwarded-Port: 8443"
                ) == "https://localhost:8443/"
    assert body(proxied, "/url", "X-Forwarded-Host: [2001:db8::1]:8080"
                ) == "http://[2001:db8::1]:8080/"


def test_redirect_back_knows_the_clients_origin(proxied):
    def location(*fields):
        with proxied.wire() as wire:
            return wire.get("/back", *fields).answer().headers["location"]
    assert location(FORWARDED, "Referer: https://example.com/here") == "https://example.com/here"
    assert location(FORWARDED, "Referer: http://localhost/here") == "/other"
    assert location("Referer: https://example.com/here") == "/other"


def test_cookies_are_secure_behind_a_proxy_with_tls(proxied):
    assert b"; Secure" in proxied.get("/cookie", "X-Forwarded-Proto: https")
    assert b"; Secure" in proxied.get("/cookie", FORWARDED)
    assert b"; Secure" not in proxied.get("/cookie", "X-Forwarded-Proto: https, http")
    assert b"; Secure" not in proxied.get("/cookie")


@pytest.mark.parametrize("given, kept", [
    ("550e8400-e29b-41d4-a716-446655440000", True),
    ("Root=1-67891233-abcdef012345678912345678", True),
    ("a" * 128, True),
    ("a" * 129, False),
    ("two words", False),
    ("<script>", False),
    ("", False),
])
def test_a_request_id_is_taken_or_made(proxied, given, kept):
    got = body(proxied, "/id", f"X-Request-Id: {given}")
    assert got == given if kept else re.fullmatch("[0-9a-f]{16}", got)


def test_two_request_ids_are_none(proxied):
    got = body(proxied, "/id", "X-Request-Id: a", "X-Request-Id: b")
    assert re.fullmatch("[0-9a-f]{16}", got)


def test_the_access_log_names_the_client(proxied):
    proxied.get("/?a", FORWARDED)
    proxied.get("/file.txt", 'Forwarded: for="[2001:db8::7]:1"')
    proxied.get("/nowhere", "X-Forwarded-For: 1.1.1.1, 203.0.113.8, 10.0.0.1")
    proxied.get("/?direct")
    proxied.wait_for_access(r'(?m)^203\.0\.113\.9 - - \[.*"GET /\?a ')
    proxied.wait_for_access(r'(?m)^2001:db8::7 - - \[.*"GET /file\.txt ')
    proxied.wait_for_access(r'(?m)^203\.0\.113\.8 - - \[.*"GET /nowhere ')
    proxied.wait_for_access(r'(?m)^127\.0\.0\.1 - - \[.*"GET /\?direct ')


def test_a_connection_may_carry_many_clients(proxied):
    with proxied.wire() as wire:
        for i in (1, 2):
            wire.get("/", f"X-Forwarded-For: 192.0.2.{i}")
            assert wire.answer().body.endswith(f"192.0.2.{i} 0".encode())
        wire.get("/")
        assert b" 127.0.0.1 " in wire.answer().body


@pytest.mark.parametrize("trusted, want", [
    (("unix",), "https example.com 443 203.0.113.9 0"),
    (("127.0.0.1", "0.0.0.0/0", "::/0"), "http localhost 80 unix: 0"),
])
def test_unix_sockets_are_trusted_only_by_name(serve, place, trusted, want):
    path = str(place / "sock")
    serve(site(*trusted), "--listen", f"unix:{path}")
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(path)
    with Wire(s) as wire:
        assert wire.get("/", FORWARDED).answer().body.decode() == want
        text = wire.get("/").answer().body.decode()
        assert text == "http localhost 80 unix: 0"
