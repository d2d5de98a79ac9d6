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
    """Memory that no other process has, and no file."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return KIB * int(re.search(r"^Private_Dirty:\s+(\d+)", text, re.M)[1])


@pytest.mark.skipif(SANITIZED, reason="the sanitizer's own memory is many times that")
def test_a_worker_at_rest_has_little_memory_of_its_own(serve):
    """About 540 KiB; before the library was compiled at build time, and loaded in parts, it was 850."""
    server = serve({"scripts/main.lua": MAIN}, "--workers", "2")
    assert get(server, "/hello") == "Hello, World!"
    eventually(lambda: max(map(own_bytes, server.workers())) < 700 * KIB)
