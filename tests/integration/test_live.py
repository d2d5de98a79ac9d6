"""--dev: pages that are given a script, and what that hears on /.lunette/live."""
import contextlib
import os
import re
import signal
import socket
import time
import urllib.parse
from pathlib import Path

import pytest
import requests

from conftest import eventually, free_port
from running import new_folder, running, unix_get

MAIN = """\
local app = require "lunette"
local part = require "part"
app.get("/", function(req) return "<html><body>" .. part .. "</body></html>" end)
app.get("/text", function(req) return app.text("</body>") end)
app.get("/none", function(req) return "no end" end)
app.get("/upper", function(req) return "<BODY></BODY ></HTML>" end)
app.get("/twice", function(req) return "<body><pre></body></pre></body><!-- end -->" end)
app.get("/stream", function(req)
  return 200, { ["Content-Type"] = "text/html" }, function(write) write("<body></body>") end
end)
app.get("/coded", function(req)
  return 200, { ["Content-Type"] = "text/html", ["Content-Encoding"] = "x-mine" }, "<body></body>"
end)
app.get("/missing", function(req) return 404, nil, "<body>missing</body>" end)
app.get("/tagged", function(req)
  return 200, { ETag = '"v"', ["Last-Modified"] = "Sun, 06 Nov 1994 08:49:37 GMT" }, "<body></body>"
end)
app.get("/weak", function(req) return 200, { ETag = 'W/"v"' }, "<body></body>" end)
app.get("/policy", function(req)
  return 200, { ["Content-Security-Policy"] = "script-src 'nonce-aB3+/-_='" }, "<body></body>"
end)
app.get("/policy/odd", function(req)
  return 200, { ["Content-Security-Policy"] = 'script-src \\'nonce-"><b>\\'' }, "<body></body>"
end)
app.get("/download", function(req)
  return 200, { ["Content-Disposition"] = "attachment" }, "<body></body>"
end)
app.get("/large", function(req) return ("x"):rep(300000) .. "</body>" end)
app.get("/slow", function(req)
  print "slow begun" require "lunette.task".sleep(1)
  return "<body>" .. part .. "</body>"
end)
app.get("/cached", { cache = 60 }, function(req) return "<body>cached</body>" end)
app.get("/error", function() error("x") end)
app.post("/", function(req) return "<body>posted</body>" end)
app.use("/in", function(req, handle) local res = handle(req) res.headers["X-In"] = "1" return res end)
"""
SITE = {
    "scripts/main.lua": MAIN,
    "scripts/part.lua": 'return "one"\n',
    "site/page.html": "<html><body>a page</body></html>\n",
    "site/in/page.html": "<html><body>a page</body></html>\n",
    "site/big.html": "<html><body>" + "y" * 100_000 + "</body></html>\n",
    "site/note.txt": "a note </body>\n",
    "site/css/style.css": "body { color: red }\n",
}
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}
TAG = re.compile(rb'<script src="/\.lunette/live\.js\?([0-9a-f]{16}\.\d+\.\d+)"([^>]*)></script>')


@pytest.fixture
def dev(serve):
    return serve(SITE, "--dev")


def get(server, path="/", method="GET", **fields):
    headers = {**NAVIGATION, **{name.replace("_", "-"): v for name, v in fields.items()}}
    return requests.request(method, server.url(path), timeout=20,
                            headers={k: v for k, v in headers.items() if v is not None})


def mark_of(answer):
    return TAG.search(answer.content)[1].decode()


def put(server, name, text):
    path = server.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class Listener:
    """A client of /.lunette/live, by hand: .next() gives {"event", "data", "id"}."""

    def __init__(self, server, query="", host="localhost"):
        self.s = server.connect(20)
        self.s.sendall(f"GET /.lunette/live{query} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        self.file = self.s.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while line := self.file.readline().strip():
            name, value = line.decode().split(":", 1)
            self.headers[name.lower()] = value.strip()
        self.buffer = b""

    def close(self):
        self.file.close()
        self.s.close()

    def chunk(self):
        size = int(self.file.readline(), 16)
        data = self.file.read(size)
        self.file.readline()
        return data

    def next(self, seconds=20):
        end = time.monotonic() + seconds
        while True:
            while b"\n\n" not in self.buffer:
                assert time.monotonic() < end, f"no event within {seconds} s"
                more = self.chunk()
                assert more, "the stream has ended"
                self.buffer += more
            block, self.buffer = self.buffer.split(b"\n\n", 1)
            event = {}
            for line in block.decode().split("\n"):
                name, _, value = line.partition(": ")
                event[name] = f"{event[name]}\n{value}" if name in event else value
            if "event" in event:
                return event

    def assert_silent(self, seconds=0.3):
        self.s.settimeout(seconds)
        with pytest.raises((TimeoutError, socket.timeout)):
            self.s.recv(1, socket.MSG_PEEK)
        self.s.settimeout(20)


@contextlib.contextmanager
def listening(server, query="", host="localhost"):
    listener = Listener(server, query, host)
    try:
        yield listener
    finally:
        listener.close()


# The script in pages --------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/", "/page.html", "/in/page.html", "/big.html", "/missing", "/large",
                                  "/upper", "/twice", "/error", "/nowhere", "/cached"])
def test_pages_are_given_the_script_once(dev, path):
    answer = get(dev, path)
    tags = TAG.findall(answer.content)
    assert len(tags) == 1 and answer.content.count(b"<script") == 1
    rest = TAG.split(answer.content)[-1]
    assert re.match(rb"(?i)\s*</body", rest) and rest.lower().count(b"</body") == 1
    assert "Content-Encoding" in answer.headers or \
        int(answer.headers["Content-Length"]) == len(answer.content)


@pytest.mark.parametrize("path", ["/text", "/none", "/stream", "/coded", "/note.txt", "/download"])
def test_what_is_no_whole_page_stays_as_it_is(dev, path):
    assert b"<script" not in get(dev, path).content


@pytest.mark.parametrize("fields, given", [
    ({}, True),
    ({"Sec_Fetch_Dest": None}, True),
    ({"Sec_Fetch_Mode": None}, True),
    ({"Sec_Fetch_Mode": None, "Sec_Fetch_Dest": None}, True),
    ({"Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"}, False),
    ({"Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": None}, False),
    ({"Sec_Fetch_Mode": None, "Sec_Fetch_Dest": None, "Accept": "*/*"}, False),
    ({"Sec_Fetch_Mode": None, "Sec_Fetch_Dest": None, "Accept": None}, False),
])
@pytest.mark.parametrize("path", ["/", "/page.html"])
def test_navigations_alone(dev, fields, given, path):
    for _ in range(2):  # files are answered without Lua the second time
        assert (b"<script" in get(dev, path, **fields).content) == given


def test_get_alone(dev):
    assert b"<script" not in get(dev, "/", method="POST").content


@pytest.mark.parametrize("path", ["/", "/page.html", "/big.html", "/tagged", "/missing"])
def test_head_says_what_get_has(dev, path):
    one, other = get(dev, path, Accept_Encoding="identity"), get(dev, path, "HEAD", Accept_Encoding="identity")
    for name in ("Content-Length", "Content-Type", "ETag"):
        assert one.headers.get(name) == other.headers.get(name)


@pytest.mark.parametrize("path", ["/page.html", "/tagged", "/weak", "/big.html"])
def test_a_page_with_the_script_has_a_tag_of_its_own(dev, path):
    page = get(dev, path)
    bare = get(dev, path, Sec_Fetch_Mode="cors", Sec_Fetch_Dest="empty")
    assert page.headers["ETag"] != bare.headers["ETag"] and mark_of(page) in page.headers["ETag"]
    assert "Last-Modified" not in page.headers
    assert get(dev, path, If_None_Match=page.headers["ETag"]).status_code == 304
    assert get(dev, path, If_None_Match=bare.headers["ETag"]).status_code == 200
    assert get(dev, path, If_None_Match=page.headers["ETag"], Sec_Fetch_Mode="cors",
               Sec_Fetch_Dest="empty").status_code == 200
    since = {"If_Modified_Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
    assert get(dev, path, **since).status_code == 200


def test_a_range_of_a_page_is_of_what_was_sent(dev):
    whole = get(dev, "/big.html", Accept_Encoding="identity")
    part = get(dev, "/big.html", Range="bytes=100010-", If_Range=whole.headers["ETag"])
    assert part.status_code == 206 and part.content == whole.content[100010:]


def test_coded_pages_are_coded_with_the_script(dev):
    for path in ("/large", "/big.html"):
        answer = get(dev, path, Accept_Encoding="gzip")
        assert answer.headers["Content-Encoding"] == "gzip" and TAG.search(answer.content)


def test_a_nonce_of_the_policy_is_taken(dev):
    assert TAG.search(get(dev, "/policy").content)[2] == b' nonce="aB3+/-_=" async'
    assert TAG.search(get(dev, "/policy/odd").content)[2] == b" async"


def test_browsers_ask_for_files_each_time(dev):
    for path in ("/css/style.css", "/page.html"):
        assert get(dev, path).headers["Cache-Control"] == "max-age=0"


def test_without_dev_there_is_nothing_of_it(serve):
    server = serve({**SITE, "scripts/main.lua": MAIN + 'app.get("/*rest", function() return "any" end)\n',
                    "site/.lunette/live.js": "mine", "site/other/x.html": "<body></body>"})
    for path in ("/", "/page.html", "/error", "/in/page.html"):
        assert b"<script" not in get(server, path).content
    for path in ("/.lunette/live.js", "/.lunette/live", "/.lunette/", "/.lunette", "/.lunette/page.css",
                 "/%2elunette/live.js"):
        assert get(server, path).status_code == 404
    assert get(server, "/.lunettes").content == b"any"
    assert get(serve(SITE), "/page.html").headers["Cache-Control"] == "max-age=10"


# Hosts ----------------------------------------------------------------------------------------------

NAMED = MAIN + 'app.host("site.test", function() end)\napp.host("*.site.test", function() end)\n' \
               'app.host("*", function() end)\n'
OWN = ["localhost", "a.localhost:81", "127.0.0.1", "127.8.8.8", "[::1]:80", "192.168.7.7", "SITE.test",
       "x.site.test:81"]
STRANGE = ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "site.test.evil"]


@pytest.fixture(scope="module")
def named():
    with running({**SITE, "scripts/main.lua": NAMED}, "--dev") as server:
        yield server


@pytest.mark.parametrize("host", OWN)
def test_the_sites_own_hosts_are_given_everything(named, host):
    for path in ("/", "/page.html", "/error"):
        assert TAG.search(get(named, path, Host=host).content)
    assert b"scripts/main.lua" in get(named, "/error", Host=host).content
    assert get(named, "/.lunette/live.js", Host=host).status_code == 200
    with listening(named, host=host) as live:
        assert live.status == 200


@pytest.mark.parametrize("host", STRANGE)
def test_a_host_that_may_be_somebody_elses_is_shown_nothing(named, host):
    forged = {"Host": host, "X_Forwarded_Host": "localhost", "Forwarded": "host=localhost", "Origin": "http://localhost"}
    for path in ("/", "/page.html", "/big.html"):
        answer = get(named, path, **forged)
        assert answer.status_code == 200 and b"</body>" in answer.content and b"lunette" not in answer.content
    for path in ("/.lunette", "/.lunette/", "/.lunette/live", "/.lunette/live.js", "/.lunette/page.css",
                 "/%2elunette/live"):
        refused = get(named, path, **forged)
        assert refused.status_code == 421 and 'app.host("name", fn)' in refused.text
    for accept in ("text/html", "application/json", "text/plain"):
        answer = get(named, "/error", Accept=accept, **forged)
        assert answer.status_code == 500
        for word in (b"scripts", b"main.lua", b"traceback", b"Stack", b"/.lunette"):
            assert word not in answer.content
    assert f'under the host "{host}"' in named.errors() or named.errors().count("under the host") == 8


def test_a_host_of_old_clients_may_be_missing(named):
    bare = named.raw(b"GET /.lunette/live.js HTTP/1.0\r\n\r\n")
    assert bare.startswith(b"HTTP/1.1 421")
    absolute = named.raw(b"GET http://evil.example/.lunette/live.js HTTP/1.1\r\nHost: localhost\r\n"
                         b"Connection: close\r\n\r\n")
    assert absolute.startswith(b"HTTP/1.1 421")


def test_names_come_and_go_with_reloads(dev):
    assert get(dev, "/.lunette/live.js", Host="new.test").status_code == 421
    put(dev, "scripts/main.lua", MAIN + 'app.host("new.test", function() end)\n')
    assert TAG.search(get(dev, Host="new.test").content)
    assert get(dev, "/.lunette/live.js", Host="new.test").status_code == 200
    put(dev, "scripts/main.lua", MAIN)
    assert not TAG.search(get(dev, Host="new.test").content)
    assert get(dev, "/.lunette/live.js", Host="new.test").status_code == 421


def test_a_unix_socket_is_for_every_host(serve):
    path = new_folder() / "s"
    serve(SITE, "--dev", "--listen", f"unix:{path}", "--listen", f"127.0.0.1:{free_port()}")
    assert unix_get(path, "/.lunette/live.js").status == 200
    assert b"scripts/main.lua" in unix_get(path, "/error").body


# /.lunette/ -----------------------------------------------------------------------------------------

def test_what_is_beneath_lunettes_own_path(dev):
    script = get(dev, "/.lunette/live.js?x")
    assert script.status_code == 200 and script.headers["Content-Type"].startswith("text/javascript")
    assert b"EventSource" in script.content
    assert get(dev, "/.lunette/page.css").headers["Content-Type"].startswith("text/css")
    for path in ("/.lunette", "/.lunette/", "/.lunette/other", "/.lunette/live/x"):
        assert get(dev, path).status_code == 404
    for path in ("/.lunette/live", "/.lunette/live.js"):
        refused = get(dev, path, "POST")
        assert refused.status_code == 405 and refused.headers["Allow"] == "GET, HEAD"
    head = get(dev, "/.lunette/live", "HEAD")
    assert head.status_code == 200 and head.headers["Content-Type"] == "text/event-stream"
    with dev.wire() as wire:  # on one connection
        assert wire.get("/.lunette/live.js").answer().status == 200
        assert wire.get("/.lunettes?after").answer().status == 404
    dev.wait_for_access(r"/\.lunettes\?after")
    assert "/.lunette" not in "".join(line for line in dev.accesses().splitlines()
                                      if "/.lunettes" not in line)


def test_a_save_of_scripts_is_told(dev):
    before = mark_of(get(dev))
    with listening(dev, "?" + before) as live:
        assert live.headers["content-type"] == "text/event-stream"
        assert live.headers["cache-control"] == "no-store"
        put(dev, "scripts/part.lua", 'return "two"\n')
        event = live.next()
        assert event["event"] == "reload"
        page = get(dev)
        assert b"two" in page.content and mark_of(page) == event["data"] == event["id"] != before


@pytest.mark.parametrize("name", ["site/page.html", "site/new/image.svg", "site/css/style.css.map"])
def test_a_save_of_a_file_is_told(dev, name):
    with listening(dev) as live:
        put(dev, name, "<body>new</body>")
        event = live.next()
        assert event["event"] == "reload" and event["data"] == mark_of(get(dev))


@contextlib.contextmanager
def seen_at_once(server):
    """However long it takes to save: the master, who watches, stands still meanwhile."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def test_style_sheets_alone_are_told_by_name(dev):
    with listening(dev) as live:
        put(dev, "site/css/style.css", "body { color: blue }\n")
        event = live.next()
        assert (event["event"], event["data"]) == ("css", "/css/style.css")
        assert event["id"] == mark_of(get(dev))
        put(dev, "site/css/ö %#.css", "b {}")
        event = live.next()
        assert event["event"] == "css"
        assert urllib.parse.unquote(event["data"]) == "/css/ö %#.css" and event["data"].isascii()
        with seen_at_once(dev):
            put(dev, "site/css/style.css", "body { color: green }\n")
            put(dev, "site/page.html", "<body>two</body>")
        assert live.next()["event"] == "reload"
        with seen_at_once(dev):
            for i in range(30):
                put(dev, f"site/css/{i}.css", "b {}")
        assert live.next()["event"] == "reload"


def test_what_editors_make_for_themselves_is_not_told(dev):
    with listening(dev) as live:
        live.chunk()
        put(dev, "site/.page.html.swp", "x")
        put(dev, "site/page.html~", "x")
        live.assert_silent()


def test_a_page_that_is_old_hears_so_at_once(dev):
    page = get(dev)
    put(dev, "site/page.html", "<body>two</body>")
    now = mark_of(get(dev))
    assert now != mark_of(page)
    with listening(dev, "?" + mark_of(page)) as live:
        assert live.next()["data"] == now
    with listening(dev, "?" + now) as live:
        live.chunk()
        live.assert_silent()
    with listening(dev, "?0123456789abcdef.0.0") as live:  # of another start
        assert live.next()["event"] == "reload"


def test_a_page_that_an_old_generation_made_late_is_old(dev):
    with dev.wire() as slow:
        slow.get("/slow", "Sec-Fetch-Mode: navigate")
        dev.wait_for("slow begun")
        put(dev, "scripts/part.lua", 'return "two"\n')
        assert b"two" in get(dev).content
        body = slow.answer().body
    assert b"one" in body
    with listening(dev, "?" + TAG.search(body)[1].decode()) as live:
        assert live.next()["event"] == "reload"


def test_a_folder_that_is_made_later_counts(serve):
    server = serve({"scripts/main.lua": "require 'lunette'\n"}, "--dev")
    assert get(server, "/page.html").status_code == 404
    put(server, "site/page.html", "<body>one</body>")
    assert b"one" in get(server, "/page.html").content
    with listening(server) as live:
        put(server, "site/page.html", "<body>two</body>")
        assert live.next()["event"] == "reload"
    other = serve({"site/page.html": "<body>one</body>"}, "--dev")
    assert b"one" in get(other, "/page.html").content
    put(other, "scripts/main.lua", 'require "lunette".get("/made", function() return "made" end)\n')
    assert get(other, "/made").content == b"made"


def test_a_failed_reload_is_told_and_that_it_is_mended(dev):
    with listening(dev, "?" + mark_of(get(dev))) as live:
        put(dev, "scripts/part.lua", "error('no <b>good</b>')\n")
        event = live.next()
        assert event["event"] == "error"
        assert "no &lt;b&gt;good&lt;/b&gt;" in event["data"] and "scripts/part.lua:1" in event["data"]
        assert 'class="line here"' in event["data"]
        assert b"one" in get(dev).content
        with listening(dev) as other:
            assert other.next()["data"] == event["data"]
        put(dev, "scripts/part.lua", "error('one\\rid: two\\revent: reload')\n")
        assert "one id: two event: reload" in live.next()["data"]
        put(dev, "scripts/part.lua", SITE["scripts/part.lua"])
        assert live.next()["event"] == "mended"
        put(dev, "scripts/part.lua", "return return\n")
        assert "unexpected symbol near" in live.next()["data"]
        put(dev, "scripts/part.lua", "return 'three'\n")
        assert live.next()["event"] == "reload"
        assert b"three" in get(dev).content
        with listening(dev, "?&failed") as other:
            assert other.next()["event"] == "mended"


ONE_WORKER_FAILS = """\
local n = require "lunette.cache".incr "loads"
local function refuse(word)
  error("a worker " .. word)
end
if n == 3 then refuse("refuses") end
require "lunette".get("/", function() return "<body>loaded</body>" end)
"""


def test_a_failure_of_a_worker_alone_is_told_with_its_stack(serve):
    """The first load is the start's, the second the one that tries a reload, the third the worker's."""
    server = serve({"scripts/main.lua": ONE_WORKER_FAILS}, "--dev")
    with listening(server) as live:
        put(server, "scripts/main.lua", ONE_WORKER_FAILS + "-- saved\n")
        event = live.next()
    server.wait_for("reload 1 came to nothing: scripts/main.lua:3: a worker refuses")
    assert event["event"] == "error" and "a worker refuses" in event["data"]
    for word in ('class="line here"', 'class="stack"', "scripts/main.lua:5", "Locals", "&quot;refuses&quot;"):
        assert word in event["data"]
    assert b"loaded" in get(server).content


def test_a_worker_that_comes_after_a_failure_shows_it_too(dev):
    with listening(dev) as live:
        put(dev, "scripts/part.lua", "error('not yet')\n")
        failure = live.next()
    assert failure["event"] == "error"
    os.kill(dev.workers()[0], signal.SIGKILL)
    dev.wait_for("was killed by signal 9")
    assert b"one" in eventually(lambda: get(dev)).content

    def told():
        with listening(dev, "?" + mark_of(get(dev)) + "&failed") as live:
            return live.next()["data"] == failure["data"]
    assert eventually(told)
    with listening(dev) as live:
        assert live.next()["event"] == "error"
        put(dev, "scripts/part.lua", SITE["scripts/part.lua"])
        assert live.next()["event"] == "mended"
    os.kill(dev.workers()[0], signal.SIGKILL)
    eventually(lambda: dev.errors().count("was killed by signal 9") == 2)
    eventually(lambda: mark_of(get(dev)))
    with listening(dev, "?&failed") as live:
        assert live.next()["event"] == "mended"


def until_stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: "State:\tT" in Path(f"/proc/{pid}/status").read_text())


def test_a_worker_that_reads_nothing_is_not_ended_for_what_it_is_told():
    """Its channel is full. It is told how things are once it reads again; whoever asked is answered."""
    logs = {"scripts/config.lua": 'return { log = { error = "logs/error.log" } }', "logs/.keep": ""}
    with running({**SITE, **logs}, "--dev", "--workers", "2") as server:
        error = server.folder / "logs/error.log"
        stopped, other = server.workers()
        until_stopped(stopped)
        opened = 0
        while "does not get the new logs yet" not in error.read_text():  # the channel has room
            opened += 1
            assert opened < 5000
            server.process.send_signal(signal.SIGUSR1)
            eventually(lambda: error.read_text().count("were opened again") >= opened)
        for n in range(1, 4):
            put(server, "scripts/part.lua", f"error('failure {n}')\n")
            assert b"one" in get(server).content  # the other one has asked
            eventually(lambda: f"failure {n}" in error.read_text())
            put(server, "scripts/part.lua", SITE["scripts/part.lua"])
            assert b"one" in get(server).content
        put(server, "scripts/part.lua", "error('the last failure')\n")
        assert b"one" in get(server).content
        assert {stopped, other} <= set(server.workers())
        os.kill(stopped, signal.SIGCONT)
        until_stopped(other)
        with listening(server) as live:  # whom the one that was stopped answers
            while "the last failure" not in (event := live.next())["data"]:
                assert event["event"] in ("error", "mended")
        os.kill(other, signal.SIGCONT)
        assert {stopped, other} <= set(server.workers())
        assert "cannot be told" not in error.read_text()


@pytest.mark.parametrize("text, words", [
    ("return { limits = { connexions = 1 } }\n", ["connexions", "scripts/config.lua:1"]),
    ("return {\n  gzip = = 1,\n}\n", ["scripts/config.lua:2"]),
])
def test_settings_that_are_wrong_are_told(dev, text, words):
    with listening(dev) as live:
        put(dev, "scripts/config.lua", text)
        event = live.next()
        assert event["event"] == "error"
        for word in words:
            assert word in event["data"]
        assert "&gt; " in event["data"], "the line of the source"
        (dev.folder / "scripts/config.lua").unlink()
        assert live.next()["event"] == "mended"
    assert re.search(r"\t>     \d \| ", dev.errors())


def test_streams_are_bounded_and_given_back(dev):
    listeners = [Listener(dev) for _ in range(64)]
    assert {one.status for one in listeners} == {200}
    assert get(dev, "/.lunette/live").status_code == 503
    put(dev, "site/page.html", "<body>two</body>")
    assert {one.next()["event"] for one in listeners} == {"reload"}
    for one in listeners:
        one.close()
    eventually(lambda: Listener(dev).status == 200)


def test_a_stop_does_not_wait_for_streams(dev):
    with listening(dev) as live:
        live.chunk()
        dev.process.send_signal(signal.SIGTERM)
        while live.chunk():
            pass
    assert dev.ends_within(5)


def test_a_worker_that_is_replaced_knows_what_was_saved(dev):
    put(dev, "site/page.html", "<body>two</body>")
    put(dev, "scripts/part.lua", 'return "two"\n')
    before = mark_of(get(dev))
    os.kill(dev.workers()[0], signal.SIGKILL)
    dev.wait_for("was killed by signal 9")
    assert eventually(lambda: mark_of(get(dev))) == before
