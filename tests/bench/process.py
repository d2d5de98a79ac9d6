"""A server as a process with children: started, stopped, and what it costs."""
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")
START_S = 30
STOP_S = 5


def stat_of(pid):
    """The fields of /proc/PID/stat from the state on; none of a process that is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def tree(pid):
    """The process and all its living descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (stat := stat_of(name)):
            children.setdefault(int(stat[1]), []).append(int(name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def cpu_us(pid):
    """User and system time of the tree, with that of children that have ended."""
    return sum(int(field) for one in tree(pid) for field in stat_of(one)[11:15]) * TICK_US


def machine_us():
    """Time that all processors were busy."""
    fields = [int(f) for f in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) * TICK_US


def memory(pid):
    """Bytes of the tree: its share of the pages that are mapped, and what it has for itself."""
    share = own = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            text = pathlib.Path(f"/proc/{one}/smaps_rollup").read_text()
            kib = {name: int(n) for name, n in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
            share += kib["Pss"] * 1024
            own += (kib["Private_Clean"] + kib["Private_Dirty"]) * 1024
    return {"pss": share, "own": own}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A program that serves on .port. Its output goes to FOLDER/output."""

    def __init__(self, command, folder, port, path, env=None):
        """path: what is asked until it answers 200."""
        self.command, self.folder, self.port, self.path = command, pathlib.Path(folder), port, path
        self.env = {**os.environ, **(env or {})}
        self.process = None

    def start(self, seconds=START_S):
        """Seconds from its start to the end of its first good answer."""
        begin = time.perf_counter()
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True, env=self.env)
        while time.perf_counter() < begin + seconds:
            if self.process.poll() is not None:
                raise RuntimeError(f"it ended with {self.process.returncode}: {self.said()}")
            if self.answers():
                return time.perf_counter() - begin
            time.sleep(0.0005)
        raise RuntimeError(f"it did not answer within {seconds} s: {self.said()}")

    def answers(self):
        request = f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        try:
            with socket.create_connection(("127.0.0.1", self.port), START_S) as s:
                s.sendall(request.encode())
                return b" 200" in s.recv(64)
        except OSError:
            return False

    def said(self):
        """The end of what it wrote, on one line."""
        with contextlib.suppress(OSError):
            return (self.folder / "output").read_text(errors="replace")[-400:].replace("\n", " | ")
        return ""

    @property
    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def workers(self):
        return tree(self.process.pid)[1:]

    def stop(self, seconds=STOP_S):
        """Ends it and its children, and nobody else."""
        if not self.process:
            return
        ours = tree(self.process.pid)
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        for pid in ours:
            with contextlib.suppress(OSError):
                if os.getsid(pid) == self.process.pid:
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()
        end = time.monotonic() + STOP_S
        while time.monotonic() < end and any((stat_of(p) or "Z")[0] != "Z" for p in ours):
            time.sleep(0.01)  # orphans hold the port a moment longer
        self.process = None
