"""Files where the kernel has no openat2, or a sandbox refuses it: the same but that no link is followed.

The server runs under a filter that answers for the kernel.
"""
import errno
import pathlib
import sys

import pytest
import requests

import conftest

WRAPPER = """#!{python}
import ctypes, os, struct, sys
OPENAT2 = 437
code = b"".join(struct.pack("HBBI", *step) for step in [
    (0x20, 0, 0, 0),               # the number of the call
    (0x15, 0, 1, OPENAT2),
    (0x06, 0, 0, 0x50000 | {error}),  # an error
    (0x06, 0, 0, 0x7fff0000)])     # allowed
steps = ctypes.create_string_buffer(code, len(code))
program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(steps))
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
holder = ctypes.create_string_buffer(program, len(program))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.addressof(holder), 0, 0):
    sys.exit("no seccomp here")
os.execv({program!r}, [{program!r}] + sys.argv[1:])
"""
SITE = {
    "scripts/main.lua": """
        local app = require "lunette"
        app.static("/pub", "pub", { listing = true })
        """,
    "site/note.txt": "a note", "site/note.txt.gz": "a form of it",
    "site/folder/index.html": "<p>folder", "site/.hidden": "secret",
    "site/.well-known/a.txt": "known",
    "pub/sub/a.txt": "a",
}


@pytest.fixture(params=[errno.ENOSYS, errno.EPERM])
def server(serve, monkeypatch, request, place):
    wrapper = place / "wrapper"
    wrapper.write_text(WRAPPER.format(python=sys.executable, program=str(conftest.LUNETTE),
                                      error=request.param))
    wrapper.chmod(0o755)
    monkeypatch.setattr(conftest, "LUNETTE", str(wrapper))
    try:
        server = serve(SITE)
    except AssertionError as e:
        if "no seccomp here" in str(e):
            pytest.skip("the kernel has no seccomp")
        raise
    status = pathlib.Path(f"/proc/{server.workers()[0]}/status").read_text()
    assert "Seccomp:\t2" in status
    return server


def test_files_are_served_and_links_are_not(server):
    site = server.folder / "site"
    (site / "inside.txt").symlink_to("note.txt")
    (site / "inside").symlink_to("folder")
    (site / "out.txt").symlink_to("/etc/passwd")
    (site / "up").symlink_to("..")
    (server.folder / "pub/link.txt").symlink_to("sub/a.txt")

    def get(path, **headers):
        return requests.get(server.url(path), headers=headers, allow_redirects=False)
    assert get("/note.txt", **{"Accept-Encoding": "identity"}).text == "a note"
    with server.wire() as w:
        form = w.get("/note.txt", "Accept-Encoding: gzip").answer()
        assert form.body == b"a form of it"
    assert get("/folder/").text == "<p>folder"
    assert get("/folder").headers["Location"] == "/folder/"
    assert get("/.well-known/a.txt").text == "known"
    for path in ("/inside.txt", "/inside/", "/inside/index.html", "/out.txt", "/up/pub/sub/a.txt",
                 "/.hidden", "/note.txt/", "/none", "/pub/link.txt"):
        assert get(path).status_code == 404, path
    page = get("/pub/")
    assert page.status_code == 200 and "./sub/" in page.text and "link.txt" not in page.text
