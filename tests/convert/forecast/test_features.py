from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from pipelines.community import AssetType
from pipelines.convert.forecast.calendar_facts import Calendar, slot_facts
from pipelines.convert.forecast.features import FEATURES, TYPES, features
from pipelines.convert.forecast.windows import Grid, windows
from tests.convert.forecast.helpers import BERLIN, QUARTER, grid_from, us

START = datetime(2016, 6, 1, tzinfo=UTC)


def told(
    values: list[float | None], slot: int, *, full_wh: float = 100.0, late: int = 0, calendar: Calendar = BERLIN
) -> dict[str, float]:
    """What the model is told of slot number `slot`, had the newest `late` slots not come yet."""
    grid = grid_from({"a": values}, START, calendar.length)
    facts = slot_facts(np.array([us(START + slot * calendar.length)]), calendar)
    seen = windows(grid, facts, np.array([0]), calendar).as_if_late(np.array([late]))
    table = features(seen, facts, full_wh=np.array([full_wh]), types=np.array([1]), calendar=calendar)
    return dict(zip(FEATURES, table[0].tolist(), strict=True))


def test_energies_are_shares_of_rated_power() -> None:
    values = [float(number % 50) for number in range(8 * 96)]
    small = told(values, 760, full_wh=64.0)
    big = told([v * 1024.0 for v in values], 760, full_wh=64.0 * 1024)
    assert big == small
    assert small["recent_0"] == pytest.approx((758 % 50) / 64)
    assert small["yesterday_same"] == pytest.approx((760 - 96) % 50 / 64)
    assert small["last_week_2_after"] == pytest.approx((760 - 672 + 2) % 50 / 64)
    assert small["mean_hour"] == pytest.approx(np.mean([v % 50 for v in range(755, 759)]) / 64)


def test_how_long_the_present_state_has_lasted_and_the_one_before() -> None:
    values: list[float | None] = [0.0] * 200
    values[150:170] = [90.0] * 20
    on = told(values, 165)
    assert (on["run"], on["run_before"]) == (14.0, 82.0), "150 to 163; before, all that is looked at"
    off = told(values, 180)
    assert (off["run"], off["run_before"]) == (9.0, 20.0)
    assert off["share_on"] == pytest.approx(20 / 96)
    # What has not come yet is taken to be as the newest that has: 10 slots of which 3 are not known.
    assert told(values, 165, late=3)["run"] == 14.0


def test_late_values_are_missing_and_tell_their_age() -> None:
    values = [float(number) for number in range(200)]
    found = told(values, 150, late=2)
    assert np.isnan([found["recent_0"], found["recent_1"]]).all()
    assert found["age"] == 2
    assert found["newest"] == pytest.approx(1.46)


def test_an_asset_that_never_does_anything_has_finite_features() -> None:
    found = told([0.0] * (8 * 96), 8 * 96)
    assert np.isfinite(list(found.values())).all()
    assert (found["run"], found["run_before"], found["highest_recent"]) == (96.0, 0.0, 0.0)


def test_an_asset_without_history_has_only_the_calendar() -> None:
    found = told([None] * 10, 10)
    known = {name for name, value in found.items() if np.isfinite(value)}
    assert {"minute", "weekday", "day_type", "sun", "asset_type"} <= known
    assert not {"newest", "mean_hour", "mean_recent", "yesterday_same", "mean_days", "highest_days"} & known


def test_each_row_is_told_alike_alone_and_among_others() -> None:
    random = np.random.default_rng(3)
    energies = random.random((8 * 96, 50)) * 100
    energies[random.random(energies.shape) < 0.1] = np.nan
    grid = Grid(
        first_us=us(START),
        length_us=900_000_000,
        asset_ids=[str(n) for n in range(50)],
        energy_wh=energies,
        rank=np.zeros(energies.shape, dtype=np.int8),
    )
    facts = slot_facts(np.array([us(START + 760 * QUARTER)]), BERLIN)

    def table(columns: list[int]) -> np.ndarray:
        some, many = np.array(columns), facts.take(np.zeros(len(columns), dtype=np.int64))
        seen = windows(grid, many, some, BERLIN)
        return features(seen, many, full_wh=np.full(len(some), 77.0), types=some % 4, calendar=BERLIN)

    together = table(list(range(50)))
    for number in range(50):
        np.testing.assert_array_equal(together[[number]], table([number]))


@pytest.mark.parametrize("minutes", [1, 5, 30, 60])
def test_other_slot_lengths_have_the_same_features(minutes: int) -> None:
    calendar = Calendar(length=timedelta(minutes=minutes), zone="Europe/Berlin", holidays_of=None, place=BERLIN.place)
    count = timedelta(days=8) // calendar.length
    found = told([float(n % 7) for n in range(count)], count, calendar=calendar)
    assert list(found) == list(FEATURES)
    assert found["newest"] == pytest.approx((count - 2) % 7 / 100)
    assert found["yesterday_same"] == pytest.approx((count - timedelta(days=1) // calendar.length) % 7 / 100)


def test_every_type_of_asset_has_its_number() -> None:
    assert set(TYPES) == set(AssetType)
