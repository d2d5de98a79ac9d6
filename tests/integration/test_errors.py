"""What goes wrong in a site's scripts: the log, the page, on_error, abort."""
import json
import re

import pytest

from running import ask, log_of, make_folder, running, start_fails

MAIN = """\
    local app = require "lunette"
    local task = require "lunette.task"
    local helper = require "helper"

    app.get("/error", function() error("secret <reason>") end)
    app.get("/error/deep", function()
      local n = helper.fail()
      return n
    end)
    app.get("/error/nil", function() local t = nil return t.field end)
    local function shown(fn) return setmetatable({}, { __tostring = fn }) end
    app.get("/error/object", function() error(shown(function() return "an object" end)) end)
    app.get("/error/table", function() error({ code = 5 }) end)
    app.get("/error/none", function() error() end)
    app.get("/error/tostring", function() error(shown(function() error("x") end)) end)
    app.get("/error/late", function() task.sleep(0.01) error("after a wait") end)
    app.get("/error/lines", function() error("one\\ntwo") end)
    app.get("/error/overflow", function() local function f() return 1 + f() end return f() end)
    app.get("/error/memory", function() return ("x"):rep(200 * 2^20) end)
    app.get("/fine", function() return app.text("fine") end)
    app.get("/path/*rest", function() error("with a path") end)

    app.get("/abort", function() app.abort(404, "no <such> note") end)
    app.get("/abort/alone", function() app.abort(403) end)
    app.get("/abort/headers", function()
      app.abort(401, "who?", { ["WWW-Authenticate"] = "Basic" })
    end)
    app.get("/abort/data", function() app.abort(422, { field = "name" }) end)
    app.get("/abort/response", function() app.abort(app.text("instead", 203)) end)
    app.get("/abort/ok", function() app.abort(200, "early") end)
    app.get("/abort/deep", function() helper.leave(app) end)
    app.get("/abort/pcall", function()
      local ok, e = pcall(app.abort, 404, "x")
      local is, is_not = app.is_abort(e), app.is_abort("x")
      return app.text(("%s %s %s %d"):format(ok, is, is_not, e.status))
    end)
    app.get("/abort/wrong", function() app.abort("404") end)

    app.on_error(404, function(req, err)
      return app.text("app 404: " .. err.message .. " " .. req.path)
    end)
    app.on_error(410, function(_, err) return 200, nil, "gone " .. err.status end)
    app.on_error(411, function() return "a string" end)
    app.on_error(423, function() error("the page fails") end)
    app.on_error(424, function() return nil end)
    app.on_error(428, function() app.abort(428, "again") end)
    app.on_error(451, function(_, err)
      return app.json({ data = err.data, message = err.message, cause = tostring(err.cause),
        traceback = tostring(err.traceback), header = err.headers["X-A"] })
    end)
    for _, status in ipairs { 410, 411, 423, 424, 428 } do
      app.get("/page/" .. status, function() return status end)
    end
    app.get("/page/451", function() app.abort(451, { law = 7 }, { ["X-A"] = "b" }) end)

    app.group("/api", function(g)
      g.on_error("*", function(_, err)
        return app.json({ status = err.status, message = err.message, cause = tostring(err.cause) })
      end)
      g.on_error(409, function(_, err) return app.text("api 409", err.status) end)
      g.get("/error", function() error("hidden") end)
      g.get("/conflict", function() app.abort(409) end)
      g.get("/teapot", function() return 418 end)
      g.post("/post", function() return 204 end)
      g.group("/inner", function(i)
        i.on_error(418, function() return app.text("inner") end)
        i.get("/teapot", function() return 418 end)
        i.get("/error", function() error("hidden") end)
      end)
    end)
    app.host("own.test", function(h)
      h.on_error(404, function() return app.text("host 404") end)
      h.on_error(500, function() return app.text("host 500") end)
      h.get("/host/changed", function(req)
        req.host = "other.test"
        return 201, { a = 1 }
      end)
    end)
"""
HELPER = """\
    local helper = {}
    function helper.fail()
      error("from the helper")
    end
    function helper.leave(app)
      app.abort(402, "pay")
    end
    return helper
"""
FILES = {"scripts/main.lua": MAIN, "scripts/helper.lua": HELPER}


@pytest.fixture(scope="module")
def site():
    with running(FILES) as server:
        yield server


@pytest.fixture(scope="module")
def dev():
    with running(FILES, "--dev") as server:
        yield server


def test_error_is_a_500_with_file_and_line_in_the_log_alone(site):
    answer = ask(site, "/error")
    assert answer.status == 500
    for word in [b"secret", b"reason", b"scripts", b"lua:"]:
        assert word not in answer.body
    log = log_of(site, "/error")
    assert "error [" in log and "500 GET /error: scripts/main.lua:5: secret <reason>" in log


def test_the_traceback_names_each_frame_of_the_site(site):
    assert ask(site, "/error/deep").status == 500
    log = log_of(site, "/error/deep")
    message, *frames = log.splitlines()
    assert message.endswith("500 GET /error/deep: scripts/helper.lua:3: from the helper")
    assert "scripts/helper.lua:3: in" in frames[0]
    assert "scripts/main.lua:7: in" in frames[1]
    assert all(re.match(r"\t+scripts/\w+\.lua:\d+: in ", frame) for frame in frames)


def test_the_log_is_written_before_the_answer(site):
    for i in range(50):
        ask(site, f"/path/{i}")
        assert f"/path/{i}: scripts/main.lua:" in site.errors()


MESSAGES = [
    ("/error/nil", "attempt to index a nil value (local 't')"),
    ("/error/object", "an object"), ("/error/table", "table"), ("/error/none", "nil"),
    ("/error/tostring", "table"), ("/error/late", "after a wait"),
]


@pytest.mark.parametrize("path, message", MESSAGES)
def test_every_kind_of_error(site, path, message):
    answer = ask(site, path)
    assert answer.status == 500 and b"lua:" not in answer.body
    log = log_of(site, path)
    assert message in log and "scripts/main.lua:" in log
    assert ask(site, "/fine").body == b"fine"


@pytest.mark.parametrize("path", ["/error/memory", "/error/overflow"])
def test_too_much_memory_is_a_503_and_costs_no_other_request(site, path):
    """Endless recursion grows a stack beyond the limit before Lua calls it an overflow."""
    assert ask(site, path).status == 503
    log = log_of(site, path)
    assert "limits.request_memory" in log and "scripts/main.lua:" in log
    assert ask(site, "/fine").body == b"fine"


def test_a_path_cannot_forge_lines_of_the_log(site):
    ask(site, "/path/a%0a2026-01-01T00:00:00.000Z%20error%20forged")
    ask(site, "/error/lines")
    for line in site.errors().splitlines():
        assert not line.startswith(("2026-01-01T00:00:00.000Z", "two"))


def test_dev_shows_the_traceback_escaped(dev):
    answer = ask(dev, "/error", "Accept: text/html")
    page = answer.body.decode()
    assert answer.status == 500
    assert "scripts/main.lua:5: secret &lt;reason&gt;" in page and "<reason>" not in page
    page = ask(dev, "/error/deep", "Accept: text/html").body.decode()
    assert "scripts/helper.lua:3: in" in page and "scripts/main.lua:7: in" in page
    assert "from the helper" in log_of(dev, "/error/deep")


def test_dev_shows_wrong_answers_and_problems(dev):
    told = json.loads(ask(dev, "/error/deep", "Accept: application/json").body)
    assert told["status"] == 500 and "scripts/helper.lua:3" in told["detail"]


def test_dev_gives_cause_and_traceback_to_pages(site, dev):
    told = json.loads(ask(dev, "/api/error").body)
    assert "hidden" in told["cause"]
    assert json.loads(ask(site, "/api/error").body)["cause"] == "nil"


# abort


def test_abort_shows_its_message_escaped(site):
    answer = ask(site, "/abort/alone", "Accept: text/html")
    assert answer.status == 403 and b"403" in answer.body and b"Forbidden" in answer.body
    answer = ask(site, "/abort/deep", "Accept: text/html")
    assert answer.status == 402 and b"pay" in answer.body
    answer = ask(site, "/api/inner/teapot")
    assert answer.body == b"inner"
    assert log_of(site, "/abort/deep") == ""


def test_the_built_in_page_escapes(serve):
    site = serve({"scripts/main.lua": """
        local app = require "lunette"
        app.get("/", function(req) app.abort(400, "bad " .. req.query.q) end)
    """})
    answer = ask(site, "/?q=%3Cscript%3E%26'%22", "Accept: text/html")
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    assert b"<script>" not in answer.body and b"bad &lt;script&gt;&amp;&#39;&quot;" in answer.body
    assert "Accept" in answer["Vary"]


def test_clients_that_prefer_json_get_a_problem(site):
    answer = ask(site, "/abort/alone", "Accept: application/json")
    assert answer["Content-Type"] == "application/problem+json"
    assert json.loads(answer.body) == {"type": "about:blank", "title": "Forbidden", "status": 403}
    answer = ask(site, "/abort/data", "Accept: application/json, text/html;q=0.5")
    assert json.loads(answer.body)["field"] == "name"
    answer = ask(site, "/error", "Accept: application/json")
    assert answer.status == 500 and b"secret" not in answer.body
    assert json.loads(answer.body)["title"] == "Internal Server Error"
    for browser in ["text/html,application/xhtml+xml,*/*;q=0.8", "*/*"]:
        assert ask(site, "/error", f"Accept: {browser}")["Content-Type"].startswith("text/html")


def test_abort_with_headers_a_response_or_a_good_status(site):
    assert ask(site, "/abort/headers")["WWW-Authenticate"] == "Basic"
    answer = ask(site, "/abort/response")
    assert (answer.status, answer.body) == (203, b"instead")
    answer = ask(site, "/abort/ok")
    assert (answer.status, answer.body) == (200, b"early")


def test_abort_under_pcall(site):
    assert ask(site, "/abort/pcall").body == b"false true false 404"


def test_a_wrong_abort_raises(site):
    assert ask(site, "/abort/wrong").status == 500
    assert "app.abort: the status must be an integer" in log_of(site, "/abort/wrong")


# on_error


def test_the_page_of_the_app(site):
    answer = ask(site, "/abort")
    assert (answer.status, answer.body) == (404, b"app 404: no <such> note /abort")
    answer = ask(site, "/nowhere")
    assert (answer.status, answer.body) == (404, b"app 404: Not Found /nowhere")


def test_a_page_keeps_the_status_unless_it_names_another(site):
    answer = ask(site, "/page/410")
    assert (answer.status, answer.body) == (200, b"gone 410")
    answer = ask(site, "/page/411")
    assert (answer.status, answer.body) == (411, b"a string")
    assert ask(site, "/nowhere").status == 404      # app.text names none


def test_what_a_page_sees(site, dev):
    told = json.loads(ask(site, "/page/451").body)
    assert told == {"data": {"law": 7}, "message": "Unavailable For Legal Reasons",
                    "cause": "nil", "traceback": "nil", "header": "b"}
    assert ask(site, "/page/451").status == 451


@pytest.mark.parametrize("status, sentence", [
    (423, "the page fails"), (424, "nothing was returned"), (428, "")])
def test_a_page_that_fails_gives_the_built_in_one(site, status, sentence):
    answer = ask(site, f"/page/{status}", "Accept: text/html")
    assert answer.status == status and f"{status}".encode() in answer.body
    assert b"fails" not in answer.body
    if sentence:
        log = log_of(site, f"/page/{status}")
        assert "on_error" in log and sentence in log and "scripts/main.lua:" in log


def test_the_innermost_page_wins_and_an_exact_status_before_the_star(site):
    answer = ask(site, "/api/conflict")
    assert (answer.status, answer.body) == (409, b"api 409")
    answer = ask(site, "/api/teapot")
    assert answer.status == 418 and json.loads(answer.body)["status"] == 418
    assert ask(site, "/api/inner/teapot").body == b"inner"
    assert json.loads(ask(site, "/api/inner/error").body)["status"] == 500
    answer = ask(site, "/api/error")
    assert answer.status == 500
    assert json.loads(answer.body) == {"status": 500, "message": "Internal Server Error",
                                       "cause": "nil"}


def test_the_page_of_a_group_is_for_all_beneath_its_prefix(site):
    assert json.loads(ask(site, "/api/nowhere").body)["status"] == 404
    answer = ask(site, "/api/post")
    assert answer.status == 405 and "POST" in answer["Allow"]
    assert json.loads(answer.body)["status"] == 405


def test_the_page_of_a_host(site):
    assert ask(site, "/nowhere", host="own.test").body == b"host 404"
    assert ask(site, "/nowhere", host="other.test").body.startswith(b"app 404")


def test_the_page_of_a_host_is_that_of_the_host_that_the_client_named(site):
    """A handler may have changed req.host by then."""
    answer = ask(site, "/host/changed", host="own.test")
    assert (answer.status, answer.body) == (500, b"host 500")
    assert "(the handler at scripts/main.lua:" in log_of(site, "/host/changed")


# main.lua itself


BROKEN = [
    ('local app = require "lunette"\napp.get("/", function() retrun 1 end)\n', 2, "syntax error"),
    ('local t\nprint("x")\nreturn t.field\n', 3, "attempt to index a nil value"),
    ('\nerror("stop here")\n', 2, "stop here"),
    ('require "no.such.module"\n', 1, "no.such.module"),
    ('require "lunette"\nrequire "lunette.channel"\n', 2, "not in this version"),
    ('require "broken"\n', 1, "scripts/broken.lua:2:"),
    ('require "fails"\n', 1, "scripts/fails.lua:3: in the module"),
    ('require "lunette.task".sleep(0.01)\nerror("after a wait")\n', 2, "after a wait"),
    ('error({})\n', 0, "not a string"),
    ('os.exit(0)\n', 1, "os.exit would stop the worker"),
]


@pytest.mark.parametrize("text, line, sentence", BROKEN)
def test_a_main_lua_that_fails_ends_the_start(text, line, sentence):
    folder = make_folder({
        "scripts/broken.lua": "local x = 1\nlocal = 2\n",
        "scripts/fails.lua": "local M = {}\n\nerror('in the module')\n"})
    (folder / "scripts/main.lua").write_text(text)
    said = start_fails(folder, "--workers", "2")
    assert sentence in said
    if line:
        assert f"scripts/main.lua:{line}:" in said
    assert str(folder) not in said, "places are relative to the site"
    assert said.count(" error [") == 1, "told once, not by each worker"
