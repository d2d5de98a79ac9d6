"""Databases in a running server: real files, several workers, handlers that end in the midst of things."""
import contextlib
import os
import re
import resource
import signal
import sqlite3
import subprocess
import threading
import time

import pytest
import requests

from conftest import LUNETTE, eventually, together
from running import ask, log_of, make_folder, running, start_fails
from site_testing import fails

# What ends only when somebody stops it, or after very long.
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"

MAIN = f"""
    local app = require "lunette"
    local sqlite = require "lunette.sqlite"
    local task = require "lunette.task"
    local db = sqlite.open("shop.db")
    db:migrate {{ [[
      CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT UNIQUE, n INTEGER, x ANY) STRICT;
      CREATE TABLE tag (item INTEGER NOT NULL REFERENCES item ON DELETE CASCADE, name TEXT NOT NULL);
    ]] }}
    local counted = db:value "SELECT count(*) FROM item" -- waits while the scripts load

    app.get("/hello", function() return app.text("hello") end)
    app.get("/slow", function() return app.json(db:value("{ENDLESS}")) end)
    app.get("/count", function() return app.text(db:value "SELECT count(*) FROM item") end)
    app.get("/empty", function() return app.json(db:rows "SELECT * FROM item WHERE id < 0") end)
    app.get("/empty/in", function() return {{ items = db:rows "SELECT * FROM item WHERE id < 0" }} end)

    app.post("/add/:name", function(req)
      local done = db:exec("INSERT INTO item (name, n) VALUES (?, ?)", req.params.name, 1)
      return app.json(done, 201)
    end)

    -- reads, waits, writes: only a transaction makes that right
    app.post("/up/:name", function(req)
      return app.json(db:transaction(function(tx)
        local row = tx:row("SELECT id, n FROM item WHERE name = :name", {{ name = req.params.name }})
        task.sleep(0.001)
        tx:exec("UPDATE item SET n = ? WHERE id = ?", row.n + 1, row.id)
        return row.n + 1
      end))
    end)

    app.post("/types", function()
      local r = db:exec("INSERT INTO item (name, x) VALUES ('blob', ?)", sqlite.blob "\\0\\255\\1")
      local row = db:row([[SELECT x, typeof(x) AS kind, NULL AS nix, ? AS big, ? AS real, ? AS text,
        ? AS yes FROM item WHERE id = ?]], math.maxinteger, 0.1, "a\\0ü", true, r.last_id)
      return {{ hex = (row.x:gsub(".", function(c) return ("%02x"):format(c:byte()) end)), kind = row.kind,
        nothing = row.nix == nil, big = row.big, real = row.real, length = #row.text, yes = row.yes }}
    end)

    app.get("/wrong/count", function() local n = db:value("SELECT ?, ?", 1) return n end)
    app.get("/wrong/sql", function() local n = db:value "SELECT * FORM item" return n end)
    app.get("/wrong/attach", function() local n = db:exec "ATTACH '/tmp/x.db' AS x" return n end)
    app.get("/wrong/path", function(req) local n = sqlite.open(req.query.path) return n end)
    app.get("/wrong/value", function() local n = db:value("SELECT ?", print) return n end)

    app.post("/fail/:how", function(req)
      db:transaction(function(tx)
        tx:exec "INSERT INTO item (name) VALUES ('never')"
        if req.params.how == "abort" then app.abort(409, "no more of them") end
        if req.params.how == "error" then error "on purpose" end
        if req.params.how == "long" then print "begun" task.sleep(60) end
        if req.params.how == "query" then print "begun" tx:value("{ENDLESS}") end
      end)
    end)

    app.post("/savepoint", function()
      return db:transaction(function(tx)
        tx:exec "INSERT INTO item (name) VALUES ('kept')"
        local ok, e = pcall(tx.transaction, tx, function(inner)
          inner:exec "INSERT INTO item (name) VALUES ('lost')"
          inner:exec "INSERT INTO item (name) VALUES ('kept')"
        end)
        return {{ kind = e.kind, rows = #tx:rows "SELECT 1 FROM item WHERE name IN ('kept', 'lost')" }}
      end)
    end)

    app.get("/stream", function()
      return app.stream(function(write)
        for row in db:each [[WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
                             SELECT i FROM n]] do
          write(row.i .. "\\n")
        end
      end)
    end)
    """


@pytest.fixture(scope="module")
def site():
    with running({"scripts/main.lua": MAIN}) as server:
        yield server


def look(server, sql, name="shop.db"):
    """What another program sees in the database."""
    with sqlite3.connect(f"file:{server.folder}/data/{name}?mode=ro", uri=True) as other:
        return other.execute(sql).fetchall()


def post(server, path, **options):
    return requests.post(server.url(path), timeout=30, **options)


def test_rows_and_changes(site):
    done = post(site, "/add/first")
    assert done.status_code == 201 and done.json()["changes"] == 1
    assert look(site, f"SELECT name FROM item WHERE id = {done.json()['last_id']}") == [("first",)]


def test_no_rows_are_an_empty_array(site):
    assert ask(site, "/empty").body == b"[]"
    assert ask(site, "/empty/in").body == b'{"items":[]}'


def test_values_come_back_as_they_went(site):
    assert post(site, "/types").json() == {
        "hex": "00ff01", "kind": "blob", "nothing": True, "big": 2**63 - 1, "real": 0.1, "length": 4,
        "yes": 1}


def test_errors_name_the_line_and_the_sql(site):
    for path, text in {
        "/wrong/count": "the SQL has 2 parameters, and 1 value was given (in: SELECT ?, ?)",
        "/wrong/sql": 'near "FORM": syntax error (in: SELECT * FORM item)',
        "/wrong/attach": "ATTACH is not for scripts: every database is opened with sqlite.open "
                         "(in: ATTACH '/tmp/x.db' AS x)",
        "/wrong/value": "value 1 is a function, which is not kept: nil, a boolean, a number, a string or "
                        "sqlite.blob(s) (in: SELECT ?)",
    }.items():
        answer = ask(site, path)
        assert answer.status == 500 and b"SELECT" not in answer.body
        assert re.search(rf"500 GET {path}: scripts/main\.lua:\d+: {re.escape(text)}\n", site.errors())
        assert "\tscripts/main.lua:" in log_of(site, path)


@pytest.mark.parametrize("path, why", [
    ("../out.db", 'the path leads out of data/: "../out.db"'),
    ("a/../../out.db", 'the path leads out of data/: "a/../../out.db"'),
    ("/tmp/out.db", 'the path is beneath data/: "/tmp/out.db"'),
    ("", 'the path is beneath data/: ""'),
    ("a%00b", "the path has a NUL byte"),
    ("sub/", '"sub/" names no file'),
    (".", '"." names no file'),
])
def test_paths_stay_beneath_data(site, path, why):
    assert ask(site, f"/wrong/path?path={path}").status == 500
    assert f"sqlite.open: {why}" in log_of(site, "/wrong/path")
    assert not (site.folder / "out.db").exists() and not (site.folder.parent / "out.db").exists()


def test_links_are_not_followed(site):
    outside = site.folder.parent / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    (site.folder / "data" / "link.db").symlink_to(outside / "x.db")
    (site.folder / "data" / "folder").symlink_to(outside)
    for path in ("link.db", "folder/x.db"):
        assert ask(site, f"/wrong/path?path={path}").status == 500
        assert f"{path} cannot be opened: the path leads out of the data folder, or through a link" in \
            log_of(site, "/wrong/path")
    assert list(outside.iterdir()) == []


def test_the_file_is_the_sites_alone(site):
    """Not for every user of the machine, nor ever served."""
    for name in ("shop.db", "shop.db-wal", "shop.db-shm"):
        assert (site.folder / "data" / name).stat().st_mode & 0o007 == 0
    assert ask(site, "/data/shop.db").status == 404


def test_a_savepoint_is_undone_alone(site):
    assert post(site, "/savepoint").json() == {"kind": "constraint", "rows": 1}
    assert look(site, "SELECT name FROM item WHERE name IN ('kept', 'lost')") == [("kept",)]


def test_a_long_result_as_a_stream(site):
    lines = requests.get(site.url("/stream"), timeout=30).text.split()
    assert lines == [str(i) for i in range(1, 30001)]


def test_a_reader_that_leaves_a_stream_gives_its_connection_back(site):
    """More often than there are connections."""
    for _ in range(10):
        with site.wire() as client:
            client.get("/stream").begin()
    assert len(requests.get(site.url("/stream"), timeout=30).text.split()) == 30000


@pytest.mark.parametrize("how, status", [("error", 500), ("abort", 409)])
def test_what_fails_is_rolled_back(site, how, status):
    answer = post(site, f"/fail/{how}")
    assert answer.status_code == status
    assert look(site, "SELECT * FROM item WHERE name = 'never'") == []
    if how == "error":
        assert re.search(r"500 POST /fail/error: scripts/main\.lua:\d+: on purpose", site.errors())


@pytest.mark.parametrize("how", ["long", "query"])
def test_a_client_that_leaves_is_rolled_back(serve, how):
    server = serve({"scripts/main.lua": MAIN}, "--workers", "1")
    with server.wire() as client:
        client.send(f"POST /fail/{how} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        server.wait_for("begun")
    assert post(server, "/add/next").status_code == 201  # the writer is free again
    assert look(server, "SELECT name FROM item") == [("next",)]


def test_a_handler_over_its_time_is_rolled_back(serve):
    server = serve({"scripts/main.lua": MAIN,
                    "scripts/config.lua": 'return { timeouts = { handler = "300ms" } }'}, "--workers", "1")
    for path in ("/fail/long", "/fail/query"):
        assert post(server, path).status_code == 503
    assert requests.get(server.url("/slow"), timeout=30).status_code == 503
    assert post(server, "/add/next").status_code == 201
    assert look(server, "SELECT name FROM item") == [("next",)]


def test_a_slow_query_holds_nobody_up(serve):
    server = serve({"scripts/main.lua": MAIN}, "--workers", "1")
    with server.wire() as a, server.wire() as b:
        a.get("/slow")
        b.get("/slow")
        for _ in range(20):
            begun = time.monotonic()
            assert ask(server, "/hello").body == b"hello"
            assert time.monotonic() - begun < 5
        assert ask(server, "/count").body == b"0"
        assert post(server, "/add/x").status_code == 201
        a.assert_silent()
    assert ask(server, "/count").body == b"1"


def test_slow_queries_delay_no_other_calls(serve):
    """As many as there are threads for databases, and as many again that wait for one."""
    server = serve({"scripts/main.lua": f"""
        local app, sqlite = require "lunette", require "lunette.sqlite"
        local gzip = require "lunette.gzip"
        local dbs = {{}}
        for i = 1, 8 do dbs[i] = sqlite.open(i .. ".db") end
        app.get("/slow/:n{{int}}", function(req)
          print "query begun"
          return app.json(dbs[req.params.n]:value("{ENDLESS}"))
        end)
        app.get("/zip", function() return app.text(#gzip.compress(("x"):rep(4 << 20))) end)
        app.post("/save", function(req) return app.text(req.parts[1]:save_as("saved.bin") and "saved" or "not") end)
        """}, "--workers", "1")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.wire()) for _ in range(8)]
        for i, client in enumerate(clients):
            client.get(f"/slow/{i + 1}")
        eventually(lambda: server.errors().count("query begun") == 8)
        assert int(ask(server, "/zip").body) > 0
        assert post(server, "/save", files={"f": ("x.bin", b"y" * 300_000)}).text == "saved"
        for client in clients:
            client.assert_silent()


def test_nothing_is_lost_among_writers_of_two_workers(serve):
    server = serve({"scripts/main.lua": MAIN}, "--workers", "2")
    assert post(server, "/add/counter").status_code == 201

    def client(number):
        with requests.Session() as session:
            for i in range(50):
                answer = session.post(server.url(f"/add/c{number}-{i}"), timeout=30)
                assert answer.status_code == 201, server.errors()
                answer = session.post(server.url("/up/counter"), timeout=30)
                assert answer.status_code == 200, server.errors()
    together(*[lambda n=n: client(n) for n in range(8)])
    assert look(server, "SELECT count(*) FROM item WHERE name LIKE 'c_-%'") == [(400,)]
    assert look(server, "SELECT n FROM item WHERE name = 'counter'") == [(401,)]
    assert look(server, "PRAGMA integrity_check") == [("ok",)]


def test_migrations_of_several_workers_are_applied_once(serve):
    server = serve({"scripts/main.lua": """
        local app, sqlite = require "lunette", require "lunette.sqlite"
        local db = sqlite.open "m.db"
        db:migrate {
          "CREATE TABLE applied (step INTEGER)",
          "INSERT INTO applied VALUES (2); INSERT INTO applied VALUES (2)",
          function(tx)
            require "lunette.task".sleep(0.05)
            tx:exec "INSERT INTO applied VALUES (3)"
          end,
        }
        """}, "--workers", "6")
    assert look(server, "SELECT step FROM applied", "m.db") == [(2,), (2,), (3,)]
    assert look(server, "PRAGMA user_version", "m.db") == [(3,)]


def test_a_database_of_later_scripts_stops_the_start(make_site):
    folder = make_site({"scripts/main.lua": """
        require "lunette.sqlite".open "m.db":migrate { "CREATE TABLE t (a)" }
        """})
    (folder / "data").mkdir()
    (folder / "data").chmod(0o777)
    with sqlite3.connect(folder / "data" / "m.db") as db:
        db.execute("PRAGMA user_version = 5")
    db.close()
    (folder / "data" / "m.db").chmod(0o666)
    said = start_fails(folder)
    assert "scripts/main.lua:2: the database is at version 5, and these scripts know 1" in said


def test_a_migration_that_fails_stops_the_start(make_site):
    folder = make_site({"scripts/main.lua": """
        require "lunette.sqlite".open "m.db":migrate { "CREATE TABLE t (a)", "CREATE TABLE t (a); garbage" }
        """})
    said = start_fails(folder)
    assert "scripts/main.lua:2: step 2 of migrate: table t already exists (in: CREATE TABLE t (a); garbage)" \
        in said


def test_a_full_disk_is_an_error_and_no_damage(serve):
    server = serve({"scripts/main.lua": """
        local app, sqlite = require "lunette", require "lunette.sqlite"
        local db = sqlite.open "full.db"
        db:exec "CREATE TABLE IF NOT EXISTS t (x)"
        app.post("/", function(req)
          local ok, e = pcall(db.exec, db, "INSERT INTO t VALUES (zeroblob(?))", req:int "n")
          return app.json { ok = ok, kind = not ok and e.kind or nil, code = not ok and e.code or nil }
        end)
        app.get("/", function() return app.text(db:value "SELECT count(*) FROM t") end)
        """}, "--workers", "1", limit=(resource.RLIMIT_FSIZE, 400_000))
    assert post(server, "/?n=1000").json() == {"ok": True}
    for _ in range(3):
        answer = post(server, "/?n=1000000").json()
        assert answer["kind"] in ("io", "full") and answer["code"] in ("SQLITE_IOERR_WRITE", "SQLITE_FULL")
    assert post(server, "/?n=1000").json() == {"ok": True}
    assert ask(server, "/").body == b"2"
    assert look(server, "PRAGMA integrity_check", "full.db") == [("ok",)]


def test_a_reload_amid_transactions(serve):
    """Those under way commit; the new scripts write beside them, and wait for them."""
    site = {"scripts/main.lua": MAIN}
    server = serve(site, "--workers", "2")
    assert post(server, "/add/counter").status_code == 201
    over = threading.Event()
    counts = []

    def client():
        done = 0
        with requests.Session() as session:
            while not over.is_set():
                answer = session.post(server.url("/up/counter"), timeout=30)
                assert answer.status_code == 200, server.errors()
                done += 1
        counts.append(done)

    def reloader():
        try:
            for number in range(1, 6):
                server.process.send_signal(signal.SIGHUP)
                server.wait_for(rf"reloaded \({number}\), in \d+ ms")
        finally:
            over.set()
    together(client, client, client, client, reloader)
    assert look(server, "SELECT n FROM item WHERE name = 'counter'") == [(1 + sum(counts),)]


def test_a_generation_that_is_over_closes_its_database(serve):
    server = serve({"scripts/main.lua": MAIN}, "--workers", "1")

    def files(name):
        return sum(path.endswith("/data/" + name) for path in server.open_files())

    def reload(number):
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(rf"reloaded \({number}\), in \d+ ms")
        assert ask(server, "/count").body == b"0"
        # Each connection has the log open once. Of the database SQLite keeps as many descriptors as it ever
        # had at once while a connection is open: as many as two generations have, if the next one waits.
        eventually(lambda: files("shop.db-wal") == 1)
    reload(1)
    reload(2)
    before = files("shop.db")
    assert before > 0
    for number in range(3, 9):
        reload(number)
    assert files("shop.db") <= before


def test_a_stop_leaves_one_file(serve):
    """The write-ahead log is put into the database when the last connection is closed; of two workers that
    close at the same moment either may take the other for the last."""
    server = serve({"scripts/main.lua": MAIN}, "--workers", "1")
    assert post(server, "/add/x").status_code == 201
    assert server.stop() == 0
    assert [p.name for p in (server.folder / "data").iterdir() if "shop" in p.name] == ["shop.db"]


def test_a_worker_that_is_killed_amid_a_transaction_leaves_no_trace_of_it(serve):
    server = serve({"scripts/main.lua": MAIN}, "--workers", "1")
    assert post(server, "/add/before").status_code == 201
    with server.wire() as client:
        client.send("POST /fail/long HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        server.wait_for("begun")
        os.kill(server.workers()[0], signal.SIGKILL)
        client.assert_end()
    eventually(lambda: len(server.workers()) == 1)
    assert post(server, "/add/after").status_code == 201
    assert look(server, "SELECT name FROM item ORDER BY id") == [("before",), ("after",)]
    assert look(server, "PRAGMA integrity_check") == [("ok",)]


def test_another_program_that_holds_the_lock_is_waited_for(serve):
    server = serve({"scripts/main.lua": """
        local app, sqlite = require "lunette", require "lunette.sqlite"
        local db = sqlite.open("held.db", { timeout = "300ms" })
        db:exec "CREATE TABLE IF NOT EXISTS t (x)"
        app.get("/", function() return app.text(db:value "SELECT count(*) FROM t") end)
        app.post("/", function()
          local ok, e = pcall(db.exec, db, "INSERT INTO t VALUES (1)")
          return app.text(ok and "written" or e.kind)
        end)
        """}, "--workers", "1")
    path = server.folder / "data" / "held.db"
    holder = subprocess.Popen(
        ["/usr/bin/python3", "-c", f"""
import sqlite3, sys
db = sqlite3.connect({str(path)!r}, isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
db.execute("COMMIT")
print("free", flush=True)
sys.stdin.readline()
"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        assert post(server, "/").text == "busy"
        assert ask(server, "/").body == b"0"  # readers do not wait
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "free\n"
        assert post(server, "/").text == "written"
    finally:
        holder.stdin.close()
        holder.wait(10)


def test_memory_is_of_each_worker(serve):
    server = serve({"scripts/main.lua": """
        local app, sqlite = require "lunette", require "lunette.sqlite"
        local db = sqlite.open ":memory:"
        db:exec "CREATE TABLE t (x)"
        app.post("/", function() return app.json(db:exec "INSERT INTO t VALUES (1)") end)
        app.get("/", function() return app.text(db:value "SELECT count(*) FROM t") end)
        """}, "--workers", "1")
    for _ in range(3):
        assert post(server, "/").json()["changes"] == 1
    assert ask(server, "/").body == b"3"
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(r"reloaded \(1\)")
    assert ask(server, "/").body == b"0"


TESTED = """
    local test = require "lunette.test"
    local client, expect = test.client, test.expect
    for i = 1, 4 do
      test("begins as loaded " .. i, function()
        expect(client.get("/count").body).equals("1")
        expect(client.post("/fill").status).equals(200)
        expect(client.post("/fail").status).equals(500)
        expect(client.get("/count").body).equals("3001")
        expect(client.get("/lazy").body).equals("1")
        expect(client.get("/lazy").body).equals("2")
      end)
      test("is left in the midst " .. i, { timeout = 0.2 }, function() client.post("/hang") end)
    end
    """


def test_tests_of_a_site_start_with_its_database_as_it_was_loaded():
    out = fails("", {"scripts/main.lua": """
        local app, sqlite = require "lunette", require "lunette.sqlite"
        local db = sqlite.open "shop.db"
        local lazy
        db:migrate { "CREATE TABLE t (x); INSERT INTO t VALUES ('seed')" }
        app.get("/count", function() return app.text(db:value "SELECT count(*) FROM t") end)
        app.post("/fill", function()
          -- more than is in the write-ahead log at a time
          db:exec [[WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
            INSERT INTO t SELECT zeroblob(4000) FROM n]]
          return 200, "filled"
        end)
        app.post("/fail", function()
          db:transaction(function(tx) tx:exec "DELETE FROM t" error "no" end)
        end)
        app.post("/hang", function()
          db:transaction(function(tx) tx:exec "DELETE FROM t" require "lunette.task".sleep(100) end)
        end)
        app.get("/lazy", function() -- there is no such file when the site is loaded
          lazy = lazy or sqlite.open "lazy.db"
          lazy:exec "CREATE TABLE IF NOT EXISTS t (x); INSERT INTO t VALUES (1)"
          return app.text(lazy:value "SELECT count(*) FROM t")
        end)
        """, "tests/b_test.lua": TESTED})
    assert "4 passed, 4 failed" in out, out
    assert out.count("longer than its timeout of 0.2 s") == 4


def test_the_bounds_of_databases_are_shown(make_site):
    shown = subprocess.run([LUNETTE, "limits", make_site({"scripts/main.lua": MAIN})], capture_output=True,
                           text=True, timeout=30, check=True).stdout
    for name in ("values of one call of SQL", "bytes of one such call", "bytes of all under way",
                 "threads for databases", "statements that wait for one", "a pattern of LIKE or GLOB", "the set of trim(x, set)", "depth of an expression"):
        assert re.search(rf"^{re.escape(name)} +\d+\S*.* fixed, in each worker$", shown, re.M), name


def test_a_stop_does_not_wait_for_what_nothing_can_break_off(serve):
    """The longest LIKE that there may be: one instruction of SQLite's machine, of a minute or so."""
    server = serve({"scripts/main.lua": """
        local app, sqlite = require "lunette", require "lunette.sqlite"
        local db = sqlite.open "x.db"
        app.get("/hog", function()
          print "begun"
          return app.json(db:value([[SELECT replace(hex(zeroblob(30000000)), '0', 'a') LIKE ?]],
            "%" .. ("a"):rep(254) .. "b"))
        end)
        """, "scripts/config.lua": "return { timeouts = { stop = 1 } }"}, "--workers", "1")
    with server.wire() as client:
        client.get("/hog")
        server.wait_for("begun")
        time.sleep(1)  # it is in its LIKE
        workers = server.workers()
        begun = time.monotonic()
        server.process.terminate()
        server.process.wait(20)
        assert time.monotonic() - begun < 6  # timeouts.stop, a second, and what a loaded machine adds
    eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers))


def test_an_abandoned_coroutine_keeps_no_connection(serve):
    """What an author's coroutine holds ends with the handler, although nobody resumes it again."""
    server = serve({"scripts/main.lua": """
        local app, sqlite = require "lunette", require "lunette.sqlite"
        collectgarbage "stop" -- the collector is no help
        local db = sqlite.open "a.db"
        db:migrate { "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2), (3)" }
        app.get("/begin", function()
          coroutine.wrap(function()
            db:transaction(function(tx) tx:exec "INSERT INTO t VALUES (9)" coroutine.yield() end)
          end)()
          return "left"
        end)
        app.get("/fail", function()
          coroutine.wrap(function()
            db:transaction(function(tx) tx:exec "INSERT INTO t VALUES (9)" coroutine.yield() end)
          end)()
          error "left"
        end)
        app.get("/write", function() db:exec "INSERT INTO t VALUES (4)" return "ok" end)
        app.get("/count", function() return app.text(db:value "SELECT count(*) FROM t") end)
        local function values()
          return coroutine.wrap(function()
            for row in db:each "SELECT a FROM t" do coroutine.yield(row.a) end
          end)
        end
        app.get("/first", function() for a in values() do return app.text(a) end end)
        """}, "--workers", "1")
    for way in ("/begin", "/fail"):
        begun = time.monotonic()
        ask(server, way)
        assert ask(server, "/write").body == b"ok"
        assert time.monotonic() - begun < 4  # a wait for it would end after 5 s, with an error
    assert ask(server, "/count").body == b"5"  # what was not committed is not there
    for _ in range(10):  # more than there are connections
        assert ask(server, "/first").body == b"1"


@pytest.mark.parametrize("name", ["a.db-wal", "a.db-shm", "sub/a.db-journal"])
def test_the_files_beside_a_database_are_not_opened(name):
    said = start_fails(make_folder({"scripts/main.lua": f"""
        require("lunette.sqlite").open "{name}"
        """}))
    assert "are SQLite's own" in said and "scripts/main.lua:2" in said
