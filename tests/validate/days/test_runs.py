from collections.abc import Callable
from datetime import timedelta

import polars as pl
import pytest

from pipelines.validate.days.runs import with_runs

SLOT = timedelta(minutes=15)
Series = Callable[..., pl.DataFrame]


def test_zeros_count_on_until_there_is_energy_or_nothing_is_known(series: Series) -> None:
    found = with_runs(series([0.0, 0.0, 5.0, 0.0, None, 0.0, 0.0]), slot_length=SLOT)
    assert found["zero_run"].to_list() == [0.25, 0.5, None, 0.25, None, 0.25, 0.5]


def test_nights_of_pv_neither_count_nor_end_a_run(series: Series) -> None:
    counts = [True, True, False, False, True, True]
    found = with_runs(series([3.0, 0.0, 0.0, 9.0, 0.0, 0.0], counts=counts), slot_length=SLOT)
    assert found["zero_run"].to_list() == [None, 0.25, None, None, 0.5, 0.75]


def test_equal_energies_in_a_row(series: Series) -> None:
    # 200 Wh are 8 % of the rating; 100 Wh, 4 %, are too little to tell.
    energies = [200.0, 200.0, 200.0001, 201.0, 201.0, 100.0, 100.0, 0.0, 0.0]
    found = with_runs(series(energies), slot_length=SLOT)
    assert found["stale_run"].to_list() == [None, 2.0, 3.0, None, 2.0, None, None, None, None]


def test_what_was_spread_evenly_is_not_stale(series: Series) -> None:
    quality = ["MEASURED", "SUBSTITUTED", "SUBSTITUTED", "MEASURED"]
    found = with_runs(series([200.0] * 4, quality=quality), slot_length=SLOT)
    assert found["stale_run"].null_count() == 4


def test_substitutes_without_a_break(series: Series) -> None:
    quality = ["ESTIMATED", "ESTIMATED", "SUBSTITUTED", "SUBSTITUTED", "MEASURED", "ESTIMATED"]
    method = ["like_day", "like_day", "like_day_scaled", "interpolated", "interval", "like_day"]
    found = with_runs(series([5.0] * 6, quality=quality, method=method), slot_length=SLOT)
    days = [None if value is None else round(96 * value) for value in found["estimated_run"]]
    assert days == [1, 2, 3, None, None, 1]


def test_jump_is_between_neighbours_that_were_measured(series: Series) -> None:
    quality = ["MEASURED", "MEASURED", None, "MEASURED", "ESTIMATED", "MEASURED"]
    found = with_runs(series([0.0, 2_500.0, None, 0.0, 2_500.0, 0.0], quality=quality), slot_length=SLOT)
    assert found["demand_jump"].to_list() == [None, 1.0, None, None, None, None]


def test_jump_of_what_a_register_spread_counts_and_that_of_half_a_slot_doesnt(series: Series) -> None:
    quality = ["MEASURED", "SUBSTITUTED", "MEASURED"]
    found = with_runs(series([0.0, 1_250.0, 0.0], quality=quality, coverage=[1.0, 1.0, 0.5]), slot_length=SLOT)
    assert found["demand_jump"].to_list() == [None, 0.5, None]


def test_each_asset_has_its_own_runs(series: Series) -> None:
    two = series([0.0] * 4).with_columns(asset_id=pl.Series(["a", "a", "b", "b"]))
    assert with_runs(two, slot_length=SLOT)["zero_run"].to_list() == pytest.approx([0.25, 0.5, 0.25, 0.5])
