"""How the cost of a request grows: make bench-growth.

With open connections, routes, header fields and bytes of a body; processor time of all processes of
the server for a request, in interleaved rounds. It should stay as it is, or grow with the bytes alone.
"""
import json
import pathlib
import shutil
import socket
import sys
import time
from dataclasses import dataclass, field, replace
from typing import Callable

import bench
import growth_report
import measure
import process
import servers
import workloads

CONNECTIONS = (64, 1000, 10000)
ROUTES = (10, 1000, 10000)
FIELDS = (1, 10, 30, 100)
BODIES = {1 << 10: "k", 32 << 10: "l", 1 << 20: "m", 10 << 20: "n", 100 << 20: "o"}  # its file
PIECE = 1 << 20
HELLO = workloads.NAMED["hello"]


@dataclass
class Cell:
    """One point of one line: run() gives the processor time of a request in µs."""

    panel: str
    line: str
    x: int
    size: int  # bytes of a request and its answer, as far as they differ along the line
    run: Callable
    seen: list = field(default_factory=list)


class Grown(servers.Lunette):
    """lunette with a number of routes, the last of which has a parameter, and large bodies."""

    bodies = """
app.post("/whole", { max_body = "200M" }, function(req) return tostring(#req.body) end)
app.post("/chunks", { max_body = "200M", stream_body = true }, function(req)
    local n = 0
    for chunk in req:chunks() do n = n + #chunk end
    return tostring(n)
end)
"""

    def __init__(self, top, routes=0):
        super().__init__(top)
        self.name = f"lunette-{routes}"
        self.folder = pathlib.Path(top) / self.name
        declared = "".join(
            f'app.get("/part{i}/{":id" if i % 2 == 0 else "page"}", function() return "here" end)\n'
            for i in range(1, routes + 1))
        self.main = servers.Lunette.main + self.bodies + declared

    def config(self, port):
        return super().config(port).replace(
            "limits = {", 'limits = { lua_memory = "2G", request_memory = "1G",')


# --- one measurement each ---

def with_wrk(one, workload, seconds, connections=measure.CONNECTIONS):
    seen = measure.round_of(one.server, workload, seconds, connections)
    if "status" in seen["errors"]:
        raise RuntimeError("an answer was none of 2xx")
    return seen["cpu"]


def with_idle(one, workload, seconds, connections):
    """All but the usual number are open and idle."""
    held = []
    try:
        for _ in range(connections - measure.CONNECTIONS):
            held.append(measure.ask_and_keep(one.server.port, HELLO))
        return with_wrk(one, workload, seconds)
    finally:
        for s in held:
            s.close()


def take_answer(s):
    """Reads one answer with a Content-Length; keeps nothing."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += s.recv(PIECE)
    head, _, rest = data.partition(b"\r\n\r\n")
    if b" 200 " not in head[:16]:
        raise RuntimeError(f"an answer begins with {head[:40]}")
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                  if line.startswith(b"content-length:"))
    left, room = length - len(rest), bytearray(PIECE)
    while left > 0:
        n = s.recv_into(room, min(left, PIECE))
        if n == 0:
            raise RuntimeError("the server ended the connection")
        left -= n


def with_body(one, head, body, seconds):
    """Whole requests on one connection, at least three and as many as begin within the seconds."""
    with socket.create_connection(("127.0.0.1", one.server.port), 60) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def turn():
            s.sendall(head + body[:PIECE])
            for at in range(PIECE, len(body), PIECE):
                s.sendall(body[at:at + PIECE])
            take_answer(s)

        turn()
        before, end, turns = process.cpu_us(one.server.process.pid), time.monotonic() + seconds, 0
        while turns < 3 or time.monotonic() < end:
            turn()
            turns += 1
        time.sleep(measure.SETTLE_S)
        cpu = process.cpu_us(one.server.process.pid) - before
        if not cpu:
            raise RuntimeError("too short for the clock")
        return cpu / turns


# --- the points ---

def connection_cells(floor, ours, seconds):
    for n in CONNECTIONS:
        for name, one in (("floor", floor), ("lunette", ours)):
            yield Cell("open", name, n, 0, lambda one=one, n=n: with_idle(one, HELLO, seconds, n))
            longer = seconds * max(1, n // 2000)  # opening them takes its time
            yield Cell("busy", name, n, 0,
                       lambda one=one, n=n, s=longer: with_wrk(one, HELLO, s, n))


def route_cells(sites, seconds):
    for n, one in sites.items():
        asked = replace(HELLO, path=f"/part{n}/7")
        yield Cell("routes", "lunette", n, 0,
                   lambda one=one, asked=asked: with_wrk(one, asked, seconds))


def field_cells(floor, ours, seconds):
    """Fields of 32 bytes each; Host is one of them."""
    for n in FIELDS:
        fields = tuple(f"X-Field-{i:03d}: {'v' * 17}" for i in range(1, n))
        asked = replace(HELLO, fields=fields)
        size = len(workloads.request_bytes(asked))
        for name, one in (("floor", floor), ("lunette", ours)):
            yield Cell("headers", name, n, size,
                       lambda one=one, asked=asked: with_wrk(one, asked, seconds))


def write_floor_bodies(folder):
    for n, letter in BODIES.items():
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n".encode()
        (folder / f"{letter}.http").write_bytes(head + bytes(n))


def body_cells(floor, ours, seconds):
    content = bytes(max(BODIES))
    for n, letter in BODIES.items():
        for line, path in (("req.body", "/whole"), ("req:chunks()", "/chunks")):
            head = (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {n}\r\n"
                    "Content-Type: application/octet-stream\r\n\r\n").encode()
            yield Cell("bodies", line, n, n,
                       lambda head=head, body=memoryview(content)[:n]:
                       with_body(ours, head, body, seconds))
        for line, one in (("file", ours), ("file of floor", floor)):
            head = f"GET /{letter}.bin HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            yield Cell("bodies", line, n, n,
                       lambda one=one, head=head: with_body(one, head, b"", seconds))


def prepared(top):
    """The servers: floor, one site for all, and one for each number of routes; not started."""
    public = top / "public"
    for n, letter in BODIES.items():
        (public / f"{letter}.bin").write_bytes(bytes(n))
    floor, ours = servers.Floor(top), Grown(top)
    sites = {n: Grown(top, n) for n in ROUTES}
    for one in (floor, ours):
        one.prepare()
    write_floor_bodies(floor.folder / "answers")
    shutil.rmtree(public)
    public.mkdir()
    for one in sites.values():
        one.prepare()
    return floor, ours, sites


def run(cells, rounds):
    for turn in range(rounds):
        for cell in cells:
            try:
                cell.seen.append(cell.run())
                said = f"{cell.seen[-1]:12,.2f} us"
            except (RuntimeError, OSError) as e:
                said = f"failed: {e}"
            bench.say(f"round {turn + 1} {cell.panel:8} {cell.line:12} {cell.x:11,} {said}")


def main():
    if why := servers.Lunette.missing():
        sys.exit(f"bench-growth: {why}")
    allowed, needed = measure.allow_descriptors(), max(CONNECTIONS) + 100
    if allowed < needed:
        sys.exit(f"bench-growth: a process may open {allowed} files here, and {needed} are needed "
                 "(ulimit -Hn)")
    rounds, seconds = bench.number("BENCH_ROUNDS", 9), bench.number("BENCH_SECONDS", 2)
    panels = bench.chosen("BENCH_PANELS", list(growth_report.PANELS))
    with bench.workplace() as top:
        floor, ours, sites = prepared(top)
        try:
            for one in (floor, ours, *sites.values()):
                one.server.start()
            cells = [*connection_cells(floor, ours, seconds), *route_cells(sites, seconds),
                     *field_cells(floor, ours, seconds), *body_cells(floor, ours, seconds)]
            cells = [c for c in cells if c.panel in panels]
            run(cells, rounds)
        finally:
            for one in (floor, ours, *sites.values()):
                one.server.stop()
    result = {"machine": bench.machine(), "rounds": rounds, "seconds": seconds,
              "cells": [{"panel": c.panel, "line": c.line, "x": c.x, "size": c.size, "seen": c.seen}
                        for c in cells]}
    bench.OUT.mkdir(parents=True, exist_ok=True)
    (bench.OUT / "growth.json").write_text(json.dumps(result, indent=1) + "\n")
    print(growth_report.write(result, bench.OUT))


if __name__ == "__main__":
    main()
