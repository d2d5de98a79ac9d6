"""Mixed traffic for the soak: clients in processes of their own, so that they keep a server busy.

Every answer is looked at. What goes wrong is counted in two ways: `lost`, when the connection ended
before or within an answer (a worker was killed), and `wrong`, for an answer that should not be.
"""
import hashlib
import multiprocessing
import random
import socket
import time

from conftest import Wire, post

BIG = b"0123456789abcdef" * 2**15
SITE = {
    "scripts/main.lua": """
        local app = require "lunette"
        local task = require "lunette.task"
        local cache = require "lunette.cache"
        local part = require "part"
        app.get("/hello", function() return app.text "hello" end)
        app.get("/part", function() return app.text("part " .. part) end)
        app.get("/sleep/:ms{int}", function(req)
          task.sleep(req.params.ms / 1000)
          return app.text "slept"
        end)
        app.get("/json/:n{int}", function(req)
          local t = {}
          for i = 1, req.params.n do t[i] = { i, tostring(i) } end
          return t
        end)
        app.get("/cached/:n", { cache = 2 }, function(req) return app.text("n " .. req.params.n) end)
        app.get("/kept/:n", function(req)
          return app.text(cache.fetch("kept" .. req.params.n, 1, function()
            task.sleep(0.005)
            return "kept " .. req.params.n
          end))
        end)
        app.get("/stream", function()
          return app.stream(function(write)
            for i = 1, 32 do
              write(("0123456789abcdef"):rep(1024))
              if i % 8 == 0 then task.sleep(0.002) end
            end
          end)
        end)
        app.post("/echo", function(req) return app.text(req.body) end)
        app.post("/upload", function(req)
          req.files.f:save_as("saved-" .. req.form.name)
          return app.text(tostring(req.files.f.size))
        end)
        """,
    "scripts/part.lua": "return 0",
    "scripts/config.lua": 'return { metrics = "/metrics", limits = { body_memory = "16K" } }',
    "site/small.txt": "small",
    "site/big.bin": BIG,
}


def upload(name):
    body = (f'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\n{name}\r\n'
            f'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n').encode()
    return post("/upload", body + BIG[:100_000] + b"\r\n--b--\r\n",
                "Content-Type: multipart/form-data; boundary=b")


def choose(rng):
    """A path and what its answer's body must be (None: anything), or the name of a POST."""
    n = rng.randrange(20)
    return rng.choice([
        ("/hello", b"hello"), ("/small.txt", b"small"), ("/part", None), ("/big.bin", BIG),
        ("/stream", BIG), (f"/sleep/{n}", b"slept"), (f"/json/{n * 10}", None),
        (f"/cached/{n}", b"n %d" % n), (f"/kept/{n}", b"kept %d" % n), "echo", "upload"])


class Client:
    def __init__(self, port, number):
        self.port, self.rng, self.name = port, random.Random(number), f"c{number}"
        self.counts = {"fine": 0, "lost": 0, "wrong": 0}
        self.examples, self.asked = [], ""

    def exchange(self, w):
        kind = choose(self.rng)
        self.asked = kind if isinstance(kind, str) else kind[0]
        if kind == "echo":
            size = self.rng.choice([0, 10, 1000, 50_000])
            expected = BIG[:size]
            w.send(post("/echo", expected))
        elif kind == "upload":
            expected = b"100000"
            w.send(upload(self.name))
        else:
            path, expected = kind
            w.get(path)
        a = w.answer()
        if a.status == 200 and (expected is None or a.body == expected):
            self.counts["fine"] += 1
            return
        self.counts["wrong"] += 1
        self.examples.append(f"{kind}: {a!r} {hashlib.sha256(a.body).hexdigest()}")

    def converse(self, going):
        with Wire(socket.create_connection(("127.0.0.1", self.port), 20)) as w:
            for _ in range(self.rng.randrange(1, 60)):
                if not going.value:
                    return
                self.exchange(w)
            if self.rng.randrange(4) == 0:  # leaves in the middle
                w.get("/stream")

    def run(self, going):
        while going.value:
            try:
                self.converse(going)
            except (OSError, AssertionError) as e:  # the end before or within an answer
                self.counts["lost"] += 1
                self.examples.append(f"{self.asked} at {time.strftime('%T')}: {e!r}"[:200])
                time.sleep(0.01)


def client(port, number, going, results):
    c = Client(port, number)
    c.run(going)
    results.put((c.counts, c.examples[:5]))


class Traffic:
    """with Traffic(server, 8) as t: …; then t.counts, t.examples."""

    def __init__(self, server, clients):
        context = multiprocessing.get_context("fork")
        self.going = context.Value("b", 1)
        self.results = context.Queue()
        self.processes = [context.Process(target=client, args=(server.port, n, self.going,
                                                                self.results))
                          for n in range(clients)]
        self.clients = clients
        self.counts = {"fine": 0, "lost": 0, "wrong": 0}
        self.examples = []

    def __enter__(self):
        for p in self.processes:
            p.start()
        return self

    def __exit__(self, *_):
        self.going.value = 0
        for _ in self.processes:
            counts, examples = self.results.get(timeout=60)
            self.examples += examples
            for name, n in counts.items():
                self.counts[name] += n
        for p in self.processes:
            p.join()
