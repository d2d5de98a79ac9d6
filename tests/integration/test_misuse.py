"""What a site's author reads when the scripts ask for something that cannot be."""
import pytest

from running import ask, log_of, running

MAIN = """\
    local app = require "lunette"

    app.use(function(req, handle)
      local res = handle(req)
      res.headers["X-Error"] = req.error and "seen" or "none"
      return res
    end)
    local function bad(name, fn) app.get("/" .. name, fn) end
    local locked = setmetatable({}, { __metatable = true })

    bad("tail/json", function() return app.json({}, "x") end)
    bad("tail/file", function() return app.file(5) end)
    bad("tail/int", function(req) return req:int(5) end)
    bad("straight", function() local res = app.json({}, "x") return res end)
    app.get("/tail/middleware", { use = function(_, handle) return handle(5) end },
      function() return 204 end)
    bad("locked", function() error(locked) end)
"""
FILES = {"scripts/main.lua": MAIN}


@pytest.fixture(scope="module")
def site():
    with running(FILES) as server:
        yield server


def line_of(text):
    """scripts/main.lua:N, where the text stands."""
    lines = [i for i, line in enumerate(MAIN.splitlines(), 1) if text in line]
    assert len(lines) == 1, text
    return f"scripts/main.lua:{lines[0]}"


@pytest.mark.parametrize("path", ["/tail/json", "/tail/file", "/tail/int"])
def test_misuse_in_a_tail_call_names_the_handler_not_the_middleware_around_it(site, path):
    assert ask(site, path)["X-Error"] == "seen"
    first = log_of(site, path).splitlines()[0]
    assert first.endswith(f"(the handler at {line_of(path[1:])})")
    assert line_of("= handle(req)") not in first


def test_misuse_has_the_line_of_the_call(site):
    assert ask(site, "/straight").status == 500
    place = line_of('bad("straight')
    assert f"500 GET /straight: {place}: app.json: " in log_of(site, "/straight")


def test_misuse_in_middleware_names_it(site):
    assert ask(site, "/tail/middleware").status == 500
    first = log_of(site, "/tail/middleware").splitlines()[0]
    assert first.endswith(f"(the middleware at {line_of('/tail/middleware')})")


def test_an_error_object_with_a_locked_metatable(site):
    assert ask(site, "/locked").status == 500
    assert "500 GET /locked: (error object is a table value)" in log_of(site, "/locked")
