from datetime import date, timedelta

import pytest

from pipelines.report.trend import comparison, day_sums, forecast_records
from pipelines.store import Store, insert_rows
from pipelines.store.quality_tables import ForecastChoiceRow, QualityDayRow
from tests.report.weeks import END, LAST_DAY, START, quality_day

ASSETS = ("a", "b")


def days_back(*back: int, asset_id: str = "a", **changed) -> list[dict]:
    return [quality_day(asset_id, LAST_DAY - timedelta(days=n), **changed) for n in back]


def keep(store: Store, days: list[dict], choices: list[dict] = ()) -> None:
    with store.writing() as connection:
        insert_rows(connection, QualityDayRow, days)
        insert_rows(connection, ForecastChoiceRow, list(choices))


def choice(asset_id: str, method: str, **errors: float) -> dict:
    return {
        "asset_id": asset_id, "method": method, "weights": {}, "mean_errors_wh": errors, "scored_slots": 100,
        "scored_from": START, "scored_until": END, "chosen_at": END, "run_id": "r",
    }  # fmt: skip


def test_days_are_sums_over_the_assets_asked_for(store: Store) -> None:
    keep(
        store,
        [
            *days_back(0, 1, slots_measured=90, slots_missing=4, flagged=3, energy_wh=10.0),
            *days_back(0, asset_id="b", slots_measured=80, slots_estimated=16, rejected=2, energy_wh=5.5),
            *days_back(0, asset_id="another's", slots_measured=1),
            # Twelve weeks, and not a day more.
            *days_back(83, 84),
        ],
    )
    with store.reading() as connection:
        found = day_sums(connection, ASSETS, until=LAST_DAY)
    assert list(found) == [LAST_DAY - timedelta(days=back) for back in (83, 1, 0)]
    last = found[LAST_DAY]
    assert (last.slots_expected, last.slots_measured, last.slots_estimated, last.slots_missing) == (192, 170, 16, 4)
    # Two slots are neither: measured in part, or provisional.
    assert last.slots_partly == 2
    assert (last.findings, last.energy_wh) == (5, pytest.approx(15.5))
    assert last.measured_share == pytest.approx(170 / 192)
    assert last.better_by == pytest.approx(1 - 1400 / 1800)
    with store.reading() as connection:
        assert list(day_sums(connection, ASSETS, until=LAST_DAY - timedelta(days=1)))[-1] == date(2026, 3, 10)


def test_the_last_day_stands_beside_the_one_before_and_weeks(sqlite_store: Store) -> None:
    keep(sqlite_store, days_back(*range(14)) + days_back(20))
    with sqlite_store.reading() as connection:
        columns = comparison(day_sums(connection, ASSETS, until=LAST_DAY))
    assert [(one.title, one.sums.slots_expected) for one in columns] == [
        ("Wed 11 Mar", 96),
        ("Tue 10 Mar", 96),
        ("Last 7 days", 7 * 96),
        ("The 7 days before", 7 * 96),
    ]


@pytest.mark.parametrize(
    ("back", "titles"),
    [
        ((), []),
        ((0,), ["Wed 11 Mar"]),
        ((0, 1, 2), ["Wed 11 Mar", "Tue 10 Mar", "Last 3 days"]),
        ((0, 5, 9), ["Wed 11 Mar", "Last 2 days", "The day before those"]),
    ],
)
def test_what_nothing_is_known_of_is_left_out(sqlite_store: Store, back: tuple[int, ...], titles: list[str]) -> None:
    keep(sqlite_store, days_back(*back))
    with sqlite_store.reading() as connection:
        columns = comparison(day_sums(connection, ASSETS, until=LAST_DAY))
    assert [one.title for one in columns] == titles


def test_forecasts_are_scored_over_a_fortnight_or_as_the_backtest_did(store: Store) -> None:
    keep(
        store,
        [
            *days_back(0, 13, forecast_error_wh=100.0, persistence_error_wh=400.0, forecast_slots=50),
            *days_back(14, forecast_error_wh=9000.0),
            *days_back(0, asset_id="b", forecast_slots=0, forecast_error_wh=0.0, persistence_error_wh=0.0),
        ],
        [choice("a", "blend", blend=1.0, persistence=2.0), choice("b", "model", model=6.0, persistence=5.0)],
    )
    with store.reading() as connection:
        found = forecast_records(connection, ASSETS, until=LAST_DAY)
    a, b = found["a"], found["b"]
    assert (a.method, a.slots, a.error_wh, a.better_by) == ("blend", 100, 200.0, pytest.approx(0.75))
    assert (b.method, b.slots, b.error_wh, b.better_by) == ("model", 100, 600.0, pytest.approx(-0.2))
