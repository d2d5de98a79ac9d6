"""Log files that are rotated, logs that nobody reads, and what is left after a stop."""
import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import LUNETTE, eventually, free_port, together
from running import make_folder, running
from test_uploads import descriptors_left, limit_descriptors

MAIN = """
    local app = require "lunette"
    local log = require "lunette.log"
    app.get("/n/:i", function(req) return app.text(req.params.i) end)
    app.get("/big", function() return app.text("x") end)
    app.get("/say", function(req) log.info("said " .. req.query.what) return 204 end)
    app.get("/spin", function()
      print "spin begun"
      local t = os.time()
      while os.time() < t + 2 do end
      return 204
    end)
    app.get("/pid", function() return app.text(io.open("/proc/self/stat"):read "n" .. "") end)
    """
CONFIG = 'return { log = { access = "logs/access.log", error = "logs/error.log" } }'
FILES = {"scripts/main.lua": MAIN, "scripts/config.lua": CONFIG, "logs/.keep": ""}


def give(folder):
    """What the server may write to, when it gives up root."""
    if os.getuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")


@pytest.fixture
def owned():
    """A server whose logs are in a folder of its own."""
    folder = make_folder(FILES)
    give(folder / "logs")
    from conftest import Server
    server = Server(folder, ("--workers", "3"))
    yield server
    server.stop()


def inodes_of(pid):
    """Of the files that the process has open."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            inodes.add(os.stat(f"/proc/{pid}/fd/{fd}").st_ino)
        except FileNotFoundError:  # closed meanwhile
            pass
    return inodes


def test_a_worker_that_was_full_gets_the_new_logs_later(owned):
    """Rotated again and again while a worker is stopped, until its channel has no room: it has the last
    ones once it goes on."""
    error, access = owned.folder / "logs/error.log", owned.folder / "logs/access.log"
    stopped = owned.workers()[0]
    for path in (error, access):
        give(path)
    os.kill(stopped, signal.SIGSTOP)
    try:
        opened = 0
        while "does not get the new logs yet" not in error.read_text():
            opened += 1
            assert opened < 5000
            owned.process.send_signal(signal.SIGUSR1)
            eventually(lambda: error.read_text().count("were opened again") >= opened)
        assert f"worker {stopped} does not get the new logs yet" in error.read_text()
        access.rename(owned.folder / "logs/access.1")
        owned.process.send_signal(signal.SIGUSR1)
        eventually(access.exists)
    finally:
        os.kill(stopped, signal.SIGCONT)
    eventually(lambda: os.stat(access).st_ino in inodes_of(stopped))
    assert error.read_text().count("does not get the new logs yet") == 1


@pytest.fixture
def full():
    """A server of one worker and a connection to it; its logs may be made anew."""
    folder = make_folder(FILES)
    give(folder / "logs")
    from conftest import Server
    server = Server(folder, ("--workers", "1"))
    with server.wire() as wire:
        assert wire.get("/n/1").answer().status == 200
        yield server, server.workers()[0], wire
    server.stop()


def test_a_worker_at_its_limit_of_descriptors_gets_the_new_logs(full):
    server, worker, wire = full
    logs = server.folder / "logs"
    with descriptors_left(worker, 0):
        for i in range(3):
            (logs / "access.log").rename(logs / f"access.{i}")
            server.process.send_signal(signal.SIGUSR1)
            eventually((logs / "access.log").exists)
            eventually(lambda: os.stat(logs / "access.log").st_ino in inodes_of(worker))
            wire.get(f"/n/{10 + i}").answer()
            eventually(lambda i=i: numbers_in(logs / "access.log") == [10 + i])
    assert numbers_in(logs / "access.0") == [1]
    assert server.workers() == [worker]


@contextlib.contextmanager
def no_descriptors(pid):
    """What the process lets go of is beyond its limit as well."""
    with descriptors_left(pid, 0):
        limit_descriptors(pid, 3)
        yield


def test_a_worker_that_missed_the_new_logs_gets_them_once_it_has_room(full):
    server, worker, wire = full
    logs = server.folder / "logs"
    with no_descriptors(worker):
        (logs / "access.log").rename(logs / "access.1")
        server.process.send_signal(signal.SIGUSR1)
        eventually(lambda: "were opened again" in (logs / "error.log").read_text())
        wire.get("/n/2").answer()
    wire.get("/n/3").answer()
    eventually(lambda: os.stat(logs / "access.log").st_ino in inodes_of(worker))
    wire.get("/n/4").answer()
    eventually(lambda: numbers_in(logs / "access.log") == [4])
    assert numbers_in(logs / "access.1") == [1, 2, 3]
    assert (f"worker {worker} had no descriptors left for the new logs: it gets them again"
            in (logs / "error.log").read_text())


def test_a_reload_that_a_worker_has_no_descriptors_for_comes_to_nothing(full):
    server, worker, wire = full
    error = server.folder / "logs/error.log"
    main = server.folder / "scripts/main.lua"
    main.write_text(MAIN.replace("app.text(req.params.i)", "app.text 'new'"))
    with no_descriptors(worker):
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: "reload 1 came to nothing: a worker has as many descriptors open as it "
                           "may (RLIMIT_NOFILE: 3), and none left for the new scripts. The scripts "
                           "that ran before go on" in error.read_text())
        assert wire.get("/n/2").answer().body == b"2"
    wire.get("/n/3").answer()
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: "reloaded (2)" in error.read_text())
    assert wire.get("/n/4").answer().body == b"new"
    eventually(lambda: server.workers() == [worker])  # the process that tried them is on its way out


def ask_many(server, first, count, wires=4):
    """GET /n/first … in pipelines over several connections."""
    def run(numbers):
        with server.wire(30) as w:
            for at in range(0, len(numbers), 50):
                part = numbers[at:at + 50]
                for i in part:
                    w.get(f"/n/{i}")
                for i in part:
                    assert w.answer().body == str(i).encode()
    threads = [threading.Thread(target=run, args=(range(first + k, first + count, wires),))
               for k in range(wires)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def numbers_in(*files):
    return sorted(int(n) for f in files for n in re.findall(r'"GET /n/(\d+) ', f.read_text()))


# --- after a stop ---

@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGQUIT])
def test_every_answered_request_is_in_the_log_after_a_stop(owned, how):
    ask_many(owned, 0, 10000)
    owned.stop(how)
    assert numbers_in(owned.folder / "logs/access.log") == list(range(10000))


def test_a_killed_worker_loses_no_more_than_a_turn(owned):
    ask_many(owned, 0, 1000)
    eventually(lambda: len(numbers_in(owned.folder / "logs/access.log")) == 1000)
    for pid in owned.workers():
        os.kill(pid, signal.SIGKILL)
    owned_log = owned.folder / "logs/error.log"
    eventually(lambda: owned_log.read_text().count("was killed by signal 9") == 3)
    ask_many(owned, 1000, 100)
    owned.stop()
    assert numbers_in(owned.folder / "logs/access.log") == list(range(1100))


# --- rotation ---

def test_rotation_under_load_loses_no_line(owned):
    logs = owned.folder / "logs"
    load = threading.Thread(target=ask_many, args=(owned, 0, 8000))
    load.start()
    old = []
    while load.is_alive() and len(old) < 20:
        for name in ("access", "error"):
            (logs / f"{name}.log").rename(logs / f"{name}.{len(old)}")
        owned.process.send_signal(signal.SIGUSR1)
        eventually((logs / "access.log").exists)
        old.append(logs / f"access.{len(old)}")
        time.sleep(0.05)
    load.join()
    assert len(old) >= 2
    ask_many(owned, 8000, 300)
    eventually(lambda: len(numbers_in(logs / "access.log", *old)) == 8300)
    assert numbers_in(logs / "access.log", *old) == list(range(8300))
    sizes = [f.stat().st_size for f in old]
    assert "the logs were opened again" in (logs / "error.log").read_text()
    ask_many(owned, 9000, 300)
    owned.stop()
    assert [f.stat().st_size for f in old] == sizes  # every worker has left the old files


def test_a_new_worker_writes_to_the_new_files(owned):
    logs = owned.folder / "logs"
    (logs / "access.log").rename(logs / "access.1")
    owned.process.send_signal(signal.SIGUSR1)
    eventually((logs / "access.log").exists)
    for pid in owned.workers():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: (logs / "error.log").read_text().count("was killed by signal 9") == 3)
    ask_many(owned, 0, 100)
    owned.stop()
    assert numbers_in(logs / "access.log") == list(range(100))


def test_a_worker_that_is_busy_switches_later(owned):
    logs = owned.folder / "logs"
    wires = [owned.wire().get("/spin") for _ in range(3)]
    eventually(lambda: "spin begun" in (logs / "error.log").read_text())
    (logs / "access.log").rename(logs / "access.1")
    owned.process.send_signal(signal.SIGUSR1)
    eventually((logs / "access.log").exists)
    for w in wires:
        assert w.answer().status == 204
        w.s.close()
    ask_many(owned, 0, 200)
    owned.stop()
    assert numbers_in(logs / "access.log") == list(range(200))


def test_rotation_leaves_no_descriptors_behind(owned):
    logs = owned.folder / "logs"

    def open_in_master():
        return len(os.listdir(f"/proc/{owned.process.pid}/fd"))
    ask_many(owned, 0, 100)
    before, workers = open_in_master(), len(owned.open_files())
    for i in range(10):
        (logs / "access.log").rename(logs / "access.1")
        owned.process.send_signal(signal.SIGUSR1)
        eventually((logs / "access.log").exists)
    eventually(lambda: not owned.open_files(str(logs / "access.1")))
    eventually(lambda: open_in_master() == before)
    eventually(lambda: len(owned.open_files()) <= workers)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to have a folder that another may not")
def test_a_folder_of_roots_cannot_be_reopened_and_the_log_says_what_to_do():
    with running(FILES) as server:
        logs = server.folder / "logs"
        server.get("/n/1")
        (logs / "access.log").rename(logs / "access.1")
        server.process.send_signal(signal.SIGUSR1)
        error = logs / "error.log"
        eventually(lambda: "copytruncate" in error.read_text())
        assert re.search(r"error \[\d+\] cannot open the log \S+/logs/access\.log again: Permission "
                         r"denied\. Its lines still go to the file that was open before\. Let "
                         r"nobody:nogroup write in its folder, or make the new file theirs "
                         r"\(logrotate: create 0640 nobody nogroup\), or rotate it with "
                         r"copytruncate", error.read_text())
        server.get("/n/2")
        eventually(lambda: numbers_in(logs / "access.1") == [1, 2])
        # what the sentence says helps: a new file that is theirs
        (logs / "access.log").touch()
        give(logs / "access.log")
        server.process.send_signal(signal.SIGUSR1)
        eventually(lambda: "opened again" in error.read_text())
        server.get("/n/3")
        eventually(lambda: numbers_in(logs / "access.log") == [3])


def test_without_log_files_there_is_nothing_to_reopen():
    with running({"scripts/main.lua": MAIN}) as server:
        server.process.send_signal(signal.SIGUSR1)
        server.get("/n/1")
        server.wait_for_access("/n/1")
        assert "opened again" not in server.errors() and "cannot" not in server.errors()


# --- logs that nobody reads ---

class Piped:
    """A server whose standard output is a pipe (or socket) that nobody reads at first."""

    def __init__(self, make, config="return {}"):
        self.folder = make_folder({"scripts/main.lua": MAIN, "scripts/config.lua": config})
        self.reader, writer = make()
        self.port = free_port()
        self.err = self.folder.parent / "err"
        with self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [LUNETTE, "serve", str(self.folder), "--listen", f"127.0.0.1:{self.port}",
                 "--workers", "2"], stdin=subprocess.DEVNULL, stdout=writer, stderr=err)
        os.close(writer)
        eventually(lambda: b" serves " in self.err.read_bytes())

    def get(self, path):
        with socket.create_connection(("127.0.0.1", self.port), 10) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            data = b""
            while more := s.recv(4096):
                data += more
        return data

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(15) == 0


def socket_pair():
    a, b = socket.socketpair()
    return a.detach(), b.detach()


def read_pending(fd):
    os.set_blocking(fd, False)
    data = b""
    try:
        while more := os.read(fd, 65536):
            data += more
    except BlockingIOError:
        pass
    return data


@pytest.mark.parametrize("make", [os.pipe, socket_pair])
def test_an_access_log_that_nobody_reads_holds_nobody_up(make):
    server = Piped(make)
    # 64 KiB in the pipe (more in a socket) and 64 KiB in each worker, then lines are lost
    path, asked = "/big?" + "q" * 1500, 0
    while b"lost" not in server.err.read_bytes() and asked < 1200:
        assert b" 200 " in server.get(path)
        asked += 1
    data = read_pending(server.reader)
    assert data
    deadline = time.monotonic() + 10
    while b"access lines were lost" not in server.err.read_bytes():
        server.get(path)
        asked += 1
        data += read_pending(server.reader)
        assert time.monotonic() < deadline
    time.sleep(0.3)
    data += read_pending(server.reader)
    server.end()
    data += read_pending(server.reader)
    os.close(server.reader)
    lines = data.decode().splitlines()
    assert all(line.endswith('"-" "-"') for line in lines)
    lost = sum(int(n) for n in re.findall(r"warn \[\d+\] (\d+) access lines were lost",
                                          server.err.read_text()))
    assert lost > 0 and lost + len(lines) == asked


def test_a_pipe_that_was_full_gets_the_rest_without_a_further_request():
    server = Piped(os.pipe)
    for i in range(60):
        server.get(f"/n/{i}?" + "q" * 1500)
    data = b""
    deadline = time.monotonic() + 10
    while data.count(b"\n") < 60 and time.monotonic() < deadline:
        data += read_pending(server.reader)
        time.sleep(0.02)
    assert data.count(b"\n") == 60 and b"lost" not in server.err.read_bytes()
    server.end()
    os.close(server.reader)


def test_a_stop_does_not_wait_for_a_reader_for_ever():
    server = Piped(os.pipe)
    for i in range(60):
        server.get(f"/n/{i}?" + "q" * 1500)
    began = time.monotonic()
    server.end()
    assert time.monotonic() - began < 10
    assert b"access lines were lost" in server.err.read_bytes()
    os.close(server.reader)


def test_the_other_end_of_the_pipe_is_gone():
    server = Piped(os.pipe)
    os.close(server.reader)
    for i in range(20):
        assert b" 200 " in server.get(f"/n/{i}")
    server.end()
    text = server.err.read_text()
    assert "the access log cannot be written: Broken pipe" in text
    assert sum(int(n) for n in re.findall(r"(\d+) access lines were lost", text)) == 20


def test_an_error_log_that_nobody_reads_holds_nobody_up():
    reader, writer = os.pipe()
    folder = make_folder({"scripts/main.lua": MAIN,
                          "scripts/config.lua": 'return { log = { access = "off" } }'})
    port = free_port()
    process = subprocess.Popen([LUNETTE, "serve", str(folder), "--listen", f"127.0.0.1:{port}",
                                "--workers", "1"], stderr=writer, stdin=subprocess.DEVNULL)
    os.close(writer)
    data = b""
    while b" serves " not in data:
        data += os.read(reader, 65536)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        for _ in range(100):
            s.sendall(b"GET /say?what=" + b"x" * 2000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b" 204 " in s.recv(4096)
    assert time.monotonic() - began < 5
    data = read_pending(reader)
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.sendall(b"GET /say?what=last HTTP/1.1\r\nHost: a\r\n\r\n")
        s.recv(4096)
    more = read_pending(reader).decode()
    lost = sum(int(n) for n in re.findall(r"warn \[\d+\] (\d+) records of this log were lost",
                                          data.decode() + more))
    assert "said last" in more and lost + data.count(b"said x") == 100
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    os.close(reader)


class Stuck:
    """A server with four workers whose standard output and error are pipes of root's with room for one
    page, and which is not root: neither is to be opened again by it."""

    def __init__(self, user):
        self.folder = make_folder({"scripts/main.lua": MAIN,
                                   "scripts/config.lua": "return { timeouts = { stop = 5 } }"})
        for path in (self.folder, self.folder / "scripts/config.lua"):
            shutil.chown(path, "nobody", "nogroup")
        self.pid_file = self.folder / "pid"
        self.port, self.asked, self.access, self.errors = free_port(), 0, b"", b""
        pipes = [os.pipe(), os.pipe()]
        for reader, writer in pipes:
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
            os.set_blocking(reader, False)
        self.readers, writers = zip(*pipes)
        self.process = subprocess.Popen(
            [LUNETTE, "serve", str(self.folder), "--listen", f"127.0.0.1:{self.port}",
             "--workers", "4", "--pid-file", str(self.pid_file)], stdin=subprocess.DEVNULL,
            stdout=writers[0], stderr=writers[1], user=user)
        for writer in writers:
            os.close(writer)
        eventually(lambda: self.read() or b" serves " in self.errors)

    def read(self):
        self.access += read_pending(self.readers[0])
        self.errors += read_pending(self.readers[1])

    def lost(self, what):
        return sum(int(n) for n in re.findall(rb"warn \[\d+\] (\d+) " + what, self.errors))

    def ask(self, count):
        """Requests on eight connections at once, each of which writes to both logs."""
        target = b"GET /say?what=" + b"x" * 900 + b" HTTP/1.1\r\nHost: a\r\n\r\n"

        def one():
            left = count
            while left:  # on another connection, where an answer says that it is the last
                with socket.create_connection(("127.0.0.1", self.port), 20) as s:
                    answer = b""
                    while left and b"Connection: close" not in answer:
                        s.sendall(target)
                        answer = s.recv(4096)
                        assert b" 204 " in answer
                        left -= 1
        together(*[one] * 8)
        self.asked += 8 * count

    def pid(self):
        return int(self.pid_file.read_text() or 0) if self.pid_file.exists() else 0

    def workers(self):
        return open(f"/proc/{self.pid()}/task/{self.pid()}/children").read().split()

    def end(self):
        os.kill(self.pid(), signal.SIGTERM)
        eventually(lambda: self.read() or not self.pid(), 20)
        assert self.process.wait(15) == 0
        self.read()

    def close(self):
        for fd in self.readers:  # whoever waits for them goes on
            os.close(fd)
        for pid in {self.pid(), self.process.pid} - {0}:
            if self.process.poll() is None or pid != self.process.pid:
                os.kill(pid, signal.SIGQUIT)
        self.process.wait(15)

    def may_block(self, pid):
        """Whether every way that the process has to the pipe for errors would make it wait."""
        pipe, flags = os.stat(f"/proc/{pid}/fd/2").st_ino, []
        for fd in os.listdir(f"/proc/{pid}/fd"):
            if os.stat(f"/proc/{pid}/fd/{fd}").st_ino == pipe:
                text = open(f"/proc/{pid}/fdinfo/{fd}").read()
                flags.append(int(re.search(r"flags:\s+(\d+)", text)[1], 8))
        return not any(f & os.O_NONBLOCK for f in flags)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to have pipes of another")
@pytest.mark.parametrize("user", [None, "nobody"])
def test_pipes_that_only_root_may_open_hold_nobody_up(user):
    """Root opens them before it becomes another, also for a successor; who never was root writes with
    RWF_NOWAIT."""
    with contextlib.closing(Stuck(user)) as server:
        first = server.pid()
        over = threading.Event()

        def dribble():  # so that workers find room again and again, all at once
            while not over.wait(0.003):
                server.read()
        reader = threading.Thread(target=dribble)
        reader.start()
        try:
            server.ask(100)
        finally:
            over.set()
            reader.join()
        server.ask(50)
        os.kill(first, signal.SIGUSR2)
        eventually(lambda: server.pid() not in (0, first), 20)
        server.ask(50)
        if user is None:
            assert not any(server.may_block(pid) for pid in [server.pid(), *server.workers()])
        server.end()
        assert server.lost(b"access lines were lost") + server.access.count(b"\n") == server.asked
        assert server.lost(b"records of this log were lost") + server.errors.count(b": said x") \
            >= server.asked


def test_the_standard_output_of_others_stays_blocking():
    server = Piped(os.pipe)
    server.get("/n/1")
    # O_NONBLOCK belongs to the open file, which a shell or a pipeline shares with the server
    flags = os.readlink(f"/proc/{server.process.pid}/fd/1")
    info = open(f"/proc/{server.process.pid}/fdinfo/1").read()
    assert flags.startswith("pipe:")
    assert int(re.search(r"flags:\s+(\d+)", info)[1], 8) & os.O_NONBLOCK == 0
    server.end()
    os.close(server.reader)


def test_a_full_disk_is_said_once():
    """/dev/full takes nothing; that is said once, and requests are answered."""
    config = 'return { log = { access = "/dev/full", error = "stderr" } }'
    with running({"scripts/main.lua": MAIN, "scripts/config.lua": config}) as server:
        assert b" 200 " in server.get("/n/1")
        server.wait_for("the access log cannot be written: No space left on device")
        assert server.errors().count("cannot be written") == 1


def test_a_fifo_without_a_reader_in_place_of_a_log(owned):
    """To wait for one would be the end of the server: it says so, and goes on."""
    log = owned.folder / "logs/access.log"
    log.unlink()
    os.mkfifo(log)
    give(log)
    owned.process.send_signal(signal.SIGUSR1)
    assert eventually(lambda: "No such device or address" in
                      (owned.folder / "logs/error.log").read_text()
                      or "No such device or address" in owned.errors(), 5)
    owned.process.send_signal(signal.SIGTERM)
    assert owned.process.wait(10) == 0


def test_logs_beneath_data_at_the_first_start():
    """data/ is made before they are opened."""
    config = 'return { log = { access = "data/access.log", error = "data/error.log" } }'
    with running({"scripts/main.lua": MAIN, "scripts/config.lua": config}) as server:
        with server.wire() as wire:
            assert wire.get("/big", "Connection: close").answer().status == 200
        log = server.folder / "data/access.log"
        assert eventually(lambda: "GET /big" in log.read_text(), 5)
