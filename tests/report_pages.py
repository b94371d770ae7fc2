"""A report page of three systems, opened in a real browser."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import sync_playwright
from scoring import make_predictions, make_release

from mimecurate.evaluation.evaluate import build_report
from mimecurate.evaluation.predictions import Predictions
from mimecurate.evaluation.report_html import write_report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, ViewportSize

    from mimecurate.evaluation.report import Report

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
VIEWPORT: ViewportSize = {"width": 1280, "height": 900}
PAGE_CLIPS = 20
SET_BACK = """
() => {
  for (const form of document.forms) {
    form.reset();
    for (const control of form.elements) control.dispatchEvent(new Event("change"));
    form.dispatchEvent(new Event("input"));
  }
  view.form.elements.firstIs.value = "wrong";
  applyFilters();
}
"""


@dataclass
class Visits:
    """Opens pages and keeps what they ask for and complain of."""

    browser: Browser
    pages: list[Page] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __call__(self, path: Path, **options: Any) -> Page:
        options.setdefault("viewport", VIEWPORT)
        page = self.browser.new_page(**options)
        self.pages.append(page)
        page.set_default_timeout(20_000)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(path.as_uri())
        return page

    def check(self) -> None:
        """Fail if a page complained, or asked for anything but files."""
        complaints, requests = list(self.complaints), list(self.requests)
        self.complaints.clear()
        self.requests.clear()
        assert complaints == []
        assert [url for url in requests if not url.startswith("file:///")] == []

    def _hear(self, message: ConsoleMessage) -> None:
        self.complaints.append(f"{message.type}: {message.text}")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visits]:
    """Opens pages of their own."""
    visits = Visits(browser)
    yield visits
    for page in visits.pages:
        page.close()
    visits.check()


@pytest.fixture(scope="module")
def shared_page(browser: Browser, page_path: Path) -> tuple[Visits, Page]:
    visits = Visits(browser)
    return visits, visits(page_path)


@pytest.fixture
def page(shared_page: tuple[Visits, Page]) -> Iterator[Page]:
    """The report's page, which all tests of a module share; its forms are set back afterwards."""
    visits, page = shared_page
    yield page
    page.evaluate(SET_BACK)
    visits.check()


@pytest.fixture
def reloaded(page: Page) -> Iterator[None]:
    """Load the page anew afterwards: for tests that sort it, or move about in it."""
    yield
    page.reload()


@pytest.fixture(scope="module")
def report() -> Report:
    """Three systems: one misses clips, one is much better; some subsets are small."""
    release = make_release(160, videos=70, seed=3)
    a = make_predictions(release, "first <b>", ways=120, skill=1.5, seed=1)
    b = make_predictions(release, "second", ways=120, skill=4.0, seed=2)
    c = make_predictions(release, "third & last", ways=50, skill=2.0, seed=3)
    short = Predictions(c.name, c.clip_ids[12:], c.class_names, c.scores[12:])
    return build_report([a, b, short], release, resamples=200)


@pytest.fixture(scope="module")
def page_path(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("page") / "report.html"
    write_report(report, written)
    return written


def texts(cells: Locator) -> list[str]:
    return [text.strip() for text in cells.all_text_contents()]


def column(table: Locator, place: int) -> list[str]:
    """The texts of a column, visible rows only."""
    return texts(table.locator(f"tbody tr:visible > :nth-child({place})"))


def written(value: float | None, interval: tuple[float, float] | None = None) -> str:
    if value is None:
        return "–"  # noqa: RUF001
    text = f"{value:.1f}" + (f" [{interval[0]:.1f}, {interval[1]:.1f}]" if interval else "")
    return text.replace("-", "−")  # noqa: RUF001


def shown_clips(page: Page) -> list[str]:
    return texts(page.locator(".clip h3 code"))
