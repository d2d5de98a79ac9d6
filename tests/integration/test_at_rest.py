"""What a server costs that does nothing: what it has loaded, and the memory of its processes."""
import pathlib
import re

import pytest
import requests

from conftest import eventually
from test_ends import SANITIZED

MAIN = """
    local app = require "lunette"
    app.get("/hello", function() return "Hello, World!" end)
    app.get("/loaded", function()
      local names = {}
      for name in pairs(package.loaded) do
        if name:find("^lunette%f[%z.]") then names[#names + 1] = name end
      end
      return table.concat(names, " ")
    end)
    app.get("/events", function() return app.events(function(send) send("one") end) end)
    """
PLAIN = {"lunette"} | {"lunette." + name for name in """app chain core declare dispatch errors
    host_views later outcome pages pattern request response route_options router scope suggest units
    unrouted url_for views""".split()}
KIB = 1024


def get(server, path):
    return requests.get(server.url(path), timeout=10).text


def loaded(server):
    return set(get(server, "/loaded").split())


def test_a_site_loads_what_it_uses_when_it_uses_it(serve):
    server = serve({"scripts/main.lua": MAIN}, "--workers", "1")
    assert loaded(server) == PLAIN
    assert "data: one\n" in get(server, "/events")
    assert loaded(server) == PLAIN | {"lunette.events"}


@pytest.mark.parametrize("option, module", [
    ('{ cache = "5s" }', "response_cache"), ("{ etag = true }", "etags"),
    ('{ files = { photo = { type = "image/*" } } }', "uploads"),
    ('{ query = { n = "integer" } }', "valid_option")])
def test_an_option_of_a_route_loads_what_does_it(serve, option, module):
    more = f'app.get("/more", {option}, function() return "more" end)'
    server = serve({"scripts/main.lua": MAIN + more}, "--workers", "1")
    assert f"lunette.{module}" in loaded(server)


def test_background_work_loads_what_does_it(serve):
    server = serve({"scripts/main.lua": MAIN + "app.at_start(function() end)"}, "--workers", "1")
    assert loaded(server) == PLAIN | {"lunette.timer", "lunette.timers"}


def own_bytes(pid):
    """Memory that no other process has, and no file. A page of the program, whose copy for these tests may
    not be on the disk yet, is dirty, too, and private where no other process has touched it."""
    found = re.findall(r"^(Private_Dirty|Anonymous):\s+(\d+)",
                       pathlib.Path(f"/proc/{pid}/smaps").read_text(), re.M)
    dirty, anonymous = ([int(n) for name, n in found if name == one]
                        for one in ("Private_Dirty", "Anonymous"))
    return KIB * sum(map(min, dirty, anonymous))


@pytest.mark.skipif(SANITIZED, reason="the sanitizer's own memory is many times that")
def test_a_worker_at_rest_has_little_memory_of_its_own(serve):
    """About 540 KiB; before the library was compiled at build time, and loaded in parts, it was 850."""
    server = serve({"scripts/main.lua": MAIN}, "--workers", "2")
    assert get(server, "/hello") == "Hello, World!"
    eventually(lambda: max(map(own_bytes, server.workers())) < 640 * KIB)


def anonymous_bytes(pids):
    """Memory that no file has, each page counted once."""
    found = [re.search(r"^Pss_Anon:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
             for pid in pids]
    return KIB * sum(int(one[1]) for one in found)


@pytest.mark.skipif(SANITIZED, reason="the sanitizer's own memory is many times that")
def test_a_server_at_rest_has_little_memory_that_is_no_file_s(serve):
    """About 1550 KiB; 400 more when libcrypto was linked, for its tables, and 100 before the system's
    media types were kept without what is not needed of their file, and a worker without --dev's."""
    server = serve({"scripts/main.lua": MAIN}, "--workers", "2")
    assert get(server, "/hello") == "Hello, World!"
    eventually(lambda: anonymous_bytes([server.process.pid, *server.workers()]) < 1664 * KIB)


@pytest.mark.skipif(SANITIZED, reason="the sanitizer registers every global")
def test_no_buffer_lies_in_the_file_of_the_program(serve):
    """What is initialised is mapped whole, with the pages around it: the access log's 64 KiB were."""
    server = serve({"scripts/main.lua": MAIN}, "--workers", "1")
    maps = pathlib.Path(f"/proc/{server.process.pid}/maps").read_text()
    program = re.escape(str(pathlib.Path(f"/proc/{server.process.pid}/exe").readlink()))
    written = re.findall(rf"^(\w+)-(\w+) rw-p .* {program}$", maps, re.M)
    assert written and sum(int(b, 16) - int(a, 16) for a, b in written) < 32 * KIB
