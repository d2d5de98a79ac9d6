"""The guide and the guest book in a browser, on a wide and a narrow screen, in light and dark: pages
fit and say nothing on the console, every button gets an answer, and what the pages promise happens.

With SCREENSHOTS=DIR, pictures of all pages are put there, to be looked at."""
import os
import pathlib
import sys

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "integration"))
from own import PATHS, ROOT, own_files  # noqa: E402

SCREENS = {"wide": (1280, False), "narrow": (390, True)}
ALL = [*PATHS.values(), "/guestbook", "/nowhere"]


@pytest.fixture
def site(serve):
    return serve(own_files(), "--workers", "2")


@pytest.fixture(params=SCREENS)
def screen(request, chromium):
    width, dark = SCREENS[request.param]
    chromium.resize(width, dark=dark)
    chromium.cdp("Network.clearBrowserCookies")
    chromium.complaints()
    return request.param


def visit(chromium, site, path, status=200):
    """Opens a page, which must come with the status."""
    chromium.open(site.url(path))
    chromium.until("document.readyState === 'complete' && document.querySelector('body > footer')")
    got = chromium.run("performance.getEntriesByType('navigation')[0].responseStatus")
    assert got == status, f"{path}: {got}\n{chromium.text()}\n--- the log\n{site.errors()}"


def find(chromium, css):
    return chromium.driver.find_element(By.CSS_SELECTOR, css)


def scripts_complaints(chromium):
    """What scripts and policies complain of; that an answer was a 4xx or 5xx is what some buttons are
    for."""
    return [line for line in chromium.complaints().splitlines()
            if "Failed to load resource: the server responded with a status" not in line]


def picture(chromium, name, screen):
    if folder := os.environ.get("SCREENSHOTS"):
        chromium.screenshot(pathlib.Path(folder) / f"{name}-{screen}.png")


def test_every_page_fits_the_screen(site, chromium, screen):
    for path in ALL:
        visit(chromium, site, path, 404 if path == "/nowhere" else 200)
        assert chromium.fits(), f"{path} is wider than the screen"
        assert chromium.run("document.querySelectorAll('h1').length") == 1, path
        broken = "[...document.images].filter(i => !i.naturalWidth).map(i => i.src)"
        assert chromium.run(broken) == [], path
        assert scripts_complaints(chromium) == [], path
        picture(chromium, path.strip("/").replace("/", "-") or "start", screen)


def press(chromium, button):
    """Presses a button of a demonstration and waits for the whole answer: its status line."""
    section = button.find_element(By.XPATH, "ancestor::section")
    chromium.run("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    chromium.until("!arguments[0].disabled && "
                   "arguments[1].querySelector('.answer [class^=code]')", button, section)
    return section.find_element(By.CSS_SELECTOR, ".answer .asked").text


@pytest.mark.parametrize("page", PATHS)
def test_every_button_shows_an_answer(site, chromium, screen, page):
    visit(chromium, site, PATHS[page])
    buttons = chromium.driver.find_elements(By.CSS_SELECTOR, ".demo button")
    assert buttons or page in ("tutorial", "running")
    for field in chromium.driver.find_elements(By.CSS_SELECTOR, "input[type=file]"):
        field.send_keys(str(ROOT / "site/moon.svg"))
    for button in buttons:
        asked = press(chromium, button)
        method = button.get_attribute("data-method") or "GET"
        assert asked.startswith(f"{method} /"), asked
    assert chromium.fits()
    assert scripts_complaints(chromium) == []
    picture(chromium, f"pressed-{page}", screen)


def button(chromium, section, text):
    """The button with that text in the demonstration whose heading has the id."""
    xpath = f"//section[@aria-labelledby='{section}']//button[normalize-space()='{text}']"
    return chromium.driver.find_element(By.XPATH, xpath)


def body(chromium, section):
    return find(chromium, f"section[aria-labelledby={section}] .answer pre").text


def test_an_upload_is_judged_by_its_content(site, chromium, screen, tmp_path):
    visit(chromium, site, "/guide/requests")
    field = find(chromium, "[name=picture]")
    field.send_keys(str(ROOT / "site/moon.svg"))
    assert "200" in press(chromium, button(chromium, "upload", "POST"))
    assert '"detected": "image/svg+xml"' in body(chromium, "upload")
    claimed = tmp_path / "moon.png"
    claimed.write_text("This is no picture.\n")
    field.send_keys(str(claimed))
    assert "415" in press(chromium, button(chromium, "upload", "POST"))
    assert "text/plain" in body(chromium, "upload")


def test_tokens_and_tags_go_from_one_answer_into_the_next_request(site, chromium, screen):
    visit(chromium, site, "/guide/caching")
    press(chromium, button(chromium, "note", "GET"))
    assert "204" in press(chromium, button(chromium, "note", "PUT"))
    assert "412" in press(chromium, button(chromium, "note", "PUT"))
    press(chromium, button(chromium, "note", "GET"))
    assert "The moon is full." in body(chromium, "note")

    visit(chromium, site, "/guide/safety")
    assert "403" in press(chromium, button(chromium, "token", "POST"))
    press(chromium, button(chromium, "token", "GET"))
    assert "200" in press(chromium, button(chromium, "token", "POST"))
    press(chromium, button(chromium, "signed", "Sign"))
    press(chromium, button(chromium, "signed", "Unsign"))
    assert "The moon is full" in body(chromium, "signed")
    asked = [press(chromium, button(chromium, "bucket", "GET")) for _ in range(4)]
    assert "429" in asked[-1] and "429" not in asked[0]


def test_streams_show_as_they_come(site, chromium):
    chromium.resize(1280)
    visit(chromium, site, "/guide/answers")
    button(chromium, "phases", "GET").click()
    shown = "document.querySelector('section[aria-labelledby=phases] .answer pre')"
    chromium.until(f"{shown} && {shown}.innerText.includes('phase 2 of 8')")
    assert "phase 8 of 8" not in body(chromium, "phases")
    chromium.until(f"{shown}.innerText.includes('phase 8 of 8')")


def sign(chromium, name, text):
    for field, value in (("name", name), ("text", text)):
        element = find(chromium, f".book [name={field}]")
        element.clear()
        element.send_keys(value)
    find(chromium, ".book form button").click()


def test_signing_the_guest_book(site, chromium, screen):
    visit(chromium, site, "/")
    chromium.open(chromium.run("document.querySelector('main a[href=\"/guestbook\"]').href"))
    chromium.until_text("Nobody has written anything here yet.")
    sign(chromium, "Luna <b>", "Good evening,\n<script>document.title = 'moon'</script>")
    chromium.until_page("/guestbook", "Thank you. It is in the book.")
    assert find(chromium, ".entries h3").text.startswith("Luna <b>")
    assert "Good evening,\n<script>" in find(chromium, ".entries p").text
    assert "1 entry" in chromium.text() and "Guest book" in chromium.driver.title
    sign(chromium, "Luna", "   ")
    chromium.until_page("/guestbook", "The text must not be empty")
    assert find(chromium, ".book [name=name]").get_attribute("value") == "Luna"
    assert "Thank you." not in find(chromium, "main").text.split("How it is made")[0]
    assert chromium.fits()
    picture(chromium, "signed", screen)


def test_the_site_works_without_scripts(site, chromium):
    chromium.resize(390)
    chromium.cdp("Emulation.setScriptExecutionDisabled", value=True)
    try:
        visit(chromium, site, "/guestbook")
        sign(chromium, "Luna", "No script here")
        chromium.driver.implicitly_wait(10)
        assert find(chromium, ".note.good").is_displayed()
        find(chromium, ".drawer summary").click()
        find(chromium, ".drawer a[href='/guide/routes']").click()
        chromium.until_page("/guide/routes")
        assert find(chromium, "h1").text == "Routes"
        assert find(chromium, ".code .keyword").is_displayed()
    finally:
        chromium.driver.implicitly_wait(0)
        chromium.cdp("Emulation.setScriptExecutionDisabled", value=False)


def test_the_contents_are_at_the_side_or_in_a_drawer(site, chromium):
    chromium.resize(1280)
    visit(chromium, site, "/guide/safety")
    assert find(chromium, ".side").is_displayed() and not find(chromium, ".drawer").is_displayed()
    find(chromium, ".side a[href='#cors']").click()
    chromium.until("document.getElementById('cors').getBoundingClientRect().top < innerHeight / 2")
    chromium.resize(390)
    assert not find(chromium, ".side").is_displayed()
    link = find(chromium, ".drawer a[href='/guide/database']")
    assert not chromium.run("arguments[0].checkVisibility()", link)  # folded away
    chromium.run("scrollTo(0, 0)")
    find(chromium, ".drawer summary").click()
    link.click()
    chromium.until_page("/guide/database")
    assert chromium.run("document.querySelector('.drawer [aria-current=page]').textContent") == "Database"


def test_the_keyboard_reaches_the_content_first(site, chromium):
    chromium.resize(1280)
    visit(chromium, site, "/guide/routes")
    page = find(chromium, "body")
    page.send_keys(Keys.TAB)
    skip = chromium.driver.switch_to.active_element
    assert skip.text == "Skip to the content"
    assert skip.rect["x"] >= 0
    skip.send_keys(Keys.ENTER)
    chromium.until("location.hash === '#content'")
