"""make install and uninstall: what is put where, and that no more is taken away."""
import os
import shutil
import subprocess

import pytest

from conftest import LUNETTE, ROOT


@pytest.fixture
def make(place):
    """make(goal, PREFIX): with the program that is there, into place/to here."""
    (place / "b").mkdir()
    shutil.copy(LUNETTE, place / "b" / "lunette")

    def run(goal, prefix="/usr/local", to="to here"):
        done = subprocess.run(["make", "-C", str(ROOT), "--no-print-directory", "NEED=:", goal,
                               f"DESTDIR={place}/{to}", f"PREFIX={prefix}", f"B={place}/b"],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return place / to
    return run


def names_in(top):
    return {str(p.relative_to(top)) for p in top.rglob("*")}


EXPECTED = """bin/lunette lib/systemd/system/lunette@.service share/doc/lunette/README.md
    share/man/man1/lunette.1 share/man/man5/lunette-config.5 share/bash-completion/completions/lunette
    share/zsh/site-functions/_lunette share/fish/vendor_completions.d/lunette.fish
    share/lunette/meta/lunette/init.lua share/lunette/meta/lunette/json.lua
    share/lunette/guide/scripts/main.lua share/lunette/guide/scripts/views/layout.html
    share/lunette/guide/site/style.css""".split()


def test_everything_is_installed(make):
    old = os.umask(0o077)  # as careful people have it
    try:
        top = make("install-files") / "usr/local"
    finally:
        os.umask(old)
    names = names_in(top)
    assert set(EXPECTED) <= names, set(EXPECTED) - names
    for tree, target in (("scripts", "guide/scripts"), ("site", "guide/site"), ("src/meta", "meta")):
        assert names_in(ROOT / tree) == names_in(top / "share/lunette" / target)
    for path in top.rglob("*"):
        wanted = 0o755 if path.is_dir() or path.name == "lunette" and path.parent.name == "bin" else 0o644
        assert path.stat().st_mode & 0o7777 == wanted, path


def test_uninstall_takes_away_what_install_made_and_no_more(make, place):
    top = place / "to here/usr/local"
    for name in EXPECTED:  # others' files in the folders that are shared
        if "lunette/" not in name:
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).with_name("of-another").touch()
    before = names_in(place / "to here")
    make("install-files")
    assert names_in(place / "to here") > before
    make("install-files")  # twice is as once
    make("uninstall")
    assert names_in(place / "to here") - {"usr/local/share/doc"} == before
    make("uninstall")


def test_what_an_older_version_left_goes_and_data_of_the_guide_stays(make):
    top = make("install-files") / "usr/local/share/lunette"
    (top / "guide/scripts/old.lua").touch()
    (top / "guide/data").mkdir()
    (top / "guide/data/kept.db").touch()
    make("uninstall")
    assert names_in(top) == {"guide", "guide/data", "guide/data/kept.db"}


def test_uninstall_of_nothing(make):
    make("uninstall", to="nowhere")
