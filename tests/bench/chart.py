"""SVG by hand: text, lines and marks in colours that suit a light and a dark page."""
import math
from xml.sax.saxutils import escape

# A mark and a colour for each series: none is told by its colour alone.
SERIES = ["circle", "square", "diamond", "triangle"]
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2937 }
  .small { font-size: 11px; fill: #4b5563 } .title { font-size: 16px; font-weight: 600 }
  .axis { stroke: #9ca3af } .grid { stroke: #e5e7eb } .goal { stroke: #b91c1c; stroke-width: 2 }
  .back { fill: #ffffff } .goal-text { font-size: 11px; fill: #b91c1c }
  .s0 { fill: #1d4ed8; stroke: #1d4ed8 } .s1 { fill: #047857; stroke: #047857 }
  .s2 { fill: #b45309; stroke: #b45309 } .s3 { fill: #6b21a8; stroke: #6b21a8 }
  .line { fill: none; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e5e7eb } .small { fill: #9ca3af } .axis { stroke: #6b7280 }
    .grid { stroke: #374151 } .goal { stroke: #f87171 } .goal-text { fill: #f87171 }
    .back { fill: #111827 }
    .s0 { fill: #93c5fd; stroke: #93c5fd } .s1 { fill: #6ee7b7; stroke: #6ee7b7 }
    .s2 { fill: #fcd34d; stroke: #fcd34d } .s3 { fill: #d8b4fe; stroke: #d8b4fe }
  }
"""


class Svg:
    """A picture that grows: draw, then text()."""

    def __init__(self, width, height, title, description):
        self.width, self.height, self.items = width, height, []
        self.title, self.description = title, description

    def add(self, name, text=None, **attributes):
        pairs = " ".join(f'{k.rstrip("_").replace("_", "-")}="{round(v, 2) if isinstance(v, float) else v}"'
                         for k, v in attributes.items())
        self.items.append(f"<{name} {pairs}/>" if text is None
                          else f"<{name} {pairs}>{escape(text)}</{name}>")

    def write(self, x, y, text, kind="", anchor="start"):
        self.add("text", text, x=x, y=y, class_=kind, text_anchor=anchor)

    def line(self, x1, y1, x2, y2, kind):
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)

    def mark(self, x, y, series):
        kind = f"s{series % len(SERIES)}"
        shape = SERIES[series % len(SERIES)]
        if shape == "circle":
            self.add("circle", cx=x, cy=y, r=4.5, class_=kind)
        elif shape == "square":
            self.add("rect", x=x - 4, y=y - 4, width=8, height=8, class_=kind)
        else:
            around = {"diamond": [(0, -6), (6, 0), (0, 6), (-6, 0)],
                      "triangle": [(0, -5), (5.5, 4), (-5.5, 4)]}[shape]
            points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in around)
            self.add("polygon", points=points, class_=kind)

    def path(self, points, series):
        self.add("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points),
                 class_=f"line s{series % len(SERIES)}", style="fill:none")

    def legend(self, x, y, names, series=None):
        """series: name → its mark; else they follow each other."""
        for i, name in enumerate(names):
            self.mark(x, y - 4, series[name] if series else i)
            self.write(x + 10, y, name)
            x += 30 + 8 * len(name)

    def text(self):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
                f'width="{self.width}" height="{self.height}" role="img" '
                f'aria-labelledby="title description">\n'
                f'<title id="title">{escape(self.title)}</title>\n'
                f'<desc id="description">{escape(self.description)}</desc>\n'
                f"<style>{STYLE}</style>\n"
                f'<rect class="back" width="{self.width}" height="{self.height}"/>\n'
                + "\n".join(self.items) + "\n</svg>\n")


class LogAxis:
    """Values from low to high on a logarithmic scale from position a to position b."""

    def __init__(self, low, high, a, b):
        self.low, self.high, self.a, self.b = math.log(low), math.log(high), a, b

    def __call__(self, value):
        return self.a + (math.log(value) - self.low) / (self.high - self.low) * (self.b - self.a)

    def ticks(self, steps=(1, 2, 5)):
        """Round values within the axis."""
        first = math.floor(self.low / math.log(10))
        last = math.ceil(self.high / math.log(10))
        values = [s * 10.0**e for e in range(first, last + 1) for s in steps]
        return [v for v in values
                if self.low - 1e-9 <= math.log(v) <= self.high + 1e-9]


def short(value):
    """1500 → "1.5k"."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def short_bytes(value):
    """32768 → "32 KiB"."""
    for size, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if value >= size:
            return f"{value / size:g} {name}"
    return f"{value} B"
