"""--dev: what is shown of errors, in the browser, as JSON and as text; and that it is escaped."""
import html
import json
import re

import pytest

from conftest import eventually
from running import ask, log_of, running

MAIN = """\
local app = require "lunette"
local deep = require "deep"
local json = require "lunette.json"

app.get("/deep", function(req)
  local title, id = "a <b>title</b>", 7
  local got = deep.find(id, title)
  return app.text(got)
end)
app.get("/locals", function(req)
  local secret_key, password = "s3cret-s3cret-s3cret", "12345678901234567890"
  local evil = setmetatable({ inner = "<script>x</script>" }, {
    __tostring = function() error("run") end, __index = function() error("run") end,
    __pairs = function() error("run") end, __len = function() error("run") end,
    __name = "Evil<i>" })
  local cycle = {} cycle.self = cycle
  local deeper = { { { { { "too deep" } } } } }
  local many = {} for i = 1, 1000 do many[i] = i end
  local long, control = ("x"):rep(5000), "a\\n\\0\\xff<"
  local number, whole, yes, f = 1.5, 2.0, true, print
  local nothing = nil
  local co = coroutine.create(function() end)
  error("with locals <i>&\\"'")
end)
app.get("/secrets", function(req)
  local query, target, whole, path, cookies = req.query_string, req.target, req, req.path, req.cookies
  local line, form = "GET " .. req.target, req.query
  local referer, headers = req.headers.referer, { referer = req.headers.referer }
  error("secrets")
end)
app.get("/reset/:token/:id", function(req)
  local path, target = req.path, req.target
  error("reset")
end)
app.get("/many", function(req)
  local a1, a2 <const>, a3 = 1, 2, 3
  local function recurse(n) if n == 0 then error("at the end") end local r = recurse(n - 1) return r end
  local r = recurse(150)
  return r
end)
app.get("/route/:name/:id{int}", { name = "named" }, function(req) error("in a route") end)
app.post("/form", function(req) local form = req.form error("form of " .. form.name) end)
app.post("/json", function(req) local t = req.json error("json") end)
app.get("/tpl", function() return app.render("page.html", { list = { 1 }, title = "<T>" }) end)
app.get("/tpl/inner", function() return app.render("outer.html", {}) end)
app.get("/tpl/syntax", function() return app.render("wrong.html", {}) end)
app.get("/nothing", function() end)
app.get("/abort", function() app.abort(404, "no <such> thing") end)
app.get("/abort/alone", function() return 403 end)
app.get("/stream", function() return app.stream(function(write) local here = 1 error("in a stream") end) end)
app.get("/wait", function() require "lunette.task".sleep(0.01) local after = 5 error("after a wait") end)
app.get("/memory", function() return ("x"):rep(200 * 2^20) end)
app.get("/overflow", function() local function f() return 1 + f() end return f() end)
app.get("/object", function() error(setmetatable({}, { __tostring = function() return "an object" end })) end)
app.get("/message", function() error(("<&>" ):rep(5000)) end)
app.get("/huge", function() error(("<"):rep(1e6)) end)
app.get("/huge/page", function() return 419 end)
app.on_error(419, function() error(("<"):rep(1e6)) end)
app.get("/huge/name", function() error("scripts/" .. ("a"):rep(1e6) .. ".lua:1: boo", 0) end)
app.get("/huge/line", function() error("scripts/main.lua:99999999999999999999999: boo", 0) end)
app.use("/mw", function(req, handle) local kept = "in mw" local res = handle(req) return res end)
app.get("/mw/inner", function() error("inside") end)
app.use("/mw/own", function(req, handle) error("of the middleware") end)
app.get("/page/fails", function() return 418 end)
app.get("/page/fails/too", function() error("the first") end)
app.on_error(418, function() local in_page = 1 error("the page fails") end)
app.group("/own", function(g)
  g.on_error(500, function(_, err)
    return app.text(("mine: %s %s"):format(err.message, err.traceback and "with traceback" or "without"))
  end)
  g.get("/error", function() error("x") end)
end)
"""
DEEP = """\
local deep = {}

function deep.find(id, title)
  local row = nil
  local text = row.text
  return text
end

return deep
"""
FILES = {
    "scripts/main.lua": MAIN,
    "scripts/deep.lua": DEEP,
    "scripts/views/page.html": "<ul>\n{% for _, one in ipairs(list) do %}\n<li>{{ one.text }}</li>\n"
                               "{% end %}\n</ul>\n",
    "scripts/views/outer.html": "<p>\n{% include 'page.html', { list = { 2 } } %}\n</p>\n",
    "scripts/views/wrong.html": "<p>\n\n{{ if }}\n</p>\n",
}
HTML = "Accept: text/html"


@pytest.fixture(scope="module")
def dev():
    with running(FILES, "--dev") as server:
        yield server


@pytest.fixture(scope="module")
def plain():
    with running(FILES) as server:
        yield server


class Page:
    """.text without tags, .here the lines that are marked, .source as it came."""

    def __init__(self, server, target, *fields, **options):
        answer = ask(server, target, HTML, *fields, **options)
        self.status, self.headers = answer.status, answer.headers
        self.source = answer.body.decode()
        body = self.source[self.source.index("<body"):]
        cells = re.sub(r"</?(div|tr|summary|p|h\d)[^>]*>", "\n", body)
        self.text = html.unescape(re.sub(r"<[^>]*>", " ", cells))
        self.here = re.findall(r'line here"><span class="no">(\d+)</span><span>([^<]*)', body)
        self.locals = {html.unescape(name): html.unescape(text)
                       for name, text in re.findall(r"<th>([^<]*)</th><td>([^<]*)</td>", body)}
        self.tags = set(re.findall(r"<(\w+)", body))


TAGS = {"body", "main", "header", "p", "h1", "h2", "h3", "div", "span", "section", "details", "summary",
        "b", "ul", "li", "table", "tr", "th", "td", "pre", "script"}


def test_the_place_the_stack_and_the_locals(dev):
    page = Page(dev, "/deep")
    assert page.status == 500
    assert page.here[0] == ("5", "  local text = row.text")
    assert page.here[1] == ("7", "  local got = deep.find(id, title)")
    assert "500 Internal Server Error" in page.text
    assert "attempt to index a nil value (local 'row')" in page.text
    assert page.text.index("scripts/deep.lua:5") < page.text.index("scripts/main.lua:7")
    assert page.locals["id"] == "7" and page.locals["row"] == "nil"
    assert page.locals["title"] == '"a <b>title</b>"'
    assert "1 frame of lunette and C" in page.text
    assert page.tags <= TAGS


def test_values_are_shown_with_bounds_and_run_nothing(dev):
    page = Page(dev, "/locals")
    shown = page.locals
    assert "with locals <i>&\"'" in page.text
    assert shown["evil"] == 'Evil<i> { inner = "<script>x</script>" }'
    assert shown["cycle"] == "{ self = {the same as above} }"
    assert shown["deeper"] == "{ { { { {…} } } } }"
    assert shown["many"].startswith("{ 1, 2, 3, ") and shown["many"].endswith("20, … (980 more) }")
    assert shown["long"] == '"' + "x" * 200 + '"… (5000 bytes)'
    assert shown["control"] == r'"a\n\x00\xff<"'
    assert (shown["number"], shown["whole"], shown["yes"]) == ("1.5", "2.0", "true")
    assert shown["f"] == "function of C" and shown["nothing"] == "nil"
    assert shown["co"] == "coroutine (suspended)"
    assert page.tags <= TAGS and "<script>x" not in page.source and "Evil<i>" not in page.source


def test_secrets_are_shown_in_part(dev):
    page = Page(dev, "/locals?token=abcdefghijklmnopqrstuvwxyz&q=%3Cb%3E",
                "Cookie: sid=abcdefghijklmnopqrst; theme=dark", "Authorization: Bearer abcdefghijklmnop",
                "X-Api-Key: abcdefghijklmnop", "X-Name: <img src=x>")
    assert page.locals["secret_key"] == "s3cr… (20 bytes)"
    assert page.locals["password"] == "1234… (20 bytes)"
    assert page.locals["cookie"] == "sid=abcd… (20 bytes); theme=… (4 bytes)"
    assert page.locals["authorization"] == "Bearer abcd… (16 bytes)"
    assert page.locals["x-api-key"] == "abcd… (16 bytes)"
    assert page.locals["token"] == "abcd… (26 bytes)"
    assert page.locals["q"] == "<b>" and page.locals["x-name"] == "<img src=x>"
    assert page.tags <= TAGS


SECRET = "abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize("query", ["token=%s&q=1", "q=1&t%%6Fken=%s", "next=%%2Fin%%3Ftoken%%3D%s", "password=x%%20%s&q=1"])
def test_a_secret_is_whole_nowhere_on_the_page(dev, query):
    target = "/secrets?" + query % SECRET
    page = Page(dev, target, f"Referer: http://localhost{target}", f"Cookie: sid={SECRET}",
                f"X-Original-Url: {target}", f"Authorization: Bearer {SECRET}")
    assert "secrets" in page.text and "GET /secrets?" in page.text
    for name in ("query", "target", "whole", "cookies", "line", "form", "referer", "headers", "x-original-url"):
        assert name in page.locals
    assert "efghijkl" not in page.source and "bytes)" in page.locals["target"]


def test_a_secret_in_the_path_is_shown_in_part(dev):
    long = SECRET * 20  # values are cut at 200 bytes
    page = Page(dev, f"/reset/{long}/7")
    assert page.locals["path"].startswith('"/reset/abcd… (520 bytes)') and "efghijkl" not in page.source
    for sent in (SECRET, "%61" + SECRET[1:], SECRET[:-1] + "%7A"):
        page = Page(dev, f"/reset/{sent}/7?x={7}", f"Referer: http://localhost/reset/{sent}/7")
        assert page.locals["path"] == '"/reset/abcd… (26 bytes)/7"'
        assert page.locals["request"] == "GET /reset/abcd… (26 bytes)/7?x=7 HTTP/1.1"
        assert page.locals["token"] == "abcd… (26 bytes)" and page.locals["id"] == "7"
        assert "efghijkl" not in page.source


def test_the_request_and_its_route(dev):
    page = Page(dev, "/route/a%3Cb/12?x=1&y=%3Cscript%3E")
    assert "GET /route/a%3Cb/12?x=1&y=%3Cscript%3E HTTP/1.1" in page.text
    assert page.locals["route"] == "/route/:name/:id{int}, declared at scripts/main.lua:41"
    assert page.locals["name"] == "a<b" and page.locals["id"] == "12"
    assert page.locals["y"] == "<script>" and page.locals["accept"] == "text/html"
    assert page.tags <= TAGS


def test_a_body_is_shown_where_it_was_read(dev):
    page = Page(dev, "/form", "Content-Type: application/x-www-form-urlencoded", method="POST",
                body=b"name=%3Cb%3E&password=12345678901234567890")
    assert page.locals["name"] == "<b>" and page.locals["password"] == "1234… (20 bytes)"
    page = Page(dev, "/json", "Content-Type: application/json", method="POST", body=b'{"a":[1,"<b>"]}')
    assert page.locals["body"] == '{ a = json.array { 1, "<b>" } }'
    page = Page(dev, "/form", "Content-Type: application/x-www-form-urlencoded", method="POST",
                body=b"other=1")
    assert "attempt to concatenate a nil value (field 'name')" in page.text


TEMPLATES = [
    ("/tpl", "scripts/views/page.html:3", "<li>{{ one.text }}</li>"),
    ("/tpl/inner", "scripts/views/page.html:3", "<li>{{ one.text }}</li>"),
    ("/tpl/syntax", "scripts/views/wrong.html:3", "{{ if }}"),
]


@pytest.mark.parametrize("path, place, line", TEMPLATES)
def test_template_errors_are_at_the_templates_own_line(dev, path, place, line):
    page = Page(dev, path)
    assert place in page.text
    assert (page.here[0][0], html.unescape(page.here[0][1])) == ("3", line)
    assert page.tags <= TAGS


def test_variables_of_a_template_are_shown(dev):
    page = Page(dev, "/tpl")
    assert page.locals["title"] == '"<T>"' and page.locals["list"] == "{ 1 }"
    assert page.locals["one"] == "1" and "__o" not in page.locals and "_ENV" not in page.locals


@pytest.mark.parametrize("path, words", [
    ("/wait", ["after a wait", "after"]), ("/stream", ["in a stream", "here"]),
    ("/nothing", ["nothing was returned", "scripts/main.lua:47"]), ("/object", ["an object"]),
    ("/many", ["at the end", "recurse", "a1"]), ("/mw/inner", ["inside", "in mw"]),
    ("/mw/own", ["of the middleware"]), ("/overflow", ["limits.request_memory"]),
    ("/memory", ["limits.request_memory"]),
])
def test_every_kind_of_error_has_its_page(dev, path, words):
    page = Page(dev, path)
    assert page.status in (500, 503)
    for word in words:
        assert word in page.text, page.text
    assert page.tags <= TAGS


def test_pages_stay_small(dev):
    for path in ("/many", "/message", "/locals"):
        assert len(Page(dev, path).source) < 400_000
    assert "bytes)" in Page(dev, "/message").text


@pytest.mark.parametrize("path", ["/huge", "/huge/page", "/huge/name"])
def test_a_long_message_is_left_out_in_part_wherever_it_is_shown(dev, path):
    page = Page(dev, path)
    assert len(page.source) < 400_000
    assert re.search(r"\(9\d{5} bytes are left out here\)", page.text)
    assert "scripts/main.lua:" in page.text[page.text.index("As text"):], "the end of the traceback is kept"


def test_a_line_that_is_no_number_of_a_line_is_no_place(dev):
    page = Page(dev, "/huge/line")
    assert page.status == 500 and "scripts/main.lua:99999999999999999999999: boo" in page.text
    assert page.here and "/huge/line" in page.here[0][1], "the place is where it was raised"
    assert "dev_page" not in dev.errors()


def test_a_page_of_on_error_wins_and_its_own_failure_is_shown(dev):
    assert ask(dev, "/own/error", HTML).body == b"mine: Internal Server Error with traceback"
    page = Page(dev, "/page/fails")
    assert page.status == 418 and "the page fails" in page.text and page.locals["in_page"] == "1"


def test_abort_has_the_plain_page(dev):
    for path, word in (("/abort", "no <such> thing"), ("/abort/alone", "Forbidden")):
        page = Page(dev, path)
        assert word in page.text and "Stack" not in page.text and page.tags <= TAGS


def test_json_and_text_clients_get_theirs(dev):
    told = json.loads(ask(dev, "/deep", "Accept: application/json").body)
    assert told["status"] == 500 and "scripts/deep.lua:5" in told["detail"]
    answer = ask(dev, "/deep", "Accept: text/plain")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    text = answer.body.decode()
    assert text.startswith("scripts/deep.lua:5: attempt to index a nil value (local 'row')\n")
    assert ">     5 |   local text = row.text\n" in text and "\tscripts/main.lua:7: in" in text


def test_the_page_runs_nothing_but_its_refresh(dev):
    answer = ask(dev, "/deep", HTML)
    policy = dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["style-src"])
    assert answer["Cache-Control"] == "no-store"
    assert answer.body.count(b"<script") == 1


def test_the_log_has_the_lines_around(dev):
    ask(dev, "/deep", HTML)
    log = log_of(dev, "/deep")
    assert "500 GET /deep: scripts/deep.lua:5:" in log
    assert re.search(r"\t>     5 \|   local text = row.text\n", log)


@pytest.mark.parametrize("path", ["/deep", "/locals", "/tpl", "/nothing", "/form", "/page/fails"])
@pytest.mark.parametrize("accept", ["text/html", "application/json", "text/plain"])
def test_without_dev_nothing_of_it_leaves_the_server(plain, path, accept):
    method = "POST" if path == "/form" else "GET"
    answer = ask(plain, path, f"Accept: {accept}", method=method)
    for word in (b"scripts/", b".lua", b"row", b"Stack", b"lunette/", b"<script", b"title"):
        assert word not in re.sub(rb"</?title>", b"", answer.body).replace(b'"title"', b"")
    assert answer.status in (500, 418)


# Scripts that cannot be loaded ---------------------------------------------------------------------

LOADS = {
    "syntax": ("local x = = 1\n", "scripts/part.lua:1", "unexpected symbol near '='"),
    "raise": ("local t = { a = 1 }\n\nerror('no <b>')\n", "scripts/part.lua:3", "no <b>"),
    "global": ("answer = 42\n", "scripts/part.lua:1", "undeclared global 'answer'"),
    "object": ("error({ code = 1 })\n", "scripts/part.lua:1", "error object"),
    "view": ("return require 'lunette.template'.render('wrong.html')\n", "scripts/views/wrong.html:3",
             "unexpected symbol near 'if'"),
    "late": ("require 'lunette.task'.sleep(0.01)\nerror('late')\n", "scripts/part.lua:2", "late"),
}
START = {"scripts/main.lua": "local app = require 'lunette'\nlocal part = require 'part'\n"
                             "app.get('/', function() return '<body>' .. part .. '</body>' end)\n",
         "scripts/views/wrong.html": FILES["scripts/views/wrong.html"], "site/file.txt": "a file"}


@pytest.mark.parametrize("kind", LOADS)
def test_a_start_that_fails_is_shown_until_it_is_mended(serve, kind):
    text, place, message = LOADS[kind]
    server = serve({**START, "scripts/part.lua": text}, "--dev")
    assert "serves" in server.errors()
    for path in ("/", "/file.txt", "/any?x=1"):
        page = Page(server, path)
        assert page.status == 503 and place in page.text and message in page.text
        assert page.tags <= TAGS and page.here
    assert message.split("<")[0] in server.errors() and "\n\t>     " in server.errors()
    (server.folder / "scripts/part.lua").write_text("return 'mended'\n")
    assert b"mended" in ask(server, "/").body
    assert ask(server, "/file.txt").body == b"a file"


def test_a_start_that_fails_differently_shows_the_last(serve):
    server = serve({**START, "scripts/part.lua": "error('first')\n"}, "--dev")
    part = server.folder / "scripts/part.lua"
    assert "first" in Page(server, "/").text
    part.write_text("error('second')\n")
    assert "second" in Page(server, "/").text
    assert "The scripts that ran before" not in server.errors()
    part.write_text("error('first')\n")
    assert "first" in Page(server, "/").text
    part.write_text("return 'fine'\n")
    assert b"fine" in ask(server, "/").body
    part.write_text("error('third')\n")
    assert b"fine" in ask(server, "/").body
    eventually(lambda: "The scripts that ran before go on" in server.errors())


def test_a_host_that_may_be_somebody_elses_gets_the_plain_pages(serve, dev):
    failed = serve({**START, "scripts/part.lua": "error('secret word')\n"}, "--dev")
    assert b"secret word" in ask(failed, "/", HTML).body
    answer = ask(failed, "/", HTML, host="evil.example")
    assert answer.status == 503 and b"Service Unavailable" in answer.body
    for word in (b"secret", b"scripts/", b"<script", b"lunette"):
        assert word not in answer.body
    for path, status in (("/deep", 500), ("/tpl", 500), ("/nothing", 500), ("/wait", 500), ("/page/fails", 418)):
        answer = ask(dev, path, HTML, host="evil.example")
        assert answer.status == status and not re.search(rb"scripts/|<script|Stack|lunette|row", answer.body)
    assert b"without" in ask(dev, "/own/error", host="evil.example").body


def test_without_dev_a_start_that_fails_ends(make_site):
    from running import start_fails
    assert "first" in start_fails(make_site({**START, "scripts/part.lua": "error('first')\n"}))
