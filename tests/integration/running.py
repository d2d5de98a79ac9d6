"""One server for a whole file of tests: for sites that no test changes.

    @pytest.fixture(scope="module")
    def site():
        with running({"scripts/main.lua": MAIN}) as server:
            yield server

Tests find their own lines of its log by the path they asked for.
"""
import atexit
import contextlib
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

from conftest import LUNETTE, Server, free_port, write_site

# Not pytest's own folder: another run of it closes that to other users.
TOP = pathlib.Path(tempfile.mkdtemp(prefix="lunette-"))
TOP.chmod(0o755)
atexit.register(shutil.rmtree, TOP, ignore_errors=True)


def new_folder():
    """An empty folder that every user can read; gone with the tests."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=TOP))
    folder.chmod(0o755)
    return folder


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(child) for child in f.read().split()]


def make_folder(files):
    """A new site's folder."""
    folder = new_folder() / "site"
    folder.mkdir()
    write_site(folder, files)
    return folder


@contextlib.contextmanager
def running(files, *arguments, **options):
    """A server on a new site; two workers unless told otherwise."""
    if "--workers" not in arguments and "--dev" not in arguments:
        arguments = (*arguments, "--workers", "2")
    server = Server(make_folder(files), arguments, **options)
    try:
        yield server
    finally:
        server.stop()


def preloadable(name, *options):
    """Compiles name.c of this folder, for LD_PRELOAD. What has a program load it: a sanitizer's own library must
    come first."""
    library = new_folder() / f"{name}.so"
    source = pathlib.Path(__file__).with_name(f"{name}.c")
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", *options, "-o", library, source], check=True)
    library.chmod(0o755)
    needed = subprocess.run(["ldd", LUNETTE], capture_output=True, text=True, check=True).stdout
    first = re.search(r"/\S*libasan\.so\S*", needed)
    return {"LD_PRELOAD": f"{first[0]}:{library}" if first else str(library)}


def start_fails(folder, *arguments, code=1, user=None, seconds=20):
    """Starts a server that must end by itself with the code; what it said on stderr."""
    if "--listen" not in arguments:
        arguments = (*arguments, "--listen", f"127.0.0.1:{free_port()}")
    done = subprocess.run([LUNETTE, "serve", str(folder), *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=seconds, user=user, check=False)
    assert done.returncode == code, (done.returncode, done.stderr)
    assert "Sanitizer" not in done.stderr and "runtime error:" not in done.stderr, done.stderr
    return done.stderr


class Answer:
    """An answer as it came over the wire: .status, .headers (lower-case name → list), .body."""

    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers.setdefault(name.lower(), []).append(value.strip())

    def __getitem__(self, name):
        return ", ".join(self.headers[name.lower()])


def ask(server, target, *fields, method="GET", host="localhost", body=b"", version="1.1"):
    """One request by hand, its target sent as it is. Text is sent as UTF-8."""
    lines = [f"{method} {target} HTTP/{version}", f"Host: {host}", "Connection: close", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    data = server.raw("\r\n".join([*lines, "", ""]).encode() + body)
    assert data, f"closed without an answer to {target}; the log ends: {server.errors()[-2000:]}"
    return Answer(data)


def log_of(server, path):
    """The records of the error log that name the path, each with its continuation lines."""
    records, taken = [], False
    for line in server.errors().splitlines():
        if line.startswith("\t") and taken:
            records[-1] += "\n" + line
            continue
        taken = f" {path}:" in line or f" {path} " in line
        if taken:
            records.append(line)
    return "\n".join(records)


def unix_get(path, target="/"):
    """One request over a unix socket."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(str(path))
        s.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while more := s.recv(65536):
            data += more
    return Answer(data)
