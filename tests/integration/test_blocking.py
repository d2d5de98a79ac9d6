"""--dev tells which calls of io and os keep the worker from everything else."""
import os
import threading
import time

import requests

from conftest import eventually

SITE = {"scripts/main.lua": """
    local app = require "lunette"
    app.get("/", function() print "it opens"
      local f <close> = io.open(app.data .. "/pipe")
      return app.text(f:read "a")
    end)
    app.get("/refused", function() return app.text((select(2, io.open "/etc/shadow"))) end)
    app.get("/print", function()
      print("a", 1)
      return 204
    end)
    """}


def read_the_pipe(server):
    """Asks for what comes only after a while."""
    pipe = server.folder / "data/pipe"
    os.mkfifo(pipe)
    pipe.chmod(0o666)
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(requests.get(server.url("/"), timeout=20).text))
    thread.start()
    server.wait_for("it opens")
    time.sleep(0.3)  # as long as it waits
    pipe.write_text("from the pipe")
    thread.join()
    assert answers == ["from the pipe"]


def test_what_blocks_is_told_with_its_line(serve):
    server = serve(SITE, "--dev")
    read_the_pipe(server)
    server.wait_for(r"warn \[\d+\] \[\w+\] scripts/main\.lua:4: io\.open blocked the worker for \d+ ms")


def test_without_dev_nothing_is(serve):
    server = serve(SITE)
    read_the_pipe(server)
    requests.get(server.url("/print"), timeout=20)
    eventually(lambda: "scripts/main.lua:9: a\t1" in server.errors())
    assert "blocked the worker" not in server.errors()


def test_what_the_sandbox_refuses_is_told_as_well(serve):
    server = serve(SITE, "--dev")
    assert requests.get(server.url("/refused"), timeout=20).text == "/etc/shadow: Permission denied"
    server.wait_for(r'scripts/main\.lua:7: the sandbox refused io\.open\("/etc/shadow"\)')
    assert requests.get(server.url("/print"), timeout=20).status_code == 204
    server.wait_for(r"info \[\d+\] \[\w+\] scripts/main\.lua:9: a.1\n")
