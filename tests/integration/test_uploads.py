"""Large bodies: parts as files, their methods, what they cost, and bodies that are read as they come."""
import contextlib
import hashlib
import itertools
import json
import os
import re
import socket
import subprocess
import time

import pytest
import requests

from conftest import eventually, post

MB = 2**20
SITE = {
    "scripts/main.lua": """
        local app = require "lunette"
        local task = require "lunette.task"
        app.post("/save", function(req)
          local saved = {}
          for i, part in ipairs(req.files_all.f) do
            local path, why, code = part:save_as(req.query.as or part.filename,
              { overwrite = req.query.overwrite ~= nil })
            saved[i] = { path = path, why = why, code = code }
          end
          return app.json(saved)
        end)
        app.post("/misuse", function(req)
          local f, said = req.files.f, {}
          for i, args in ipairs { { 1, {} }, {}, { "a", "b" }, { "a", { overwrit = true } },
                                  { "a", { true } }, { "a\\0b" } } do
            said[i] = select(2, pcall(f.save_as, f, table.unpack(args)))
          end
          said[#said + 1] = select(2, pcall(f.chunks))
          return app.json(said)
        end)
        app.post("/chunks", function(req)
          local sizes, text = {}, {}
          for chunk in req.files.f:chunks() do
            sizes[#sizes + 1], text[#text + 1] = #chunk, chunk
          end
          return app.json { sizes = sizes, same = table.concat(text) == req.files.f.body }
        end)
        app.post("/digest", { max_body = "1G", timeout = 60 }, function(req)
          local f = req.files.f
          return app.json { size = f.size, sha256 = f.sha256, type = f.detected_type,
            field = req.form.field, saved = f:save_as "big" }
        end)
        local kept
        app.post("/keep", function(req) kept = req.files.f return 204 end)
        app.get("/kept", function(req) return app.text(kept:save_as "late") end)
        app.post("/dot", function(req) return app.text(req.files.f.save_as("x")) end)
        app.post("/many", function(req) return app.json { #req.parts } end)
        app.post("/sorted", function(req)
          table.sort(req.parts, function(a, b) return a.detected_type < b.detected_type end)
          return app.json { req.parts[1].detected_type }
        end)
        app.post("/whole", { max_body = "64M" }, function(req) return app.text(#req.body) end)
        app.post("/part", { max_body = "64M" }, function(req) return app.text(#req.parts[1].body) end)
        app.post("/form", { max_body = "64M" }, function(req) return app.text(#req.form.a) end)

        app.post("/stream", { stream_body = true, max_body = "1G" }, function(req)
          local n, largest = 0, 0
          for chunk in req:chunks() do
            n, largest = n + #chunk, math.max(largest, #chunk)
          end
          return app.json { n = n, largest = largest, over = req:read() == nil }
        end)
        app.post("/exactly", { stream_body = true, max_body = 100000 }, function(req)
          local sizes = {}
          repeat
            local piece = req:read(1000)
            sizes[#sizes + 1] = piece and #piece
          until not piece
          return app.json { sizes = sizes, nothing = req:read(0) }
        end)
        app.post("/fields", { stream_body = true }, function(req)
          local refused = {}
          for _, name in ipairs { "body", "form", "json", "parts", "files", "form_all" } do
            local ok, why = pcall(function() return req[name] end)
            refused[#refused + 1] = not ok and why or nil
          end
          for i = 1, 2 do
            local ok, why = pcall(req.expect_json, req, { null = i == 2 })
            refused[#refused + 1] = not ok and why or nil
          end
          return app.json(refused)
        end)
        app.post("/unread", { stream_body = true }, function() return "not read" end)
        app.post("/whole/read", function(req) return req:read() end)
        app.post("/first", { stream_body = true }, function(req) return app.text(req:read()) end)
        app.post("/echo", { stream_body = true }, function(req)
          return app.stream(function(write) for chunk in req:chunks() do write(chunk) end end)
        end)
        app.post("/slow", { stream_body = true, timeout = 0.3 }, function(req)
          local n = 0
          for chunk in req:chunks() do n = n + #chunk end
          return app.text(n)
        end)
        app.post("/hurry", { stream_body = true }, function(req)
          local ok, why = task.timeout(0.1, function() return req:read() end) print "given up"
          local first = req:read(3)
          return app.json { tostring(ok), why, first, req:read() }
        end)
        app.post("/two", { stream_body = true }, function(req)
          local a = task.spawn(function() return req:read() end)
          task.sleep(0.01) print "two begun"
          return app.json { select(2, pcall(req.read, req)), a:join() }
        end)
        app.post("/late/echo", { stream_body = true }, function(req)
          return app.stream(function(write)
            write "first "
            for chunk in req:chunks() do write(chunk) end
          end)
        end)
        local reader
        app.post("/left/reader", { stream_body = true }, function(req)
          reader = task.spawn(function() return req:read(1000) end)
          task.sleep(0.01)
          return "answered"
        end)
        app.get("/left/join", function() return app.text(select(2, pcall(reader.join, reader))) end)
        local after = "not run"
        app.post("/after", { stream_body = true }, function(req)
          req:after(function() after = select(2, pcall(req.read, req)) end)
          print "after begun" task.sleep(10)
        end)
        app.get("/after", function() return app.text(after) end)
        app.post("/names", function(req) return app.text((next(req.form))) end)
        app.get("/large/text", function()
          local t = { ("x"):rep(65536) }
          for i = 1, 200 do t[i] = t[1] end
          local ok, why = pcall(require "lunette.json".encode, t)
          return app.text(tostring(why))
        end)
        app.post("/values", function(req) return app.text(#req.json) end)
        app.get("/hello", function() return "hello" end)
        """,
    "scripts/config.lua": """
        return { limits = { request_memory = "8M" }, timeouts = { body = 2 } }
        """,
}


@pytest.fixture
def server(serve):
    """Under ASan without its quarantine, which keeps what was freed, so that memory can be counted."""
    options = os.environ.get("ASAN_OPTIONS", "")
    return serve(SITE, "--workers", "1",
                 env={"ASAN_OPTIONS": f"{options}:quarantine_size_mb=0".strip(":")})


def upload(server, path, data, name="file.bin"):
    answer = requests.post(server.url(path), files={"f": (name, data)}, timeout=60)
    assert answer.status_code == 200, answer.text + server.errors()
    return answer.json()


def peak(pid):
    """The most memory that a process has had since the last call of forget_peak, in bytes."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", open(f"/proc/{pid}/status").read())[1]) * 1024


def forget_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w") as f:
        f.write("5")


# --- parts ---

@pytest.mark.parametrize("size", [0, 10, 65536, 3 * MB])
def test_a_part_is_saved(server, size):
    data = os.urandom(size)
    [saved] = upload(server, "/save?as=in/here.bin", data, "x")
    assert saved["path"] == str(server.folder / "data/in/here.bin")
    assert (server.folder / "data/in/here.bin").read_bytes() == data
    assert upload(server, "/save?as=in/here.bin", b"y") == [{"why": "exists", "code": "EEXIST"}]
    assert upload(server, "/save?as=in/here.bin&overwrite", b"y")[0]["path"]
    assert (server.folder / "data/in/here.bin").read_bytes() == b"y"
    assert os.listdir(server.folder / "data/in") == ["here.bin"]


@pytest.mark.parametrize("path", ["p//q/r", "./p/./q//./r", "p/q/r"])
def test_save_as_returns_the_path_without_detours(server, path):
    [saved] = upload(server, f"/save?as={path}", b"x")
    assert saved["path"] == str(server.folder / "data/p/q/r")
    [saved] = upload(server, f"/save?overwrite&as={server.folder}/./data//{path}", b"y")
    assert saved["path"] == str(server.folder / "data/p/q/r")
    for no_file in ("p/q/.", "p/q/"):
        assert upload(server, f"/save?as={no_file}", b"x")[0]["code"] == "EISDIR"


def test_misuse_of_a_part_names_the_method(server):
    assert upload(server, "/misuse", b"x") == [
        "part:save_as: the path must be a string, not a number",
        "part:save_as: the path must be a string, not no value",
        "part:save_as: the options must be a table, not a string",
        "part:save_as: unknown option 'overwrit', did you mean 'overwrite'?",
        "part:save_as: options are named: {name = value}",
        "part:save_as: the path has a NUL byte",
        "call with a colon: part:save_as(path), part:chunks()"]


def test_save_as_stays_beneath_data(server, place):
    for path in ("../out", "a/../../out", ""):
        [saved] = upload(server, f"/save?as={path}", b"x", name="x")
        assert "path" not in saved and saved["code"] in ("EXDEV", "EISDIR"), saved
    assert upload(server, "/save?as=../out", b"x") == [
        {"why": "the path leads out of the data folder", "code": "EXDEV"}]
    [saved] = upload(server, f"/save?as={place}/site1/data/absolute", b"x")
    assert saved["path"] == f"{place}/site1/data/absolute"
    assert not (server.folder / "out").exists()


# --- no descriptors ---

def limit_descriptors(pid, soft):
    """As the user that the process has become: root may lack the right to."""
    ids = dict(re.findall(r"^(Uid|Gid):\t(\d+)", open(f"/proc/{pid}/status").read(), re.M))
    user = {"user": int(ids["Uid"]), "group": int(ids["Gid"])} if os.getuid() == 0 else {}
    subprocess.run(["prlimit", "--pid", str(pid), f"--nofile={soft}:"], check=True, **user)


@contextlib.contextmanager
def descriptors_left(pid, n):
    """The process can open n more, and no others, though others are open above them."""
    soft = re.search(r"Max open files +(\d+)", open(f"/proc/{pid}/limits").read())[1]
    used = {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}
    free = (fd for fd in itertools.count() if fd not in used)
    limit_descriptors(pid, next(itertools.islice(free, n, None)))
    try:
        yield
    finally:
        limit_descriptors(pid, soft)


def form_with(data):
    body = b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n' + data + b"\r\n--b--\r\n"
    return (f"POST /save?as=saved HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n\r\n").encode() + body


# How much the worker may still open, and what comes of it: the spool's file, the descriptor that save_as
# has of it, the data folder for a body in memory, the new file in it.
@pytest.mark.parametrize("size, left, status", [
    (MB, 0, 503), (MB, 1, 200), (MB, 2, 200), (1000, 0, 200), (1000, 1, 200)])
def test_without_descriptors_nothing_is_saved_and_nothing_breaks(server, size, left, status):
    [worker] = server.workers()
    data = os.urandom(size)
    with server.wire() as w:
        w.get("/hello")
        assert w.answer().status == 200  # the connection has its descriptor, and the site is loaded
        before = len(server.open_files())
        with descriptors_left(worker, left):
            a = w.send(form_with(data)).answer()
            assert a.status == status, a.body
            if status == 200:
                assert json.loads(a.body) == [{"why": "Too many open files", "code": "EMFILE"}]
        assert not (server.folder / "data/saved").exists()
        if status == 503:
            server.wait_for("no descriptor left for the body's temporary file")
    eventually(lambda: len(server.open_files()) < before)  # the connection's, and no other is left
    with server.wire() as w:
        assert json.loads(w.send(form_with(data)).answer().body)[0]["path"].endswith("/data/saved")
    assert (server.folder / "data/saved").read_bytes() == data


def test_a_part_is_read_in_chunks(server):
    assert upload(server, "/chunks", os.urandom(200_000)) == {
        "sizes": [65536, 65536, 65536, 3392], "same": True}
    assert upload(server, "/chunks", b"") == {"sizes": {}, "same": True}


def test_a_large_upload_costs_no_memory(server):
    data = os.urandom(MB) * 64
    upload(server, "/digest", b"warm")
    [worker] = server.workers()
    (server.folder / "data/big").unlink()
    forget_peak(worker)
    before = peak(worker)
    got = upload(server, "/digest", data)
    assert peak(worker) - before < 16 * MB
    assert (got["size"], got["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert (server.folder / "data/big").read_bytes() == data
    eventually(lambda: not server.open_files(str(server.folder / "data")))


def test_a_part_is_over_with_its_request(server):
    requests.post(server.url("/keep"), files={"f": b"x"})
    assert requests.get(server.url("/kept")).status_code == 500
    server.wait_for("the request is over, and its parts with it")
    assert requests.post(server.url("/dot"), files={"f": b"x"}).status_code == 500
    server.wait_for("call with a colon: part:save_as")


def test_many_parts(server):
    parts = [("n", (None, str(i))) for i in range(1000)]
    assert requests.post(server.url("/many"), files=parts).json() == [1000]


def test_types_are_found_where_nobody_can_wait(server):
    parts = [("f", ("a", b"text")), ("f", ("b", b"%PDF-1.4\n%\xe2\xe3\n"))]
    answer = requests.post(server.url("/sorted"), files=parts)
    assert answer.json() == ["application/pdf"]


def test_a_text_larger_than_a_request_is_not_written(server):
    """It took up to 256 MiB outside of every limit before it failed."""
    [worker] = server.workers()
    forget_peak(worker)
    before = peak(worker)
    assert "cannot encode" in requests.get(server.url("/large/text")).text
    assert peak(worker) - before < 12 * MB


def test_limits_of_parts_are_named(server):
    """Thousands of short header lines in each of a thousand parts cost half a second."""
    head = "--b\r\nContent-Disposition: form-data; name=a\r\n"

    def status(body):
        return requests.post(server.url("/many"), data=body, headers={
            "Content-Type": "multipart/form-data; boundary=b"}).status_code
    assert status((head + "\r\nx\r\n") * 1001 + "--b--") == 413
    server.wait_for("more parts than limits.part_count")
    assert status(head + "X: 1\r\n" * 99 + "\r\nx\r\n--b--") == 200
    assert status(head + "X: 1\r\n" * 100 + "\r\nx\r\n--b--") == 413
    server.wait_for("a part with more header lines than limits.headers")
    assert status(head + "X: " + "1" * 16384 + "\r\n\r\nx\r\n--b--") == 413
    server.wait_for("the header lines of a part are over limits.header_bytes")


def test_what_does_not_fit_into_lua_is_a_413(server):
    assert requests.post(server.url("/whole"), data=b"x" * (9 * MB)).status_code == 413
    server.wait_for("413 POST /whole: 9437184 bytes of the body are over limits.request_memory")
    assert requests.post(server.url("/form"), files={"a": (None, b"x" * 9 * MB)}).status_code == 413
    assert requests.post(server.url("/whole"), data=b"x" * (2 * MB)).text == str(2 * MB)


def test_a_part_that_does_not_fit_into_lua_is_a_413(server):
    """Between half of limits.request_memory and all of it, it was a 503 and an error in the log."""
    for size in (7 * MB, 9 * MB):
        assert requests.post(server.url("/part"), files={"a": b"x" * size}).status_code == 413
    server.wait_for("413 POST /part: the values in the body take more than limits.request_memory")
    assert requests.post(server.url("/part"), files={"a": b"x" * MB}).text == str(MB)


def post_form(server, text):
    return requests.post(server.url("/names"), data=text, timeout=30, headers={
        "Content-Type": "application/x-www-form-urlencoded"})


def test_a_form_at_the_memory_limit_does_not_live_there(server):
    """At limits.request_memory every new name made Lua collect all garbage, for minutes."""
    assert post_form(server, "&".join(f"{i:060}" for i in range(99_999))).status_code == 413
    assert requests.get(server.url("/hello"), timeout=5).text == "hello"
    server.wait_for("413 POST /names: the values in the body take more than "
                    r"limits\.request_memory \(8388608\)")
    values = requests.post(server.url("/values"), data="[" + "{}," * 200_000 + "{}]",
                           headers={"Content-Type": "application/json"})
    assert values.status_code == 413
    server.wait_for("413 POST /values: the values in the body take more than ")


def test_a_form_has_so_many_fields(server):
    """A body of nothing but fields cost its worker seconds."""
    assert post_form(server, "a=1&" * 100_000).text == "a"
    assert post_form(server, "a&" * 100_001).status_code == 413
    server.wait_for(r"413 POST /names: the form has 100001 fields, and limits\.form_fields is 100000")


def test_a_client_that_leaves_while_its_file_is_saved(server):
    """The thread has a descriptor of its own: nothing breaks, whenever the client goes."""
    body = (b'--b\r\nContent-Disposition: form-data; name=f; filename=n\r\n\r\n' + b"x" * 3 * MB
            + b"\r\n--b--\r\n")
    for i in range(20):
        with server.connect() as s:
            s.sendall(post(f"/save?as=gone{i}", body,
                           "Content-Type: multipart/form-data; boundary=b"))
            if i % 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            time.sleep(i / 1000)
    assert requests.get(server.url("/hello")).text == "hello"
    for path in (server.folder / "data").glob("gone*"):
        assert path.stat().st_size == 3 * MB
    assert not list((server.folder / "data").glob(".lunette*"))


# --- stream_body ---

def test_a_body_is_read_as_it_comes(server):
    [worker] = server.workers()
    data = os.urandom(MB) * 64
    assert requests.post(server.url("/stream"), data=b"x").json()["n"] == 1
    forget_peak(worker)
    before = peak(worker)
    got = requests.post(server.url("/stream"), data=data).json()
    assert got["n"] == len(data) and got["largest"] <= 65536 and got["over"]
    pieces = (data[i:i + 70_000] for i in range(0, len(data), 70_000))
    assert requests.post(server.url("/stream"), data=pieces).json()["n"] == len(data)
    assert peak(worker) - before < 16 * MB
    assert requests.post(server.url("/stream"), data=b"").json() == {
        "n": 0, "largest": 0, "over": True}


def test_read_gives_exactly_what_was_asked_for(server):
    got = requests.post(server.url("/exactly"), data=(b"x" * 7 for _ in range(500))).json()
    assert got == {"sizes": [1000, 1000, 1000, 500], "nothing": ""}


BOUNDED = """
    local app = require "lunette"
    app.post("/read", { stream_body = true, max_body = "1G", timeout = 60 }, function(req)
      local n = tonumber(req.query.n) or req.query.n
      local ok, first = pcall(req.read, req, n)
      return app.text(ok and #first .. " bytes" or first)
    end)
    app.post("/bytes", { stream_body = true, timeout = 60 }, function(req)
      local n = 0
      while req:read(1) do n = n + 1 end
      return app.text(n)
    end)
    """


@pytest.mark.parametrize("memory, n, said", [
    ("64M", "64M", "req:read: 67108864 bytes at once are over limits.request_memory (67108864)"),
    ("64M", "70000000", "req:read: 70000000 bytes at once are over limits.request_memory (67108864)"),
    ("300M", "65M", "req:read: 68157440 bytes at once are over what it can give (67108864)"),
    ("300M", "64M", "67108864 bytes")])
def test_what_one_read_may_give_is_bounded_by_name(serve, memory, n, said):
    server = serve({"scripts/main.lua": BOUNDED, "scripts/config.lua": f"""
        return {{ limits = {{ request_memory = "{memory}", lua_memory = "600M" }} }}"""}, "--workers", "1")
    data = bytes(65 * MB) if said == "67108864 bytes" else b"abc"
    assert said in requests.post(server.url(f"/read?n={n}"), data=data, timeout=60).text


def test_reading_byte_by_byte_is_not_quadratic(serve):
    """Each read moved all that was left: a MiB took 64 times as long as 64 KiB, and more."""
    server = serve({"scripts/main.lua": BOUNDED}, "--workers", "1")
    assert requests.post(server.url("/bytes"), data=bytes(MB), timeout=60).text == str(MB)


def test_too_much_is_a_413_before_and_within(server):
    with server.wire() as w:
        w.send("POST /exactly HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n"
               "Expect: 100-continue\r\n\r\n")
        assert w.answer().status == 413  # and no 100 before it
    with server.wire() as w:
        w.send("POST /exactly HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
               "ffff\r\n", "x" * 65535, "\r\nffff\r\n", "x" * 65535, "\r\n0\r\n\r\n")
        assert w.answer().status == 413
    server.wait_for("413 POST /exactly: the body is over max_body")


def test_100_continue_goes_out_at_the_first_read(server):
    with server.wire() as w:
        w.send("POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert w.answer().status == 100
        assert w.send("abc").answer().body == b"abc"
    with server.wire() as w:
        w.send("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert w.answer().body == b"not read"


def test_the_fields_of_the_body_raise(server):
    refused = requests.post(server.url("/fields"), data="a=1").json()
    assert len(refused) == 8 and all("stream_body" in why for why in refused)
    assert requests.post(server.url("/whole/read"), data="a").status_code == 500
    server.wait_for(r"req:read: this is for routes with stream_body=true")


def test_an_echo_goes_on_while_the_answer_has_not_begun(server):
    """The answer goes out with the end of the turn; then the body has to have been read."""
    assert requests.post(server.url("/echo"), data=b"short").content == b"short"


def test_a_malformed_body_leaves_the_handler(server):
    with server.wire() as w:
        w.send("POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX")
        assert w.answer().status == 400
    server.wait_for("400 POST /stream: ")


def test_the_wait_for_the_client_is_not_the_handlers(server):
    with server.wire() as w:
        w.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
        for byte in "abcd":
            time.sleep(0.2)
            w.send(byte)
        assert w.answer().body == b"4"


def test_a_wait_that_was_given_up_loses_nothing(server):
    with server.wire() as w:
        w.send("POST /hurry HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
        server.wait_for("given up")
        w.send("abcdef")
        assert w.answer().body == b'["nil","timeout","abc","def"]'


def test_two_readers(server):
    with server.wire() as w:
        w.send("POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        server.wait_for("two begun")
        body = w.send("abc").answer().body
        assert b"another coroutine is reading" in body and b'"abc"' in body


def test_an_answer_that_begins_ends_the_wait_for_the_body(server):
    with server.wire() as w:
        w.send("POST /late/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
        assert b"first " in w.rest() and b"\r\n0\r\n" not in w.rest()
    server.wait_for(r"the answer breaks off: scripts/main\.lua:\d+: req:read: the answer has begun")


def test_a_reader_that_the_answer_left_behind_is_woken(server):
    with server.wire() as w:
        w.send("POST /left/reader HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
        assert w.answer().body == b"answered"
    joined = requests.get(server.url("/left/join"), timeout=5).text
    assert "the answer has begun" in joined or "the request is over" in joined


def test_nothing_is_read_after_the_client_has_left(server):
    with server.wire() as w:
        w.send("POST /after HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
        server.wait_for("after begun")
    eventually(lambda: "the client closed" in requests.get(server.url("/after")).text)


def test_curl_streams_a_pipe(server, tmp_path):
    done = subprocess.run(["curl", "-sS", "-T", "-", "-X", "POST", server.url("/stream")],
                          input=b"y" * MB, capture_output=True, check=True)
    assert b'"n":1048576' in done.stdout
