"""lunette status, reload and stop: by the control socket of the running server."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import LUNETTE, Server, eventually
from test_reload import SITE, page, pages, put

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


def ask(server, word, *options, user=None, seconds=40, env=None):
    """lunette WORD DIR: exit status, stdout, stderr."""
    done = subprocess.run([LUNETTE, word, str(server.folder), *options], capture_output=True,
                          text=True, timeout=seconds, user=user, check=False, env=env)
    assert "Sanitizer" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def control(server):
    """Its socket, of a server that runs; or ran when this was asked first."""
    if not hasattr(server, "control"):
        server.control = pathlib.Path(field(ask(server, "status")[1], "control"))
    return server.control


def dial(server):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(str(control(server)))
    return s


def field(text, name):
    return re.search(rf"^{name} +(.*)$", text, re.M)[1]


def test_status_says_how_it_is(serve):
    server = serve(SITE, "--workers", "2")
    code, out, err = ask(server, "status")
    assert (code, err) == (0, "")
    assert field(out, "pid") == str(server.process.pid)
    assert field(out, "site") == str(server.folder)
    assert field(out, "state") == "serving"
    assert field(out, "listens on") == f"http://127.0.0.1:{server.port}"
    assert field(out, "connections").endswith(" of 10000")
    assert field(out, "reloads") == "none yet"
    workers = [int(pid) for pid in re.findall(r"^worker \d +pid (\d+), ready for \d+ s", out, re.M)]
    assert sorted(workers) == sorted(server.workers())


def test_status_counts_workers_that_were_replaced(serve):
    server = serve(SITE, "--workers", "1")
    old = server.workers()[0]
    os.kill(old, signal.SIGKILL)
    assert eventually(lambda: re.search(r"^worker 0 .* ready for .* 1 restarts", ask(server, "status")[1],
                                        re.M), 10)


def test_reload_waits_until_it_is_over(serve):
    server = serve(SITE, "--workers", "2")
    put(server, "scripts/part.lua", 'return "two"')
    code, out, err = ask(server, "reload")
    assert code == 0 and re.fullmatch(r"reloaded in \d+ ms\n", out) and err == ""
    assert pages(server) == {"two"}
    out = ask(server, "status")[1]
    assert field(out, "reloads") == "1, 0 of them failed"
    assert re.match(r"\d+ s ago: reloaded in \d+ ms", field(out, "last reload"))


@pytest.mark.parametrize("name,text,why", [
    ("scripts/part.lua", "return 'two' two", "scripts/part.lua:1: <eof> expected near 'two'"),
    ("scripts/part.lua", "error 'not today'", "scripts/part.lua:1: not today"),
    ("scripts/config.lua", "return { limits = { body_byte = 1 } }",
     "scripts/config.lua:1: unknown key 'body_byte'"),
    ("scripts/config.lua", "return {\n  limits =", "scripts/config.lua:2: unexpected symbol"),
])
def test_a_reload_that_fails_says_why(serve, name, text, why):
    """With the whole error, also when it is config.lua that cannot be read by anybody."""
    server = serve(SITE, "--workers", "2")
    put(server, name, text)
    code, out, err = ask(server, "reload")
    assert code == 1 and out == "" and why in err, err
    assert pages(server) == {"one"}
    status = ask(server, "status")[1]
    assert field(status, "reloads") == "1, 1 of them failed"
    assert why in status.split("last reload")[1]


def test_several_reloads_at_once_are_all_answered(serve):
    server = serve(SITE, "--workers", "1")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask(server, "reload")))
               for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [code for code, _, _ in answers] == [0] * 8, answers
    assert page(server) == "one"


def test_stop_waits_for_the_end(serve):
    server = serve(SITE, "--workers", "2")
    place = control(server)
    answers = []
    slow = threading.Thread(target=lambda: answers.append(page(server, "/slow")))
    slow.start()
    server.wait_for("slow begun")
    assert ask(server, "stop") == (0, "", "")
    assert server.ends_within(1) and server.process.wait() == 0
    slow.join()
    assert answers == ["one"]
    assert not place.exists()
    code, out, err = ask(server, "stop")
    assert code == 1 and out == ""
    assert f"no server runs for {server.folder}: nobody answers on {place}" in err


def test_a_server_that_was_killed_leaves_a_place_that_can_be_taken(serve):
    server = serve(SITE, "--workers", "1")
    place = control(server)
    server.process.kill()
    server.process.wait()
    assert place.exists()
    code, _, err = ask(server, "status")
    assert code == 1 and "no server runs for" in err
    again = Server(server.folder, ("--workers", "1"))
    try:
        assert field(ask(again, "status")[1], "pid") == str(again.process.pid)
    finally:
        again.stop()


def test_two_servers_of_one_site(serve):
    """The second goes without a control socket, and says so; the first one keeps it."""
    server = serve(SITE, "--workers", "1")
    other = Server(server.folder, ("--workers", "1"))
    try:
        other.wait_for("no control socket at .*: another server answers there")
        assert field(ask(server, "status")[1], "pid") == str(server.process.pid)
    finally:
        other.stop()
    assert field(ask(server, "status")[1], "pid") == str(server.process.pid)


def test_the_place_can_be_set(serve, place):
    site = dict(SITE)
    site["scripts/config.lua"] = f'return {{ control = "{place}/socket", site = {{ name = "x" }} }}'
    os.chmod(place, 0o777)
    server = serve(site, "--workers", "1")
    assert control(server) == place / "socket" and control(server).is_socket()
    (place / "other.lua").write_text("return {}")
    code, _, err = ask(server, "status", "--config", str(place / "other.lua"))
    assert code == 1 and "no server runs" in err  # nobody is at the default places
    assert field(ask(server, "status")[1], "pid") == str(server.process.pid)
    done = subprocess.run([LUNETTE, "serve", str(server.folder), "--listen", "127.0.0.1:0"],
                          capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert f"cannot open the control socket {place}/socket: another server answers there" in done.stderr


def test_who_stalls_holds_nobody_up(serve):
    server = serve(SITE, "--workers", "1")
    stalled = [dial(server) for _ in range(10)]
    for s in stalled[:5]:
        s.sendall(b"stat")
    assert ask(server, "status")[0] == 0
    assert page(server) == "one"
    put(server, "scripts/part.lua", 'return "two"')
    assert ask(server, "reload")[0] == 0  # and a worker holds none of their sockets
    for s in stalled:
        s.close()
    with dial(server) as s:
        s.sendall(b"dance\n")
        assert s.recv(1000) == b"the words are status, reload and stop\nfailed\n"


@as_root
def test_only_root_and_its_user_are_heard(serve):
    server = serve(SITE, "--workers", "1", "--user", "www-data")
    for user, ok in [("nobody", False), ("www-data", True)]:
        code, _, err = ask(server, "status", user=user)
        assert (code == 0) == ok, err
        assert ok or "only root and the user of the server may speak to it" in err
    os.chmod(control(server), 0o777)
    os.chmod(control(server).parent, 0o755)
    code, _, err = ask(server, "stop", user="nobody")
    assert code == 1 and "only root and the user of the server are heard here" in err
    assert page(server) == "one"


@pytest.mark.parametrize("word", ["status", "reload", "stop"])
def test_mistakes(place, word):
    def run(*arguments):
        done = subprocess.run([LUNETTE, word, *arguments], capture_output=True, text=True,
                              timeout=20, check=False, cwd=place)
        return done.returncode, done.stdout + done.stderr
    assert run("--help")[0] == 0 and f"lunette {word} [DIR]" in run("--help")[1]
    assert run("--nonsense")[0] == 2
    assert run("one", "two")[0] == 2
    code, said = run("nowhere")
    assert code == 1 and "nowhere: No such file or directory" in said
    code, said = run()
    assert code == 1 and "no server runs for ." in said
