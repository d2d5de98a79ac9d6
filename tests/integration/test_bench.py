"""The benchmark itself (tests/bench): its servers answer rightly, its figures are what they say, and its
plots can be read. Nothing is timed here."""
import contextlib
import dataclasses
import pathlib
import sys
import xml.etree.ElementTree

import pytest

from conftest import LUNETTE, ROOT
from running import new_folder

sys.path.append(str(ROOT / "tests" / "bench"))
import bench
import callgrind
import growth_report
import report
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
    assert callgrind.self_costs(path) == {"outer": 14, "inner": 330}


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


RESULT = {
    "machine": MACHINE, "rounds": 6, "seconds": 1, "workers": 2, "connections": 64,
    "servers": {n: {"version": "", "language": "C"} for n in ("floor", "lunette", "nginx")},
    "skipped": {"lighttpd": "none"}, "wrong": {"json of nginx": "is <no> JSON"},
    "memory": {"lunette": {"rest": 4 << 20, "own": 1 << 20, "connections": 5, "each": 601.0}},
    "starts": {"lunette": [7.0]},
    "runs": {"hello": {"floor": [run(c) for c in (10, 20, 10, 10, 10, 10)],
                       "lunette": [run(11)] * 5 + [{"failed": "died"}],
                       "nginx": [{"failed": "died"}] * 6}},
}


def test_ratios_are_those_of_the_same_round():
    assert report.ratios(RESULT, "hello", "lunette") == [1.1, 0.55, 1.1, 1.1, 1.1]
    text = report.text(RESULT)
    assert "lunette        11.00     1.100  (0.550 to 1.100)" in text
    assert "goal 1.12: reached" in text and "5 errors" in text
    assert "600 bytes: MISSED" in text and "4 MiB: reached" in text and "15 ms: reached" in text
    assert "every round failed" in text and "96.9% interval" in text
    assert "lighttpd   left out: none" in text and "is <no> JSON" in text


def texts(svg):
    return [e.text for e in xml.etree.ElementTree.fromstring(svg).iter() if e.text]


def test_plots_are_labelled():
    found = texts(report.plot(RESULT))
    assert {"hello", "≤ 1.12", "lunette", "1×"} <= set(found)
    cells = [{"panel": "bodies", "line": "file", "x": x, "size": x, "seen": [x / 100]}
             for x in (1024, 10 << 20)]
    result = {"machine": MACHINE, "rounds": 1, "seconds": 1, "cells": cells}
    assert {"1 KiB", "10 MiB", "file", "Bytes of a body"} <= set(texts(growth_report.plot(result)))
    assert "10240.00x, 10240.00x" in growth_report.text(result)


@pytest.mark.parametrize("variable, text", [("BENCH_ROUNDS", "0"), ("BENCH_ROUNDS", "many"),
                                            ("BENCH_ONLY", "apache"), ("BENCH_WORKLOADS", "hello,nothing")])
def test_a_setting_that_means_nothing_is_refused(monkeypatch, variable, text):
    monkeypatch.setenv(variable, text)
    with pytest.raises(SystemExit, match=variable):
        bench.Bench(new_folder()).prepare()
