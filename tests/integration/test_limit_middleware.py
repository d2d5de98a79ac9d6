"""lunette.limit: token buckets over all workers. Rates are slow, so that no time passes in a test."""
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from running import log_of, make_folder, running, start_fails

MAIN = r"""
    local app = require "lunette"
    local limit = require "lunette.limit"
    local function hello() return "hello" end
    local function limited(opts) return { use = limit.middleware(opts) } end
    app.get("/five", limited{ rate = 5, per = "1h" }, hello)
    app.get("/burst", limited{ rate = 1, per = "1h", burst = 3 }, hello)
    app.get("/alike", limited{ rate = 1, per = "1h", burst = 3 }, hello)
    app.get("/parallel", limited{ rate = 50, per = "1d" }, hello)
    app.get("/keyed", limited{ rate = 1, per = "1h", key = function(req) return req.query.user end }, hello)
    app.get("/costs", limited{ rate = 10, per = "1h", cost = function(req) return req:int("n") end }, hello)
    app.get("/shared1", limited{ rate = 2, per = "1h", name = "both" }, hello)
    app.get("/shared2", limited{ rate = 2, per = "1h", name = "both" }, hello)
    app.get("/quiet", limited{ rate = 1, per = "1h", headers = false }, hello)
    app.get("/quick", limited{ rate = 1000, per = 1, burst = 1 }, hello)
    app.get("/two", { use = { limit.middleware{ rate = 100, per = "1h" },
      limit.middleware{ rate = 2, per = "1h" } } }, hello)
    app.get("/badkey", limited{ rate = 1, key = function() return {} end }, hello)
    app.get("/badcost", limited{ rate = 1, cost = function() return -1 end }, hello)
    app.get("/cached", { cache = 60, use = { limit.middleware{ rate = 3, per = "1h" } } },
      function() return tostring(os.clock()) end)
    app.get("/evict", function()
      local cache = require "lunette.cache"
      for i = 1, 4000 do cache.set("k" .. i, ("x"):rep(1000)) end
      return "evicted"
    end)
    app.get("/evicted", limited{ rate = 1, per = "1h" }, hello)
"""
CONFIG = 'return { trusted_proxies = { "127.0.0.1/32" }, cache = { bytes = "2M" } }'


@pytest.fixture(scope="module")
def site():
    with running({"scripts/main.lua": MAIN, "scripts/config.lua": CONFIG}, "--workers", "4") as server:
        yield server


def get(site, path, client=None):
    headers = {"X-Forwarded-For": client} if client else {}
    return requests.get(site.url(path), headers=headers, timeout=20)


def statuses(site, path, count, client=None):
    return [get(site, path, client).status_code for _ in range(count)]


def test_after_the_burst_it_is_429(site):
    for left in (4, 3, 2, 1, 0):
        answer = get(site, "/five")
        assert answer.status_code == 200
        assert answer.headers["RateLimit-Limit"] == "5"
        assert answer.headers["RateLimit-Remaining"] == str(left)
        reset = int(answer.headers["RateLimit-Reset"])
        assert (5 - left) * 720 - 60 < reset <= (5 - left) * 720
    answer = get(site, "/five")
    assert answer.status_code == 429
    assert 600 < int(answer.headers["Retry-After"]) <= 720
    assert answer.headers["RateLimit-Remaining"] == "0"
    assert "Too many requests" in answer.text
    assert requests.head(site.url("/five"), timeout=20).status_code == 429


def test_burst_and_buckets_of_their_own(site):
    assert statuses(site, "/burst", 4) == [200, 200, 200, 429]
    assert statuses(site, "/alike", 4) == [200, 200, 200, 429]


def test_four_workers_share_one_bucket(site):
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda _: get(site, "/parallel").status_code, range(160)))
    assert got.count(200) == 50 and got.count(429) == 110


def test_clients_by_address(site):
    assert statuses(site, "/burst", 4, "192.0.2.1") == [200, 200, 200, 429]
    assert statuses(site, "/burst", 1, "192.0.2.2") == [200]


def test_clients_of_ipv6_by_network(site):
    clients = ["2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:2:3:4:5:6"]
    assert [get(site, "/alike", c).status_code for c in clients] == [200, 200, 200]
    assert get(site, "/alike", "2001:db8:1:2:abcd::").status_code == 429
    assert get(site, "/alike", "2001:db8:1:3::1").status_code == 200


def test_keys_of_the_sites(site):
    assert statuses(site, "/keyed?user=a", 2) == [200, 429]
    assert statuses(site, "/keyed?user=b", 2) == [200, 429]
    assert statuses(site, "/keyed", 4) == [200] * 4  # no key, no limit


def test_costs(site):
    assert get(site, "/costs?n=11").status_code == 429
    assert get(site, "/costs?n=7").status_code == 200
    assert get(site, "/costs?n=4").status_code == 429
    assert get(site, "/costs?n=3").status_code == 200
    assert get(site, "/costs?n=0").status_code == 200


def test_names_share(site):
    assert get(site, "/shared1").status_code == 200
    assert get(site, "/shared2").status_code == 200
    assert get(site, "/shared1").status_code == 429


def test_without_headers(site):
    assert "RateLimit-Limit" not in get(site, "/quiet").headers
    answer = get(site, "/quiet")
    assert answer.status_code == 429 and "Retry-After" in answer.headers
    assert "RateLimit-Limit" not in answer.headers


def test_tokens_come_back(site):
    for _ in range(20):
        assert any(get(site, "/quick").status_code == 200 for _ in range(100))


def test_the_narrowest_of_two_is_told(site):
    assert get(site, "/two").headers["RateLimit-Remaining"] == "1"
    assert statuses(site, "/two", 2) == [200, 429]
    assert get(site, "/two").headers["RateLimit-Limit"] == "2"


def test_it_leaves_the_cache_of_responses_alone(site):
    answers = [get(site, "/cached") for _ in range(4)]
    assert len({answer.text for answer in answers[:3]}) == 1
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert answers[3].status_code == 429
    assert log_of(site, "/cached") == ""


def test_a_bucket_that_gave_way_is_full(site):
    assert statuses(site, "/evicted", 2) == [200, 429]
    assert get(site, "/evict").text == "evicted"
    assert statuses(site, "/evicted", 2) == [200, 429]


def test_misuse_in_a_request(site):
    assert get(site, "/badkey").status_code == 500
    assert "key(req) must return a string, a number or nil, not a table" in log_of(site, "/badkey")
    assert get(site, "/badcost").status_code == 500
    assert "cost(req) must return a number of 0 or more" in log_of(site, "/badcost")


@pytest.mark.parametrize("options, message", [
    ("{}", "rate is missing"),
    ("{ rate = 0 }", r"rate must be above 0"),
    ('{ rate = "5" }', "rate must be a number"),
    ('{ rate = 5, per = "x" }', "per must be a duration"),
    ("{ rate = 5, cost = 6 }", "no request would ever pass"),
    ("{ rate = 5, burts = 6 }", r'unknown option "burts".*burst'),
    ("{ rate = 5, key = 1 }", "key must be a function"),
])
def test_misuse_stops_the_start(options, message):
    errors = start_fails(make_folder({
        "scripts/main.lua": f'require "lunette".use(require "lunette.limit".middleware{options})'}))
    assert re.search(message, errors), errors
