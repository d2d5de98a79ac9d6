"""The result of growth.py as a table and as a plot."""
import chart
import stats

# Name → title, what x counts, whether bytes grow along it.
PANELS = {
    "open": ("Open connections, 64 of them busy", "connections", False),
    "busy": ("Open connections, all busy", "connections", False),
    "routes": ("Routes", "routes", False),
    "headers": ("Header fields of a request, 32 bytes each", "fields", True),
    "bodies": ("Bytes of a body", "bytes", True),
}

FLAT = 1.15  # costs of which one is at most so many times the other are the same but for noise

# Line → that of the floor where the kernel has the same to do.
FLOOR_OF = {"lunette": "floor", "file": "file of floor"}

# Line → its mark and colour.
SERIES = {"lunette": 0, "req.body": 0, "req:chunks()": 1, "file": 2, "floor": 3, "file of floor": 3}


def lines_of(result, panel):
    """Line → its cells, from the smallest x on; those that were measured."""
    found = {}
    for cell in result["cells"]:
        if cell["panel"] == panel and cell["seen"]:
            found.setdefault(cell["line"], []).append(cell)
    return found


def medians(cells):
    return [stats.interval(c["seen"]).median for c in cells]


def steps(values):
    """How many times the one before each value is."""
    return [b / a for a, b in zip(values, values[1:])]


def growth_in_all(cells, floor):
    """What should stay as it is: from the first point to the last."""
    costs = medians(cells)
    times, least = costs[-1] / costs[0], medians(floor)[-1] / medians(floor)[0] if floor else 1
    said = f"{times:.2f}x from {cells[0]['x']:,} to {cells[-1]['x']:,}"
    if times <= FLAT:
        return f"flat, {said}"
    beside = f", the floor {least:.2f}x" if floor else ""
    return ("no more than the floor, " if times <= FLAT * least else "GROWS, ") + said + beside


def growth_by_bytes(cells, floor):
    """What may grow as its bytes do: from each point to the next."""
    costs, sizes = steps(medians(cells)), steps([c["size"] for c in cells])
    kernel = steps(medians(floor)) if floor else [1] * len(sizes)
    over = [(cost / most, cost, size, cell["x"]) for cost, size, least, cell
            in zip(costs, sizes, kernel, cells[1:]) if cost > FLAT * (most := max(size, least))]
    if over:
        _, cost, size, x = max(over)
        return f"FASTER than the bytes: {cost:.2f}x for {size:.2f}x of them up to {x:,}"
    is_slower = all(cost <= FLAT * size for cost, size in zip(costs, sizes))
    return "no faster than the bytes" + ("" if is_slower else ", or than the floor")


def growth(lines, name, has_bytes):
    """How a line of a panel grows, in words. What the floor has to pay for more, others have to as well."""
    cells, floor = lines[name], lines.get(FLOOR_OF.get(name)) or ()
    if len(cells) < 2:
        return "one point"
    if [c["x"] for c in floor] != [c["x"] for c in cells]:
        floor = ()
    if not has_bytes or medians(cells)[-1] <= FLAT * medians(cells)[0]:
        return growth_in_all(cells, floor)
    return growth_by_bytes(cells, floor)


def table(result, panel):
    title, unit, has_bytes = PANELS[panel]
    yield title
    head = f"  {'':12} {unit:>11} {'CPU us':>12}   {'interval':25} {'of the first':>12}"
    yield head + (f" {'us per KiB':>11}  {'cost and bytes grew by':>22}" if has_bytes else "")
    lines = lines_of(result, panel)
    for name, cells in lines.items():
        first = before = None
        for cell in cells:
            i = stats.interval(cell["seen"])
            first = first or i.median
            row = (f"  {name:12} {cell['x']:11,} {i.median:12,.2f}   "
                   f"{f'{i.low:,.2f} to {i.high:,.2f}':25} {i.median / first:11.2f}x")
            if has_bytes:
                row += f" {i.median / cell['size'] * 1024:11,.3f}"
            if has_bytes and before:
                grew = f"{i.median / before[0]:.2f}x, {cell['size'] / before[1]:.2f}x"
                row += f"  {grew:>22}"
            before = i.median, cell["size"]
            yield row
        yield f"  {name:12} {growth(lines, name, has_bytes)}"
    yield ""


def text(result):
    m, n = result["machine"], result["rounds"]
    out = [f"lunette {m['commit']}, {m['date']}: {m['cores']} cores of {m['cpu']}, Linux {m['linux']}",
           f"CPU of all processes of the server for a request: median of {n} interleaved rounds of "
           f"{result['seconds']} s; the interval is "
           + ("of at least 95 %." if stats.interval(range(n)).coverage >= 0.95 else "their range."),
           "Where all connections are busy, opening them counts, too. Flat is what differs by "
           f"{FLAT - 1:.0%} at most.", ""]
    for panel in PANELS:
        if lines_of(result, panel):
            out += table(result, panel)
    return "\n".join(out) + "\n"


# --- the plot ---

WIDTH, HEIGHT, LEFT, COLUMNS = 460, 300, 66, 2


def span(values):
    """A little more than the values, and at least a decade, so that noise looks like noise."""
    low, high = min(values) * 0.8, max(values) * 1.25
    middle = (low * high) ** 0.5
    return min(low, middle / 10**0.5), max(high, middle * 10**0.5)


def draw_panel(svg, x, y, title, unit, lines):
    points = [c for cells in lines.values() for c in cells]
    spread = {id(c): stats.interval(c["seen"]) for c in points}
    right, bottom = x + WIDTH - 24, y + HEIGHT - 56
    across = chart.LogAxis(min(c["x"] for c in points) * 0.8, max(c["x"] for c in points) * 1.4,
                           x + LEFT, right - 6)
    up = chart.LogAxis(*span([i.median for i in spread.values()]), bottom, y + 62)
    svg.write(x + 20, y + 22, title, "title")
    svg.legend(x + 26, y + 44, lines, SERIES)
    for value in up.ticks((1, 3) if len(up.ticks((1,))) < 5 else (1,)):
        svg.line(x + LEFT, up(value), right, up(value), "grid")
        svg.write(x + LEFT - 8, up(value) + 4, chart.short(value), "small", "end")
    for value in sorted({c["x"] for c in points}):
        svg.line(across(value), y + 62, across(value), bottom, "grid")
        shown = chart.short_bytes(value) if unit == "bytes" else f"{value:,}"
        svg.write(across(value), bottom + 16, shown, "small", "middle")
    svg.line(x + LEFT, bottom, right, bottom, "axis")
    svg.write(right, bottom + 34, unit, "small", "end")
    svg.write(x + 20, bottom + 34, "µs of CPU for a request", "small")
    for name, cells in lines.items():
        n = SERIES[name]
        svg.path([(across(c["x"]), up(spread[id(c)].median)) for c in cells], n)
        for c in cells:
            i, at = spread[id(c)], across(c["x"])
            svg.line(at, up(i.low), at, up(i.high), f"s{n}")
            svg.mark(at, up(i.median), n)


def plot(result):
    shown = [p for p in PANELS if lines_of(result, p)]
    rows = -(-len(shown) // COLUMNS)
    svg = chart.Svg(WIDTH * COLUMNS, HEIGHT * rows, "How the cost of a request grows",
                    "Processor time of the server for a request, with connections, routes, header "
                    "fields and bytes of a body. Both scales are logarithmic.")
    for n, panel in enumerate(shown):
        title, unit, _ = PANELS[panel]
        draw_panel(svg, WIDTH * (n % COLUMNS), HEIGHT * (n // COLUMNS), title, unit,
                   lines_of(result, panel))
    return svg.text()


def write(result, folder):
    """Writes growth.txt and growth.svg; gives the text."""
    said = text(result)
    (folder / "growth.txt").write_text(said)
    (folder / "growth.svg").write_text(plot(result))
    return said
