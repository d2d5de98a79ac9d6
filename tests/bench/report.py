"""The result of bench.py as text and as a plot."""
import goals
import report_plot
import rounds
import stats
import workloads

METHOD = """\
CPU is user and system time of all processes of the server, ended children included, for a request.
A ratio is that of a server over the floor's in the same round; given are the median of the rounds and
{spread}. On loopback a part of the receiver's
work is done in the sender's call, so that each side has some of the other's."""


def run_line(seen):
    if "failed" in seen:
        return "failed: " + seen["failed"]
    errors = " ".join(f"{k}={n}" for k, n in seen["errors"].items())
    cost = f"{seen['cpu']:9.2f} us" if "cpu" in seen else f"{seen['beside_per_s']:7,.0f} beside"
    return (f"{cost} {seen['per_s']:10,.0f}/s  p50 {seen['p50']:7,} p99 {seen['p99']:7,} us"
            f"  others {seen['others']:.2f} cores {errors}")


def rest_line(result, name):
    start = stats.interval(result["starts"][name])
    rest, own, each = (stats.interval(v) if (v := rounds.rest(result, name, what)) else None
                       for what in ("rest", "own", "each"))
    idle = f"{each.median:,.0f} ({each.low:,.0f} to {each.high:,.0f})" if each else "-"
    alive = min(m["connections"] for m in result["memory"][name])
    return (f"{start.median:.1f} ms to the first answer ({start.low:.1f} to {start.high:.1f}), "
            f"{rest.median / 2**20:.1f} MiB at rest ({own.median / 2**20:.1f} of its own), "
            f"{idle} bytes for each of {alive:,} idle connections")


def spread(n):
    """What stands in brackets behind a median of n rounds."""
    certain = stats.interval(range(n)).coverage
    if certain < 0.95:
        return "the range, for fewer than six rounds have no interval of 95 %"
    return f"its {certain:.1%} interval by order statistics"


def errors_of(runs):
    errors = sum(sum(r["errors"].values()) for r in runs)
    return f"  {errors} errors" if errors else ""


def server_lines(result, workload, line):
    """For each server its name, and line(result, workload's name, server) with the errors that there were."""
    for name, runs in result["runs"][workload.name].items():
        runs = rounds.good(runs)
        said = line(result, workload.name, name) + errors_of(runs) if runs else " every round failed"
        yield f"  {name:10}{said}"
    yield ""


def seen_in(result, workload, name, *what):
    """The interval of each of these."""
    return [stats.interval(rounds.values(result, workload, name, w)) for w in what]


def cost_line(result, workload, name):
    cpu, rate, p50, p99 = (i.median for i in seen_in(result, workload, name, "cpu", "per_s", "p50", "p99"))
    ratio = ""
    if name != "floor" and (values := rounds.ratios(result, workload, name)):
        i = stats.interval(values)
        ratio = f"{i.median:7.3f}  ({i.low:.3f} to {i.high:.3f})"
    return f" {cpu:9.2f}   {ratio:26} {rate:11,.0f} {p50:9,.0f} {p99:9,.0f}"


def workload_lines(result, workload):
    """What a request costs with each server, and how many there were."""
    yield f"{workload.name}: {workload.title}"
    yield (f"  {'server':10} {'CPU us':>9}   {'ratio to the floor':26} {'requests/s':>11} {'p50 us':>9} "
           f"{'p99 us':>9}")
    yield from server_lines(result, workload, cost_line)


def beside_line(result, workload, name):
    p50, p99, rate, beside = seen_in(result, workload, name, "p50", "p99", "per_s", "beside_per_s")
    tail = "".join(f" {i.median:9,.0f}  {f'({i.low:,.0f} to {i.high:,.0f})':20}" for i in (p50, p99))
    alone = rounds.over(result, (workload, name), ("hello", name), "p99")
    times = f"{stats.interval(alone).median:.2f}x" if alone else "-"
    return f"{tail} {times:>14} {rate.median:11,.0f} {beside.median:9,.0f}"


def beside_lines(result, workload):
    """How long answers take beside others, and how that is to having the server for oneself."""
    yield (f"{workload.name}: {workload.title}: {result['connections']} connections, and "
           f"{workload.others} beside")
    yield (f"  {'server':10} {'p50 us':>9}  {'':20} {'p99 us':>9}  {'':20} {'of hello alone':>14} "
           f"{'requests/s':>11} {'beside/s':>9}")
    yield from server_lines(result, workload, beside_line)


def rest_lines(result):
    yield "start and memory"
    for name in result["memory"]:
        yield f"  {name:10} {rest_line(result, name)}"
    yield ("  Memory is the proportional share of mapped pages (Pss) of all processes, "
           "in user space.")


def others(result):
    """Cores that other work took in each run."""
    return [r["others"] for runs in result["runs"].values() for rs in runs.values()
            for r in rounds.good(rs)]


def text(result):
    m, n = result["machine"], result["rounds"]
    seen = others(result)
    lines = [f"lunette {m['commit']}, {m['date']}: {m['cores']} cores of {m['cpu']}, Linux {m['linux']}",
             f"{n} interleaved rounds of {result['seconds']} s for each, wrk with "
             f"{result['connections']} connections, {result['workers']} workers", ""]
    for name, s in result["servers"].items():
        lines.append(f"  {name:10} {s['language']}{'; ' if s['version'] else ''}{s['version']}")
    lines += [f"  {name:10} left out: {why}" for name, why in result["skipped"].items()] + [""]
    for name in result["runs"]:
        workload = workloads.NAMED[name]
        lines += (beside_lines if workload.beside else workload_lines)(result, workload)
    lines += [*rest_lines(result), "", *goals.lines(result)]
    lines += [f"not timed: the answer to {what} {why}" for what, why in result["wrong"].items()]
    lines += METHOD.format(spread=spread(n)).split("\n")
    if seen:
        middle = stats.interval(seen).median
        lines.append(f"Other work took {middle:.2f} cores meanwhile, {max(seen):.2f} at the worst.")
    return "\n".join(lines) + "\n"


def write(result, folder):
    """Writes bench.txt and bench.svg; gives the text."""
    said = text(result)
    (folder / "bench.txt").write_text(said)
    (folder / "bench.svg").write_text(report_plot.plot(result))
    return said
