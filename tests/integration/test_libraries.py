"""OpenSSL and SQLite, loaded by whoever needs them first: a handler in the sandbox, or the master for a site with a
secret; and what is said where they cannot be loaded."""
import pathlib
import re
import ssl
import subprocess

import pytest
import requests

from conftest import LUNETTE, Server, eventually
from running import log_of, make_folder, running

NAME = f"libcrypto.so.{ssl.OPENSSL_VERSION_INFO[0]}"
SECRET = "0123456789abcdef" * 2
MAIN = f"""
    local app = require "lunette"
    local crypto, cipher = require "lunette.crypto", require "lunette.cipher"
    local secret = {{ secret = "{SECRET}" }}
    app.get("/without", function()
      local t = crypto.token()
      return app.json {{ #crypto.random(100000), #crypto.uuid(), crypto.equal(t, t), crypto.equal(t, t:reverse()),
        crypto.unhex(crypto.hex "hex"), crypto.unbase64(crypto.base64 "base64") }}
    end)
    app.get("/sha256", function() return crypto.hex(crypto.sha256 "abc"):sub(1, 8) end)
    app.get("/hmac", function() return crypto.hex(crypto.hmac("key", "text")):sub(1, 8) end)
    app.get("/sign", function() return crypto.unsign(crypto.sign("signed", secret), secret) end)
    app.get("/password", function()
      return tostring(crypto.password_verify("pw", crypto.password_hash "pw"))
    end)
    app.get("/nobody", function() return tostring(crypto.password_verify("pw", nil)) end)
    app.get("/sealed", function()
      local key = cipher.derive(secret.secret, "test")[1]
      return cipher.open(key, cipher.seal(key, "sealed", "here"), "here")
    end)
    app.get("/seal", function() return cipher.seal(secret.secret, "sealed", "here") and "sealed" end)
    app.get("/open", function()
      return cipher.open(secret.secret, ("x"):rep(100), "here") or "not sealed"
    end)
    app.get("/verifier", function()
      local verifier = cipher.verifier("HS256", secret.secret)
      return tostring(verifier:verify("text", crypto.hmac(secret.secret, "text")))
    end)
    app.get("/etag", {{ etag = true }}, function() return "tagged" end)
    app.post("/upload", function(req) return req.files.f.sha256:sub(1, 8) end)
    app.post("/form", function(req) return req.form.a end)
    """
WITHOUT = [100000, 36, True, False, "hex", "base64"]
USES = {"/sha256": "ba7816bf", "/hmac": "6afa9046", "/sign": "signed", "/password": "true", "/nobody": "false",
        "/sealed": "sealed", "/seal": "sealed", "/open": "not sealed", "/verifier": "true", "/etag": "tagged",
        "/upload": "ba7816bf"}
PLAIN = "scripts/main.lua"


def use(server, path):
    if path == "/upload":
        return requests.post(server.url(path), files={"f": ("a.txt", "abc")}, timeout=20)
    return requests.get(server.url(path), timeout=20)


def has_library(pid, name="libcrypto.so"):
    return name in pathlib.Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.parametrize("path", USES)
def test_the_first_use_in_a_sandboxed_worker_loads_it(path):
    with running({PLAIN: MAIN}, "--workers", "1") as server:
        [worker] = server.workers()
        assert requests.get(server.url("/without"), timeout=10).json() == WITHOUT
        assert requests.post(server.url("/form"), data={"a": "x"}, timeout=10).text == "x"
        assert not has_library(worker) and not has_library(server.process.pid)
        for _ in range(2):
            answer = use(server, path)
            assert (answer.status_code, answer.text) == (200, USES[path]), server.errors()
        assert has_library(worker) and not has_library(server.process.pid)


def own_kib(pid):
    """What a process has of the library for itself alone."""
    text = pathlib.Path(f"/proc/{pid}/smaps").read_text()
    parts = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", text, flags=re.M)
    return sum(int(re.search(r"^Private_Dirty:\s+(\d+)", part, re.M)[1]) for part in parts
               if "libcrypto.so" in part.partition("\n")[0])


def test_workers_of_a_site_with_a_secret_share_it():
    files = {PLAIN: MAIN, "scripts/config.lua": f'return {{ secret = "{SECRET}" }}'}
    with running(files, "--workers", "2") as server:
        assert has_library(server.process.pid) and all(map(has_library, server.workers()))
        eventually(lambda: max(map(own_kib, server.workers())) < 64)
        for path, said in USES.items():
            assert use(server, path).text == said, server.errors()
    with running({PLAIN: MAIN}, "--workers", "1") as server:
        assert use(server, "/sha256").status_code == 200
        [worker] = server.workers()
        assert own_kib(worker) > 64  # what the others do not have: it is what is measured


def library_of(name):
    needed = subprocess.run(["ldd", LUNETTE], capture_output=True, text=True, check=True).stdout
    return pathlib.Path(re.search(rf"{name}\S* => (\S+)", needed)[1]).read_bytes()


class Broken(Server):
    """One whose libcrypto, or another library, is another file, in the site's folder."""

    def __init__(self, library, *arguments, config="return {}", main=MAIN, name=NAME):
        folder = make_folder({PLAIN: main, "scripts/config.lua": config})
        (folder / "lib").mkdir()
        (folder / "lib").chmod(0o755)
        self.library = folder / "lib" / name
        self.library.write_bytes(library)
        self.library.chmod(0o755)
        super().__init__(folder, ("--workers", "1", *arguments), env={"LD_LIBRARY_PATH": str(folder / "lib")})


@pytest.mark.parametrize("kind, why", [("no library", "invalid ELF header|file too short"),
                                       ("another one", "undefined symbol: EVP_Digest")])
def test_where_it_is_broken_its_uses_fail_and_nothing_else(kind, why):
    server = Broken(b"no library" * 100 if kind == "no library" else library_of("libz"))
    try:
        workers = server.workers()
        for path in USES:
            status = use(server, path).status_code
            if path == "/upload":
                assert status == 503
                said = log_of(server, path)
                assert f"503 POST {path}: the server lacks what digests" in said, said
                assert re.search(f" error .* a body's parts have no digests: OpenSSL is missing: .*{NAME}.*({why})",
                                 server.errors()), server.errors()
                continue
            assert status == 500, path
            said = log_of(server, path)
            assert re.search(rf"(main\.lua|etags):\d+: OpenSSL is missing: .*{NAME}.*({why})", said), said
        assert requests.get(server.url("/without"), timeout=10).json() == WITHOUT
        assert requests.post(server.url("/form"), data={"a": "x"}, timeout=10).text == "x"
        assert server.workers() == workers
    finally:
        server.stop()


def test_it_is_tried_again():
    server = Broken(b"no library" * 100)
    try:
        workers = server.workers()
        assert use(server, "/sha256").status_code == use(server, "/sign").status_code == 500
        server.library.unlink()
        for path, said in USES.items():
            assert use(server, path).text == said, server.errors()
        assert server.workers() == workers
    finally:
        server.stop()


def test_a_site_with_a_secret_is_told_at_the_start():
    server = Broken(b"no library" * 100, config=f'return {{ secret = "{SECRET}" }}')
    try:
        assert re.search(rf" warn .*what takes the secret will fail: OpenSSL is missing: .*{NAME}",
                         server.errors()), server.errors()
        assert use(server, "/sign").status_code == 500
        assert use(server, "/without").json() == WITHOUT
    finally:
        server.stop()


def test_development_does_without_it_until_a_failure_is_shown():
    main = 'local app = require "lunette" app.get("/", function() return "x" end)' \
           ' app.get("/fails", function() error "oops" end)'
    with running({PLAIN: main}, "--dev") as server:
        assert use(server, "/").text == "x"
        assert not has_library(server.process.pid)
        answer = requests.get(server.url("/fails"), headers={"Accept": "text/html"}, timeout=10)
        assert re.search("style-src 'sha256-[A-Za-z0-9+/]{43}='", answer.headers["Content-Security-Policy"])


DATABASE = """
    local app = require "lunette"
    local sqlite = require "lunette.sqlite"
    app.get("/", function() return "plain" end)
    app.get("/one", function() return app.text(sqlite.open "x.db":value "SELECT trim(' one ')") end)
    app.get("/caught", function()
      local ok, why = pcall(sqlite.open, "x.db")
      return app.json { ok = ok, kind = not ok and why.kind or nil, is_error = sqlite.is_error(why) }
    end)
    """


def test_the_first_database_loads_sqlite():
    with running({PLAIN: DATABASE}, "--workers", "1") as server:
        [worker] = server.workers()
        assert use(server, "/").text == "plain"
        assert not has_library(worker, "libsqlite3") and not has_library(server.process.pid, "libsqlite3")
        assert use(server, "/one").text == use(server, "/one").text == "one", server.errors()
        assert has_library(worker, "libsqlite3") and not has_library(server.process.pid, "libsqlite3")


def test_where_sqlite_is_broken_its_calls_fail_until_it_is_not():
    server = Broken(b"no library" * 100, main=DATABASE, name="libsqlite3.so.0")
    try:
        workers = server.workers()
        for _ in range(3):
            assert use(server, "/one").status_code == 500
            assert use(server, "/caught").json() == {"ok": False, "kind": "open", "is_error": True}
        assert re.search(r"SQLite is missing: .*libsqlite3\.so\.0", log_of(server, "/one")), server.errors()
        server.library.unlink()
        assert use(server, "/one").text == "one"
        assert server.workers() == workers
    finally:
        server.stop()
