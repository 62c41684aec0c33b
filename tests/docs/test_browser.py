"""The site in a real browser, opened from disk: it shows itself, searches, and asks nobody for anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.test_browser import BROWSER, playwright, pytestmark  # noqa: F401 - the marks are this module's too


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield launched
        launched.close()


def test_start_page_and_search_work_from_disk_without_a_network(browser: playwright.Browser, site: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto((site / "index.html").as_uri())
    assert page.inner_text("h1").startswith("tosmooth")
    picture = page.query_selector("article img")
    assert picture is not None
    assert picture.evaluate("image => image.naturalWidth") > 300

    for typed, place in {"temperatures": ".html", "estimate_label_smoothing": "reference/library.html"}.items():
        page.fill("input.md-search__input", "")
        page.locator("input.md-search__input").press_sequentially(typed)
        page.wait_for_selector(f'.md-search-result__item a[href*="{place}"]', timeout=20_000)

    page.goto((site / "reference" / "configuration.html").as_uri())
    assert page.is_visible("text=student.temperatures")
    assert complaints == []
    assert all(url.startswith(("file:", "data:", "blob:", "about:")) for url in requests)
    page.close()


def test_on_a_phone_tables_scroll_and_the_page_does_not(browser: playwright.Browser, site: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    for name in ("index", "choosing-t", "comparison", "reference/configuration", "reference/library"):
        page.goto((site / f"{name}.html").as_uri())
        width = page.evaluate("document.scrollingElement.scrollWidth")
        assert width <= 390, name
    page.close()
