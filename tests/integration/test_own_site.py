"""The repository's own site and its README: what a newcomer sees first.

Every page is read as a browser reads it: its links, pictures and forms are collected and asked for,
so that a new demonstration is tested by being there.
"""
import html
import os
import pathlib
import re
import subprocess
import time
import urllib.parse
from html.parser import HTMLParser

import pytest
import requests

from conftest import LUNETTE, Server
from own import PATHS, own_files

ROOT = pathlib.Path(__file__).parents[2]
FETCH = {"Accept": "text/plain, application/json, */*;q=0.5"}  # as site/demos.js asks


class Page(HTMLParser):
    """A page's links [(path, status it should have)], ids, forms, and files {name: text} that it
    shows; what stands in it as text."""

    def __init__(self, text):
        super().__init__()
        self.links, self.ids, self.forms, self.inline, self.samples = [], set(), [], [], {}
        self.form = self.select = self.sample = None
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.ids |= {a["id"]} if "id" in a else set()
        for name in ("href", "src"):
            if name in a:
                self.links.append((a[name], int(a.get("data-status", 200))))
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in a) else []
        self.inline += [name for name in a if name == "style" or name.startswith("on")]
        if tag == "form":
            self.form = {"action": a["action"], "fields": {}, "buttons": [], "files": [],
                         "type": a.get("data-type"), "enctype": a.get("enctype")}
            self.forms.append(self.form)
        elif tag == "input":
            if a.get("type") == "file":
                self.form["files"].append(a["name"])
            else:
                self.form["fields"][a["name"]] = [a["value"]]
        elif tag == "textarea":
            self.area = a["name"]
        elif tag == "select":
            self.select = self.form["fields"].setdefault(a["name"], [])
        elif tag == "button":
            self.form["buttons"].append((a.get("data-method", "GET"), a.get("formaction")))
        self.inside = tag
        if tag == "figure":
            self.sample = a.get("data-file")
        elif tag == "code" and self.sample:
            self.samples[self.sample] = ""

    def handle_endtag(self, tag):
        if tag == "figure":
            self.sample = None

    def handle_data(self, data):
        if self.inside == "textarea":
            self.form["fields"].setdefault(self.area, [data])
        elif self.inside == "option":
            self.select.append(data.strip()) if data.strip() else None
        elif self.sample in self.samples and self.inside != "figcaption":
            self.samples[self.sample] += data

    def requests(self):
        """Every (method, path, body) that the buttons send, for every choice of their fields; the
        body as arguments for requests."""
        for form in self.forms:
            for method, action in form["buttons"]:
                action = action or form["action"]
                names = re.findall(r"{(\w+)}", action)
                for value in form["fields"][names[0]] if names else [""]:
                    path = re.sub(r"{\w+}", urllib.parse.quote(value, safe=""), action)
                    fields = {k: v[0] for k, v in form["fields"].items()
                              if not k.startswith("header:")}
                    if not names and method == "GET" and fields:
                        path += "?" + "&".join(f"{k}={v}" for k, v in fields.items())
                    yield method, path, arguments_of(form, method, fields)


def arguments_of(form, method, fields):
    """What site/demos.js sends with a form, as arguments for requests; a picture for each file."""
    headers = {name[7:]: values[0] for name, values in form["fields"].items()
               if name.startswith("header:") and values[0]}
    if method == "GET":
        return {"headers": headers}
    if form["type"]:
        return {"data": fields["body"].encode(), "headers": headers | {"Content-Type": form["type"]}}
    if form["enctype"] == "multipart/form-data":
        picture = (ROOT / "site/moon.svg").read_bytes()
        return {"data": fields, "files": {name: ("moon.svg", picture) for name in form["files"]},
                "headers": headers}
    return {"data": fields if form["enctype"] else None, "headers": headers}


@pytest.fixture(params=[("--dev",), ("--workers", "2")], ids=["dev", "workers"])
def own(request, serve):
    """The repository's site as `make serve` serves it, and as a server without --dev would. It is a
    copy, since such a server may not read a repository in root's home."""
    return serve(own_files(), *request.param)


@pytest.fixture
def pages(own):
    """path → Page, for every page of the guide."""
    found = {}
    for path in PATHS.values():
        answer = requests.get(own.url(path), timeout=10)
        assert answer.status_code == 200, path
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        found[path] = Page(answer.text)
    return found


def test_every_link_and_file_of_every_page_is_there(own, pages):
    statuses = {}
    for at, page in pages.items():
        assert len(page.links) > 8
        for target, status in page.links:
            path, _, fragment = target.partition("#")
            assert path.startswith("/") or target.startswith("#"), f"{target} leads elsewhere"
            there = pages.get(path or at)
            assert not fragment or fragment in there.ids, f"{at}: {target}"
            statuses[path or at] = status
    for path, status in statuses.items():
        assert requests.get(own.url(path), timeout=10).status_code == status, path


def test_pages_keep_to_a_policy_without_inline_scripts_and_styles(own, pages):
    assert [path for path, page in pages.items() if page.inline] == []
    for path in (*pages, "/nowhere"):
        policy = requests.get(own.url(path), timeout=10).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy


def test_a_page_that_the_browser_has_is_not_sent_again(own):
    for path in PATHS.values():
        tag = requests.get(own.url(path), timeout=10).headers["ETag"]
        again = requests.get(own.url(path), headers={"If-None-Match": tag}, timeout=10)
        assert again.status_code == 304, path


def test_every_sample_is_the_file_that_runs(pages):
    samples = [sample for page in pages.values() for sample in page.samples.items()]
    assert len(samples) > 25
    for name, text in samples:
        assert text == (ROOT / name).read_text(), name


def test_every_button_gets_an_answer(own, pages):
    """Demonstrations of errors answer with the error that they are about; those of tokens and tags
    do, since nobody has fetched one."""
    expected = {"/demo/error": 500, "/demo/abort": 409, "/demo/order": 201, "/demo/purge": 204,
                "PUT /demo/note": 428, "DELETE /demo/session": 204, "POST /demo/csrf": 403}
    asked = [request for page in pages.values() for request in page.requests()]
    assert len(asked) > 50
    for method, path, arguments in asked:
        headers = FETCH | arguments.pop("headers", {})
        answer = requests.request(method, own.url(path), headers=headers, timeout=10, **arguments)
        code = re.match("/demo/status/(.*)", path)
        status = code[1] if code else expected.get(f"{method} {path}", expected.get(path, 200))
        assert answer.status_code == int(status), f"{method} {path}"
        assert "Server-Timing" in answer.headers or not answer.url.startswith(own.url("/demo/")), path


def test_the_demonstrations_show_what_they_say(own):
    with requests.Session() as browser:
        browser.headers.update(FETCH)

        def ask(path, method="GET"):
            return browser.request(method, own.url(path), timeout=10)

        assert ask("/hello/L%C3%BCne%2Fa").text == "Hello, Lüne/a!\n"
        assert ask("/square/12").text == "12 × 12 = 144\n"
        assert ask("/square/twelve").status_code == 404
        assert ask("/demo/query?night=a&night=b").json() == {
            "query_string": "night=a&night=b", "query": {"night": "b"},
            "query_all": {"night": ["a", "b"]}}
        assert ask("/demo/headers").json()["user-agent"].startswith("python-requests")
        assert ask("/demo/json").json()["largest"] == 2**63 - 1

        ask("/demo/cookie/almond", "POST")
        assert ask("/demo/cookie").json() == {"cookies": {"flavour": "almond"}}
        ask("/demo/cookie", "DELETE")
        assert browser.cookies.get("flavour") is None

        assert ask("/demo/redirect/303", "POST").text == "Landed with GET.\n"
        assert ask("/demo/redirect/307", "POST").text == "Landed with POST.\n"
        assert "Server-Timing" in ask("/demo/awake").headers


def test_the_stream_comes_line_by_line(own):
    with requests.get(own.url("/demo/stream"), stream=True, timeout=10) as answer:
        assert answer.headers["Transfer-Encoding"] == "chunked"
        arrivals = [(line, time.monotonic()) for line in answer.iter_lines(decode_unicode=True)]
    assert [line[-12:] for line, _ in arrivals] == [f"phase {n} of 8" for n in range(1, 9)]
    assert arrivals[-1][1] - arrivals[0][1] > 1  # seven pauses of a quarter second


def test_others_are_served_while_one_sleeps(own):
    """The sleeper is asked first, on a connection of its own, and answers last."""
    with own.connect() as sleeper:
        sleeper.sendall(b"GET /demo/sleep?seconds=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert requests.get(own.url("/demo/awake"), timeout=10).text == "awake\n"
        sleeper.setblocking(False)
        with pytest.raises(BlockingIOError):
            sleeper.recv(1)
        sleeper.settimeout(10)
        assert sleeper.recv(100).startswith(b"HTTP/1.1 200 ")


def test_the_picture_is_sent_only_when_it_changed(own):
    whole = requests.get(own.url("/moon.svg"), timeout=10)
    assert whole.headers["Content-Type"] == "image/svg+xml"
    tag = {"If-None-Match": whole.headers["ETag"]}
    assert requests.get(own.url("/moon.svg"), headers=tag, timeout=10).status_code == 304
    part = requests.get(own.url("/moon.svg"), headers={"Range": "bytes=0-99"}, timeout=10)
    assert (part.status_code, part.content) == (206, whole.content[:100])


def test_errors_have_a_page_and_tracebacks_only_in_dev(own):
    missing = requests.get(own.url("/nowhere"), headers={"Accept": "text/html"}, timeout=10)
    assert missing.status_code == 404
    assert "Not Found" in missing.text and 'href="/"' in missing.text

    failed = requests.get(own.url("/demo/error"), headers={"Accept": "text/html"}, timeout=10)
    assert failed.status_code == 500
    place = "scripts/demos/error.lua:6"
    assert place in own.errors()
    assert (place in html.unescape(failed.text)) == ("--dev" in own.process.args)

    assert requests.get(own.url("/nowhere"), headers=FETCH, timeout=10).text == "404 Not Found\n"


def test_the_sites_own_tests_pass(make_site):
    done = subprocess.run([LUNETTE, "test", make_site(own_files())], capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d\d passed, 0 failed$", done.stdout, re.M), done.stdout


def test_lunette_check_finds_nothing(make_site):
    done = subprocess.run([LUNETTE, "check", make_site(own_files())], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("no errors: "), done.stdout


def test_where_nothing_may_be_written_the_guest_book_says_so(make_site):
    """As in a package: the site's files are root's, and there is no data/ that the server may write."""
    folder = make_site(own_files())
    (folder / "data").mkdir(mode=0o555)
    folder.chmod(0o555)
    server = Server(folder, ["--workers", "2"], user="nobody" if os.getuid() == 0 else None)
    try:
        page = requests.get(server.url("/guestbook"), timeout=10)
        assert page.status_code == 200
        assert "this server has no place to keep it" in page.text and "<form" not in page.text
        assert requests.get(server.url("/guide/database"), timeout=10).status_code == 200
    finally:
        server.stop()
        folder.chmod(0o755)


def test_the_readmes_site_works_as_it_is_printed(serve):
    readme = (ROOT / "README.md").read_text()
    script = re.search(r"```lua\n(.*?)```", readme, re.S)[1]
    console = re.search(r"```console\n(.*?)```", readme, re.S)[1].splitlines()
    assert len([line for line in script.splitlines() if line.strip()]) <= 10
    command, question, reply = console
    assert re.fullmatch(r"\$ build/lunette serve mysite (--dev)", command)
    path = re.fullmatch(r"\$ curl http://127\.0\.0\.1:8080(/.*)", question)[1]

    server = serve({"scripts/main.lua": script}, "--dev")
    assert requests.get(server.url(path), timeout=10).text == reply + "\n"
    with requests.Session() as browser:
        for visit in (1, 2, 3):
            page = browser.get(server.url("/"), timeout=10)
            assert page.headers["Content-Type"] == "text/html; charset=utf-8"
            assert f"This is visit {visit}." in page.text


def test_the_readme_names_every_module_and_no_other():
    """Its tables of modules are those of src."""
    readme = (ROOT / "README.md").read_text()
    for layer in ("base", "net", "http", "content", "script", "app"):
        table = re.search(rf"\n\*\*{layer}\*\*.*?\n\n(.*?)\n\n", readme, re.S)[1]
        named = set(re.findall(r"`(\w+)`", table))
        there = {path.stem for path in (ROOT / "src" / layer).glob("*.c")}
        headers = {path.stem for path in (ROOT / "include" / layer).glob("*.h")}
        assert there - named == set(), f"README.md does not have these modules of {layer}"
        assert named - there - headers == set(), f"README.md has modules that {layer} has not"
