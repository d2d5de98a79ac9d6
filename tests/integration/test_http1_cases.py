"""The raw cases of http1/, sent as bytes to a served site and judged by the runner beside them.

A case is one of RFC 9110 and 9112; all of them pass but those listed here.
"""
import copy
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

FOLDER = Path(__file__).parent / "http1"
sys.path.insert(0, str(FOLDER))

import run_http1  # noqa: E402  (the runner is a script; the line above makes it importable)

SITE = {
    "scripts/main.lua": """
        local app = require "lunette"
        app.any("/echo", function(req)
          return 200, { ["Content-Type"] = "text/plain" }, req.body
        end)
        """,
    "site/static/hello.txt": (b"hello, world\n" * 400)[:4096],
}
SMALL_TIMEOUTS = "return { timeouts = { header = 1, body = 1, idle = 2, send = 1 } }"
DRIBBLE_MS = 150  # instead of the 500 of the case: still more than a header timeout for all bytes


def all_cases():
    return json.loads((FOLDER / "http1-cases.json").read_text())


def is_slow(case):
    return "slow" in case.get("needs", [])


def quickened(case):
    """A slow case with its bytes a little closer together."""
    case = copy.deepcopy(case)
    for step in case["send"]:
        if isinstance(step, dict) and "dribble" in step:
            step["ms"] = DRIBBLE_MS
    return case


def run(server, cases, slow=0):
    """id → why, for the cases that did not pass; a case that was skipped did not."""
    options = SimpleNamespace(host="127.0.0.1", port=server.port, tls=False, timeout=10, slow=slow,
                              static="/static/hello.txt", echo="/echo")
    judge = run_http1.Judge(options)
    judge.setup()
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(judge.run, cases))
    return {c["id"]: why for c, (verdict, why) in zip(cases, results) if verdict != "pass"}


def test_every_case_passes(serve):
    cases = [c for c in all_cases() if not is_slow(c)]
    assert len(cases) > 450
    failed = run(serve(SITE), cases)
    assert failed == {}


def test_the_slow_cases_pass_with_small_timeouts(serve):
    server = serve({**SITE, "scripts/config.lua": SMALL_TIMEOUTS})
    cases = [quickened(c) for c in all_cases() if is_slow(c)]
    assert len(cases) >= 6
    assert run(server, cases, slow=15) == {}
