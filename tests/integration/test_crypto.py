"""Passwords, signatures and what else runs in the threads: one worker, and nobody waits for it."""
import base64
import gzip
import hashlib
import hmac
import re
import select
import signal
import time

import requests

from conftest import together
from test_ends import cpu_seconds

MAIN = r"""
    local app = require "lunette"
    local crypto = require "lunette.crypto"
    local gzip = require "lunette.gzip"
    local mime = require "lunette.mime"

    app.get("/quick", function() return app.text("quick") end)
    app.get("/hash", function(req) return app.text(crypto.password_hash(req.query.pw)) end)
    app.get("/hashes", function(req)
      local task, fns = require "lunette.task", {}
      for i = 1, 8 do fns[i] = function() return crypto.password_hash(req.query.pw) end end
      return app.json(task.all(fns))
    end)
    app.get("/verify", function(req)
      local fits, again = crypto.password_verify(req.query.pw, req.query.hash)
      return app.json { fits = fits, again = again }
    end)
    app.get("/sign", function(req) return app.text(crypto.sign(req.query.s)) end)
    app.get("/unsign", function(req)
      local s, why = crypto.unsign(req.query.s)
      return app.json { s = s, why = why }
    end)
    app.post("/type", function(req) return app.text(mime.by_content(req.body)) end)
    app.post("/gunzip", function(req)
      return app.text(gzip.decompress(req.body, "16M") or "bad")
    end)
    app.post("/gzip", function(req)
      return 200, { ["Content-Type"] = "application/gzip" }, gzip.compress(req.body)
    end)
"""

SECRET = "a secret of the site's own"


def ask(server, path, **query):
    return requests.get(server.url(path), params=query, timeout=20)


def post(server, path, body):
    return requests.post(server.url(path), data=body, timeout=20)


def signature(secret, body):
    key = hmac.new(secret.encode(), b"lunette.sign", hashlib.sha256).digest()
    mac = hmac.new(key, body.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")


def unpadded(text):
    return base64.b64decode(text + "=" * (-len(text) % 4))


def test_a_password_is_hashed_as_others_would(serve):
    server = serve({"scripts/main.lua": MAIN}, "--workers", "1")
    stored = ask(server, "/hash", pw="grün & blau").text
    ln, r, p, salt, digest = re.fullmatch(
        r"\$scrypt\$ln=(\d+),r=(\d+),p=(\d+)\$([^$]+)\$([^$]+)", stored).groups()
    expected = hashlib.scrypt("grün & blau".encode(), salt=unpadded(salt), n=1 << int(ln),
                              r=int(r), p=int(p), dklen=32, maxmem=1 << 28)
    assert unpadded(digest) == expected
    right = {"pw": "grün & blau", "hash": stored}
    assert ask(server, "/verify", **right).json() == {"fits": True, "again": False}
    assert ask(server, "/verify", **{**right, "pw": "x"}).json() == {"fits": False, "again": False}


def test_hashing_holds_nobody_up(serve):
    """One worker hashes eight passwords; a request beside them is answered long before the end."""
    server = serve({"scripts/main.lua": MAIN}, "--workers", "1")
    begin = time.monotonic()
    ask(server, "/hash", pw="one")
    one = time.monotonic() - begin
    waits, over = [], []

    def hashes():
        begin = time.monotonic()
        assert len(set(ask(server, "/hashes", pw="x").json())) == 8
        over.append(time.monotonic() - begin)

    def quick():
        with requests.Session() as s:
            while not over:
                begin = time.monotonic()
                assert s.get(server.url("/quick"), timeout=20).text == "quick"
                waits.append(time.monotonic() - begin)
    together(hashes, quick)
    waits.sort()
    assert over[0] > one  # they are work
    assert len(waits) > 20
    assert waits[len(waits) // 2] < one / 2


def test_a_flood_of_passwords_costs_nobody_else(serve):
    """All calls shared one queue: behind a thousand hashes an upload waited for minutes, and was a 500."""
    server = serve({"scripts/main.lua": MAIN}, "--workers", "1")
    flood = [server.connect() for _ in range(90)]
    for s in flood:
        s.sendall(b"GET /hash?pw=x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    begin = time.monotonic()
    assert post(server, "/type", b"%PDF-1.4\n").text == "application/pdf"
    beside = time.monotonic() - begin
    refused, hashed = [], []
    waiting = list(flood)
    while waiting and (not hashed or len(refused) < 10):
        for s in select.select(waiting, [], [], 20)[0]:
            waiting.remove(s)
            answer = s.makefile("rb").read()
            (hashed if answer.startswith(b"HTTP/1.1 200") else refused).append(answer)
    for s in flood:
        s.close()
    assert beside < 5 and hashed and len(refused) >= 10
    assert all(a.startswith(b"HTTP/1.1 503") and b"\r\nRetry-After: 1\r\n" in a for a in refused)
    server.wait_for("too many calls wait for the server's threads")


def test_an_unknown_user_takes_as_long_as_a_known_one(serve):
    server = serve({"scripts/main.lua": MAIN}, "--workers", "1")
    stored = ask(server, "/hash", pw="right").text

    [worker] = server.workers()

    def seconds(form):  # of the processor's: others do not count
        before = cpu_seconds(worker)
        for _ in range(3):
            assert ask(server, "/verify", **form).json()["fits"] is False
        return cpu_seconds(worker) - before
    known, unknown = seconds({"pw": "wrong", "hash": stored}), seconds({"pw": "wrong"})
    assert known / 3 < unknown < known * 3


def test_a_client_that_leaves_while_its_password_is_hashed(serve):
    server = serve({"scripts/main.lua": MAIN}, "--workers", "1")
    for _ in range(20):
        with server.connect() as s:
            s.sendall(b"GET /hash?pw=x HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert ask(server, "/hash", pw="x").status_code == 200


def test_a_server_stops_while_passwords_are_hashed(serve):
    server = serve({"scripts/main.lua": MAIN}, "--workers", "1")
    with server.connect() as s:
        s.sendall(b"GET /hashes?pw=x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        ask(server, "/quick")
        server.stop(signal.SIGQUIT)


def test_signing_with_the_secrets_of_config_lua(serve):
    config = f'return {{ secret = {{ "{SECRET}", "the one before that" }} }}'
    server = serve({"scripts/main.lua": MAIN, "scripts/config.lua": config})
    signed = ask(server, "/sign", s="user.17").text
    body, mac = signed.rsplit(".", 1)
    text, at = body.rsplit(".", 1)
    assert text == "user.17" and abs(int(at) - time.time()) < 60
    assert mac == signature(SECRET, body)
    assert ask(server, "/unsign", s=signed).json() == {"s": "user.17"}
    older = "user.17." + at
    older += "." + signature("the one before that", older)
    assert ask(server, "/unsign", s=older).json() == {"s": "user.17"}
    forged = signed.replace("17", "18", 1)
    assert ask(server, "/unsign", s=forged).json() == {"why": "bad signature"}
    ended = f"user.17.{at}-{int(at) - 1}"
    ended += "." + signature(SECRET, ended)
    assert ask(server, "/unsign", s=ended).json() == {"why": "expired"}


def test_without_a_secret_signing_says_how_to_make_one(serve):
    server = serve({"scripts/main.lua": MAIN})
    assert ask(server, "/sign", s="x").status_code == 500
    server.wait_for(r"there is no secret to sign with: set `secret` in scripts/config.lua")
    server.wait_for(r"scripts/main.lua:\d+")


def test_dev_makes_a_secret(serve):
    one, two = (serve({"scripts/main.lua": MAIN}, "--dev") for _ in range(2))
    signed = ask(one, "/sign", s="x").text
    assert ask(one, "/unsign", s=signed).json() == {"s": "x"}
    assert ask(two, "/unsign", s=signed).json() == {"why": "bad signature"}


def test_a_short_secret_stops_the_start(serve):
    config = 'return {\n  secret = os.getenv "SHORT",\n}'
    server = serve({"scripts/main.lua": MAIN, "scripts/config.lua": config}, ready=False,
                   env={"SHORT": "hunter2"})
    server.wait_for(r"scripts/config.lua:2: a secret has at least 16 bytes, and this one has 7")


def test_media_types_by_content(serve):
    server = serve({"scripts/main.lua": MAIN})
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0"
    assert post(server, "/type", png + b"x" * 100000).text == "image/png"
    assert post(server, "/type", b"%PDF-1.4\n").text == "application/pdf"
    assert post(server, "/type", b"").text == "application/octet-stream"
    assert "libmagic" not in server.errors()


def test_a_missing_database_is_told_once(serve):
    server = serve({"scripts/main.lua": MAIN}, "--workers", "1", env={"MAGIC": "/nowhere/magic"})
    for _ in range(3):
        assert post(server, "/type", b"%PDF-1.4\n").text == "application/octet-stream"
    assert server.errors().count("libmagic has no database") == 1


def test_gzip_with_other_programs(serve):
    server = serve({"scripts/main.lua": MAIN})
    for size in (0, 100, 300000):
        text = (b"0123456789 some words " * (size // 20 + 1))[:size]
        assert gzip.decompress(post(server, "/gzip", text).content) == text
        assert post(server, "/gunzip", gzip.compress(text)).content == text
    assert post(server, "/gunzip", gzip.compress(b"\0" * (17 << 20))).text == "bad"
