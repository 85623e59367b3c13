"""The HTML report in a real browser: headless Chromium with its driver.

Debian has both: `apt-get install chromium chromium-driver`. Without them every test here is skipped, with that reason.
"""

from __future__ import annotations

import copy
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
from pytest_veeqo_alloc.coverage.collector import CoverageCounter
from pytest_veeqo_alloc.coverage.report_model import Document
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.reporting.report_file import build_run, save

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="no browser: apt-get install chromium chromium-driver"
)

# Returns every visible text whose contrast is below 4.5, the minimum of WCAG 2 at level AA.
LOW_CONTRAST = """
const numbers = (text) => (text.match(/[0-9.]+/g) || []).map(Number);
const linear = (part) => (part /= 255) <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
const background = (element) => {
  for (; element; element = element.parentElement) {
    const color = numbers(getComputedStyle(element).backgroundColor);
    if (color.length === 3 || color[3] > 0) return color;
  }
  return [255, 255, 255];
};
const found = [];
for (const element of document.querySelectorAll("body *")) {
  const hasText = Array.from(element.childNodes).some((node) => node.nodeType === 3 && node.data.trim());
  if (!hasText || !element.checkVisibility()) continue;
  const text = luminance(numbers(getComputedStyle(element).color)), behind = luminance(background(element));
  const contrast = (Math.max(text, behind) + 0.05) / (Math.min(text, behind) + 0.05);
  if (contrast < 4.5) found.push([element.tagName, element.textContent.trim().slice(0, 40), contrast]);
}
return found;
"""

# Returns the edges of what must be aligned in the two trees.
EDGES = """
const edges = (selector, side) => Array.from(document.querySelectorAll(selector),
  (element) => Math.round(element.getBoundingClientRect()[side]));
return {target: edges(".tree .target", "right"), fake: edges(".tree .fake", "right"),
  bar: edges(".tree .bar", "left").concat(edges(".tree .bar", "right"))};
"""


def sample_report() -> Document:
    counted = CoverageCounter()
    contract = Engine().with_listener(counted)
    order = build_order()
    contract.check_body("response", order)
    contract.check_body(
        "response", {**order, "colour": "red", "due_date": "x", "deliver_to": {**order["deliver_to"], "zip": None}}
    )
    started = datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC)
    report = build_run(contract, counted.by_origin, "pytest 9", started, "a" * 32).report
    origins = report["runs"][0]["origins"]
    origins["fake"] = copy.deepcopy(origins["target"])
    origins["target"]["undocumented"]["response"]["/" + "long" * 100] = {"string": 1}
    origins["target"]["calls"][0]["tests"] = {"test_" + "x" * 400: 1}
    return report


def earlier_report() -> Document:
    counted = CoverageCounter()
    contract = Engine().with_listener(counted)
    contract.check_body("response", build_order())
    started = datetime.datetime(2025, 12, 31, tzinfo=datetime.UTC)
    return build_run(contract, counted.by_origin, "pytest 9", started, "b" * 32).report


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
def page(driver: webdriver.Chrome, tmp_path: Path) -> webdriver.Chrome:
    path = tmp_path / "report.html"
    save(sample_report(), path, earlier_report())
    for log in ("browser", "performance"):
        driver.get_log(log)
    driver.get(path.as_uri())
    return driver


def displayed_pointers(driver: webdriver.Chrome) -> list[str]:
    leaves = driver.find_elements(By.CSS_SELECTOR, "#response li")
    return [str(leaf.get_attribute("data-find")).split()[1] for leaf in leaves if leaf.is_displayed()]


def test_page_loads_without_errors_and_without_network_requests(page: webdriver.Chrome) -> None:
    assert "Contract report" in page.title
    assert page.get_log("browser") == []
    messages = (json.loads(entry["message"])["message"] for entry in page.get_log("performance"))
    sent = [message for message in messages if message["method"] == "Network.requestWillBeSent"]
    urls = [message["params"]["request"]["url"] for message in sent]
    assert [url for url in urls if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in urls if url.startswith("file:")]) == 1


def test_tree_expands_by_mouse_and_by_keyboard(page: webdriver.Chrome) -> None:
    assert "/deliver_to/zip" not in displayed_pointers(page)
    summary = page.find_element(By.XPATH, "//summary[span/span='deliver_to']")
    summary.click()
    assert "/deliver_to/zip" in displayed_pointers(page)
    summary.send_keys(Keys.ENTER)
    assert "/deliver_to/zip" not in displayed_pointers(page)


def test_search_filters_and_can_be_cleared(page: webdriver.Chrome) -> None:
    before = displayed_pointers(page)
    box = page.find_element(By.ID, "search")
    box.send_keys("deliver_to/zip")
    assert displayed_pointers(page) == ["/deliver_to", "/deliver_to/zip"]
    # In the findings, the drift since the earlier report and all drift: a row per origin. Then the field.
    assert page.find_element(By.ID, "matches").text == "7 matches"
    groups = page.find_elements(By.CSS_SELECTOR, "#findings [data-group]")
    assert [group.text.splitlines()[0] for group in groups if group.is_displayed()] == [
        "error null-value: null in a field with a documented type"
    ]
    box.send_keys(Keys.CONTROL, "a", Keys.DELETE)
    assert displayed_pointers(page) == before
    box.send_keys("no such field")
    assert displayed_pointers(page) == []
    assert page.find_element(By.ID, "matches").text == "0 matches"


def test_columns_and_bars_of_the_tree_are_aligned(page: webdriver.Chrome) -> None:
    page.execute_script("for (const fold of document.querySelectorAll('details')) fold.open = true;")
    edges = page.execute_script(EDGES)
    assert {name: len(set(found)) for name, found in edges.items()} == {"target": 1, "fake": 1, "bar": 4}
    assert all(len(found) > 30 for found in edges.values())
    rect = page.find_element(By.XPATH, "//summary[span/span='deliver_to']//*[name()='rect']")
    assert rect.rect["width"] == pytest.approx(rect.find_element(By.XPATH, "..").rect["width"])


def test_page_is_complete_without_javascript(driver: webdriver.Chrome, page: webdriver.Chrome) -> None:
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.refresh()
        assert not driver.find_element(By.ID, "searching").is_displayed()
        driver.find_element(By.XPATH, "//summary[span/span='deliver_to']").click()
        assert "/deliver_to/zip" in displayed_pointers(driver)
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(page: webdriver.Chrome, scheme: str) -> None:
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    page.execute_script("for (const fold of document.querySelectorAll('details')) fold.open = true;")
    background = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 19, 24)"}[scheme]
    assert page.execute_script(LOW_CONTRAST) == []


def test_page_fits_the_width_of_a_phone(page: webdriver.Chrome) -> None:
    page.execute_script("for (const fold of document.querySelectorAll('details')) fold.open = true;")
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        assert page.execute_script("return document.documentElement.scrollWidth") == 390
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_screen_reader_finds_landmarks_headings_and_a_labelled_search(page: webdriver.Chrome) -> None:
    tree = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    found = {(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]}
    roles = {role for role, _ in found}
    assert {"main", "banner", "navigation", "heading", "list", "table"} <= roles
    assert ("searchbox", "Search fields, rules, tests") in found
    assert ("navigation", "Parts of the report") in found
    assert not [node for node in found if node[0] in ("link", "button", "DisclosureTriangle") and not node[1]]
