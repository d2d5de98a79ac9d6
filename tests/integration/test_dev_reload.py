"""--dev: what is saved is there for the next request."""

import os
import signal
import threading
import time

import requests

from conftest import eventually

SITE = {
    "scripts/main.lua": """
        local app = require "lunette"
        local part = require "part"
        app.get("/", function() return app.text(part) end)
        app.post("/", function(req) return app.text(part .. #req.body) end)
        """,
    "scripts/part.lua": 'return "one"',
    "site/page.txt": "a page",
}


def put(server, name, text):
    path = server.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def page(server):
    return requests.get(server.url("/"), timeout=20).text


def test_the_next_request_sees_what_was_saved(serve):
    server = serve(SITE, "--dev")
    with requests.Session() as session:
        for i in range(40):
            put(server, "scripts/part.lua", f'return "part {i}"')
            assert session.get(server.url("/"), timeout=20).text == f"part {i}"
    assert server.errors().count("came to nothing") == 0


def test_files_in_new_folders_count(serve):
    server = serve(SITE, "--dev")
    put(server, "scripts/part.lua", 'return require "deep.down.er"')
    page(server)
    server.wait_for("module 'deep.down.er' not found")
    put(server, "scripts/deep/down/er.lua", 'return "from below"')
    assert eventually(lambda: page(server) == "from below", 5)
    put(server, "scripts/deep/down/er.lua", 'return "again"')
    assert page(server) == "again"
    os.rename(server.folder / "scripts/deep/down", server.folder / "scripts/deep/up")
    put(server, "scripts/part.lua", 'return require "deep.up.er"')
    assert page(server) == "again"
    put(server, "scripts/deep/up/er.lua", 'return "moved"')
    assert page(server) == "moved"


def test_what_fails_leaves_the_scripts_before(serve):
    server = serve(SITE, "--dev")
    put(server, "scripts/part.lua", "return one one")
    assert page(server) == "one"
    server.wait_for("scripts/part.lua:1: <eof> expected near 'one'")
    put(server, "scripts/part.lua", 'return "mended"')
    assert page(server) == "mended"


def test_a_save_that_changes_nothing_is_no_reload(serve):
    server = serve(SITE, "--dev")
    for _ in range(5):
        put(server, "scripts/part.lua", 'return "one"')
        put(server, "scripts/.part.lua.swp", str(time.time()))
        put(server, "scripts/part.lua~", "return two")
        assert page(server) == "one"
    (server.folder / "scripts/part.lua").rename(server.folder / "scripts/other.lua")
    assert page(server) == "one"  # gone: that cannot be loaded
    server.wait_for("module 'part' not found")
    assert "reloaded" not in server.errors()


def test_clients_that_leave_while_they_wait(serve):
    server = serve(SITE, "--dev")
    put(server, "scripts/part.lua", 'require "lunette.task".sleep(0.7) return "slow"')
    for i in range(20):
        with server.connect() as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * (1 + i % 3))
    with server.connect() as s:
        s.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nabc")
        time.sleep(0.1)
        s.sendall(b"deGET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        data = b""
        while piece := s.recv(65536):
            data += piece
    assert data.count(b"HTTP/1.1 200") == 2
    assert b"slow5" in data and data.endswith(b"slow")


def test_many_wait_for_one_reload(serve):
    server = serve(SITE, "--dev")
    put(server, "scripts/part.lua", 'require "lunette.task".sleep(0.5) return "slow"')
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(page(server))) for _ in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert answers == ["slow"] * 20
    assert server.errors().count("reloaded (1)") == 1 and "reloaded (2)" not in server.errors()


def test_a_cached_page_goes_with_the_scripts_that_made_it(serve):
    server = serve({**SITE, "scripts/main.lua": """
        local app = require "lunette"
        local part = require "part"
        app.get("/", { cache = 3600 }, function() return app.text(part) end)
        """}, "--dev")
    assert page(server) == "one" and page(server) == "one"
    put(server, "scripts/part.lua", 'return "two"')
    assert page(server) == "two"


def test_files_are_answered_too(serve):
    server = serve(SITE, "--dev")
    for i in range(5):
        put(server, "site/page.txt", f"page {i}")
        assert requests.get(server.url("/page.txt"), timeout=20).text == f"page {i}"


def test_who_saves_all_the_time_gets_pages_too(serve):
    server = serve(SITE, "--dev")
    answered, n = threading.Event(), 0

    def ask():
        assert page(server).startswith("part ")
        answered.set()

    put(server, "scripts/part.lua", 'return "part 0"')
    thread = threading.Thread(target=ask)
    thread.start()
    end = time.monotonic() + 18
    while not answered.is_set() and time.monotonic() < end:
        n += 1
        put(server, "scripts/.new", f'return "part {n}"')
        os.rename(server.folder / "scripts/.new", server.folder / "scripts/part.lua")
        time.sleep(0.001)
    assert answered.is_set()
    thread.join()


def test_the_first_line_says_what_there_is(serve):
    server = serve({
        "scripts/main.lua": """
            local app = require "lunette"
            app.use(function(req, handle) return handle(req) end)
            app.get("/", function() return "" end)
            app.host("h", function(h) h.get("/", function() return "" end) end)
            """,
        "scripts/views/a.html": "a",
        "scripts/views/more/b.html": "b",
    }, "--dev")
    line, = [line for line in server.errors().splitlines() if line.startswith("lunette ")]
    assert line.startswith(f"lunette 0.1.0 serves {server.folder} on http://127.0.0.1:{server.port} ")
    assert line.endswith(". 2 routes, 1 middleware, 2 views; "
                         "watching scripts/ and site/ (reloads by itself)")


def test_without_dev_it_does_not(serve):
    server = serve(SITE)
    assert "watching" not in server.errors() and "routes" not in server.errors()
    put(server, "scripts/part.lua", 'return "two"')
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(r"reloaded \(1\), in \d+ ms\n")


def test_a_reload_says_what_changed(serve):
    server = serve(SITE, "--dev")
    put(server, "scripts/part.lua", 'return "two"')
    assert page(server) == "two"
    server.wait_for(r"reloaded \(1\), in \d+ ms: scripts/part\.lua changed\n")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(r"reloaded \(2\), in \d+ ms: nothing of scripts/ changed\n")
