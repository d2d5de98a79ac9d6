"""Minutes of mixed traffic with reloads and kills: a part of `make soak`.

SOAK_SECONDS (300), SOAK_RELOADS (1000) and SOAK_KILLS (50) shorten it. The figures are printed.
"""
import contextlib
import os
import pathlib
import re
import signal
import statistics
import time

from conftest import eventually
from test_ends import is_zombie
from traffic import SITE, Traffic

SECONDS = float(os.environ.get("SOAK_SECONDS", 300))
RELOADS = int(os.environ.get("SOAK_RELOADS", 1000))
KILLS = int(os.environ.get("SOAK_KILLS", 50))
CLIENTS = 6
KIB = 1024


def memory(pid, kind="Pss_Anon"):
    """A process's own memory, pages shared after a fork by halves. In KiB. Pss_Shmem is that of the
    shared cache, which has a size of its own to fill."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(rf"^{kind}:\s+(\d+)", text, re.M).group(1))


def descriptors(pid):
    """What is open, without the numbers; but for connections' and others' sockets that is all alike."""
    names = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            names.append(re.sub(r"\d+", "", os.readlink(f"/proc/{pid}/fd/{fd}")))
    return sorted(names)


class State:
    """What must be the same at the end."""

    def __init__(self, server):
        pids = [server.process.pid, *server.workers()]
        self.descriptors = {"master": descriptors(pids[0]),
                            "workers": sorted(sum(map(descriptors, pids[1:]), []))}
        self.memory = {"master": memory(pids[0]), "workers": sum(map(memory, pids[1:]))}
        self.zombies = sum(map(is_zombie, pids))
        self.processes = len(pids)
        self.maps = sum("/dev/zero" in line or "memfd" in line
                        for line in open(f"/proc/{pids[0]}/maps"))
        self.temporary = sorted(n for n in os.listdir(server.folder / "data")
                                if not n.startswith("saved-"))
        self.shared = sorted(n for n in os.listdir("/dev/shm") if "lunette" in n)
        text = server.get("/metrics").decode()
        self.connections = int(re.search(r"^lunette_connections_open (\d+)", text, re.M).group(1))
        self.coroutines = sum(map(int, re.findall(r"^lunette_coroutines\S* (\d+)", text, re.M)))

    def same(self):
        """All but memory."""
        return {k: v for k, v in vars(self).items() if k != "memory"}


def at_rest(server):
    """The state once connections, old generations and kept descriptors are gone."""
    time.sleep(25)  # files that nobody asks for are closed after 10 s, or the 10 s after that
    return State(server)



class Reloads:
    """Changes a script and reloads it, again and again; .ms of each."""

    def __init__(self, server):
        self.server, self.number, self.ms = server, 0, []

    def one(self):
        """Whether it came about; one during which a worker was killed does not."""
        self.number += 1
        part = self.server.folder / "scripts/part.lua"
        part.with_suffix(".new").write_text(f"return {self.number}")
        part.with_suffix(".new").rename(part)
        self.server.process.send_signal(signal.SIGHUP)
        pattern = rf"reloaded \({self.number}\), in (\d+) ms|reload {self.number} came to nothing"
        found = eventually(lambda: re.search(pattern, self.tail()), 60)
        if found.group(1):
            self.ms.append(int(found.group(1)))
        return bool(found.group(1))

    def tail(self):
        with self.server.err.open("rb") as f:
            f.seek(max(0, f.seek(0, 2) - 4096))
            return f.read().decode(errors="replace")

    def summary(self):
        ms = sorted(self.ms)
        return f"{len(ms)} reloads, median {ms[len(ms) // 2]} ms, longest {ms[-1]} ms"


def own_memory(server):
    return sum(memory(pid) for pid in [server.process.pid, *server.workers()[:2]])


def test_a_thousand_reloads_under_load_lose_nothing(serve):
    """Memory is looked at after each, and compared by the medians of a tenth of them: a look meets
    whatever is under way, and up to four generations."""
    server = serve(SITE, "--workers", "2")
    reloads, looks = Reloads(server), []
    with Traffic(server, CLIENTS) as traffic:
        time.sleep(2)
        for _ in range(RELOADS):
            assert reloads.one(), server.errors()[-2000:]
            looks.append(own_memory(server))
    tenth = max(1, RELOADS // 10)
    medians = [statistics.median(looks[i:i + tenth]) for i in range(tenth // 2, RELOADS, tenth)]
    first, last = medians[0], statistics.median(looks[-tenth:])
    print(f"\n{reloads.summary()}, under load: {traffic.counts}; own memory (KiB) by tenths: {medians}; "
          f"{(last / first - 1) * 100:+.1f} % from {tenth} to {RELOADS}")
    said = [line for line in server.errors().splitlines() if " reloaded (" not in line]
    assert traffic.counts["lost"] == traffic.counts["wrong"] == 0, (traffic.examples, said)
    assert last <= first * 1.05


def test_kills_under_load_lose_what_was_in_flight(serve):
    server = serve(SITE, "--workers", "2")
    held = []
    with Traffic(server, CLIENTS) as traffic:
        time.sleep(1)
        for n in range(KILLS):
            time.sleep(0.2)
            victim = server.workers()[n % 2]
            os.kill(victim, signal.SIGKILL)
            server.wait_for(rf"worker {victim} .*; started \d+")
            line = re.search(rf"worker {victim} .*; started", server.errors()).group()
            found = re.search(r"with (\d+) requests? under way", line)
            held.append(int(found.group(1)) if found else 0)
    # A connection whose worker dies between two requests is lost to its client, too.
    print(f"\n{KILLS} kills under load: {traffic.counts}; the log names {sum(held)} requests in flight")
    assert traffic.counts["wrong"] == 0, traffic.examples
    assert traffic.counts["lost"] <= KILLS * CLIENTS
    assert len(server.workers()) == 2


def test_minutes_of_everything_leave_nothing_behind(serve):
    server = serve(SITE, "--workers", "2")
    reloads = Reloads(server)
    with Traffic(server, CLIENTS):  # what the first need stays
        time.sleep(3)
        reloads.one()
    before = at_rest(server)
    end, kills, failed = time.monotonic() + SECONDS, 0, 0
    with Traffic(server, CLIENTS) as traffic:
        while time.monotonic() < end:
            began = time.monotonic()
            failed += not reloads.one()
            if reloads.number % 4 == 0:
                os.kill(server.workers()[kills % 2], signal.SIGKILL)
                kills += 1
            time.sleep(max(0, began + 1 - time.monotonic()))
        eventually(lambda: len(server.workers()) == 2)
    after = at_rest(server)
    print(f"\n{SECONDS:.0f} s: {traffic.counts}, {kills} kills, {reloads.summary()}, {failed} came to "
          f"nothing; memory (KiB) {before.memory} → {after.memory}")
    assert traffic.counts["wrong"] == 0, traffic.examples
    assert traffic.counts["lost"] <= (kills + 1) * CLIENTS
    for name, value in before.same().items():
        assert after.same()[name] == value, name
    assert after.zombies == 0
    assert after.memory["master"] <= before.memory["master"] + 512
    assert after.memory["workers"] <= before.memory["workers"] * 1.25 + 2048
