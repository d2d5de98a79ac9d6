"""lunette.session: what is kept, where, and what the cookie withstands."""
import base64
import concurrent.futures
import hashlib
import hmac
import json
import re
import time

import pytest
import requests

from conftest import eventually
from running import log_of, make_folder, running, start_fails

SECRET = "0123456789abcdef-one"
OLDER = "0123456789abcdef-two"

SITE = r"""
    local app = require "lunette"
    local session = require "lunette.session"
    app.use(session.middleware{OPTIONS}, { files = false })
    app.get("/plain", function() return "plain" end)
    app.get("/read", function(req) return app.json(req.session) end)
    app.get("/count", function(req)
      req.session.n = (req.session.n or 0) + 1
      return app.text(req.session.n)
    end)
    app.get("/nested", function(req)
      local s = req.session
      s.cart = s.cart or { items = require "lunette.json".array {} }
      s.cart.items[#s.cart.items + 1] = { id = #s.cart.items + 1, price = 2.5, big = 2^53 | 0 }
      return app.json(s)
    end)
    app.get("/fill", function(req)
      req.session.text = ("x"):rep(req:int("n"))
      return "filled"
    end)
    app.get("/function", function(req) req.session.a = { b = print } return "x" end)
    app.get("/number", function(req) req.session = 7 return "x" end)
    app.get("/assign", function(req) req.session = { name = "assigned" } return "x" end)
    app.get("/nil", function(req) req.session = nil return "x" end)
    app.get("/login", function(req)
      session.renew(req)
      req.session.user = req.query.user
      return "in"
    end)
    app.get("/logout", function(req) session.clear(req) return "out" end)
    app.get("/logout-flash", function(req)
      local s = req.session
      session.clear(req)
      session.flash(req, "info", "bye")
      return app.json { empty = next(s) == nil, same = s == req.session }
    end)
    app.get("/flash", function(req) session.flash(req, "error", req.query.text) return 204 end)
    app.get("/flashes", function(req)
      local list = session.flashes(req)
      return app.json { first = list, again = session.flashes(req) }
    end)
    app.get("/fails", function(req) req.session.seen = "before the error" error "oops" end)
    app.get("/aborts", function(req) req.session.seen = "before" app.abort(404) end)
    app.on_error(410, function(req, err) req.session.page = err.status return "gone" end)
    app.get("/gone", function() return 410 end)
    app.get("/stream", function(req)
      req.session.early = true
      return app.stream(function(write)
        write("x")
        require "lunette.task".sleep(0.01)
        req.session.late = true
      end)
    end)
    app.get("/cached", { cache = 60 }, function(req)
      return app.json { session = req.query.read and req.session, made = os.clock() }
    end)
    app.get("/twice", function(req)
      local function add(name) return function() req.session[name] = true end end
      require "lunette.task".all { add "one", add "two", function() session.flash(req, "a", "b") end }
      return app.json(req.session)
    end)
    app.get("/slow", function(req)
      req.session.slow = true print "slow begun"
      require "lunette.task".sleep(0.3)
      return "x"
    end)
"""
CONFIG = f'return {{ secret = "{SECRET}" }}'


def files(options="", config=CONFIG, more=""):
    return {"scripts/main.lua": SITE.replace("OPTIONS", options) + more,
            "scripts/config.lua": config}


STORES = {
    "cookie": "",
    "sealed": "encrypt = true",
    "cache": 'store = "cache"',
    "cache-sealed": 'store = "cache", encrypt = true',
    "site": r"""store = {
        load = function(id)
          require "lunette.task".sleep(0.001)
          return require "lunette.cache".get("site:" .. id)
        end,
        save = function(id, text, max_age)
          require "lunette.task".sleep(0.001) -- a store may wait
          local cache = require "lunette.cache"
          if text then cache.set("site:" .. id, text, max_age) else cache.delete("site:" .. id) end
        end }""",
}


@pytest.fixture(scope="module", params=STORES)
def site(request):
    with running(files(STORES[request.param])) as server:
        server.store = request.param
        yield server


@pytest.fixture(scope="module")
def in_cookie():
    with running(files()) as server:
        yield server


@pytest.fixture(scope="module")
def in_cache():
    with running(files('store = "cache"')) as server:
        yield server


@pytest.fixture
def visitor():
    with requests.Session() as s:
        yield s


def get(client, server, path, **options):
    return client.get(server.url(path), timeout=20, **options)


def with_cookie(server, path, value):
    return requests.get(server.url(path), headers={"Cookie": f"session={value}"}, timeout=20)


def test_a_visitor_is_counted(site, visitor):
    for n in range(1, 8):  # by both workers
        assert get(visitor, site, "/count").text == str(n)
    assert get(requests, site, "/count").text == "1"


def test_nested_changes_count(site, visitor):
    for n in range(1, 4):
        items = get(visitor, site, "/nested").json()["cart"]["items"]
        assert [item["id"] for item in items] == list(range(1, n + 1))
        assert items[-1] == {"id": n, "price": 2.5, "big": 2**53}
    assert get(visitor, site, "/read").json()["cart"]["items"] == items


def test_who_does_not_ask_gets_no_cookie(site, visitor):
    for path in ("/plain", "/read", "/nowhere"):
        assert "Set-Cookie" not in get(visitor, site, path).headers
    get(visitor, site, "/count")
    for path in ("/plain", "/read"):
        assert "Set-Cookie" not in get(visitor, site, path).headers


def test_the_cookie_says_what_browsers_shall_do(site):
    answer = get(requests, site, "/count")
    assert re.fullmatch(r"session=[\w.-]+; Path=/; Max-Age=1209600; HttpOnly; SameSite=Lax",
                        answer.headers["Set-Cookie"])
    assert answer.headers["Vary"] == "Cookie"
    assert answer.headers["Cache-Control"] == "private"


def test_renewing_gives_another_id(site, visitor):
    get(visitor, site, "/count")
    before = visitor.cookies["session"]
    get(visitor, site, "/login?user=eve")
    after = visitor.cookies["session"]
    assert before != after
    assert get(visitor, site, "/read").json() == {"n": 1, "user": "eve"}
    fixed = with_cookie(site, "/read", before).json()  # session fixation
    assert "user" not in fixed
    assert fixed == ({"n": 1} if site.store in ("cookie", "sealed") else {})


def test_clearing_takes_it_back(site, visitor):
    get(visitor, site, "/login?user=eve")
    kept = visitor.cookies["session"]
    answer = get(visitor, site, "/logout")
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert "session" not in visitor.cookies
    assert get(visitor, site, "/read").json() == {}
    if site.store not in ("cookie", "sealed"):  # a cookie alone can be played back, as documented
        assert with_cookie(site, "/read", kept).json() == {}


def test_what_comes_after_clearing_is_new(site, visitor):
    get(visitor, site, "/login?user=eve")
    assert get(visitor, site, "/logout-flash").json() == {"empty": True, "same": True}
    assert get(visitor, site, "/flashes").json()["first"] == [{"kind": "info", "text": "bye"}]
    assert get(visitor, site, "/read").json() == {}
    assert "session" not in visitor.cookies  # nothing was left in it


def test_flashes_are_read_once(site, visitor):
    for text in ("one", "zwei ü"):
        get(visitor, site, f"/flash?text={text}")
    flashes = [{"kind": "error", "text": "one"}, {"kind": "error", "text": "zwei ü"}]
    assert get(visitor, site, "/flashes").json() == {"first": flashes, "again": []}
    assert get(visitor, site, "/flashes").json()["first"] == []


def test_assigning(site, visitor):
    get(visitor, site, "/count")
    get(visitor, site, "/assign")
    assert get(visitor, site, "/read").json() == {"name": "assigned"}


def test_setting_it_to_nil_without_reading_changes_nothing(site, visitor):
    get(visitor, site, "/count")
    get(visitor, site, "/nil")
    assert get(visitor, site, "/read").json() == {"n": 1}


def test_two_coroutines_of_a_request_have_one_session(site, visitor):
    get(visitor, site, "/count")
    assert get(visitor, site, "/twice").json() == {"n": 1, "one": True, "two": True}
    assert get(visitor, site, "/read").json() == {"n": 1, "one": True, "two": True}
    assert len(get(visitor, site, "/flashes").json()["first"]) == 1


def test_error_pages_are_part_of_it(site, visitor):
    assert get(visitor, site, "/fails").status_code == 500
    assert get(visitor, site, "/read").json() == {"seen": "before the error"}
    assert get(visitor, site, "/aborts").status_code == 404
    assert get(visitor, site, "/read").json() == {"seen": "before"}
    assert get(visitor, site, "/gone").status_code == 410
    assert get(visitor, site, "/read").json() == {"seen": "before", "page": 410}


def test_what_cannot_be_kept_says_where(in_cookie, visitor):
    assert get(visitor, in_cookie, "/function").status_code == 500
    in_cookie.wait_for(r"the session cannot be kept as JSON: req\.session\.a\.b: a function")
    assert get(visitor, in_cookie, "/number").status_code == 500
    in_cookie.wait_for(r"req\.session must be a table, not the number 7")


def test_a_cookie_has_4_kib(in_cookie, visitor):
    assert get(visitor, in_cookie, "/fill?n=2900").status_code == 200
    assert len(get(visitor, in_cookie, "/read").json()["text"]) == 2900
    assert get(visitor, in_cookie, "/fill?n=3100").status_code == 500
    in_cookie.wait_for(r"the session has \d+ bytes as a cookie, and browsers keep 4096: .*"
                       r'store = "cache"')
    assert len(get(visitor, in_cookie, "/read").json()["text"]) == 2900


def test_the_cache_takes_more(in_cache, visitor):
    assert get(visitor, in_cache, "/fill?n=100000").status_code == 200
    assert len(get(visitor, in_cache, "/read").json()["text"]) == 100000
    assert len(visitor.cookies["session"]) < 120
    assert get(visitor, in_cache, "/fill?n=2000000").status_code == 500
    in_cache.wait_for(r"the session has \d+ bytes, and the cache takes")


def test_a_tampered_cookie_is_no_session(site, visitor):
    get(visitor, site, "/login?user=eve")
    value = visitor.cookies["session"]
    assert with_cookie(site, "/read", value).json() == {"user": "eve"}
    for at in range(len(value)):
        other = "A" if value[at] != "A" else "B"
        answer = with_cookie(site, "/read", value[:at] + other + value[at + 1:])
        if at == len(value) - 1 and answer.json():  # the last character has bits to spare
            continue
        assert answer.status_code == 200 and answer.json() == {}
    for bad in ("", ".", "..", value[:-1], value + "A", value + "." + value, "a" * 4000,
                value.rpartition(".")[0], "%00", "\xff" * 20, "." * 300):
        answer = with_cookie(site, "/read", bad.encode("latin-1").decode("latin-1"))
        assert answer.status_code == 200 and answer.json() == {}, bad


def test_a_signed_text_of_the_site_is_no_session(serve):
    """The site's secret signs other things too: none of them may pass for a session."""
    server = serve(files(more=r"""
      app.get("/sign", function(req) return app.text(require "lunette.crypto".sign(req.query.s)) end)
    """))
    payload = base64.urlsafe_b64encode(b'{"d":{"user":"root"}}').decode().rstrip("=")
    signed = get(requests, server, f"/sign?s={payload}").text
    assert with_cookie(server, "/read", signed).json() == {}


def test_a_session_of_another_cookie_is_none(serve):
    one, two = serve(files()), serve(files('cookie = "other"'))
    with requests.Session() as s:
        get(s, one, "/login?user=eve")
        value = s.cookies["session"]
    answer = requests.get(two.url("/read"), headers={"Cookie": f"other={value}"}, timeout=20)
    assert answer.json() == {}


def test_a_cookie_of_another_domain_does_not_put_it_out(site, visitor):
    """Whoever has a domain beside this one can set a cookie of the same name for both."""
    get(visitor, site, "/login?user=eve")
    value = visitor.cookies["session"]
    for header in (f"session=tossed; session={value}", f"session={value}; session=tossed"):
        answer = requests.get(site.url("/read"), headers={"Cookie": header}, timeout=20)
        assert answer.json() == {"user": "eve"}


def test_encrypted_sessions_are_not_readable(serve):
    plain, sealed = serve(files()), serve(files("encrypt = true"))

    def payload(server):
        with requests.Session() as s:
            get(s, server, "/login?user=evelyn")
            text = s.cookies["session"].split(".")[0]
            return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert json.loads(payload(plain))["d"] == {"user": "evelyn"}
    assert b"evelyn" not in payload(sealed)
    assert payload(sealed) != payload(sealed)


@pytest.mark.parametrize("options", ["", "encrypt = true"])
def test_secrets_rotate(serve, options):
    old = serve(files(options, f'return {{ secret = "{OLDER}" }}'))
    new = serve(files(options, f'return {{ secret = {{ "{SECRET}", "{OLDER}" }} }}'))
    last = serve(files(options, f'return {{ secret = "{SECRET}" }}'))
    with requests.Session() as s:
        get(s, old, "/login?user=eve")
        value = s.cookies["session"]
    assert with_cookie(last, "/read", value).json() == {}
    answer = with_cookie(new, "/read", value)
    assert answer.json() == {"user": "eve"}
    again = answer.cookies["session"]  # signed anew, though nothing changed
    assert with_cookie(last, "/read", again).json() == {"user": "eve"}
    assert "Set-Cookie" not in with_cookie(new, "/read", again).headers


def mac(key, text):
    return hmac.new(key, text, hashlib.sha256).digest()


def cookie_of(content, age):
    """A session's cookie as the server signed it so many seconds ago."""
    plain = json.dumps(content, separators=(",", ":")).encode()
    text = base64.urlsafe_b64encode(plain).decode().rstrip("=")
    body = f"{text}.{int(time.time()) - age}".encode()
    info = b"lunette.session:cookie:session"
    key = mac(mac(bytes(32), SECRET.encode()), info + b"\1")  # HKDF (RFC 5869), without a salt
    signature = mac(mac(key, b"lunette.sign"), body)
    return f"{body.decode()}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def test_sessions_end_and_are_prolonged(serve):
    server = serve(files('max_age = "1h"'))
    eve = {"d": {"user": "eve"}}
    for age, user, prolonged in ((0, "eve", False), (1700, "eve", False), (1801, "eve", True),
                                 (3500, "eve", True), (3700, None, False)):
        answer = with_cookie(server, "/read", cookie_of(eve, age))
        assert answer.json().get("user") == user, age
        assert ("Set-Cookie" in answer.headers) == prolonged, age
    again = with_cookie(server, "/read", cookie_of(eve, 3500)).cookies["session"]
    assert "Set-Cookie" not in with_cookie(server, "/read", again).headers


@pytest.mark.parametrize("content", [[], {}, {"d": 5}, {"d": "x", "f": 1}, 5, None])
def test_a_signed_session_of_another_form_is_none(in_cookie, content):
    answer = with_cookie(in_cookie, "/count", cookie_of(content, 0))
    assert answer.status_code == 200 and answer.text == "1"


def test_an_evicted_session_is_an_empty_one(serve):
    server = serve(files('store = "cache"', more=r"""
      app.get("/evict", function() require "lunette.cache".clear() return 204 end)
    """))
    with requests.Session() as s:
        get(s, server, "/login?user=eve")
        get(s, server, "/evict")
        assert get(s, server, "/read").json() == {}
        assert get(s, server, "/count").text == "1"
        assert get(s, server, "/count").text == "2"


def test_what_was_cleared_meanwhile_is_not_brought_back(in_cache, visitor):
    get(visitor, in_cache, "/login?user=eve")
    value = visitor.cookies["session"]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(with_cookie, in_cache, "/slow", value)
        in_cache.wait_for("slow begun")
        assert with_cookie(in_cache, "/logout", value).status_code == 200
        assert slow.result().status_code == 200
    assert with_cookie(in_cache, "/read", value).json() == {}


def test_the_cookie_of_the_cache_holds_an_id_alone(in_cache, visitor):
    get(visitor, in_cache, "/login?user=eve")
    assert re.fullmatch(r"[\w-]{43}\.\d+\.[\w-]{43}", visitor.cookies["session"])  # 256 bits


def test_changes_of_a_stream_are_late(serve):
    server = serve(files())
    with requests.Session() as s:
        assert get(s, server, "/stream").text == "x"
        assert get(s, server, "/read").json() == {"early": True}
    server.wait_for("warn .* GET /stream: the session was changed when the headers were sent")


def test_the_cache_takes_late_changes_of_who_is_known(in_cache, visitor):
    get(visitor, in_cache, "/count")
    assert get(visitor, in_cache, "/stream").text == "x"
    eventually(lambda: get(visitor, in_cache, "/read").json() == {"n": 1, "early": True, "late": True})


def test_only_who_reads_it_turns_the_cache_of_responses_off(in_cookie, visitor):
    get(visitor, in_cookie, "/login?user=eve")
    one, two = (get(visitor, in_cookie, "/cached").json() for _ in range(2))
    assert one == two == get(requests, in_cookie, "/cached").json()
    mine = get(visitor, in_cookie, "/cached?read=1").json()
    assert mine["session"] == {"user": "eve"}
    other = get(requests, in_cookie, "/cached?read=1").json()
    assert other["session"] == {}
    in_cookie.wait_for(r"the answers of GET /cached are not kept by its cache: .*the session")


def test_the_cookie_is_secure_on_tls(serve):
    config = f'return {{ secret = "{SECRET}", trusted_proxies = {{ "127.0.0.1/32" }} }}'
    server = serve(files(config=config))
    answer = requests.get(server.url("/count"), headers={"X-Forwarded-Proto": "https"}, timeout=20)
    assert "; Secure" in answer.headers["Set-Cookie"]


def test_options_of_the_cookie(serve):
    server = serve(files('cookie = { name = "__Host-id", secure = true, same_site = "Strict" }, '
                         'max_age = "1h", secret = { "another secret of its own" }', config="return {}"))
    answer = get(requests, server, "/count")
    assert re.fullmatch(r"__Host-id=[\w.-]+; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Strict",
                        answer.headers["Set-Cookie"])


def test_dev_makes_a_secret(serve):
    server = serve(files(config="return {}"), "--dev")
    with requests.Session() as s:
        assert [get(s, server, "/count").text for _ in range(3)] == ["1", "2", "3"]


@pytest.mark.parametrize("options, message", [
    ("", r"scripts/main\.lua:\d+: lunette\.session: there is no secret to sign sessions with: set "
         r"`secret` in scripts/config\.lua.*LUNETTE_SECRET.*openssl rand -hex 32"),
    ('secret = "short"', r"a secret has at least 16 bytes, and this one has 5; `openssl rand -hex 32`"),
    ("secret = {}", r"secret is an empty array"),
    ('store = "redis"', r'store must be "cookie", "cache" or {load=, save=}, not the string "redis"'),
    ("store = { load = print }", r"store\.save must be a function, not nil"),
    ("max_age = 0", r'max_age must be a duration like 3600 or "14d", not the number 0'),
    ("maxage = 1", r'unknown option "maxage".*max_age'),
    ('cookie = "a b"', r"lunette\.session: cookie: a cookie's name has"),
    ('cookie = { same_site = "Lux" }', r'lunette\.session: cookie: same_site is "Strict"'),
    ('encrypt = "yes"', r"encrypt must be a boolean"),
])
def test_misuse_stops_the_start(options, message):
    errors = start_fails(make_folder(files(options, config="return {}")))
    assert re.search(message, errors), errors


def test_without_the_middleware_there_is_none(serve):
    server = serve({"scripts/main.lua": r"""
      local app = require "lunette"
      local session = require "lunette.session"
      app.get("/", function(req) return app.json { none = req.session == nil } end)
      app.get("/flash", function(req) session.flash(req, "a", "b") end)
    """})
    assert get(requests, server, "/").json() == {"none": True}
    assert get(requests, server, "/flash").status_code == 500
    assert "lunette.session.flash: no session: app.use(" in log_of(server, "/flash")
