"""The report in a real browser: it draws, sorts, fits a phone, follows the colour scheme, and fetches nothing."""

from __future__ import annotations

import os
import re
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

    def unfold(self) -> None:
        """Open every fold, and wait for the charts in them."""
        self.page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
        self.page.wait_for_function("[...document.querySelectorAll('[data-chart]')].every(c => c.querySelector('svg'))")
        self.page.wait_for_selector("html:not([data-charts='drawing'])")

    def assert_every_chart_is_drawn(self) -> None:
        self.unfold()
        charts = self.page.query_selector_all("[data-chart]")
        assert len(charts) == 7
        for chart in charts:
            drawing = chart.query_selector("svg")
            assert drawing is not None, chart.get_attribute("data-chart")
            box = drawing.bounding_box()
            assert box is not None
            assert box["width"] > 150
            assert box["height"] > 60
            assert chart.query_selector_all("svg path"), chart.get_attribute("data-chart")
        assert not self.page.query_selector_all("figure.failed")


def test_opens_without_errors_or_requests_sorts_and_saves(browser: playwright.Browser, effect_study: Path) -> None:
    visit = Visit(browser, effect_study)
    assert visit.complaints == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in visit.requests)
    assert "Distil at T = 1" in " ".join(visit.page.inner_text("h1").split())
    first_screen = visit.page.query_selector('[data-chart="accuracy"]').bounding_box()
    assert first_screen["y"] + first_screen["height"] < 800
    assert not visit.page.query_selector_all("details[open]")
    assert not visit.page.query_selector_all("details [data-chart] svg")  # they have no width yet
    visit.assert_every_chart_is_drawn()
    assert visit.complaints == []
    sorts_a_table_by_click_and_keyboard(visit)
    with visit.page.expect_download() as download:
        visit.page.click('[data-save="svg"][data-key="accuracy"]')
    assert download.value.suggested_filename == "accuracy.svg"
    assert "<svg" in Path(download.value.path()).read_text(encoding="utf-8")
    visit.page.close()


def sorts_a_table_by_click_and_keyboard(visit: Visit) -> None:
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


def test_hostile_names_do_nothing_and_a_preview_is_printed_as_one(
    browser: playwright.Browser, hostile_study: Path
) -> None:
    visit = Visit(browser, hostile_study)
    assert visit.complaints == []
    visit.assert_every_chart_is_drawn()
    assert visit.page.inner_text(".banner").startswith("PREVIEW")
    visit.page.evaluate("window.scrollTo(0, 3000)")
    assert visit.page.query_selector(".banner").bounding_box()["y"] == 0  # sticks to the top
    visit.page.emulate_media(media="print")
    assert not any(chart.is_visible() for chart in visit.page.query_selector_all("[data-chart]"))
    assert all(image.is_visible() for image in visit.page.query_selector_all("img.static"))
    # A header group is repeated on every printed page.
    assert visit.page.evaluate("getComputedStyle(document.querySelector('.banner')).display") == "table-header-group"
    visit.page.close()


# Texts that are set in a column of a few letters.
SYLLABLES = """() => [...document.querySelectorAll("p, dt, dd, li, th, td, summary, figcaption, h1, h2, h3, h4")]
    .filter(e => e.checkVisibility() && e.clientWidth < 90 && e.innerText.length > 20)
    .filter(e => e.clientHeight > 4 * parseFloat(getComputedStyle(e).fontSize))
    .map(e => `${e.tagName} ${e.innerText.slice(0, 60)}`)"""
TOO_WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.mark.parametrize("study", ["effect_study", "hostile_study"])
def test_fits_a_phone(browser: playwright.Browser, study: str, request: pytest.FixtureRequest) -> None:
    visit = Visit(browser, request.getfixturevalue(study), width=390)
    assert visit.page.evaluate("document.documentElement.clientWidth") == 390
    assert not visit.page.evaluate(TOO_WIDE)
    assert visit.page.evaluate(SYLLABLES) == []
    visit.assert_every_chart_is_drawn()
    assert not visit.page.evaluate(TOO_WIDE)
    assert visit.page.evaluate(SYLLABLES) == []
    # A wide figure scrolls inside its own box.
    assert visit.page.evaluate("document.querySelector('#figure-projection .scroll').scrollWidth") > 390
    visit.page.close()


def test_a_term_explains_itself_on_a_tap_and_with_the_keyboard(browser: playwright.Browser, effect_study: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto((effect_study / "report.html").as_uri())
    page.wait_for_selector('html[data-charts="light"]')
    shown = "getComputedStyle(document.querySelector('h1 abbr'), '::after').content"
    assert page.evaluate(shown) == "none"
    page.tap("h1 abbr")
    assert page.evaluate(shown).startswith('"Label smoothing')
    assert not page.evaluate(TOO_WIDE)
    page.keyboard.press("Escape")
    assert page.evaluate(shown) == "none"
    page.focus("h1 abbr")
    assert page.evaluate(shown).startswith('"Label smoothing')
    context.close()


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


def test_prints_on_eight_pages_with_the_chart_on_the_first(browser: playwright.Browser, effect_study: Path) -> None:
    visit = Visit(browser, effect_study)
    printed = visit.page.pdf(format="A4", prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) <= 8
    visit.page.set_viewport_size({"width": 680, "height": 1017})  # what the margins leave of A4, at 96 dots per inch
    visit.page.emulate_media(media="print")
    chart = visit.page.query_selector("#verdict img.static").bounding_box()
    assert chart["width"] > 250
    assert chart["y"] + chart["height"] < 1017
    assert visit.page.query_selector("#fold-grid summary").is_visible()
    assert not visit.page.query_selector("#table-grid").is_visible()
    visit.page.close()


def test_without_javascript_the_static_figures_stand_in(browser: playwright.Browser, effect_study: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((effect_study / "report.html").as_uri())
    assert all(image.is_visible() for image in page.query_selector_all("img.static:not(details img)"))
    page.click("#fold-classes summary")
    assert page.is_visible("#figure-classes img.static")
    context.close()
