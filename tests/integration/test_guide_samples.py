"""Every code sample of the guide does what the guide says. They are taken from the rendered pages:
sites are served and asked with the commands beneath them, lines of values are evaluated, and what is
said to be a file of the repository is that file."""
import re
import shutil
import subprocess

import pytest
import requests

from conftest import LUNETTE, ROOT, Server, write_site
from guide import Figures, fits, sites
from own import PATHS, own_files


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The guide, served for all tests of this file."""
    folder = tmp_path_factory.mktemp("guide") / "site"
    folder.mkdir()
    write_site(folder, own_files())
    server = Server(folder, ["--dev"])
    yield server
    server.stop()
    shutil.rmtree(folder.parent)


def figures_of(own, page):
    answer = requests.get(own.url(PATHS[page]), timeout=20)
    assert answer.status_code == 200, own.errors()
    return Figures(answer.text).figures


EVALUATE = """\
local app = require "lunette"
local function show(v) return type(v) == "string" and v or tostring(v) end
app.get("/", function()
    local results = {}
%s
    return { results = results }
end)
"""


def values_site(text):
    """A site that answers with what the lines "expression  --> value" are, and what they should be."""
    lines, wanted = [], []
    for line in text.splitlines():
        expression, arrow, value = line.partition("-->")
        if arrow:
            wanted.append((expression.strip(), value.strip()))
            line = f"results[#results + 1] = show(({expression.strip()}))"
        lines.append(line)
    return {"scripts/main.lua": EVALUATE % "\n".join(lines)}, wanted


def test_the_figures_are_found(own):
    kinds = [figure.kind for page in PATHS for figure in figures_of(own, page)]
    assert len([kind for kind in kinds if kind == "site"]) > 20
    assert {"shown", "site", "file", "console", "values", "defaults"} <= set(kinds)
    assert all(figure.name and figure.text for figure in figures_of(own, "routes"))


def test_every_part_has_a_live_example(own):
    for page in PATHS:
        text = requests.get(own.url(PATHS[page]), timeout=20).text
        assert page == "tutorial" or '<section class="demo"' in text, page


@pytest.mark.parametrize("page", [page for page in PATHS if page != "tutorial"])
def test_the_sites_of_a_page_answer_as_it_says(own, page, place):
    for sample in sites(page, figures_of(own, page)):
        assert sample.consoles, f"{sample} has no console"
        sample.check(place)


@pytest.mark.parametrize("page", PATHS)
def test_the_values_of_a_page_are_what_it_says(own, page, serve):
    for figure in figures_of(own, page):
        if figure.kind != "values":
            continue
        files, wanted = values_site(figure.text)
        assert wanted, figure.text
        server = serve(files, "--workers", "1")
        answer = requests.get(server.url("/"), timeout=20)
        assert answer.status_code == 200, server.errors()
        for (expression, value), got in zip(wanted, answer.json()["results"], strict=True):
            assert fits(value, got), f"{expression} is {got!r}, not {value!r}"


@pytest.mark.parametrize("page", PATHS)
def test_what_is_shown_of_the_repository_is_its_file(own, page):
    for figure in figures_of(own, page):
        if figure.kind == "shown":
            assert figure.text == (ROOT / figure.name).read_text(), figure.name


def limits(folder):
    """What `lunette limits` prints: name → (in force, set in)."""
    done = subprocess.run([LUNETTE, "limits", folder], capture_output=True, text=True, timeout=20,
                          check=True)
    rows = [re.split(r" {2,}", line) for line in done.stdout.splitlines()[1:]]
    return {row[0]: (row[1], row[2]) for row in rows}


def test_the_defaults_of_the_settings_are_the_servers(own, make_site):
    """With all that the guide gives as defaults in config.lua, nothing is other than without it."""
    text, = [f.text for f in figures_of(own, "configuration") if f.kind == "defaults"]
    main = {"scripts/main.lua": 'require("lunette").get("/", function() return 204 end)\n'}
    without, with_it = limits(make_site(main)), limits(make_site({**main, "scripts/config.lua": text}))
    assert {name: row[0] for name, row in without.items()} == \
        {name: row[0] for name, row in with_it.items()}
    names = [name for name in without if re.match(r"(limits|timeouts|static|gzip|cache)\.", name)]
    unsaid = [name for name in names if "default" in with_it[name][1]]
    assert unsaid == ["limits.connections_per_ip"]  # which is nil
