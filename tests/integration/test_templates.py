"""Pages out of scripts/views: what a browser makes of hostile values, errors with file and line, reloads."""
import json
import random
import re
import signal
import threading
import time

import pytest
import requests
from selenium.webdriver.common.by import By

from conftest import eventually
from test_browser import browser  # noqa: F401: a fixture

SITE = {
    "scripts/main.lua": """
        local app = require "lunette"
        local template = require "lunette.template"
        app.view(function(req) return { site = "Moon & Co", who = "everybody" } end)
        app.get("/", { name = "home" }, function(req)
          return app.render("page.html", { title = "<Notes>", notes = { "a<b", "c" }, who = "you" }, 201,
            { ["X-Made"] = "by hand" })
        end)
        app.get("/hostile", function(req) return app.render("hostile.html", { v = req.query.v }) end)
        app.get("/text", function(req) return app.text(template.render("part.html", { note = "&" })) end)
        app.get("/bad/:name", function(req)
          local page = app.render(req.params.name, { title = "x" })
          return page
        end)
        app.get("/named", function(req) return app.render(req.query.name) end)
        app.on_error(404, function(req, err) return app.render("404.html", { err = err }) end)
        """,
    "scripts/views/layout.html": """\
        <!doctype html>
        <title>{% block title %}{{ site }}{% endblock %}</title>
        {% block main %}{% endblock %}
        <p>{{ who }} {{ req.path }} <a href="{{ url_for("home", {}, { a = "1&2" }) }}">home</a></p>
        """,
    "scripts/views/page.html": """\
        {% extends "layout.html" %}
        {% block title %}{{ title }} | {{ super() }}{% endblock %}
        {% block main %}
        <ul>
        {% for _, note in ipairs(notes) do %}
          {% include "part.html", { note = note } %}
        {% end %}
        </ul>
        {% endblock %}
        """,
    "scripts/views/part.html": "<li>{{ note }}</li>\n",
    "scripts/views/404.html": "<h1>{{ err.status }}</h1>{{ req.path }}",
    "scripts/views/names.html": "a\nb\n{{ titel }}\n",
    "scripts/views/nil.html": "\n\n\n{{ title.x.y }}\n",
    "scripts/views/syntax.html": "\n{{ 1 + }}\n",
    "scripts/views/attribute.html": "<p>\n<a href={{ title }}>\n",
    "scripts/views/inner.html": "\n\n{% include 'nil.html' %}\n",
    "scripts/views/hostile.html": """\
        <!doctype html><meta charset="utf-8">
        <title>{{ v }}</title>
        <p id="text">{{ v }}</p>
        <!-- {{ v }} -->
        <textarea id="area">{{ v }}</textarea>
        <b id="dq" title="{{ v }}"></b><b id="sq" title='{{ v }}'></b><b id="data" data-v='{{ json({ v }) }}'></b>
        <a id="url" href="{{ v }}">url</a><a id="path" href="/p/{{ v }}">path</a>
        <a id="query" href="/hostile?x=1&amp;v={{ v }}#{{ v }}">query</a>
        <img id="img" src="{{ v }}" srcset="{{ v }} 2x" alt="">
        <form id="form" action="{{ v }}"><button formaction="{{ v }}"></button></form>
        <iframe src="{{ v }}"></iframe>
        <svg><a xlink:href="{{ v }}"><text>x</text></a><animate attributeName="href" values="{{ v }}"/></svg>
        <b id="click" onclick="clicked = {{ v }}; quoted = '{{ v }}'; again = &quot;{{ v }}&quot;">click</b>
        <b id="styled" style="color: {{ v }}; font-family: '{{ v }}'; background: url('{{ v }}')">styled</b>
        <style>#none { color: {{ v }}; content: "{{ v }}" }</style>
        <script>
          // it's "a" `comment`
          var code = {{ v }}, table = {{ { v, n = nil } }}, dq = "{{ v }}", sq = '{{ v }}', tpl = `x${1}{{ v }}`;
          var within = `${ {{ v }} }`, nothing = {{ vars.nothing }}, ratio = 6 / {{ 2 }} / 3;
        </script>
        <script type="application/json" id="island">{{ { v = v } }}</script>
        <script>done = true</script>
        """,
}


@pytest.fixture
def server(serve):
    return serve(SITE, "--workers", "1")


def get(server, path, **options):
    return requests.get(server.url(path), timeout=20, **options)


def test_a_page_of_a_layout_blocks_and_parts(server):
    answer = get(server, "/")
    assert answer.text == """\
<!doctype html>
<title>&lt;Notes&gt; | Moon &amp; Co</title>
<ul>
<li>a&lt;b</li>
<li>c</li>
</ul>

<p>you / <a href="/?a=1%262">home</a></p>
"""
    assert answer.status_code == 201 and answer.headers["x-made"] == "by hand"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert get(server, "/text").text == "<li>&amp;</li>\n"


def test_an_error_page_is_a_view(server):
    answer = get(server, "/nowhere%3Cb%3E")
    assert answer.status_code == 404 and answer.text == "<h1>404</h1>/nowhere&lt;b&gt;"


@pytest.mark.parametrize("name, line, sentence", [
    ("names.html", 3, "undefined name 'titel' (did you mean 'title'?)"),
    ("nil.html", 4, "attempt to index a nil value (field 'x')"),
    ("syntax.html", 2, "unexpected symbol near"),
    ("attribute.html", 2, "{{ title }} cannot be escaped here: put the value of the attribute in quotes"),
])
def test_errors_have_the_file_and_the_line(server, name, line, sentence):
    answer = get(server, "/bad/" + name)
    assert answer.status_code == 500 and "scripts/views" not in answer.text
    assert f"500 GET /bad/{name}: scripts/views/{name}:{line}: {sentence}" in server.errors()


def test_the_traceback_goes_through_the_views(serve):
    server = serve(SITE, "--dev")
    answer = get(server, "/bad/inner.html")
    for place in ("scripts/views/nil.html:4", "scripts/views/inner.html:3", "scripts/main.lua:12"):
        assert place in answer.text
    assert "lunette/template" not in answer.text
    assert "scripts/views/none.html cannot be read" in get(server, "/bad/none.html").text
    for name in ("../main.lua", "/etc/passwd", "a\\b", "a/./b", "", "page.html\0"):
        answer = get(server, "/named", params={"name": name})
        assert answer.status_code == 500 and "is no name of a view" in answer.text


def test_views_are_never_sent_as_files(server):
    assert get(server, "/scripts/views/page.html").status_code == 404
    assert get(server, "/views/page.html").status_code == 404


def test_a_reload_takes_views_that_changed(server):
    (server.folder / "scripts/views/part.html").write_text("<li>new {{ note }}")
    assert get(server, "/text").text == "<li>&amp;</li>\n", "until then those of the generation"
    server.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: get(server, "/text").text == "<li>new &amp;")


def test_a_view_may_wait_while_others_are_written(serve):
    server = serve({
        "scripts/main.lua": """
            local app = require "lunette"
            local task = require "lunette.task"
            app.get("/:n", function(req)
              return app.render("v.html", { n = req.params.n, wait = function() task.sleep(0.1) return "" end })
            end)
            """,
        "scripts/views/base.html": "[{% block b %}{% endblock %}]",
        "scripts/views/v.html": "{% extends 'base.html' %}{% block b %}{% mine = n %}{{ n }}{{ wait() }}"
                                "{% include 'part.html', { m = n } %}{{ mine }}{% endblock %}",
        "scripts/views/part.html": "{{ m }}{{ wait() }}{{ n }}",
    }, "--workers", "1")
    texts = {}

    def ask(n):
        texts[n] = get(server, f"/{n}").text
    threads = [threading.Thread(target=ask, args=(n,)) for n in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert texts == {n: f"[{n}{n}{n}{n}]" for n in range(10)}


def test_a_view_that_never_ends_is_cut(serve):
    server = serve({
        "scripts/config.lua": "return { timeouts = { cpu = 1 } }",
        "scripts/main.lua": 'require "lunette".get("/", function() return require "lunette".render("v.html") end)',
        "scripts/views/v.html": "\n{% while true do %}{% end %}",
    }, "--workers", "1")
    start = time.monotonic()
    assert get(server, "/").status_code == 503 and time.monotonic() - start < 15
    assert "scripts/views/v.html:2" in server.errors()


# --- hostile values ---

ALERT = "window.hacked=1"
HOSTILE = [
    f"<script>{ALERT}</script>", f"\"><script>{ALERT}</script>", f"'><img src=x onerror={ALERT}>",
    f"</title></textarea></style></script><script>{ALERT}</script>", f"--><script>{ALERT}</script>",
    f"--!><script>{ALERT}</script><!--", f"javascript:{ALERT}", f" \x01JaVaScRiPt:{ALERT}",
    f"java\tscript:{ALERT}", f"java\nscript:{ALERT}", f"data:text/html,<script>{ALERT}</script>",
    f"vbscript:{ALERT}", f"\";{ALERT};\"", f"';{ALERT};'", f"`;{ALERT};`", f"${{{ALERT}}}", f"\\\";{ALERT}//",
    f"\\';{ALERT}//", f"\n{ALERT}\n", f"\u2028{ALERT}\u2029", f"*/{ALERT}/*", f");{ALERT}//",
    f"<!--<script>{ALERT}", f"red; background: url(javascript:{ALERT})", f"}} * {{ x: expression({ALERT}) }}",
    f"\" onmouseover=\"{ALERT}\" x=\"", f"&quot;;{ALERT};&quot;", f"&#x22;;{ALERT}//", "ü & <b> \\ / % # ?",
    f"javascript&colon;{ALERT}", f"//x/\"{ALERT}", f"x\\", "\\u0022;" + ALERT, f"]]><script>{ALERT}</script>",
    "\x7f\x1b\"", f"javascript:/*--></title></style></textarea></script></xmp><svg/onload='+/\"/+/onmouseover=1/+/[*/[]/+{ALERT}//'>",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_browser_sees_hostile_values_as_values(server, browser, value):
    browser.get(server.url("/hostile?") + requests.compat.urlencode({"v": value}))
    browser.execute_script("document.getElementById('click').click()")
    page = browser.execute_script("""
        const id = (name) => document.getElementById(name);
        return { hacked: window.hacked, done: window.done, scripts: document.scripts.length,
          elements: document.querySelectorAll('*').length,
          strings: [code, table[0], dq, sq, tpl.slice(2), within, clicked, quoted, again,
                    JSON.parse(id('island').textContent).v],
          nothing, ratio, attributes: [id('dq').title, id('sq').title, JSON.parse(id('data').dataset.v)[0]],
          text: id('text').textContent, area: id('area').value, title: document.querySelector('title').textContent,
          handlers: [...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames())
            .filter(n => n.startsWith('on')),
          urls: [id('url').href, id('form').action, id('img').src, document.querySelector('iframe').src],
          path: id('path').pathname, query: new URL(id('query').href).searchParams.get('v'),
          hash: decodeURIComponent(new URL(id('query').href).hash.slice(1)),
          font: id('styled').style.fontFamily, sheet: document.styleSheets.length };
        """)
    assert page["hacked"] is None and page["done"] is True
    assert page["scripts"] == 3 and page["handlers"] == ["onclick"]
    shown = value.replace("\r\n", "\n")
    assert set(page["strings"]) == {value}, json.dumps(page)
    assert page["nothing"] is None and page["ratio"] == 1
    assert set(page["attributes"]) == {value} and page["text"] == shown
    assert page["title"] == shown
    assert page["area"] == (shown[1:] if shown.startswith("\n") else shown)
    for url in page["urls"]:
        assert url.split(":")[0] in ("http", "https", "about"), url
    assert page["path"].startswith("/p/") and page["query"] == value and page["hash"] == value
    clean = browser.execute_script("return document.querySelectorAll('*').length")
    browser.get(server.url("/hostile?v=plain"))
    assert browser.execute_script("return document.querySelectorAll('*').length") == clean


# --- does a browser agree on where values stand? ---

PIECES = ["{{ v }}", "{{ v }}", "{{ v }}", "{{ v }}", "<p>", "</p>", "<p ", "<a href=\"", "<a href='", "<img src=\"", " title=\"",
          " title='", " class=x", " onclick=\"", " onclick='", " style=\"", " checked", "\"", "'", "\"", "'", ">", ">", "/>", "=", " ", "\n",
          "<!--", "-->", "--!>", "<!", "<?", "</", "<", "</ ", "<script>", "</script>", "<style>", "</style>", "<title>", "</title>",
          "<textarea>", "</textarea>", "<SCRIPT ", "</Script ", "<svg>", "</svg>", "<math>", "<select>", "<table>", "<template>",
          "<noscript>", "</noscript>", "<xmp>", "</xmp>", "<iframe>", "</iframe>", "&quot;", "&amp;", "a", "/", "?", "#", ":", "//",
          "javascript:", "`", "${", "}", "{", ";", "\\", "/*", "*/", "(", ")", "url(", "<input ", "<option ", "type=\"", "text/x-y",
          "{% if w then %}", "{% else %}", "{% end %}", "{% for i = 1, 2 do %}", "{% end %}", "{% end %}", "<!-->", "<!--->", "<plaintext>"]
MARKUP = [("<p>", "</p>"), ('<p title="', '">'), ("<a href='", "'>"), ('<a href="/x?', '">x</a>'), ("<!-- ", " -->"),
          ("<title>", "</title>"), ("<textarea>", "</textarea>"), ("<svg>", "</svg>"), ("{% if w then %}", "{% end %}"),
          ("<select><option>", "</select>"), ("<script>", "</script>"), ("<style>", "</style>"), ('<b style="', '">'),
          ("<b onclick='", "'>"), ("<table><td>", "</table>"), ("<p{% if w then %} x{% end %} title='", "'>"), ("< ", ""),
          ("<iframe src='", "'></iframe>"), ("<math><mi>", "</math>"), ('<img alt=x srcset="', '">'), ("<noscript>", "</noscript>"),
          ("{% for i = 1, 2 do %}", "{% end %}"), ("<svg><style>", "</style></svg>"), ("<svg><title>", "</title></svg>")]
HARMLESS = "zz"
TRIES = ["<script>hacked</script>", "\"><script>hacked</script>", "' onfocus=hacked x='", "\" onfocus=hacked x=\"", "` onfocus=hacked",
         "-->x<script>hacked</script>", "</title></textarea></style></script></xmp></iframe><img hacked>", "javascript:hacked",
         " onfocus=hacked ", "!--", "/script>", "script", "\\", "=\"x", ">"]
SHAPE = """
    const shape = (text) => {
      const out = [], urls = [];
      const walk = (node) => {
        for (const child of [...node.childNodes, ...(node.content ? node.content.childNodes : [])]) {
          if (child.nodeType == 1) {
            out.push('<' + child.nodeName, ...child.getAttributeNames());
            for (const name of ['href', 'src', 'xlink:href', 'action'])
              if (/^[\\0-\\x20]*(j\\s*a\\s*v\\s*a\\s*s\\s*c\\s*r\\s*i\\s*p\\s*t|d\\s*a\\s*t\\s*a)\\s*:.*hacked/i.test(child.getAttribute(name) || ''))
                urls.push(child.getAttribute(name));
            walk(child);
            out.push('>');
          } else if (child.nodeType == 8) out.push('!');
        }
      };
      walk(new DOMParser().parseFromString(text, 'text/html'));
      return [out.join(' '), urls];
    };
    return arguments[0].flatMap(({ text, plain, hostile }) => {
      const [wanted] = shape(plain);
      return hostile.filter(page => { const [got, urls] = shape(page); return got != wanted || urls.length; })
        .map(page => [text, page]);
    });
    """
COMPILER = {
    "scripts/main.lua": """
        local app = require "lunette"
        local template = require "lunette.template"
        app.post("/", { max_body = "16M" }, function(req)
          local asked, out = req.json, require "lunette.json".array {}
          for _, text in ipairs(asked.texts) do
            local ok, write = pcall(template.compile, text)
            local ran, plain = pcall(ok and write or error, { v = asked.plain, w = asked.w })
            if ok and ran then
              local hostile = {}
              for i, v in ipairs(asked.hostile) do hostile[i] = write { v = v, w = asked.w } end
              out[#out + 1] = { text = text, plain = plain, hostile = hostile }
            end
          end
          return app.json(out)
        end)
        """,
}


def around_a_value(rng, pieces, around):
    """A value or two with random pieces beside it, within some of what surrounds values."""
    text = "{{ v }}".join("".join(rng.choice(pieces) for _ in range(rng.randrange(3))) for _ in range(rng.randrange(2, 4)))
    for _ in range(rng.randrange(1, 4)):
        before, after = rng.choice(around)
        text = before + text + after
    return text + "".join(rng.choice(pieces) for _ in range(rng.randrange(3)))


def compare(server, browser, rng, count):
    texts = [around_a_value(rng, PIECES, MARKUP) for _ in range(count)]
    texts = [t for t in texts if "{{" in t and "{{{" not in t]
    answer = requests.post(server.url("/"), timeout=60, json={
        "texts": texts, "plain": HARMLESS, "hostile": TRIES, "w": rng.random() < 0.5})
    assert answer.status_code == 200, server.errors()
    found = answer.json()
    return len(found), browser.execute_script(SHAPE, found)


def test_no_value_changes_what_a_browser_makes_of_a_page(serve, browser):
    server, rng, compared = serve(COMPILER, "--workers", "1"), random.Random(5), 0
    browser.get(server.url("/"))
    for _ in range(4):
        count, different = compare(server, browser, rng, 1000)
        compared += count
        assert different == []
    assert compared > 250


CODE = ["{{ v }}", "{{ v }}", "{{ v }}", "'", "\"", "`", "'", "\"", "`", "${", "}", "{", "/", "/", "//", "/*", "*/", "\n", " ", ";", ";",
        "a", "1", "(", ")", "[", "]", "=", "+", "++", ",", "\\", "return ", "typeof ", "x = ", "x.y", "g", "if (a) ", "<!--", "-->",
        "{% if w then %}", "{% else %}", "{% end %}", "=> ", "...", "\u2028"]
AROUND = [("a = ", ""), ("a = '", "'"), ('a = "', '"'), ("a = `", "`"), ("`${", "}`"), ("a/", "/1"), ("g(", ")"), ("[", "]"),
          ("// '\n", ""), ("/* ' */ ", ""), ("/x'/.test(a) + ", ""), ("a = {b: ", "}"), ("{", "}"), ("'\\\\", "'"), ("a++ / ", "")]
CODE_TRIES = ["hack()", "\";hack();\"", "';hack();'", "`;hack();`", "${hack()}", "\nhack()\n", "*/hack()/*", "/;hack();/", "\\",
              "+hack()+", ");hack();(", "]};hack();", "\u2028hack()", "\\\";hack();//", "--><!--", "x/hack()/x", "\r\nhack();//"]
RUN = """
    let hacked;
    const hack = () => { hacked = true; };
    const run = (code) => {
      hacked = false;
      let f;
      try { f = new Function('hack', 'var a = 1, x = {}, g = 2; ' + code + '\\n'); } catch { return null; }
      try { f(hack); } catch {}
      return hacked;
    };
    const code = (text) => new DOMParser().parseFromString(text, 'text/html').querySelector('script,b');
    const texts = (page) => { const e = code(page); return e.localName == 'b' ? e.getAttribute('onclick') : e.textContent; };
    let ran = 0;
    const bad = arguments[0].flatMap(({ text, plain, hostile }) => {
      ran += run(texts(plain)) === null ? 0 : 1;
      return hostile.filter(page => run(texts(page))).map(page => [text, page]);
    });
    return [ran, bad];
    """


def test_no_value_runs_as_code(serve, browser):
    server, rng, ran = serve(COMPILER, "--workers", "1"), random.Random(6), 0
    browser.get(server.url("/"))
    for _ in range(3):
        inner = [around_a_value(rng, CODE, AROUND) for _ in range(500)]
        texts = [rng.choice(["<script>%s</script>", "<script>%s</script>", "<b onclick=\"%s\"></b>", "<b onclick='%s'></b>"])
                 .replace("%s", t) for t in inner if "{{" in t and "{{{" not in t]
        answer = requests.post(server.url("/"), timeout=60, json={
            "texts": texts, "plain": HARMLESS, "hostile": CODE_TRIES, "w": rng.random() < 0.5})
        count, bad = browser.execute_script(RUN, answer.json())
        ran += count
        assert bad == []
    assert ran > 50


def test_a_form_with_its_token_and_what_is_flashed(serve):
    """Templates know the request that they are rendered for, with all that middleware put there."""
    server = serve({
        "scripts/main.lua": """
            local app = require "lunette"
            local session, csrf = require "lunette.session", require "lunette.csrf"
            app.use(session.middleware{})
            app.use(csrf.middleware{ field = "proof" })
            app.get("/", function(req)
              req.user = "me"
              return coroutine.wrap(function() return app.render("form.html") end)()
            end)
            app.post("/", function(req)
              session.flash(req, "ok", "saved <x>")
              return app.redirect("/", 303)
            end)
            """,
        "scripts/config.lua": 'return { secret = ("secret"):rep(6) }',
        "scripts/views/form.html": """
            <p>{{ req.user }}</p>
            {% for _, f in ipairs(flashes) do %}<p class="{{ f.kind }}">{{ f.text }}</p>{% end %}
            <form method="post">{{ csrf_field }}</form>
            """,
    })
    with requests.Session() as visitor:
        page = visitor.get(server.url("/")).text
        assert "<p>me</p>" in page
        token = re.search('name="proof" value="([^"]+)"', page)[1]
        assert visitor.post(server.url("/"), data={"proof": "x"}).status_code == 403
        page = visitor.post(server.url("/"), data={"proof": token}).text
        assert '<p class="ok">saved &lt;x&gt;</p>' in page
        assert "saved" not in visitor.get(server.url("/")).text
