"""lunette check, on small sites."""
import pytest

from commands import SITE, lunette, said


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
