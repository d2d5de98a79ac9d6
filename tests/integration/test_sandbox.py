"""The sandbox of workers: what scripts try, what they get, and what the log says of it.

Every attack is Lua that a handler runs; "scripts/attack.lua" is what it is called in the log. A line
is told a few times in a minute only: attacks that are looked for there have a name of their own.
"""
import ctypes
import errno
import os
import pathlib
import pwd
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from conftest import LUNETTE, Server, eventually
from running import ask, make_folder, new_folder, running, start_fails

SYS_LANDLOCK_CREATE_RULESET = 444
LANDLOCK = ctypes.CDLL(None, use_errno=True).syscall(SYS_LANDLOCK_CREATE_RULESET, None, 0, 1)
needs_landlock = pytest.mark.skipif(
    LANDLOCK < 1, reason=f"this kernel has no Landlock ({errno.errorcode.get(ctypes.get_errno())})")
ASAN = b"__asan_init" in pathlib.Path(LUNETTE).read_bytes()

MAIN = """\
    local app = require "lunette"
    app.post("/try", function(req)
      local attack = assert(load(req.body, "@scripts/" .. (req.query.name or "attack") .. ".lua"))
      local results = table.pack(pcall(attack, app))
      for i = 1, results.n do results[i] = tostring(results[i]) end
      return app.text(table.concat(results, " | ", 1, results.n))
    end)
    app.post("/upload", function(req)
      local path, why, code = req.files.f:save_as(req.query.to)
      return app.text(tostring(path) .. " " .. tostring(code))
    end)
"""
FILES = {"scripts/main.lua": MAIN, "site/page.html": "page", "lua_modules/share/lua/5.4/own.lua":
         "return 'own'"}


def attempt(server, code, name="attack"):
    """Runs the code in a handler: what it returned, after pcall, joined by " | "."""
    answer = requests.post(server.url("/try"), params={"name": name}, data=code.encode(), timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.text


def refusals(server):
    return [line for line in server.errors().splitlines() if "the sandbox refused" in line]


@pytest.fixture(name="site", scope="module")
def fixture_site():
    with running(FILES, "--workers", "1") as server:
        (server.folder / "data/outside").symlink_to("/etc/hostname")
        yield server


@pytest.fixture(name="outside")
def fixture_outside():
    """A folder that any user may read and write, and that no site names."""
    folder = new_folder()
    folder.chmod(0o777)
    (folder / "note.txt").write_text("a note")
    (folder / "note.txt").chmod(0o666)
    (folder / "module.lua").write_text("return 'a module'")
    return folder


def test_the_line_on_start_says_so(site):
    if LANDLOCK > 0:
        assert f"sandbox: on (Landlock ABI {LANDLOCK}, seccomp)\n" in site.errors()
    else:
        assert "sandbox: partly (seccomp; this kernel has no Landlock)\n" in site.errors()


def test_a_worker_has_no_rights_to_gain(site):
    worker, = site.workers()
    status = pathlib.Path(f"/proc/{worker}/status").read_text(encoding="ascii")
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert re.search(rf"^{name}:\t0+$", status, re.M), status
    if os.geteuid() == 0:
        assert re.search(r"^CapBnd:\t0+$", status, re.M), status
    assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
    assert re.search(r"^Seccomp:\t2$", status, re.M)
    limits = pathlib.Path(f"/proc/{worker}/limits").read_text(encoding="ascii")
    assert re.search(r"^Max core file size\s+0\s+0\s", limits, re.M)


READING = [
    ("/etc/shadow", "/etc/shadow"),
    ("/etc/hostname", "/etc/hostname"),
    ("/usr/bin/id", "/usr/bin/id"),
    ("/proc/self/root/etc/hostname", "/etc/hostname"),
    ("/proc/self/cwd/../../../../etc/hostname", "/etc/hostname"),
    ("DATA/outside", "/etc/hostname"),             # a link in data/
    ("DATA/../../../../../etc/hostname", "/etc/hostname"),
    ("/proc/1/environ", "/proc/1/environ"),
    ("/proc/self/environ", r"/proc/\d+/environ"),
    ("/proc/self/maps", r"/proc/\d+/maps"),
    ("/proc/self/mem", r"/proc/\d+/mem"),
]


@needs_landlock
@pytest.mark.parametrize("number", range(len(READING)))
def test_what_may_not_be_read(site, number):
    path, real = READING[number]
    if ASAN and path.startswith("/proc/self/") and "etc" not in path:
        pytest.skip("a worker with ASan reads /proc to search for leaks")
    code = f'local app = ...\n\n\nlocal p = ("{path}"):gsub("DATA", app.data)\nreturn io.open(p)'
    got = attempt(site, code, f"reading{number}")
    assert got.startswith("true | nil | ") and got.endswith("Permission denied | 13")
    if not (ASAN and path.startswith("/proc")):
        assert any(re.search(rf'warn \[\d+\] \[\w{{16}}\] scripts/reading{number}\.lua:5: '
                             rf'the sandbox refused io\.open\(.*\): {real} is not in sandbox\.read of config\.lua$', line)
                   for line in refusals(site)), refusals(site)


WRITING = [
    ('io.open("SITE/site/page.html", "a")', "SITE/site/page.html"),
    ('io.open("SITE/site/new.html", "w")', "SITE/site/new.html"),
    ('io.open("SITE/scripts/main.lua", "r+")', "SITE/scripts/main.lua"),
    ('io.open("SITE/scripts/new.lua", "w")', "SITE/scripts/new.lua"),
    ('io.open("/tmp/lunette-of-sandbox", "w")', "/tmp/lunette-of-sandbox"),
    ('io.open("/proc/self/mem", "r+")', r"/proc/\d+/mem"),
    ('os.remove("SITE/site/page.html")', "SITE/site/page.html"),
    ('os.rename("SITE/site/page.html", "SITE/data/page.html")', "SITE/site/page.html"),
    ('os.rename("SITE/data/note", "SITE/site/note.html")', "SITE/site/note.html"),
    ('os.rename("SITE/data/note", "/tmp/lunette-of-sandbox")', "/tmp/lunette-of-sandbox"),
    ('io.tmpfile()', "/tmp"),
]


@needs_landlock
@pytest.mark.parametrize("number", range(len(WRITING)))
def test_what_may_not_be_written(site, number):
    code, path = (text.replace("SITE", str(site.folder)) for text in WRITING[number])
    (site.folder / "data/note").write_text("note")
    got = attempt(site, f"return {code}", f"writing{number}")
    assert re.search(r"^true \| nil \| .*(Permission denied \| 13|Invalid cross-device link \| 18)$",
                     got), got
    told = [line for line in refusals(site) if f"scripts/writing{number}.lua:1: " in line]
    call = code[:code.index("(")]
    assert any(re.search(rf"refused {re.escape(call)}\(.*\): {path} is not in sandbox\.write of "
                         r"config\.lua$", line) for line in told), told
    assert (site.folder / "site/page.html").read_text() == "page"
    assert sorted(os.listdir(site.folder / "site")) == ["page.html"]
    assert not os.path.exists("/tmp/lunette-of-sandbox")


@pytest.mark.parametrize("code,call", [
    ('os.execute("id")', r'os\.execute\("id"\)'), ('io.popen("id", "r")', r'io\.popen\("id", "r"\)')])
def test_no_program_is_run(site, code, call):
    assert attempt(site, f"return {code}").endswith("Operation not permitted | 1")
    assert any(re.search(rf"scripts/attack\.lua:1: the sandbox refused {call}: sandbox\.exec of "
                         r"config\.lua names no program$", line) for line in refusals(site))
    assert attempt(site, "return os.execute()") == "true | false"
    assert "bad argument #1 to 'popen'" in attempt(site, "return io.popen()")


RAISING = [
    ('io.lines("/etc/hostname")', "read"), ('io.input("/etc/hostname")', "read"),
    ('io.output("SITE/site/x")', "write"), ('dofile("/etc/hostname")', "read"),
    ('assert(loadfile("/etc/hostname"))', "read"), ('os.tmpname()', "write"),
]


@needs_landlock
@pytest.mark.parametrize("number", range(len(RAISING)))
def test_functions_that_raise(site, number):
    code, setting = RAISING[number]
    code = code.replace("SITE", str(site.folder))
    got = attempt(site, code, f"raising{number}")
    assert got.startswith("false | ")
    assert "Permission denied" in got or "unable to generate a unique filename" in got
    told = [line for line in refusals(site) if f"scripts/raising{number}.lua:1: " in line]
    assert len(told) == 1 and f"is not in sandbox.{setting} of config.lua" in told[0], told


def test_what_is_allowed_still_works(site):
    assert attempt(site, """
        local app = ...
        local f <close> = assert(io.open(app.data .. "/own.txt", "w"))
        assert(f:write("one\\ntwo\\n")) f:close()
        assert(os.rename(app.data .. "/own.txt", app.data .. "/other.txt"))
        local lines = {}
        for line in io.lines(app.data .. "/other.txt") do lines[#lines + 1] = line end
        assert(os.remove(app.data .. "/other.txt"))
        assert(io.open("/etc/passwd")):close()
        assert(io.open("/proc/self/stat")):close()
        assert(io.open("/dev/null", "w")):close()
        assert(loadfile("%s/scripts/main.lua"))
        io.input("/dev/null") io.output("/dev/null")
        return lines[2], require "own", select(2, pcall(io.open)), io.open("/no/such/file")
    """ % site.folder) == ("true | two | own | bad argument #1 to 'io.open' (string expected, got no "
                           "value) | nil | /no/such/file: No such file or directory | 2")
    assert ask(site, "/page.html").body == b"page"
    assert not any("/no/such" in line or "own.txt" in line for line in refusals(site))


@pytest.mark.parametrize("size", [10, 300000])     # in memory, and in a file without a name
def test_uploads_are_saved_in_data_alone(site, outside, size):
    def upload(to):
        return requests.post(site.url("/upload"), params={"to": to}, timeout=10,
                             files={"f": ("f.bin", b"x" * size)}).text
    saved = site.folder / f"data/in/{size}.bin"
    assert upload(f"in/{size}.bin") == f"{saved} nil"
    assert saved.read_bytes() == b"x" * size
    if LANDLOCK > 0:
        assert upload(f"{outside}/{size}.bin") == "nil EACCES"
        assert not (outside / f"{size}.bin").exists()
        assert any(f'scripts/main.lua:9: the sandbox refused part:save_as("{outside}/' in line
                   for line in refusals(site)), refusals(site)


# Libraries in C

@pytest.fixture(name="library", scope="module")
def fixture_library():
    """A module for Lua that needs nothing, as bytes."""
    folder = new_folder()
    source = folder / "evil.c"
    source.write_text("int luaopen_evil(void *L); int luaopen_evil(void *L) { (void)L; return 0; }")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", folder / "evil.so", source], check=True)
    return (folder / "evil.so").read_bytes()


@needs_landlock
def test_what_the_site_writes_is_not_loaded_as_a_library(site, library):
    path = site.folder / "data/evil.so"
    path.write_bytes(library)
    path.chmod(0o755)
    assert "is in a folder that the site may write | open" in attempt(
        site, f'return package.loadlib("{path}", "luaopen_evil")')
    assert any(f'the sandbox refused package.loadlib("{path}")' in line for line in refusals(site))
    code = f'package.cpath = "{path.parent}/?.so" return pcall(require, "evil")'
    assert "module 'evil' is not loaded" in attempt(site, code)
    assert "module 'evil.part' is not loaded" in attempt(site, code.replace('"evil")', '"evil.part")'))
    own = f'package.searchpath = function() return "/usr/lib/other.so" end {code}'
    assert "module 'evil' is not loaded" in attempt(site, own)
    turns = f"""
        local n = 0
        package.cpath = nil
        setmetatable(package, {{ __index = function(_, key)
          n = n + (key == "cpath" and 1 or 0)
          return key == "cpath" and (n == 1 and "/usr/lib/?.so" or "{path.parent}/?.so") or nil
        end }})
        local ok, why = pcall(require, "evil")
        setmetatable(package, nil)
        return ok, why"""
    assert "'package.cpath' must be a string" in attempt(site, turns)
    # A link in between, and the originals by way of hooks and upvalues.
    attempt(site, 'package.cpath = ""')
    hooked = """
        local app = ...
        local found = {}
        debug.sethook(function() found[#found + 1] = debug.getinfo(2, "f").func end, "c")
        package.loadlib("/no/such/library", "*")
        pcall(io.open, "/etc/hostname")
        debug.sethook()
        for _, fn in ipairs { package.loadlib, package.searchers[3], package.searchers[4], io.open } do
          for i = 1, 10 do
            local name, value = debug.getupvalue(fn, i)
            if type(value) == "function" then found[#found + 1] = value end
          end
        end
        local opened = 0
        for _, fn in ipairs(found) do
          local ok, lib = pcall(fn, "%s", "*")
          if ok and lib == true then opened = opened + 1 end
        end
        return #found > 2, opened
    """ % path
    assert attempt(site, hooked) == "true | true | 0"
    code = 'local lib, why = package.loadlib("/usr/bin/id", "*") return why'
    assert "Permission denied" in attempt(site, code)


def test_a_library_of_the_site_is_loaded(library):
    files = {**FILES, "lua_modules/lib/lua/5.4/evil.so": library}
    with running(files, "--workers", "1") as server:
        assert attempt(server, 'return require "evil" ~= nil') == "true | true"
        assert not refusals(server)


@needs_landlock
def test_tricks_with_debug_do_not_reach_the_kernel(site):
    """Whatever a script finds behind the wrapper, the kernel refuses."""
    got = attempt(site, """
        local found
        debug.sethook(function() found = debug.getinfo(2, "f").func end, "c")
        local ok = io.open("/etc/hostname")
        debug.sethook()
        for _, f in pairs(debug.getregistry()) do
          if type(f) == "userdata" and io.type(f) == "file" then f:seek("set") end
        end
        debug.setupvalue(io.open, 1, nil)
        return ok
    """)
    assert got == "true | nil"


# How often

@needs_landlock
def test_one_line_is_told_once_in_a_while(serve):
    site = serve(FILES, "--workers", "1")
    attempt(site, 'for i = 1, 1000 do io.open("/etc/hostname") end')
    attempt(site, "\nfor i = 1, 1000 do os.remove('/etc/x' .. i) os.remove('/etc/hostname') end")
    told = refusals(site)
    assert len([line for line in told if "attack.lua:1:" in line]) == 1
    assert 1 <= len([line for line in told if "attack.lua:2:" in line]) <= 8


# config.lua

def with_config(text):
    return {**FILES, "scripts/config.lua": text}


def test_sandbox_false_lets_everything_through(outside):
    with running(with_config("return { sandbox = false }"), "--workers", "1") as server:
        assert "sandbox: off (sandbox = false)\n" in server.errors()
        assert attempt(server, f'return io.open("{outside}/note.txt"):read("a")') == "true | a note"
        assert attempt(server, f'return io.open("{outside}/new.txt", "w") ~= nil') == "true | true"
        assert attempt(server, 'return os.execute("exit 3")') == "true | nil | exit | 3"
        assert attempt(server, 'return io.popen("echo hi"):read("l")') == "true | hi"
        worker, = server.workers()
        status = pathlib.Path(f"/proc/{worker}/status").read_text(encoding="ascii")
        assert re.search(r"^Seccomp:\t0$", status, re.M)
        assert not refusals(server)


@needs_landlock
def test_what_config_lua_names_may_be_read(outside):
    text = f'return {{ sandbox = {{ read = {{ "{outside}" }} }} }}'
    with running(with_config(text), "--workers", "1") as server:
        assert attempt(server, f'return io.open("{outside}/note.txt"):read("a")') == "true | a note"
        assert attempt(server, f'return dofile("{outside}/module.lua")') == "true | a module"
        assert "Permission denied" in attempt(server, f'return io.open("{outside}/new.txt", "w")')
        assert "Permission denied" in attempt(server, f'return os.remove("{outside}/note.txt")')


@needs_landlock
def test_what_config_lua_names_may_be_written(outside):
    text = f'return {{ sandbox = {{ write = {{ "{outside}" }} }} }}'
    with running(with_config(text), "--workers", "1") as server:
        assert attempt(server, f'return io.open("{outside}/new.txt", "w") ~= nil') == "true | true"
        assert attempt(server, f'return io.open("{outside}/note.txt"):read("a")') == "true | a note"
        assert attempt(server, f'return os.remove("{outside}/note.txt")') == "true | true"
        assert not refusals(server)


@needs_landlock
def test_programs_that_config_lua_names():
    with running(with_config('return { sandbox = { exec = { "/bin/sh" } } }'),
                 "--workers", "1") as server:
        assert attempt(server, 'return io.popen("echo hi"):read("l")') == "true | hi"
        assert attempt(server, 'return os.execute("/usr/bin/id")') == "true | nil | exit | 126"
        assert attempt(server, 'return os.execute("read x </etc/hostname")').startswith("true | nil")
    with running(with_config('return { sandbox = { exec = { "/usr/bin/id" } } }'),
                 "--workers", "1") as server:
        assert attempt(server, 'return os.execute("id")').endswith("Operation not permitted | 1")
        assert any('refused os.execute("id"): it needs /bin/sh, which is not in sandbox.exec' in line
                   for line in refusals(server)), refusals(server)


def test_relative_paths_are_the_sites():
    files = with_config('return { sandbox = { read = { "../beside" }, write = { "notes" } } }')
    folder = make_folder({**files, "notes/.keep": ""})
    (folder / "notes").chmod(0o777)
    (folder.parent / "beside").mkdir()
    (folder.parent / "beside/x").write_text("x")
    server = Server(folder, ("--workers", "1"))
    try:
        assert attempt(server, f'return io.open("{folder.parent}/beside/x"):read("a")') == "true | x"
        assert attempt(server, f'return io.open("{folder}/notes/n", "w") ~= nil') == "true | true"
    finally:
        server.stop()


def test_mistakes_in_config_lua_name_their_line():
    def said(text):
        return start_fails(make_folder(with_config(text)))
    assert ("scripts/config.lua:3: sandbox.write names /no/such/folder: No such file or directory"
            in said('return {\n  sandbox = {\n    write = { "/no/such/folder" } } }'))
    assert "scripts/config.lua:1: sandbox.exec: a path is empty" in said(
        'return { sandbox = { exec = { "" } } }')
    assert "scripts/config.lua:1: sandbox must be true, false, or a table" in said(
        'return { sandbox = 1 }')


@needs_landlock
def test_a_folder_of_files_must_be_named(outside):
    files = {**FILES, "scripts/main.lua": MAIN + f'    app.static("/more", "{outside}")\n'}
    said = start_fails(make_folder(files))
    assert (f"scripts/main.lua:12: app.static: the sandbox does not let the folder {outside} be read: "
            "name it in sandbox.read of config.lua") in said
    missing = {**files, "scripts/main.lua": MAIN + f'    app.static("/more", "{outside}/none")\n'}
    assert f"the folder {outside}/none cannot be opened: No such file" in start_fails(
        make_folder(missing))
    files["scripts/config.lua"] = f'return {{ sandbox = {{ read = {{ "{outside}" }} }} }}'
    with running(files) as server:
        assert ask(server, "/more/note.txt").body == b"a note"


@needs_landlock
def test_a_root_of_app_file_must_be_named(outside):
    main = MAIN + f'    app.get("/note", function() return app.file("note.txt", {{ root = "{outside}" }})' \
        ' end)\n'
    with running({**FILES, "scripts/main.lua": main}) as server:
        assert ask(server, "/note").status == 500
        assert (f"app.file: the sandbox does not let the folder {outside} be read: name it in "
                "sandbox.read of config.lua (the handler at scripts/main.lua:12)") in server.errors()


@needs_landlock
def test_a_module_elsewhere_is_told(outside):
    with running(FILES, "--workers", "1", env={"LUA_PATH_5_4": f"{outside}/?.lua;;"}) as server:
        assert attempt(server, 'return require "module"').startswith("false | ")
        assert any(f'attack.lua:1: the sandbox refused require("module"): {outside}/module.lua is not '
                   "in sandbox.read" in line for line in refusals(server)), refusals(server)


# The site's own folders

def test_folders_of_the_site_that_are_links(outside):
    folder = make_folder(FILES)
    shutil.move(folder / "scripts", outside / "scripts")
    shutil.move(folder / "site", outside / "site")
    (folder / "scripts").symlink_to(outside / "scripts")
    (folder / "site").symlink_to(outside / "site")
    server = Server(folder, ("--workers", "1"))
    try:
        assert ask(server, "/page.html").body == b"page"
        assert attempt(server, "return 1") == "true | 1"
    finally:
        server.stop()


@needs_landlock
def test_a_site_without_a_data_folder_of_its_own(outside):
    """Large bodies wait in a folder of the server's own then, which goes with it."""
    text = f'return {{ data = "{outside}/none/data" }}'
    with running(with_config(text), "--workers", "1") as server:
        large = requests.post(server.url("/upload"), params={"to": f"{outside}/x"}, timeout=10,
                              files={"f": ("f", b"x" * 300000)})
        assert large.text == "nil EACCES"
        assert attempt(server, 'return io.open("/tmp/lunette-of-sandbox", "w")').startswith(
            "true | nil")
        with server.connect() as s:     # a body that does not come to its end
            s.sendall(b"POST /try HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n"
                      + b"x" * 300000)
            held, = eventually(lambda: [name for name in server.open_files("/tmp/lunette-")
                                        if name.endswith("(deleted)")])
        own = pathlib.Path(held).parent
        assert own.is_dir() and own.stat().st_mode & 0o777 == 0o700
    assert not own.exists()


@needs_landlock
def test_a_folder_for_bodies_that_a_killed_server_left_is_taken_again(outside):
    """Each such server left one in /tmp, for ever."""
    user = pwd.getpwnam("nobody").pw_uid if os.getuid() == 0 else os.getuid()

    folder = make_folder(with_config(f'return {{ data = "{outside}/none/data" }}'))
    folder = folder.rename(folder.with_name("left" + folder.parent.name))

    def folders():  # of this site: other servers may come and go meanwhile
        return set(pathlib.Path(f"/tmp/lunette-{user}").glob(f"{folder.name}-*/bodies"))
    before = folders()
    for _ in range(2):
        server = Server(folder, ("--workers", "1"))
        workers = server.workers()
        one, = folders() - before
        assert one.stat().st_mode & 0o777 == 0o700
        server.process.kill()
        server.process.wait()
        eventually(lambda: not any(pathlib.Path(f"/proc/{pid}/fd").exists() for pid in workers), 15)
        assert one.is_dir()
    servers = [Server(folder, ("--workers", "1")) for _ in range(2)]
    assert folders() - before == {one}
    servers[0].stop()
    assert one.is_dir()  # the other one has it
    large = requests.post(servers[1].url("/upload"), params={"to": f"{outside}/x"}, timeout=10,
                          files={"f": ("f", b"x" * 300000)})
    assert large.text == "nil EACCES"
    servers[1].stop()
    assert not one.parent.exists() and folders() == before


def test_dev_is_in_the_sandbox_too():
    with running(FILES, "--dev") as server:
        assert "sandbox: " in server.errors() and "sandbox: off" not in server.errors()
        assert attempt(server, 'return os.execute("id")').endswith("Operation not permitted | 1")
        if LANDLOCK > 0:
            assert attempt(server, 'return io.open("/etc/hostname")').startswith("true | nil")


def test_the_master_may_still_replace_a_worker(serve):
    site = serve(FILES, "--workers", "1")
    worker, = site.workers()
    os.kill(worker, 9)
    site.wait_for(r"was killed by signal 9 \(SIGKILL\).*; started")
    assert attempt(site, "return 1") == "true | 1"
    assert attempt(site, 'return os.execute("id")').endswith("Operation not permitted | 1")


# Kernels that have less

def start_without(*calls):
    """A server on a kernel without these system calls, as a filter makes it look: that of a thread,
    which what it starts inherits."""
    def run():
        lib = ctypes.CDLL("libseccomp.so.2")
        lib.seccomp_init.restype = ctypes.c_void_p
        lib.seccomp_rule_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint]
        lib.seccomp_load.argtypes = [ctypes.c_void_p]
        allow, refuse = 0x7fff0000, 0x00050000 | errno.ENOSYS
        rules = ctypes.c_void_p(lib.seccomp_init(allow))
        for call in calls:
            number = lib.seccomp_syscall_resolve_name(call)
            assert lib.seccomp_rule_add(rules, refuse, number, 0) == 0
        assert lib.seccomp_load(rules) == 0
        return Server(make_folder(FILES), ("--workers", "1"))
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


def test_a_kernel_without_landlock(outside):
    server = start_without(b"landlock_create_ruleset")
    try:
        assert "sandbox: partly (seccomp; this kernel has no Landlock)\n" in server.errors()
        assert attempt(server, f'return io.open("{outside}/note.txt"):read("a")') == "true | a note"
        assert attempt(server, 'return os.execute("id")').endswith("Operation not permitted | 1")
    finally:
        server.stop()


@needs_landlock
def test_a_kernel_without_seccomp():
    server = start_without(b"seccomp")
    try:
        assert "this kernel has no seccomp)\n" in server.errors()
        assert attempt(server, 'return io.open("/etc/hostname")').startswith("true | nil")
        assert "Operation not permitted" in attempt(server, 'return os.execute("id")')
        assert any("os.execute" in line for line in refusals(server))
    finally:
        server.stop()


def test_a_kernel_with_neither(outside):
    server = start_without(b"seccomp", b"landlock_create_ruleset")
    try:
        assert "sandbox: off (this kernel has neither Landlock nor seccomp)\n" in server.errors()
        assert attempt(server, f'return io.open("{outside}/note.txt"):read("a")') == "true | a note"
        worker, = server.workers()
        status = pathlib.Path(f"/proc/{worker}/status").read_text(encoding="ascii")
        assert re.search(r"^CapEff:\t0+$", status, re.M)
    finally:
        server.stop()


def shared_memory_and_pipes(pid):
    """Descriptors of a worker that /proc/self/fd/N might open anew, and that are the server's alone."""
    links = {int(fd): os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    given = {link for fd, link in links.items() if fd <= 2}
    return {fd: link for fd, link in links.items() if link not in given and
            re.match("pipe:|socket:|/memfd:lunette-cache", link)}


def test_what_processes_share_is_not_opened_by_its_descriptor(serve):
    server = serve({"scripts/main.lua": MAIN}, "--workers", "1")
    worker, = server.workers()
    shared = shared_memory_and_pipes(worker)
    kinds = {re.sub(r"\d+", "", link) for link in shared.values()}
    assert kinds == {"socket:[]", "/memfd:lunette-cache (deleted)"}, shared  # the channel is a socket
    assert len(shared) >= 3, shared
    for fd in shared:
        for mode in ("r", "r+", "a", "w"):
            answer = attempt(server, f'return io.open("/proc/self/fd/{fd}", "{mode}")')
            assert answer.startswith("true | nil | /proc/self/fd/"), (shared[fd], mode, answer)
    assert server.workers() == [worker]
