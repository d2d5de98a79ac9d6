"""Ends: of the server by TERM, INT and QUIT, and of a worker that dies."""
import os
import re
import signal
import socket
import threading
import time

import pytest

from conftest import eventually, post

SITE = {
    "scripts/main.lua": """
        local app = require "lunette"
        local task = require "lunette.task"
        app.get("/hello", function() return app.text "hello" end)
        app.get("/pid", function() return app.text((io.open "/proc/self/stat":read "n")) end)
        app.get("/sleep/:ms{int}", function(req)
          task.sleep(req.params.ms / 1000)
          return app.text "slept"
        end)
        app.get("/held/:ms{int}", function(req)
          print(req.path .. " begun")
          task.sleep(req.params.ms / 1000)
          return app.text "slept"
        end)
        app.post("/echo", function(req) return app.text(req.body) end)
        app.get("/drip", function()
          return app.stream(function(write)
            for i = 1, 8 do write(tostring(i)) task.sleep(0.05) end
          end)
        end)
        app.get("/begun", function()
          return app.stream(function(write) write "12345" task.sleep(60) end)
        end)
        """,
}
LARGE = {"site/large.bin": b"x" * 20_000_000}


def ended(server, seconds=15):
    """The exit code; the server ends by itself."""
    return server.process.wait(seconds)


def begun(server, wire, path, *fields):
    """Asks, and waits until the handler says that it runs."""
    wire.get(path, *fields)
    server.wait_for(path.partition("?")[0] + " begun")
    return wire


def refused(server):
    """Whether a new connection is refused."""
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass
    return False


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_what_is_under_way_is_finished(serve, how):
    server = serve({**SITE, **LARGE})
    with server.wire() as sleeper, server.wire() as drip, server.wire() as reader, \
            server.wire() as upload:
        begun(server, sleeper, "/held/2000")
        drip.get("/drip").begin()
        reader.get("/large.bin").begin()
        upload.send(post("/echo", "all of the body")[:-5])
        upload.assert_silent()
        server.process.send_signal(how)
        eventually(lambda: refused(server))
        upload.send(" body")
        assert drip.answer().body == b"12345678"
        assert len(reader.answer().body) == 20_000_000
        a = sleeper.answer()
        assert (a.body, a.headers["connection"]) == (b"slept", "close")
        sleeper.assert_end()
        assert upload.answer().body == b"all of the body"
        for w in (sleeper, drip, reader, upload):
            w.s.close()
        assert ended(server) == 0


def test_idle_connections_are_closed_at_once(serve):
    server = serve(SITE, "--workers", "1")  # which has heard it when the first are closed
    before = server.sockets()
    with server.wire() as idle, server.wire() as new, server.wire() as half:
        assert idle.get("/hello").answer().status == 200
        half.send("GET /hello HTTP/1.1\r\nHost: a").assert_silent()
        eventually(lambda: server.sockets() == before + 3)
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        idle.assert_end()
        new.assert_end()
        a = half.send("\r\n\r\n").answer()  # its head was under way
        assert (a.body, a.headers["connection"]) == (b"hello", "close")
        half.s.close()
        assert ended(server) == 0
        assert time.monotonic() - started < 10


def test_a_connection_that_was_idle_but_for_its_last_bytes_is_closed_behind_them(serve):
    server = serve({**SITE, **LARGE})
    with server.wire() as w:
        w.get("/large.bin").begin()
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: refused(server))
        assert len(w.answer().body) == 20_000_000
        w.assert_end()
        assert ended(server) == 0


def test_new_connections_are_refused_while_the_last_answers_are_made(serve):
    server = serve(SITE)
    with server.wire() as sleeper:
        begun(server, sleeper, "/held/1500")
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: refused(server))
        sleeper.assert_silent()  # so that was while it still slept
        assert sleeper.answer().body == b"slept"
    assert ended(server) == 0


def test_no_request_is_lost_between_the_last_answer_and_the_end(serve):
    """A client that asks on and on gets whole answers, then a refusal or a close: no reset halfway
    through an answer, and no request taken and dropped on a connection that was not told."""
    server = serve(SITE)
    halves = []

    def ask():
        while True:
            try:
                w = server.wire()
            except OSError:
                return
            with w:
                w.get("/hello", "Connection: close")
                try:
                    got = w.rest()
                except OSError:
                    got = b""
                if got and not got.endswith(b"\r\n\r\nhello"):
                    halves.append(got)
    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    eventually(lambda: server.accesses().count("\n") > 200)
    server.process.send_signal(signal.SIGTERM)
    assert ended(server) == 0
    for client in clients:
        client.join(10)
        assert not client.is_alive()
    assert halves == []


def test_what_takes_longer_than_the_stop_is_cut(serve):
    server = serve({**SITE, "scripts/config.lua": "return { timeouts = { stop = 0.3 } }"})
    with server.wire() as w:
        begun(server, w, "/held/60000")
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        w.assert_end()
        assert ended(server) == 0
        assert 0.2 < time.monotonic() - started < 10
    assert "timeouts.stop" in server.errors()


CUT = [signal.SIGTERM], [signal.SIGQUIT], [signal.SIGTERM, signal.SIGTERM]


@pytest.mark.parametrize("signals", CUT)
def test_requests_that_a_stop_cuts_are_in_the_access_log(serve, signals):
    """With the status that their answer had begun with, else 503; what was idle is none."""
    server = serve({**SITE, "scripts/config.lua": "return { timeouts = { stop = 0.5 } }"})
    with server.wire() as idle, server.wire() as sleeper, server.wire() as reader, \
            server.wire() as half, server.wire() as upload:
        idle.get("/hello").answer()
        begun(server, sleeper, "/held/60000", "User-Agent: s")
        reader.get("/begun").begin()
        half.send("GET /half HTTP/1.1\r\nHo").assert_silent()
        upload.send(post("/echo", "all of the body")[:-5]).assert_silent()
        server.process.send_signal(signals[0])
        eventually(lambda: refused(server))
        for signo in signals[1:]:
            server.process.send_signal(signo)
        assert ended(server) == 0
    lines = [line.split("] ")[1] for line in server.accesses().splitlines()]
    assert sorted(lines) == ['"GET /begun HTTP/1.1" 200 5 "-" "-"',
                             '"GET /half HTTP/1.1" 503 0 "-" "-"',
                             '"GET /held/60000 HTTP/1.1" 503 0 "-" "s"',
                             '"GET /hello HTTP/1.1" 200 5 "-" "-"',
                             '"POST /echo HTTP/1.1" 503 0 "-" "-"']


@pytest.mark.parametrize("how", [[signal.SIGQUIT], [signal.SIGTERM, signal.SIGQUIT],
                                 [signal.SIGTERM, signal.SIGTERM], [signal.SIGINT, signal.SIGINT]])
def test_quit_and_a_second_term_end_at_once(serve, how):
    server = serve(SITE)
    with server.wire() as w:
        begun(server, w, "/held/60000")
        for signo in how:  # one by one: two of a kind that are pending at once are one
            server.process.send_signal(signo)
            eventually(lambda: refused(server))
        assert ended(server, seconds=8) == 0
        w.assert_end()


def test_the_requests_of_a_worker_that_has_to_be_killed_are_in_the_error_log(serve):
    server = serve({**SITE, "scripts/config.lua": "return { timeouts = { stop = 0.3 } }"},
                   "--workers", "1")
    with server.wire() as w:
        begun(server, w, "/held/60000")
        (worker,) = server.workers()
        os.kill(worker, signal.SIGSTOP)
        server.process.send_signal(signal.SIGTERM)
        assert ended(server) == 0
    assert re.search(rf"error \[\d+\] worker {worker} was killed by signal 9 \(SIGKILL\) while it "
                     r"stopped, with 1 request under way: GET /held/60000", server.errors())


def test_nothing_is_left_behind(serve):
    server = serve(SITE)
    workers = server.workers()
    port = server.port
    assert server.stop() == 0
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", port))


# --- a worker that dies ---

def pid_of(w):
    return int(w.get("/pid").answer().body)


def test_a_killed_worker_is_replaced_and_requests_go_on(serve):
    server = serve(SITE)
    for _ in range(3):
        old = server.workers()
        with server.wire() as w:
            victim = pid_of(w)
            assert victim in old
            (survivor,) = set(old) - {victim}
            os.kill(victim, signal.SIGKILL)
            assert w.rest() == b""
        for _ in range(20):  # nobody else notices
            with server.wire() as w:
                assert w.get("/hello").answer().body == b"hello"
        server.wait_for(rf"worker {victim} was killed by signal 9 \(SIGKILL\).*; started \d+")
        new = eventually(lambda: len(server.workers()) == 2 and server.workers())
        assert survivor in new and victim not in new
    assert server.stop() == 0


def test_only_the_requests_of_a_killed_worker_are_lost(serve):
    server = serve(SITE)
    wires = [server.wire() for _ in range(12)]
    owners = [pid_of(w) for w in wires]
    for w in wires:
        w.get("/sleep/300")
    victim = owners[0]
    os.kill(victim, signal.SIGKILL)
    for w, owner in zip(wires, owners):
        if owner == victim:
            with pytest.raises((AssertionError, ConnectionResetError)):
                w.answer()
        else:
            assert w.answer().body == b"slept"
        w.s.close()
    assert server.stop() == 0


def test_a_dead_workers_connections_are_not_counted_on(serve):
    """limits.connections is over all workers: the places of one that died must be free again."""
    server = serve({**SITE, "scripts/config.lua": "return { limits = { connections = 6 } }"},
                   "--workers", "1")
    for _ in range(3):
        wires = [server.wire() for _ in range(6)]
        assert [w.get("/hello").answer().status for w in wires] == [200] * 6
        (victim,) = server.workers()
        os.kill(victim, signal.SIGKILL)
        for w in wires:
            w.s.close()
        eventually(lambda: server.workers() and server.workers() != [victim])


def test_workers_end_when_the_master_is_killed(serve):
    server = serve(SITE)
    workers = server.workers()
    server.process.kill()
    server.process.wait()

    def gone(pid):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return open(f"/proc/{pid}/stat").read().rsplit(")")[-1].split()[0] == "Z"
    eventually(lambda: all(gone(pid) for pid in workers))
