"""One measurement: wrk against a server, and what the server's processes cost meanwhile."""
import contextlib
import json
import os
import pathlib
import re
import resource
import socket
import subprocess
import time

import process
import workloads

HERE = pathlib.Path(__file__).resolve().parent
CONNECTIONS = 64
THREADS = 2
SETTLE_S = 0.2  # for what is done after the last answer


def allow_descriptors():
    """As many as the machine lets us have; how many that are."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def children_us():
    use = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (use.ru_utime + use.ru_stime) * 1e6


def wrk(workload, port, seconds, connections=CONNECTIONS):
    """What wrk.lua says of a run."""
    env = {**os.environ, "WRK_METHOD": workload.method, "WRK_BODY": workload.body.decode(),
           "WRK_FIELDS": "\n".join(workload.fields), "WRK_DEPTH": str(workload.depth)}
    command = ["wrk", f"-t{THREADS}", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
               "--latency", "-s", HERE / "wrk.lua", f"http://127.0.0.1:{port}{workload.path}"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    found = re.search(r"^BENCH (\{.*\})$", done.stdout, re.M)
    if not found:
        raise RuntimeError(f"wrk says: {(done.stderr or done.stdout).strip()[-200:]}")
    return json.loads(found[1])


def round_of(server, workload, seconds, connections=CONNECTIONS):
    """CPU of the server for a request in µs (cpu), and what else was seen."""
    pid = server.process.pid
    before, busy, driver = process.cpu_us(pid), process.machine_us(), children_us()
    said = wrk(workload, server.port, seconds, connections)
    time.sleep(SETTLE_S)
    cpu, driver = process.cpu_us(pid) - before, children_us() - driver
    n, taken = said["requests"], said["us"] + SETTLE_S * 1e6
    if not n:
        raise RuntimeError("no request was answered")
    return {"cpu": cpu / n, "requests": n, "per_s": n / said["us"] * 1e6, "wrk_cpu": driver / n,
            "p50": said["p50"], "p99": said["p99"],
            "others": max(0, process.machine_us() - busy - cpu - driver) / taken,  # cores
            "errors": {k: said[k] for k in ("connect", "read", "write", "status", "timeout")
                       if said[k]}}


def ask_and_keep(port, workload):
    """A connection that had one answer and stays."""
    s = socket.create_connection(("127.0.0.1", port), 10)
    s.sendall(workloads.request_bytes(workload))
    got = b""
    while workloads.HELLO not in got:
        more = s.recv(4096)
        if not more:
            s.close()
            raise OSError("the server ended the connection")
        got += more
    return s


def is_open(s):
    s.setblocking(False)
    try:
        return s.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def memory(server, connections):
    """Bytes at rest, and for each of that many idle connections, in user space."""
    time.sleep(1)
    rest, held = process.memory(server.process.pid), []
    try:
        with contextlib.suppress(OSError):
            while len(held) < connections:
                held.append(ask_and_keep(server.port, workloads.NAMED["hello"]))
        time.sleep(1)
        full = process.memory(server.process.pid)
        alive = sum(map(is_open, held))
    finally:
        for s in held:
            s.close()
    return {"rest": rest["pss"], "own": rest["own"], "connections": alive,
            "each": (full["pss"] - rest["pss"]) / alive if alive else None}
