"""The result of bench.py as text and as a plot."""
import chart
import stats
import workloads

GOALS = {"each": 600, "rest": 4 << 20, "start": 15.0}  # bytes, bytes, ms; all at most
METHOD = """\
CPU is user and system time of all processes of the server, ended children included, for a request.
A ratio is that of a server over the floor's in the same round; given are the median of the rounds and
{spread}. On loopback a part of the receiver's
work is done in the sender's call, so that each side has some of the other's."""


def good(runs):
    return [r for r in runs if "failed" not in r]


def ratios(result, workload, name):
    """CPU over the floor's, for each round that both have."""
    runs = result["runs"][workload]
    return [mine["cpu"] / floor["cpu"]
            for mine, floor in zip(runs.get(name, []), runs.get("floor", []))
            if "failed" not in mine and "failed" not in floor and floor["cpu"]]


def run_line(seen):
    if "failed" in seen:
        return "failed: " + seen["failed"]
    errors = " ".join(f"{k}={n}" for k, n in seen["errors"].items())
    return (f"{seen['cpu']:9.2f} us {seen['per_s']:10,.0f}/s  p99 {seen['p99']:7,} us"
            f"  others {seen['others']:.2f} cores {errors}")


def rest_line(result, name):
    m, start = result["memory"][name], stats.interval(result["starts"][name])
    each = f"{m['each']:,.0f}" if m["each"] is not None else "-"
    return (f"{start.median:.1f} ms to the first answer ({start.low:.1f} to {start.high:.1f}), "
            f"{m['rest'] / 2**20:.1f} MiB at rest ({m['own'] / 2**20:.1f} of its own), "
            f"{each} bytes for each of {m['connections']:,} idle connections")


def spread(rounds):
    """What stands in brackets behind a median."""
    certain = stats.interval(range(rounds)).coverage
    if certain < 0.95:
        return "the range, for fewer than six rounds have no interval of 95 %"
    return f"its {certain:.1%} interval by order statistics"


def reached(value, goal, said):
    return f"{said}: " + ("reached" if value is not None and value <= goal else "MISSED")


def workload_lines(result, workload):
    yield f"{workload.name}: {workload.title}"
    yield f"  {'server':10} {'CPU us':>9}   {'ratio to the floor':26} {'requests/s':>11} {'p99 us':>9}"
    for name, runs in result["runs"][workload.name].items():
        runs = good(runs)
        if not runs:
            yield f"  {name:10} every round failed"
            continue
        cpu, rate = (stats.interval([r[k] for r in runs]).median for k in ("cpu", "per_s"))
        p99 = stats.interval([r["p99"] for r in runs]).median
        ratio, mark = "", ""
        if name != "floor" and (values := ratios(result, workload.name, name)):
            i = stats.interval(values)
            ratio = f"{i.median:7.3f}  ({i.low:.3f} to {i.high:.3f})"
            if workload.goal and name == "lunette":
                mark = "  " + reached(i.median, workload.goal, f"goal {workload.goal:g}")
        errors = sum(sum(r["errors"].values()) for r in runs)
        note = mark + (f"  {errors} errors" if errors else "")
        yield f"  {name:10} {cpu:9.2f}   {ratio:26} {rate:11,.0f} {p99:9,.0f}{note}"
    yield ""


def rest_goals(result):
    """Whether lunette reaches those of start and memory."""
    m = result["memory"]["lunette"]
    start = stats.interval(result["starts"]["lunette"]).median
    return ", ".join([reached(start, GOALS["start"], f"{GOALS['start']:g} ms"),
                      reached(m["rest"], GOALS["rest"], f"{GOALS['rest'] >> 20} MiB"),
                      reached(m["each"], GOALS["each"], f"{GOALS['each']} bytes")])


def rest_lines(result):
    yield "start and memory"
    for name in result["memory"]:
        yield f"  {name:10} {rest_line(result, name)}"
    if "lunette" in result["memory"]:
        yield f"  Goals: {rest_goals(result)}."
    yield ("  Memory is the proportional share of mapped pages (Pss) of all processes, "
           "in user space.")


def text(result):
    m, n = result["machine"], result["rounds"]
    seen = [r["others"] for runs in result["runs"].values() for rs in runs.values()
            for r in good(rs)]
    lines = [f"lunette {m['commit']}, {m['date']}: {m['cores']} cores of {m['cpu']}, Linux {m['linux']}",
             f"{n} interleaved rounds of {result['seconds']} s for each, wrk with "
             f"{result['connections']} connections, {result['workers']} workers", ""]
    for name, s in result["servers"].items():
        lines.append(f"  {name:10} {s['language']}{'; ' if s['version'] else ''}{s['version']}")
    lines += [f"  {name:10} left out: {why}" for name, why in result["skipped"].items()] + [""]
    for name in result["runs"]:
        lines += workload_lines(result, workloads.NAMED[name])
    lines += [*rest_lines(result), ""]
    lines += [f"not timed: the answer to {what} {why}" for what, why in result["wrong"].items()]
    lines += METHOD.format(spread=spread(n)).split("\n")
    if seen:
        middle = stats.interval(seen).median
        lines.append(f"Other work took {middle:.2f} cores meanwhile, {max(seen):.2f} at the worst.")
    return "\n".join(lines) + "\n"


# --- the plot ---

ROW, LEFT, WIDTH, TOP = 46, 310, 940, 90


def plotted(result):
    """Workload, name → interval of ratios, for those that have any."""
    names = [n for n in result["servers"] if n != "floor"]
    rows = []
    for name in result["runs"]:
        found = {n: stats.interval(r) for n in names if (r := ratios(result, name, n))}
        if found:
            rows.append((workloads.NAMED[name], found))
    return names, rows


def draw_row(svg, axis, y, workload, found, names):
    svg.write(LEFT - 14, y, workload.name, anchor="end")
    svg.write(LEFT - 14, y + 14, workload.title, "small", "end")
    svg.line(LEFT, y + 22, WIDTH - 20, y + 22, "grid")
    if workload.goal:
        x = axis(workload.goal)
        svg.line(x, y - 16, x, y + 18, "goal")
        svg.write(x + 4, y - 10, f"≤ {workload.goal:g}", "goal-text")
    for name, i in found.items():
        series = names.index(name)
        at = y - 4 + 7 * series
        svg.line(axis(i.low), at, axis(i.high), at, f"s{series}")
        svg.mark(axis(i.median), at, series)


def plot(result):
    names, rows = plotted(result)
    height = TOP + ROW * len(rows) + 50
    svg = chart.Svg(WIDTH, height, "Processor time of a request, over that of the floor",
                    f"Median and interval of {result['rounds']} rounds for each workload and "
                    "server; 1 is a bare epoll program with ready answers. Logarithmic.")
    svg.write(20, 28, svg.title, "title")
    svg.legend(26, 54, names)
    highest = max((i.high for _, found in rows for i in found.values()), default=2)
    lowest = min((i.low for _, found in rows for i in found.values()), default=1)
    axis = chart.LogAxis(min(0.9, lowest * 0.95), max(2, highest * 1.1, 16), LEFT, WIDTH - 20)
    for value in axis.ticks():
        svg.line(axis(value), TOP - 14, axis(value), height - 40, "axis" if value == 1 else "grid")
        svg.write(axis(value), height - 24, f"{value:g}×", "small", "middle")
    for n, (workload, found) in enumerate(rows):
        draw_row(svg, axis, TOP + 14 + ROW * n, workload, found, names)
    return svg.text()


def write(result, folder):
    """Writes bench.txt and bench.svg; gives the text."""
    said = text(result)
    (folder / "bench.txt").write_text(said)
    (folder / "bench.svg").write_text(plot(result))
    return said
