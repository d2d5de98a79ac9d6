"""What takes minutes or gigabytes: `make soak`. Not a part of `make test`."""
import hashlib
import json

import pytest

from test_downloads import Downloads, serving
from test_uploads import MB, SITE, forget_peak, peak

GB = 2**30


@pytest.fixture
def server(serve):
    main = SITE["scripts/main.lua"].replace('max_body = "1G", timeout = 60',
                                            'max_body = "3G", timeout = 300')
    return serve({**SITE, "scripts/main.lua": main.replace('max_body = "1G"', 'max_body = "3G"')},
                 "--workers", "1")


def send_upload(server, path, size, before, after):
    """A body of size bytes between two texts; the answer, and the digest of what was sent."""
    block = bytes(range(256)) * 4096
    digest = hashlib.sha256()
    with server.wire(timeout=600) as w:
        w.send(f"POST {path} HTTP/1.1\r\nHost: a\r\n"
               f"Content-Type: multipart/form-data; boundary=b\r\n"
               f"Content-Length: {len(before) + size + len(after)}\r\n\r\n", before)
        for _ in range(size // len(block)):
            w.send(block)
            digest.update(block)
        answer = w.send(after).answer()
    assert answer.status == 200, answer.body
    return json.loads(answer.body), digest.hexdigest()


PART = '--b\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
FIELD = PART.format("field", "") + "value\r\n"
FILE = PART.format("f", '; filename="big"')


def test_an_upload_of_two_gigabytes_costs_no_memory(server):
    send_upload(server, "/digest", 0, FIELD + FILE, "warm\r\n--b--\r\n")
    (server.folder / "data/big").unlink()
    [worker] = server.workers()
    forget_peak(worker)
    before = peak(worker)
    got, digest = send_upload(server, "/digest", 2 * GB, FIELD + FILE, "\r\n--b--\r\n")
    grown = peak(worker) - before
    print(f"a 2 GiB upload through req.files: the worker's peak memory grew by {grown / MB:.1f} MiB")
    assert grown < 16 * MB
    assert (got["size"], got["sha256"], got["field"]) == (2 * GB, digest, "value")
    assert (server.folder / "data/big").stat().st_size == 2 * GB


def test_two_gigabytes_are_read_as_they_come(server):
    send_upload(server, "/stream", 0, FIELD, "warm")
    [worker] = server.workers()
    forget_peak(worker)
    before = peak(worker)
    got, _ = send_upload(server, "/stream", 2 * GB, "a", "z")
    grown = peak(worker) - before
    print(f"a 2 GiB body through req:chunks(): the worker's peak memory grew by {grown / MB:.1f} MiB")
    assert grown < 16 * MB and got["n"] == 2 * GB + 2


# --- downloads ---

@pytest.fixture(scope="module")
def downloads():
    with serving() as server:
        yield Downloads(server, GB)


@pytest.mark.parametrize("path", ["/big.bin", "/file", "/stream"])
def test_a_gibibyte_is_downloaded_whole(downloads, path):
    with downloads.cost_nothing(f"1 GiB from {path}"):
        downloads.whole(path)


@pytest.mark.parametrize("path", ["/big.bin", "/file"])
def test_a_gibibyte_is_resumed_five_times(downloads, path):
    with downloads.cost_nothing(f"1 GiB from {path}, resumed"):
        downloads.resumed(path, 6)


@pytest.mark.parametrize("path", ["/big.bin", "/file"])
def test_a_gibibyte_in_eight_ranges_at_once(downloads, path):
    with downloads.cost_nothing(f"1 GiB from {path}, in ranges"):
        downloads.ranges(path)


def test_a_slow_reader_of_a_gibibyte_beside_others(downloads):
    with downloads.cost_nothing("1 GiB beside a slow reader"):
        downloads.beside_a_slow_reader(lambda: downloads.whole("/big.bin"),
                                       lambda: downloads.ranges("/file"),
                                       lambda: downloads.whole("/stream"))
