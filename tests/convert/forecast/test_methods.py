from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from pipelines.community import ForecastMethod
from pipelines.convert.forecast.calendar_facts import slot_facts
from pipelines.convert.forecast.methods import PARTS, blended, fit_weights, simple, weights_row
from pipelines.convert.forecast.windows import windows
from tests.convert.forecast.helpers import BERLIN, QUARTER, grid_from, us

START = datetime(2016, 6, 1, tzinfo=UTC)
WEEK = 7 * 96
M = ForecastMethod


def forecasts(values: list[float | None], *slots: int) -> dict[ForecastMethod, list[float]]:
    """Of the slots with these numbers; energies are known from the first slot on."""
    instants = np.array([us(START + slot * QUARTER) for slot in slots])
    seen = windows(
        grid_from({"a": values}, START), slot_facts(instants, BERLIN), np.zeros(len(slots), dtype=np.int64), BERLIN
    )
    return {method: found.tolist() for method, found in simple(seen).items()}


def test_each_method_repeats_its_slot() -> None:
    values = [float(number) for number in range(WEEK + 10)]
    slot = WEEK + 5
    assert forecasts(values, slot) == {
        M.PERSISTENCE: [slot - 2.0],
        M.YESTERDAY: [slot - 96.0],
        M.LAST_WEEK: [slot - 672.0],
    }


def test_persistence_takes_the_newest_measured_of_two_hours() -> None:
    values: list[float | None] = [float(number) for number in range(40)]
    values[36:39] = [None] * 3
    found = forecasts(values, 40, 43, 44)[M.PERSISTENCE]
    # Slot 40: 38 to 36 are missing. Slot 43: 39 is four slots before. Slot 44: the same, five slots before.
    assert found == [35.0, 39.0, 39.0]
    assert np.isnan(forecasts(values[:36], 44)[M.PERSISTENCE]).all(), "35 began more than two hours before"
    assert forecasts(values[:36], 43)[M.PERSISTENCE] == [35.0]


def test_what_was_not_measured_is_not_foretold() -> None:
    found = forecasts([1.0] * 50, 50)
    assert np.isnan(found[M.YESTERDAY]).all()
    assert np.isnan(found[M.LAST_WEEK]).all()


PARTS_WH = {
    M.PERSISTENCE: np.array([100.0, 100.0, np.nan, np.nan]),
    M.YESTERDAY: np.array([50.0, np.nan, 50.0, np.nan]),
    M.LAST_WEEK: np.array([20.0, 20.0, np.nan, np.nan]),
}


def test_a_blend_is_the_weighted_mean_of_what_is_there() -> None:
    found = blended(PARTS_WH, np.array([0.5, 0.3, 0.2]))
    expected = [0.5 * 100 + 0.3 * 50 + 0.2 * 20, (0.5 * 100 + 0.2 * 20) / 0.7, 50.0]
    assert found[:3] == pytest.approx(expected)
    assert np.isnan(found[3])


def test_a_part_without_weight_makes_no_blend() -> None:
    assert np.isnan(blended(PARTS_WH, np.array([1.0, 0.0, 0.0]))[2])


def test_weights_find_the_mixture_that_made_the_values() -> None:
    random = np.random.default_rng(1)
    parts = {part: random.random(500) * 100 for part in PARTS}
    actual = 0.2 * parts[M.PERSISTENCE] + 0.7 * parts[M.YESTERDAY] + 0.1 * parts[M.LAST_WEEK]
    assert fit_weights(parts, actual) == {M.PERSISTENCE: 0.2, M.YESTERDAY: 0.7, M.LAST_WEEK: 0.1}


def test_without_data_and_among_equals_the_weight_is_persistences() -> None:
    nothing = {part: np.array([]) for part in PARTS}
    same = {part: np.full(50, 7.0) for part in PARTS}
    everything = {M.PERSISTENCE: 1.0, M.YESTERDAY: 0.0, M.LAST_WEEK: 0.0}
    assert fit_weights(nothing, np.array([])) == everything
    assert fit_weights(same, np.full(50, 7.0)) == everything


def test_stored_weights_come_back_in_order() -> None:
    assert weights_row({"last_week": 0.25, "persistence": 0.75}).tolist() == [0.75, 0.0, 0.25]


def test_yesterday_by_the_wall_clock_over_the_spring_night() -> None:
    start = datetime(2016, 3, 25, 23, tzinfo=UTC)
    values = [float(number) for number in range(4 * 96)]
    # Noon in Berlin of the 27th; a day before, the same local time lies 23 hours back.
    noon = datetime(2016, 3, 27, 10, tzinfo=UTC)
    seen = windows(grid_from({"a": values}, start), slot_facts(np.array([us(noon)]), BERLIN), np.array([0]), BERLIN)
    expected = (noon - timedelta(hours=23) - start) / QUARTER
    assert simple(seen)[M.YESTERDAY].tolist() == [expected]
