"""lunette routes, on small sites."""
from commands import SITE, lunette, said


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
