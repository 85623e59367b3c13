"""Write docs/report.png, a screenshot of an HTML report in headless Chromium: `tox run -e picture`."""

from __future__ import annotations

import datetime
import shutil
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from pytest_veeqo_alloc import build_order
from pytest_veeqo_alloc.coverage.collector import CoverageCounter
from pytest_veeqo_alloc.engine import Engine
from pytest_veeqo_alloc.reporting.report_file import build_run, save

PICTURE = Path(__file__).parents[1] / "docs" / "report.png"


def main() -> None:
    """Write a report with a few findings, open it and save the screenshot."""
    counted = CoverageCounter()
    contract = Engine().with_listener(counted)
    order = build_order()
    contract.check_body("response", order)
    contract.check_body("response", {**order, "colour": "red", "deliver_to": {**order["deliver_to"], "zip": None}})
    started = datetime.datetime(2026, 1, 31, 6, tzinfo=datetime.UTC)
    run = build_run(contract, counted.by_origin, "pytest 9.2.0", started, "1ad3173f" * 4)
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--window-size=1000,1560"):
        options.add_argument(argument)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "report.html")
        save(run.report, page)
        with webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver"))) as browser:
            browser.get(page.as_uri())
            browser.save_screenshot(str(PICTURE))


if __name__ == "__main__":
    main()
