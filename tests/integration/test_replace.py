"""USR2: another program takes over, and no connection is lost."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import LUNETTE, Server, Wire, eventually, free_port, read_all
from running import children_of
from test_control import ask, control, dial, field
from test_systemd import Activated, Manager, get, listening

MAIN = """
    local app = require "lunette"
    local cache = require "lunette.cache"
    local task = require "lunette.task"
    local function may_go()
      local go <close> = io.open(app.data .. "/go")
      return go ~= nil
    end
    local function wait_to_go()
      while not may_go() do task.sleep(0.02) end
    end
    app.get("/", function() return app.text "one" end)
    app.get("/count", function() return app.text(tostring(cache.incr "n")) end)
    app.get("/stream/:name", function(req)
      return app.stream(function(write)
        write "a"
        while not cache.get("end of " .. req.params.name) do task.sleep(0.02) end
        write "b"
      end)
    end)
    app.get("/end/:name", function(req)
      cache.set("end of " .. req.params.name, true, 60)
      return 204
    end)
    app.get("/slow", function()
      print "/slow begun"
      wait_to_go()
      return app.text "slow"
    end)
    app.get("/fill", function(req)
      print "/fill begun"
      return app.text(cache.fetch("page", 60, function()
        print "a fill begins"
        wait_to_go()
        return "filled"
      end))
    end)
    app.post("/", function(req) return app.text(tostring(#req.body)) end)
    """
LOADS_LONG = "print 'main begun' require 'lunette.task'.sleep(60)" + MAIN
SITE = {"scripts/main.lua": MAIN, "scripts/config.lua": "return { timeouts = { stop = 10 } }"}


class Replaced:
    """A server whose master changes: .pid() says which one it is now."""

    def __init__(self, folder, *arguments, **options):
        self.pid_file = folder.parent / (folder.name + ".pid")
        self.server = Server(folder, ("--pid-file", str(self.pid_file), *arguments), **options)
        self.pids = [self.server.process.pid]

    def pid(self):
        text = self.pid_file.read_text()
        return int(text) if text.endswith("\n") else self.pids[-1]

    def replace(self, seconds=20):
        """USR2; waits for the new master, which it returns."""
        old = self.pid()
        os.kill(old, signal.SIGUSR2)
        eventually(lambda: self.pid() != old, seconds)
        self.pids.append(self.pid())
        return self.pids[-1]

    def stop(self):
        for pid in dict.fromkeys([self.pid() if self.pid_file.exists() else 0, *self.pids]):
            if pid and alive(pid) and pid != self.server.process.pid:
                with contextlib.suppress(ProcessLookupError):  # it may end meanwhile
                    os.kill(pid, signal.SIGTERM)
        self.server.stop()
        eventually(lambda: not any(alive(pid) for pid in self.pids[1:]), 20)
        assert "Sanitizer" not in self.server.errors(), self.server.errors()


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().split(")")[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def start(make_site):
    started = []

    def make(site=SITE, *arguments, **options):
        if "--workers" not in arguments:
            arguments = (*arguments, "--workers", "2")
        started.append(Replaced(make_site(dict(site)), *arguments, **options))
        return started[-1]
    yield make
    for r in started:
        r.stop()


def one(server, path="/"):
    with server.wire() as wire:
        return wire.get(path, "Connection: close").answer()


@contextlib.contextmanager
def under_way(server, path="/slow"):
    """A connection with a request that has begun, and ends when it is let go."""
    before = server.errors().count(path + " begun")
    with server.wire() as wire:
        wire.get(path)
        eventually(lambda: server.errors().count(path + " begun") > before)
        yield wire


def let_go(server):
    (server.folder / "data/go").touch()


def is_last_of(wire):
    """Whether its server takes no more: the answers of one that does keep the connection."""
    return wire.get("/").answer().headers.get("connection") == "close"


def replace_and_leave(r, seconds=20):
    """Waits until the old one, of one worker, takes no more connections, too: the pid file is the new one's a
    little earlier."""
    with r.server.wire() as other:
        assert not is_last_of(other)
        r.replace(seconds)
        eventually(lambda: is_last_of(other))


class Hammer:
    """Clients that ask all the time, and note what went wrong."""

    def __init__(self, server):
        self.server, self.lost, self.answers, self.over = server, [], 0, False
        self.lock = threading.Lock()
        jobs = [self.close] * 3 + [self.keep] * 3 + [self.pauses, self.posts]
        self.threads = [threading.Thread(target=self.run, args=(job,)) for job in jobs]
        for thread in self.threads:
            thread.start()

    def run(self, job):
        while not self.over:
            try:
                job()
            except (AssertionError, OSError) as e:
                self.lost.append(f"{job.__name__}: {e!r}")

    def took(self, answer, body=b"one"):
        assert answer.status == 200 and answer.body == body, answer
        with self.lock:
            self.answers += 1
        return answer.headers.get("connection") != "close"

    def close(self):
        with self.server.wire(20) as wire:
            self.took(wire.get("/", "Connection: close").answer())

    def keep(self, pause=0.0):
        with self.server.wire(20) as wire:
            while self.took(wire.get("/").answer()) and not self.over:
                time.sleep(pause)

    def pauses(self):
        self.keep(0.3)

    def posts(self):
        with self.server.wire(20) as wire:
            head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"
            while True:
                wire.send(head)
                time.sleep(0.05)
                if not self.took(wire.send("hello").answer(), b"5") or self.over:
                    return

    def end(self):
        self.over = True
        for thread in self.threads:
            thread.join(30)
        return self.lost


def hammered(r, replacements, is_over=lambda: True, seconds=10):
    """The clients, some of which keep connections, under whom it was replaced so often."""
    hammer = Hammer(r.server)
    try:
        for _ in range(replacements):
            before = hammer.answers
            r.replace()
            eventually(lambda: hammer.answers > before + 50, seconds)
            eventually(is_over, seconds)
    finally:
        hammer.end()
    return hammer


def test_not_a_connection_is_lost(start):
    """Ten replacements."""
    r = start()
    hammer = hammered(r, 10)
    assert hammer.lost == [] and len(set(r.pids)) == 11
    assert hammer.answers > 500
    eventually(lambda: [pid for pid in r.pids if alive(pid)] == r.pids[-1:], 30)


def test_requests_under_way_end_where_they_began(start):
    r = start()
    with under_way(r.server) as slow, r.server.wire() as idle:
        idle.get("/").answer()
        r.replace()
        # One more on a connection that was idle, once the workers know, and then it is closed
        said = []
        while "connection" not in said:
            answer = idle.get("/").answer()
            assert answer.body == b"one"
            said = answer.headers
        assert said["connection"] == "close"
        idle.assert_end()
        let_go(r.server)
        assert slow.answer().body == b"slow"
    assert r.server.ends_within(10) and r.server.process.wait() == 0
    assert one(r.server).body == b"one"


def test_behind_a_stream_there_is_room_for_one_more_request(start):
    """Its head did not say that it is the last answer: the client cannot know."""
    r = start(SITE, "--workers", "1")
    with r.server.wire() as wire:
        wire.get("/stream/first")
        wire.begin()
        replace_and_leave(r)
        assert one(r.server, "/end/first").status == 204
        answer = wire.answer()
        assert answer.body == b"ab" and "connection" not in answer.headers
        answer = wire.get("/").answer()
        assert answer.body == b"one" and answer.headers["connection"] == "close"
        wire.assert_end()
    with r.server.wire() as wire:
        wire.get("/stream/second")
        wire.begin()
        replace_and_leave(r, 40)
        assert one(r.server, "/end/second").status == 204
        assert wire.answer().body == b"ab"
        wire.assert_end()  # soon, where no request comes


def test_the_cache_goes_on(start):
    r = start()
    for n in range(1, 5):
        assert one(r.server, "/count").body == b"%d" % n
        r.replace()


def test_who_waits_for_a_fill_of_the_old_one_gets_it(start):
    r = start(SITE, "--workers", "1")
    with under_way(r.server, "/fill") as old:
        replace_and_leave(r)
        with under_way(r.server, "/fill") as new:
            let_go(r.server)
            assert old.answer().body == b"filled"
            assert new.answer().body == b"filled"
    assert r.server.errors().count("a fill begins") == 1


def test_the_fill_of_an_old_one_that_is_killed_is_passed_on(start):
    r = start(SITE, "--workers", "1")
    old = r.server.workers()[0]
    with under_way(r.server, "/fill"):
        replace_and_leave(r)
        with under_way(r.server, "/fill") as new:
            os.kill(r.server.process.pid, signal.SIGKILL)
            os.kill(old, signal.SIGKILL)
            let_go(r.server)
            assert new.answer().body == b"filled"
    assert r.server.errors().count("a fill begins") == 2


def descriptors(pid):
    """How many of each kind a process has."""
    kinds = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        name = re.sub(r"\d+", "", os.readlink(f"/proc/{pid}/fd/{fd}"))
        kinds[name] = kinds.get(name, 0) + 1
    return kinds


def at_rest(pid):
    """The fewest of a second: the last client's connection may take a while to end."""
    samples = []
    for _ in range(20):
        samples.append(descriptors(pid))
        time.sleep(0.05)
    return min(samples, key=lambda kinds: sum(kinds.values()))


def test_no_descriptor_is_left_over(start):
    """In the master after several replacements, and in its workers: none of the master's."""
    r = start(SITE, "--workers", "1")
    one(r.server)
    first = [at_rest(r.pid()), at_rest(r.server.workers()[0])]
    for _ in range(3):
        old = r.pid()
        r.replace()
        eventually(lambda: not alive(old), 20)
        one(r.server)
    assert [at_rest(r.pid()), at_rest(children_of(r.pid())[0])] == first


def test_the_control_socket_and_signals_are_the_new_ones(start):
    r = start()
    place = control(r.server)
    pid = r.replace()
    r.server.wait_for("has taken over")  # before that the socket may be the old one's
    assert field(ask(r.server, "status")[1], "pid") == str(pid)
    assert control(r.server) == place and place.is_socket()
    assert ask(r.server, "reload")[0] == 0
    os.kill(pid, signal.SIGHUP)
    eventually(lambda: "reloaded (2)" in r.server.errors())
    assert ask(r.server, "stop") == (0, "", "")
    assert not alive(pid)
    assert not place.exists()
    eventually(lambda: not alive(r.pids[0]), 20)
    with pytest.raises(ConnectionRefusedError):
        r.server.connect()


def test_a_second_one_waits_for_the_end_of_the_first(start):
    """And a third server never meets the first."""
    r = start()
    with under_way(r.server) as slow:
        second = r.replace()
        os.kill(second, signal.SIGUSR2)
        r.server.wait_for("the program is replaced later")
        time.sleep(0.3)
        assert r.pid() == second
        let_go(r.server)
        assert slow.answer().body == b"slow"
    eventually(lambda: r.pid() != second, 20)
    r.pids.append(r.pid())
    assert one(r.server).body == b"one"


@pytest.mark.parametrize("name,text,why", [
    ("scripts/main.lua", "error 'not today'", "it ended before it was ready, see above"),
    ("scripts/config.lua", "return { limits = { body_byte = 1 } }",
     "scripts/config.lua:1: unknown key 'body_byte'"),
    ("scripts/config.lua", "return { metrics = '192.0.2.1:80' }",
     "cannot listen on 192.0.2.1:80: Cannot assign requested address"),
])
def test_one_that_fails_changes_nothing(start, name, text, why):
    r = start()
    pid, workers = r.pid(), r.server.workers()
    path = r.server.folder / name
    good = path.read_text()
    path.write_text(text)
    for _ in range(2):
        seen = len(r.server.errors())
        os.kill(pid, signal.SIGUSR2)
        eventually(lambda: "The one that ran before goes on" in r.server.errors()[seen:], 20)
        assert f"the program was not replaced: {why}" in r.server.errors()[seen:]
        assert r.pid() == pid and one(r.server).body == b"one"
    eventually(lambda: r.server.workers() == workers)  # and no child any more that tends the cache
    assert ask(r.server, "status")[0] == 0
    path.write_text(good)
    assert r.replace() != pid
    assert one(r.server).body == b"one"


def test_what_is_no_program_changes_nothing(start, place, monkeypatch):
    program = place / "lunette"
    shutil.copy(LUNETTE, program)
    monkeypatch.setattr("conftest.LUNETTE", str(program))
    r = start()
    program.unlink()
    program.write_text("nonsense")
    program.chmod(0o755)
    os.kill(r.pid(), signal.SIGUSR2)
    r.server.wait_for("the program was not replaced: .*lunette cannot be executed: Exec format")
    assert one(r.server).body == b"one"
    # The program that is there now is the one that is started
    program.unlink()
    shutil.copy(LUNETTE, program)
    r.replace()
    assert one(r.server).body == b"one"


def test_a_stop_during_a_replacement_ends_both(start):
    site = dict(SITE)
    r = start(site)
    (r.server.folder / "scripts/main.lua").write_text(LOADS_LONG)
    os.kill(r.pid(), signal.SIGUSR2)
    r.server.wait_for(r"replacing the program: .* starts as (\d+)")
    new = int(re.search(r"starts as (\d+)", r.server.errors())[1])
    r.server.wait_for("main begun")
    assert ask(r.server, "stop")[0] == 0
    assert r.server.ends_within(10)
    eventually(lambda: not alive(new), 5)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_rights_that_were_given_up_are_not_missed(make_site, place):
    """A low port, a pid file, logs and a user that only root could have had."""
    site = dict(SITE)
    site["scripts/config.lua"] = f"""return {{ timeouts = {{ stop = 10 }},
        log = {{ error = "{place}/logs/error", access = "{place}/logs/access", level = "info" }} }}"""
    (place / "logs").mkdir(mode=0o755)
    folder = make_site(site)
    port = next(p for p in range(700, 1000) if not in_use(p))
    r = Replaced(folder, "--workers", "1", "--user", "www-data", "--listen", f"127.0.0.1:{port}")
    try:
        new = r.replace()
        assert os.stat(f"/proc/{new}").st_uid == os.stat(folder / "data").st_uid != 0
        with Wire(socket.create_connection(("127.0.0.1", port), 10)) as wire:
            assert wire.get("/?again", "Connection: close").answer().body == b"one"
        eventually(lambda: "/?again" in (place / "logs/access").read_text())
        assert "The files that were open before go on" in (place / "logs/error").read_text()
        r.replace()
    finally:
        r.stop()


def in_use(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def test_a_unix_socket_stays_where_it_is(start, place):
    os.chmod(place, 0o777)
    path = str(place / "listen")
    r = start(SITE, "--listen", f"unix:{path}")
    inode = os.stat(path).st_ino
    r.replace()
    eventually(lambda: not alive(r.pids[0]), 20)
    assert os.stat(path).st_ino == inode
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(path)
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"one" in s.recv(4096)
    ask(r.server, "stop")
    assert not os.path.exists(path)


def test_the_service_manager_is_told_of_the_new_one(start, place):
    manager = Manager(str(place / "notify"))
    r = start(SITE, env={"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "300000"})
    assert manager.next()["MAINPID"] == str(r.pid())
    new = r.replace()
    told = [manager.next(), manager.next()]  # the new one's, and the old one's, which is believed
    assert [t["MAINPID"] for t in told] == [str(new)] * 2
    assert any("replaced" in t["STATUS"] for t in told)
    for _ in range(3):
        assert manager.s.recv(4096) == b"WATCHDOG=1"
    assert ask(r.server, "stop")[0] == 0
    assert manager.next()["STOPPING"] == "1"


def test_sockets_of_the_service_manager_go_on(make_site):
    folder = make_site(SITE)
    pid_file = folder.parent / "pid"
    with listening() as tcp:
        with Activated(folder, [tcp], "--pid-file", str(pid_file)) as server:
            os.kill(server.process.pid, signal.SIGUSR2)
            eventually(lambda: pid_file.read_text().strip() not in ("", str(server.process.pid)), 20)
            new = int(pid_file.read_text())
            assert b"one" in get(tcp)
            os.kill(new, signal.SIGTERM)
            eventually(lambda: not alive(new), 20)
        with Activated(folder, [tcp]):
            assert b"one" in get(tcp)


def test_health_is_good_all_the_time(start):
    """On a path of the site and on an address of its own: the site does not stop."""
    side = free_port()
    site = dict(SITE)
    site["scripts/config.lua"] = f"""return {{ health = "/health", metrics = "127.0.0.1:{side}",
                                               timeouts = {{ stop = 10 }} }}"""
    r = start(site)

    def metrics():
        with Wire(socket.create_connection(("127.0.0.1", side), 10)) as wire:
            return wire.get("/metrics", "Connection: close").answer()
    with r.server.wire() as kept, under_way(r.server) as slow:
        assert kept.get("/health").answer().status == 200
        r.replace()
        assert kept.get("/health").answer().status == 200
        for _ in range(10):
            assert one(r.server, "/health").status == 200
            assert metrics().status == 200
        let_go(r.server)
        assert slow.answer().body == b"slow"
    eventually(lambda: not alive(r.pids[0]), 20)
    assert metrics().status == 200


# Loads once it may.
WAITS = """
    local data = require("lunette").data
    io.open(data .. "/begun", "w"):close()
    while not io.open(data .. "/go") do require("lunette.task").sleep(0.02) end
    """


def begin_to_replace(r):
    """USR2; the new program, whose number is given, has read its scripts and goes on when data/go is there."""
    (r.server.folder / "scripts/main.lua").write_text(WAITS + MAIN)
    os.kill(r.pid(), signal.SIGUSR2)
    eventually(lambda: (r.server.folder / "data/begun").exists(), 20)
    return int(re.search(r"starts as (\d+)", r.server.errors())[1])


def asking(server, word, *options):
    """lunette WORD DIR, which has found a server by the time that this is over."""
    asks = subprocess.Popen([LUNETTE, word, str(server.folder), *options], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    eventually(lambda: "socket:" in " ".join(targets(asks.pid)), 20)
    time.sleep(0.2)  # and has told it the word
    return asks


def targets(pid):
    """Of the descriptors of a process that may end."""
    try:
        return [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    except FileNotFoundError:
        return []


def end_of(asks):
    out, err = asks.communicate(timeout=40)
    assert "Sanitizer" not in err, err
    return asks.returncode, out, err


def test_a_reload_that_waits_is_asked_of_the_successor(start):
    """It was asked for while the new program began, which has read its scripts before."""
    r = start()
    main = r.server.folder / "scripts/main.lua"
    new = begin_to_replace(r)
    asks = [asking(r.server, "reload") for _ in range(3)]
    main.write_text(MAIN.replace('"one"', '"two"'))
    assert r.pid() != new and all(a.poll() is None for a in asks)
    (r.server.folder / "data/go").touch()
    for a in asks:
        code, out, err = end_of(a)
        assert code == 0 and re.fullmatch(r"reloaded in \d+ ms\n", out) and err == ""
    r.pids.append(new)
    assert r.pid() == new
    eventually(lambda: one(r.server).body == b"two")  # whose workers have heard that they leave
    eventually(lambda: not alive(r.pids[0]), 20)
    assert field(ask(r.server, "status")[1], "pid") == str(new)


def test_and_ends_as_that_says(start):
    r = start()
    new = begin_to_replace(r)
    asks = asking(r.server, "reload")
    (r.server.folder / "scripts/main.lua").write_text("\nerror 'not today'")
    (r.server.folder / "data/go").touch()
    code, out, err = end_of(asks)
    assert code == 1 and out == "" and "scripts/main.lua:2: not today" in err
    assert "replaced" not in err
    r.pids.append(new)
    assert r.pid() == new and one(r.server).body == b"one"


def test_a_reload_that_waits_for_a_successor_that_fails_is_done_here(start):
    r = start()
    old, new = r.pid(), begin_to_replace(r)
    asks = asking(r.server, "reload")
    (r.server.folder / "scripts/main.lua").write_text(MAIN.replace('"one"', '"two"'))
    os.kill(new, signal.SIGKILL)
    code, out, err = end_of(asks)
    assert code == 0 and out.startswith("reloaded in ") and err == ""
    assert r.pid() == old and one(r.server).body == b"two"


def test_who_has_not_said_its_word_is_sent_on(start):
    r = start()
    with dial(r.server) as silent:
        assert ask(r.server, "status")[0] == 0  # which was let in behind it
        r.replace()
        assert read_all(silent) == b"the program was replaced meanwhile\nfailed\n"


def test_what_was_asked_meanwhile_is_asked_of_the_new_one(make_site):
    """HUP and USR1 while the new program began, which may have read the files before."""
    folder = make_site({**SITE, "logs/.keep": "", "scripts/config.lua": """
        return { timeouts = { stop = 10 }, log = { access = "logs/access.log" } }"""})
    main, log = folder / "scripts/main.lua", folder / "logs/access.log"
    if os.getuid() == 0:
        shutil.chown(folder / "logs", "nobody", "nogroup")
    r = Replaced(folder, "--workers", "2")
    try:
        main.write_text("print 'main begun' require 'lunette.task'.sleep(1.5)\n" + MAIN)
        old = r.pid()
        os.kill(old, signal.SIGUSR2)
        r.server.wait_for("main begun")
        main.write_text(MAIN.replace('"one"', '"two"'))
        log.rename(folder / "logs/access.log.1")
        os.kill(old, signal.SIGHUP)
        os.kill(old, signal.SIGUSR1)
        r.pids.append(eventually(lambda: r.pid() != old and r.pid()))
        assert eventually(lambda: one(r.server).body == b"two", 10)
        assert eventually(lambda: "GET / " in log.read_text(), 10)
    finally:
        r.stop()


LISTS = """
    local ls <close> = io.popen "ls -l /proc/$PPID/fd"
    return { timeouts = { stop = 20 }, site = { descriptors = ls:read "a" } }
"""


def test_the_settings_are_read_by_who_has_nothing_of_the_server(start):
    """config.lua may load a library in C: neither the pid file that root has opened nor the line to the
    predecessor are for it."""
    r = start({"scripts/config.lua": LISTS, "scripts/main.lua": MAIN + """
        app.get("/descriptors", function() return app.text(app.settings.descriptors) end)"""})
    r.replace()
    eventually(lambda: not alive(r.pids[0]), 20)  # who may have answered until then
    listed = one(r.server, "/descriptors").body.decode()
    found = {target for fd, target in re.findall(r" (\d+) -> ([^:\n]+)", listed) if int(fd) > 2}
    assert found == {"pipe"}, listed  # for its answer, and from ls


@pytest.mark.parametrize("times", [1, 2])
def test_the_second_term_to_one_that_leaves_cuts_its_requests(start, times):
    """And not the first: it ends by itself as it is, when they are over."""
    r = start(SITE, "--workers", "1")
    with under_way(r.server) as slow:
        replace_and_leave(r)
        for _ in range(times):
            os.kill(r.server.process.pid, signal.SIGTERM)
            time.sleep(0.3)  # it is heard by itself
        let_go(r.server)
        assert bool(slow.fill()) == (times == 1)
    assert r.server.process.wait(20) == 0
    assert one(r.server).body == b"one"


def test_a_successor_that_is_killed_while_it_loads_takes_no_socket_along(start):
    r = start()
    before = children_of(r.pid())
    (r.server.folder / "scripts/main.lua").write_text(LOADS_LONG)
    os.kill(r.pid(), signal.SIGUSR2)
    new = eventually(lambda: [p for p in children_of(r.pid()) if p not in before])[0]
    loading = eventually(lambda: len(children_of(new)) == 2 and children_of(new), 20)
    eventually(lambda: r.server.errors().count("main begun") == 2)  # they have the sockets
    os.kill(new, signal.SIGKILL)
    eventually(lambda: not any(alive(p) for p in loading), 20)
    r.server.wait_for("the program was not replaced")
    for _ in range(20):
        assert one(r.server).body == b"one"


def test_a_predecessor_that_is_killed_takes_no_socket_along(start):
    r = start()
    old, workers = r.pid(), children_of(r.pid())
    with under_way(r.server) as slow:
        r.replace()
        os.kill(old, signal.SIGKILL)
        let_go(r.server)
        assert slow.answer().body == b"slow"
    r.server.process.wait()
    eventually(lambda: not any(alive(p) for p in workers), 20)
    for _ in range(20):
        assert one(r.server).body == b"one"
