"""The page of a report in a real browser: headless Chromium with its driver.

Debian has both: `apt-get install chromium chromium-driver`. Without them every test here is skipped, and says so.
"""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from pytest_veeqo_alloc import build_order
from pytest_veeqo_alloc.coverage.listeners import CoverageCounter
from pytest_veeqo_alloc.coverage.report_model import Document
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.reporting.formatters import build_run, describe_run
from pytest_veeqo_alloc.reporting.report_file import save

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="no browser: apt-get install chromium chromium-driver"
)

# Ratio of the contrast of every text to what WCAG 2 asks of it at level AA, where that is not met.
CONTRAST = """
const numbers = (text) => (text.match(/[0-9.]+/g) || []).map(Number);
const linear = (part) => (part /= 255) <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
const bright = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
const ground = (element) => {
  for (; element; element = element.parentElement) {
    const color = numbers(getComputedStyle(element).backgroundColor);
    if (color.length === 3 || color[3] > 0) return color;
  }
  return [255, 255, 255];
};
const faint = [];
for (const element of document.querySelectorAll("body *")) {
  const says = Array.from(element.childNodes).some((node) => node.nodeType === 3 && node.data.trim());
  if (!says || !element.checkVisibility()) continue;
  const one = bright(numbers(getComputedStyle(element).color)), other = bright(ground(element));
  const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  if (contrast < 4.5) faint.push([element.tagName, element.textContent.trim().slice(0, 40), contrast]);
}
return faint;
"""


def made_report() -> Document:
    counted = CoverageCounter()
    contract = Engine().with_listener(counted)
    order = build_order()
    contract.check_body("response", order)
    contract.check_body(
        "response", {**order, "colour": "red", "due_date": "x", "deliver_to": {**order["deliver_to"], "zip": None}}
    )
    about = describe_run(contract, "pytest 9", datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC), "a" * 32)
    return build_run(about, counted.by_origin).report


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield browser
    browser.quit()


@pytest.fixture
def opened(driver: webdriver.Chrome, tmp_path: Path) -> webdriver.Chrome:
    path = tmp_path / "report.html"
    save(made_report(), path)
    for log in ("browser", "performance"):
        driver.get_log(log)
    driver.get(path.as_uri())
    return driver


def shown_leaves(driver: webdriver.Chrome) -> list[str]:
    leaves = driver.find_elements(By.CSS_SELECTOR, "#response li")
    return [str(leaf.get_attribute("data-find")).split()[1] for leaf in leaves if leaf.is_displayed()]


def test_the_page_opens_without_an_error_or_a_request(opened: webdriver.Chrome) -> None:
    assert "Contract report" in opened.title
    assert opened.get_log("browser") == []
    messages = (json.loads(entry["message"])["message"] for entry in opened.get_log("performance"))
    asked = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in asked if url.startswith("file:")]) == 1


def test_the_tree_unfolds_by_mouse_and_by_keyboard(opened: webdriver.Chrome) -> None:
    assert "/deliver_to/zip" not in shown_leaves(opened)
    summary = opened.find_element(By.XPATH, "//summary[span='deliver_to']")
    summary.click()
    assert "/deliver_to/zip" in shown_leaves(opened)
    summary.send_keys(Keys.ENTER)
    assert "/deliver_to/zip" not in shown_leaves(opened)


def test_the_search_filters_and_gives_everything_back(opened: webdriver.Chrome) -> None:
    before = shown_leaves(opened)
    box = opened.find_element(By.ID, "search")
    box.send_keys("deliver_to/zip")
    assert shown_leaves(opened) == ["/deliver_to", "/deliver_to/zip"]
    # One finding, one drift, one field.
    assert opened.find_element(By.ID, "matches").text == "3 matches"
    box.send_keys(Keys.CONTROL, "a", Keys.DELETE)
    assert shown_leaves(opened) == before
    box.send_keys("nothing is called so")
    assert shown_leaves(opened) == []
    assert opened.find_element(By.ID, "matches").text == "0 matches"


def test_the_page_is_whole_without_javascript(driver: webdriver.Chrome, opened: webdriver.Chrome) -> None:
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.refresh()
        assert not driver.find_element(By.ID, "searching").is_displayed()
        driver.find_element(By.XPATH, "//summary[span='deliver_to']").click()
        assert "/deliver_to/zip" in shown_leaves(driver)
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(opened: webdriver.Chrome, scheme: str) -> None:
    opened.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    opened.execute_script("for (const fold of document.querySelectorAll('details')) fold.open = true;")
    ground = opened.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 19, 24)"}[scheme]
    assert opened.execute_script(CONTRAST) == []


def test_a_phone_shows_the_page_without_scrolling_sideways(opened: webdriver.Chrome) -> None:
    opened.execute_script("for (const fold of document.querySelectorAll('details')) fold.open = true;")
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        assert opened.execute_script("return document.documentElement.scrollWidth") == 390
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_screen_reader_finds_landmarks_headings_and_a_labelled_search(opened: webdriver.Chrome) -> None:
    tree = opened.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    found = {(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]}
    roles = {role for role, _ in found}
    assert {"main", "banner", "navigation", "heading", "list", "table"} <= roles
    assert ("searchbox", "Search fields, rules, tests") in found
    assert ("navigation", "Parts of the report") in found
    assert not [node for node in found if node[0] in ("link", "button", "DisclosureTriangle") and not node[1]]
