"""lunette limits: every limit and timeout in force, and where it was set."""
import os
import pty
import re
import subprocess

import pytest

from conftest import LUNETTE
from running import make_folder

CONFIG = """return {
  workers = 3,
  limits = {
    headers = 55,
    body_bytes = "20M", body_memory = 1000,
    connections_per_ip = 7,
  },
  timeouts = { handler = "250ms", idle = 90, header = "2h",
    stop = 0 },
  static = { max_age = "1d" },
}
"""


def limits(folder, *arguments, code=0, **options):
    done = subprocess.run([LUNETTE, "limits", str(folder), *arguments], capture_output=True,
                          text=True, timeout=30, check=False, stdin=subprocess.DEVNULL, **options)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


def table(text):
    """name → (value, origin); the columns must stand beneath each other."""
    lines = text.splitlines()
    at = [lines[0].index(word) for word in ("limit", "in force", "set in")]
    assert at[0] == 0
    rows = {}
    for line in lines[1:]:
        assert line[at[1] - 1] == " " and line[at[2] - 1] == " " and line[at[2]] != " ", line
        rows[line[:at[1]].strip()] = (line[at[1]:at[2]].strip(), line[at[2]:])
    return rows


def test_defaults():
    rows = table(limits(make_folder({"site/a.txt": ""})))
    assert rows["limits.header_bytes"] == ("16K", "default")
    assert rows["limits.headers"] == ("100", "default")
    assert rows["limits.body_bytes"] == ("16M", "default")
    assert rows["limits.connections_per_ip"] == ("no limit", "default")
    assert rows["timeouts.handler"] == ("30 s", "default")
    assert rows["static.max_age"] == ("10 s", "default")
    assert rows["cache.bytes"] == ("64M", "default")
    assert rows["gzip.min_bytes"] == ("256 bytes", "default")
    assert rows["workers"][1] == "default" and int(rows["workers"][0]) >= 1
    assert rows["slowest request body"] == ("500 B/s", "fixed, in each worker")


def test_where_each_was_set():
    rows = table(limits(make_folder({"site/a.txt": "", "scripts/config.lua": CONFIG})))
    assert rows["workers"] == ("3", "scripts/config.lua:2")
    assert rows["limits.headers"] == ("55", "scripts/config.lua:4")
    assert rows["limits.body_bytes"] == ("20M", "scripts/config.lua:5")
    assert rows["limits.body_memory"] == ("1000 bytes", "scripts/config.lua:5")
    assert rows["limits.connections_per_ip"] == ("7", "scripts/config.lua:6")
    assert rows["timeouts.handler"] == ("250 ms", "scripts/config.lua:8")
    assert rows["timeouts.idle"] == ("90 s", "scripts/config.lua:8")
    assert rows["timeouts.header"] == ("2 h", "scripts/config.lua:8")
    assert rows["timeouts.stop"] == ("0 s", "scripts/config.lua:9")
    assert rows["static.max_age"] == ("1 d", "scripts/config.lua:10")
    assert rows["timeouts.send"] == ("30 s", "default")


def test_a_value_whose_line_is_not_known():
    config = "local l = {}\nl.headers = 9\nlocal c = {}\nc.limits = l\nreturn c"
    rows = table(limits(make_folder({"site/a.txt": "", "scripts/config.lua": config})))
    assert rows["limits.headers"] == ("9", "scripts/config.lua")


def test_options_go_before_the_file(tmp_path):
    folder = make_folder({"site/a.txt": "", "scripts/config.lua": CONFIG,
                          "other.lua": "return { limits = { headers = 66 } }"})
    assert table(limits(folder, "--workers", "5"))["workers"] == ("5", "--workers")
    assert table(limits(folder, "--dev"))["workers"] == ("1", "--dev")
    rows = table(limits(folder, "--config", str(folder / "other.lua")))
    assert rows["limits.headers"] == ("66", f"{folder}/other.lua:1")


def test_every_limit_of_the_schema_is_there():
    """What config.lua may set is in the table, but for what this version does not have."""
    source = (os.path.dirname(__file__) + "/../../src/lua/lunette/config.lua")
    text = open(source).read()
    rows = table(limits(make_folder({"site/a.txt": ""})))
    missing = [f"{group}.{name}" for group in ("limits", "timeouts")
               for name in re.findall(r"^    (\w+) = \{",
                                      re.search(rf"^  {group} = \{{(.*?)^  \}}", text,
                                                re.M | re.S)[1], re.M)
               if f"{group}.{name}" not in rows]
    assert set(missing) <= {"limits.generations"}


def test_the_site_is_not_loaded():
    folder = make_folder({"scripts/main.lua": "error 'loaded'"})
    table(limits(folder))
    assert sorted(os.listdir(folder)) == ["scripts"]  # data/ was not made


@pytest.mark.parametrize("config, words", [
    ("return {\n limits = { header = 1 } }", "scripts/config.lua:2: unknown key 'header' in limits"),
    ("return { timeouts = { idle = 'x' } }", "scripts/config.lua:1: timeouts.idle must be a duration"),
    ("error 'on purpose'", "scripts/config.lua:1: on purpose"),
    ("os.exit(0)", "ended the process")])
def test_a_bad_configuration(config, words):
    folder = make_folder({"site/a.txt": "", "scripts/config.lua": config})
    said = limits(folder, code=1)
    assert said.startswith("lunette: ") and words in said


def test_usage(tmp_path):
    assert "is not a site" in limits(tmp_path, code=1)
    assert "cannot serve /no/where" in limits("/no/where", code=1)
    assert "there is no option --worker (did you mean --workers?)" in limits(
        tmp_path, "--worker", "3", code=2)
    assert "one folder is enough" in limits(tmp_path, "again", code=2)
    assert "where each was\nset" in limits(tmp_path, "--help")
    done = subprocess.run([LUNETTE, "limit"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "did you mean 'limits'?" in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_config_lua_never_runs_as_root():
    folder = make_folder({"site/a.txt": "", "scripts/config.lua": """
        local f = assert(io.open "/proc/self/status")
        local uid = f:read "a":match "Uid:%s+(%d+)"
        return { limits = { headers = tonumber(uid) % 10000 + 1 } }
        """})
    rows = table(limits(folder))
    assert rows["limits.headers"][0] == str(65534 % 10000 + 1)


def test_colours_are_for_terminals_only():
    folder = make_folder({"site/a.txt": "", "scripts/config.lua": CONFIG})

    def on_a_terminal(**env):
        master, slave = pty.openpty()
        process = subprocess.Popen([LUNETTE, "limits", str(folder)], stdout=slave,
                                   env={**os.environ, "TERM": "xterm", **env})
        os.close(slave)
        data = b""
        try:
            while more := os.read(master, 65536):
                data += more
        except OSError:  # the other end is closed
            pass
        os.close(master)
        assert process.wait(10) == 0
        return data
    assert b"\x1b[" in on_a_terminal()
    assert b"\x1b[" not in on_a_terminal(NO_COLOR="1")
    assert b"\x1b[" not in on_a_terminal(TERM="dumb")
    assert "\x1b[" not in limits(folder)


def test_a_table_that_cannot_be_written():
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([LUNETTE, "limits", str(make_folder({"site/a.txt": ""}))],
                              stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1 and "cannot write the table: No space left" in done.stderr
