"""The commands that look into a site without serving it: routes, why, check and repl, on small sites."""
import os
import pty
import select
import shlex
import signal
import subprocess
import time

import pytest
import requests

from conftest import LUNETTE, Server, eventually
from running import make_folder, new_folder, preloadable

ENV = {name: value for name, value in os.environ.items() if name != "LUNETTE_SECRET"}


def lunette(folder, words, text=None, env=None):
    """Runs a command in a folder: the finished process."""
    return subprocess.run([LUNETTE, *shlex.split(words)], cwd=folder, input=text, text=True, timeout=60,
                          stdin=None if text is not None else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**ENV, **(env or {})},
                          check=False)


def said(folder, words, code=0, **more):
    done = lunette(folder, words, **more)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout


SITE = {
    "scripts/main.lua": """\
        local app = require "lunette"
        local function log(req, handle) return handle(req) end
        app.use(log)
        app.use("/admin", function(req, handle) return handle(req) end, { files = false })
        app.get("/", function() return "start" end)
        app.get("/notes/:id{int}", { name = "note", cache = 60, max_body = "20M" }, function() end)
        app.get("/notes/new", function() end)
        app.post("/notes/:id{int}", { use = { log }, stream_body = true, timeout = "5s" }, function() end)
        app.any("/admin/*rest", { gzip = false, strict = true }, function() end)
        app.group("/api", { query = { page = "integer" } }, function(g)
            g.get("/:what", { etag = true }, function() end)
            g.on_error(404, function() end)
        end)
        app.host("api.example.com", function(h)
            h.get("/notes/new", function() end)
        end)
        app.static("/photos", "album", { max_age = 60, listing = true })
        app.on_error("*", function() end)
        """,
    "scripts/talk.lua": "return function() print 'said' end",
    "album/moon.jpg": "x",
    "site/style.css": "x",
    "site/docs/index.html": "x",
}


# routes

def rows(text):
    return [line.split() for line in text.splitlines()]


def test_routes_lists_what_is_declared(make_site):
    folder = make_site(SITE)
    text = said(folder, "routes")
    lines = text.splitlines()
    assert lines[0].split() == ["METHOD", "HOST", "PATTERN", "NAME", "MIDDLEWARE", "OPTIONS", "HANDLER"]
    at = lines[0].index("PATTERN")
    assert all(line[at:at + 1] == "/" for line in lines[1:8]), "columns are aligned"
    m = "scripts/main.lua"
    assert rows(text)[1:9] == [
        ["GET", "/", f"{m}:2", f"{m}:5"],
        ["GET", "/notes/:id{int}", "note", f"{m}:2", "max_body=20M", "cache=60s", f"{m}:6"],
        ["GET", "/notes/new", f"{m}:2", f"{m}:7"],
        ["POST", "/notes/:id{int}", f"{m}:2,", f"{m}:2", "timeout=5s", "stream_body", f"{m}:8"],
        ["any", "/admin/*rest", f"{m}:2,", f"{m}:4", "gzip=false", "strict", f"{m}:9"],
        ["GET", "/api/:what", f"{m}:2", "etag", "query", f"{m}:11"],
        ["GET", "api.example.com", "/notes/new", f"{m}:2", f"{m}:15"],
        [],
    ]
    assert rows(text)[9:] == [
        ["FILES", "FOLDER", "OPTIONS", "DECLARED"],
        ["/photos/*", "album", "listing", "max_age=60", f"{m}:17"],
        [],
        ["ERROR", "BENEATH", "PAGE"],
        ["404", "/api", f"{m}:12"],
        ["*", "/", f"{m}:18"],
        [],
        ["site/:", "2", "public", "files,", "where", "no", "route", "matches"],
    ]
    assert "\x1b" not in text
    assert not (folder / "data").exists()
    assert said(folder.parent, f"routes {folder}") == text


def test_routes_of_middleware_that_a_module_made(make_site):
    folder = make_site({"scripts/main.lua": """\
        local app = require "lunette"
        app.use(require "lunette.session".middleware {})
        app.use("/:user{%a+}", function(req, handle) return handle(req) end)
        app.get("/:any", function() end)
        """})
    assert rows(said(folder, "routes"))[1] == [
        "GET", "/:any", "lunette.session", "(scripts/main.lua:2),", "scripts/main.lua:3", "(by", "path)",
        "scripts/main.lua:4"]


def test_routes_of_a_site_that_declares_nothing(make_site):
    assert said(make_site({"site/a.txt": "x"}), "routes") == (
        "no routes are declared\n\nsite/: 1 public file, where no route matches\n")
    assert said(make_site({"scripts/main.lua": ""}), "routes") == (
        "no routes are declared\n\nno folder site/: there are no public files\n")


def test_routes_of_a_site_that_does_not_load(make_site):
    folder = make_site({"scripts/main.lua": "local app = require 'lunette'\nerror 'not today'"})
    done = lunette(folder, "routes")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("lunette: scripts/main.lua:2: not today\n")


# why

def test_why_a_route_answers(make_site):
    folder = make_site(SITE)
    text = said(folder, "why GET '/notes/7?page=2&q=a+b'")
    assert text.splitlines() == [
        "GET /notes/7?page=2&q=a+b is answered by the route GET /notes/:id{int}",
        "  handler     scripts/main.lua:6",
        "  name        note",
        "  params      id = 7",
        "  options     max_body=20M cache=60s",
        '  query       page = "2", q = "a b"',
        "  middleware  1. scripts/main.lua:2",
        "  errors      scripts/main.lua:18",
        "",
        "not by",
        "  POST /notes/:id{int}            scripts/main.lua:8   it answers POST only",
        '  GET /notes/new                  scripts/main.lua:7   "7" is not "new"',
        '  any /admin/*rest                scripts/main.lua:9   "notes" is not "admin"',
        '  GET /api/:what                  scripts/main.lua:11  "notes" is not "api"',
        '  GET api.example.com /notes/new  scripts/main.lua:15  "7" is not "new"',
    ]
    assert not (folder / "data").exists()


WHYS = [
    ("post /notes/7", "POST /notes/7 is answered by the route POST /notes/:id{int}",
     ["  1. scripts/main.lua:2", "  2. scripts/main.lua:2", "it answers GET only"]),
    ("HEAD /notes/7", "HEAD /notes/7 is answered by the route GET /notes/:id{int}", []),
    ("GET /notes/new", "is answered by the route GET /notes/new",
     ['"new" does not match :id{int}', "it is for the host api.example.com"]),
    ("GET http://api.example.com:81/notes/new", "by the route GET api.example.com /notes/new",
     ["scripts/main.lua:15", "the host api.example.com has a route of its own"]),
    ("GET http://API.Example.COM./notes/new", "by the route GET api.example.com /notes/new", []),
    ("GET http://me@api.example.com/notes/new", "by the route GET api.example.com /notes/new", []),
    ("GET http://[::1]:80/", "is answered by the route GET /", []),
    ("GET http://other.example.com/notes/new#top", "is answered by the route GET /notes/new", []),
    ("GET http://localhost", "is answered by the route GET /\n", []),
    ("GET /notes/abc", "is a 404 Not Found: no route matches, and there is no such file",
     ['"abc" does not match :id{int}', '"abc" is not "new"', "  errors      scripts/main.lua:18"]),
    ("PUT /notes/7", "is a 405 Method Not Allowed: the path has GET, HEAD, OPTIONS, POST",
     ["it answers GET only", "it answers POST only"]),
    ("OPTIONS /notes/7", "is answered by itself: Allow: GET, HEAD, OPTIONS, POST", []),
    ("OPTIONS *", "is answered with every method that there is", []),
    ("DELETE /admin/a/b", "by the route any /admin/*rest",
     ['params      rest = "a/b"', "1. scripts/main.lua:2", "2. scripts/main.lua:4"]),
    ("GET /api/x", "by the route GET /api/:what",
     ["404: scripts/main.lua:12", "others: scripts/main.lua:18", 'params      what = "x"']),
    ("GET /api/a%2Fb%20c", "by the route GET /api/:what", ['params      what = "a/b c"']),
    ("GET /api/x/y", "is a 404 Not Found", ["the path has one segment more"]),
    ("GET /photos/moon.jpg", "is answered by the file album/moon.jpg (app.static at scripts/main.lua:17)",
     []),
    ("GET /style.css", "is answered by the file site/style.css (the public files)", []),
    ("GET /docs/", "by the file site/docs/ (its index, or a listing) (the public files)", []),
    ("GET /docs", "is redirected to the folder, with a / at its end (the public files)", []),
    ("POST /style.css", "is a 405 Method Not Allowed: no route matches, and the file site/style.css has",
     []),
    ("OPTIONS /style.css", "is answered by itself: Allow: GET, HEAD, OPTIONS", []),
    ("GET /a%zz", "GET /a%zz is a 400 Bad Request: ", []),
    ("GET /../x", "is a 400 Bad Request: ", []),
    ("GET /style%2Fcss", "is a 404 Not Found", []),
]


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """SITE, once for all who only look."""
    from conftest import write_site
    folder = tmp_path_factory.mktemp("site")
    write_site(folder, SITE)
    return folder


@pytest.mark.parametrize("words, sentence, more", WHYS)
def test_why(example, words, sentence, more):
    text = said(example, "why " + words)
    assert sentence in text.splitlines()[0] + "\n"
    for part in more:
        assert part in text


WRONG_WHYS = [
    ("FETCH /", "FETCH is no method that routes have"),
    ("GTE /", 'GTE is no method that routes have (the nearest known one is "GET")'),
    ("GET style.css", "a path begins with /, a URL with http://: style.css does not"),
    ("GET ftp://x/y", "a path begins with /"),
    ("GET http:///x", "http:///x is no URL"),
    ("GET", "why takes 2 words"),
]


@pytest.mark.parametrize("words, sentence", WRONG_WHYS)
def test_why_what_cannot_be_asked(example, words, sentence):
    done = lunette(example, "why " + words)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr


def test_why_names_twenty_others_at_most(make_site):
    routes = "".join(f"app.get('/r{i}', function() end)\n" for i in range(50))
    text = said(make_site({"scripts/main.lua": "local app = require 'lunette'\n" + routes}), "why GET /x")
    assert text.count('"x" is not "r') == 20 and "  and 30 more that are less like it\n" in text


def test_why_does_what_a_server_does(serve):
    """The same requests, asked and made."""
    site = serve(SITE)
    for target, status in [("/notes/abc", 404), ("/style.css", 200), ("/docs", 308), ("/a%zz", 400),
                           ("/photos/moon.jpg", 200), ("/photos/none.jpg", 404), ("/", 200)]:
        assert site.get(target).split()[1] == b"%d" % status
        line = said(site.folder, f"why GET {target}").splitlines()[0]
        word = {200: "is answered by", 308: "is redirected"}.get(status, f"is a {status} ")
        assert word in line, line


def test_commands_see_what_a_server_on_all_addresses_would(make_site):
    """--dev would refuse to listen there; these commands listen nowhere."""
    folder = make_site({
        "scripts/main.lua": "", "scripts/config.lua":
        "return { listen = { '0.0.0.0:80' }, metrics = '0.0.0.0:9145' }"})
    assert said(folder, "check") == "no errors: 2 scripts, 0 views, 0 routes\n"
    assert "no routes" in said(folder, "routes")


def test_why_metrics_and_health_answer(make_site):
    folder = make_site({"scripts/main.lua": "", "scripts/config.lua":
                        "return { metrics = '/figures', health = '127.0.0.1:9145' }"})
    assert said(folder, "why GET /figures") == (
        "GET /figures is answered by the server itself: it is config.lua's metrics\n")
    assert "is a 404" in said(folder, "why GET /health")


# check

def check(make_site, files, code=1, words="check"):
    return said(make_site(files), words, code).splitlines()


def test_check_of_a_site_without_mistakes(make_site):
    folder = make_site({**SITE, "scripts/views/a.html": "<p>{{ x }}</p>", "scripts/lib/x.lua": "return 1"})
    assert said(folder, "check") == "no errors: 3 scripts, 1 view, 7 routes\n"
    assert not (folder / "data").exists()
    assert lunette(folder, "check").stderr == ""


def test_check_reports_everything(make_site):
    lines = check(make_site, {
        "scripts/main.lua": """\
            local app = require "lunette"
            app.get("/", function() return coutner end)
            first = 1
            """,
        "scripts/lib/broken.lua": "local x = 1\nx = = 2\n",
        "scripts/lib/unused.lua": "local function f()\n  total = prnt(1)\nend\nreturn f",
        "scripts/views/bad.html": "<p>\n{{ x",
        "scripts/views/child.html": '{% extends "nowhere.html" %}',
        "scripts/views/mail/note.txt": "{% if x then %}\n",
        "scripts/config.lua": "return { workers = n_workers }",
    })
    assert lines == [
        "scripts/config.lua:1: error: undeclared global 'n_workers' is read",
        "scripts/lib/broken.lua:2: error: unexpected symbol near '='",
        "scripts/lib/unused.lua:2: error: undeclared global 'prnt' is read (did you mean 'print'?)",
        "scripts/lib/unused.lua:2: error: undeclared global 'total' is assigned (say local total, or "
        "declare it with rawset(_G, 'total', ...))",
        "scripts/main.lua:2: error: undeclared global 'coutner' is read",
        "scripts/main.lua:3: error: undeclared global 'first' is assigned (say local first, or declare it "
        "with rawset(_G, 'first', ...))",
        "scripts/views/bad.html:2: error: {{ without }}, or a string in it that does not end",
        "scripts/views/child.html:1: error: extends: scripts/views/nowhere.html cannot be read: No such "
        "file or directory",
        "scripts/views/mail/note.txt:1: error: this 'if' is not ended",
        "9 errors, 0 warnings",
    ]


FAILURES = [
    ("local t = nil\nt.x = 1", "scripts/main.lua:2: error: attempt to index a nil value (local 't')"),
    ("x = = 1", "scripts/main.lua:1: error: unexpected symbol near '='"),
    ("local a = 1\nrequire 'nowhere'", "scripts/main.lua:2: error: module 'nowhere' not found"),
    ("\nrequire 'lib'", "scripts/lib.lua:3: error: unexpected symbol near <eof>"),
    ("\nerror 'by hand'", "scripts/main.lua:2: error: by hand"),
    ("\n\nerror({})", "scripts/main.lua:3: error: (error object is a table value)"),
    ("local app = require 'lunette'\napp.static('/x', 'nowhere')",
     "scripts/main.lua:2: error: app.static: the folder "),
    ("local app = require 'lunette'\napp.gte('/')", "scripts/main.lua:2: error: app.gte is unknown"),
    ("\nstring.rep()", "scripts/main.lua:2: error: bad argument #1 to 'rep'"),
    ("error('scripts/main.lua:99999999999999999999999: boo', 0)", "scripts/main.lua: error: boo"),
    ("while true do end", "scripts/main.lua:1: error: Lua ran for longer than timeouts.cpu"),
]


@pytest.mark.parametrize("text, line", FAILURES)
def test_check_of_scripts_that_do_not_load(make_site, text, line):
    files = {"scripts/main.lua": text}
    if "while true" in text:  # the others end by themselves, however slowly
        files["scripts/config.lua"] = "return { timeouts = { cpu = 0.5 } }"
    if "lib" in text:
        files["scripts/lib.lua"] = "\n\nreturn {"
    lines = check(make_site, files)
    assert lines[0].startswith(line) and lines[1:] == ["1 error, 0 warnings"], lines


@pytest.mark.parametrize("kind, words", [
    ("fifo", "is a pipe, and no file"), ("folder", "is a folder, and no file"),
    ("loop", "is a link that leads in a circle, and no file"), ("nowhere", "is a link that leads nowhere, and no file")])
def test_a_main_lua_that_is_no_file_is_told(make_site, kind, words):
    folder = make_site({"scripts/lib.lua": "return {}", "tests/a_test.lua": ""})
    main = folder / "scripts/main.lua"
    if kind == "fifo":
        os.mkfifo(main)
    elif kind == "folder":
        main.mkdir()
    else:
        main.symlink_to("main.lua" if kind == "loop" else "none.lua")
    lines = said(folder, "check", 1).splitlines()
    assert lines[0].startswith("scripts/main.lua: error: ") and words in lines[0]
    assert lines[1:] == ["1 error, 0 warnings"]
    for command in ("routes", "why GET /", "test"):
        done = lunette(folder, command)
        assert done.returncode == 1 and words in done.stdout + done.stderr, done
    main.rmdir() if kind == "folder" else main.unlink()
    assert said(folder, "check").startswith("no errors: 1 script")


@pytest.mark.parametrize("words", ["check", "routes", "test"])
def test_a_site_that_waits_while_it_is_loaded_is_given_up(make_site, words):
    folder = make_site({
        "scripts/main.lua": "local task = require 'lunette.task'\nwhile true do task.sleep(0.05) end",
        "scripts/config.lua": "return { timeouts = { cpu = '10m' } }", "tests/a_test.lua": ""})
    done = lunette(folder, words, env=preloadable("fast"))
    text = done.stdout + done.stderr
    assert done.returncode == 1 and "scripts/main.lua still waits after 60 s, while it is loaded" in text, done


def test_check_shows_what_a_terminal_would_follow(make_site):
    lines = check(make_site, {"scripts/main.lua": "error('\\27[31m')", "scripts/\x1b[31m\x9b.lua": "x"})
    assert lines[0].startswith("scripts/\\x1B[31m\\u{9B}.lua:1: error: ")
    assert lines[1] == "scripts/main.lua:1: error: \\x1B[31m"


def test_check_of_a_wrong_setting(make_site):
    folder = make_site({"scripts/main.lua": "", "scripts/config.lua": "return {\n  wrokers = 2 }"})
    lines = said(folder, "check", 1).splitlines()
    assert lines[0].startswith("scripts/config.lua:2: error: ") and "workers" in lines[0]
    assert lines[1:] == ["1 error, 0 warnings"]
    assert lunette(folder, "routes").stderr.startswith("lunette: scripts/config.lua:2: ")
    other = folder / "other.lua"
    other.write_text("return {}")
    assert said(folder, "check --config other.lua").startswith("no errors")
    other.write_text("return 5")
    assert said(folder, "check --config other.lua", 1).startswith("other.lua: error: ")
    missing = lunette(folder, "check --config none.lua")
    assert missing.returncode == 1 and missing.stdout.startswith("none.lua: error: No such")


def test_check_warns_of_routes(make_site):
    lines = check(make_site, {"scripts/main.lua": """\
        local app = require "lunette"
        app.get("/a/:x{.+}", function() end)
        app.any("/a/:y", function() end)
        app.get("/b/:x{%d+}", function() end)
        app.get("/b/:y{%w+}", function() end)
        app.get("/c/:x{int}", function() end)
        app.get("/c/:x", function() end)
        """}, code=0)
    assert lines == [
        "scripts/main.lua:3: warning: any /a/:y is never reached by GET, HEAD: GET /a/:x{.+} at "
        "scripts/main.lua:2 always wins",
        "scripts/main.lua:5: warning: GET /b/:y{%w+} is ambiguous: GET /b/:x{%d+} at scripts/main.lua:4 "
        "matches /b/0 too, and wins because it is declared first",
        "no errors, 2 warnings: 1 script, 0 views, 6 routes",
    ]


def test_check_knows_which_globals_are_declared(make_site):
    lines = check(make_site, {
        "scripts/main.lua": """\
            rawset(_G, "shared", 1)
            local unpack = table.unpack or unpack
            local old = loadstring
            require "defines"
            return shared, made_by_a_library, later, _G.maybe
            """,
        "scripts/other.lua": 'local function f() rawset(_G, "later", shared) end return f',
        "scripts/defines.lua": "return require 'installed'",
        "lua_modules/share/lua/5.4/installed.lua": "made_by_a_library = 1 return made_by_a_library",
    }, code=0)
    assert lines == ["no errors: 3 scripts, 0 views, 0 routes"]


SECRET = {"scripts/main.lua": """\
    local app = require "lunette"
    local crypto = require "lunette.crypto"
    app.use(require "lunette.session".middleware {})
    app.use("/own", require "lunette.session".middleware { secret = ("x"):rep(32) })
    app.get("/", function() return crypto.sign("x") end)
    app.get("/own", function() return crypto.sign("x", { secret = "mine" }) end)
    """}


def test_check_misses_a_secret(make_site):
    lines = check(make_site, SECRET)
    assert [line.split(" and config.lua")[0] for line in lines] == [
        "scripts/main.lua:3: error: sessions need a secret,",
        "scripts/main.lua:5: error: crypto.sign needs a secret,",
        "2 errors, 0 warnings",
    ]
    nothing = {"scripts/config.lua": "return { workers = 1, site = { secrets = 'secret' } } -- secret = 1"}
    assert check(make_site, {**SECRET, **nothing}) == lines


def test_check_warns_where_the_environment_has_no_secret(make_site):
    folder = make_site({
        **SECRET, "scripts/config.lua": "return { secret = os.getenv 'LUNETTE_SECRET' }"})
    lines = said(folder, "check").splitlines()
    assert [line.split(" and that of config.lua is nil here")[0] for line in lines] == [
        "scripts/main.lua:3: warning: sessions need a secret,",
        "scripts/main.lua:5: warning: crypto.sign needs a secret,",
        "no errors, 2 warnings: 2 scripts, 0 views, 2 routes",
    ]
    assert said(folder, "check", env={"LUNETTE_SECRET": "s" * 32}).startswith("no errors: ")


def test_check_compiles_views_where_they_are_included(make_site):
    lines = check(make_site, {
        "scripts/views/page.html": '<script>if (1) { {% include "part.js" %} }</script>\n'
                                   '{% include "gone.html" %}\n<b title="{% include "title.txt" %}">\n',
        "scripts/views/part.js": "if (a <b) go({{ x }});",     # a tag, were it HTML
        "scripts/views/title.txt": "{{ x }}",
        "scripts/views/loop.html": '{% include "loop.html" %}',
        "scripts/views/by_name.html": "{% include name %}",
    })
    assert lines == [
        "scripts/views/page.html:2: error: include: scripts/views/gone.html cannot be read: No such file "
        "or directory",
        "1 error, 0 warnings",
    ]
    lines = check(make_site, {
        "scripts/views/page.html": '<style>a { {% include "part.html" %} }</style>',
        "scripts/views/part.html": "\n</style><{{ x }}>",
    })
    assert lines[0].startswith("scripts/views/part.html:2: error: ")


def test_what_scripts_write_while_commands_look_is_gone(make_site):
    folder = make_site({"scripts/main.lua": """\
        local app = require "lunette"
        local file = assert(io.open(app.data .. "/made", "w"))
        file:write("x")
        file:close()
        """})
    temp = folder / "temp"
    temp.mkdir()
    for words in ["check", "routes", "why GET /"]:
        said(folder, words, env={"TMPDIR": str(temp)})
        assert not (folder / "data").exists() and list(temp.iterdir()) == []


def test_looking_leaves_data_alone(make_site):
    main = """\
        local app = require "lunette"
        local db = require "lunette.sqlite".open("site.db")
        db:migrate { "create table notes (id integer primary key)", "drop table if exists notes" }
        assert(not io.open(app.data .. "/words.txt", "a+"):read("a"):find "word")
        """
    folder = make_site({"scripts/main.lua": main, "data/words.txt": "word", "data/site.db": "of an older version"})
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (folder / "data").iterdir()}
    for words in ["check", "routes", "why GET /"]:
        done = lunette(folder, words)
        assert (done.returncode, done.stderr) == (0, ""), done
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (folder / "data").iterdir()} == before
    (folder / "scripts/main.lua").write_text('assert(io.open(require "lunette".data .. "/words.txt"))')
    done = lunette(folder, "check")
    assert done.returncode == 1 and "words.txt: No such file" in done.stdout
    assert done.stderr == "lunette: the site was loaded with an empty folder as its data: " \
        f"{folder.resolve()}/data is left alone\n"


@pytest.fixture
def owned():
    """A site of another user than root, in a place that he can get to: a function of its files."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files to another user")

    def make(files, owner=4321):
        folder = make_folder(files)
        folder.parent.chmod(0o755)
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, owner, owner)
            path.chmod(0o700 if path.is_dir() else 0o600)
        return folder
    return make


OWNED = {
    "scripts/main.lua": """\
        local app = require "lunette"
        require "lunette.sqlite".open("site.db"):migrate { "create table notes (id integer primary key)" }
        assert(io.open(app.data .. "/made", "w")):close()
        app.get("/", function() return "start" end)
        """,
    "tests/a_test.lua": """\
        local test = require "lunette.test"
        test("it", function() test.expect(test.client.get("/").body).equals("start") end)
        """,
}
WHO = 'io.open("/proc/self/status"):read("a"):match("Uid:%s+(%d+)")\n'


@pytest.mark.parametrize("words", ["check", "routes", "why GET /", "test"])
def test_root_finds_a_site_of_another_user_as_healthy_as_it_is(owned, words):
    folder = owned(OWNED)
    (temp := new_folder()).chmod(0o1777)
    done = lunette(folder, words, env={"TMPDIR": str(temp)})
    assert (done.returncode, done.stderr) == (0, ""), (done.stdout, done.stderr)
    assert not (folder / "data").exists() and list(temp.iterdir()) == []


def test_what_root_makes_in_the_prompt_belongs_to_the_owner_of_the_site(owned):
    folder = owned(OWNED)
    out, _ = repl(folder, WHO)
    assert out == '"4321"\n'
    assert {path.stat().st_uid for path in [folder / "data", *(folder / "data").iterdir()]} == {4321}


def test_a_site_that_its_owner_cannot_get_to_stays_roots(owned):
    folder = owned(OWNED, owner=0)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    os.chown(folder, 4321, 4321)
    folder.chmod(0o755)
    folder.parent.chmod(0o700)  # root's home, as it were
    done = lunette(folder, "test")
    assert (done.returncode, done.stderr) == (0, ""), (done.stdout, done.stderr)
    out, _ = repl(owned({"scripts/main.lua": ""}, owner=0), WHO)
    assert out == '"0"\n'


def test_a_file_of_roots_names_whom_root_becomes(owned):
    folder = owned({**OWNED, "scripts/config.lua": "return { user = '4322' }"}, owner=0)
    (folder / "data").mkdir()
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    os.chown(folder / "data", 4322, 4322)
    repl(folder, "1\n")
    assert (folder / "data/made").stat().st_uid == 4322
    os.chown(folder / "scripts/config.lua", 4323, 4323)  # one of another's does not
    (folder / "scripts/main.lua").write_text("")
    assert repl(folder, WHO)[0] == '"0"\n'


UID = 'io.open("/proc/self/status"):read("a"):match("Uid:%s+(%d+)")'
SAYS_WHO = {
    "scripts/config.lua": f"return {{ site = {{ who = {UID} }} }}",
    "scripts/main.lua": f"""\
        local app = require "lunette"
        local loaded = {UID}
        app.get("/", function() return ("%s %s %s"):format(app.settings.who, loaded, {UID}) end)
        """,
}


@pytest.mark.parametrize("owner, arguments, who", [
    (4321, (), "4321"), (0, (), "0"), (0, ("--user", "4322"), "4322"), (4321, ("--user", "4322"), "4322")])
def test_dev_by_root_is_the_owner_of_the_folder_from_the_settings_on(owned, owner, arguments, who):
    folder = owned(SAYS_WHO, owner)
    if arguments:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
    server = Server(folder, ("--dev", *arguments))
    try:
        assert requests.get(server.url(), timeout=20).text == f"{who} {who} {who}"
        assert f"as {'root' if who == '0' else who}:" in server.errors()
        (folder / "scripts/other.lua").write_text("")  # and so after it is loaded again
        (folder / "scripts/other.lua").chmod(0o644)
        server.wait_for(r"reloaded \(1\)")
        assert requests.get(server.url(), timeout=20).text == f"{who} {who} {who}"
    finally:
        server.stop()


def test_dev_by_root_stays_root_where_the_owner_has_no_way(owned):
    folder = owned(SAYS_WHO)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    folder.parent.chmod(0o700)
    server = Server(folder, ("--dev",))
    try:
        assert requests.get(server.url(), timeout=20).text == "0 0 0"
    finally:
        server.stop()


LOADING = ["check", "routes", "why GET /", "test", "repl", "serve --dev --listen 127.0.0.1:0"]


@pytest.mark.parametrize("words", LOADING)
@pytest.mark.parametrize("closed, mode", [("site", 0o007), ("above", 0o007), ("of a group", 0o705)])
def test_no_mode_of_a_folder_makes_root_run_what_is_another_users(owned, words, closed, mode):
    marks = {name: f'io.open("{new_folder()}/{name}", "w")' for name in ("main", "config")}
    folder = owned({"scripts/main.lua": marks["main"], "scripts/config.lua": marks["config"] + " return {}",
                    "tests/a_test.lua": OWNED["tests/a_test.lua"]})
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    last = folder if closed == "site" else folder.parent
    if closed == "above":
        folder.chmod(0o755)
        os.chown(last, 4321, 4321)
    if closed == "of a group":
        folder.chmod(0o755)
        os.chown(last, 0, 4321)
    last.chmod(mode)
    done = lunette(folder, words, text="")
    assert done.returncode == 1 and "may not read" in done.stdout + done.stderr, done
    os.chown(last, 0, 0)
    last.chmod(0o755)
    assert not [mark for mark in marks.values() if os.path.exists(mark.split('"')[1])]


@pytest.mark.parametrize("words", LOADING)
@pytest.mark.parametrize("name", ["scripts/config.lua", "scripts/main.lua", "scripts/lib.lua"])
def test_root_reads_nothing_for_the_owner_of_a_site_that_he_may_not_read(owned, words, name):
    files = {"scripts/main.lua": 'require "lib"', "scripts/lib.lua": "return {}", "tests/a_test.lua": OWNED["tests/a_test.lua"]}
    folder = owned({**files, "scripts/config.lua": "return {}"})
    secret = folder.parent / "secret.lua"
    secret.write_text("hushhush = hushhush hushhush")
    secret.chmod(0o600)
    (folder / name).unlink()
    (folder / name).symlink_to(secret)
    done = lunette(folder, words, text="")
    assert done.returncode == 1 and "hushhush" not in done.stdout + done.stderr, done
    assert "ermission denied" in done.stdout + done.stderr or "may not read" in done.stderr, done


# repl

def repl(folder, text, code=0):
    done = lunette(folder, "repl", text=text)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout, done.stderr


PIECES = [
    ("1 + 1", "2\n"),
    ("1, 'x', nil, true", '1\t"x"\tnil\ttrue\n'),
    ("", ""), ("   ", ""), ("-- nothing", ""),
    ("x = 7\nx * 6", "42\n"),
    ("local y = 7\ny", "nil\n"),
    ("function f(n)\n  return n + 1\nend\nf(1)", "2\n"),
    ("for i = 1, 2 do\nprint(i, 'a')\nend", "1\ta\n2\ta\n"),
    ("x = [[a\nb]]\nx", '"a\\nb"\n'),
    ("{ b = 1, a = { 2 } }", "{ a = { 2 }, b = 1 }\n"),
    ("{1,\n2}", "{ 1, 2 }\n"),
    ("json.encode { a = 1 }, url.quote 'a b'", '"{\\"a\\":1}"\t"a%20b"\n'),
    ("app.url_for('note', { id = 7 })", '"/notes/7"\n'),
    ("local before = time.now() task.sleep(0.05) return time.now() - before >= 0.05", "true\n"),
    ("task.all { function() task.sleep(0.01) return 1 end, function() return 2 end }", None),
    ("require 'lunette' == app, _G.app", "true\tnil\n"),
    ("no_such_name, pages, console", "nil\tnil\tnil\n"),
    ("require 'talk'()", "said\n"),
    ("#string.rep('x', 1e6)", "1000000\n"),
]


@pytest.mark.parametrize("text, out", PIECES)
def test_repl(example, text, out):
    done = lunette(example, "repl", text=text + "\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == out if out is not None else done.stdout
    assert "> " not in done.stdout, "no prompt"


def test_repl_goes_on_after_errors(example):
    out, errors = repl(example, "local function f() error 'oops' end f()\n1\ny.z\n2\n)\n3\n"
                                "app.abort(404, 'gone')\nerror({})\n4\n")
    assert out == "1\n2\n3\n4\n"
    assert errors.splitlines() == [
        "repl:1: oops", "\trepl:1: in function 'f'", "\trepl:1: in main chunk",
        "repl:1: attempt to index a nil value (global 'y')", "\trepl:1: in main chunk",
        "repl:1: unexpected symbol near ')'",
        "404 gone",
        "(error object is a table value)", "\trepl:1: in main chunk",
    ]


@pytest.mark.parametrize("text", ["error 'x'", "1\n)", "function f()", "x = [[", "('x'):rep(-1, 2, 3)()"])
def test_the_exit_status_is_that_of_the_last_piece(example, text):
    _, errors = repl(example, text, 1)
    assert "repl:1: " in errors
    repl(example, "error 'x'\n1\n", 0)


def test_repl_of_lines_without_an_end(example):
    out, errors = repl(example, "x" * (1 << 20) + "\n1\n")
    assert (out, errors) == ("1\n", "a line has more than 1048575 bytes\n")
    repl(example, "'" + "x" * (1 << 20), 1)
    out, errors = repl(example, "x =\n" + ("'" + "x" * 9990 + "' ..\n") * 105 + ")\n2\n", 0)
    assert errors.startswith("code has more than 1048576 bytes\n") and out == "2\n"


def test_repl_reads_files_and_pipes(example, tmp_path):
    code = tmp_path / "code.lua"
    code.write_text("1\n2")
    with code.open() as file:
        done = subprocess.run([LUNETTE, "repl", str(example)], stdin=file, capture_output=True, text=True,
                              timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n2\n")
    done = lunette(example, "repl")  # /dev/null
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_repl_lets_tasks_go_on_while_it_reads(example):
    with subprocess.Popen([LUNETTE, "repl", str(example)], stdin=subprocess.PIPE, text=True, bufsize=1,
                          stdout=subprocess.PIPE) as process:
        process.stdin.write("task.spawn(function() task.sleep(0.05) print 'later' end) print 'now'\n")
        assert process.stdout.readline() == "now\n"
        assert process.stdout.readline() == "later\n", "nothing was typed meanwhile"
        process.stdin.close()
        assert process.wait(20) == 0


def test_repl_of_a_site_that_does_not_load(make_site):
    done = lunette(make_site({"scripts/main.lua": "error 'no'"}), "repl", text="1\n")
    assert (done.returncode, done.stdout) == (1, "") and "scripts/main.lua:1: no" in done.stderr


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, folder, *words, env=None):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(LUNETTE, [LUNETTE, *words], {**ENV, "TERM": "xterm", **(env or {})})

    def wait_for(self, text, seconds=20):
        """Reads until text comes; what came up to it."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            left = end - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], f"no {text!r}: {self.seen!r}"
            try:
                self.seen += os.read(self.fd, 65536).decode().replace("\r\n", "\n")
            except OSError:
                assert text in self.seen, f"no {text!r} to the end: {self.seen!r}"
        before, self.seen = self.seen.split(text, 1)
        return before

    def type(self, text):
        os.write(self.fd, text.encode())
        return self

    def end(self):
        """Reads to the end; the exit status."""
        try:
            while more := os.read(self.fd, 65536):
                self.seen += more.decode()
        except OSError:
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def terminal(example):
    t = Terminal(example, "repl")
    t.wait_for("Control-D ends\n> ")
    yield t
    t.type("\n\x04")
    assert t.end() == 0


def test_repl_has_prompts_on_a_terminal(terminal):
    terminal.type("1 + 1\n").wait_for("2\n> ")
    terminal.type("f(\n").wait_for(">> ")
    terminal.type("1)\n").wait_for("attempt to call a nil value (global 'f')")
    terminal.wait_for("\n> ")


def test_control_c_drops_what_is_typed(terminal):
    terminal.type("x = {\n").wait_for(">> ")
    terminal.type("1, 2\x03").wait_for("^C\n> ")
    terminal.type("x\n").wait_for("nil\n> ")


@pytest.mark.parametrize("code", [
    "task.sleep(1000)", "while true do end", "for i in function() return 1 end do end",
    "task.all { function() task.sleep(1000) end }",
    "coroutine.wrap(function() while true do end end)()",
])
def test_control_c_ends_what_runs(terminal, code):
    terminal.type("print 'begun' " + code + "\n").wait_for("begun\n")
    time.sleep(0.1)  # until it is at it
    terminal.type("\x03").wait_for("interrupted")
    terminal.wait_for("\n> ")
    terminal.type("40 + 2\n").wait_for("42\n> ")


def test_control_c_twice_ends_code_that_goes_on(example):
    t = Terminal(example, "repl")
    t.type("function asleep() print 'asleep' end\n")
    t.type("while true do task.spawn(asleep) print(pcall(task.sleep, 1000)) end\n").wait_for("asleep\n")
    t.type("\x03").wait_for("false\t")
    t.wait_for("asleep\n")
    t.type("\x03")
    assert t.end() == -signal.SIGINT


def test_colours_are_for_terminals(example):
    t = Terminal(example, "routes")
    t.wait_for("\x1b[1mMETHOD")
    assert t.end() == 0
    t = Terminal(example, "routes", env={"NO_COLOR": "1"})
    t.wait_for("site/:")
    assert t.end() == 0 and "\x1b" not in t.seen


# The command line

HELP = [("check", "error"), ("routes", "middleware"), ("why", "METHOD"), ("repl", "prompt"), ("test", "tests"),
        ("serve", "--listen"), ("limits", "limit"), ("status", "control"), ("reload", "control"),
        ("stop", "control")]


@pytest.mark.parametrize("command, word", HELP)
def test_pages_of_commands(place, command, word):
    page = said(place, f"help {command}")
    assert page.startswith(("lunette " + command, "lunette [" + command)) and word in page
    assert said(place, f"{command} --help") == page == said(place, f"{command} -h")
    assert max(map(len, page.splitlines())) <= 100


WRONG_WORDS = [
    ("chekc x", "did you mean 'check'?"), ("reutes", "did you mean 'routes'?"),
    ("help wyh", "did you mean 'why'?"),
    ("routes --tap", "lunette routes takes no --tap (see lunette routes --help)"),
    ("check --dev", "lunette check takes no --dev"),
    ("repl --confg=x", "did you mean --config?"),
    ("why GET / a b", "one folder is enough"),
    ("check a b", "one folder is enough"),
]


@pytest.mark.parametrize("words, sentence", WRONG_WORDS)
def test_wrong_words(place, words, sentence):
    done = lunette(place, words)
    assert (done.returncode, done.stdout) == (2, "") and sentence in done.stderr


def test_folders_that_are_no_sites(place):
    for words in ["check", "routes", "repl", "why GET /", "check nowhere"]:
        done = lunette(place, words)
        assert (done.returncode, done.stdout) == (1, "") and "lunette: " in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_an_interrupted_look_leaves_nothing(make_site, number):
    folder = make_site({"scripts/main.lua": """\
        assert(io.open(require "lunette".data .. "/begun", "w")):close()
        require "lunette.task".sleep(1000)
        """})
    temp = folder / "temp"
    temp.mkdir()
    t = Terminal(folder, "check", env={"TMPDIR": str(temp)})
    eventually(lambda: list(temp.glob("*/begun")), 20)
    if number == signal.SIGINT:
        t.type("\x03")
    else:
        os.kill(t.pid, number)
    assert t.end() == 128 + number and list(temp.iterdir()) == []


def test_a_look_that_is_ended_at_any_moment_leaves_nothing(make_site):
    folder = make_site({"scripts/main.lua": 'require "lunette.task".sleep(1000)'})
    temp = folder / "temp"
    temp.mkdir()
    for i in range(40):
        with subprocess.Popen([LUNETTE, "check", folder], stdout=subprocess.DEVNULL,
                              env={**ENV, "TMPDIR": str(temp)}) as process:
            time.sleep(i * 0.001)
            process.send_signal(signal.SIGTERM)
            # By the signal itself as long as there is nothing to remove.
            assert process.wait(20) in (-signal.SIGTERM, 128 + signal.SIGTERM), i
        assert list(temp.iterdir()) == [], i


def test_a_look_that_may_not_be_hung_up_goes_on(make_site):
    folder = make_site({"scripts/main.lua": """\
        assert(io.open(require "lunette".data .. "/begun", "w")):close()
        require "lunette.task".sleep(0.5)
        """})
    temp = folder / "temp"
    temp.mkdir()
    with subprocess.Popen(["nohup", LUNETTE, "check", folder], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, env={**ENV, "TMPDIR": str(temp)}) as process:
        eventually(lambda: list(temp.glob("*/begun")), 20)
        process.send_signal(signal.SIGHUP)
        assert "no errors: " in process.stdout.read()
    assert process.returncode == 0 and list(temp.iterdir()) == []


@pytest.mark.parametrize("top", ["temp", "."])
def test_data_has_an_absolute_path_whatever_the_environment_says(make_site, top):
    folder = make_site({"scripts/main.lua": 'assert(require "lunette".data:find("^/tmp/lunette%-%w+$"))'})
    (folder / "temp").mkdir()
    assert "no errors: " in said(folder, "check", env={"TMPDIR": top})
    assert sorted(path.name for path in folder.iterdir()) == ["scripts", "temp"]
