"""The tutorial, walked through exactly as it is written: files are saved and commands run in the order
of the page, what they print is compared, and where it says "in your browser" a client with cookies does
it. Only the port is another one, since 8080 may be somebody else's."""
import os
import re
import signal
import subprocess

import pytest
import requests

from conftest import eventually, free_port
from guide import Figures, check_console, commands, environment
from own import own_files


@pytest.fixture
def page(serve):
    server = serve(own_files(), "--dev")
    answer = requests.get(server.url("/guide/tutorial"), timeout=20)
    assert answer.status_code == 200, server.errors()
    return Figures(answer.text).figures


class Reader:
    """Somebody at a shell, who is not root: .folder is where they are."""

    def __init__(self, home):
        self.home = self.folder = home
        self.port, self.server = free_port(), None
        self.env = environment(home)
        self.env.pop("LUNETTE_SECRET", None)
        self.as_user = {}
        if os.getuid() == 0:
            self.as_user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            subprocess.run(["chown", "-R", "nobody:nogroup", home], check=True)
        self.log = (home.parent / "server.log").open("wb")

    def save(self, name, text):
        """Saves a file as an editor does, by the reader's own hand."""
        path = self.folder / name
        subprocess.run(["tee", path], input=text.encode(), stdout=subprocess.DEVNULL, check=True,
                       **self.as_user)

    def change(self, name):
        """Saves it with one more empty line."""
        self.save(name, (self.folder / name).read_text() + "\n")

    def type(self, text):
        """Commands, one after the other; cd is the shell's own."""
        for command, output in commands(text):
            if command.startswith("cd "):
                self.folder = self.folder / command[3:]
                assert self.folder.is_dir()
            else:
                check_console(f"$ {command}\n{output}", self.folder, self.port, self.env, **self.as_user)

    def start(self, text):
        """The command that serves, in another terminal, where Ctrl-C ended the one before."""
        (command, _), = commands(text)
        self.interrupt()
        self.server = subprocess.Popen(
            ["bash", "-c", f"{command} --listen 127.0.0.1:{self.port}"], cwd=self.folder,
            env=self.env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True, **self.as_user)
        eventually(self.answers)

    def answers(self):
        assert self.server.poll() is None, self.said()
        try:
            return requests.get(self.url("/"), timeout=20).status_code == 200
        except requests.ConnectionError:
            return False

    def interrupt(self):
        """Ctrl-C, when something runs; it ends without a complaint."""
        if self.server and self.server.poll() is None:
            os.killpg(self.server.pid, signal.SIGINT)
        if self.server:
            self.server.wait(20)

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def said(self):
        return (self.home.parent / "server.log").read_text()


@pytest.fixture
def reader(place):
    home = place / "home"
    home.mkdir()
    somebody = Reader(home)
    yield somebody
    somebody.interrupt()
    somebody.log.close()
    for word in ("AddressSanitizer", "LeakSanitizer", "runtime error:"):
        assert word not in somebody.said(), somebody.said()


def write_note(reader, text):
    """In the browser: the page, the form, the page after it."""
    with requests.Session() as browser:
        form = browser.get(reader.url("/"), timeout=20).text
        token = re.search(r'name="csrf_token" value="([^"]+)"', form)[1]
        return browser.post(reader.url("/notes"), timeout=20,
                            data={"text": text, "csrf_token": token})


def after_form(reader):
    after = write_note(reader, "  <b>milk</b> ")
    assert after.status_code == 200 and after.history[0].status_code == 303
    assert "The note is kept." in after.text and "<p>&lt;b&gt;milk&lt;/b&gt;</p>" in after.text
    assert write_note(reader, " ").status_code == 422
    reader.change("scripts/main.lua")
    assert "milk" not in requests.get(reader.url("/"), timeout=20).text  # as the page warns


def after_database(reader):
    assert "<p>tea</p>" in write_note(reader, "tea").text
    reader.change("scripts/main.lua")
    again = requests.get(reader.url("/"), timeout=20).text
    assert "<p>tea</p>" in again and "The note is kept." not in again


CHECKS = {"form": after_form, "database": after_database}


def test_the_tutorial_ends_with_its_site(page, reader):
    done = []
    for number, figure in enumerate(page):
        act = {"file": lambda f: reader.save(f.name, f.text), "console": lambda f: reader.type(f.text),
               "serve": lambda f: reader.start(f.text)}[figure.kind]
        try:
            act(figure)
            last = number + 1 == len(page) or page[number + 1].section != figure.section
            if last and figure.section in CHECKS:
                CHECKS[figure.section](reader)
        except AssertionError as e:
            raise AssertionError(f"step {figure.section}: {e}\n--- the log\n{reader.said()}") from None
        done.append(figure.section)
    assert list(dict.fromkeys(done)) == ["new", "page", "template", "form", "database", "json", "test",
                                         "error", "config", "real"]
    assert reader.server.wait(20) == 0  # lunette stop was the last command
