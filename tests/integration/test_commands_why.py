"""lunette why, on small sites."""
import pytest

from commands import SITE, example, lunette, said


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


def test_why_metrics_and_health_answer(make_site):
    folder = make_site({"scripts/main.lua": "", "scripts/config.lua":
                        "return { metrics = '/figures', health = '127.0.0.1:9145' }"})
    assert said(folder, "why GET /figures") == (
        "GET /figures is answered by the server itself: it is config.lua's metrics\n")
    assert "is a 404" in said(folder, "why GET /health")
