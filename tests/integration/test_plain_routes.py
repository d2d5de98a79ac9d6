"""Routes whose handler C calls by itself answer, and log, what they do behind middleware."""
import re
from email.utils import parsedate_to_datetime

import pytest
from running import running

HANDLERS = {
    "nothing": "return",
    "nil_message": "return nil, 'no such note'",
    "status": "return 204",
    "bad_status": "return 42",
    "page_of_status": "return 404",
    "float_status": "return 404.0",
    "string": "return '<p>hi'",
    "table": "return { a = 1 }",
    "empty_table": "return {}",
    "bad_table": "return { 1, a = 2 }",
    "boolean": "return true",
    "three": "return 201, { ['X-A'] = 'b' }, 'made'",
    "error_with_body": "return 500, nil, 'own words'",
    "error_and_text": "return 404, 'not here'",
    "redirect": "return 302, { Location = '/x' }",
    "body_first": "return 'text', 200",
    "four": "return 200, {}, 'x', 1",
    "response": "local r = app.text 'r' r.status = 202 return r",
    "json": "return app.json({ 1, 2 }, 201)",
    "response_and_more": "return app.text 'r', 1",
    "file": "return app.file 'site/a.txt'",
    "no_file": "return app.file 'site/none.txt'",
    "metatable": "return setmetatable({ a = 1 }, { __index = { b = 2 } })",
    "stream": "return app.stream(function(write) write 'one' write 'two' end)",
    "function_body": "return 200, nil, function(write) write 'f' end",
    "error_string": "error 'broken'",
    "error_table": "error {}",
    "error_nil": "error()",
    "error_in_close": "local x <close> = setmetatable({}, { __close = function() error 'closing' end }) return 'x'",
    "abort": "app.abort(418, 'tea')",
    "abort_below_400": "app.abort(302, nil, { Location = '/y' })",
    "abort_response": "app.abort(app.text('left', 203))",
    "abort_caught": "pcall(app.abort, 404) return 'on'",
    "abort_changed": "local _, e = pcall(app.abort, 404) e.status = 'zzz' error(e, 0)",
    "abort_without_status": "local _, e = pcall(app.abort, 404) e.status = nil error(e, 0)",
    "abort_with_a_table": "local _, e = pcall(app.abort, 404) e.message = {} error(e, 0)",
    "waits": "task.sleep(0.01) return 'waited'",
    "waits_and_fails": "task.sleep(0.01) error 'late'",
    "path_changed": "req.path = '*' return 404",
    "method_changed": "req.method = 'X' error 'y'",
    "two_types": "return 200, { ['content-type'] = 'text/a', ['CONTENT-TYPE'] = 'text/b' }, 'x'",
    "control_byte": "return 200, { ['X-A'] = 'a\\r\\nb' }, 'x'",
    "cookie": "req:set_cookie('a', 'b') return 'c'",
    "etag": "return 200, { ETag = '\"v\"' }, 'tagged'",
    "large": "return ('x'):rep(100000)",
    "tail_call": "return error('in a tail call', 0)",
    "log": "require 'lunette.log'.warn('seen') return 'logged'",
    "log_in_task": "task.all { function() require 'lunette.log'.warn 'one' end } return 'logged'",
    "late": "task.sleep(2) return 'too late'",
    "error_in_coroutine": "coroutine.wrap(function() error 'within' end)()",
}
# Those that do not look at the request: C makes none for a handler without parameters.
BARE = [name for name, body in HANDLERS.items() if "req" not in body.replace("require", "")]
MAIN = """
local app = require "lunette"
local task = require "lunette.task"
app.use("/m", function(req, handle) return handle(req) end)
app.group("/g", function(g) g.on_error(404, function() return "the group's page" end) end)
for _, way in ipairs { "/p/", "/m/" } do
""" + "".join(f'app.any(way .. "{name}", function(req) {body} end)\n' for name, body in HANDLERS.items()) + """
end
""" + "".join(f'app.any("/b/{name}", function() {HANDLERS[name]} end)\n' for name in BARE)
ASKED = {
    "get": ("GET",),
    "head": ("HEAD",),
    "json": ("GET", "Accept: application/json"),
    "gzip": ("GET", "Accept-Encoding: gzip"),
    "condition": ("GET", 'If-None-Match: "v"'),
}


@pytest.fixture(scope="module")
def site():
    files = {"scripts/main.lua": MAIN, "site/a.txt": "a file", "scripts/config.lua":
             "return { timeouts = { handler = 0.3 } }"}
    with running(files, "--workers", "1") as server:
        yield server


def ask(server, way, name, method, *fields):
    """Status, fields with times counted from Date, body, and what the error log says of it."""
    before = len(server.errors())
    with server.wire() as w:
        w.send("\r\n".join([f"{method} /{way}/{name} HTTP/1.1", "Host: localhost", *fields, "", ""]))
        answer = w.answer(method)
        w.get("/none").answer()  # what the one before had to say is in the log
    date = parsedate_to_datetime(answer.headers["date"])
    headers = {k: v for k, v in answer.headers.items() if k not in ("date", "expires")}
    if "expires" in answer.headers: # a second may pass between two answers
        headers["expires after"] = parsedate_to_datetime(answer.headers["expires"]) - date
    logged = re.sub(r"\S+Z (\w+) \[\d+\]( \[\w+\])?", r"\1", server.errors()[before:])
    return answer.status, headers, answer.body, logged.replace(f"/{way}/", "/?/")


@pytest.mark.parametrize("how", ASKED)
@pytest.mark.parametrize("name", HANDLERS)
def test_both_ways_are_one(site, name, how):
    assert ask(site, "p", name, *ASKED[how]) == ask(site, "m", name, *ASKED[how])


@pytest.mark.parametrize("how", ASKED)
@pytest.mark.parametrize("name", BARE)
def test_without_parameters_it_is_the_same(site, name, how):
    status, headers, body, logged = ask(site, "p", name, *ASKED[how])
    logged = re.sub(r"main\.lua:\d+", "main.lua:N", logged)
    bare = ask(site, "b", name, *ASKED[how])
    assert (status, headers, body, logged) == (*bare[:3], re.sub(r"main\.lua:\d+", "main.lua:N", bare[3]))


def test_a_line_of_the_log_has_the_requests_id(site):
    before = len(site.errors())
    with site.wire() as w:
        w.get("/b/log").answer()
        w.get("/b/log").answer()
        w.get("/none").answer()
    ids = re.findall(r"warn \[\d+\] \[(\w{16})\]", site.errors()[before:])
    assert len(ids) == 2 and ids[0] != ids[1]


def test_two_types_are_refused(site):
    status, headers, _, logged = ask(site, "p", "two_types", "GET")
    assert status == 500 and "is there twice, and an answer has it once" in logged
    assert headers["content-type"] == "text/html; charset=utf-8"


# --- what on_error is told ---

# Results that cannot be sent: with the last ones it is not seen before they would be.
UNSENDABLE = ["nothing", "nil_message", "bad_status", "bad_table", "boolean", "body_first", "four",
              "response_and_more", "control_byte", "two_types", "table_of_201", "body_of_no_kind"]
MORE = {"table_of_201": "return 201, { a = 1 }", "body_of_no_kind": "return 200, nil, true",
        "late_and_caught": "pcall(task.sleep, 2) return 'too late'"}
TOLD = """
local app = require "lunette"
local task = require "lunette.task"
app.on_error("*", function(req) return app.text(tostring(req.error)) end)
local function through(req, handle) return handle(req) end
local function both(name, handler)
  app.get("/p/" .. name, handler)
  app.get("/m/" .. name, { use = { through } }, handler)
end
""" + "".join(f'both("{name}", function() {body} end)\n' for name, body in {**HANDLERS, **MORE}.items()
              if name in BARE or name in MORE)


@pytest.fixture(scope="module")
def told():
    files = {"scripts/main.lua": TOLD, "scripts/config.lua": "return { timeouts = { handler = 0.3 } }"}
    with running(files, "--workers", "1") as server:
        yield server


@pytest.mark.parametrize("name", UNSENDABLE)
def test_on_error_has_the_same_sentence_in_req_error(told, name):
    status, headers, body, logged = ask(told, "p", name, "GET")
    assert (status, headers, body, logged) == ask(told, "m", name, "GET")
    assert status == 500 and re.search(rb" \(the handler at scripts/main\.lua:\d+\)$", body)
    assert body.decode() in logged


def test_on_error_is_told_of_an_answer_that_came_too_late(told):
    answers = [ask(told, way, "late_and_caught", "GET") for way in "pm"]
    assert answers[0] == answers[1]
    assert answers[0][0] == 503 and answers[0][2] == b"the handler took longer than timeouts.handler"
