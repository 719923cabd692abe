"""Which rows the docs judge and which they show."""

from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from expectations.names import Suite
from pipelines.validate.docs import Judged
from pipelines.validate.docs.examples import Rows


class Definition:
    COLUMNS = ("energy_wh",)

    @staticmethod
    def suite() -> Any:
        raise AssertionError


def frame(rows: int, since: int = 0) -> pl.DataFrame:
    return pl.DataFrame({"energy_wh": [float(n) for n in range(since, since + rows)], "secret": ["x"] * rows})


def gathered(*parts: pl.DataFrame, at_most: int) -> Judged:
    judged = Judged(Suite.SLOT_ENERGY, Definition, rows_at_most=at_most)
    for part in parts:
        judged.add(part)
    return judged


def test_few_rows_are_all_kept_in_order_without_columns_that_nobody_sees() -> None:
    judged = gathered(frame(3), frame(2, since=3), at_most=5)
    assert judged.rows.to_dict(as_series=False) == {"energy_wh": [0.0, 1.0, 2.0, 3.0, 4.0]}
    assert judged.rows_in_period == 5


def test_of_many_rows_a_sample_is_kept_that_leaves_out_no_part_and_no_quarter_hour() -> None:
    parts = [frame(1000, since=1000 * n) for n in range(10)]
    judged = gathered(*parts, at_most=1000)
    kept = judged.rows["energy_wh"]
    assert judged.rows_in_period == 10_000
    assert kept.n_unique() == 1000
    assert kept.is_sorted()
    # A fair draw puts 100 rows in each part and 250 in each quarter hour; ten and fourteen are a standard deviation.
    assert all(60 < count < 140 for count in (kept // 1000).value_counts()["count"])
    assert all(190 < count < 310 for count in (kept % 4).value_counts()["count"])
    assert gathered(*parts, at_most=1000).rows.equals(judged.rows)


def test_a_suite_without_rows_has_its_columns() -> None:
    assert gathered(at_most=5).rows.shape == (0, 1)


def examples(frame: pl.DataFrame, numbers: list[int], **arguments: Any) -> Any:
    rows = Rows(frame=frame, asset_names={"a": "Flat A"}, zone=ZoneInfo("UTC"))
    return rows.examples(numbers, arguments)


def test_rows_of_many_assets_are_shown_and_the_assets_with_most_are_named() -> None:
    assets = ["a"] * 20 + ["b"] * 3 + [f"c{n}" for n in range(6)]
    numbers = list(range(len(assets)))
    found = examples(pl.DataFrame({"asset_id": assets, "energy_wh": numbers}), numbers, column="energy_wh")
    assert found.headings == ["Asset", "Energy (Wh)"]
    # Eight assets have a first row; then come second ones.
    assert [row[0] for row in found.rows] == ["Flat A", "Flat A", "b", "b", "c0", "c1", "c2", "c3", "c4", "c5"]
    assert found.by_asset == [("Flat A", 20), ("b", 3), ("c0", 1), ("c1", 1), ("c2", 1)]
    assert found.other_assets == 3


def test_a_row_is_shown_with_its_unit_and_without_bounds_that_nobody_set() -> None:
    limits = {"slot_covered": [0.5], "slot_covered_low": [0.9], "slot_covered_high": [None]}
    frame = pl.DataFrame({"value": [1500.0], "unit": ["Wh"], **limits})
    found = examples(frame, [0], column_list=list(limits))
    assert found.headings == ["Value", "Share of the slot that readings back", "Lowest good"]
    assert found.rows == [["1,500 Wh", "0.5", "0.9"]]
