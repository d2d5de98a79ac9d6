"""One measurement: wrk against a server, and what the server's processes cost meanwhile."""
import contextlib
import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import time

import process
import workloads

HERE = pathlib.Path(__file__).resolve().parent
CONNECTIONS = 64
THREADS = 2
BESIDE_FIRST_S, BESIDE_MOST_S = 0.5, 60  # they begin so much before, and do not stay longer
SETTLE_S = 0.2  # for what is done after the last answer


def allow_descriptors():
    """As many as the machine lets us have; how many that are."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def children_us():
    use = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (use.ru_utime + use.ru_stime) * 1e6


def wrk_started(workload, port, seconds, connections=CONNECTIONS, threads=THREADS):
    """wrk at work, whose output wrk_said reads."""
    env = {**os.environ, "WRK_METHOD": workload.method, "WRK_BODY": workload.body.decode(),
           "WRK_FIELDS": "\n".join(workload.fields), "WRK_DEPTH": str(workload.depth)}
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
               "--latency", "-s", HERE / "wrk.lua", f"http://127.0.0.1:{port}{workload.path}"]
    return subprocess.Popen(command, env=env, text=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wrk_said(running):
    """What wrk.lua says of a run, once it ends."""
    out, err = running.communicate()
    found = re.search(r"^BENCH (\{.*\})$", out, re.M)
    if not found:
        raise RuntimeError(f"wrk says: {(err or out).strip()[-200:]}")
    said = json.loads(found[1])
    if not said["requests"]:
        raise RuntimeError("no request was answered")
    return said


def errors_in(*runs):
    """Kind of error → how many, of those that there were."""
    kinds = ("connect", "read", "write", "status", "timeout")
    return {k: n for k in kinds if (n := sum(said[k] for said in runs))}


class Meter:
    """Processor time since it was made, in µs: .cpu of a server, .driver of wrk, .others."""

    def __init__(self, pid):
        self.pid, self.begin = pid, time.monotonic()
        self.before = process.cpu_us(pid), process.machine_us(), children_us()

    def read(self):
        time.sleep(SETTLE_S)
        now = process.cpu_us(self.pid), process.machine_us(), children_us()
        self.cpu, busy, self.driver = (b - a for a, b in zip(self.before, now))
        taken = (time.monotonic() - self.begin) * 1e6
        self.others = max(0, busy - self.cpu - self.driver) / taken  # cores


def seen_of(said):
    return {"requests": said["requests"], "per_s": said["requests"] / said["us"] * 1e6,
            "p50": said["p50"], "p99": said["p99"]}


def round_of(server, workload, seconds, connections=CONNECTIONS):
    """CPU of the server for a request in µs (cpu), and what else was seen."""
    if workload.beside:
        return round_beside(server, workload, seconds)
    meter = Meter(server.process.pid)
    said = wrk_said(wrk_started(workload, server.port, seconds, connections))
    meter.read()
    return {"cpu": meter.cpu / said["requests"], **seen_of(said),
            "wrk_cpu": meter.driver / said["requests"], "others": meter.others,
            "errors": errors_in(said)}


def round_beside(server, workload, seconds):
    """How long answers take while another wrk, which begins before and goes on until the end, asks for
    something else. What a request costs is not known, since the same processes serve both."""
    meter = Meter(server.process.pid)
    other = wrk_started(workloads.NAMED[workload.beside], server.port, seconds + BESIDE_MOST_S,
                        workload.others, threads=1)
    try:
        time.sleep(BESIDE_FIRST_S)
        said = wrk_said(wrk_started(workload, server.port, seconds))
        if other.poll() is not None:
            raise RuntimeError("the requests beside ended before")
        other.send_signal(signal.SIGINT)  # wrk ends with what it has
        beside = wrk_said(other)
    finally:
        if other.poll() is None:
            other.kill()
            other.communicate()
    meter.read()
    return {**seen_of(said), "beside_per_s": seen_of(beside)["per_s"], "others": meter.others,
            "errors": errors_in(said, beside)}


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
