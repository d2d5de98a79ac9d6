"""The handlers of paths that were seen before, which C keeps in a few places (struct plain_seen): who shares
a place with another, or has no room in one, is answered all the same, time and again."""
import itertools
import re
import signal
import string

import pytest

from conftest import ROOT
from running import running

WORK = (ROOT / "include/script/work.h").read_text()
PLACES, ROOM = (int(re.search(rf"\b{name} = (\d+)", WORK)[1])
                for name in ("PLAIN_SEEN", "PLAIN_SEEN_PATH"))
RUN = (ROOT / "src/script/handler_run.c").read_text()


def place_of(path):
    """As seen_place of handler_run.c has it."""
    middle, last = ord(path[len(path) // 2]), ord(path[-1])
    return (middle + 5 * last + 11 * len(path)) % PLACES


def sharing(path, stem, n=1, but=()):
    """The first n paths that begin with stem, and share the place of the path."""
    ends = (end for k in (1, 2, 3) for end in itertools.product(string.ascii_letters, repeat=k))
    found = (stem + "".join(end) for end in ends)
    return list(itertools.islice(
        (p for p in found if place_of(p) == place_of(path) and p not in but), n))


def test_the_paths_of_these_tests_share_their_places():
    assert "(middle + 5 * last + 11 * (unsigned)path.n) % PLAIN_SEEN" in RUN
    assert "middle = (unsigned char)path.p[path.n / 2]" in RUN
    assert "last = (unsigned char)path.p[path.n - 1]" in RUN


# Of one length, with the same bytes where the place is taken from; and of several lengths.
ALIKE = ["/aa/b1c", "/ab/b1c", "/ba/b1c"]
SHARED = sharing("/first", "/other/", 4)
ALL = [f"/all/{i}" for i in range(3 * PLACES)]
# Each begins with the one before it.
LONG = ["/long/" + "x" * (n - 6) for n in (ROOM - 1, ROOM, ROOM + 1, ROOM + 2, 300)]
BESIDE = []
for long in LONG:
    BESIDE += sharing(long, "/beside/", 1, BESIDE)
# Who takes no request, and who does, and who is no plain route at all, in one place.
BARE, TAKES, TAKES_TOO, CAPTURE, NONE = "/bare", *sharing("/bare", "/with/", 2), \
    *sharing("/bare", "/capture/"), *sharing("/bare", "/none/")
ONE_OF_TWO = sharing("/bare", "/through/")[0]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def bare(path, text=None, method="get"):
    return f'app.{method}("{path}", function() return app.text "{text or path}" end)\n'


def takes(path, method="get"):
    return f'app.{method}("{path}", function(req) return app.text(req.method .. " " .. req.path) end)\n'


MAIN = 'local app = require "lunette"\n' + "".join([
    *map(bare, [*ALIKE, "/first", *SHARED, *ALL, *LONG, *BESIDE, BARE]),
    *map(takes, [TAKES, TAKES_TOO]),
    'app.get("/capture/:n", function(req) return app.text("captured " .. req.params.n) end)\n',
    'app.use("/through", function(req, handle) return handle(req) end)\n', takes(ONE_OF_TWO),
    *(bare("/same", f"{m} of same", m.lower()) for m in METHODS),
    bare("/mixed", "bare"), takes("/mixed", "post"),
    takes("/other way"), bare("/other way", "bare", "post"),
    bare("/body", "no body"),
    'app.post("/body", function(req) return app.text(req.body) end)\n',
    bare("/a/b"), bare("/a b"),
])


@pytest.fixture
def site():
    """With one worker, whose places are asked each time, and are free at first."""
    with running({"scripts/main.lua": MAIN}, "--workers", "1") as server:
        yield server


@pytest.fixture
def wire(site):
    with site.wire() as w:
        yield w


def ask(wire, path, method="GET", body=None):
    fields = [] if body is None else [f"Content-Length: {len(body)}"]
    wire.send("\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *fields, "", body or ""]))
    return wire.answer(method)


def text(wire, path, method="GET", body=None):
    answer = ask(wire, path, method, body)
    assert answer.status == 200, answer
    return answer.body.decode()


@pytest.mark.parametrize("paths", [ALIKE, ["/first", *SHARED], ALL], ids=["alike", "shared", "all"])
def test_paths_that_share_a_place_are_answered_each_by_its_own(wire, paths):
    """However they take turns."""
    for order in (paths, paths[::-1], [p for p in paths for _ in range(3)], paths * 2):
        for path in order:
            assert text(wire, path) == path


def test_a_path_that_has_no_room_is_none_that_begins_like_it(wire):
    assert [len(p) for p in LONG[:3]] == [ROOM - 1, ROOM, ROOM + 1]
    for path in (LONG + BESIDE) * 2 + (LONG + BESIDE)[::-1] * 2:
        assert text(wire, path) == path
    for n in range(1, 60):  # nor is one that nobody has
        path = "/long/" + "x" * n
        if path not in LONG:
            assert ask(wire, path).status == 404


def test_a_path_has_the_handler_of_its_method(wire):
    for _ in range(2):
        for method in METHODS + METHODS[::-1]:
            assert text(wire, "/same", method) == f"{method} of same"
    for path in ("/first", "/mixed"):
        refused = ask(wire, path, "DELETE")  # though others are seen there
        assert refused.status == 405 and "GET" in refused.headers["allow"]


@pytest.mark.parametrize("path", ["/same", "/first", TAKES, LONG[1], LONG[2]])
def test_head_is_get_without_the_body(wire, path):
    for _ in range(2):
        head, get = ask(wire, path, "HEAD"), ask(wire, path)
        assert head.status == 200 and head.body == b"" and get.body
        expected = get.headers["content-length"]
        if path == TAKES:  # which tells the method
            expected = str(len(get.body) + 1)
        assert head.headers["content-length"] == expected


@pytest.mark.parametrize("first", [BARE, TAKES])
def test_who_takes_no_request_stands_beside_who_does(wire, first):
    """Whoever of them has the place."""
    for _ in range(2):
        for path in (first, BARE, TAKES, TAKES_TOO, TAKES, BARE):
            assert text(wire, path) == (path if path == BARE else f"GET {path}")
        assert text(wire, "/mixed") == "bare" and text(wire, "/mixed", "POST") == "POST /mixed"
        assert text(wire, "/other%20way") == "GET /other way"
        assert text(wire, "/other%20way", "POST") == "bare"


def test_a_body_comes_to_who_takes_it(wire):
    for body in ("one", "x" * 5000, ""):
        assert text(wire, "/body") == "no body"
        assert text(wire, "/body", "POST", body) == body
        assert text(wire, "/body", "GET", body) == "no body"


def test_routes_that_are_not_plain_are_found_beside_the_others(wire):
    assert len({place_of(p) for p in (BARE, CAPTURE, NONE, ONE_OF_TWO)}) == 1
    for _ in range(2):
        assert text(wire, BARE) == BARE
        assert text(wire, CAPTURE) == "captured " + CAPTURE.rpartition("/")[2]
        assert ask(wire, NONE).status == 404
        assert text(wire, ONE_OF_TWO) == f"GET {ONE_OF_TWO}"


def test_a_path_is_what_it_means_not_how_it_is_written(wire):
    for _ in range(2):
        assert text(wire, "/a/b") == text(wire, "/%61/b") == text(wire, "/x/../a/b?q") == "/a/b"
        assert text(wire, "/a%20b") == "/a b"
        assert ask(wire, "/a%2Fb").status == 404


AGAIN = 'local app = require "lunette"\n' + "".join([
    bare("/first", "first again"),
    *(bare(path, path + " again") for path in SHARED[:2]),  # the others are gone
    takes(BARE), *(bare(path, "bare now") for path in (TAKES, TAKES_TOO)),
    bare("/same", "only GET is left"),
    *(takes(path) for path in LONG),
])


def test_after_a_reload_nothing_is_left_of_what_was_seen():
    slow = 'app.get("/slow", function() require("lunette.task").sleep(2) return app.text "slow" end)\n'
    with running({"scripts/main.lua": MAIN + slow}, "--workers", "1") as server:
        with server.wire() as kept, server.wire() as waiting:
            for path in ["/first", *SHARED, BARE, TAKES, TAKES_TOO, *LONG] * 2:
                ask(kept, path)
            assert text(kept, "/same", "POST") == "POST of same"
            waiting.get("/slow")  # the scripts from before are there still
            waiting.assert_silent()
            (server.folder / "scripts/main.lua").write_text(AGAIN)
            server.process.send_signal(signal.SIGHUP)
            server.wait_for(r"reloaded \(1\)")
            for _ in range(2):
                assert [text(kept, path) for path in SHARED[:2]] == [f"{p} again" for p in SHARED[:2]]
                assert text(kept, "/first") == "first again"  # which had the place before
                assert {ask(kept, path).status for path in [*SHARED[2:], "/slow"]} == {404}
                assert text(kept, BARE) == f"GET {BARE}"
                assert text(kept, TAKES) == text(kept, TAKES_TOO) == "bare now"
                assert text(kept, "/same") == "only GET is left"
                assert ask(kept, "/same", "POST").status == 405
                assert [text(kept, path) for path in LONG] == [f"GET {path}" for path in LONG]
            assert waiting.answer().body == b"slow"
