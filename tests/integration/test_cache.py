"""lunette.cache: values over all workers, one fill at a time, and workers that are killed."""
import json
import os
import signal
import subprocess
import threading
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from conftest import eventually, together
from test_control import ask

MAIN = r"""
    local app = require "lunette"
    local cache = require "lunette.cache"
    local task = require "lunette.task"
    local json = require "lunette.json"

    -- the worker's number is its process id, which /proc/self/stat begins with
    local f = assert(io.open("/proc/self/stat"))
    local pid = f:read("n")
    f:close()

    app.get("/pid", function() return app.text(pid) end)
    app.get("/stats", function() return cache.stats() end)

    local values = {
      string = "text\0with\r\nbytes\255", empty = "", integer = 5, float = 5.0, negative = -2^63 // 1 | 0,
      huge = math.huge, yes = true, no = false, table = { 1, "two", { three = 3.5 } }, large = ("x"):rep(2^20),
    }
    app.get("/set", function()
      for k, v in pairs(values) do assert(cache.set("value " .. k, v)) end
      return app.text(pid)
    end)
    app.get("/compare", function()
      local wrong = {}
      for k, v in pairs(values) do
        local got = cache.get("value " .. k)
        local same = type(v) == "table" and json.encode(got) == json.encode(v)
          or got == v and math.type(got) == math.type(v)
        if not same then wrong[#wrong + 1] = k end
      end
      return app.text(pid .. " " .. table.concat(wrong, ","))
    end)

    app.get("/incr/:k", function(req) return app.text(cache.incr(req.params.k)) end)
    app.get("/get/:k", function(req) return app.text(tostring(cache.get(req.params.k))) end)

    -- /fetch/KEY?s=0.2&fail=3&ttl=&stale=: counts the runs, of which the first ones fail
    app.get("/fetch/:k", function(req)
      local k, q = req.params.k, req.query
      local v = cache.fetch(k, q.ttl, function()
        local run = cache.incr("runs of " .. k)
        cache.set("filler of " .. k, pid)
        task.sleep(tonumber(q.s or 0.2))
        if run <= (tonumber(q.fail) or 0) then app.abort(503, "run " .. run) end
        return "made by run " .. run
      end, { stale = q.stale })
      return app.text(v)
    end)
    app.get("/self/:k", function(req)
      return cache.fetch(req.params.k, 60, function()
        return cache.fetch(req.params.k, 60, function() return "never" end)
      end)
    end)

    -- a storm: values that say which key they are for
    app.get("/storm", function()
      for i = 1, 2000 do
        local k = math.random(300)
        cache.set("storm " .. k, ("%d "):format(k):rep(math.random(1, 2000)))
        if i % 100 == 0 then task.sleep(0) end
      end
      return app.text("calm")
    end)
    -- keeps the lock of the shard nearly all of the time: what is copied is a megabyte
    app.get("/copy", function()
      local v = ("x"):rep(300000)
      for _ = 1, 2000 do
        for _ = 1, 50 do cache.set("copied", v) end
        task.sleep(0)
      end
      return app.text("copied")
    end)
    app.get("/whole", function()
      local found = 0
      for k = 1, 300 do
        local v = cache.get("storm " .. k)
        if v then
          found = found + 1
          local one = ("%d "):format(k)
          if v ~= one:rep(#v // #one) then return 500, "key " .. k end
        end
      end
      return app.text(found)
    end)
"""
SITE = {"scripts/main.lua": MAIN}


def get(server, path, timeout=20):
    with server.wire(timeout) as w:
        return w.get(path, "Connection: close").answer()


def text(server, path):
    answer = get(server, path)
    assert answer.status == 200, answer.body
    return answer.body.decode("latin-1")


def from_both(server, path):
    """Asks until both workers have answered; the answers by worker, which they begin with."""
    answers = {}

    def ask():
        jobs = [lambda: text(server, path)] * 8
        for answer in together(*jobs):
            pid, _, rest = answer.partition(" ")
            answers.setdefault(int(pid), set()).add(rest)
        return len(answers) == 2
    eventually(ask)
    return answers


def lines_to(server, worker, n):
    """So many connections that this worker has accepted: the others are stopped meanwhile, since
    the kernel may give every connection to one and the same worker."""
    others = [pid for pid in server.workers() if pid != worker]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    try:
        for pid in others:
            eventually(lambda pid=pid: "State:\tT" in Path(f"/proc/{pid}/status").read_text())
        lines = [HTTPConnection("127.0.0.1", server.port, timeout=20) for _ in range(n)]
        for line in lines:
            line.request("GET", "/pid")
            assert int(line.getresponse().read()) == worker
        return lines
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)


def stats(server):
    return json.loads(get(server, "/stats").body)


def test_values_are_shared_and_come_back_as_they_were(serve):
    server = serve(SITE)
    setter = int(text(server, "/set"))
    answers = from_both(server, "/compare")
    assert setter in answers and set(answers) == set(server.workers())
    assert all(rest == {""} for rest in answers.values()), answers


def test_counters_lose_nothing(serve):
    server = serve(SITE)
    got = together(*[lambda: [int(text(server, "/incr/n")) for _ in range(20)]] * 8)
    assert sorted(n for run in got for n in run) == list(range(1, 161))


def test_64_clients_on_a_cold_key_run_it_once(serve):
    server = serve(SITE)
    begin = time.monotonic()
    answers = together(*[lambda: text(server, "/fetch/cold")] * 64)
    assert set(answers) == {"made by run 1"}
    assert time.monotonic() - begin < 5
    assert text(server, "/get/runs%20of%20cold") == "1"
    s = stats(server)
    assert s["fills"] == 1 and 0 < s["waits"] <= 63 and s["filling"] == 0


def test_a_failed_fill_passes_to_one_who_waits(serve):
    server = serve(SITE)
    answers = together(*[lambda: get(server, "/fetch/bad?fail=3&s=0.1")] * 20)
    assert sorted(a.status for a in answers) == [200] * 17 + [503] * 3
    assert text(server, "/get/runs%20of%20bad") == "4"
    assert {a.body for a in answers if a.status == 200} == {b"made by run 4"}


def test_a_stale_value_serves_while_one_fills(serve):
    server = serve(SITE)
    assert text(server, "/fetch/old?s=0&ttl=50ms&stale=60s") == "made by run 1"
    time.sleep(0.1)
    slow = threading.Thread(target=lambda: text(server, "/fetch/old?s=2&ttl=60s"))
    slow.start()
    eventually(lambda: text(server, "/get/runs%20of%20old") == "2")
    begin = time.monotonic()
    assert set(together(*[lambda: text(server, "/fetch/old")] * 8)) == {"made by run 1"}
    assert time.monotonic() - begin < 1.5
    slow.join()
    assert text(server, "/fetch/old") == "made by run 2"


def test_a_client_that_leaves_ends_its_fill(serve):
    server = serve(SITE)
    with server.wire() as leaver:
        leaver.get("/fetch/left?s=30")
        eventually(lambda: stats(server)["filling"] == 1)
        waiter = threading.Thread(target=lambda: results.append(text(server, "/fetch/left?s=0")))
        results = []
        waiter.start()
        eventually(lambda: stats(server)["waits"] == 1)
    waiter.join(10)
    assert results == ["made by run 2"]
    assert stats(server)["filling"] == 0


def test_a_waiter_has_its_handlers_time(serve):
    server = serve({**SITE, "scripts/config.lua": "return { timeouts = { handler = 0.5 } }"})
    begin = time.monotonic()
    answers = together(*[lambda: get(server, "/fetch/never?s=30")] * 4)
    assert {a.status for a in answers} == {503}
    assert time.monotonic() - begin < 5
    eventually(lambda: stats(server)["filling"] == 0)


def test_a_fill_that_needs_itself_is_an_error_at_once(serve):
    server = serve(SITE)
    begin = time.monotonic()
    assert get(server, "/self/x").status == 500
    assert time.monotonic() - begin < 5
    assert "cache.fetch: the fill of 'x' needs its own value" in server.errors()


def test_waiting_costs_no_processor_time(serve):
    def used():
        ticks = 0
        for pid in server.workers():
            fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    server = serve(SITE)
    clients = [threading.Thread(target=lambda: text(server, "/fetch/long?s=4")) for _ in range(32)]
    for client in clients:
        client.start()
    eventually(lambda: stats(server)["waits"] == 31)
    before = used()
    time.sleep(1)
    assert used() - before <= 0.05
    for client in clients:
        client.join()


def test_the_fill_of_a_killed_worker_is_passed_on(serve):
    server = serve(SITE)
    results = []
    lines = [line for worker in server.workers() for line in lines_to(server, worker, 12)]

    def ask(line):
        try:
            line.request("GET", "/fetch/orphan?s=3")
            results.append(line.getresponse().read().decode())
        except (HTTPException, OSError):  # it was in the worker that was killed
            results.append(None)
        line.close()
    clients = [threading.Thread(target=ask, args=[line]) for line in lines]
    for client in clients:
        client.start()
    assert eventually(lambda: stats(server)["waits"] == 23)
    filler = int(text(server, "/get/filler%20of%20orphan"))
    os.kill(filler, signal.SIGKILL)
    for client in clients:
        client.join(20)
    assert len(results) == 24 and set(results) <= {None, "made by run 2"}
    assert results.count("made by run 2") == 12
    s = stats(server)
    assert s["fills_failed"] == 1 and s["filling"] == 0


def test_ten_workers_killed_in_a_storm_of_writes(serve):
    server = serve({**SITE, "scripts/config.lua": "return { cache = { bytes = '1M' } }"})
    calm = threading.Event()

    def storm():
        while not calm.is_set():
            try:
                get(server, "/storm")
            except (AssertionError, OSError):  # its worker was killed
                pass
    clients = [threading.Thread(target=storm) for _ in range(6)]
    for client in clients:
        client.start()
    for i in range(10):
        time.sleep(0.1)
        victim = eventually(server.workers)[i % 2 - 1]
        os.kill(victim, signal.SIGKILL)
        server.wait_for(rf"worker {victim} was killed by signal 9")
        eventually(lambda: len(server.workers()) == 2)
    calm.set()
    for client in clients:
        client.join()
    assert get(server, "/storm").status == 200
    assert int(text(server, "/whole")) > 0
    s = stats(server)
    assert s["evictions"] > 0 and s["bytes"] <= s["capacity"] and s["filling"] == 0
    assert server.errors().count("was killed by signal 9") == 10
    assert "SIGABRT" not in server.errors()


def test_values_survive_every_worker(serve):
    server = serve(SITE)
    text(server, "/set")
    before = server.workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(server.workers()) == 2 and not set(server.workers()) & set(before))
    assert all(rest == {""} for rest in from_both(server, "/compare").values())


def test_the_size_is_set_in_config(serve):
    server = serve({**SITE, "scripts/config.lua": "return { cache = { bytes = '2M' } }"})
    assert 1_800_000 < stats(server)["capacity"] <= 2 << 20


# --- a worker that keeps a lock ---

def shard(pid):
    """Where a cache of one shard has that in the memory of a process: behind the head. It begins with
    the lock, and that with a word which names its holder."""
    with open(f"/proc/{pid}/maps") as f:
        return 64 + next(int(line.split("-")[0], 16) for line in f if "lunette-cache" in line)


def word_of_lock(pid):
    with open(f"/proc/{pid}/mem", "rb") as memory:
        memory.seek(shard(pid))
        return int.from_bytes(memory.read(4), "little") & 0x3fffffff


def write_to_shard(pid, data):
    with open(f"/proc/{pid}/mem", "r+b") as memory:
        memory.seek(shard(pid))
        memory.write(data)


def stop_with_a_lock(server):
    """A worker, stopped while it keeps the lock of the only shard; and another one."""
    with server.wire(30) as w:
        w.get("/copy")
        holder = eventually(lambda: word_of_lock(server.process.pid))
        for _ in range(1000):
            os.kill(holder, signal.SIGSTOP)
            eventually(lambda: "State:\tT" in Path(f"/proc/{holder}/status").read_text())
            if word_of_lock(server.process.pid) == holder:
                return holder, next(pid for pid in server.workers() if pid != holder)
            os.kill(holder, signal.SIGCONT)
    raise AssertionError("it never keeps the lock")


ONE_SHARD = {**SITE, "scripts/config.lua": "return { cache = { bytes = '1M' } }"}
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to read a worker's memory")


@needs_root
def test_a_worker_that_is_stopped_with_a_lock_holds_nobody_up(serve):
    server = serve(ONE_SHARD)
    text(server, "/incr/n")
    holder, other = stop_with_a_lock(server)
    begin = time.monotonic()
    os.kill(other, signal.SIGKILL)
    server.wait_for(rf"worker {other} was killed by signal 9 .*; started (\d+)")
    assert ask(server, "status")[0] == 0
    assert time.monotonic() - begin < 3  # it took 5 s
    assert text(server, "/pid") != str(holder)
    server.wait_for(rf"warn \[{server.process.pid}\] worker {holder} keeps a lock of the shared "
                    r"cache, which others wait for")
    os.kill(holder, signal.SIGCONT)
    assert text(server, "/get/n") == "1"  # the cache is as it was
    time.sleep(0.5)
    assert holder in server.workers()
    assert "damaged" not in server.errors() and "is ended" not in server.errors()


@needs_root
def test_a_worker_that_stays_stopped_with_a_lock_is_ended(serve):
    server = serve(ONE_SHARD)
    holder, other = stop_with_a_lock(server)
    os.kill(other, signal.SIGKILL)
    server.wait_for(rf"worker {holder} is ended: it has kept a lock of the shared cache for 10 s",
                    30)
    server.wait_for(rf"worker {holder} was killed by signal 9 .*; started (\d+)")
    eventually(lambda: len(server.workers()) == 2)
    assert text(server, "/incr/n") == "1"
    assert stats(server)["recovered"] == 1
    assert server.errors().count("keeps a lock of the shared cache") == 1
    assert "damaged" not in server.errors()


@needs_root
def test_damaged_memory_ends_who_has_it_and_is_replaced(serve):
    server = serve(ONE_SHARD)
    text(server, "/incr/n")
    before = server.workers()
    write_to_shard(before[0], b"\xff" * 4096)
    os.kill(before[1], signal.SIGKILL)
    server.wait_for("the memory of the shared cache was damaged by a worker: the cache begins "
                    "empty, and all workers begin anew")
    eventually(lambda: len(server.workers()) == 2 and not set(server.workers()) & set(before))
    assert text(server, "/incr/n") == "1"
    os.kill(server.workers()[0], signal.SIGKILL)
    eventually(lambda: server.errors().count("was killed by signal 9") == 3)
    assert text(server, "/incr/n") == "2"
    assert server.errors().count("damaged") == 1


@needs_root
def test_a_lock_that_names_a_stranger_ends_no_stranger(serve):
    """What is in the memory was written by workers: it is not believed further than it can be checked."""
    server = serve(ONE_SHARD)
    before = server.workers()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        write_to_shard(before[0], stranger.pid.to_bytes(4, "little"))
        os.kill(before[1], signal.SIGKILL)
        server.wait_for("a lock of the shared cache is kept, and not by a worker of this server")
        server.wait_for("the memory of the shared cache was damaged by a worker", 30)
        eventually(lambda: not set(server.workers()) & set(before) and len(server.workers()) == 2)
        assert text(server, "/incr/n") == "1"
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
