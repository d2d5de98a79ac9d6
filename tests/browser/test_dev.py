"""--dev in a browser: what is saved is seen at once, and what goes wrong is shown."""
import textwrap

import pytest

STYLE = "body { color: rgb(%d, 0, 0) }\n"
PAGE = """<!doctype html><html><head><title>site</title>
<link rel="stylesheet" href="/css/style.css"></head><body><p id="text">%s</p></body></html>
"""
MAIN = """
    local app = require "lunette"
    local part = require "part"
    app.get("/made", function()
      return app.html('<!doctype html><link rel="stylesheet" href="/css/style.css"><body><p id="text">'
        .. part.text() .. '</p></body>')
    end)
    """
PART = 'local part = {}\nfunction part.text()\n  %s\nend\nreturn part\n'
SITE = {
    "scripts/main.lua": MAIN,
    "scripts/part.lua": PART % 'return "one"',
    "site/index.html": PAGE % "one",
    "site/css/style.css": STYLE % 1,
}
TEXT = "document.querySelector('#text')?.innerText"
COLOR = "getComputedStyle(document.body).color"
COVER = "document.querySelector('lunette-failure')?.shadowRoot.querySelector('.cover')"


def put(server, name, text):
    path = server.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


@pytest.fixture
def server(serve):
    return serve(SITE, "--dev")


def opened(chromium, server, path, text="one"):
    """The page, whose script listens."""
    chromium.complaints()
    chromium.open(server.url(path)).until(f"{TEXT} === arguments[0]", text)
    chromium.until("window.lunetteLive")
    chromium.mark()


def until_loaded_again(chromium):
    """Until the page is another, whole one: whose style sheets are there."""
    chromium.until("!window.markOfTest && document.readyState === 'complete'")


@pytest.mark.parametrize("path, name, text", [
    ("/made", "scripts/part.lua", PART % 'return "two"'),
    ("/", "site/index.html", PAGE % "two"),
])
def test_an_open_page_shows_what_was_saved(chromium, server, path, name, text):
    opened(chromium, server, path)
    put(server, name, text)
    chromium.until(f"{TEXT} === 'two'")
    assert not chromium.is_marked()
    put(server, name, text.replace("two", "three"))
    chromium.until(f"{TEXT} === 'three'")


@pytest.mark.parametrize("path", ["/made", "/"])
def test_a_style_sheet_changes_without_a_page_load(chromium, server, path):
    opened(chromium, server, path)
    for red in (2, 3):
        put(server, "site/css/style.css", STYLE % red)
        chromium.until(f"{COLOR} === 'rgb({red}, 0, 0)'")
        chromium.until("document.querySelectorAll('link').length === 1")
    assert chromium.is_marked()
    put(server, "scripts/part.lua", PART % 'return "one"\n')
    until_loaded_again(chromium)
    assert chromium.run(COLOR) == "rgb(3, 0, 0)"


def test_an_imported_style_sheet_is_seen_too(chromium, server):
    put(server, "site/css/style.css", '@import "part.css";\n')
    put(server, "site/css/part.css", STYLE % 7)
    opened(chromium, server, "/")
    assert chromium.run(COLOR) == "rgb(7, 0, 0)"
    put(server, "site/css/part.css", STYLE % 8)
    chromium.until(f"{COLOR} === 'rgb(8, 0, 0)'")
    assert chromium.is_marked()


def test_an_error_is_shown_and_goes_away(chromium, server):
    opened(chromium, server, "/made")
    put(server, "scripts/part.lua", PART % 'local row = nil return row.text .. "<i>"')
    chromium.until_text("attempt to index a nil value (local 'row')")
    shown = chromium.text()
    assert "500 Internal Server Error" in shown and "scripts/part.lua:3" in shown
    assert chromium.run("document.querySelector('.here').innerText").startswith("3")
    assert chromium.run("document.querySelectorAll('main i').length") == 0
    assert "scripts/main.lua:6" in shown and "GET /made HTTP/1.1" in shown
    for width, dark in ((1280, False), (390, True)):
        chromium.resize(width, dark=dark)
        assert chromium.fits()
    assert "Content Security Policy" not in chromium.complaints()
    put(server, "scripts/part.lua", PART % 'return "mended"')
    chromium.until(f"{TEXT} === 'mended'")


def test_a_failed_reload_is_shown_over_the_page(chromium, server):
    opened(chromium, server, "/")
    put(server, "scripts/part.lua", PART % "return return")
    chromium.until(COVER)
    said = chromium.run(f"{COVER}.innerText")
    assert "The scripts cannot be loaded" in said and "scripts/part.lua:3" in said
    assert chromium.run(f"{TEXT}") == "one" and chromium.is_marked()
    chromium.until(f"getComputedStyle({COVER}).position === 'fixed'")
    put(server, "scripts/part.lua", PART % "return also return")
    chromium.until(f"{COVER}.innerText.includes('return also return')")
    put(server, "scripts/part.lua", SITE["scripts/part.lua"])  # as it was: nothing is loaded
    chromium.until(f"!{COVER}")
    assert chromium.is_marked()
    put(server, "scripts/part.lua", PART % "return return")
    chromium.until(COVER)
    put(server, "scripts/part.lua", PART % 'return "new"')
    until_loaded_again(chromium)
    assert not chromium.run(COVER)


@pytest.mark.parametrize("text, at, why, line", [
    ("return {\n  gzip = = 1,\n}\n", "scripts/config.lua:2", "unexpected symbol near '='", "> 2 | gzip = = 1,"),
    ("return {\n  limits = { connexions = 1 },\n}\n", "scripts/config.lua:2", "connexions",
     "> 2 | limits = { connexions = 1 },"),
    ("local t = nil\nreturn { site = t.x }\n", "scripts/config.lua:2", "attempt to index a nil value",
     "> 2 | return { site = t.x }"),
])
def test_settings_that_are_wrong_are_shown_over_the_page(chromium, server, text, at, why, line):
    opened(chromium, server, "/")
    put(server, "scripts/config.lua", text)
    chromium.until(COVER)
    said = chromium.run(f"{COVER}.innerText")
    assert at in said and why in said and line in " ".join(said.split())
    assert chromium.is_marked() and chromium.run(TEXT) == "one"
    put(server, "scripts/config.lua", "return {}\n")
    until_loaded_again(chromium)
    chromium.until(f"{TEXT} === 'one' && !{COVER}")


def test_a_page_that_is_opened_meanwhile_has_it_too(chromium, server):
    put(server, "scripts/part.lua", PART % "return return")
    chromium.open(server.url("/made"))
    chromium.until(COVER)
    assert chromium.run(TEXT) == "one"


def test_a_start_that_fails_is_mended(chromium, serve):
    server = serve({**SITE, "scripts/part.lua": "error('not <b>yet</b>')\n"}, "--dev")
    chromium.open(server.url("/made")).until_text("not <b>yet</b>")
    assert "scripts/part.lua:1" in chromium.text()
    put(server, "scripts/part.lua", "error('still not')\n")
    chromium.until(f"{COVER}?.innerText.includes('still not')")
    put(server, "scripts/part.lua", SITE["scripts/part.lua"])
    chromium.until(f"{TEXT} === 'one'")


@pytest.mark.parametrize("policy", [
    "", "csp = \"default-src 'none'; connect-src 'self'; script-src 'nonce-{nonce}'\""])
def test_a_policy_of_the_site_lets_the_script_in(chromium, serve, policy):
    secured = MAIN.replace("app.get", """
        app.use(require "lunette.secure".middleware{ %s })
        app.get""" % policy, 1)
    server = serve({**SITE, "scripts/main.lua": secured}, "--dev")
    opened(chromium, server, "/made")
    put(server, "scripts/part.lua", PART % "return return")
    chromium.until(COVER)
    chromium.until(f"getComputedStyle({COVER}).position === 'fixed'")
    put(server, "scripts/part.lua", PART % 'return "two"')
    chromium.until(f"{TEXT} === 'two'")


def test_a_server_that_starts_again_has_its_pages_loaded(chromium, serve, monkeypatch):
    server = serve(SITE, "--dev")
    opened(chromium, server, "/")
    server.stop()
    monkeypatch.setitem(serve.__globals__, "free_port", lambda: server.port)
    again = serve({**SITE, "site/index.html": PAGE % "again"}, "--dev")
    assert again.port == server.port
    chromium.until(f"{TEXT} === 'again'")


def test_without_dev_pages_are_as_they_are(chromium, serve):
    server = serve(SITE)
    chromium.open(server.url("/")).until(f"{TEXT} === 'one'")
    assert chromium.run("document.scripts.length") == 0
