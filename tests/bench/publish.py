"""Puts the figures of the last runs into the guide: make bench-publish.

scripts/figures.json is what the chapter "How fast it is" shows in tables; site/bench.svg, site/growth.svg and
site/micro.svg are its plots. They are made of build/bench/bench.json and, if they are there, growth.json and
micro.json.
"""
import json
import statistics
import sys

import bench
import goals
import growth_report
import micro_report
import report
import report_plot
import rounds
import servers
import stats
import workloads

LEAST_ROUNDS = 6   # fewer have no interval of 95 %
QUIET_CORES = 0.3  # that other work may take before times mean little


def spread(values):
    """median, low and high; None without values."""
    if not values:
        return None
    i = stats.interval(values)
    return {"median": i.median, "low": i.low, "high": i.high}


def middle(result, workload, name, what):
    return statistics.median(rounds.values(result, workload, name, what))


def measured(result, workload):
    """The servers that have at least one good round."""
    return [n for n, runs in result["runs"][workload].items() if rounds.good(runs)]


def costs(result):
    for name in result["runs"]:
        workload = workloads.NAMED[name]
        if not workload.beside:
            yield {"name": name, "title": workload.title, "goal": goals.RATIOS.get(name), "servers": [
                {"name": n, "ratio": spread(rounds.ratios(result, name, n)),
                 **{what: middle(result, name, n, what) for what in ("cpu", "per_s", "p50", "p99")}}
                for n in measured(result, name)]}


def tails(result):
    for name in result["runs"]:
        workload = workloads.NAMED[name]
        if workload.beside:
            yield {"name": name, "title": workload.title, "others": workload.others, "servers": [
                {"name": n, **{what: spread(rounds.values(result, name, n, what))
                               for what in ("p50", "p99", "per_s", "beside_per_s")}}
                for n in measured(result, name)]}


def rest(result):
    for name in result["memory"]:
        yield {"name": name, "start": spread(result["starts"][name]),
               **{what: spread(rounds.rest(result, name, what)) for what in ("rest", "each")}}


def judged(result):
    for goal in goals.all_of(result):
        yield {"what": goal.what, "unit": goal.unit, "at_most": goal.at_most, "met": goals.is_met(goal),
               "seen": spread(goal.seen), "verdict": goals.verdict(goal)}


def growth(result):
    panels = []
    for panel, (title, unit, has_bytes) in growth_report.PANELS.items():
        seen = growth_report.lines_of(result, panel)
        lines = [{"name": name, "verdict": growth_report.growth(seen, name, has_bytes),
                  "points": [{"x": c["x"], "cpu": spread(c["seen"])} for c in cells]}
                 for name, cells in seen.items()]
        if lines:
            panels.append({"title": title, "unit": unit, "lines": lines})
    return {"machine": result["machine"], "rounds": result["rounds"], "panels": panels}


def summary(result, grown=None, micro=None):
    """What the guide shows; members that are null were not measured."""
    kept = ("machine", "rounds", "seconds", "workers", "connections")
    return {**{name: result[name] for name in kept},
            "others": statistics.median(report.others(result) or [0]),
            "servers": [{"name": n, **s} for n, s in result["servers"].items()],
            "costs": list(costs(result)), "tails": list(tails(result)), "rest": list(rest(result)),
            "goals": list(judged(result)), "growth": growth(grown) if grown else None, "micro": micro}


def objection(name, result):
    """Why a result is not for the guide, or None."""
    if result.get("rounds", LEAST_ROUNDS) < LEAST_ROUNDS:
        return f"{name} has {result['rounds']} rounds; figures for the guide have at least {LEAST_ROUNDS}"
    if "runs" in result and (missing := [w for w in workloads.NAMED if w not in result["runs"]]):
        return f"{name} has no {', '.join(missing)}"
    if "runs" in result and (missing := [s for s in ("floor", "lunette") if s not in result["servers"]]):
        return f"{name} has no {', '.join(missing)}"
    return None


def read(name):
    """A result that the guide may show; None when it is not there."""
    path = bench.OUT / name
    if not path.exists():
        return None
    result = json.loads(path.read_text())
    if why := objection(name, result):
        sys.exit(f"bench-publish: {why}")
    return result


def put(folder, name, text):
    path = folder / name
    if text is None:
        path.unlink(missing_ok=True)
    else:
        path.write_text(text)
        bench.say(f"wrote {path}")


def write(result, grown, micro, root):
    """The files of the guide that is at root; grown and micro may be None."""
    put(root, "scripts/figures.json", json.dumps(summary(result, grown, micro), indent=1) + "\n")
    put(root, "site/bench.svg", report_plot.plot(result))
    put(root, "site/growth.svg", growth_report.plot(grown) if grown else None)
    put(root, "site/micro.svg", micro_report.plot(micro) if micro else None)


def main():
    result, grown, micro = map(read, ("bench.json", "growth.json", "micro.json"))
    if not result:
        sys.exit(f"bench-publish: there is no {bench.OUT / 'bench.json'}: make bench")
    write(result, grown, micro, servers.ROOT)
    others = statistics.median(report.others(result) or [0])
    if others > QUIET_CORES:
        bench.say(f"Other work took {others:.2f} cores during the run: times of a quiet machine would "
                  "be others.")


if __name__ == "__main__":
    main()
