"""Instructions in user space and system calls of a request: make bench-instructions.

A worker under callgrind is asked FEW times and, started anew, MANY times; what differs, over how many
requests more they were, is the cost of one without start and first times. System calls likewise, with
strace. Unlike times these hardly depend on the machine, so that two versions can be compared: the
result of the one before is named by BENCH_BEFORE.
"""
import collections
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import bench
import callgrind
import servers
import workloads

FEW, MANY = 1000, 3000
TOP = 12
# Functions that take memory: from the C library, and for Lua, which keeps small blocks for reuse.
MALLOC = ("malloc", "calloc", "realloc", "reallocarray", "posix_memalign", "aligned_alloc")
LUA_BLOCKS = ("luaM_malloc_", "luaM_realloc_")
# Those of Lua's collector; compilers add a suffix to some names.
COLLECTOR = {"luaC_step", "luaC_fullgc", "singlestep", "propagatemark", "propagateall", "reallymarkobject",
             "markmt", "markbeingfnz", "remarkupvals", "traversethread", "traverseephemeron", "atomic",
             "clearbykeys", "clearbyvalues", "convergeephemerons", "genlink", "sweepstep", "sweeplist",
             "sweepgen", "sweep2old", "sweeptolive", "youngcollection", "correctgraylist", "markold",
             "freeobj", "luaH_free", "luaF_freeproto", "luaE_freethread", "luaS_remove", "luaS_clearcache",
             "luaM_free_", "GCTM"}
START_S = STOP_S = 120  # valgrind is slow


class Single(servers.Lunette):
    """lunette with one worker, outside of the sandbox, where the worker may write callgrind's file."""

    def config(self, port):
        return super().config(port, more="sandbox = false").replace(
            f"workers = {servers.WORKERS}", "workers = 1")


class Client:
    """One connection, one request or one batch at a time."""

    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port), START_S)
        self.buffer = b""

    def take_answer(self):
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        if b" 200 " not in head[:16]:
            raise RuntimeError(f"an answer begins with {head[:40]}")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields[b"content-length"])
        while len(self.buffer) < length:
            self.fill()
        self.buffer = self.buffer[length:]

    def fill(self):
        more = self.s.recv(1 << 20)
        if not more:
            raise RuntimeError("the server ended the connection")
        self.buffer += more

    def ask(self, workload, requests):
        data = workloads.request_bytes(workload) * workload.depth
        for _ in range(requests // workload.depth):
            self.s.sendall(data)
            for _ in range(workload.depth):
                self.take_answer()


def prepared(top, workload, wrapper=()):
    """A server that starts beneath wrapper, in a folder of its own."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=top))
    folder.chmod(0o755)
    shutil.copytree(pathlib.Path(top) / "public", folder / "public")
    one = Single(folder, workload.logged)
    one.prepare()
    one.folder.chmod(0o777)  # the worker may be another user
    one.server.command = [*wrapper, *one.server.command]
    return one


def difference(few, many, requests):
    return {name: (many[name] - few[name]) / requests for name in many
            if many[name] != few[name]}


def counted(workload):
    """FEW and MANY, as whole batches."""
    return [n // workload.depth * workload.depth for n in (FEW, MANY)]


def counts(top, workload, requests):
    """Function → instructions of the worker in all its life; function → calls."""
    wrapper = ("valgrind", "--tool=callgrind", "-q", "--callgrind-out-file=callgrind.%p")
    one = prepared(top, workload, wrapper)
    try:
        one.server.start(START_S)
        [worker] = one.server.workers()
        Client(one.server.port).ask(workload, requests)
    finally:
        one.server.stop(STOP_S)
    return callgrind.read(one.folder / f"callgrind.{worker}")


def of_a_request(top, workload):
    """Function → instructions of a request in it; function → calls for a request."""
    few, many = counted(workload)
    return [difference(a, b, many - few)
            for a, b in zip(counts(top, workload, few), counts(top, workload, many))]


def memory(instructions, called):
    """What a request takes of memory, and what the collector has to do for it."""
    return {"malloc": sum(called.get(name, 0) for name in MALLOC),
            "lua_blocks": sum(called.get(name, 0) for name in LUA_BLOCKS),
            "collector": sum(n for name, n in instructions.items() if name.split(".")[0] in COLLECTOR)}


def calls(one, workload, requests):
    """System call → how many, while that many requests are answered."""
    table = one.folder / "calls"
    [worker] = one.server.workers()
    client = Client(one.server.port)
    client.ask(workload, FEW)
    with subprocess.Popen(["strace", "-c", "-f", "-qq", "-o", table, "-p", str(worker)]) as strace:
        while "TracerPid:\t0\n" in pathlib.Path(f"/proc/{worker}/status").read_text():
            if strace.poll() is not None:
                raise RuntimeError("strace may not look at the worker: as root, or with "
                                   "kernel.yama.ptrace_scope=0, it may")
            time.sleep(0.01)
        client.ask(workload, requests)
        time.sleep(0.1)
        strace.terminate()
        strace.wait()
    found = collections.Counter()
    for line in table.read_text().splitlines():
        words = line.split()
        if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
            found[words[-1]] = int(words[3])
    return found


def system_calls(top, workload):
    few, many = counted(workload)
    one = prepared(top, workload)
    try:
        one.server.start()
        counts = [calls(one, workload, n) for n in (few, many)]
        return difference(*counts, many - few)
    finally:
        one.server.stop()


# --- the report ---

def call_line(counts):
    shown = {n: c for n, c in sorted(counts.items(), key=lambda p: -p[1]) if c >= 0.005}
    return ", ".join(f"{c:.2f} {n}" for n, c in shown.items())


def before():
    path = os.environ.get("BENCH_BEFORE")
    return json.loads(pathlib.Path(path).read_text())["workloads"] if path else {}


def lines(result, earlier):
    yield f"lunette {result['machine']['commit']}, {result['machine']['date']}"
    yield f"for one request, from the difference of {MANY:,} and {FEW:,}"
    yield ""
    head = f"{'workload':10} {'instructions':>12}"
    yield head + (f" {'before':>12} {'ratio':>6}" if earlier else "") + "   system calls"
    for name, seen in result["workloads"].items():
        total = sum(seen["instructions"].values())
        line = f"{name:10} {total:12,.0f}"
        if earlier:
            old = sum(earlier.get(name, {}).get("instructions", {}).values())
            line += f" {old:12,.0f} {total / old:6.3f}" if old else f" {'-':>12} {'-':>6}"
        yield f"{line}   {call_line(seen['calls'])}"
    yield ""
    yield "memory: calls of malloc, blocks that Lua takes, instructions of its collector and their share"
    for name, seen in result["workloads"].items():
        malloc, blocks, collector = (max(0.0, seen["memory"][what])  # noise may be below
                                     for what in ("malloc", "lua_blocks", "collector"))
        share = collector / sum(seen["instructions"].values())
        yield f"{name:10} {malloc:10.2f} {blocks:10.2f} {collector:10,.0f} {share:8.1%}"
    for name, seen in result["workloads"].items():
        yield f"\n{name}: where they are (without functions called)"
        ordered = sorted(seen["instructions"].items(), key=lambda p: -p[1])
        for function, n in ordered[:TOP]:
            yield f"  {n:10,.1f}  {function}"


def main():
    names = bench.chosen("BENCH_WORKLOADS", [w.name for w in workloads.ALL if not w.beside])
    earlier = before()
    if why := Single.missing():
        sys.exit(f"bench-instructions: {why}")
    result = {"machine": bench.machine(), "workloads": {}}
    with bench.workplace() as top:
        workloads.write_files(top / "public")
        for name in names:
            workload = workloads.NAMED[name]
            instructions, called = of_a_request(top, workload)
            seen = {"instructions": instructions, "memory": memory(instructions, called), "calls": {}}
            result["workloads"][name] = seen
            bench.say(f"{name}: {sum(seen['instructions'].values()):,.0f}")
            try:
                seen["calls"] = system_calls(top, workload)
            except RuntimeError as e:
                bench.say(f"{name}: no system calls: {e}")
    text = "\n".join(lines(result, earlier)) + "\n"
    bench.OUT.mkdir(parents=True, exist_ok=True)
    (bench.OUT / "instructions.json").write_text(json.dumps(result, indent=1) + "\n")
    (bench.OUT / "instructions.txt").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
