"""The page's charts, drawn by a real browser."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from pipelines.report.run import write_report
from pipelines.store import open_store
from tests.report.browsing import Opened, opened_in

pytestmark = pytest.mark.browser


def written(folder: Path, day) -> Path:
    store = open_store(f"sqlite:///{folder / 'slotfeed.sqlite'}")
    day.write(store)
    late = day.end + timedelta(hours=3)
    path = write_report(store, day.community, start=day.start, end=day.end, now=late, path=folder / "report.html")
    store.close()
    return path


@pytest.fixture(scope="module")
def autumn(browser: Browser, make_real_day, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """The page of a day of 25 hours with its faults."""
    with opened_in(browser, written(tmp_path_factory.mktemp("page"), make_real_day())) as found:
        yield found


@pytest.fixture(scope="module")
def opened(browser: Browser, weeks_page: Path) -> Iterator[Opened]:
    """The page of two days with all that goes wrong, and eight weeks before."""
    with opened_in(browser, weeks_page) as found:
        yield found


def test_the_map_shows_how_well_each_slot_is_known(opened: Opened) -> None:
    # A stretch of slots known as well as each other is one shape; what they are is told in tests.report.weeks.
    by_grade = {grade: opened.count("map", "grades", f"grade-{grade}") for grade in range(6)}
    # Of Flat 13, 15, 28 and 30 what isn't simply measured; measured before and, but for 13, behind it.
    assert by_grade == {0: 32 + 1 + 3 * 2, 1: 1, 2: 1, 3: 1, 4: 1, 5: 2}
    silent = opened.page.locator("[data-chart=map] [class*=grades_marks] > [fill='url(#grade-5)']").first.bounding_box()
    slot = opened.page.locator("[data-chart=map] [class*=grades_marks] > [fill='url(#grade-2)']").bounding_box()
    assert silent is not None
    assert slot is not None
    assert silent["width"] / slot["width"] == pytest.approx(124 / 12, rel=0.02)


def test_each_asset_has_its_chart_with_grades_exchange_forecast_and_coverage(opened: Opened) -> None:
    page = opened.page
    named = page.get_by_role("heading", name="Flat 15", exact=True, include_hidden=True)
    chart = page.locator("details.asset", has=named).locator("[data-chart=asset]")
    fills = [chart.locator(f"[class*=grades_marks] > [fill='url(#grade-{grade})']").count() for grade in range(6)]
    assert fills == [128, 0, 12, 8, 0, 0]
    assert chart.locator("[class*=missing_marks] > *").count() == 1
    assert chart.locator("[class*=covered_marks] > *").count() == 152
    assert chart.locator("[class*=exchange_marks] > [stroke-opacity='1']").count() == 152
    assert chart.locator("[class*=sent_marks] > [stroke-opacity='1']").count() == 152
    differing = page.locator("details.asset", has=page.get_by_role("heading", name="Flat 20", exact=True))
    assert differing.locator("[class*=differs_marks] > *").count() == 3
    # Of the silent one nothing was sent any more after some hours, and that isn't drawn as nought.
    silent = page.locator("#asset-0 [data-chart=asset]")
    assert silent.locator("[class*=sent_marks] > [stroke-opacity='1']").count() == 38
    assert page.locator("[data-chart=asset] svg").count() == 36


def test_weeks_are_drawn_day_by_day(opened: Opened) -> None:
    assert opened.count("trend-exchange", "unequal") == 56
    assert opened.count("trend-forecast", "forecastpoint") == opened.count("trend-forecast", "persistencepoint") == 56
    estimated = opened.page.locator("[data-chart=trend-slots] [class*=stacked_marks] > [fill='url(#grade-3)']")
    assert estimated.count() == 56
    labels = opened.page.locator("[data-chart=trend-slots] .role-axis-label text").all_text_contents()
    assert "11 Mar" in labels


def test_the_doubled_hour_stands_twice_on_the_axis(autumn: Opened) -> None:
    for chart in ("community-loads", "map"):
        labels = autumn.page.locator(f"[data-chart={chart}] .role-axis-label text").all_text_contents()
        assert "02:00CEST" in labels
        assert "02:00CET" in labels
        assert labels.index("02:00CEST") + 1 == labels.index("02:00CET") < labels.index("04:00")
    assert autumn.count("community-loads", "known") == autumn.count("community-pv", "known") == 100


def test_pointing_at_the_cross_tells_time_and_both_values(autumn: Opened) -> None:
    cross = autumn.page.locator("[data-chart=asset] [class*=differs_marks] > *")
    details = autumn.page.locator("details.asset", has=autumn.page.locator("[class*=differs_marks] > *"))
    if details.get_attribute("open") is None:
        details.locator("summary").click()
    cross.hover()
    tip = autumn.page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    text = tip.inner_text()
    assert "Sun 30 Oct 02:15 CET" in text
    assert "777.5 Wh" in text
    assert "none" in text


def test_the_discrepancy_can_be_seen_and_a_name_does_no_harm(autumn: Opened, real_day) -> None:
    row = autumn.page.locator("section[aria-labelledby=discrepancies] tbody tr")
    assert row.count() == 1
    assert row.is_visible()
    assert "Sun 30 Oct 2016 02:15 CET" in row.inner_text()
    assert autumn.page.title() == "Sonnenhof: data quality"
    name = real_day.community.assets[7].name
    assert autumn.page.locator("tbody th", has_text=name).count() == 2
    assert autumn.page.get_by_role("heading", name=name, include_hidden=True).count() >= 1
    assert autumn.page.locator("b, img").count() == 0


def test_an_asset_without_any_value_at_the_exchange_is_drawn(browser: Browser, make_day, tmp_path: Path) -> None:
    day = make_day(2)
    day.exchange = [row for row in day.exchange if row["asset_id"] == day.uuid(0)]
    with opened_in(browser, written(tmp_path, day)) as found:
        assert found.page.locator("[data-chart=asset] [class*=exchange_marks] > [stroke-opacity='1']").count() == 100
        assert found.page.locator("[data-chart=asset] [class*=exchange_marks] > [stroke-opacity='0']").count() == 100


@pytest.mark.parametrize("days", [1, 3])
def test_few_days_are_a_trend_already(
    browser: Browser, few_days_page: Callable[[Path, int], Path], tmp_path: Path, days: int
) -> None:
    with opened_in(browser, few_days_page(tmp_path, days)) as found:
        bars = found.page.locator("[data-chart=trend-exchange] [class*=unequal_marks] > *")
        assert bars.count() == days
        whole = found.page.locator("[data-chart=trend-exchange] svg").bounding_box()
        bar = bars.first.bounding_box()
        # A bar of a fortnight, not a wall.
        assert whole is not None
        assert bar is not None
        assert bar["width"] < whole["width"] / 10


def test_an_empty_page_opens_quietly(browser: Browser, make_day, tmp_path: Path) -> None:
    day = make_day(3)
    for rows in (day.live, day.submissions, day.exchange, day.slots):
        rows.clear()
    with opened_in(browser, written(tmp_path, day)) as found:
        assert "No asset is live yet" in found.page.inner_text("#verdict")
        assert found.page.locator("[data-chart]").count() == 0
