"""lunette status, reload and stop, where something is wrong with who listens: another user, a master
that is stopped, bytes that command a terminal."""
import contextlib
import os
import pathlib
import signal
import socket
import threading
import time

import pytest

from conftest import Server
from test_control import as_root, ask, control, field
from test_control_place import NOWHERE, UID, cleared  # noqa: F401
from test_reload import SITE, page, put


ENV = {**os.environ, **NOWHERE}


class Impostor:
    """Listens at path, as user, and says what is given to it, or what that gives when it is called, to whoever
    comes; .heard is all it was told."""

    def __init__(self, path, says=b"", user=None, pause=0):
        self.heard, self.says, self.pause = b"", says, pause
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        os.chmod(path, 0o777)
        if user is not None:
            os.chown(path, user, user)
            os.seteuid(user)  # the credentials are those of listen
        self.socket.listen()
        os.seteuid(os.getuid())
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                peer = self.socket.accept()[0]
                with peer, contextlib.suppress(OSError):
                    peer.settimeout(5)
                    self.heard += peer.recv(100)
                    says = self.says() if callable(self.says) else self.says
                    for i in range(len(says) if self.pause else 0):
                        peer.sendall(says[i:i + 1])
                        time.sleep(self.pause)
                    peer.sendall(b"" if self.pause else says)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


@pytest.fixture
def impostor():
    made = []

    def make(*arguments, **options):
        made.append(Impostor(*arguments, **options))
        return made[-1]
    yield make
    for one in made:
        one.close()


class Site:
    """A folder as ask() wants it."""

    def __init__(self, folder):
        self.folder = folder


@pytest.fixture
def named(make_site, place):
    """A site whose config.lua names a control socket, and its path."""
    os.chmod(place, 0o755)
    path = place / "socket"
    return Site(make_site({**SITE, "scripts/config.lua": f'return {{ control = "{path}" }}'})), path


@as_root
@pytest.mark.parametrize("word", ["status", "reload", "stop"])
def test_another_user_who_listens_is_told_nothing_and_not_believed(named, impostor, word):
    site, path = named
    evil = impostor(path, b"all is well\nok\n", user=UID)
    code, out, err = ask(site, word)
    assert code == 1 and out == ""
    assert f"the user with the id {UID} (?) listens on {path}, who is not believed" in err
    assert evil.heard == b""


@pytest.fixture
def in_run(make_site, cleared):  # noqa: F811
    """A site whose server has ended, and its place in /run/lunette, in a folder of the site's user."""
    site = Site(make_site(SITE))
    for p in (site.folder, *site.folder.rglob("*")):
        os.chown(p, UID, UID)
    os.chmod(site.folder.parent, 0o777)
    server = Server(site.folder, ("--workers", "1"), env=NOWHERE)
    try:
        path = pathlib.Path(field(ask(site, "status", env=ENV)[1], "control"))
        cleared.append(path.parent)
    finally:
        server.stop()
    assert path.parent.stat().st_uid == UID
    return site, path


@as_root
@pytest.mark.parametrize("user", [UID + 1, 0])
def test_nor_one_in_the_folder_of_another(in_run, impostor, user):
    site, path = in_run
    evil = impostor(path, b"all is well\nok\n", user=user)
    code, out, err = ask(site, "status", env=ENV)
    assert code == 1 and out == "" and f"the user with the id {user} (" in err
    assert f"would be that of {UID} (?)" in err
    assert evil.heard == b""


@as_root
def test_a_link_leads_root_to_no_other_server(in_run, impostor, place):
    """The site's user has put it in the socket's place."""
    site, path = in_run
    other = impostor(place / "other", b"ok\n")
    path.symlink_to(place / "other")
    code, out, err = ask(site, "stop", env=ENV)
    assert code == 1 and out == "" and f"nobody answers on {path} (where a link is)" in err
    assert other.heard == b""


@as_root
def test_a_site_does_not_have_root_speak_to_another_server_of_roots(named, impostor):
    """config.lua of a site names a socket of root's, to which "stop" may mean something."""
    site, path = named
    for p in (site.folder, *site.folder.rglob("*")):
        os.chown(p, UID, UID)
    os.chmod(site.folder.parent, 0o777)
    other = impostor(path, b"ok\n")
    code, _, err = ask(site, "stop")
    assert code == 1 and "the user with the id 0 (root) listens" in err, err
    assert other.heard == b""
    os.chown(site.folder / "scripts/config.lua", 0, 0)  # root's own may
    assert ask(site, "stop") == (0, "", "")
    assert other.heard == b"stop\n"


def test_nothing_of_an_answer_commands_the_terminal(named, impostor):
    site, path = named
    impostor(path, b"a\x1b[2J \xc2\x9b31m \x9b \xe2\x80\xae gr\xc3\xbc\xc3\x9fe\tx\nok\n")
    assert ask(site, "status") == (0, "a?[2J ?31m ? ? gr\u00fc\u00dfe\tx\n", "")


def test_an_answer_that_drips_is_not_waited_for_without_end(named, impostor):
    site, path = named
    impostor(path, b"x" * 100, pause=0.3)
    code, out, err = ask(site, "status")
    assert code == 1 and out == "" and "is not waited for any longer" in err


REPLACED = b"the program was replaced meanwhile\nfailed\n"


@pytest.mark.parametrize("word", ["status", "reload", "stop"])
@pytest.mark.parametrize("says,code", [(b"so it is\nok\n", 0), (b"so it is not\nfailed\n", 1)])
def test_a_word_is_told_to_who_takes_over(named, impostor, word, says, code):
    """And to whoever takes over from that one: what the last one says is the end of it."""
    site, path = named
    server = impostor(path, iter([REPLACED, REPLACED, says]).__next__)
    got, out, err = ask(site, word)
    text = says.decode().rsplit("\n", 2)[0] + "\n"
    assert got == code and server.heard.decode() == f"{word}\n" * 3
    assert out == (text if code == 0 and word != "stop" else "")
    assert err == (f"lunette: {text}" if code else "")


def test_it_is_an_answer_of_its_own(named, impostor):
    """Not what a reload says that came to nothing for other reasons."""
    site, path = named
    server = impostor(path, b"scripts/main.lua:1:\n" + REPLACED)
    code, out, err = ask(site, "reload")
    assert code == 1 and out == "" and err.endswith("the program was replaced meanwhile\n")
    assert server.heard == b"reload\n"


def test_who_is_replaced_time_and_again_is_not_asked_without_end(named, impostor):
    site, path = named
    server = impostor(path, REPLACED)
    code, out, err = ask(site, "status")
    assert code == 1 and out == "" and err
    assert 2 < server.heard.count(b"\n") < 600  # in 10 s


def test_a_successor_that_has_gone_is_no_server(named, impostor):
    site, path = named
    impostor(path, lambda: path.unlink() or REPLACED)
    code, out, err = ask(site, "reload")
    assert code == 1 and out == "" and "no server runs for" in err


@pytest.fixture
def stopped(serve):
    """A server whose master is stopped."""
    server = serve(SITE, "--workers", "1")
    control(server)
    os.kill(server.process.pid, signal.SIGSTOP)
    yield server
    os.kill(server.process.pid, signal.SIGCONT)


@pytest.mark.parametrize("word", ["status", "reload", "stop"])
def test_a_stopped_master_is_not_waited_for_without_end(stopped, word):
    code, out, err = ask(stopped, word, seconds=120)
    assert code == 1 and out == ""
    assert "the server does not answer: nothing has come for 10 s. Its master is stopped" in err


def test_nor_one_whose_queue_is_full(stopped):
    waiting = []
    with contextlib.ExitStack() as stack:
        while True:
            s = stack.enter_context(socket.socket(socket.AF_UNIX))
            s.setblocking(False)
            try:
                s.connect(str(control(stopped)))
            except BlockingIOError:
                break
            waiting.append(s)
        code, out, err = ask(stopped, "status", seconds=120)
    assert code == 1 and out == "" and waiting
    assert f"the queue of {control(stopped)} stays full. Its master is stopped" in err


def test_a_reload_that_takes_long_is_waited_for(serve):
    """Longer than a silent server gets; it answers meanwhile that it lives."""
    server = serve({**SITE, "scripts/config.lua": "return { timeouts = { cpu = 25 } }"},
                   "--workers", "1")
    put(server, "scripts/part.lua", """
        local start = os.time()
        while os.time() < start + 16 do end
        return "two"
    """)
    code, out, err = ask(server, "reload", seconds=120)
    assert code == 0 and out.startswith("reloaded in"), err
    assert page(server) == "two"
