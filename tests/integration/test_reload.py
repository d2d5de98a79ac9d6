"""Reloads: what changes over, what goes on, and what comes to nothing."""

import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest
import requests

from conftest import LUNETTE, eventually, post

MAIN = """
    local app = require "lunette"
    local task = require "lunette.task"
    local part = require "part"
    app.get("/", function() return app.text(part) end)
    app.get("/slow", function() print "slow begun" task.sleep(1) return app.text(part) end)
    app.get("/worker", function() return app.text(part .. " " .. app.settings.name) end)
    app.get("/stream", function()
      return app.stream(function(write)
        while true do write(part .. "\\n") task.sleep(0.05) end
      end)
    end)
    app.post("/", function(req) return app.text(#req.body) end)
    """

SITE = {
    "scripts/main.lua": MAIN,
    "scripts/part.lua": 'return "one"',
    "scripts/config.lua": 'return { site = { name = "first" } }',
}


def put(server, name, text):
    path = server.folder / name
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def reload(server, number=None):
    server.process.send_signal(signal.SIGHUP)
    if number:
        server.wait_for(rf"reloaded \({number}\), in \d+ ms")


def page(server, path="/"):
    return requests.get(server.url(path), timeout=10).text


def pages(server):
    """Of every worker, more or less."""
    return {page(server) for _ in range(20)}


def test_new_scripts_take_over_in_every_worker(serve):
    server = serve(SITE, "--workers", "3")
    workers = server.workers()
    assert pages(server) == {"one"}
    put(server, "scripts/part.lua", 'return "two"')
    assert pages(server) == {"one"}
    reload(server, 1)
    assert pages(server) == {"two"}
    eventually(lambda: server.workers() == workers)  # the process that tried them is on its way out


def test_a_request_ends_as_it_began(serve):
    server = serve(SITE, "--workers", "1")
    answers = []
    slow = threading.Thread(target=lambda: answers.append(page(server, "/slow")))
    slow.start()
    server.wait_for("slow begun")
    put(server, "scripts/part.lua", 'return "two"')
    reload(server, 1)
    assert page(server) == "two"
    slow.join()
    assert answers == ["one"]


@pytest.mark.parametrize("text,why", [
    ("return 'two' two", "scripts/part.lua:1: <eof> expected near 'two'"),
    ("error 'not today'", "scripts/part.lua:1: not today"),
    ("return nil + 1", "scripts/part.lua:1: attempt to perform arithmetic on a nil value"),
    ("while true do end", "timeouts.cpu"),
    ("os.execute 'kill -9 $PPID' return require 'nowhere'", "module 'nowhere' not found"),
])
def test_scripts_that_fail_change_nothing(serve, text, why):
    site = dict(SITE)
    site["scripts/config.lua"] = 'return { site = { name = "first" }, timeouts = { cpu = 0.5 } }'
    server = serve(site, "--workers", "2")
    workers = server.workers()
    put(server, "scripts/part.lua", text)
    reload(server)
    server.wait_for("reload 1 came to nothing: .*The scripts that ran before go on")
    assert why in server.errors()
    assert pages(server) == {"one"}
    eventually(lambda: server.workers() == workers)  # the process that tried them is on its way out
    put(server, "scripts/part.lua", 'return "mended"')
    reload(server, 2)
    assert pages(server) == {"mended"}


@pytest.mark.parametrize("text, told", [
    ("local t = {}\n\nreturn 1 + + 2\n", "scripts/brok.lua:3: unexpected symbol near '+'"),
    ("local t = {}\nerror('not today')\n", "scripts/brok.lua:2: not today"),
    ("\nrequire 'nowhere'\n", "scripts/brok.lua:2: module 'nowhere' not found"),
])
@pytest.mark.parametrize("dev", [(), ("--dev",)])
def test_a_module_that_fails_is_told_in_one_line_with_its_place(serve, text, told, dev):
    server = serve(SITE, *(dev or ("--workers", "2")))
    put(server, "scripts/brok.lua", text)
    put(server, "scripts/part.lua", "local kept = 1\nlocal x = require 'brok'\nreturn x\n")
    done = subprocess.run([LUNETTE, "reload", str(server.folder)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    first, rest = done.stderr.split("\n", 1)
    assert first.removesuffix(":") == f"lunette: {told}", done.stderr
    assert "error loading module" not in done.stderr and "\tscripts/part.lua:2: in " in rest
    server.wait_for(r"came to nothing: " + re.escape(told) + r"\. The scripts that ran before go on")
    assert "error loading module" not in server.errors()


def test_a_worker_that_dies_starts_with_what_is_in_force(serve):
    """Not with what the disk has by then."""
    server = serve(SITE, "--workers", "2")
    put(server, "scripts/part.lua", "this is no Lua")
    reload(server)
    server.wait_for("came to nothing")
    put(server, "scripts/part.lua", 'return "two"')
    put(server, "scripts/config.lua", 'return { site = { name = "second" } }')
    reload(server, 2)
    put(server, "scripts/part.lua", "neither is this")
    put(server, "scripts/config.lua", "nor this")
    for worker in eventually(lambda: len(server.workers()) == 2 and server.workers()):
        os.kill(worker, signal.SIGKILL)
    assert eventually(lambda: len(server.workers()) == 2, 5)
    assert {page(server, "/worker") for _ in range(10)} == {"two second"}


def test_settings_change_where_they_can(serve):
    server = serve(SITE, "--workers", "1")
    assert page(server, "/worker") == "one first"
    put(server, "scripts/config.lua", """return {
        site = { name = "second" }, limits = { body_bytes = 10, connections = 5 }, workers = 3,
        log = { level = "warn" } }""")
    reload(server)
    assert eventually(lambda: page(server, "/worker") == "one second", 5)
    assert requests.post(server.url("/"), data=b"x" * 10).text == "10"
    assert requests.post(server.url("/"), data=b"x" * 11).status_code == 413
    for setting in ["workers", "limits.connections"]:
        server.wait_for(f"config.lua: {re.escape(setting)} has changed, which has no effect until")
    eventually(lambda: len(server.workers()) == 1)  # and no process any more that tried them
    put(server, "scripts/config.lua", "return { limits = { body_byte = 1 } }")
    reload(server)
    server.wait_for("scripts/config.lua:1: unknown key 'body_byte'")
    server.wait_for("reload 2 came to nothing")
    assert page(server, "/worker") == "one second"
    (server.folder / "scripts/config.lua").unlink()
    reload(server, 3)  # the defaults hold
    assert requests.post(server.url("/"), data=b"x" * 11).text == "11"


@pytest.mark.parametrize("body", ["", "some", "none yet"])
def test_a_fourth_generation_answers_requests_of_the_first_with_a_503(serve, body):
    """Instead of closing their connections, on which the next request finds the new scripts."""
    server = serve({**SITE, "scripts/long.lua": """
        local app = require "lunette"
        app.any("/long", function(req)
            print "long begun"
            if req.body then require "lunette.task".sleep(60) end
            return 204
        end)
        app.post("/waits", { stream_body = true }, function(req)
            print "long begun"
            while req:read() do end
            return 204
        end)
        """, "scripts/main.lua": SITE["scripts/main.lua"] + '\n    require "long"\n'}, "--workers", "1")
    with server.wire(30) as w:
        if body == "none yet":  # it waits for that
            w.send("POST /waits HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
        elif body:
            w.send(post("/long", body))
        else:
            w.get("/long")
        server.wait_for("long begun")
        streams = []  # that keep the generations
        for number in range(1, 4):
            streams.append(server.wire().get("/stream").begin())
            put(server, "scripts/part.lua", f'return "g{number}"')
            reload(server, number)
        answer = w.answer()
        for stream in streams:
            stream.s.close()
        assert answer.status == 503 and answer.headers["retry-after"] == "1"
        if body == "none yet":
            w.assert_end()
        else:
            assert w.get("/").answer().body == b"g3"
    server.wait_for("503 /(long|waits): its scripts had to make room for those of a reload")
    server.wait_for_access(r'/(long|waits) HTTP/1.1" 503')
    assert page(server) == "g3"


def test_three_generations_at_most(serve):
    server = serve(SITE, "--workers", "1")
    streams = []
    for number in range(1, 5):
        s = server.connect()
        s.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" in s.recv(4096)
        streams.append(s)
        put(server, "scripts/part.lua", f'return "g{number}"')
        reload(server, number)
    server.wait_for("answers that reload 0 began are broken off, and requests without one get a 503: "
                    "limits.generations is 3")

    def ended(s):
        s.settimeout(2)
        try:
            while s.recv(65536):
                pass
            return True
        except socket.timeout:
            return False
        except ConnectionError:
            return True
    assert ended(streams[0]) and ended(streams[1])
    for s in streams[2:]:
        s.settimeout(2)
        assert s.recv(65536)
    for s in streams:
        s.close()
    assert page(server) == "g4"


def test_no_request_fails_while_reloads_go_on(serve):
    server = serve(SITE, "--workers", "2")
    stop, wrong, count = threading.Event(), [], [0]

    def ask():
        with requests.Session() as session:
            while not stop.is_set():
                try:
                    answer = session.get(server.url("/"), timeout=10)
                    if answer.status_code != 200 or not re.fullmatch("one|g[0-9]+", answer.text):
                        wrong.append(answer.text)
                    count[0] += 1
                except requests.RequestException as e:
                    wrong.append(repr(e))
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for t in threads:
        t.start()
    for number in range(1, 16):
        put(server, "scripts/part.lua", f'return "g{number}"')
        reload(server, number)
    stop.set()
    for t in threads:
        t.join()
    assert not wrong and count[0] > 100
    assert pages(server) == {"g15"}


def test_signals_that_come_together_are_few_reloads(serve):
    server = serve(SITE, "--workers", "1")
    put(server, "scripts/part.lua", 'return "two"')
    for _ in range(20):
        server.process.send_signal(signal.SIGHUP)
        time.sleep(0.002)
    assert eventually(lambda: page(server) == "two", 5)
    time.sleep(0.5)
    assert 1 <= len(re.findall(r"reloaded \(\d+\)", server.errors())) <= 12


def test_a_worker_that_dies_while_it_loads_ends_the_reload(serve):
    server = serve(SITE, "--workers", "2")
    workers = server.workers()
    put(server, "scripts/part.lua", 'print "part begun" require "lunette.task".sleep(1.5) return "two"')
    reload(server)
    eventually(lambda: server.errors().count("part begun") == 3)  # the checker has loaded it, and they begin
    os.kill(workers[0], signal.SIGKILL)
    server.wait_for("reload 1 came to nothing: a worker ended while it loaded them")
    assert eventually(lambda: len(server.workers()) == 2, 5)
    assert eventually(lambda: pages(server) == {"one"}, 5)
    put(server, "scripts/part.lua", 'return "three"')
    reload(server, 2)
    assert pages(server) == {"three"}


def test_a_server_stops_amid_a_reload(serve):
    server = serve(SITE, "--workers", "2")
    put(server, "scripts/part.lua", 'print "part begun" require "lunette.task".sleep(20) return "two"')
    reload(server)
    server.wait_for("part begun")
    server.stop(signal.SIGTERM)


def rss(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * 4096


def test_memory_does_not_grow(serve):
    options = os.environ.get("ASAN_OPTIONS", "")  # a quarantine keeps what was freed
    server = serve(SITE, "--workers", "1",
                   env={"ASAN_OPTIONS": f"{options}:quarantine_size_mb=0".strip(":")})
    [worker] = server.workers()
    for number in range(1, 21):
        reload(server, number)
    time.sleep(0.5)
    before, files = rss(worker), len(os.listdir(f"/proc/{worker}/fd"))
    for number in range(21, 61):
        reload(server, number)
    time.sleep(0.5)
    assert rss(worker) - before < 3 << 20
    assert len(os.listdir(f"/proc/{worker}/fd")) == files
    assert len(os.listdir(f"/proc/{server.process.pid}/fd")) < 20


def test_reloads_in_a_row_lose_no_request(serve):
    """However many they are: the oldest scripts are not given up while they answer."""
    server = serve(SITE, "--workers", "2")
    answers = []
    slow = [threading.Thread(target=lambda: answers.append(page(server, "/slow"))) for _ in range(8)]
    for thread in slow:
        thread.start()
    eventually(lambda: server.errors().count("slow begun") == 8)
    for number in range(1, 6):
        put(server, "scripts/part.lua", f'return "part {number}"')
        reload(server, number)
    for thread in slow:
        thread.join()
    assert answers == ["one"] * 8
    assert pages(server) == {"part 5"} and "broken off" not in server.errors()


def test_nobody_keeps_descriptors_of_scripts_that_are_not_in_force(serve):
    """A worker that is started later, or during a reload, has as many as one of the start."""
    server = serve(SITE, "--workers", "2")
    assert not server.open_files("/memfd:lunette-s")  # scripts and settings
    for number in range(1, 4):
        put(server, "scripts/part.lua", f'return "part {number}"')
        server.process.send_signal(signal.SIGHUP)
        victim = server.workers()[0]
        os.kill(victim, signal.SIGKILL)
        server.wait_for(rf"worker {victim} .*; started \d+")
        server.wait_for(rf"reloaded \({number}\)|reload {number} came to nothing")
    reload(server, 4)
    assert pages(server) == {"part 3"}
    assert eventually(lambda: not server.open_files("/memfd:lunette-s"))


@pytest.mark.parametrize("text", ["", "\n \t\r\n"])
@pytest.mark.parametrize("dev", [False, True])
def test_a_main_lua_without_a_word_is_no_new_script(serve, text, dev):
    """As an editor leaves it that empties the file before it writes it."""
    server = serve(SITE, *(["--dev"] if dev else ["--workers", "2"]))
    main = server.folder / "scripts/main.lua"
    good = main.read_text()
    main.write_text(text)
    if not dev:
        reload(server)
    server.wait_for("reload 1 came to nothing: scripts/main.lua is empty, as while it is being written "
                    r".*\. The scripts that ran before go on")
    assert pages(server) == {"one"}
    main.write_text(good.replace("app.text(part)", "app.text(part .. '!')"))
    if dev:
        eventually(lambda: page(server) == "one!")
    else:
        reload(server, 2)
        assert pages(server) == {"one!"}
    main.write_text("-- nothing\n")  # what is meant
    if dev:
        eventually(lambda: requests.get(server.url("/"), timeout=10).status_code == 404)
    else:
        reload(server, 3)
        assert requests.get(server.url("/"), timeout=10).status_code == 404


def test_scripts_that_are_gone_are_no_new_scripts(serve):
    """As between the two renames of a deployment."""
    server = serve(SITE, "--workers", "1")
    (server.folder / "scripts").rename(server.folder / "away")
    reload(server)
    server.wait_for("reload 1 came to nothing: scripts/main.lua is not there any more")
    assert page(server) == "one"
    (server.folder / "away").rename(server.folder / "scripts")
    put(server, "scripts/part.lua", 'return "two"')
    reload(server, 2)
    assert page(server) == "two"


def test_an_end_of_loading_that_nobody_waits_for(serve):
    """One worker refuses; the other, busy, has loaded its own when it hears that it is over."""
    server = serve({**SITE, "scripts/main.lua": """
        local app = require "lunette"
        local task = require "lunette.task"
        local n = require "lunette.cache".incr "loads"
        if n == 4 then task.sleep(0.3) error "one refuses" end
        if n == 5 then
          task.spawn(function() task.sleep(0.1) local t = os.clock() while os.clock() < t + 1 do end end)
          task.sleep(0.6)
        end
        app.get("/", function() return app.text "served" end)
        """}, "--workers", "2")
    workers = server.workers()
    reload(server)
    server.wait_for("reload 1 came to nothing: scripts/main.lua:5: one refuses")
    time.sleep(1.5)
    assert pages(server) == {"served"} and server.workers() == workers
    reload(server, 2)


# A library that keeps the settings of the reload which is being tried from being sealed.
SEALER = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int luaopen_sealer(void *L);
int luaopen_sealer(void *L)
{
    char path[64], target[128];
    (void)L;
    for (int fd = 3; fd < 64; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        if (strstr(target, "lunette-settings"))
            fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL);
    }
    return 0;
}
"""


def test_settings_that_could_be_cut_off_under_the_master_are_not_taken(serve):
    server = serve(SITE)
    place = server.folder / "lua_modules/lib/lua/5.4"
    place.mkdir(parents=True)
    (server.folder / "sealer.c").write_text(SEALER)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", place / "sealer.so",
                    server.folder / "sealer.c"], check=True)
    put(server, "scripts/part.lua", 'require "sealer" return "two"')
    reload(server)
    server.wait_for("reload 1 came to nothing: who tried the new settings can still change them")
    assert pages(server) == {"one"}
    put(server, "scripts/part.lua", 'return "three"')
    reload(server, 2)
    assert pages(server) == {"three"}
