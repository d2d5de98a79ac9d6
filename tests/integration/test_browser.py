"""Forms as a browser sends them: headless Chromium fills them in, and the handler says what came."""
import hashlib
import json

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PAGE = """<!doctype html><meta charset="utf-8"><title>form</title>
<form method="post" action="/got" enctype="multipart/form-data" id="upload">
  <input name="title"><textarea name="text"></textarea>
  <input type="checkbox" name="tag" value="a" checked><input type="checkbox" name="tag" value="b" checked>
  <input type="file" name="photo"><input type="file" name="docs" multiple><input type="file" name="empty">
  <input name='odd "name"' value="odd"><button>Send</button>
</form>
<form method="post" action="/got?from=plain" id="plain">
  <input name="title"><select name="choice"><option>one<option selected>two ü</select><button>Send</button>
</form>"""
SITE = {
    "site/index.html": PAGE,
    "scripts/main.lua": """
        local app = require "lunette"
        app.post("/got", function(req)
          local files = {}
          for name, list in pairs(req.files_all) do
            files[name] = {}
            for i, p in ipairs(list) do
              files[name][i] = { filename = p.filename, size = p.size, sha256 = p.sha256,
                                 type = p.content_type, detected = p.detected_type }
            end
          end
          return app.html("<title>got</title><pre id=got>" .. require "lunette.html".escape(
            require "lunette.json".encode { form = req.form, all = req.form_all, files = files,
              query = req.query, cookies = req.cookies }) .. "</pre>")
        end)
        app.get("/cookie", function(req)
          req:set_cookie("plain", "value", { http_only = false })
          return "<title>cookie</title>"
        end)
        """,
}
FLAGS = ("--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run "
         "--disable-background-networking --disable-component-update --disable-sync "
         "--disable-dev-shm-usage --window-size=1000,800").split()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    driver.set_page_load_timeout(30)
    yield driver
    driver.quit()


@pytest.fixture
def server(serve):
    return serve(SITE)


def send(browser, form):
    browser.find_element(By.CSS_SELECTOR, f"#{form} button").click()
    WebDriverWait(browser, 20).until(lambda b: b.title == "got")
    return json.loads(browser.find_element(By.ID, "got").text)


def test_a_browser_uploads_files(server, browser, tmp_path):
    photo, big = tmp_path / "photo ü 日本.txt", tmp_path / "big.bin"
    photo.write_bytes(b"a text")
    big.write_bytes(bytes(range(256)) * 4096)
    browser.get(server.url("/"))
    form = browser.find_element(By.ID, "upload")
    form.find_element(By.NAME, "title").send_keys('Grüße "&<b>')
    form.find_element(By.NAME, "text").send_keys("one\ntwo")
    form.find_element(By.NAME, "photo").send_keys(str(photo))
    form.find_element(By.NAME, "docs").send_keys(f"{photo}\n{big}")
    got = send(browser, "upload")
    assert got["form"]["title"] == 'Grüße "&<b>' and got["form"]["text"] == "one\r\ntwo"
    assert got["all"]["tag"] == ["a", "b"]
    assert "odd" in got["form"].values()
    assert set(got["files"]) == {"photo", "docs"}
    assert got["files"]["photo"][0]["filename"] == photo.name
    assert got["files"]["photo"][0]["detected"] == "text/plain"
    first, second = got["files"]["docs"]
    assert first["filename"] == photo.name
    assert second["sha256"] == hashlib.sha256(big.read_bytes()).hexdigest()
    assert second["size"] == 2**20


def test_a_browser_sends_an_urlencoded_form(server, browser):
    browser.get(server.url("/"))
    browser.find_element(By.CSS_SELECTOR, "#plain [name=title]").send_keys("a+b&c=d;e ü%41")
    got = send(browser, "plain")
    assert got["form"] == {"title": "a+b&c=d;e ü%41", "choice": "two ü"}
    assert got["query"] == {"from": "plain"} and got["files"] == {}


def test_a_browser_keeps_cookies(server, browser):
    browser.get(server.url("/cookie"))
    browser.get(server.url("/"))
    got = send(browser, "plain")
    assert got["cookies"]["plain"] == "value"
    assert browser.execute_script("return document.cookie") == "plain=value"
