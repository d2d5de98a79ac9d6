"""lunette.auth: who is let in, and what is tried against it. Tokens are made by PyJWT and by hand."""
import base64
import hashlib
import hmac
import json
import re
import subprocess
import time

import jwt
import pytest
import requests

from running import ask, log_of, make_folder, new_folder, running, start_fails

MAIN = r"""
    local app = require "lunette"
    local auth = require "lunette.auth"
    local crypto = require "lunette.crypto"
    local function who(req) return app.json { user = req.user } end
    local function at(path, mw, opts)
      opts = opts or {}
      opts.use = mw
      app.get(path, opts, who)
    end
    local stored = crypto.password_hash "pass:wörd"

    at("/basic", auth.basic{ realm = 'The "Site"', check = function(name, password, req)
      local fits = crypto.password_verify(password, name == "jörg" and stored or nil) -- it waits
      return fits and { name = name, path = req.path }
    end })
    at("/basic-optional", auth.basic{ optional = true, check = function(name) return name == "a" and name end })
    at("/bearer", auth.bearer{ check = function(token) return crypto.equal(token, "t0ken~/+=") and "bob" end })
    at("/nothing", auth.bearer{ check = function() end })
    at("/raises", auth.bearer{ check = function() error "the database is away" end })
    at("/cached", auth.bearer{ check = function(token) return token end }, { cache = 60 })

    local function key(name) return assert(io.open(app.data .. "/../keys/" .. name)):read "a" end
    local hs = ("0123456789abcdef"):rep(2)
    at("/hs256", auth.jwt{ alg = "HS256", key = hs })
    at("/hs512", auth.jwt{ alg = { "HS384", "HS512" }, key = hs:rep(2) })
    at("/rs256", auth.jwt{ alg = "RS256", key = key "rsa.pub" })
    at("/es256", auth.jwt{ alg = "ES256", key = key "ec.pub" })
    at("/eddsa", auth.jwt{ alg = "EdDSA", key = key "ed.pub" })
    at("/many", auth.jwt{ alg = { "RS256", "ES256" }, key = { key "rsa.pub", key "ec.pub" } })
    at("/kid", auth.jwt{ alg = { "ES256", "EdDSA" }, key = { one = key "ec.pub", two = key "ed.pub" } })
    at("/strict", auth.jwt{ alg = "HS256", key = hs, issuer = "https://id.example", leeway = 0,
      audience = { "shop", "api" } })
    at("/check", auth.jwt{ alg = "HS256", key = hs, optional = true, realm = "api",
      check = function(claims, req) return claims.sub ~= "banned" and { id = claims.sub } end })
"""
HS = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def keys():
    folder = new_folder()
    for name, *options in (("rsa", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
                           ("ec", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
                           ("ed", "ed25519"), ("other", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")):
        private, public = folder / f"{name}.pem", folder / f"{name}.pub"
        subprocess.run(["openssl", "genpkey", "-algorithm", *options, "-out", private], check=True,
                       capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True,
                       capture_output=True)
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def site(keys):
    public = {f"keys/{name}": text for name, text in keys.items() if name.endswith(".pub")}
    with running({"scripts/main.lua": MAIN, **public}) as server:
        yield server


def get(site, path, field=None, **options):
    headers = {"Authorization": field} if field is not None else {}
    return requests.get(site.url(path), headers=headers, timeout=20, **options)


def bearer(site, path, token):
    return get(site, path, f"Bearer {token}")


def b64(data):
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def made(header, claims, key=HS, digest=hashlib.sha256):
    """A token by hand, signed by HMAC whatever its header says."""
    text = f"{b64(header)}.{b64(claims)}"
    key = key.encode() if isinstance(key, str) else key
    return f"{text}.{b64(hmac.new(key, text.encode(), digest).digest())}"


# Basic and bearer ---------------------------------------------------------------------------------

def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_basic(site):
    answer = get(site, "/basic")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == r'Basic realm="The \"Site\"", charset="UTF-8"'
    assert answer.headers["Cache-Control"] == "no-store"
    good = get(site, "/basic", basic("jörg", "pass:wörd"))
    assert good.json() == {"user": {"name": "jörg", "path": "/basic"}}
    assert get(site, "/basic", good.request.headers["Authorization"].replace("Basic", "bASIC")).ok
    for field in (basic("jörg", "pass"), basic("eve", "pass:wörd"), "Basic", "Basic ", "Basic !!!!",
                  "Basic " + base64.b64encode(b"no colon").decode(), "Bearer x", "", "Basicx",
                  "Basic " + base64.b64encode(b"j\0rg:pass").decode(), basic("", ""),
                  "Basic " + "A" * 8000):
        answer = get(site, "/basic", field)
        assert answer.status_code == 401, field
        assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")


def test_optional_lets_pass_who_has_none(site):
    assert get(site, "/basic-optional").json() == {}
    assert get(site, "/basic-optional", basic("a", "x")).json() == {"user": "a"}
    assert get(site, "/basic-optional", basic("b", "x")).status_code == 401
    assert get(site, "/basic-optional", "Bearer x").status_code == 401


def test_bearer(site):
    assert get(site, "/bearer").headers["WWW-Authenticate"] == "Bearer"
    assert bearer(site, "/bearer", "t0ken~/+=").json() == {"user": "bob"}
    for token in ("t0ken", "", "a b", "t0ken~/+=, Bearer t0ken~/+=", "\xff"):
        answer = bearer(site, "/bearer", token)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert bearer(site, "/nothing", "x").status_code == 401
    assert bearer(site, "/raises", "x").status_code == 500
    two = ask(site, "/bearer", "Authorization: Bearer t0ken~/+=", "Authorization: Bearer t0ken~/+=")
    assert two.status == 401


def test_who_is_let_in_is_not_cached_for_others(site):
    assert bearer(site, "/cached", "one").json() == {"user": "one"}
    assert bearer(site, "/cached", "two").json() == {"user": "two"}
    assert get(site, "/cached").status_code == 401


# JWT ----------------------------------------------------------------------------------------------

CLAIMS = {"sub": "eve", "n": 2**53 + 1}


@pytest.mark.parametrize("path, alg, key", [
    ("/hs256", "HS256", None), ("/hs512", "HS512", None), ("/hs512", "HS384", None),
    ("/rs256", "RS256", "rsa.pem"), ("/es256", "ES256", "ec.pem"), ("/eddsa", "EdDSA", "ed.pem"),
    ("/many", "RS256", "rsa.pem"), ("/many", "ES256", "ec.pem")])
def test_tokens_of_others(site, keys, path, alg, key):
    secret = keys[key] if key else HS * (2 if path == "/hs512" else 1)
    for n in range(3):  # signatures of ECDSA differ
        claims = {**CLAIMS, "exp": int(time.time()) + 600, "try": n}
        token = jwt.encode(claims, secret, algorithm=alg)
        assert bearer(site, path, token).json() == {"user": claims}
    head, body, tail = token.split(".")
    swapped = b64({**claims, "sub": "root"})
    for bad in (f"{head}.{swapped}.{tail}", f"{head}.{body}.", f"{head}.{body}", f"{head}.{body}.{tail}x",
                f"{head}.{body}.{b64(bytes(64))}", f"{head}.{body}.{tail}.", token + "=", f".{body}.{tail}",
                f"{head}..{tail}", f"{head}.{body}.{b64(bytes(256))}"):
        answer = bearer(site, path, bad)
        assert answer.status_code == 401, bad
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("path", ["/hs256", "/rs256", "/es256", "/eddsa", "/many", "/kid"])
def test_none_is_no_algorithm(site, path):
    for alg in ("none", "None", "NONE", "nOnE", "", None, 1, True, [], ["HS256"], {"alg": "HS256"}):
        for tail in ("", b64(b"x")):
            token = f"{b64({'alg': alg, 'typ': 'JWT'})}.{b64(CLAIMS)}.{tail}"
            assert bearer(site, path, token).status_code == 401
    for header in ({}, {"typ": "JWT"}, [], "x", 5):
        assert bearer(site, path, f"{b64(header)}.{b64(CLAIMS)}.").status_code == 401


@pytest.mark.parametrize("path, name", [("/rs256", "rsa"), ("/es256", "ec"), ("/eddsa", "ed"),
                                        ("/many", "rsa")])
def test_a_public_key_is_no_secret(site, keys, path, name):
    """Algorithm confusion: the token says HS256, and is signed with the public key that all know."""
    public = keys[f"{name}.pub"]
    for key in (public, public.strip(), public.replace("\n", "\r\n")):
        for alg in ("HS256", "RS256", "ES256", "EdDSA"):
            assert bearer(site, path, made({"alg": alg}, CLAIMS, key)).status_code == 401
    assert log_of(site, path).count("its algorithm is not the one expected") > 0


def test_algorithms_are_fixed(site, keys):
    assert bearer(site, "/hs256", made({"alg": "HS512"}, CLAIMS, HS, hashlib.sha512)).status_code == 401
    assert bearer(site, "/hs256", made({"alg": "hs256"}, CLAIMS)).status_code == 401
    es = jwt.encode(CLAIMS, keys["ec.pem"], algorithm="ES256")
    assert bearer(site, "/eddsa", es).status_code == 401
    assert bearer(site, "/rs256", es).status_code == 401
    other = jwt.encode(CLAIMS, keys["other.pem"], algorithm="ES256")
    assert bearer(site, "/es256", other).status_code == 401
    assert bearer(site, "/many", other).status_code == 401
    rs384 = jwt.encode(CLAIMS, keys["rsa.pem"], algorithm="RS384")
    ps256 = jwt.encode(CLAIMS, keys["rsa.pem"], algorithm="PS256")
    for token in (rs384, ps256, made({"alg": "RS256"}, CLAIMS)):
        assert bearer(site, "/rs256", token).status_code == 401
    ps = ps256.split(".")
    assert bearer(site, "/rs256", f"{b64({'alg': 'RS256'})}.{ps[1]}.{ps[2]}").status_code == 401


def test_keys_by_kid(site, keys):
    def token(key, alg, **header):
        return jwt.encode(CLAIMS, keys[key], algorithm=alg, headers=header)
    assert bearer(site, "/kid", token("ec.pem", "ES256", kid="one")).ok
    assert bearer(site, "/kid", token("ed.pem", "EdDSA", kid="two")).ok
    for bad in (token("ec.pem", "ES256"), token("ec.pem", "ES256", kid="two"),
                token("ed.pem", "EdDSA", kid="one"), token("ec.pem", "ES256", kid="../../dev/null"),
                token("ec.pem", "ES256", kid="one' OR '1'='1"), token("ec.pem", "ES256", kid=""),
                token("other.pem", "ES256", kid="one"), token("ec.pem", "ES256", kid="__index")):
        assert bearer(site, "/kid", bad).status_code == 401
    for kid in (1, None, ["one"], {"one": 1}):
        assert bearer(site, "/kid", made({"alg": "ES256", "kid": kid}, CLAIMS)).status_code == 401


def test_keys_in_the_token_are_not_looked_at(site, keys):
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(
        jwt.algorithms.ECAlgorithm("sha256").prepare_key(keys["other.pub"])))
    token = jwt.encode(CLAIMS, keys["other.pem"], algorithm="ES256",
                       headers={"jwk": public, "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/"})
    assert bearer(site, "/es256", token).status_code == 401
    good = jwt.encode(CLAIMS, keys["ec.pem"], algorithm="ES256", headers={"jwk": public})
    assert bearer(site, "/es256", good).ok
    crit = jwt.encode(CLAIMS, keys["ec.pem"], algorithm="ES256", headers={"crit": ["b64"], "b64": False})
    assert bearer(site, "/es256", crit).status_code == 401
    assert bearer(site, "/hs256", made({"alg": "HS256", "crit": []}, CLAIMS)).status_code == 401


def test_claims(site):
    now = int(time.time())
    good = {"iss": "https://id.example", "aud": "shop", "exp": now + 300, "nbf": now - 300}

    def status(**claims):
        claims = {key: value for key, value in {**good, **claims}.items() if value != "-"}
        return bearer(site, "/strict", made({"alg": "HS256"}, claims)).status_code
    assert status() == 200
    assert status(exp="-", nbf="-") == 200
    assert status(aud=["x", "api"]) == 200
    assert status(exp=now + 300.5, nbf=now - 0.5) == 200
    for bad in ({"exp": now - 1}, {"exp": 0}, {"exp": -1}, {"exp": str(now + 300)}, {"exp": True},
                {"exp": [now + 300]}, {"nbf": now + 300}, {"nbf": "0"}, {"iss": "-"},
                {"iss": "https://id.example/"}, {"iss": ["https://id.example"]}, {"aud": "-"}, {"aud": "sho"},
                {"aud": []}, {"aud": ["x"]}, {"aud": {"shop": 1}}, {"aud": True}, {"aud": None},
                {"aud": [["shop"]]}, {"exp": {}}):
        assert status(**bad) == 401, bad


def test_leeway_and_an_audience_that_nobody_expects(site):
    now = int(time.time())
    assert bearer(site, "/hs256", made({"alg": "HS256"}, {"exp": now - 30, "nbf": now + 30})).ok
    assert bearer(site, "/hs256", made({"alg": "HS256"}, {"exp": now - 70})).status_code == 401
    answer = bearer(site, "/hs256", made({"alg": "HS256"}, {"aud": "other"}))
    assert answer.headers["WWW-Authenticate"] == (
        'Bearer error="invalid_token", error_description="it names an audience, and none is expected"')


def test_what_is_no_token(site):
    for token in ("", ".", "..", "a.b.c", "e30.e30.e30", "A" * 12000, "." * 5000, "a." * 3000,
                  made({"alg": "HS256"}, []), made({"alg": "HS256"}, b"[" * 3000),
                  made({"alg": "HS256"}, b"{"), made({"alg": "HS256"}, b""), made({"alg": "HS256"}, b"null"),
                  made(b"{" + b'"a":' * 500, {}), made({"alg": "HS256"}, b'{"sub":"\xff"}'),
                  b64({"alg": "HS256"}) + " . .", "é.é.é".encode().decode("latin-1")):
        answer = bearer(site, "/hs256", token)
        assert answer.status_code == 401, token[:50]
    large = made({"alg": "HS256"}, {"sub": "x" * 7000})
    assert bearer(site, "/hs256", large).ok
    assert bearer(site, "/hs256", made({"alg": "HS256"}, {"sub": "x" * 20000})).status_code == 431


def test_check_makes_the_user(site):
    assert get(site, "/check").json() == {}
    assert bearer(site, "/check", made({"alg": "HS256"}, {"sub": "eve"})).json() == {"user": {"id": "eve"}}
    answer = bearer(site, "/check", made({"alg": "HS256"}, {"sub": "banned"}))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == (
        'Bearer realm="api", error="invalid_token", error_description="check refused it"')


@pytest.mark.parametrize("call, message", [
    ('jwt{ key = "x" }', "alg is missing"),
    ('jwt{ alg = "none", key = "x" }', r'alg must be HS256, .* not the string "none"'),
    ('jwt{ alg = {}, key = "x" }', "alg names no algorithm"),
    ('jwt{ alg = { "HS256", "RS256" }, key = "x" }', r"alg mixes secrets \(HS…\) and public keys"),
    ('jwt{ alg = "HS256", key = "short" }', r"the key cannot be used: it is too short: HS256 takes 32"),
    ('jwt{ alg = "HS256", key = "-----BEGIN PUBLIC KEY-----" .. ("x"):rep(40) }', "looks like a key in PEM"),
    ('jwt{ alg = "RS256", key = "x" }', "it is no public key in PEM"),
    ('jwt{ alg = "RS256" }', "a key must be a string, not nil"),
    ('jwt{ alg = "RS256", key = {} }', "key is an empty table"),
    ('jwt{ alg = "HS256", key = ("x"):rep(32), aud = "x" }', r'unknown option "aud"'),
    ('jwt{ alg = "HS256", key = ("x"):rep(32), leeway = "x" }', "leeway must be a duration"),
    ("basic{}", r"lunette\.auth\.basic: check must be a function, not nil"),
    ("basic{ check = print, relam = 1 }", r'unknown option "relam".*realm'),
    ('basic{ check = print, realm = "a\\n" }', "realm holds a control character"),
    ("bearer{ check = print, optional = 1 }", "optional must be a boolean"),
])
def test_misuse_stops_the_start(call, message):
    errors = start_fails(make_folder({
        "scripts/main.lua": f'require "lunette".use(require "lunette.auth".{call})'}))
    assert re.search(message, errors), errors
