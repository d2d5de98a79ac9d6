"""What micro_bench and json_bench print, as text, JSON and a plot: make bench-micro.

    micro_report.py PROGRAM [ARGUMENT…] [-- PROGRAM …]
"""
import json
import re
import subprocess
import sys

import bench
import chart
import report_plot
import stats

OURS, THEIRS = "lunette", "lua-cjson"
NUMBER = r"([\d.]+)"
ALONE = re.compile(rf"(.+?) +(\d+) bytes +{NUMBER} ns +\({NUMBER} to {NUMBER}\)")
BOTH = re.compile(rf"(\w+) +(\d+) bytes +{NUMBER} us +cjson +{NUMBER} us +"
                  rf"ratio {NUMBER} +\({NUMBER} to {NUMBER}\)")


def parsed(text):
    """{what, bytes, ns = {median, low, high}} for a line of micro_bench; {what, bytes, ns, cjson_ns, ratio =
    {median, low, high}} for one of json_bench."""
    for line in text.splitlines():
        if found := BOTH.match(line):
            what, size, ours, theirs, *ratio = found.groups()
            yield {"what": f"JSON: {what}", "bytes": int(size), "ns": point(float(ours) * 1e3),
                   "cjson_ns": point(float(theirs) * 1e3), "ratio": named(ratio)}
        elif found := ALONE.match(line):
            what, size, *ns = found.groups()
            yield {"what": what, "bytes": int(size), "ns": named(ns)}
        else:
            raise ValueError(f"bench-micro: what is {line!r}?")


def named(words):
    return dict(zip(("median", "low", "high"), map(float, words)))


def point(value):
    return {"median": value, "low": value, "high": value}


def rows(result):
    """Those of report_plot, in microseconds."""
    for one in result["lines"]:
        found = {OURS: one["ns"], **({THEIRS: one["cjson_ns"]} if "cjson_ns" in one else {})}
        yield (one["what"], f"{one['bytes']:,} bytes", None,
               {name: stats.Interval(*(seen[k] / 1e3 for k in ("median", "low", "high")), 0)
                for name, seen in found.items()})


def plot(result):
    shown, title = list(rows(result)), "Processor time of parsers and codecs"
    svg = chart.Svg(report_plot.WIDTH, report_plot.height_of(shown), title,
                    "Microseconds for one call, with the interval of the median where it is known; JSON "
                    "beside lua-cjson. Logarithmic.")
    report_plot.draw_panel(svg, 0, title, shown, report_plot.axis_of(shown, 0.1, 100), " µs",
                           [OURS, THEIRS], steps=(1,))
    return svg.text()


def write(result, text, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "micro.txt").write_text(text)
    (folder / "micro.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "micro.svg").write_text(plot(result))


def commands(words):
    """The words between "--", as lists."""
    if "--" not in words:
        return [words]
    at = words.index("--")
    return [words[:at], *commands(words[at + 1:])]


def output_of(command):
    """What a program prints, which is shown at once; it ends this one when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="", flush=True)
    if done.returncode:
        sys.exit(f"bench-micro: {command[0]} ended with {done.returncode}")
    return done.stdout


def main():
    text = "".join(output_of(command) for command in commands(sys.argv[1:]))
    write({"machine": bench.machine(), "lines": list(parsed(text))}, text, bench.OUT)


if __name__ == "__main__":
    main()
