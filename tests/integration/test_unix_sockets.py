"""With whose rights a unix socket is made, and a stale one removed, where root starts the server."""
import os
import pwd
import shutil
import socket
import stat

import pytest

from conftest import Server
from running import make_folder, new_folder, start_fails, unix_get

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root")
NOBODY = pwd.getpwnam("nobody").pw_uid
MAIN = "require 'lunette'.get('/', function() return 'served' end)"


def make_stale(path):
    """A socket that nobody listens on; which file it is."""
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
    path.chmod(0o777)  # whoever tries learns that it is stale
    return path.lstat().st_ino


@pytest.fixture
def hers():
    """A folder that is not root's."""
    folder = new_folder()
    shutil.chown(folder, "nobody", "nogroup")
    return folder


def site_that_names(path):
    """A site whose config.lua, its user's own, names a socket."""
    folder = make_folder({"scripts/main.lua": MAIN,
                          "scripts/config.lua": f"return {{ health = 'unix:{path}' }}"})
    for part in (folder, folder / "scripts/config.lua"):
        shutil.chown(part, "nobody", "nogroup")
    return folder


@pytest.mark.parametrize("way", ["straight", "link"])
def test_a_config_of_another_user_has_root_remove_and_bind_nothing(hers, way):
    roots = new_folder()
    inode = make_stale(roots / "socket")
    (hers / "way").symlink_to(roots)
    path = (roots if way == "straight" else hers / "way") / "socket"
    why = start_fails(site_that_names(path))
    assert f"cannot listen on unix:{path}: Permission denied. The socket is made as nobody:nogroup" in why
    assert "name it with --listen" in why
    assert (roots / "socket").lstat().st_ino == inode


def test_in_its_own_folder_the_user_has_it(hers):
    path = hers / "socket"
    make_stale(path)
    shutil.chown(path, "nobody", "nogroup")
    server = Server(site_that_names(path), ("--workers", "1"))
    is_nobodys(path)
    assert unix_get(path).body == b"ok\n"
    assert server.stop() == 0 and not path.exists()


def is_nobodys(path):
    made = path.lstat()
    assert stat.S_ISSOCK(made.st_mode) and stat.S_IMODE(made.st_mode) == 0o660
    assert made.st_uid == NOBODY


@pytest.mark.parametrize("whose", ["root", "nobody"])
def test_one_that_root_names_is_made_by_root(whose):
    folder = new_folder()
    shutil.chown(folder, whose)
    make_stale(folder / "socket")
    server = Server(make_folder({"scripts/main.lua": MAIN}),
                    ("--workers", "1", "--listen", f"unix:{folder}/socket"))
    is_nobodys(folder / "socket")
    assert unix_get(folder / "socket").body == b"served"
    assert server.stop() == 0
    assert (folder / "socket").exists() == (whose == "root")  # where nobody may not remove it


def test_a_config_of_roots_has_root_make_it():
    """As in "unix:/run/site.sock": its user may not write in that folder."""
    folder = new_folder()
    make_stale(folder / "socket")
    site = make_folder({"scripts/main.lua": MAIN,
                        "scripts/config.lua": f"return {{ health = 'unix:{folder}/socket' }}"})
    server = Server(site, ("--workers", "1"))
    is_nobodys(folder / "socket")
    assert unix_get(folder / "socket").body == b"ok\n"
    assert server.stop() == 0


def test_root_is_not_led_through_a_link_that_somebody_else_can_make(hers):
    """It was bound behind the link before that was looked at, and a stale one removed there."""
    roots = new_folder()
    inode = make_stale(roots / "socket")
    (hers / "way").symlink_to(roots)
    why = start_fails(make_folder({"scripts/main.lua": MAIN}), "--listen", f"unix:{hers}/way/socket")
    assert "leads through a link that another user could have made" in why
    assert (roots / "socket").lstat().st_ino == inode
