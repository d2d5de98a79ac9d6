"""The plot of a result of bench.py: what requests cost, and how long answers take beside others."""
import chart
import goals
import rounds
import stats
import workloads

ROW, LEFT, WIDTH, TOP = 46, 310, 940, 90
RIGHT = WIDTH - 20


def cost_rows(result, names):
    """(name, title, goal, server → interval of ratios) of the workloads that have any."""
    for name in result["runs"]:
        found = {n: stats.interval(r) for n in names if (r := rounds.ratios(result, name, n))}
        if found:
            yield name, workloads.NAMED[name].title, goals.RATIOS.get(name), found


def tail_rows(result, names):
    """The same of milliseconds."""
    for name in result["runs"]:
        if not workloads.NAMED[name].beside:
            continue
        for what in ("p50", "p99"):
            found = {n: stats.interval([v / 1000 for v in seen]) for n in names
                     if (seen := rounds.values(result, name, n, what))}
            if found:
                yield f"{name}, {what}", workloads.NAMED[name].title, None, found


def draw_row(svg, axis, y, row, names):
    name, title, goal, found = row
    svg.write(LEFT - 14, y, name, anchor="end")
    svg.write(LEFT - 14, y + 14, title, "small", "end")
    svg.line(LEFT, y + 22, RIGHT, y + 22, "grid")
    if goal:
        svg.line(axis(goal), y - 16, axis(goal), y + 18, "goal")
        svg.write(axis(goal) + 4, y - 10, f"≤ {goal:g}", "goal-text")
    for name, i in found.items():
        series = names.index(name)
        at = y - 4 + 7 * series
        svg.line(axis(i.low), at, axis(i.high), at, f"s{series}")
        svg.mark(axis(i.median), at, series)


def axis_of(rows, least, most):
    """From a little below the lowest to a little above the highest, and from least to most anyway."""
    seen = [i for *_, found in rows for i in found.values()]
    low = min([least, *(0.95 * i.low for i in seen)])
    high = max([most, *(1.1 * i.high for i in seen)])
    return chart.LogAxis(low, high, LEFT, RIGHT)


def draw_panel(svg, y, title, rows, axis, unit, names, steps=(1, 2, 5)):
    """A title, the rows beneath it, and the values of the axis beneath them."""
    bottom = y + TOP + ROW * len(rows)
    svg.write(20, y + 28, title, "title")
    svg.legend(26, y + 54, names)
    for value in axis.ticks(steps):
        kind = "axis" if unit == "×" and value == 1 else "grid"
        svg.line(axis(value), y + TOP - 14, axis(value), bottom + 10, kind)
        svg.write(axis(value), bottom + 26, f"{value:g}{unit}", "small", "middle")
    for n, row in enumerate(rows):
        draw_row(svg, axis, y + TOP + 14 + ROW * n, row, names)


def height_of(rows):
    return TOP + ROW * len(rows) + 50 if rows else 0


def plot(result):
    names = [n for n in result["servers"] if n != "floor"]
    costs, tails = list(cost_rows(result, names)), list(tail_rows(result, names))
    title = "Processor time of a request, over that of the floor"
    svg = chart.Svg(WIDTH, max(TOP, height_of(costs) + height_of(tails)), title,
                    f"Median and interval of {result['rounds']} rounds for each workload and "
                    "server; 1 is a bare epoll program with ready answers. Beneath it, how long "
                    "answers take beside other requests. Logarithmic.")
    if costs:
        draw_panel(svg, 0, title, costs, axis_of(costs, 0.9, 16), "×", names)
    if tails:
        draw_panel(svg, height_of(costs), "Time to an answer beside other requests", tails,
                   axis_of(tails, 1, 10), " ms", names)
    return svg.text()
