"""The page in a real browser, as somebody far from the community would open it: another zone, no network."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route

from pipelines.report.run import write_report
from pipelines.store import open_store

pytestmark = pytest.mark.browser


@dataclass
class Opened:
    page: Page
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def count(self, chart: str, marks: str) -> int:
        """Shapes that a chart drew in the mark group of this name."""
        return self.page.locator(f"[data-chart={chart}] [class*='{marks}_marks'] > *").count()


@contextlib.contextmanager
def opened_in(browser: Browser, folder: Path, day, **options) -> Iterator[Opened]:
    """Write a day, open its page and remember what the browser complains of or asks for."""
    store = open_store(f"sqlite:///{folder / 'slotfeed.sqlite'}")
    day.write(store)
    late = day.end + timedelta(hours=3)
    path = write_report(store, day.community, start=day.start, end=day.end, now=late, path=folder / "report.html")
    store.close()
    context = browser.new_context(timezone_id="America/New_York", locale="de-DE", **options)
    opened = Opened(context.new_page())

    def only_the_page(route: Route) -> None:
        opened.requests.append(route.request.url)
        if route.request.url == path.as_uri():
            route.continue_()
        else:
            route.abort()

    opened.page.route("**/*", only_the_page)
    opened.page.on("console", lambda message: opened.console.append(message.text))
    opened.page.on("pageerror", lambda error: opened.console.append(str(error)))
    opened.page.goto(path.as_uri())
    opened.page.wait_for_selector("html[data-drawn]", state="attached", timeout=60_000)
    yield opened
    assert opened.console == []
    assert opened.requests == [path.as_uri()]
    context.close()


@pytest.fixture(scope="module")
def opened(browser: Browser, make_real_day, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """The page of the day with its faults."""
    with opened_in(browser, tmp_path_factory.mktemp("page"), make_real_day()) as found:
        yield found


def test_charts_draw_every_slot_and_the_page_asks_for_nothing(opened: Opened) -> None:
    assert opened.console == []
    assert len(opened.requests) == 1
    assert opened.page.locator("[data-chart] svg").count() == 5
    # Of 3,600 slots, one differs; eight have no measured value and one half of one.
    assert opened.count("assets", "sent") == opened.count("assets", "exchange") == 3600
    assert opened.count("assets", "differs") == 1
    assert opened.count("community", "sent") == 200
    assert opened.count("coverage", "whole") == 3591
    assert opened.count("coverage", "partial") == 1
    assert opened.count("coverage", "missing") == 8


def test_the_doubled_hour_stands_twice_on_the_axis(opened: Opened) -> None:
    for chart in ("community", "coverage"):
        labels = opened.page.locator(f"[data-chart={chart}] .role-axis-label text").all_text_contents()
        assert "02:00CEST" in labels
        assert "02:00CET" in labels
        assert labels.index("02:00CEST") + 1 == labels.index("02:00CET") < labels.index("04:00")


def test_pointing_at_the_cross_tells_asset_time_and_both_values(opened: Opened) -> None:
    opened.page.locator("[data-chart=assets] [class*='differs_marks'] > *").hover()
    tip = opened.page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    text = tip.inner_text()
    assert "Flat 20" in text
    assert "Sun 30 Oct 02:15 CET" in text
    assert "777.5" in text


def test_the_discrepancy_can_be_seen_and_a_name_does_no_harm(opened: Opened, real_day) -> None:
    row = opened.page.locator("section[aria-labelledby=discrepancies] tbody tr")
    assert row.count() == 1
    assert row.is_visible()
    assert "Sun 30 Oct 2016 02:15 CET" in row.inner_text()
    assert opened.page.title() == "Sonnenhof: energy at the exchange"
    assert opened.page.locator("tbody th", has_text=real_day.community.assets[7].name).count() == 2
    assert opened.page.locator("b, img").count() == 0


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_sticks_out_sideways(opened: Opened, width: int) -> None:
    opened.page.set_viewport_size({"width": width, "height": 800})
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width


def test_a_dark_screen_gets_its_own_colours(opened: Opened) -> None:
    def ink() -> list[str]:
        return opened.page.evaluate(
            """["body", "[data-chart=community] .role-axis-label text"].map(
                (place) => { const style = getComputedStyle(document.querySelector(place));
                             return place === "body" ? style.backgroundColor : style.fill; })"""
        )

    opened.page.emulate_media(color_scheme="light")
    light = ink()
    opened.page.emulate_media(color_scheme="dark")
    dark = ink()
    opened.page.emulate_media(color_scheme="dark", media="print")
    on_paper = ink()
    opened.page.emulate_media(color_scheme="light", media="screen")
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    assert on_paper == ["rgb(255, 255, 255)", light[1]]


def test_an_asset_without_any_value_at_the_exchange_is_drawn(browser: Browser, make_day, tmp_path: Path) -> None:
    day = make_day(2)
    day.exchange = [row for row in day.exchange if row["asset_id"] == day.uuid(0)]
    with opened_in(browser, tmp_path, day) as found:
        assert found.count("assets", "sent") == 200
        visible = found.page.locator("[data-chart=assets] [class*='exchange_marks'] > [stroke-opacity='1']")
        assert visible.count() == 100


def test_an_empty_page_opens_quietly(browser: Browser, make_day, tmp_path: Path) -> None:
    day = make_day(3)
    for rows in (day.live, day.submissions, day.exchange, day.slots):
        rows.clear()
    with opened_in(browser, tmp_path, day) as found:
        assert "No asset is live yet" in found.page.inner_text("#verdict")
        assert found.page.locator("[data-chart]").count() == 0
