"""Middleware: order, what it surrounds, and what it may change."""
import pytest

from running import ask, log_of, make_folder, running, start_fails

MAIN = r"""
    local app = require "lunette"
    local task = require "lunette.task"

    -- Middleware that notes in X-Way that it was passed, on the way in and out.
    local function mark(name)
      return function(req, handle)
        req.way = (req.way or "") .. "<" .. name
        local res = handle(req)
        res.headers["X-Way"] = (res.headers["x-way"] or req.way) .. " " .. name .. ">"
        return res
      end
    end

    app.get("/order", { use = { mark "r1", mark "r2" } }, function(req)
      return app.text(req.way)
    end)
    app.use(mark "a")
    app.group("/g", { use = { mark "g1", mark "g2" } }, function(g)
      g.get("/in", { use = mark "r" }, function(req) return app.text(req.way) end)
      g.use(mark "gu")
      g.group("/deep", { use = mark "d" }, function(d)
        d.get("/in", function(req) return app.text(req.way) end)
      end)
    end)
    app.use("/pre", mark "p")
    app.use("/user/:id{int}", mark "u")
    app.use(mark "nofiles", { files = false })
    app.host("own.test", function(h)
      h.use(mark "h")
      h.get("/hosted", function(req) return app.text(req.way) end)
    end)

    app.get("/pre", function(req) return app.text(req.way) end)
    app.get("/pre/x", function(req) return app.text(req.way) end)
    app.get("/prefix", function(req) return app.text(req.way) end)
    app.get("/user/:name", function(req) return app.text(req.way) end)
    app.post("/posts", function() return 204 end)

    local function get(path, mw, handler)
      app.get(path, { use = mw }, handler or function() return app.text("inner") end)
    end

    get("/change", function(req, handle)
      local res = handle(req)
      assert(res.headers["content-type"] == "text/plain; charset=utf-8")
      assert(res.headers["Content-Type"] == res.headers["CONTENT-TYPE"])
      res.status = 202
      res.headers["x-GONE"] = nil
      res.headers["content-TYPE"] = "text/x-changed"
      res.headers["X-Seen"] = res.headers["X-INNER"]
      res:add_header("X-Many", "one")
      res:add_header("x-many", "two")
      res.body = res.body:upper() .. tostring(#res.body)
      return res
    end, function()
      return app.text("inner", 200, { ["X-Gone"] = "here", ["X-Inner"] = "inner" })
    end)

    get("/strings", function(req, handle)
      local res = handle(req)
      return app.text(table.concat({ type(res.body), res.status,
        tostring(res.headers["Content-Type"]), tostring(res.body) }, " "))
    end, function() return { a = 1 } end)

    get("/alone", function(req, handle)
      local res = handle(req)
      return app.text(res.status .. " " .. tostring(res.body))
    end, function() return 204 end)

    get("/replace", function(req, handle)
      handle(req)
      return 201, { ["X-Mine"] = "yes" }, "mine"
    end)

    get("/short", function() return app.text("stopped", 403) end, function()
      error("the handler ran")
    end)
    get("/abort", function() app.abort(418, "no coffee") end)
    get("/twice", function(req, handle)
      return app.text(handle(req).body .. handle(req).body)
    end)

    local function tell_error(req, handle)
      local res = handle(req)
      res.headers["X-Status"] = tostring(res.status)
      res.headers["X-Error"] = tostring(req.error):gsub("\n.*", "")
      return res
    end
    get("/error", tell_error, function() error("broken") end)
    get("/error/table", tell_error, function() error({ code = 7 }) end)
    get("/error/abort", tell_error, function() app.abort(409, "taken") end)
    get("/error/wrong", tell_error, function() return nil, "no such row" end)
    get("/error/none", tell_error)

    get("/cleanup", function(req, handle)
      local res = handle(req)
      res.headers["X-Cleanup"] = "ran"
      return res
    end, function() error("below") end)

    get("/mw/nothing", function(req, handle) handle(req) end)
    get("/mw/error", function() error("in middleware") end)
    get("/mw/nil", function() return nil end)
    get("/mw/after", function(req, handle)
      handle(req)
      error("on the way out")
    end)
    get("/wait", function(req, handle)
      task.sleep(0.01)
      local res = handle(req)
      task.sleep(0.01)
      res.headers["X-Waited"] = "yes"
      return res
    end)
    get("/stream", function(req, handle)
      local res = handle(req)
      local inner = res.body
      res.headers["X-Body"] = type(inner)
      res.body = function(write)
        write "[" inner(write) write "]"
      end
      return res
    end, function() return app.stream(function(write) write "a" task.sleep(0.01) write "b" end) end)
    get("/file", function(req, handle)
      local res = handle(req)
      res.headers["X-Body"] = type(res.body)
      return res
    end, function() return app.file("site/big.bin") end)
    get("/empty", function(req, handle)
      local res = handle(req)
      res.body = nil
      return res
    end)

    local SHARED = { ["X-Constant"] = "1" }
    get("/constant", function(req, handle)
      local res = handle(req)
      res:add_header("X-Constant", "2")
      return res
    end, function() return 200, SHARED, "x" end)
"""
BIG = bytes(range(256)) * 2000


@pytest.fixture(scope="module")
def site():
    files = {"scripts/main.lua": MAIN, "site/plain.txt": "a file\n", "site/big.bin": BIG,
             "site/pre/in.txt": "under /pre\n"}
    with running(files) as server:
        yield server


def way(server, target, **more):
    return ask(server, target, **more)["X-Way"]


def test_the_first_declared_is_outermost_wherever_the_routes_stand(site):
    answer = ask(site, "/order")
    assert answer.body == b"<a<nofiles<r1<r2"
    assert answer["X-Way"] == "<a<nofiles<r1<r2 r2> r1> nofiles> a>"


def test_groups_come_between_the_app_and_the_route(site):
    assert ask(site, "/g/in").body == b"<a<gu<nofiles<g1<g2<r"
    assert ask(site, "/g/deep/in").body == b"<a<gu<nofiles<g1<g2<d"


def test_a_prefix_covers_whole_segments(site):
    assert ask(site, "/pre").body == b"<a<p<nofiles"
    assert ask(site, "/pre/x").body == b"<a<p<nofiles"
    assert ask(site, "/prefix").body == b"<a<nofiles"


def test_a_prefix_with_a_capture_is_decided_by_the_path(site):
    assert ask(site, "/user/7").body == b"<a<u<nofiles"
    assert ask(site, "/user/anna").body == b"<a<nofiles"


def test_middleware_of_a_host(site):
    assert ask(site, "/hosted", host="own.test").body == b"<a<nofiles<h"
    assert ask(site, "/pre", host="own.test").body == b"<a<p<nofiles<h"
    assert ask(site, "/pre", host="other.test").body == b"<a<p<nofiles"


def test_it_surrounds_404_405_and_automatic_options(site):
    missing = ask(site, "/nowhere")
    assert missing.status == 404 and missing["X-Way"] == "<a<nofiles nofiles> a>"
    refused = ask(site, "/posts")
    assert refused.status == 405 and refused["X-Way"] == "<a<nofiles nofiles> a>"
    assert "POST" in refused["Allow"]
    options = ask(site, "/posts", method="OPTIONS")
    assert options.status == 204 and options["X-Way"] == "<a<nofiles nofiles> a>"
    assert way(site, "/pre/nowhere") == "<a<p<nofiles nofiles> p> a>"


def test_it_surrounds_files_unless_told_otherwise(site):
    answer = ask(site, "/plain.txt")
    assert answer.body == b"a file\n" and answer["X-Way"] == "<a a>"
    assert way(site, "/pre/in.txt") == "<a<p p> a>"


def test_untouched_file_bodies_arrive_whole(site):
    answer = ask(site, "/big.bin")
    assert answer.body == BIG and answer["Content-Length"] == str(len(BIG))
    answer = ask(site, "/big.bin", method="HEAD")
    assert answer.body == b"" and answer["Content-Length"] == str(len(BIG))
    answer = ask(site, "/file")
    assert answer.body == BIG and answer["X-Body"] == "userdata"


def test_status_headers_and_body_may_be_changed(site):
    answer = ask(site, "/change")
    assert answer.status == 202
    assert answer.body == b"INNER5" and answer["Content-Length"] == "6"
    assert answer.headers["content-type"] == ["text/x-changed"]
    assert "x-gone" not in answer.headers
    assert answer["X-Seen"] == "inner"
    assert answer.headers["x-many"] == ["one", "two"]


def test_the_body_is_a_string_a_function_a_file_or_nil(site):
    assert ask(site, "/strings").body == b'string 200 application/json {"a":1}'
    assert ask(site, "/alone").body == b"204 nil"
    answer = ask(site, "/stream")
    assert answer["X-Body"] == "function"
    assert answer["Transfer-Encoding"] == "chunked" and b"[" in answer.body
    answer = ask(site, "/empty")
    assert answer.status == 200 and answer.body == b"" and answer["Content-Length"] == "0"


def test_headers_of_a_handler_that_are_constants_stay_constant(site):
    for _ in range(3):
        assert ask(site, "/constant").headers["x-constant"] == ["1", "2"]


def test_an_answer_of_its_own(site):
    answer = ask(site, "/replace")
    assert (answer.status, answer.body, answer["X-Mine"]) == (201, b"mine", "yes")
    answer = ask(site, "/short")
    assert (answer.status, answer.body) == (403, b"stopped")
    assert log_of(site, "/short") == ""
    answer = ask(site, "/abort")
    assert answer.status == 418 and b"no coffee" in answer.body
    assert answer["X-Way"] == "<a<nofiles nofiles> a>"
    assert ask(site, "/twice").body == b"innerinner"


ERRORS = [
    ("/error", 500, "broken"), ("/error/abort", 409, "taken"),
    ("/error/wrong", 500, "no such row"), ("/error/none", 200, "nil"),
]


@pytest.mark.parametrize("path, status, error", ERRORS)
def test_errors_below_come_back_as_finished_responses(site, path, status, error):
    answer = ask(site, path)
    assert answer.status == status
    assert answer["X-Status"] == str(status)
    assert error in answer["X-Error"]


def test_an_error_object_is_given_as_it_was_raised(site):
    assert ask(site, "/error/table")["X-Error"].startswith("table: ")


def test_what_follows_handle_runs_after_an_error_too(site):
    answer = ask(site, "/cleanup")
    assert answer.status == 500 and answer["X-Cleanup"] == "ran"
    assert "below" in log_of(site, "/cleanup")


WRONG = [
    ("/mw/nothing", "nothing"), ("/mw/error", "in middleware"), ("/mw/nil", "nothing was returned"),
    ("/mw/after", "on the way out"),
]


@pytest.mark.parametrize("path, sentence", WRONG)
def test_middleware_that_fails(site, path, sentence):
    answer = ask(site, path)
    assert answer.status == 500 and answer["X-Way"] == "<a<nofiles nofiles> a>"
    log = log_of(site, path)
    assert sentence in log
    assert "scripts/main.lua:" in log


def test_it_may_wait(site):
    answer = ask(site, "/wait")
    assert answer.body == b"inner" and answer["X-Waited"] == "yes"


REFUSED = [
    ("app.use()", "the middleware must be a function, not nil"),
    ('app.use("x", print)', 'must begin with "/"'),
    ("app.use(print, { file = false })", '"files"'),
    ('app.get("/", { use = { print, 1 } }, print)', "use[2] must be a function"),
    ('app.use("/a/*rest", print)', "holds a *"),
]


@pytest.mark.parametrize("line, sentence", REFUSED)
def test_a_wrong_declaration_ends_the_start_with_its_line(line, sentence):
    folder = make_folder({
        "scripts/main.lua": 'local app = require "lunette"\n' + line + "\n"})
    said = start_fails(folder)
    assert sentence in said and "scripts/main.lua:2:" in said
