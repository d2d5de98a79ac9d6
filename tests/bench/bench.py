"""Servers side by side on this machine: make bench. README.md says how, and what the environment sets.

In each round each workload goes to each server in turn, so that whatever else the machine does meets
all of them alike. What counts is the processor time of a request as a ratio to the floor's of the same
round.
"""
import contextlib
import datetime
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import measure
import report
import servers
import workloads

IDLE_CONNECTIONS = 5000
STARTS = 9
MEMORY_LOOKS = 3
OUT = pathlib.Path(os.environ.get("BENCH_OUT") or servers.ROOT / "build" / "bench")


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def chosen(variable, names):
    """Of the names those that the environment variable lists; all without it."""
    wanted = [w for w in os.environ.get(variable, "").replace(",", " ").split() if w]
    for name in wanted:
        if name not in names:
            sys.exit(f"bench: {variable} names {name}; there are: {', '.join(names)}")
    return [n for n in names if not wanted or n in wanted]


def number(variable, default):
    text = os.environ.get(variable) or str(default)
    if not text.isdigit() or int(text) < 1:
        sys.exit(f"bench: {variable} is {text!r}; it takes a number from 1 on")
    return int(text)


def machine():
    cpu = next((line.split(":", 1)[1].strip()
                for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), os.uname().machine)
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=servers.ROOT,
                            capture_output=True, text=True, check=False).stdout.strip()
    return {"cpu": cpu, "cores": os.cpu_count(), "linux": os.uname().release.split("-")[0], "commit": commit,
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")}


class Bench:
    """All servers of a run, and what was seen of them: .result, which is written as it grows."""

    def __init__(self, top):
        self.top = pathlib.Path(top)
        self.rounds, self.seconds = number("BENCH_ROUNDS", 9), number("BENCH_SECONDS", 2)
        names = chosen("BENCH_WORKLOADS", list(workloads.NAMED))
        self.workloads = [workloads.NAMED[n] for n in names]
        self.result = {"machine": machine(), "rounds": self.rounds, "seconds": self.seconds,
                       "workers": servers.WORKERS, "connections": measure.CONNECTIONS,
                       "servers": {}, "skipped": {}, "wrong": {}, "memory": {}, "starts": {},
                       "runs": {w.name: {} for w in self.workloads}}
        self.contestants = {}  # (name, logged) → prepared contestant

    def prepare(self):
        """Makes settings for all, with and without access log, as workloads need them."""
        workloads.write_files(self.top / "public")
        kinds = {c.name: c for c in servers.ALL}
        for name in chosen("BENCH_ONLY", list(kinds)):
            kind = kinds[name]
            if why := kind.missing():
                self.result["skipped"][name] = why
                say(f"{name} is left out: {why}")
                continue
            self.result["servers"][name] = {"version": kind.version(), "language": kind.language}
            for logged in sorted({w.logged for w in self.workloads} | {False}):
                if not (logged and name == "floor"):
                    self.contestants[name, logged] = one = kind(self.top, logged)
                    one.prepare()

    def contestant(self, name, workload):
        """The one that takes the workload; the floor never writes a log."""
        return self.contestants[name, workload.logged and name != "floor"]

    def start(self):
        """Starts all of them; before that, times starts and looks at memory."""
        for (name, logged), one in self.contestants.items():
            if not logged:
                self.rest(name, one.server)
            one.server.start()

    def rest(self, name, server):
        """What a server costs that has nothing to do."""
        starts = self.result["starts"][name] = []
        looks = self.result["memory"][name] = []
        for _ in range(STARTS):
            starts.append(server.start() * 1e3)
            if len(looks) < MEMORY_LOOKS:
                looks.append(measure.memory(server, IDLE_CONNECTIONS))
            server.stop()
        say(f"{name}: {report.rest_line(self.result, name)}")

    def check(self):
        """Asks every server everything once; what is answered wrong is not timed."""
        for name in self.result["servers"]:
            for workload in self.workloads:
                one = self.contestant(name, workload)
                if not one.has(workload):
                    continue
                if why := workloads.check(workload, one.server.port):
                    self.result["wrong"][f"{workload.name} of {name}"] = why
                    say(f"{name}'s answer to {workload.name} {why}: it is not timed")
                else:
                    self.result["runs"][workload.name][name] = []

    def run(self):
        for turn in range(self.rounds):
            for workload in self.workloads:
                runs = self.result["runs"][workload.name]
                names = list(runs)
                for name in names[turn % len(names):] + names[:turn % len(names)] if names else []:
                    one = self.contestant(name, workload)
                    runs[name].append(self.once(one, workload, turn))
            self.save()

    def once(self, one, workload, turn):
        """One run, or {"failed": why}; a server that is gone is started again."""
        try:
            if not one.server.is_alive:
                one.server.stop()
                one.server.start()
            seen = measure.round_of(one.server, workload, self.seconds)
        except (RuntimeError, OSError) as e:
            seen = {"failed": str(e)}
        if one.logged and one.log.exists():
            os.truncate(one.log, 0)
        say(f"round {turn + 1} {workload.name:9} {one.name:9} {report.run_line(seen)}")
        return seen

    def save(self):
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / "bench.json").write_text(json.dumps(self.result, indent=1) + "\n")

    def stop(self):
        for one in self.contestants.values():
            one.server.stop()


@contextlib.contextmanager
def workplace():
    """A folder that every user may look into, gone at the end, which may come by a signal."""
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: sys.exit("bench: stopped"))
    top = pathlib.Path(tempfile.mkdtemp(prefix="lunette-bench-"))
    top.chmod(0o755)
    (top / "public").mkdir()
    try:
        yield top
    finally:
        shutil.rmtree(top, ignore_errors=True)


def main():
    measure.allow_descriptors()
    with workplace() as top:
        bench = Bench(top)
        try:
            bench.prepare()
            bench.start()
            bench.check()
            bench.run()
        finally:
            bench.stop()
    bench.save()
    print(report.write(bench.result, OUT))


if __name__ == "__main__":
    main()
