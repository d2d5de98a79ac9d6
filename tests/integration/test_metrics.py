"""metrics and health: Prometheus's text, read strictly, and the answer for load balancers."""
import os
import re
import shutil
import signal
import socket
import struct
import time

import pytest

from conftest import eventually, free_port
from running import Answer, ask, make_folder, running, start_fails, unix_get
from test_stop import refused

MAIN = r"""
    local app = require "lunette"
    local task = require "lunette.task"
    local cache = require "lunette.cache"
    app.get("/notes/:id", function(req) return app.text("note") end)
    app.post("/notes", function(req) return 201, nil, req.body end)
    app.get("/odd/:a{[^\"\\]+}", function() return 204 end)
    app.get("/slow", function() task.sleep(0.3) return 204 end)
    app.get("/fails", function() error "on purpose" end)
    app.get("/wait", function()
      print "wait begun"
      while not io.open(app.data .. "/go") do task.sleep(0.02) end
      return app.text("waited")
    end)
    app.get("/cached", function() return app.text(cache.fetch("k", 60, function() return "v" end)) end)
    app.any("/long", function() print "long begun" require "lunette.task".sleep(20) return 204 end)
    app.get("/metrics", function() return app.text("the site's own") end)
    """
SITE = {"scripts/main.lua": MAIN, "site/file.txt": "twelve bytes"}

# --- a strict reader of exposition format 0.0.4 ---

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ([0-9.eE+-]+|\+Inf|NaN)")


def unescape(text):
    return re.sub(r'\\(["\\n])', lambda m: "\n" if m[1] == "n" else m[1], text)


def family_of(name, types):
    for suffix in ("_bucket", "_sum", "_count"):
        base = name.removesuffix(suffix)
        if base != name and types.get(base) == "histogram":
            return base
    return name


def parse(text):
    """{(name, ((label, value), …)): number}; fails for anything that is not well formed."""
    types, samples, current, helped = {}, {}, None, set()
    assert text.endswith("\n") and "\n\n" not in text
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, help = re.fullmatch(rf"# HELP ({NAME}) (\S.*)", line).groups()
            assert name not in helped, "a family stands in one place"
            helped.add(name)
            current = name
        elif line.startswith("# TYPE "):
            name, kind = re.fullmatch(
                rf"# TYPE ({NAME}) (counter|gauge|histogram)", line).groups()
            assert name == current and name not in types
            types[name] = kind
        else:
            m = SAMPLE.fullmatch(line)
            assert m, line
            name, labels, value = m[1], m[2] or "", float(m[m.lastindex])
            assert family_of(name, types) == current, line
            pairs = tuple((k, unescape(v)) for k, v in re.findall(LABEL, labels))
            assert len({k for k, _ in pairs}) == len(pairs)
            assert (name, pairs) not in samples, f"twice: {line}"
            samples[name, pairs] = value
    for name, kind in types.items():
        assert name.startswith("lunette_") and (kind != "counter" or name.endswith("_total"))
        if kind == "histogram":
            check_histogram(name, samples)
    return samples


def check_histogram(name, samples):
    buckets = {}
    for (n, pairs), value in samples.items():
        if n == name + "_bucket":
            rest = tuple(p for p in pairs if p[0] != "le")
            buckets.setdefault(rest, []).append((float(dict(pairs)["le"]), value))
    for pairs, series in buckets.items():
        bounds, counts = zip(*series)
        assert list(bounds) == sorted(bounds) and bounds[-1] == float("inf")
        assert list(counts) == sorted(counts) and counts[-1] == samples[name + "_count", pairs]
        assert samples[name + "_sum", pairs] >= 0


def http_get(port, path, method="GET"):
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.sendall(f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while more := s.recv(65536):
            data += more
    return Answer(data)


def metrics_of(port, path="/metrics"):
    answer = http_get(port, path)
    assert answer.status == 200
    assert answer["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer["cache-control"] == "no-store"
    return parse(answer.body.decode())


def requests_total(samples, route, status, method="GET"):
    return samples.get(("lunette_http_requests_total",
                        (("route", route), ("method", method), ("status", str(status)))), 0)


def config(**settings):
    return "return { " + ", ".join(f"{k} = {v}" for k, v in settings.items()) + " }"


@pytest.fixture
def both():
    """A site with metrics and health on one address of their own; .side is its port."""
    port = free_port()
    files = {**SITE, "scripts/config.lua": config(metrics=f'"127.0.0.1:{port}"',
                                                  health=f'"127.0.0.1:{port}"')}
    with running(files, "--workers", "3") as server:
        server.side = port
        yield server


# --- metrics ---

def test_requests_by_route_method_and_status(both):
    for i in range(5):
        ask(both, f"/notes/{i}")
    ask(both, "/notes", method="POST", body=b"12345")
    ask(both, "/notes/1", method="HEAD")
    for path in ("/file.txt", "/file.txt", "/nowhere", "/fails"):
        ask(both, path)
    ask(both, "/notes/1", method="DELETE")
    both.raw(b"nonsense\r\n\r\n")
    got = metrics_of(both.side)
    assert requests_total(got, "/notes/:id", 200) == 5
    assert requests_total(got, "/notes/:id", 200, "HEAD") == 1
    assert requests_total(got, "/notes", 201, "POST") == 1
    assert requests_total(got, "(file)", 200) == 2
    assert requests_total(got, "(none)", 404) == 1
    assert requests_total(got, "(none)", 405, "DELETE") == 1
    assert requests_total(got, "(none)", 400, "other") == 1
    assert requests_total(got, "/fails", 500) == 1
    assert got["lunette_http_request_body_bytes_total", ()] == 5
    assert got["lunette_connections_accepted_total", ()] == 13
    total = sum(v for (n, _), v in got.items() if n == "lunette_http_requests_total")
    counts = sum(v for (n, _), v in got.items()
                 if n == "lunette_http_request_duration_seconds_count")
    assert total == counts == 13


def test_who_left_before_the_answer_is_counted_as_499(both):
    with both.wire() as w:
        w.get("/long")
        both.wait_for("long begun")
        w.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    eventually(lambda: requests_total(metrics_of(both.side), "/long", 499) == 1)
    assert requests_total(metrics_of(both.side), "/long", 204) == 0


def test_bytes_of_answers(both):
    before = metrics_of(both.side)["lunette_http_response_body_bytes_total", ()]
    ask(both, "/notes/1")
    ask(both, "/file.txt")
    assert metrics_of(both.side)["lunette_http_response_body_bytes_total", ()] - before == 4 + 12


def test_durations_are_where_they_belong(both):
    ask(both, "/slow")
    got = metrics_of(both.side)

    def bucket(le):
        return got["lunette_http_request_duration_seconds_bucket",
                   (("route", "/slow"), ("le", le))]
    assert bucket("0.25") == 0 and bucket("10") == bucket("+Inf") == 1
    seconds = got["lunette_http_request_duration_seconds_sum", (("route", "/slow"),)]
    assert 0.3 <= seconds < 10


def test_labels_are_escaped(both):
    ask(both, "/odd/x")
    got = metrics_of(both.side)
    assert requests_total(got, '/odd/:a{[^"\\]+}', 204) == 1


def test_counters_survive_their_worker_and_restarts_are_counted(both):
    for _ in range(20):
        ask(both, "/notes/1")
    for pid in both.workers():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: both.errors().count("was killed by signal 9") == 3)
    ask(both, "/notes/1")
    got = metrics_of(both.side)
    assert requests_total(got, "/notes/:id", 200) == 21
    assert got["lunette_worker_restarts_total", ()] == 3


def test_what_else_is_there(both):
    for _ in range(3):
        ask(both, "/cached")
    got = metrics_of(both.side)
    assert [v for (n, _), v in got.items() if n == "lunette_build_info"] == [1]
    assert got["lunette_workers", ()] == 3
    assert abs(got["lunette_start_time_seconds", ()] - time.time()) < 60
    assert 0 <= got["lunette_uptime_seconds", ()] < 60
    assert got["lunette_reloads_total", (("result", "ok"),)] == 0
    for worker in "012":
        assert got["lunette_lua_memory_bytes", (("worker", worker),)] > 50000
    assert got["lunette_cache_misses_total", ()] == 1
    assert got["lunette_cache_hits_total", ()] == 2
    assert got["lunette_cache_entries", ()] == 1
    assert got["lunette_log_lines_lost_total", ()] == 0
    assert got["lunette_pool_queue", (("pool", "normal"),)] == 0
    assert got["lunette_pool_queue", (("pool", "sql"),)] == 0


def test_connections_that_are_open_and_refused():
    port = free_port()
    files = {**SITE, "scripts/config.lua": config(metrics=f'"127.0.0.1:{port}"',
                                                  limits="{ connections = 2 }")}
    with running(files, "--workers", "1") as server:
        with server.wire() as a, server.wire() as b:
            a.get("/notes/1").answer()
            b.get("/notes/1").answer()
            with server.wire() as c:
                assert c.answer().status == 503
            got = metrics_of(port)  # its own connections are not among them
            assert got["lunette_connections_open", ()] == 2
            assert got["lunette_connections_refused_total", (("limit", "connections"),)] == 1
            assert got["lunette_connections_limit", ()] == 2


def test_too_many_routes_are_one():
    routes = 'local app = require "lunette"\nfor i = 1, 1200 do app.get("/r" .. i .. "/:x", ' \
             'function() return 204 end) end\nlocal long = ("l"):rep(300)\n' \
             'app.get("/" .. long, function() return 204 end)'
    port = free_port()
    with running({"scripts/main.lua": routes,
                  "scripts/config.lua": config(metrics=f'"127.0.0.1:{port}"')}) as server:
        with server.wire(30) as w:
            for i in range(1, 1201):
                assert w.get(f"/r{i}/x").answer().status == 204
            assert w.get("/" + "l" * 300).answer().status == 204
        got = metrics_of(port)
        names = {dict(p)["route"] for n, p in got if n == "lunette_http_requests_total"}
        assert len(names) == 1001 and "(other)" in names
        assert requests_total(got, "(other)", 204) == 201


def test_requests_of_metrics_are_in_no_log_on_an_address_of_their_own(both):
    metrics_of(both.side)
    http_get(both.side, "/healthz")
    ask(both, "/notes/1")
    both.wait_for_access("/notes/1")
    assert "metrics" not in both.accesses() and "health" not in both.accesses()


def test_on_a_path_the_configuration_wins_and_the_log_has_it():
    files = {**SITE, "scripts/config.lua": config(metrics='"/metrics"', health='"/up"')}
    with running(files) as server:
        ask(server, "/notes/1")
        assert requests_total(metrics_of(server.port), "/notes/:id", 200) == 1
        assert ask(server, "/up").body == b"ok\n"
        got = metrics_of(server.port)
        assert requests_total(got, "/metrics", 200) == 1
        assert requests_total(got, "/up", 200) == 1
        server.wait_for_access(r'"GET /metrics HTTP/1.1" 200')
        server.wait_for_access(r'"GET /up HTTP/1.1" 200')
        assert ask(server, "/%6detrics").body.startswith(b"# HELP")  # by its decoded path
        assert ask(server, "/notes", method="POST", body=b"x").status == 201


def test_without_metrics_the_site_has_the_path():
    with running(SITE) as server:
        assert ask(server, "/metrics").body == b"the site's own"


@pytest.mark.parametrize("method, status", [("POST", 405), ("PUT", 405), ("HEAD", 200)])
def test_other_methods(both, method, status):
    for path in ("/metrics", "/health"):
        answer = http_get(both.side, path, method)
        assert answer.status == status and (status != 405 or answer["allow"] == "GET, HEAD")
        assert status != 200 or (answer.body == b"" and int(answer["content-length"]) > 0)


def test_a_body_that_nobody_asked_for(both):
    with socket.create_connection(("127.0.0.1", both.side), 10) as s:
        s.sendall(b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n" +
                  b"x" * 70000)
        assert s.recv(4096).startswith(b"HTTP/1.1 405 ")


def test_metrics_alone_and_on_a_unix_socket():
    folder = make_folder({**SITE, "run/.keep": ""})
    path = folder / "run/side.sock"
    if os.getuid() == 0:
        shutil.chown(path.parent, "nobody", "nogroup")
    (folder / "scripts/config.lua").write_text(config(metrics=f'"unix:{path}"'))
    from conftest import Server
    server = Server(folder, ("--workers", "2"))
    try:
        assert parse(unix_get(path, "/metrics").body.decode())
        answer = unix_get(path, "/other")
        assert answer.status == 404 and answer.body == b"the metrics are at /metrics\n"
    finally:
        server.stop()
    assert not path.exists()


# --- health ---

def test_health_while_serving(both):
    for path in ("/", "/health", "/whatever"):
        answer = http_get(both.side, path)
        assert (answer.status, answer.body) == (200, b"ok\n")
        assert answer["content-type"] == "text/plain; charset=utf-8"
        assert answer["cache-control"] == "no-store" and "etag" not in answer.headers
        assert "retry-after" not in answer.headers


def wait_request(server):
    """A request under way that keeps a worker from ending, until it is let go."""
    w = server.wire()
    w.get("/wait")
    server.wait_for("wait begun")
    return w


def let_go(server):
    (server.folder / "data/go").touch()


def test_health_while_stopping_on_its_own_address():
    port = free_port()
    files = {**SITE, "scripts/config.lua": config(health=f'"127.0.0.1:{port}"')}
    with running(files, "--workers", "1") as server:
        w = wait_request(server)
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: refused(server))
        answer = http_get(port, "/")
        assert (answer.status, answer.body) == (503, b"stopping\n")
        assert answer["retry-after"] == "1"
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        let_go(server)
        assert w.answer().body == b"waited"
        w.s.close()
        assert server.ends_within(5)


def says_that_it_stops(server):
    """A connection without a request yet is closed when the stop comes, at which this may be."""
    try:
        return http_get(server.port, "/health").status == 503
    except (ConnectionError, IndexError):
        return False


def test_health_while_stopping_on_a_path():
    files = {**SITE, "scripts/config.lua": config(health='"/health"')}
    with running(files, "--workers", "1") as server:
        w = wait_request(server)
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: says_that_it_stops(server))
        answer = http_get(server.port, "/health")
        assert (answer.status, answer.body) == (503, b"stopping\n")
        assert answer["retry-after"] == "1"
        answer = http_get(server.port, "/notes/1")  # its turn is over
        assert (answer.status, answer.body) == (503, b"stopping\n")
        assert answer["retry-after"] == "1"
        assert answer["connection"] == "close"
        let_go(server)
        assert w.answer().body == b"waited"
        w.s.close()
        assert server.ends_within(5)


def test_health_before_the_workers_are_ready():
    port = free_port()
    folder = make_folder({
        "scripts/main.lua": 'local task = require "lunette.task" task.sleep(1.5)\n' + MAIN,
        "scripts/config.lua": config(health=f'"127.0.0.1:{port}"')})
    from conftest import Server
    server = Server(folder, ("--workers", "2"), ready=False)
    try:
        def early():
            try:
                return http_get(port, "/")
            except ConnectionError:
                return None
        answer = eventually(early)
        assert (answer.status, answer.body) == (503, b"starting\n")
        assert answer["retry-after"] == "1"
        server.wait_for("serves")
        assert http_get(port, "/").body == b"ok\n"
    finally:
        server.stop()


# --- the configuration ---

@pytest.mark.parametrize("settings, words", [
    ('metrics = "/a/../b"', "metrics cannot be at '/a/../b'"),
    ('metrics = "/a?b"', "metrics cannot be at '/a?b'"),
    ('metrics = "nowhere"', "metrics is a path that begins with '/', or an address to listen on"),
    ('health = "127.0.0.1:99999"', "health is a path that begins with '/', or an address"),
    ('metrics = "/x", health = "/x"', "metrics and health cannot both be at /x"),
    ('metrics = 5', "metrics must be a string, not the number 5|metrics must be a string, not 5")])
def test_mistakes(settings, words):
    folder = make_folder({**SITE, "scripts/config.lua": "\nreturn { " + settings + " }"})
    said = start_fails(folder)
    assert re.search(r"scripts/config\.lua:2: ", said)
    assert any(word in said for word in words.split("|")), said


def test_the_sites_own_address_is_refused():
    port = free_port()
    folder = make_folder({**SITE, "scripts/config.lua": config(metrics=f'"127.0.0.1:{port}"')})
    said = start_fails(folder, "--listen", f"127.0.0.1:{port}")
    assert f"the site itself listens on 127.0.0.1:{port}: give metrics a path there" in said


def test_an_address_that_is_taken_stops_the_start():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        folder = make_folder({**SITE, "scripts/config.lua": config(health=f'"127.0.0.1:{port}"')})
        assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in start_fails(folder)
