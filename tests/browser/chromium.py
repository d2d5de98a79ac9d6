"""Headless Chromium for journeys: pages are opened, looked at and waited for."""
import base64
import json
import pathlib
import time

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service

FLAGS = ("--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run "
         "--disable-background-networking --disable-component-update --disable-sync "
         "--disable-dev-shm-usage --window-size=1280,900").split()
PATIENCE_S = 20


class Chromium:
    """One browser with one page; `driver` is Selenium's, for what is not here."""

    def __init__(self, profile):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in [*FLAGS, f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.driver.set_page_load_timeout(30)

    def close(self):
        self.driver.quit()

    def open(self, url):
        self.driver.get(url)
        return self

    def run(self, script, *arguments):
        """The value of a JavaScript expression; arguments are in the array `arguments`."""
        return self.driver.execute_script(f"return ({script})", *arguments)

    def until(self, script, *arguments, seconds=PATIENCE_S):
        """Waits until the expression is true, across page loads, and returns its value."""
        end = time.monotonic() + seconds
        while True:
            try:
                value = self.run(script, *arguments)
            except WebDriverException as e:  # the page is just being replaced
                value = None
                last = str(e)
            else:
                last = repr(value)
            if value:
                return value
            assert time.monotonic() < end, f"{script} is not true within {seconds} s: {last}\n" + \
                self.text()
            time.sleep(0.02)

    def text(self):
        return self.run("document.body ? document.body.innerText : ''")

    def until_text(self, text):
        self.until("document.body && document.body.innerText.includes(arguments[0])", text)

    def until_page(self, path, text=""):
        """Waits for a page that a click leads to, with all that belongs to it: its path and its first
        words are there before the rest."""
        self.until("document.readyState === 'complete' && location.pathname === arguments[0] && "
                   "document.body.innerText.includes(arguments[1])", path, text)

    def mark(self):
        """Leaves a mark in the page, which the next page load takes away."""
        self.run("window.markOfTest = true")

    def is_marked(self):
        return bool(self.run("window.markOfTest"))

    def complaints(self):
        """What the console of the browser has said since the last call, as one text."""
        return "\n".join(entry["message"] for entry in self.driver.get_log("browser"))

    def cdp(self, method, **parameters):
        """A command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(method, parameters)

    def resize(self, width, height=900, dark=False):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=False)
        scheme = "dark" if dark else "light"
        self.cdp("Emulation.setEmulatedMedia",
                 features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path):
        """The whole page, as PNG."""
        shot = self.cdp("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        pathlib.Path(path).write_bytes(base64.b64decode(shot["data"]))

    def fits(self):
        """Whether the page is no wider than the window."""
        return self.run("document.documentElement.scrollWidth <= window.innerWidth")

    def __repr__(self):
        return f"<Chromium at {json.dumps(self.driver.current_url)}>"
