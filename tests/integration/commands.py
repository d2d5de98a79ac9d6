"""Runs commands of lunette, on small sites: what the tests of several of them share."""
import os
import pty
import select
import shlex
import subprocess
import time

import pytest

from conftest import LUNETTE, write_site


ENV = {name: value for name, value in os.environ.items() if name != "LUNETTE_SECRET"}


def lunette(folder, words, text=None, env=None):
    """Runs a command in a folder: the finished process."""
    return subprocess.run([LUNETTE, *shlex.split(words)], cwd=folder, input=text, text=True, timeout=60,
                          stdin=None if text is not None else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**ENV, **(env or {})},
                          check=False)


def said(folder, words, code=0, **more):
    done = lunette(folder, words, **more)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout


SITE = {
    "scripts/main.lua": """\
        local app = require "lunette"
        local function log(req, handle) return handle(req) end
        app.use(log)
        app.use("/admin", function(req, handle) return handle(req) end, { files = false })
        app.get("/", function() return "start" end)
        app.get("/notes/:id{int}", { name = "note", cache = 60, max_body = "20M" }, function() end)
        app.get("/notes/new", function() end)
        app.post("/notes/:id{int}", { use = { log }, stream_body = true, timeout = "5s" }, function() end)
        app.any("/admin/*rest", { gzip = false, strict = true }, function() end)
        app.group("/api", { query = { page = "integer" } }, function(g)
            g.get("/:what", { etag = true }, function() end)
            g.on_error(404, function() end)
        end)
        app.host("api.example.com", function(h)
            h.get("/notes/new", function() end)
        end)
        app.static("/photos", "album", { max_age = 60, listing = true })
        app.on_error("*", function() end)
        """,
    "scripts/talk.lua": "return function() print 'said' end",
    "album/moon.jpg": "x",
    "site/style.css": "x",
    "site/docs/index.html": "x",
}


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """SITE, once for all who only look."""
    folder = tmp_path_factory.mktemp("site")
    write_site(folder, SITE)
    return folder


def repl(folder, text, code=0):
    done = lunette(folder, "repl", text=text)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout, done.stderr


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, folder, *words, env=None):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(LUNETTE, [LUNETTE, *words], {**ENV, "TERM": "xterm", **(env or {})})

    def wait_for(self, text, seconds=20):
        """Reads until text comes; what came up to it."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            left = end - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], f"no {text!r}: {self.seen!r}"
            try:
                self.seen += os.read(self.fd, 65536).decode().replace("\r\n", "\n")
            except OSError:
                assert text in self.seen, f"no {text!r} to the end: {self.seen!r}"
        before, self.seen = self.seen.split(text, 1)
        return before

    def type(self, text):
        os.write(self.fd, text.encode())
        return self

    def end(self):
        """Reads to the end; the exit status."""
        try:
            while more := os.read(self.fd, 65536):
                self.seen += more.decode()
        except OSError:
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
