"""The Debian package: built from the program that is there, looked at, and its server run on its guide."""
import gzip
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import conftest
from conftest import ROOT, Server
from running import ask, new_folder
from test_own_site import Page


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120,
                          check=False, **options)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def build():
    """The package of the program that is there, in a folder of its own."""
    folder = new_folder()
    shutil.copy(conftest.LUNETTE, folder / "lunette")
    said = run("make", "-C", ROOT, "-s", "--no-print-directory", "NEED=:", f"B={folder}", "deb-files",
               env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"})
    path = pathlib.Path(said.strip())
    assert {p.name for p in folder.iterdir()} == {"lunette", path.name}
    return path


@pytest.fixture(scope="module")
def package():
    return build()


@pytest.fixture(scope="module")
def top(package):
    folder = new_folder()
    run("dpkg", "-x", package, folder)
    folder.chmod(0o755)
    return folder


def version():
    return re.search(r'LUNETTE_VERSION "(.*)"', (ROOT / "include/app/cli.h").read_text())[1]


def test_control_says_what_it_is(package):
    fields = dict(re.findall(r"^(\S+): (.*)$", run("dpkg-deb", "-f", package), re.M))
    assert fields["Package"] == "lunette" and fields["Version"] == version()
    assert package.name == f"lunette_{version()}_{fields['Architecture']}.deb"
    assert fields["Architecture"] == run("dpkg", "--print-architecture").strip()
    assert "@" not in "".join(v for k, v in fields.items() if k != "Maintainer")
    assert int(fields["Installed-Size"]) > 500
    # libssl and SQLite are loaded by the program itself, which is not linked with them.
    for name in ("libc6 (>= ", "libmagic1", "libssl3", "libsqlite3-0", "zlib1g", "libseccomp2"):
        assert name in fields["Depends"], fields["Depends"]


def test_control_scripts_are_shell(package, place):
    run("dpkg-deb", "-e", package, place / "control")
    assert {p.name for p in (place / "control").iterdir()} == {"control", "md5sums", "postinst", "postrm"}
    for name in ("postinst", "postrm"):
        script = place / "control" / name
        assert script.stat().st_mode & 0o777 == 0o755 and script.read_text().startswith("#!/bin/sh\nset -e\n")
        run("sh", "-n", script)
        run("sh", script, "upgrade", "0")
    assert not (place / "control/conffiles").exists()


def test_sums_are_right(package, top, place):
    run("dpkg-deb", "-e", package, place / "control")
    sums = (place / "control/md5sums").read_text()
    assert len(sums.splitlines()) == len([p for p in top.rglob("*") if p.is_file()])
    run("md5sum", "--quiet", "-c", "-", cwd=top, input=sums)


def test_owners_and_rights(package):
    for line in run("dpkg-deb", "-c", package).splitlines():
        rights, owner, *_, name = line.split()
        assert owner == "root/root", line
        wanted = "drwxr-xr-x" if name.endswith("/") else (
            "-rwxr-xr-x" if name == "./usr/bin/lunette" else "-rw-r--r--")
        assert rights == wanted, line
        assert name == "./" or name.startswith("./usr/"), line


def test_manual_and_changelog_are_compressed(top):
    share = top / "usr/share"
    for name in ("man/man1/lunette.1.gz", "man/man5/lunette-config.5.gz", "doc/lunette/changelog.gz"):
        data = (share / name).read_bytes()
        assert data[4:8] == b"\0\0\0\0", f"{name} has the time of its building in it"
        assert gzip.decompress(data)
    assert f"lunette ({version()})" in gzip.decompress(
        (share / "doc/lunette/changelog.gz").read_bytes()).decode()
    assert "Lua.org, PUC-Rio" in (share / "doc/lunette/copyright").read_text()
    assert not list(share.glob("man/man*/*[0-9]"))


def test_no_path_of_the_build_is_in_it(package, top):
    for path in top.rglob("*"):
        if path.is_file():
            assert str(ROOT).encode() + b"/" not in path.read_bytes(), path
            assert str(package.parent).encode() not in path.read_bytes(), path
    assert "debug_info" not in run("readelf", "-S", "-W", top / "usr/bin/lunette")


def test_the_unit_serves_any_folder(top):
    text = (top / "usr/lib/systemd/system/lunette@.service").read_text()
    assert "ExecStart=/usr/bin/lunette serve %f" in text
    assert "Documentation=file:/usr/share/doc/lunette/README.md" in text


def test_the_same_program_gives_the_same_package(package):
    assert build().read_bytes() == package.read_bytes()


def serve_guide(top, monkeypatch, user=None):
    """The installed server on the installed guide: what its links lead to, and a large body. Its log,
    without the errors that are there to be seen."""
    monkeypatch.setattr(conftest, "LUNETTE", str(top / "usr/bin/lunette"))
    folder = new_folder()
    folder.chmod(0o777)
    server = GuideServer(top / "usr/share/lunette/guide", folder, ("--workers", "1"), user=user)
    try:
        start = ask(server, "/")
        assert start.status == 200, server.errors()
        links = [link for link in Page(start.body.decode()).links if re.match("/[^/]|/$", link[0])]
        assert len(links) > 3
        for path, status in links:  # 503: what needs a folder to write to may say so
            assert ask(server, path.partition("#")[0]).status in (status, 503), path
        meant = [f" 500 GET {path}: " for path, status in links if status == 500]
        large = ask(server, "/no-such-page", method="POST", body=b"x" * 200000)
        assert large.status in (404, 405, 413)
    finally:
        server.stop()
    return "\n".join(line for line in server.errors().splitlines() if not any(m in line for m in meant))


class GuideServer(Server):
    """One whose logs are not beside the site."""

    def __init__(self, guide, folder, arguments, **options):
        link = folder / "guide"
        link.symlink_to(guide)
        super().__init__(link, arguments, **options)


def test_the_guide_is_served_to_whoever_may_not_write_there(top, monkeypatch):
    user = "nobody" if os.getuid() == 0 else None
    guide = top / "usr/share/lunette/guide"
    if user is None:  # what dpkg -x gave is one's own
        guide.chmod(0o555)
    try:
        log = serve_guide(top, monkeypatch, user)
    finally:
        guide.chmod(0o755)
    assert not (guide / "data").exists()
    assert " error " not in log, log


@pytest.mark.skipif(os.getuid() != 0, reason="root's start takes root")
def test_the_guide_is_served_by_root(top, monkeypatch):
    log = serve_guide(top, monkeypatch)
    assert "nobody" in log and " error " not in log, log
    assert (top / "usr/share/lunette/guide/data").stat().st_uid != 0


def test_a_purge_leaves_nothing(package, place):
    top = place / "root"
    (top / "var/lib/dpkg/info").mkdir(parents=True)
    (top / "var/lib/dpkg/updates").mkdir()
    (top / "var/lib/dpkg/status").touch()
    dpkg = ("dpkg", f"--root={top}", "--force-script-chrootless", "--force-depends", "--force-not-root",
            f"--log={place}/log")
    run(*dpkg, "-i", package)
    guide = top / "usr/share/lunette/guide"
    assert (guide / "scripts/main.lua").exists() and (top / "usr/bin/lunette").exists()
    (guide / "data").mkdir()
    (guide / "data/demo.db").touch()
    run(*dpkg, "-r", "lunette")
    assert (guide / "data/demo.db").exists() and not (guide / "scripts").exists()
    run(*dpkg, "-P", "lunette")
    assert not [p for p in top.rglob("*") if "var/lib/dpkg" not in str(p.relative_to(top))
                and str(p.relative_to(top)) not in ("var", "var/lib")]
