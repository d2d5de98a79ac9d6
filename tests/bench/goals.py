"""What lunette is to reach, in one place, and whether a result of bench.py does.

A goal is a value at most. The median of the rounds reaches it or misses it; where the goal lies within
the interval of the median, another run may say otherwise, and the verdict says so.
"""
from dataclasses import dataclass

import rounds
import stats
import workloads

RATIOS = {"hello": 1.12, "pipe": 2.5, "json": 1.45, "form": 1.25, "rows_lib": 13, "s4k": 1.1,
          "gzip": 1.1, "gzpre": 1.1}  # CPU of a request over that of the floor in the same round
MICROSECONDS = {"hello": 12.5, "pipe": 2, "json": 17, "form": 14, "rows_lib": 180, "s4k": 13,
                "gzip": 16}  # CPU of a request where the floor takes 11 for hello
START_MS, REST_MIB, IDLE_BYTES = 15, 4, 600
TAIL_OF = "nginx"    # whose p99 of hello beside rows is the most that it may be
OTHER_LUA = {"nginx"}  # LuaJIT: no peer where a workload is Lua and nothing else


@dataclass(frozen=True)
class Goal:
    what: str
    at_most: float
    unit: str     # "" for a ratio
    seen: tuple   # one value for each round; () when it was not measured


def compared(result, workload):
    """(peer, its workload) that a workload of lunette has to stay below."""
    theirs = workload.peers or workload.name
    runs = result["runs"].get(theirs, {})
    return [(name, theirs) for name in rounds.peers(result)
            if name in runs and not (workload.name == "rows" and name in OTHER_LUA)]


def below_peers(result, workload):
    for name, theirs in compared(result, workload):
        seen = rounds.over(result, (workload.name, "lunette"), (theirs, name))
        said = f"{theirs} of {name}" if theirs != workload.name else name
        yield Goal(f"{workload.name}, CPU over that of {said}", 1, "", tuple(seen))


def tail(result, workload):
    theirs = workload.peers or workload.name
    seen = rounds.over(result, (workload.name, "lunette"), (theirs, TAIL_OF), "p99")
    return Goal(f"{workload.name}, p99 over that of {TAIL_OF}", 1, "", tuple(seen))


def all_of(result):
    """Every goal whose workload was chosen."""
    there = [workloads.NAMED[n] for n in result["runs"]]
    found = [Goal(f"{w.name}, CPU over that of the floor", RATIOS[w.name], "",
                  tuple(rounds.ratios(result, w.name, "lunette"))) for w in there if w.name in RATIOS]
    found += [Goal(f"{w.name}, CPU", MICROSECONDS[w.name], "µs",
                   tuple(rounds.values(result, w.name, "lunette", "cpu")))
              for w in there if w.name in MICROSECONDS]
    for w in there:
        found += [tail(result, w)] if w.beside else below_peers(result, w)
    mib = tuple(b / 2**20 for b in rounds.rest(result, "lunette", "rest"))
    return found + [
        Goal("start to the first answer", START_MS, "ms", tuple(result["starts"].get("lunette", ()))),
        Goal("memory at rest", REST_MIB, "MiB", mib),
        Goal("memory of an idle connection", IDLE_BYTES, "bytes",
             tuple(rounds.rest(result, "lunette", "each")))]


def verdict(goal):
    """Whether it is met, and by how much of the goal."""
    if not goal.seen:
        return "not measured"
    i = stats.interval(goal.seen)
    off = (i.median / goal.at_most - 1) * 100
    said = f"{'MISSED' if off > 0 else 'met'} by {abs(off):.1f} %"
    return said + (", within the spread" if i.low <= goal.at_most < i.high else "")


def is_met(goal):
    return bool(goal.seen) and stats.interval(goal.seen).median <= goal.at_most


def lines(result):
    found = all_of(result)
    yield "goals"
    yield f"  {'':44} {'at most':>9} {'median':>9}  {'interval':20}"
    for goal in found:
        seen = f"{'-':>9}  {'':20}"
        if goal.seen:
            i = stats.interval(goal.seen)
            seen = f"{i.median:9.4g}  {f'{i.low:.4g} to {i.high:.4g}':20}"
        what = goal.what + (f", {goal.unit}" if goal.unit else "")
        yield f"  {what:44} {goal.at_most:9.4g} {seen}  {verdict(goal)}"
    measured = [g for g in found if g.seen]
    yield (f"  {sum(map(is_met, measured))} of {len(measured)} that were measured are met"
           + (f"; {len(found) - len(measured)} were not measured." if len(measured) < len(found) else "."))
    yield ""
