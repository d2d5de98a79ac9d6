"""Route options that hold requests against schemas: forms, JSON, queries and paths from real clients."""
import pytest
import requests

SITE = {
    "scripts/main.lua": """
        local app = require "lunette"
        local validate = require "lunette.validate"
        local note = validate.schema {
          title = { "string", min = 1, max = 80, trim = true, label = "The title" },
          page = { "integer", default = 1, min = 1 },
          tags = { "array", of = { "string", max = 10 }, max = 3, default = {} },
          public = { "boolean", default = false },
        }
        app.post("/form", { form = note }, function(req) return app.json(req.valid) end)
        app.post("/json", { json = {
          title = { "string", min = 1 }, count = "integer", price = { "number", optional = true },
          owner = { "object", fields = { name = "string", mail = { "email", optional = true } } },
          lines = { "array", of = { "object", fields = { n = "integer" } }, default = {} },
        } }, function(req) return app.json(req.valid) end)
        app.get("/list/:id", { params = { id = { "integer", min = 1 } },
          query = { sort = { "string", one_of = { "up", "down" }, default = "up" }, after = { "date", optional = true } },
        }, function(req) return app.json(req.valid) end)
        app.post("/page", { form = { mail = "email" }, invalid = function(req, errors)
          return app.render("form.html", { mail = req.form.mail, errors = errors })
        end }, function(req) return app.redirect("/thanks", 303) end)
        app.post("/strict", { json = validate.schema({ a = "integer" }, { strict = true }) }, function(req)
          return app.json(req.valid)
        end)
        app.on_error(422, function(req, err)
          local out = { "<h1>" .. err.status .. "</h1>" }
          for name, sentence in pairs(err.data.errors) do out[#out + 1] = name .. ": " .. sentence end
          return table.concat(out)
        end)
        """,
    "scripts/views/form.html": """\
        <form method="post"><input name="mail" value="{{ mail }}">{% if errors.mail then %}
        <p>{{ errors.mail }}</p>
        {% end %}</form>
        """,
}


@pytest.fixture
def server(serve):
    return serve(SITE, "--workers", "1")


def post(server, path, **options):
    return requests.post(server.url(path), timeout=20, **options)


def test_a_form_becomes_values(server):
    answer = post(server, "/form", data={"title": "  Moon ü ", "page": "2", "tags": ["a", "b"], "public": "on",
                                         "csrf_token": "x"})
    assert answer.json() == {"title": "Moon ü", "page": 2, "tags": ["a", "b"], "public": True}
    answer = post(server, "/form", files={"title": (None, "t"), "page": (None, ""), "tags": (None, "one")})
    assert answer.json() == {"title": "t", "page": 1, "tags": ["one"], "public": False}
    assert post(server, "/form", data={"title": "t"}).json()["tags"] == []


def test_every_error_is_in_the_problem(server):
    answer = post(server, "/form", data={"title": " ", "page": "0", "tags": ["a", "x" * 11], "public": "maybe"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "accept" in answer.headers["vary"].lower()
    assert answer.json() == {
        "type": "about:blank", "title": "Unprocessable Content", "status": 422,
        "detail": "The request has fields that are not valid.",
        "errors": {"title": "The title must not be empty", "page": "page must be at least 1",
                   "tags[2]": "tags[2] must have at most 10 characters", "public": "public must be true or false"},
    }
    assert "422 POST /form: The title must not be empty; page must be at least 1" in server.errors()


def test_a_browser_gets_the_page_for_422(server):
    answer = post(server, "/form", data={"title": "t", "page": "x"},
                  headers={"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"})
    assert answer.status_code == 422
    assert answer.text == "<h1>422</h1>page: page must be an integer"


def test_json_has_its_own_types(server):
    value = {"title": "t", "count": 9007199254740993, "price": 0.5, "owner": {"name": "n", "more": 1},
             "lines": [{"n": 1}, {"n": 2}], "other": [1]}
    answer = post(server, "/json", json=value)
    del value["other"], value["owner"]["more"]
    assert answer.json() == value
    answer = post(server, "/json", json={"title": None, "count": "5", "price": True, "owner": {"mail": "x"},
                                         "lines": [{"n": 1}, {}, 5, None]})
    assert answer.status_code == 422 and answer.json()["errors"] == {
        "title": "title is required", "count": "count must be an integer", "price": "price must be a number",
        "owner.name": "owner.name is required", "owner.mail": "owner.mail must be an email address",
        "lines[2].n": "lines[2].n is required", "lines[3]": "lines[3] must be an object",
        "lines[4]": "lines[4] is required"}
    assert post(server, "/json", json={"title": "t", "count": 5.0, "owner": {"name": "n"}}).json() == {
        "title": "t", "count": 5, "owner": {"name": "n"}, "lines": []}


def test_json_that_is_none(server):
    for options, status in [({"data": "{}"}, 415), ({"data": "{", "headers": {"Content-Type": "application/json"}}, 400),
                            ({"json": [1]}, 422)]:
        assert post(server, "/json", **options).status_code == status, options


def test_paths_and_queries(server):
    def get(path):
        answer = requests.get(server.url(path), timeout=20)
        return answer.json().get("errors", answer.json())
    assert get("/list/7?sort=down&after=2024-02-29") == {"id": 7, "sort": "down", "after": "2024-02-29"}
    assert get("/list/7?after=") == {"id": 7, "sort": "up"}
    assert get("/list/x?sort=side&after=2023-02-29") == {
        "id": "id must be an integer", "sort": "sort must be one of up, down",
        "after": "after must be a date like 2026-02-28"}


def test_the_form_again_with_what_is_wrong(server):
    answer = post(server, "/page", data={"mail": '"<x>'})
    assert answer.status_code == 422, server.errors()
    assert answer.text == ('<form method="post"><input name="mail" value="&quot;&lt;x&gt;">\n'
                           "<p>mail must be an email address</p>\n</form>\n")
    answer = post(server, "/page", data={"mail": "a@b.org"}, allow_redirects=False)
    assert answer.status_code == 303 and answer.headers["location"] == "/thanks"


def test_unknown_fields_of_a_strict_schema(server):
    assert post(server, "/strict", json={"a": 1}).json() == {"a": 1}
    assert post(server, "/strict", json={"a": 1, "aa": 2, "<b>": 3}).json()["errors"] == {
        "aa": 'aa is not known (the nearest known one is "a")', "<b>": "<b> is not known"}


def test_hostile_json_costs_little(server):
    answer = post(server, "/json", json={"title": "t", "count": 1, "owner": {"name": "n"}, "lines": [5] * 200_000})
    assert answer.status_code == 422 and len(answer.json()["errors"]) == 100
    answer = post(server, "/strict", json={"a": 1} | {"x" * 50 + str(n): n for n in range(20_000)})
    assert answer.status_code == 422 and len(answer.content) < 20_000
