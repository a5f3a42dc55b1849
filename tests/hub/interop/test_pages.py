"""The pages in a real browser, Debian's chromium."""

import json
import os
import shutil
import time

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        reason = "there is no chromium with its chromedriver"
        pytest.fail(reason) if "TILEPIPE_TEST_ALL" in os.environ else pytest.skip(reason)
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(programs[1]))
    yield driver
    driver.quit()


@pytest.fixture
def show(browser):
    """Open a page; in the end nothing may stand in the console."""
    browser.get_log("browser")

    def opened(address):
        browser.get(address)
        return browser

    yield opened
    assert browser.get_log("browser") == []


def seen_until(condition, look, within_s=30):
    """What was seen until something held, each once."""
    ends, seen = time.monotonic() + within_s, []
    while not (seen and condition(seen[-1])):
        assert time.monotonic() < ends, seen
        now = look()
        if not seen or seen[-1] != now:
            seen.append(now)
        time.sleep(0.05)
    return seen


def test_the_bar_of_a_job_goes_to_its_end(hub, show):
    job = hub.submit({"text": "x", "pause": 2})
    page = show(f"{job}?f=html")

    look = "return [document.getElementById('progress').value, document.getElementById('status').textContent]"
    seen = seen_until(lambda now: now == [100, "successful"], lambda: page.execute_script(look))

    assert [value for value, _ in seen] == sorted(value for value, _ in seen)
    assert seen[0][1] in {"accepted", "running"}


def test_the_bar_moves_with_the_tiles(hub, show, inputs):
    job = hub.submit(inputs, "convert")
    page = show(f"{job}?f=html")

    seen_until(lambda now: now == 100, lambda: page.execute_script("return document.getElementById('progress').value"))

    assert page.find_element(By.ID, "status").text == "successful"


@pytest.mark.parametrize("path", ["/", "/processes", "/processes/convert", "/jobs", "/conformance", "/api"])
def test_every_page_shows_and_its_links_lead_on(hub, show, path):
    page = show(f"{hub.url}{path}?f=html")

    links = {link.get_attribute("href") for link in page.find_elements(By.CSS_SELECTOR, "a:not([data-posted])")}
    assert page.find_element(By.TAG_NAME, "h1").text
    assert links
    assert not any(link.endswith("#") for link in links)
    for link in sorted(link for link in links if link.startswith(hub.url)):
        assert hub.client.get(link).status_code == 200, link


def test_the_form_of_a_process_submits_a_job(hub, show, inputs):
    page = show(f"{hub.url}/processes/convert?f=html")
    body = page.find_element(By.ID, "body")
    offered = json.loads(body.get_property("value"))

    page.execute_script("arguments[0].value = arguments[1]", body, json.dumps({"inputs": inputs}))
    page.find_element(By.TAG_NAME, "button").click()
    look = "return document.querySelector('#status') && document.querySelector('#status').textContent"
    seen_until(lambda now: now == "successful", lambda: page.execute_script(look))

    assert offered["inputs"].keys() == {"raster", "output"}
    assert offered["inputs"]["raster"] == {"href": ""}
    assert offered["inputs"]["output"] == {"value": {"dtype": "float32", "nodata": -9999}}
    assert hub.client.get(page.current_url, params={"f": "json"}).json()["processID"] == "convert"


def test_the_form_leaves_out_what_nobody_filled_in(hub, show):
    page = show(f"{hub.url}/processes/echo?f=html")
    given = {"text": "x", "number": None, "object": {"value": None}, "time": "", "image": {"href": ""}, "integer": 0}

    body = page.find_element(By.ID, "body")
    page.execute_script(
        "arguments[0].value = arguments[1]", body, json.dumps({"inputs": given, "response": "document"})
    )
    page.find_element(By.TAG_NAME, "button").click()
    look = "return document.querySelector('#status') && document.querySelector('#status').textContent"
    seen_until(lambda now: now == "successful", lambda: page.execute_script(look))

    job = page.current_url.partition("?")[0]
    assert hub.client.get(f"{job}/results").json().keys() == {"text", "integer"}


@pytest.fixture
def phone(browser):
    """The browser with the window of a phone."""
    size = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("path", ["/", "/processes", "/processes/convert", "/processes/recipe", "/jobs", "/api"])
def test_no_page_is_wider_than_a_phone(hub, phone, show, path):
    page = show(f"{hub.url}{path}?f=html")

    page.execute_script("for (const part of document.querySelectorAll('details')) part.open = true")

    assert page.execute_script("return document.documentElement.scrollWidth") == 360


def test_the_form_says_what_is_wrong(hub, browser):
    browser.get(f"{hub.url}/processes/convert?f=html")
    page = browser
    button = page.find_element(By.TAG_NAME, "button")
    message = page.find_element(By.ID, "message")

    for body, word in (("{", "JSON"), ('{"inputs": {}}', "raster")):
        page.execute_script("arguments[0].value = arguments[1]", page.find_element(By.ID, "body"), body)
        button.click()
        seen_until(lambda text, word=word: word in text, lambda: message.text)


def test_a_finished_job_leads_to_its_results(hub, show, done):
    page = show(f"{done}?f=html")

    page.find_element(By.LINK_TEXT, "Results").click()

    assert "stac.json" in page.page_source


def test_a_finished_job_shows_what_it_made(hub, show, done):
    page = show(f"{done}?f=html")

    links = [page.find_element(By.LINK_TEXT, name) for name in ("STAC item", "Virtual raster", "Report")]
    address = page.find_element(By.ID, "address").text
    assert address == f"/vsicurl/{done}/output/stac.vrt"
    for link in links:
        assert hub.client.get(link.get_attribute("href")).status_code == 200
    assert page.find_elements(By.ID, "cancel") == []
    assert page.find_elements(By.ID, "retry") == []


def test_the_address_for_a_desktop_is_copied(browser, show, done):
    permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    browser.execute_cdp_cmd("Browser.grantPermissions", {"permissions": permissions})
    page = show(f"{done}/results?f=html")
    button = page.find_element(By.CSS_SELECTOR, "[data-copy]")

    button.click()
    seen_until(lambda text: text != "Copy", lambda: button.text)

    assert page.execute_script("return getSelection().toString()") == f"/vsicurl/{done}/output/stac.vrt"
    if button.text == "Copied":
        read = "navigator.clipboard.readText().then(arguments[0])"
        assert page.execute_async_script(read) == f"/vsicurl/{done}/output/stac.vrt"


def test_a_job_is_cancelled_and_tried_again(hub, show):
    job = hub.submit({"text": "x", "pause": 50})
    page = show(f"{job}?f=html")
    status = "const found = document.getElementById('status'); return found && found.textContent"

    page.find_element(By.ID, "cancel").click()
    seen_until(lambda now: now == "dismissed", lambda: page.execute_script(status))
    assert hub.client.get(job).json()["status"] == "dismissed"
    seen_until(bool, lambda: page.find_elements(By.ID, "retry"))
    page.find_element(By.ID, "retry").click()
    seen_until(lambda here: not here.startswith(job), lambda: page.current_url)

    again = page.current_url.partition("?")[0]
    assert hub.client.get(again).json()["continues"] == job.rpartition("/")[2]
    hub.client.delete(again)


@pytest.fixture
def without_news(browser):
    """The browser when no events come through."""
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/events"]})
    yield browser
    browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})


def test_a_job_that_ended_meanwhile_is_not_removed(hub, without_news):
    job = hub.submit({"text": "x", "pause": 1})
    page = without_news
    page.get(f"{job}?f=html")
    button = page.find_element(By.ID, "cancel")
    assert hub.ended(job)["status"] == "successful"

    button.click()
    look = "const found = document.getElementById('status'); return found && found.textContent"
    seen_until(lambda now: now == "successful", lambda: page.execute_script(look))

    assert hub.client.get(job).status_code == 200


def test_what_can_only_be_posted_to_leads_to_where_one_can(hub, show):
    page = show(f"{hub.url}/processes?f=html")
    page.execute_script("document.querySelector('details').open = true")

    page.find_element(By.CSS_SELECTOR, "a[data-posted][href$='/processes/echo/execution']").click()
    seen_until(lambda here: here == f"{hub.url}/processes/echo?f=html", lambda: page.current_url)
    page.find_element(By.CSS_SELECTOR, "a[data-posted]").click()

    assert page.switch_to.active_element.get_attribute("id") == "body"


@pytest.mark.parametrize("below", ["", "/results"])
def test_no_page_of_a_finished_job_is_wider_than_a_phone(done, phone, show, below):
    page = show(f"{done}{below}?f=html")

    page.execute_script("for (const part of document.querySelectorAll('details')) part.open = true")

    assert page.execute_script("return document.documentElement.scrollWidth") == 360
