"""A site whose own tests are run by lunette test: what the tests of that share."""
import contextlib
import os
import subprocess
import textwrap

from conftest import LUNETTE
from running import make_folder, new_folder

HEAD = """
    local test = require "lunette.test"
    local client, expect = test.client, test.expect
    local app = require "lunette"
"""
MAIN = r"""
    local app = require "lunette"
    local cache = require "lunette.cache"
    local session = require "lunette.session"
    app.use(session.middleware{}, { files = false })
    loads = 0
    app.get("/hello/:name", function(req) return app.text("Hello, " .. req.params.name) end)
    app.get("/json", function() return { list = { 1, 2 }, deep = { a = { b = "c" } } } end)
    app.get("/visits", function(req)
      req.session.n = (req.session.n or 0) + 1
      return app.text(req.session.n)
    end)
    app.get("/append", function()
      local f <close> = assert(io.open(app.data .. "/x", "a+"))
      f:write("x")
      f:seek("set")
      return app.text(f:read("a"))
    end)
    app.get("/count", function() return app.text(cache.incr("n", 1, 60)) end)
    app.get("/fails", function(req)
      print("about to fail")
      error "oops"
    end)
    app.get("/hangs", function() require "lunette.task".sleep(100) end)
    app.post("/echo", function(req)
      local photo = req.files.photo
      return { form = req.form, type = req.headers["Content-Type"], body = not photo and req.body or nil,
        photo = photo and { name = photo.filename, size = photo.size, type = photo.content_type },
        photos = #(req.files_all.photo or {}) }
    end)
    app.any("/see", function(req)
      return { method = req.method, query = req.query_all, host = req.host, cookies = req.cookies,
        x = req.headers["X-One"], ip = req.remote_addr, body = req.body }
    end)
    app.get("/set", function(req)
      req:set_cookie("a", "1", { path = "/" })
      req:set_cookie("b", "2", { path = "/deep" })
      req:set_cookie("c", "3", { max_age = 60 })
      req:set_cookie("d", "4", { secure = true })
      return 204
    end)
    app.get("/unset", function(req) req:expire_cookie("a") return 204 end)
    app.get("/deep/see", function(req) return req.cookies end)
    app.get("/go", function() return app.redirect("/see?from=go") end)
    app.post("/go", function() return app.redirect("/see", 307) end)
    app.get("/round", function() return app.redirect("/round") end)
    app.get("/stream", function() return app.stream(function(write)
      for i = 1, 3 do write(("%d"):format(i):rep(1000)) end
    end) end)
    app.get("/broken", function() return app.stream(function(write)
      write("x")
      require "lunette.task".sleep(0.05)
      error "late"
    end) end)
    app.host("api.example.com", function(h) h.get("/", function() return app.text("api") end) end)
"""
SITE = {"scripts/main.lua": MAIN.replace("    loads = 0\n", ""), "site/a.txt": "text " * 200}


def run(folder, *words, env=None, code=None, **options):
    done = subprocess.run([LUNETTE, "test", str(folder), *words], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=60, check=False,
                          env={**os.environ, **(env or {})}, **options)
    assert "Sanitizer" not in done.stderr and "runtime error:" not in done.stderr, done.stderr
    if code is not None:
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def with_tests(text, site=SITE, **more):
    """The folder of a site with tests/a_test.lua."""
    return make_folder({**site, "tests/a_test.lua": textwrap.dedent(HEAD) + textwrap.dedent(text), **more})


def passes(text, site=SITE, **more):
    """All tests of the text pass; what was printed."""
    done = run(with_tests(text, site, **more), code=0)
    assert done.stderr == ""
    return done.stdout


def fails(text, site=SITE, **more):
    """Some do not; what was printed."""
    return run(with_tests(text, site, **more), code=1).stdout


@contextlib.contextmanager
def temporary_folder():
    """A TMPDIR, in which nothing may be left: what to add to the environment."""
    folder = new_folder()
    folder.chmod(0o777)
    yield {"TMPDIR": str(folder)}
    assert list(folder.iterdir()) == []
