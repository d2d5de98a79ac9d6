"""A site as a whole: as whom it is served, its folders, settings, command line, and its Lua."""
import contextlib
import os
import pathlib
import pwd
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest
import requests

from conftest import LUNETTE, Server, free_port
from running import ask, log_of, make_folder, start_fails, unix_get

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="only root can give root up")
USER = "nobody" if ROOT else None       # whom a test becomes that shows what a user sees

FIVE_LINES = """\
    local app = require "lunette"

    app.get("/hello/:name", function(req)
      return 200, { ["Content-Type"] = "text/plain" }, "Hello, " .. req.params.name .. "\\n"
    end)
"""
FILES = {"scripts/main.lua": FIVE_LINES}


@contextlib.contextmanager
def serving(folder, *arguments, **options):
    server = Server(folder, arguments, **options)
    try:
        yield server
    finally:
        server.stop()


def status_of(pid):
    """/proc/PID/status as a dictionary."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def ids_of(pid):
    """(all four uids, all four gids, the supplementary groups, the umask) of a process."""
    status = status_of(pid)
    return (set(map(int, status["Uid"].split())), set(map(int, status["Gid"].split())),
            status["Groups"].split(), status["Umask"])


def own(folder, user):
    """Gives the folder and all in it to the user."""
    entry = pwd.getpwnam(user)
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, entry.pw_uid, entry.pw_gid)


def run(*arguments, **more):
    """The program with these arguments, to its end."""
    return subprocess.run([LUNETTE, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=20, check=False, **more)


# As whom


@needs_root
def test_root_serves_a_new_folder_as_nobody(make_site):
    with serving(make_site(FILES), "--workers", "2") as site:
        assert requests.get(site.url("/hello/you"), timeout=10).text == "Hello, you\n"
        assert "(2 workers, as nobody:nogroup)" in site.errors()
        workers = site.workers()
        assert len(workers) == 2
        for pid in [site.process.pid, *workers]:
            assert ids_of(pid) == ({65534}, {65534}, [], "0007")
            assert int(status_of(pid)["CapEff"], 16) == 0


@needs_root
def test_root_serves_a_folder_as_its_owner(make_site):
    folder = make_site(FILES)
    own(folder, "daemon")
    folder.chmod(0o700)
    entry = pwd.getpwnam("daemon")
    with serving(folder, "--workers", "1") as site:
        assert ask(site, "/hello/you").body == b"Hello, you\n"
        assert "as daemon:daemon" in site.errors()
        worker, = site.workers()
        assert ids_of(worker) == ({entry.pw_uid}, {entry.pw_gid}, [], "0007")
        assert (folder / "data").owner() == "daemon"


@needs_root
def test_the_user_of_the_command_line(make_site):
    with serving(make_site(FILES), "--user", "daemon", "--workers", "1") as site:
        worker, = site.workers()
        assert ids_of(worker)[0] == {pwd.getpwnam("daemon").pw_uid}
    folder = make_site(FILES)
    assert "lunette never serves as root" in start_fails(folder, "--user", "root")
    assert "lunette never serves as root" in start_fails(folder, "--user", "0")
    assert "there is no user 'no-such'" in start_fails(folder, "--user", "no-such")


@needs_root
def test_the_user_of_config_lua_counts_when_root_alone_may_write_it(make_site):
    files = {**FILES, "scripts/config.lua": 'return {\n  user = "daemon" }\n'}
    folder = make_site(files)
    with serving(folder, "--workers", "1") as site:
        assert "as daemon:daemon" in site.errors()
    own(folder, "bin")
    assert "scripts/config.lua:2: only a file that root alone can write" in start_fails(folder)


@needs_root
@pytest.mark.parametrize("what", ["config.lua", "scripts"])
def test_a_link_does_not_make_a_config_of_roots_another_users(make_site, what):
    """With one to the config.lua of another site, its user had root serve his scripts as that site's user."""
    roots = make_site({**FILES, "scripts/config.lua": 'return {\n  user = "daemon" }\n'})
    folder = make_site(FILES)
    own(folder, "bin")
    link = "scripts/config.lua" if what == "config.lua" else "scripts"
    if what == "scripts":
        shutil.rmtree(folder / link)
    (folder / link).symlink_to(roots / link)
    os.chown(folder / link, pwd.getpwnam("bin").pw_uid, -1, follow_symlinks=False)
    assert "scripts/config.lua:2: only a file that root alone can write" in start_fails(folder)


@needs_root
def test_root_stops_where_the_user_it_would_become_may_not_read(make_site):
    folder = make_site(FILES)
    folder.chmod(0o700)
    said = start_fails(folder)
    assert f"nobody:nogroup, whom the server would become, may not read {folder}." in said
    assert "--user" in said and "chown" in said and "--dev" in said
    folder.chmod(0o755)
    (folder / "scripts/main.lua").chmod(0o600)
    assert f"may not read {folder}/scripts/main.lua." in start_fails(folder)


@needs_root
def test_config_lua_never_runs_as_root(make_site):
    files = {**FILES, "scripts/config.lua": """
        local who = io.popen("id -u"):read("n")
        return { site = { who = who } }
    """}
    files["scripts/main.lua"] += 'app.get("/who", function() return "" .. app.settings.who end)\n'
    with serving(make_site(files)) as site:
        assert ask(site, "/who").body == b"65534"


@needs_root
def test_dev_on_loopback_stays_root_without_its_capabilities(make_site):
    """A checkout in root's home works; what is only open to a capability does not."""
    files = {**FILES, "scripts/config.lua": """
        local caps = io.open("/proc/self/status"):read("a"):match("CapEff:%s*(%x+)")
        local child = io.popen("cat /proc/self/status"):read("a"):match("CapEff:%s*(%x+)")
        return { site = { caps = { caps, child } } }
    """}
    files["scripts/main.lua"] += 'app.get("/caps", function() return app.settings.caps end)\n'
    folder = make_site(files)
    folder.chmod(0o700)
    with serving(folder, "--dev") as site:
        assert ask(site, "/hello/you").body == b"Hello, you\n"
        assert "(1 worker, as root:root)" in site.errors()
        for pid in [site.process.pid, *site.workers()]:
            status = status_of(pid)
            assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
            assert status["NoNewPrivs"] == "1"
        assert set(ask(site, "/caps").body.decode()) <= set('[]",0')
    said = start_fails(folder, "--dev", "--listen", f"0.0.0.0:{free_port()}")
    assert "--dev as root listens on loopback addresses only" in said


def test_dev_listens_on_loopback_unless_the_command_line_says_otherwise(make_site):
    port = free_port()
    files = {**FILES, "scripts/config.lua": f'return {{\n\n  listen = {{ "0.0.0.0:{port}" }} }}\n'}
    folder = make_site(files)
    done = run("serve", str(folder), "--dev", user=USER)
    assert done.returncode == 1
    assert "loopback addresses only, and scripts/config.lua:3 says 0.0.0.0" in done.stderr
    with serving(folder, "--dev", "--listen", f"0.0.0.0:{port}", user=USER):
        assert requests.get(f"http://127.0.0.1:{port}/hello/you", timeout=10).status_code == 200


def test_a_user_serves_a_folder(make_site):
    folder = make_site(FILES)
    if ROOT:
        own(folder, USER)
    with serving(folder, "--workers", "1", user=USER) as site:
        assert ask(site, "/hello/you").body == b"Hello, you\n"
        name = pwd.getpwuid(folder.stat().st_uid).pw_name
        assert f"as {name}:" in site.errors()
        assert (folder / "data").is_dir()
    assert "--user needs root" in start_fails(folder, "--user", "daemon", user=USER)


def test_a_user_may_serve_what_only_can_be_read(make_site):
    """A data folder that cannot be made is a warning."""
    if not ROOT:
        folder = make_site(FILES)
        folder.chmod(0o555)
    else:
        folder = make_site(FILES)
    with serving(folder, "--workers", "1", user=USER) as site:
        assert ask(site, "/hello/you").status == 200
        assert f"the folder {folder}/data could not be made" in site.errors()
    folder.chmod(0o755)


# Folders


def test_a_site_without_scripts(serve):
    site = serve({"site/index.html": "<p>home", "site/sub/a.txt": "a\n"})
    assert ask(site, "/").body == b"<p>home"
    assert ask(site, "/sub/a.txt").body == b"a\n"
    assert ask(site, "/none").status == 404


def test_a_site_without_files(serve):
    site = serve(FILES)
    assert ask(site, "/hello/x").status == 200
    assert ask(site, "/").status == 404 and ask(site, "/index.html").status == 404


def test_a_site_with_a_config_alone(serve):
    site = serve({"scripts/config.lua": "return {}\n"})
    assert ask(site, "/").status == 404


def test_what_is_no_site(make_site, place):
    assert "neither a folder scripts/ nor a folder site/" in start_fails(make_site({"a.txt": "a"}))
    assert "No such file" in start_fails(place / "none")
    plain = place / "plain"
    plain.write_text("")
    assert "not a folder" in start_fails(plain)


def test_scripts_and_data_are_never_served(serve):
    site = serve({**FILES, "scripts/views/a.html": "view", "site/a.txt": "a", "data/db": "secret"})
    for path in ["/scripts/main.lua", "/main.lua", "/data/db", "/../data/db", "/%2e%2e/data/db",
                 "/..%2fdata/db", "/scripts/views/a.html", "/a.txt/../../scripts/main.lua"]:
        assert ask(site, path).status in (400, 404), path
        assert b"secret" not in ask(site, path).body


def test_the_data_folder(serve):
    site = serve({"scripts/main.lua": """
        local app = require "lunette"
        app.get("/write", function()
          local f = assert(io.open(app.data .. "/note", "w"))
          f:write("kept") f:close()
          return app.text(app.data)
        end)
    """})
    data = site.folder / "data"
    assert ask(site, "/write").body.decode() == str(data)
    assert (data / "note").read_text(encoding="ascii") == "kept"
    assert stat.S_IMODE(data.stat().st_mode) & 0o007 == 0
    if ROOT:  # else the umask is the user's own
        assert data.owner() == "nobody" and stat.S_IMODE(data.stat().st_mode) == 0o770
        assert stat.S_IMODE((data / "note").stat().st_mode) == 0o660


def test_another_data_folder(serve):
    site = serve({"scripts/config.lua": 'return { data = "store" }', "scripts/main.lua": """
        local app = require "lunette"
        app.get("/", function() return app.text(app.data) end)
    """})
    assert ask(site, "/").body.decode() == str(site.folder / "store")
    assert (site.folder / "store").is_dir() and not (site.folder / "data").exists()


# config.lua


CONFIG_ERRORS = [
    ("return {\n  limits = {\n    header = 100 } }", 3, "headers"),
    ("return {\n  timeuots = {} }", 2, "timeouts"),
    ('return {\n  listen = "8080" }', 2, "listen must be a list of addresses"),
    ('return {\n  listen = { "nowhere.test:80" } }', 2, "numeric address"),
    ('return {\n  limits = { body_bytes = "16MB" } }', 2, "a size in bytes"),
    ("return {\n  timeouts = { idle = -1 } }", 2, "a duration"),
    ("return {\n  workers = 0 }", 2, "from 1 to 256"),
    ("return {\n  limits = { headers = 0 } }", 2, "at least 1"),
    ('return {\n  log = { level = "loud" } }', 2, '"debug", "info", "warn", "error"'),
    ("return {\n  site = { f = print } }", 2, "site.f"),
    ("return {\n  trusted_proxies = { '127.0.0.1', '10.1.2.3/8' } }", 2,
     "trusted_proxies cannot have '10.1.2.3/8': its last bits are set: the network is 10.0.0.0/8"),
    ("return {\n  trusted_proxies = {\n    'localhost' } }", 2,
     "trusted_proxies cannot have 'localhost': it must be a numeric address"),
    ("return {\n  listen = { { '0.0.0.0:443', tls = {} } } }", 2, "not in this version"),
    ("local x = nil\nreturn { workers = x.y }", 2, "attempt to index a nil value"),
    ("return {\n  workers 5 }", 2, "expected"),
    ("\n\nerror 'stop here'", 3, "stop here"),
    ("return 5", 0, "must return a table"),
    ("", 0, "must return a table"),
]


@pytest.mark.parametrize("text, line, sentence", CONFIG_ERRORS)
def test_a_wrong_setting_stops_the_start_with_its_line(text, line, sentence):
    folder = make_folder(FILES)
    (folder / "scripts/config.lua").write_text(text)
    done = run("serve", str(folder))
    assert done.returncode == 1
    place = f"scripts/config.lua:{line}:" if line else "scripts/config.lua:"
    assert done.stderr.startswith(f"lunette: {place}") and sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_settings_reach_the_site(serve):
    site = serve({
        "scripts/config.lua": """
            local shared = require "shared"
            return { site = { title = shared.title, list = { 1, 2, { deep = true } }, n = 1.5 } }
        """,
        "scripts/shared.lua": 'return { title = "From a module" }',
        "scripts/main.lua": """
            local app = require "lunette"
            app.get("/", function() return app.settings end)
            app.get("/dev", function() return app.text(tostring(app.dev)) end)
        """})
    assert requests.get(site.url(), timeout=10).json() == {
        "title": "From a module", "list": [1, 2, {"deep": True}], "n": 1.5}
    assert ask(site, "/dev").body == b"false"


def test_config_of_the_command_line(make_site, place):
    other = place / "other.lua"
    other.write_text('return { site = { from = "other" } }')
    folder = make_site({"scripts/config.lua": 'return { site = { from = "own" } }',
                        "scripts/main.lua": """
        local app = require "lunette"
        app.get("/", function() return app.text(app.settings.from) end)
    """})
    with serving(folder, "--config", str(other)) as site:
        assert ask(site, "/").body == b"other"
    other.write_text("return { wrokers = 1 }")
    said = start_fails(folder, "--config", str(other))
    assert f"{other}:1: unknown key 'wrokers' (did you mean 'workers'?)" in said
    assert "No such file" in start_fails(folder, "--config", str(place / "none.lua"))


# The command line


def test_listen_forms(make_site, place):
    place.chmod(0o777)
    ports, path = [free_port() for _ in range(3)], place / "s.sock"
    with serving(make_site(FILES), "--workers", "1", "--listen", str(ports[0]), "--listen",
                 f":{ports[1]}", "--listen", f"[::1]:{ports[2]}", "--listen", f"unix:{path}") as site:
        for port in [site.port, *ports[:2]]:
            assert requests.get(f"http://127.0.0.1:{port}/hello/x", timeout=10).status_code == 200
        assert requests.get(f"http://[::1]:{ports[2]}/hello/x", timeout=10).status_code == 200
        assert unix_get(path, "/hello/x").body == b"Hello, x\n"
        said = site.errors()
        for address in [f"http://127.0.0.1:{ports[0]}", f"http://[::1]:{ports[2]}", f"unix:{path}"]:
            assert f" on {address} " in said
    assert not path.exists(), "a server that has stopped leaves no socket"


LISTEN_ERRORS = [
    ("localhost", "the port must be a number"), ("127.0.0.1:65536", "from 0 to 65535"),
    ("::1:80", "stands in brackets"), ("[::1]", "a port must follow"),
    ("example.com:80", "numeric"),
    ("unix:relative", "must begin with a slash"), ("unix:/" + "x" * 110, "at most 107 bytes"),
]


@pytest.mark.parametrize("address, sentence", LISTEN_ERRORS)
def test_a_wrong_address(address, sentence):
    said = start_fails(make_folder(FILES), "--listen", address)
    assert "the command line: cannot listen on" in said and sentence in said


def test_a_port_in_use(make_site):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = start_fails(make_site(FILES), "--listen", f"127.0.0.1:{port}")
        assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in said


def test_workers(make_site):
    with serving(make_site(FILES), "--workers", "3") as site:
        assert len(site.workers()) == 3 and "(3 workers" in site.errors()
        dead = site.workers()[0]
        os.kill(dead, signal.SIGKILL)
        site.wait_for(rf"worker {dead} was killed by signal 9 \(SIGKILL\).*; started \d+")
        assert ask(site, "/hello/x").status == 200


def test_pid_file(make_site, place):
    path = place / "pid"
    with serving(make_site(FILES), "--workers", "1", "--pid-file", str(path)) as site:
        assert path.read_text(encoding="ascii") == f"{site.process.pid}\n"
    assert not path.exists() or path.read_text(encoding="ascii") == ""
    assert "cannot write the pid file" in start_fails(make_site(FILES), "--pid-file", "/none/pid")


def test_quiet(make_site):
    with serving(make_site(FILES), "--workers", "1", "--quiet", ready=False) as site:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                if ask(site, "/hello/x").status == 200:
                    break
        assert ask(site, "/hello/x").status == 200
        assert site.errors() == ""


def test_the_folder_is_the_current_one_and_serve_may_be_left_out(make_site):
    folder, port = make_site(FILES), free_port()
    for words in [["serve"], [], ["."], [str(folder)]]:
        with subprocess.Popen([LUNETTE, *words, "--listen", str(port), "--workers=1"], cwd=folder,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as process:
            assert f"serves {folder} on http://127.0.0.1:{port}" in process.stderr.readline()
            process.terminate()
            assert process.wait(15) == 0


WORDS = [
    ("--version", 0, "lunette "), ("--help", 0, "serve"), ("serve --help", 0, "--listen"),
    ("--wrokers 2", 2, "did you mean --workers?"), ("--workers 0", 2, "from 1 to 256"),
    ("--workers", 2, "--workers takes a value"), ("--dev=1", 2, "--dev takes no value"),
    ("srve", 2, "did you mean 'serve'?"), ("a b", 2, "one folder is enough"),
    ("new", 2, "lunette new DIR"), ("new --help", 0, "lunette new DIR"),
]


@pytest.mark.parametrize("words, code, sentence", WORDS)
def test_words(place, words, code, sentence):
    done = run(*shlex.split(words), cwd=place)
    assert done.returncode == code
    said, other = (done.stdout, done.stderr) if code == 0 else (done.stderr, done.stdout)
    assert sentence in said and other == ""


# Lua


GLOBALS = """
    local app = require "lunette"
    local lib = require "lib"
    app.get("/assign", function()
      counter = (rawget(_G, "counter") or 0) + 1
      return app.text(counter)
    end)
    app.get("/lib", function() return app.text(lib.set()) end)
    app.get("/declared", function() rawset(_G, "mine", 1) mine = 2 return app.text(mine) end)
    app.get("/read", function() return app.text(tostring(undeclared)) end)
    app.get("/print", function() print("a", nil, 1.5, { 1 } ~= nil) return 204 end)
    app.get("/exit", function() os.exit(0) end)
    app.get("/libs", function()
      return app.text(table.concat({ type(io.open), type(os.time), type(debug.traceback),
        type(utf8.char), type(string.pack), type(table.move), type(math.tointeger), type(load),
        type(package.path), _VERSION }, " "))
    end)
"""
GLOBAL_FILES = {"scripts/main.lua": GLOBALS,
                "lua_modules/share/lua/5.4/lib.lua": "local M = {}\n"
                "function M.set() from_lib = 5 return from_lib end\nreturn M\n"}


def test_an_undeclared_global_is_an_error_in_dev(make_site):
    with serving(make_site(GLOBAL_FILES), "--dev") as site:
        assert ask(site, "/assign").status == 500
        log = log_of(site, "/assign")
        assert "scripts/main.lua:5: undeclared global 'counter'" in log
        assert ask(site, "/lib").body == b"5", "installed libraries are exempt"
        assert ask(site, "/declared").body == b"2"
        assert ask(site, "/read").body == b"nil"


def test_an_undeclared_global_is_a_warning_otherwise(make_site):
    with serving(make_site(GLOBAL_FILES), "--workers", "1") as site:
        assert ask(site, "/assign").body == b"1" and ask(site, "/assign").body == b"2"
        assert site.errors().count("scripts/main.lua:5: undeclared global 'counter'") == 1
        assert ask(site, "/lib").body == b"5" and "from_lib" not in site.errors()


def test_an_undeclared_global_of_main_is_what_a_dev_start_shows(make_site):
    with serving(make_site({"scripts/main.lua": "\nanswer = 42\n"}), "--dev") as site:
        assert "scripts/main.lua:2: undeclared global 'answer'" in site.errors()
        answer = ask(site, "/")
        assert answer.status == 503 and b"undeclared global &#39;answer&#39;" in answer.body


def test_print_exit_and_the_libraries(make_site):
    with serving(make_site(GLOBAL_FILES), "--workers", "1") as site:
        ask(site, "/print")
        assert "scripts/main.lua:11: a\tnil\t1.5\ttrue\n" in site.errors()
        assert ask(site, "/exit").status == 500
        assert "scripts/main.lua:12: os.exit would stop the worker" in log_of(site, "/exit")
        assert ask(site, "/libs").body == b"function " * 8 + b"string Lua 5.4"


def test_a_worker_keeps_its_state_over_requests(serve):
    site = serve({"scripts/main.lua": """
        local app = require "lunette"
        local count = 0
        app.get("/", function() count = count + 1 return app.text(count) end)
    """}, "--workers", "1")
    assert [ask(site, "/").body for _ in range(3)] == [b"1", b"2", b"3"]


C_MODULE = r"""
#include <lua.h>
#include <lauxlib.h>
static int twice(lua_State *L)
{
    lua_pushinteger(L, 2 * luaL_checkinteger(L, 1));
    return 1;
}
static int each(lua_State *L) // calls back
{
    lua_callk(L, 0, 1, 0, NULL);
    return 1;
}
int luaopen_cmod_inner(lua_State *L)
{
    static const luaL_Reg f[] = {{"twice", twice}, {"each", each}, {NULL, NULL}};
    luaL_newlib(L, f);
    return 1;
}
"""


def test_require(make_site):
    """Modules of the site, installed ones, one in C, which finds Lua's functions in the program."""
    folder = make_site({
        "scripts/main.lua": """
            local app = require "lunette"
            local out = { require "own", require "own.deep", require "pack", require "installed",
              require "installed.sub", require "cmod.inner".twice(21) }
            app.get("/", function() return app.text(table.concat(out, " ")) end)
            app.get("/late", function() return app.text(require("late").name) end)
            app.get("/once", function()
              return app.text(tostring(require "late" == require "late"))
            end)
            app.get("/missing", function() require "no.such" end)
            app.get("/system", function()
              local cjson = require "cjson"
              return app.text(cjson.encode(cjson.decode('{"a":[1,2]}')))
            end)
            app.get("/wait", function()
              local sleep = require "lunette.task".sleep
              return app.text(require "cmod.inner".each(function() sleep(0.01) end))
            end)
        """,
        "scripts/own.lua": 'return "own"', "scripts/own/deep.lua": 'return "deep"',
        "scripts/pack/init.lua": 'return "init"', "scripts/late.lua": 'return { name = ... }',
        "lua_modules/share/lua/5.4/installed.lua": 'return "installed"',
        "lua_modules/share/lua/5.4/installed/sub.lua": 'return "sub"',
        "lua_modules/share/lua/5.4/own.lua": 'return "hidden by the site\'s own"',
        "cmod.c": C_MODULE})
    target = folder / "lua_modules/lib/lua/5.4/cmod/inner.so"
    target.parent.mkdir(parents=True)
    flags = subprocess.run(["pkg-config", "--cflags", "lua5.4"], capture_output=True, text=True,
                           check=True).stdout.split()
    subprocess.run(["gcc", "-shared", "-fPIC", *flags, "-o", str(target), str(folder / "cmod.c")],
                   check=True)
    with serving(folder, "--workers", "1") as site:
        assert ask(site, "/").body == b"own deep init installed sub 42"
        assert ask(site, "/late").body == b"late"
        assert ask(site, "/once").body == b"true"
        assert ask(site, "/missing").status == 500
        assert "module 'no.such' not found" in log_of(site, "/missing")
        assert ask(site, "/wait").status == 500
        assert "cannot wait inside cmod.inner.each" in log_of(site, "/wait")
        if list(pathlib.Path("/usr/lib").glob("*/lua/5.4/cjson.so")):
            assert ask(site, "/system").body == b'{"a":[1,2]}'
