"""What a service manager is told, the sockets it passes, and the unit that is installed for it."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from conftest import LUNETTE, ROOT, eventually, free_port
from running import children_of
from test_control import ask
from test_reload import SITE, page, put


class Manager:
    """Stands for systemd: hears what is sent to its NOTIFY_SOCKET."""

    def __init__(self, address):
        self.address, self.s = address, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.s.bind(address.replace("@", "\0", 1))
        if address[0] == "/":
            os.chmod(address, 0o777)
        self.s.settimeout(15)
        self.told = []

    def next(self):
        """One message, as a dictionary. Pings are left out."""
        while True:
            text = self.s.recv(4096).decode()
            self.told.append(text)
            if text != "WATCHDOG=1":
                return dict(line.split("=", 1) for line in text.split("\n"))


@pytest.fixture(params=["path", "abstract"])
def manager(request, place):
    name = str(place / "notify") if request.param == "path" else f"@lunette-test-{os.getpid()}"
    m = Manager(name)
    yield m
    m.s.close()


def test_it_tells_how_it_is(serve, manager):
    server = serve(SITE, "--workers", "2", env={"NOTIFY_SOCKET": manager.address})
    ready = manager.next()
    assert ready["READY"] == "1" and ready["MAINPID"] == str(server.process.pid)
    assert ready["STATUS"] == (f"serves {server.folder} on 127.0.0.1:{server.port}, "
                               "with 2 workers")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert ask(server, "reload")[0] == 0
    reloading = manager.next()
    assert reloading["RELOADING"] == "1"
    assert before - 1000 <= int(reloading["MONOTONIC_USEC"]) <= before + 15_000_000
    assert manager.next() == {"READY": "1", "STATUS": "reloaded (1)"}
    put(server, "scripts/part.lua", "error 'not today'")
    assert ask(server, "reload")[0] == 1
    assert manager.next()["RELOADING"] == "1"
    again = manager.next()
    assert again["READY"] == "1"
    assert again["STATUS"] == "reload 2 came to nothing: scripts/part.lua:1: not today"
    server.process.send_signal(signal.SIGTERM)
    assert manager.next()["STOPPING"] == "1"
    assert server.ends_within(10)


@pytest.mark.parametrize("seconds", [1, 500])
def test_it_tells_how_long_a_stop_may_take(serve, manager, seconds):
    """So that TimeoutStopSec of the unit, however short, cuts no request that timeouts.stop allows."""
    server = serve({**SITE, "scripts/config.lua":
                    f"return {{ site = {{ name = 'x' }}, timeouts = {{ stop = {seconds} }} }}"},
                   "--workers", "1", env={"NOTIFY_SOCKET": manager.address})
    manager.next()
    server.process.send_signal(signal.SIGTERM)
    stopping = manager.next()
    assert stopping["STOPPING"] == "1"
    assert seconds * 1_000_000 < int(stopping["EXTEND_TIMEOUT_USEC"]) < (seconds + 10) * 1_000_000
    assert server.ends_within(10)


def test_a_server_that_does_not_get_ready_does_not_say_so(serve, manager):
    site = dict(SITE)
    site["scripts/part.lua"] = "error 'never'"
    server = serve(site, env={"NOTIFY_SOCKET": manager.address}, ready=False)
    assert server.ends_within(20) and server.process.wait() == 1
    manager.s.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            assert "READY" not in manager.next()


def test_the_watchdog_hears_from_the_loop(serve, place):
    manager = Manager(str(place / "notify"))
    server = serve(SITE, "--workers", "1",
                   env={"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000"})
    manager.next()
    for _ in range(5):
        assert manager.s.recv(4096) == b"WATCHDOG=1"
    server.process.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: "(stopped)" in open(f"/proc/{server.process.pid}/status").read())
        manager.s.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                manager.s.recv(4096)
        manager.s.settimeout(0.5)
        with pytest.raises(TimeoutError):
            manager.s.recv(4096)
    finally:
        server.process.send_signal(signal.SIGCONT)
    manager.s.settimeout(10)
    assert manager.s.recv(4096) == b"WATCHDOG=1"


def test_a_watchdog_of_another_process_is_not_ours(serve, place):
    manager = Manager(str(place / "notify"))
    serve(SITE, "--workers", "1", env={"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "100000",
                                       "WATCHDOG_PID": "1"})
    manager.next()
    manager.s.settimeout(0.6)
    with pytest.raises(TimeoutError):
        manager.s.recv(4096)


def test_scripts_see_nothing_of_it(serve, place):
    manager = Manager(str(place / "notify"))
    server = serve({"scripts/main.lua": """
        local app = require "lunette"
        app.get("/", function()
          return app.text(tostring(os.getenv "NOTIFY_SOCKET") .. tostring(os.getenv "WATCHDOG_USEC"))
        end)"""}, env={"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "1000000"})
    assert page(server) == "nilnil"


# Socket activation -------------------------------------------------------------------------------

START = """
import os, sys
fds = [os.dup(int(fd)) for fd in sys.argv[1].split(",")]
fds = [os.dup2(fd, 60 + i) for i, fd in enumerate(fds)]
for i, fd in enumerate(fds):
    os.dup2(fd, 3 + i, True)
os.environ.update(LISTEN_FDS=str(len(fds)), LISTEN_PID=str(os.getpid() + int(sys.argv[2])))
os.execv(sys.argv[3], sys.argv[3:])
"""


def listening(family=socket.AF_INET, address=("127.0.0.1", 0)):
    s = socket.socket(family)
    s.bind(address)
    s.listen(100)
    return s


class Activated:
    """A server that was started with sockets, as systemd does it."""

    def __init__(self, folder, sockets, *arguments, pid_shift=0):
        self.err = folder.parent / "activated.err"
        fds = [s.fileno() for s in sockets]
        with self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START, ",".join(map(str, fds)), str(pid_shift), LUNETTE,
                 "serve", str(folder), "--workers", "2", *arguments],
                pass_fds=fds, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err)

    def __enter__(self):
        eventually(lambda: "serves" in self.errors() or self.process.poll() is not None, 20)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(20) in (0, 1)
        assert "Sanitizer" not in self.errors(), self.errors()

    def errors(self):
        return self.err.read_text()


def get(s):
    """A page by the address of a listening socket."""
    with socket.socket(s.family) as c:
        c.settimeout(10)
        c.connect(s.getsockname())
        c.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return b"".join(iter(lambda: c.recv(4096), b""))


def test_passed_sockets_are_where_it_listens_when_nothing_says_where(make_site, place):
    folder = make_site(SITE)
    with listening() as tcp, listening(socket.AF_UNIX, str(place / "sock")) as local:
        with Activated(folder, [tcp, local]) as server:
            assert b"one" in get(tcp) and b"one" in get(local)
            assert f"on http://127.0.0.1:{tcp.getsockname()[1]}" in server.errors()
        # They are the manager's: it goes on with them after the end
        assert (place / "sock").is_socket()
        with Activated(folder, [tcp, local]):
            assert b"one" in get(tcp) and b"one" in get(local)


def test_connections_wait_from_one_server_to_the_next(make_site):
    folder = make_site(SITE)
    with listening() as tcp:
        with Activated(folder, [tcp]):
            assert b"one" in get(tcp)
        with socket.create_connection(tcp.getsockname(), 10) as c:  # nobody is there
            c.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with Activated(folder, [tcp]):
                assert b"one" in c.recv(4096)
                c.close()  # or the end would wait for that


def test_passed_sockets_are_found_by_their_address(make_site):
    folder = make_site(SITE)
    port = free_port()
    with listening() as tcp:
        mine = f"127.0.0.1:{tcp.getsockname()[1]}"
        with Activated(folder, [tcp], "--listen", mine, "--listen", f"127.0.0.1:{port}"):
            assert b"one" in get(tcp)
            with socket.create_connection(("127.0.0.1", port), 10) as c:
                c.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert b"200 OK" in c.recv(4096)


def test_a_passed_socket_that_no_setting_names_is_told(make_site):
    folder = make_site(SITE)
    with listening() as tcp:
        with Activated(folder, [tcp], "--listen", f"127.0.0.1:{free_port()}") as server:
            eventually(lambda: re.search(
                rf"started with a socket on 127.0.0.1:{tcp.getsockname()[1]}, where no setting has "
                "it listen", server.errors()))


def test_what_does_not_listen_is_told_and_not_used(make_site):
    folder = make_site(SITE)
    with listening() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        with Activated(folder, [udp, tcp]) as server:
            assert "descriptor 3, which the server was started with, is not used: it is no stream " \
                   "socket that listens" in server.errors()
            assert b"one" in get(tcp)


def test_sockets_for_another_process_are_left_alone(make_site):
    folder = make_site(SITE)
    port = free_port()
    with listening() as tcp:
        with Activated(folder, [tcp], "--listen", f"127.0.0.1:{port}", pid_shift=1) as server:
            assert f"on http://127.0.0.1:{port}" in server.errors()
            assert "started with" not in server.errors()


# The unit ----------------------------------------------------------------------------------------

def test_install_and_uninstall(place):
    def make(goal):
        done = subprocess.run(["make", "-C", str(ROOT), "--no-print-directory", "NEED=:", goal,
                               f"DESTDIR={place}/to", "PREFIX=/opt/l", f"B={place}/b"],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    # installed is what was built: nothing is built anew for this
    (place / "b").mkdir()
    shutil.copy(LUNETTE, place / "b" / "lunette")
    done = subprocess.run(["make", "-C", str(ROOT), "--no-print-directory", "-n", "NEED=:",
                           "install", f"DESTDIR={place}/to", "PREFIX=/opt/l"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "lunette@.service" in done.stdout
    make("install-files")
    unit = place / "to/opt/l/lib/systemd/system/lunette@.service"
    text = unit.read_text()
    assert "ExecStart=/opt/l/bin/lunette serve %f" in text and "@BINDIR@" not in text
    program = place / "to/opt/l/bin/lunette"
    assert subprocess.run([program, "--version"], capture_output=True, check=True).stdout
    if shutil.which("systemd-analyze"):
        verified = place / "lunette@tmp.service"
        verified.write_text(text.replace("/opt/l/bin", str(program.parent)))
        done = subprocess.run(["systemd-analyze", "verify", str(verified)], capture_output=True,
                              text=True, timeout=60, check=False)
        mine = [line for line in done.stderr.splitlines() if "lunette@" in line]
        assert mine == [] and done.returncode == 0, done.stderr
    make("uninstall")
    assert not [p for p in (place / "to").rglob("*") if p.is_file()]


def test_a_killed_master_leaves_the_managers_sockets_as_they_are(make_site):
    """The next server is given the same ones: a socket that was shut down would be dead in every process."""
    folder = make_site(SITE)
    with listening() as tcp:
        server = Activated(folder, [tcp])
        try:
            server.__enter__()
            assert b"one" in get(tcp)
            workers = children_of(server.process.pid)
        finally:
            server.process.kill()
            server.process.wait()
        eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers), 20)
        with socket.create_connection(tcp.getsockname(), 10) as c:  # nobody is there, and it waits
            c.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with Activated(folder, [tcp]):
                assert b"one" in c.recv(4096)
                c.close()  # or the end would wait for that
