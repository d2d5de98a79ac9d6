"""What scripts have started is not heard on the control socket, whatever took over from their master."""
import os
import signal
import time

import pytest

from conftest import LUNETTE, eventually
from test_control import ask, control, field
from test_control_place import COMMANDS, run
from test_processes import contain, contained, stat_of  # noqa: F401
from test_replace import alive, one, start  # noqa: F401

NOT_HEARD = "the server's own workers, and what they start, are not heard here"


def leave_behind(r, place, name):
    """A program that the server's script starts, and that outlives the script: once it may, it asks for the
    end of the server. Where its answer will be. It does not outlive the folder."""
    out = place / f"{name}.out"
    run(r.server, f"(setsid sh -c 'while ! test -e {place}/{name}.go; do "
                  f"test -d {place} || exit; sleep 0.1; done; "
                  f"{LUNETTE} stop {r.server.folder} >{out}.new 2>&1; mv {out}.new {out}' "
                  ">/dev/null 2>&1 &)")
    return out


def has_no_predecessor(r):
    code, out, _ = ask(r.server, "status")
    return code == 0 and field(out, "pid") == str(r.pid()) and "predecessor" not in out


def refused(place, name, out):
    (place / f"{name}.go").touch()
    eventually(out.exists, 30)
    assert NOT_HEARD in out.read_text()


def test_orphans_of_a_predecessor_are_not_heard(start, place):  # noqa: F811
    r = start(COMMANDS, "--workers", "1")
    os.chmod(place, 0o777)
    old = r.pid()
    out = leave_behind(r, place, "orphan")
    r.replace()
    eventually(lambda: has_no_predecessor(r), 30)
    assert alive(old)  # as the elder of what it has left
    refused(place, "orphan", out)
    assert one(r.server).status == 200
    eventually(lambda: not alive(old), 20)  # nothing keeps it any more
    assert r.server.process.wait(20) == 0
    assert ask(r.server, "status")[0] == 0


def test_nor_those_of_the_one_before(start, place):  # noqa: F811
    """Two elders at a time; each goes when what it has left has ended."""
    r = start(COMMANDS, "--workers", "1")
    os.chmod(place, 0o777)
    pids, outs = [r.pid()], []
    for name in ("first", "second"):
        outs.append(leave_behind(r, place, name))
        pids.append(r.replace())
        eventually(lambda: has_no_predecessor(r), 30)
    assert all(alive(pid) for pid in pids)
    refused(place, "second", outs[1])
    eventually(lambda: not alive(pids[1]), 20)
    assert alive(pids[0])
    refused(place, "first", outs[0])
    assert one(r.server).status == 200


def test_an_elder_ends_with_the_server(start, place):  # noqa: F811
    r = start(COMMANDS, "--workers", "1")
    os.chmod(place, 0o777)
    leave_behind(r, place, "first")
    old = r.pid()
    middle = r.replace()
    eventually(lambda: has_no_predecessor(r), 30)
    last = r.replace()
    eventually(lambda: has_no_predecessor(r) and not alive(middle), 30)
    assert alive(old)
    assert ask(r.server, "stop") == (0, "", "")
    eventually(lambda: not alive(last) and not alive(old), 20)


def test_an_elder_is_known_by_its_name_and_ends_by_signals(start, place):  # noqa: F811
    r = start(COMMANDS, "--workers", "1")
    os.chmod(place, 0o777)
    leave_behind(r, place, "first")
    old, new = r.pid(), r.replace()
    eventually(lambda: has_no_predecessor(r), 30)
    with open(f"/proc/{old}/comm") as f:
        assert f.read() == f"lunette>{new}\n"
    eventually(lambda: len(os.listdir(f"/proc/{old}/fd")) == 3)  # the line goes first
    for signo in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(old, signo)
    time.sleep(0.2)
    assert alive(old)
    os.kill(old, signal.SIGTERM)
    eventually(lambda: not alive(old), 10)
    assert one(r.server).status == 200


@contained
@pytest.mark.parametrize("replacements", [1, 2])
def test_process_1_is_the_elder_of_all_that_was_left(contain, place, replacements):  # noqa: F811
    """By each of its masters; and no other elder is left beside it."""
    c, outs = contain(COMMANDS), []
    os.chmod(place, 0o777)
    for i in range(replacements):
        outs.append(leave_behind(c, place, f"of{i}"))
        c.replace()
        eventually(lambda: stat_of(c.master())[1] == c.first, 30)  # the one before it has ended
        eventually(lambda: ask(c.server, "status")[0] == 0, 20)
    with open(f"/proc/{c.first}/comm") as f:
        assert f.read() == f"lunette>{c.number()}\n"
    for i, out in enumerate(outs):
        refused(place, f"of{i}", out)
    assert one(c.server).status == 200
    assert ask(c.server, "stop") == (0, "", "")
    assert c.end() == 0


FLOOD = """
import os, socket
while os.path.exists(__file__) and not os.path.exists("GO"):
    with socket.socket(socket.AF_UNIX) as s:
        s.setblocking(False)
        try:
            s.connect("CONTROL")
        except OSError:
            pass
"""


def test_workers_that_come_and_come_keep_nobody_out(serve, place):
    """Each of them is told that it is not heard; root and the server's user are, and the site goes on."""
    server = serve(COMMANDS, "--workers", "1")
    go = place / "go"
    os.chmod(place, 0o777)
    script = place / "flood.py"
    script.write_text(FLOOD.replace("GO", str(go)).replace("CONTROL", str(control(server))))
    run(server, "(" + f"setsid /usr/bin/python3 {script} >/dev/null 2>&1 & " * 3 + ")")
    try:
        for _ in range(5):
            assert ask(server, "status")[0] == 0
            assert one(server).status == 200
    finally:
        go.touch()
