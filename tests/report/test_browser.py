"""The report in a real browser: it draws, sorts, fits a phone, follows the colour scheme, and fetches nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.sync_api")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next((p for n in NAMES if (p := shutil.which(n))), None)
pytestmark = [
    pytest.mark.browser,
    # Continuous integration sets the variable: there a missing browser must fail, not skip.
    pytest.mark.skipif(
        BROWSER is None and "TOSMOOTH_REQUIRE_BROWSER" not in os.environ, reason=f"none of {NAMES} on the PATH"
    ),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield launched
        launched.close()


class Visit:
    """A page opened from disk, with everything it complained about or asked for."""

    def __init__(self, browser: playwright.Browser, study: Path, *, width: int = 1280, scheme: str = "light") -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type in {"error", "warning"} else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto((study / "report.html").as_uri())
        self.page.wait_for_selector(f'html[data-charts="{scheme}"]', timeout=30_000)

    def assert_every_chart_is_drawn(self) -> None:
        charts = self.page.query_selector_all("[data-chart]")
        assert len(charts) == 6
        for chart in charts:
            drawing = chart.query_selector("svg")
            assert drawing is not None, chart.get_attribute("data-chart")
            box = drawing.bounding_box()
            assert box is not None
            assert box["width"] > 150
            assert box["height"] > 60
            assert chart.query_selector_all("svg path"), chart.get_attribute("data-chart")
        assert not self.page.query_selector_all("figure.failed")


def test_opens_without_errors_or_requests(browser: playwright.Browser, effect_study: Path) -> None:
    visit = Visit(browser, effect_study)
    assert visit.complaints == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in visit.requests)
    assert "smooth the teacher" in visit.page.inner_text("h1")
    visit.assert_every_chart_is_drawn()
    first_screen = visit.page.query_selector('[data-chart="accuracy"]').bounding_box()
    assert first_screen["y"] + first_screen["height"] < 800
    visit.page.close()


def test_hostile_names_do_nothing(browser: playwright.Browser, hostile_study: Path) -> None:
    visit = Visit(browser, hostile_study)
    assert visit.complaints == []
    visit.assert_every_chart_is_drawn()
    assert visit.page.inner_text(".banner").startswith("PREVIEW")
    visit.page.evaluate("window.scrollTo(0, 3000)")
    assert visit.page.query_selector(".banner").bounding_box()["y"] == 0  # sticks to the top
    visit.page.close()


def test_a_click_and_the_keyboard_sort_a_table(browser: playwright.Browser, effect_study: Path) -> None:
    visit = Visit(browser, effect_study)
    heading = visit.page.locator("#table-grid th", has_text="test top-1")
    column = heading.evaluate("th => th.cellIndex")

    def values() -> list[float]:
        cells = visit.page.locator(f"#table-grid tbody td:nth-child({column + 1})").all_inner_texts()
        return [float(text) for text in cells]

    unsorted = values()
    assert unsorted != sorted(unsorted)
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(unsorted)
    heading.locator("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert values() == sorted(unsorted, reverse=True)
    visit.page.locator("#table-grid th button").first.click()
    assert heading.get_attribute("aria-sort") is None
    visit.page.close()


def test_fits_a_phone(browser: playwright.Browser, hostile_study: Path) -> None:
    visit = Visit(browser, hostile_study, width=390)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    visit.assert_every_chart_is_drawn()
    # A wide figure scrolls inside its own box.
    assert visit.page.evaluate("document.querySelector('#figure-projection .scroll').scrollWidth") > 390
    visit.page.close()


def test_follows_the_colour_scheme(browser: playwright.Browser, effect_study: Path) -> None:
    visit = Visit(browser, effect_study, scheme="dark")
    background = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(20, 20, 21)"
    assert visit.page.locator('[data-chart="accuracy"] [stroke="#5CB5EF"]').count() > 0
    visit.page.emulate_media(color_scheme="light")
    visit.page.wait_for_selector('html[data-charts="light"]')
    assert visit.page.locator('[data-chart="accuracy"] [stroke="#0072B2"]').count() > 0
    assert visit.page.locator('[data-chart="accuracy"] [stroke="#5CB5EF"]').count() == 0
    assert visit.complaints == []
    visit.page.close()


def test_a_figure_can_be_saved(browser: playwright.Browser, effect_study: Path) -> None:
    visit = Visit(browser, effect_study)
    with visit.page.expect_download() as download:
        visit.page.click('[data-save="svg"][data-key="accuracy"]')
    assert download.value.suggested_filename == "accuracy.svg"
    assert "<svg" in Path(download.value.path()).read_text(encoding="utf-8")
    visit.page.close()


def test_prints_the_static_figures_and_the_preview_note(browser: playwright.Browser, hostile_study: Path) -> None:
    visit = Visit(browser, hostile_study)
    visit.page.emulate_media(media="print")
    assert not any(chart.is_visible() for chart in visit.page.query_selector_all("[data-chart]"))
    assert all(image.is_visible() for image in visit.page.query_selector_all("img.static"))
    # A header group is repeated on every printed page.
    assert visit.page.evaluate("getComputedStyle(document.querySelector('.banner')).display") == "table-header-group"
    visit.page.close()


def test_without_javascript_the_static_figures_stand_in(browser: playwright.Browser, effect_study: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((effect_study / "report.html").as_uri())
    assert all(image.is_visible() for image in page.query_selector_all("img.static"))
    context.close()
