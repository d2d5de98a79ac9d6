"""The manual pages: sound, and in step with the program: its options, settings and their defaults."""
import re
import subprocess

import pytest

from conftest import LUNETTE, ROOT
from running import make_folder

MAN = ROOT / "src/man"
PAGES = sorted(MAN.iterdir())


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_a_page_has_no_mistakes(page):
    done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", str(page)], capture_output=True, text=True,
                          timeout=20, check=False)
    # Of other packages, or of none: what mandoc cannot find here.
    said = [line for line in done.stdout.splitlines() if "referenced manual not found" not in line]
    assert said == []


# Settings ----------------------------------------------------------------------------------------

def settings():
    """What lunette-config(5) says: name → default, as it stands there."""
    found = {}
    for line in (MAN / "lunette-config.5").read_text().splitlines():
        if m := re.match(r"\.It Ic ([\w.]+) Pq (.+)$", line):
            assert m[1] not in found, m[1]
            found[m[1]] = m[2].replace(r"\(dq", '"')
    return found


SCHEMA = """
    local text = io.open "src/lua/lunette/config.lua":read "a"
    local part = text:match "\\n(local KB.-\\n)%-%- Errors:"
    local function names(t, prefix)
        for name, spec in pairs(t) do
            if type(spec[1]) == "string" then print(prefix .. name) end
            if type(spec[1]) ~= "string" then names(spec, prefix .. name .. ".") end
            if spec.fields then names(spec.fields, prefix .. name .. ".") end
        end
    end
    names(load(part .. "return schema")(), "")
"""


def schema_names():
    """The names of all settings, from the library's own schema."""
    done = subprocess.run(["lua5.4", "-"], input=SCHEMA, capture_output=True, text=True, cwd=ROOT,
                          timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_settings_are_those_of_the_schema():
    known = schema_names()
    assert len(known) > 30 and set(settings()) == known


def limits_in_force():
    """name → the value, in the unit that a person would write: bytes or seconds or a number."""
    folder = make_folder({"site/index.html": "x"})
    done = subprocess.run([LUNETTE, "limits", str(folder)], capture_output=True, text=True, timeout=20,
                          check=False)
    assert done.returncode == 0, done.stderr
    found = {}
    for line in done.stdout.splitlines()[1:]:
        if line.endswith(" default"):
            name, value = re.match(r"(\S+)\s+(.*?)\s+default$", line).groups()
            found[name] = value
    return found


UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "bytes": 1, "ms": 0.001, "s": 1, "min": 60, "h": 3600,
         "d": 86400, "": 1}


def number(text):
    """ "16K", 16K, 30 s, 256 bytes → a number; nil and no limit → None."""
    if text in ("nil", "no limit"):
        return None
    value, unit = re.match(r'"?(\d+) ?([a-zA-Z]*)"?$', text).groups()
    return int(value) * UNITS[unit]


def test_defaults_are_those_in_force():
    in_force, said = limits_in_force(), settings()
    del in_force["workers"]  # as many as there are processors: "auto"
    assert len(in_force) > 20
    for name, value in in_force.items():
        assert number(said[name]) == number(value), name


def test_other_defaults_are_those_of_the_core():
    """Texts and lists, which `lunette limits` does not print."""
    source = (ROOT / "src/app/config.c").read_text()
    said = settings()
    for text in (r'.log = {.access = ' + said["log.access"], ".format = " + said["log.format"],
                 ".error = " + said["log.error"], ".level = " + said["log.level"] + "}",
                 ".data = " + said["data"]):
        assert text in source, text
    for name, key in (("listen", "default_listen"), ("static.index", "default_index")):
        value = said[name].strip("{ }")
        assert f"{key}[] = {{{value}, NULL}}" in source, name
    assert said["sandbox"] == "true" and ".sandbox = {.on = true}" in source
    assert said["static.listing"] == "false" and ".listing" not in source.split("static const struct "
                                                                               "config defaults")[1][:1500]


# Commands ----------------------------------------------------------------------------------------

def help_of(*command):
    done = subprocess.run([LUNETTE, *command, "--help"], capture_output=True, text=True, timeout=20,
                          check=False)
    return done.stdout if done.returncode == 0 else ""


def test_every_option_of_the_program_is_there():
    page = (MAN / "lunette.1").read_text()
    known = set(re.findall(r"--([a-z-]+)", help_of() + help_of("serve") + help_of("test")))
    there = set(re.findall(r"^\.It Fl -([a-z-]+)", page, re.M))
    assert known - there == set()


def test_every_command_of_the_program_is_there():
    page = (MAN / "lunette.1").read_text()
    known = set(re.findall(r"^  lunette \[?([a-z]+)", help_of(), re.M))
    assert known - set(re.findall(r"^\.It Cm (\w+)", page, re.M)) == set()
