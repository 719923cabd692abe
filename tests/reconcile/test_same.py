"""When two energies are the same."""

import math

import polars as pl
import pytest

from pipelines.reconcile.same import matches


@pytest.mark.parametrize(
    ("left_wh", "right_wh", "same"),
    [
        (100.0, 100.02, True),
        (100.0, 100.021, False),
        (1e6, 1e6 + 0.9, True),
        (1e6, 1e6 + 1.1, False),
        (0.0, -0.02, True),
        (None, None, False),
        (None, 0.0, False),
        (math.nan, math.nan, False),
        (math.nan, 5.0, False),
        (math.inf, math.inf, False),
        (math.inf, 5.0, False),
    ],
)
def test_numbers_near_each_other_are_the_same_and_nothing_else_is(
    left_wh: float | None, right_wh: float | None, same: bool
) -> None:
    frame = pl.DataFrame({"a": [left_wh], "b": [right_wh]}, schema={"a": pl.Float64(), "b": pl.Float64()})
    assert frame.select(matches("a", "b")).item() is same
    assert frame.select(matches("b", "a")).item() is same
