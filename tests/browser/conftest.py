"""Journeys in a real browser, against real servers: `serve` and `make_site` are those of the
integration tests, `chromium` is a browser that a file of tests shares."""
import importlib.util
import pathlib

import pytest

from chromium import Chromium

INTEGRATION = pathlib.Path(__file__).parents[1] / "integration" / "conftest.py"
# By another name: this file is `conftest` here.
spec = importlib.util.spec_from_file_location("servers", INTEGRATION)
servers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(servers)
servers.first_lane = 6  # of eight: see TESTERS in the Makefile

place, make_site, serve = servers.place, servers.make_site, servers.serve


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    browser = Chromium(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
