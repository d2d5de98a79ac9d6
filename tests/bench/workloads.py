"""What is measured: requests, and the answers they must have.

A workload is one request that is sent over and over. Every server is asked it before it is timed, and
the answer compared with `wrong(answer)`: bytes, not shapes.
"""
import gzip
import html
import http.client
import json
import pathlib
import random
import socket
from dataclasses import dataclass

HELLO = b"Hello, World!"
FORM = b"first=Ada&last=Lovelace&note=hello+world%21"
FORM_ANSWER = b"hello world!"
JSON_ANSWER = {"name": "x", "n": 5, "double": 10, "header": "hdr-42", "session": "abc123"}
CHECK_S = 5


@dataclass(frozen=True)
class Workload:
    name: str
    title: str
    path: str
    fields: tuple = ()    # "Name: value"
    body: bytes = b""
    depth: int = 1        # requests in one write
    kind: str = ""        # how the answer is checked: see wrong
    logged: bool = False  # by servers whose access log goes to a file
    beside: str = ""      # the workload that others ask for meanwhile,
    others: int = 16      # on so many connections
    peers: str = ""       # the workload of peers to compare with, where they do not have this one

    @property
    def method(self):
        return "POST" if self.body else "GET"

    @property
    def file(self):
        return self.path.lstrip("/")


GZIP = ("Accept-Encoding: gzip",)
ALL = [
    Workload("hello", "13 bytes from a handler", "/hello", kind="hello"),
    Workload("hello_log", "hello with an access log", "/hello", kind="hello", logged=True),
    Workload("pipe", "hello, 16 requests in one write", "/hello", depth=16, kind="hello"),
    Workload("json", "query, header and cookie to JSON of 5 fields", "/json?name=x&n=5",
             ("X-Bench: hdr-42", "Cookie: theme=dark; sid=abc123; lang=en"), kind="json"),
    Workload("form", "urlencoded form of 3 fields", "/form",
             ("Content-Type: application/x-www-form-urlencoded",), FORM, kind="form"),
    Workload("rows", "table of 100 rows, escaped in plain Lua", "/rows", kind="rows"),
    Workload("rows_lib", "rows, escaped by the server's library", "/rows_lib", kind="rows",
             peers="rows"),
    Workload("s4k", "file of 4 KiB", "/s4k.html"),
    Workload("s4k_log", "s4k with an access log", "/s4k.html", logged=True),
    Workload("big", "file of 1 MiB", "/big.bin"),
    Workload("gzip", "text of 64 KiB that is compressed for who asks", "/g.txt", GZIP,
             kind="gzip"),
    Workload("gzpre", "text of 64 KiB whose compressed form is there", "/pre/g.txt", GZIP,
             kind="gzip"),
    Workload("fair", "hello while others ask for rows", "/hello", kind="hello", beside="rows"),
    Workload("fair_lib", "hello while others ask for rows_lib", "/hello", kind="hello",
             beside="rows_lib", peers="fair"),
    Workload("fair_pipe", "hello while one connection asks for pipe", "/hello", kind="hello",
             beside="pipe", others=1),
]
NAMED = {w.name: w for w in ALL}


# --- files ---

def escape(text):
    return html.escape(text).replace("&#x27;", "&#39;")


def rows():
    lines = [f"<tr><td>{i}</td><td>{escape(f'Item <{i}>')}</td><td>"
             + escape(f"A \"quoted\" & 'escaped' text no {i}") + "</td></tr>\n"
             for i in range(1, 101)]
    return ("<table>\n" + "".join(lines) + "</table>\n").encode()


def text_64k():
    chance = random.Random(7)
    words = ["".join(chance.choices("etaoinshrdlucmfw", k=chance.randint(2, 9))) for _ in range(900)]
    lines = [" ".join(chance.choices(words, k=12)) + ".\n" for _ in range(2000)]
    return "".join(lines)[:65536].encode()


def page_4k():
    lines = "".join(f"<p>line {i} of a small static page</p>\n" for i in range(200))
    return ("<!doctype html>\n<title>four</title>\n" + lines)[:4096].encode()


def files():
    """The public files: name → bytes; a compressed one behind what it is made of, so never older."""
    text = text_64k()
    return {"s4k.html": page_4k(), "big.bin": random.Random(3).randbytes(1 << 20), "g.txt": text,
            "pre/g.txt": text, "pre/g.txt.gz": gzip.compress(text, 6, mtime=0)}


FILES = files()


def write_files(folder):
    for name, data in FILES.items():
        path = pathlib.Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def floor_answers():
    """What floor.c answers: first letter of a path → content type, body, further fields."""
    packed = ("text/plain", FILES["pre/g.txt.gz"], "Content-Encoding: gzip\r\n")
    text_json = json.dumps(JSON_ANSWER, separators=(",", ":")).encode()
    return {"h": ("text/plain", HELLO, ""), "j": ("application/json", text_json, ""),
            "f": ("text/plain", FORM_ANSWER, ""), "r": ("text/html", rows(), ""),
            "s": ("text/html", FILES["s4k.html"], ""),
            "b": ("application/octet-stream", FILES["big.bin"], ""),
            "g": packed, "p": packed}


def write_floor_answers(folder):
    for letter, (kind, body, fields) in floor_answers().items():
        head = (f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{fields}"
                f"Content-Length: {len(body)}\r\n\r\n")
        (pathlib.Path(folder) / f"{letter}.http").write_bytes(head.encode() + body)


# --- checks ---

def wrong_gzip(answer, body):
    if answer.getheader("Content-Encoding") != "gzip":
        return "is not compressed"
    return None if gzip.decompress(body) == FILES["g.txt"] else "is another text"


def wrong_json(body):
    try:
        return None if json.loads(body) == JSON_ANSWER else f"is {body[:80]!r}"
    except ValueError as e:
        return f"is no JSON: {e}"


def wrong(workload, answer, body):
    """What is wrong with an answer, or None."""
    if answer.status != 200:
        return f"has the status {answer.status}"
    if workload.kind == "gzip":
        return wrong_gzip(answer, body)
    if workload.kind == "json":
        return wrong_json(body)
    right = {"hello": HELLO, "form": FORM_ANSWER, "rows": rows()}.get(workload.kind)
    if body == (right if right is not None else FILES[workload.file]):
        return None
    return f"has another body ({len(body)} bytes): {body[:60]!r}"


def fields_of(workload):
    return dict(f.split(": ", 1) for f in workload.fields)


def request_bytes(workload, host="localhost"):
    lines = [f"{workload.method} {workload.path} HTTP/1.1", f"Host: {host}", *workload.fields]
    if workload.body:
        lines.append(f"Content-Length: {len(workload.body)}")
    return "\r\n".join([*lines, "", ""]).encode() + workload.body


def check_twice(workload, port):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=CHECK_S)
    try:
        for turn in range(2):
            if turn and client.sock is None:
                return "ends the connection"
            client.request(workload.method, workload.path, workload.body or None,
                           fields_of(workload))
            answer = client.getresponse()
            if why := wrong(workload, answer, answer.read()):
                return why
    finally:
        client.close()
    return None


def check_batch(workload, port):
    got = b""
    with socket.create_connection(("127.0.0.1", port), CHECK_S) as s:
        s.sendall(request_bytes(workload) * workload.depth)
        while got.count(HELLO) < workload.depth and (more := s.recv(65536)):
            got += more
    n = got.count(HELLO)
    return None if n == workload.depth else f"has {n} of {workload.depth} answers"


def check(workload, port):
    """What is wrong with the answers to two requests on one connection and, when they are sent
    together, to a batch; None when they are right."""
    try:
        why = check_twice(workload, port)
        return why or (check_batch(workload, port) if workload.depth > 1 else None)
    except (OSError, http.client.HTTPException, EOFError) as e:
        return f"fails: {type(e).__name__} {e}"
