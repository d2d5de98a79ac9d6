"""Where the control socket is by default, who finds it there, and that no script takes it away."""
import os
import pathlib
import re
import shutil
import socket
import stat

import pytest

from conftest import LUNETTE, Server, eventually
from test_control import as_root, ask, control, field
from test_reload import SITE, page

NOWHERE = {"RUNTIME_DIRECTORY": "", "XDG_RUNTIME_DIR": ""}
UID = 54321  # nobody's

COMMANDS = {
    "scripts/config.lua": "return { sandbox = false }",
    "scripts/main.lua": """
        local app = require "lunette"
        app.get("/", function(req) return "one" end)
        app.post("/run", function(req)
            local p = io.popen(req.body)
            local out = p:read("a")
            p:close()
            return app.text(out)
        end)
    """,
}


def run(server, command):
    body = command.encode()
    head = f"POST /run HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return server.raw(head.encode() + body).decode().partition("\r\n\r\n")[2]


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def control_of(server, env):
    code, out, err = ask(server, "status", env=env)
    assert code == 0, err
    return pathlib.Path(field(out, "control"))


@pytest.fixture
def cleared():
    """Folders to be removed at the end."""
    folders = []
    yield folders
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def test_no_script_of_the_sandbox_removes_it(serve):
    server = serve({"scripts/main.lua": """
        local app = require "lunette"
        app.get("/remove", function(req) return app.json { os.remove(req.query.path) == true } end)
        app.get("/rename", function(req)
            return app.json { os.rename(req.query.path, app.data .. "/taken") == true }
        end)
        app.get("/write", function(req)
            return app.json { io.open(req.query.path .. "x", "w") ~= nil }
        end)
    """})
    place = control(server)
    assert not str(place).startswith(str(server.folder))
    for what in ("remove", "rename", "write"):
        said = server.get(f"/{what}?path={place}")
        assert b"200 OK" in said and b"true" not in said, said
    assert place.is_socket() and ask(server, "status")[0] == 0


def test_workers_and_what_they_start_do_not_command_it(serve, place):
    server = serve(COMMANDS, "--workers", "1")
    os.chmod(place, 0o777)
    said = run(server, f"{LUNETTE} stop {server.folder} 2>&1")
    assert "the server's own workers, and what they start, are not heard here" in said, said
    out = place / "out"
    # neither when the one that started it is gone
    run(server, f"(setsid sh -c 'sleep 0.5; {LUNETTE} stop {server.folder} >{out}.new 2>&1; "
                f"mv {out}.new {out}' >/dev/null 2>&1 &)")
    eventually(out.exists, 20)
    assert "are not heard here" in out.read_text()
    assert page(server) == "one" and ask(server, "status")[0] == 0


def remove(path):
    path.unlink()


def put_a_file(path):
    path.unlink()
    path.write_text("nonsense")


def put_a_dead_socket(path):
    path.unlink()
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))


def put_a_folder(path):
    path.unlink()
    path.mkdir()


def put_a_link(path):
    path.unlink()
    path.symlink_to("/nowhere")


@pytest.mark.parametrize("harm", [remove, put_a_file, put_a_dead_socket, put_a_folder, put_a_link])
def test_one_that_is_removed_or_replaced_is_made_anew(serve, harm):
    server = serve(SITE, "--workers", "1")
    place = control(server)
    for _ in range(2):
        seen = len(server.errors())
        harm(place)
        eventually(lambda: f"the control socket {place} was removed or replaced: it is made anew"
                   in server.errors()[seen:], 10)
        assert field(ask(server, "status")[1], "pid") == str(server.process.pid)
    assert mode(place) == 0o600
    assert ask(server, "stop")[0] == 0 and not place.exists()


def test_where_another_server_answers_by_then_that_is_said_once(serve):
    server = serve(SITE, "--workers", "1")
    place = control(server)
    place.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(place))
        os.chmod(place, 0o777)
        other.listen()
        server.wait_for("cannot be made anew: another server answers there")
    server.wait_for("it is made anew", 10)
    assert server.errors().count("cannot be made anew") == 1
    assert ask(server, "status")[0] == 0


@as_root
def test_root_has_it_in_run(serve, cleared):
    server = serve(SITE, "--workers", "1", "--user", "www-data", env=NOWHERE)
    env = {**os.environ, **NOWHERE}
    code, out, err = ask(server, "status", env=env)
    assert code == 0, err
    place = pathlib.Path(field(out, "control"))
    cleared.append(place.parent)
    assert re.fullmatch(rf"/run/lunette/{server.folder.name}-[0-9a-f]{{16}}/control", str(place))
    assert place.parents[1].owner() == "root" and mode(place.parents[1]) == 0o755
    assert place.parent.owner() == "www-data" and mode(place.parent) == 0o700
    assert ask(server, "status", user="www-data", env=env)[0] == 0
    code, _, err = ask(server, "status", user="nobody", env=env)
    assert code == 1 and "only root and the user of the server may speak to it" in err
    place.unlink()  # also when it is no longer root that makes it
    server.wait_for("it is made anew", 10)
    assert ask(server, "stop", env=env)[0] == 0 and not place.exists()


@as_root
@pytest.mark.parametrize("runtime", [True, False])
def test_a_user_has_it_in_a_folder_of_its_own(make_site, place, cleared, runtime):
    folder = make_site(SITE)
    os.chmod(folder.parent, 0o777)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, UID, UID)
    env = dict(NOWHERE)
    if runtime:
        env["XDG_RUNTIME_DIR"] = str(place / "runtime")
        (place / "runtime").mkdir(0o700)
        os.chown(place / "runtime", UID, UID)
    where = place / "runtime/lunette" if runtime else pathlib.Path(f"/tmp/lunette-{UID}")
    cleared.append(where)
    server = Server(folder, ("--workers", "1"), user=UID, env=env)
    try:
        env = {**os.environ, **env}
        for user in (UID, None):
            code, out, err = ask(server, "status", user=user, env=env)
            assert code == 0, err
            assert pathlib.Path(field(out, "control")).parents[1] == where
        assert where.stat().st_uid == UID and mode(where) == 0o700
        shutil.rmtree(where)
        server.wait_for("it is made anew", 10)
        assert ask(server, "status", user=UID, env=env)[0] == 0
    finally:
        server.stop()


@as_root
@pytest.mark.parametrize("what", ["link", "open", "others"])
def test_a_folder_in_tmp_that_is_somebody_elses_is_not_used(make_site, place, cleared, what):
    where = pathlib.Path(f"/tmp/lunette-{UID}")
    cleared.append(where)
    if what == "link":
        (place / "there").mkdir()
        os.chown(place / "there", UID, UID)
        where.symlink_to(place / "there")
    else:
        where.mkdir(0o777)
        os.chown(where, *((UID, UID) if what == "open" else (33, 33)))
        where.chmod(0o777 if what == "open" else 0o755)
    folder = make_site(SITE)
    os.chmod(folder.parent, 0o777)
    server = Server(folder, ("--workers", "1"), user=UID, env=NOWHERE)
    try:
        server.wait_for(rf"no control socket at {where}/.*: a folder on the way to it belongs to "
                        "another user, or others may write in it")
        code, _, _ = ask(server, "status", user=UID, env={**os.environ, **NOWHERE})
        assert code == 1
    finally:
        server.stop()
        if what == "link":
            where.unlink()


@as_root
def test_a_folder_in_run_of_another_user_is_emptied_for_the_next(make_site, cleared):
    """Its old owner listens there still, and has left more."""
    folder, env = make_site(SITE), {**os.environ, **NOWHERE}
    (folder.parent / "kept").write_text("kept")

    def server(user):
        return Server(folder, ("--workers", "1", "--user", user), env=NOWHERE)
    first = server("www-data")
    try:
        place = control_of(first, env)
        cleared.append(place.parent)
    finally:
        first.stop()  # by a signal: it cannot remove the folder
    assert place.parent.owner() == "www-data" and not list(place.parent.iterdir())
    with socket.socket(socket.AF_UNIX) as squatter:
        squatter.bind(str(place))
        os.chown(place, 33, 33)
        squatter.listen()
        (place.parent / "link").symlink_to(folder.parent / "kept")
        second = server("nobody")
        try:
            assert control_of(second, env) == place
            assert place.parent.owner() == "nobody" and mode(place.parent) == 0o700
            assert [p.name for p in place.parent.iterdir()] == ["control"]
            assert (folder.parent / "kept").read_text() == "kept"
            assert ask(second, "stop", env=env) == (0, "", "")
        finally:
            second.stop()
    assert not place.parent.exists()  # root's lunette stop can


@as_root
def test_one_that_cannot_be_emptied_is_named(make_site, cleared):
    folder, env = make_site(SITE), {**os.environ, **NOWHERE}
    first = Server(folder, ("--workers", "1", "--user", "www-data"), env=NOWHERE)
    try:
        place = control_of(first, env)
        cleared.append(place.parent)
    finally:
        first.stop()
    (place.parent / "a/b").mkdir(parents=True)
    second = Server(folder, ("--workers", "1", "--user", str(UID)), env=NOWHERE)
    cleared.append(pathlib.Path(f"/tmp/lunette-{UID}"))
    try:
        second.wait_for(f"no control socket at {place}: another user had its folder and has left there")
        assert place.parent.stat().st_uid == 0
    finally:
        second.stop()


@as_root
def test_a_squatted_place_in_tmp_hides_no_other(make_site, place, cleared):
    """Anybody can make /tmp/lunette-0; root finds the server of the site's user all the same."""
    squatted = pathlib.Path("/tmp/lunette-0")
    existed = squatted.exists()
    if existed:
        was = squatted.stat().st_uid
    else:
        squatted.mkdir()
        cleared.append(squatted)
    os.chown(squatted, 33, 33)
    folder = make_site(SITE)
    os.chmod(folder.parent, 0o777)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, UID, UID)
    cleared.append(pathlib.Path(f"/tmp/lunette-{UID}"))
    server = Server(folder, ("--workers", "1"), user=UID, env=NOWHERE)
    try:
        assert str(control_of(server, {**os.environ, **NOWHERE})).startswith(f"/tmp/lunette-{UID}/")
    finally:
        server.stop()
        if existed:
            os.chown(squatted, was, was)


@pytest.mark.parametrize("junk", [put_a_file, put_a_folder, put_a_link])
def test_what_lies_in_its_place_at_a_start_goes(serve, junk):
    """In the folder that is the server's user's alone."""
    server = serve(SITE, "--workers", "1")
    place = control(server)
    server.process.kill()
    server.process.wait()
    junk(place)
    again = Server(server.folder, ("--workers", "1"))
    try:
        assert field(ask(again, "status")[1], "control") == str(place)
        assert place.is_socket() and mode(place) == 0o600
    finally:
        again.stop()
