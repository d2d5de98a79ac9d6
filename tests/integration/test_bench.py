"""The benchmark itself (tests/bench): its servers answer rightly, its figures are what they say, and its
plots can be read. Nothing is timed here."""
import contextlib
import dataclasses
import html
import json
import pathlib
import re
import sys
import xml.etree.ElementTree

import pytest
import requests

from conftest import LUNETTE, ROOT
from own import own_files
from running import new_folder

sys.path.append(str(ROOT / "tests" / "bench"))
import bench
import callgrind
import goals
import growth_report
import instructions
import measure
import micro_report
import publish
import report
import report_plot
import rounds
import servers
import stats
import workloads

MACHINE = {"cpu": "one", "cores": 2, "linux": "6", "commit": "abc", "date": "today"}


@pytest.mark.parametrize("n, k, coverage", [(1, 1, 0), (5, 1, 0.9375), (6, 1, 0.96875), (9, 2, 0.9609375),
                                            (20, 6, 0.9586)])
def test_intervals_are_those_of_order_statistics(n, k, coverage):
    i = stats.interval([*range(n, 0, -1)])
    assert (i.low, i.high) == (k, n - k + 1)
    assert i.median == (n + 1) / 2
    assert i.coverage == pytest.approx(coverage, abs=1e-4)


CALLGRIND = """\
events: Ir
ob=(1) lunette
fl=(1) a.c
fn=(1) outer
10 5
+2 7
cfn=(2) inner
calls=3 20
* 900
fe=(2) b.h
-1 2
fn=(2)
20 300
fn=(3) inner'2
21 30
totals: 344
"""


def test_callgrind_is_read_without_what_was_called(tmp_path):
    path = tmp_path / "out"
    path.write_text(CALLGRIND)
    assert callgrind.read(path) == ({"outer": 14, "inner": 330}, {"inner": 3})


def test_memory_of_a_request_is_counted_by_calls():
    called = {"malloc": 2, "realloc": 1, "luaM_malloc_": 5, "luaM_realloc_": 1, "free": 3}
    costs = {"sweepstep.constprop.0": 60, "luaC_step": 8, "luaC_newobj": 40, "atomic_add": 7}
    assert instructions.memory(costs, called) == {"malloc": 3, "lua_blocks": 6, "collector": 68}


@contextlib.contextmanager
def started(kind, logged=False):
    top = new_folder()
    (top / "public").mkdir()
    workloads.write_files(top / "public")
    one = kind(top, logged)
    one.prepare()
    try:
        one.server.start()
        yield one
    finally:
        one.server.stop()


@pytest.mark.parametrize("kind, logged", [(servers.Floor, False), (servers.Lunette, False),
                                          (servers.Lunette, True)])
def test_answers_are_right(monkeypatch, kind, logged):
    monkeypatch.setattr(servers.Lunette, "program", pathlib.Path(LUNETTE))
    with started(kind, logged) as one:
        port = one.server.port
        assert {w.name: workloads.check(w, port) for w in workloads.ALL} == \
            {w.name: None for w in workloads.ALL}
        assert one.log.exists() == logged


def test_a_wrong_answer_is_seen():
    with started(servers.Floor) as floor:  # which answers by the first letter of the path
        for name, path in (("hello", "/form"), ("pipe", "/form"), ("json", "/hello"), ("form", "/rows"),
                           ("rows", "/json"), ("gzip", "/s4k.html"), ("gzip", "/hello")):
            changed = dataclasses.replace(workloads.NAMED[name], path=path)
            assert workloads.check(changed, floor.server.port), (name, path)


def run(cpu):
    return {"cpu": cpu, "requests": 10, "per_s": 5.0, "wrk_cpu": 1, "p50": 1, "p99": 2, "others": 0.5,
            "errors": {"read": 1}}


def beside(p99):
    return {"requests": 10, "per_s": 5.0, "beside_per_s": 7.0, "p50": p99 // 2, "p99": p99, "others": 0,
            "errors": {}}


RESULT = {
    "machine": MACHINE, "rounds": 6, "seconds": 1, "workers": 2, "connections": 64,
    "servers": {n: {"version": "", "language": "C"} for n in ("floor", "lunette", "nginx", "lighttpd")},
    "skipped": {"apache": "none"}, "wrong": {"json of nginx": "is <no> JSON"},
    "memory": {"lunette": [{"rest": 4 << 20, "own": 1 << 20, "connections": 5, "each": 601.0}] * 3},
    "starts": {"lunette": [7.0]},
    "runs": {"hello": {"floor": [run(c) for c in (10, 20, 10, 10, 10, 10)],
                       "lunette": [run(11)] * 5 + [{"failed": "died"}],
                       "nginx": [{"failed": "died"}] * 6},
             "rows": {"floor": [run(10)] * 6, "lunette": [run(300)] * 6, "nginx": [run(200)] * 6,
                      "lighttpd": [run(c) for c in (250, 290, 320, 310, 340, 350)]},
             "rows_lib": {"floor": [run(10)] * 6, "lunette": [run(100)] * 6},
             "fair": {"lunette": [beside(3000)] * 6, "nginx": [beside(2000)] * 6},
             "fair_lib": {"lunette": [beside(1000)] * 6}},
}


def test_ratios_are_those_of_the_same_round():
    assert rounds.ratios(RESULT, "hello", "lunette") == [1.1, 0.55, 1.1, 1.1, 1.1]
    text = report.text(RESULT)
    assert "lunette        11.00     1.100  (0.550 to 1.100)" in text
    assert "5 errors" in text
    assert "every round failed" in text and "96.9% interval" in text
    assert "apache     left out: none" in text and "is <no> JSON" in text


def test_answers_beside_others_are_reported_by_their_time():
    line = next(line for line in report.text(RESULT).splitlines() if "lunette" in line and "3,000" in line)
    assert line.split() == ["lunette", "1,500", "(1,500", "to", "1,500)", "3,000", "(3,000", "to",
                            "3,000)", "1500.00x", "5", "7"]  # p99 of hello alone is 2 µs above


def verdicts(result):
    return {goal.what: goals.verdict(goal) for goal in goals.all_of(result)}


def test_goals_are_met_or_missed_by_a_part_of_themselves():
    assert verdicts(RESULT) == {
        "hello, CPU over that of the floor": "met by 1.8 %",
        "rows_lib, CPU over that of the floor": "met by 23.1 %",
        "hello, CPU": "met by 12.0 %",
        "rows_lib, CPU": "met by 44.4 %",
        "hello, CPU over that of nginx": "not measured",  # which failed in every round
        "rows, CPU over that of lighttpd": "met by 4.7 %, within the spread",
        "rows_lib, CPU over that of rows of nginx": "met by 50.0 %",
        "rows_lib, CPU over that of rows of lighttpd": "met by 68.2 %",
        "fair, p99 over that of nginx": "MISSED by 50.0 %",
        "fair_lib, p99 over that of nginx": "met by 50.0 %",
        "start to the first answer": "met by 53.3 %",
        "memory at rest": "met by 0.0 %",
        "memory of an idle connection": "MISSED by 0.2 %",
    }
    text = report.text(RESULT)
    assert "10 of 12 that were measured are met; 1 were not measured." in text
    assert "memory of an idle connection, bytes 600 601 601 to 601 MISSED by 0.2 %" in " ".join(text.split())


def test_what_was_not_chosen_has_no_goal_to_reach():
    chosen = {**RESULT, "runs": {"hello": RESULT["runs"]["hello"]}, "memory": {}, "starts": {}}
    assert not [what for what in verdicts(chosen) if what.startswith(("rows", "fair", "json"))]
    assert verdicts(chosen)["memory at rest"] == "not measured"


def test_every_goal_is_of_a_workload():
    assert {*goals.RATIOS, *goals.MICROSECONDS} <= set(workloads.NAMED)
    assert {w.beside or w.peers for w in workloads.ALL} - {""} <= set(workloads.NAMED)


def texts(svg):
    return [e.text for e in xml.etree.ElementTree.fromstring(svg).iter() if e.text]


def test_plots_are_labelled():
    found = texts(report_plot.plot(RESULT))
    assert {"hello", "≤ 1.12", "lunette", "1×", "fair, p50", "fair, p99", "10 ms"} <= set(found)
    cells = [{"panel": "bodies", "line": "file", "x": x, "size": x, "seen": [x / 100]}
             for x in (1024, 10 << 20)]
    result = {"machine": MACHINE, "rounds": 1, "seconds": 1, "cells": cells}
    assert {"1 KiB", "10 MiB", "file", "Bytes of a body"} <= set(texts(growth_report.plot(result)))
    assert "10240.00x, 10240.00x" in growth_report.text(result)


@pytest.mark.parametrize("costs, floor, has_bytes, said", [
    ((10, 10, 11.4), (), False, "flat, 1.14x from 1 to 100"),
    ((10, 10, 12), (), False, "GROWS, 1.20x from 1 to 100"),
    ((10, 10, 12), (1, 1, 1), False, "GROWS, 1.20x from 1 to 100, the floor 1.00x"),
    ((10, 10, 12), (1, 1, 1.1), False, "no more than the floor, 1.20x from 1 to 100, the floor 1.10x"),
    ((10, 10, 12), (1, 1), False, "GROWS, 1.20x from 1 to 100"),  # the floor of other points
    ((10, 10, 11.4), (), True, "flat, 1.14x from 1 to 100"),
    ((10, 100, 1100), (), True, "no faster than the bytes"),
    ((10, 100, 1200), (), True, "FASTER than the bytes: 12.00x for 10.00x of them up to 100"),
    ((10, 100, 1200), (1, 10, 110), True, "no faster than the bytes, or than the floor"),
    ((10,), (), True, "one point"),
])
def test_growth_is_judged_by_its_steps(costs, floor, has_bytes, said):
    def cells(line):
        return [{"x": 10**i, "size": 10**i, "seen": [cost]} for i, cost in enumerate(line)]
    assert growth_report.growth({"file": cells(costs), "file of floor": cells(floor)}, "file",
                                has_bytes) == said


def test_two_kinds_of_requests_go_to_a_server_at_once():
    with started(servers.Floor) as floor:
        seen = measure.round_of(floor.server, workloads.NAMED["fair"], 1)
    assert seen["requests"] > 0 and seen["beside_per_s"] > 0 and seen["p50"] <= seen["p99"]
    assert not seen["errors"] and "cpu" not in seen


@pytest.mark.parametrize("variable, text", [("BENCH_ROUNDS", "0"), ("BENCH_ROUNDS", "many"),
                                            ("BENCH_ONLY", "apache"), ("BENCH_WORKLOADS", "hello,nothing")])
def test_a_setting_that_means_nothing_is_refused(monkeypatch, variable, text):
    monkeypatch.setenv(variable, text)
    with pytest.raises(SystemExit, match=variable):
        bench.Bench(new_folder()).prepare()


MICRO_TEXT = """\
form: 3 fields                          43 bytes       133.3 ns  (131.8 to 135.1)       323 MB/s
decode              974 bytes        4.68 us  cjson       9.87 us  ratio 0.474  (0.468 to 0.479)
"""
MICRO = {"machine": MACHINE, "lines": list(micro_report.parsed(MICRO_TEXT))}


def test_what_the_small_benchmarks_print_is_understood():
    form, decode = MICRO["lines"]
    assert form == {"what": "form: 3 fields", "bytes": 43,
                    "ns": {"median": 133.3, "low": 131.8, "high": 135.1}}
    assert decode["what"] == "JSON: decode" and decode["bytes"] == 974
    assert decode["ns"]["median"] == 4680 and decode["cjson_ns"]["median"] == 9870
    assert decode["ratio"] == {"median": 0.474, "low": 0.468, "high": 0.479}
    assert {"form: 3 fields", "974 bytes", "lua-cjson", "10 µs"} <= set(texts(micro_report.plot(MICRO)))
    with pytest.raises(ValueError, match="what is 'nonsense'"):
        list(micro_report.parsed("nonsense"))
    assert micro_report.commands(["a", "1", "--", "b"]) == [["a", "1"], ["b"]]


CELLS = [{"panel": "routes", "line": "lunette", "x": x, "size": 0, "seen": [12345.0] * 6}
         for x in (10, 10000)]
GROWN = {"machine": MACHINE, "rounds": 6, "seconds": 1, "cells": CELLS}
FIGURES = ("scripts/figures.json", "site/bench.svg", "site/growth.svg", "site/micro.svg")


def chapter_with(serve, files):
    server = serve({**{k: v for k, v in own_files().items() if k not in FIGURES}, **files})
    answer = requests.get(server.url("/guide/speed"), timeout=20)
    assert answer.status_code == 200, server.errors()
    for picture in re.findall('<img src="(/[a-z]+.svg)" width', answer.text):
        assert requests.get(server.url(picture), timeout=20).status_code == 200
    return answer.text


def row_of(text, begin):
    """What stands in the cells of a table's row."""
    for row in re.findall("<tr>(.*?)</tr>", text, re.S):
        cells = [html.unescape(re.sub("<[^>]+>", " ", cell)).split()
                 for cell in re.findall("<t[hd].*?>(.*?)</t[hd]>", row, re.S)]
        cells = [" ".join(cell) for cell in cells]
        if cells[0].startswith(begin):
            return cells
    raise AssertionError(f"no row begins with {begin}")


def test_the_guide_says_when_there_are_no_figures(serve):
    text = chapter_with(serve, {})
    assert "It has not been measured" in text and 'class="figures"' not in text
    assert 'id="method"' in text


def test_the_guide_shows_the_figures_that_were_published(serve, tmp_path):
    for folder in ("scripts", "site"):
        (tmp_path / folder).mkdir()
    publish.write(RESULT, GROWN, MICRO, tmp_path)
    text = chapter_with(serve, {name: (tmp_path / name).read_text() for name in FIGURES})
    assert "today with lunette abc on 2 cores of one, Linux 6" in " ".join(text.split())
    assert row_of(text, "hello 13 bytes") == ["hello 13 bytes from a handler", "10.0",
                                              "1.10 (0.550 to 1.10)", "–", "–", "≤ 1.12"]
    assert row_of(text, "fair hello")[1:4] == ["lunette", "1.50 (1.50 to 1.50)", "3.00 (3.00 to 3.00)"]
    assert row_of(text, "lunette") == ["lunette", "7.00 (7.00 to 7.00)", "4.00 (4.00 to 4.00)",
                                       "601 (601 to 601)"]
    assert row_of(text, "memory of an idle") == ["memory of an idle connection, bytes", "600",
                                                 "601 (601 to 601)", "MISSED by 0.2 %"]
    assert row_of(text, "Routes") == ["Routes", "lunette", "12,345 at 10 12,345 at 10,000",
                                      "flat, 1.00x from 10 to 10,000"]
    assert row_of(text, "form: 3") == ["form: 3 fields", "43", "0.133", "3.10", ""]
    assert row_of(text, "JSON: decode") == ["JSON: decode", "974", "4.68", "4.80", "0.474 (0.468 to 0.479)"]
    publish.write(RESULT, None, None, tmp_path)  # the others are gone
    files = {name: (tmp_path / name).read_text() for name in FIGURES if (tmp_path / name).exists()}
    assert [*files] == ["scripts/figures.json", "site/bench.svg"]
    text = chapter_with(serve, files)
    assert "How cost grows" not in text and "Parsers and codecs" not in text


def test_figures_that_prove_little_are_not_published(monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "OUT", tmp_path)
    assert publish.read("bench.json") is None
    for changed, said in (({"rounds": 5}, "has 5 rounds"), ({}, "has no hello_log, pipe")):
        (tmp_path / "bench.json").write_text(json.dumps({**RESULT, **changed}))
        with pytest.raises(SystemExit, match=said):
            publish.read("bench.json")
    (tmp_path / "growth.json").write_text(json.dumps(GROWN))
    assert publish.read("growth.json") == GROWN
