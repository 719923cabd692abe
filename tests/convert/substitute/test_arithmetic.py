"""What must hold of any gap: sums stay, nothing falls below zero, measured parts are untouched."""

from datetime import timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.convert.substitute.check_registers import CHECK, scale, split
from pipelines.convert.substitute.holes import STRETCH, cut, holes
from pipelines.convert.substitute.like_days import good_history
from pipelines.convert.substitute.lines import line_wh, with_lines
from pipelines.convert.substitute.spread import spread

SLOT_US = 900_000_000
MINUTE_US = 60_000_000
ENERGY = st.one_of(st.none(), st.floats(0, 1e6), st.just(0.0))


def stretches(*rows: tuple[str, int, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [(unit, number, t0, t1, True) for number, (unit, t0, t1) in enumerate(rows)], schema=STRETCH, orient="row"
    )


@settings(deadline=None, max_examples=60)
@given(
    begin=st.integers(0, 3 * SLOT_US),
    length=st.integers(1, 40 * SLOT_US),
    energy=st.floats(0, 1e9),
    likes=st.lists(ENERGY, min_size=45, max_size=45),
)
def test_spreading_a_span_anew_conserves_its_energy(
    begin: int, length: int, energy: float, likes: list[float | None]
) -> None:
    pieces = cut(stretches(("u", begin, begin + length)), slot_us=SLOT_US).with_columns(energy_wh=pl.lit(energy))
    assert (pieces["b"] - pieces["a"]).sum() == length
    told = pl.DataFrame({"slot": range(45), "like_wh": likes}, schema={"slot": pl.Int64(), "like_wh": pl.Float64()})
    found = spread(pieces.join(told, on="slot", how="left"), slot_us=SLOT_US)
    inside = [likes[slot] for slot in pieces["slot"]]
    assert found.is_empty() == (sum(value or 0.0 for value in inside) == 0)
    if not found.is_empty():
        assert found["shaped_wh"].sum() == pytest.approx(energy, rel=1e-9, abs=1e-12)
        assert found["even_wh"].sum() == pytest.approx(energy, rel=1e-9, abs=1e-12)
        assert found["shaped_wh"].min() >= 0  # type: ignore[operator]


@settings(deadline=None, max_examples=60)
@given(
    edges=st.lists(st.integers(0, 20 * SLOT_US), min_size=2, max_size=8, unique=True),
    begin=st.integers(0, 12 * SLOT_US),
    length=st.integers(1, 8 * SLOT_US),
    free=st.lists(st.floats(0, 1e6), min_size=7, max_size=7),
    estimates=st.lists(ENERGY, min_size=30, max_size=30),
)
def test_scaled_estimates_add_up_to_what_each_check_stretch_leaves(
    edges: list[int], begin: int, length: int, free: list[float], estimates: list[float | None]
) -> None:
    edges.sort()
    rows = [("a", i, c0, c1, free[i]) for i, (c0, c1) in enumerate(pairwise(edges))]
    checks = pl.DataFrame(rows, schema=CHECK, orient="row")
    pieces = cut(stretches(("u", begin, begin + length)), slot_us=SLOT_US).with_columns(asset_id=pl.lit("a"))
    parts = split(pieces, checks)
    assert (parts["b"] - parts["a"]).sum() == length
    assert (parts["b"] > parts["a"]).all()
    values = pl.Series([estimates[i % 30] for i in range(parts.height)], dtype=pl.Float64)
    scaled = scale(parts.with_columns(estimate_wh=values))
    for _, number, c0, c1, left in rows:
        mine = scaled.filter(pl.col("check") == number)
        overlap = max(0, min(c1, begin + length) - max(c0, begin))
        assert (mine["b"] - mine["a"]).sum() == overlap
        if overlap:
            assert mine["scaled_wh"].sum() == pytest.approx(left, rel=1e-9, abs=1e-12)
            assert mine["scaled_wh"].min() >= 0  # type: ignore[operator]
    assert scaled.filter(pl.col("check").is_null())["scaled_wh"].null_count() == scaled["check"].null_count()


@settings(deadline=None, max_examples=60)
@given(
    first=st.integers(1, 14),
    last=st.integers(1, 14),
    between=st.integers(0, 8),
    left=st.floats(0, 1e5),
    right=st.floats(0, 1e5),
)
def test_a_line_stays_between_its_neighbours(first: int, last: int, between: int, left: float, right: float) -> None:
    """A hole from minute `first` of slot 10 to minute `last` of a later slot."""
    end = 11 + between
    t0, t1 = 10 * SLOT_US + first * MINUTE_US, end * SLOT_US + last * MINUTE_US
    slots = pl.DataFrame(
        {
            "unit": "u",
            "slot": [9, 10, end, end + 1],
            "energy_wh": [left, left * first / 15, right * (15 - last) / 15, right],
            "quality": "MEASURED",
            "coverage": [1.0, first / 15, (15 - last) / 15, 1.0],
        }
    )
    pieces = cut(with_lines(stretches(("u", t0, t1)), slots, slot_us=SLOT_US), slot_us=SLOT_US)
    power = pieces.select(p=line_wh() * SLOT_US / (pl.col("b") - pl.col("a")))["p"]
    assert power.null_count() == 0
    slack = 1e-9 * max(left, right, 1.0)
    assert power.min() >= min(left, right) - slack  # type: ignore[operator]
    assert power.max() <= max(left, right) + slack  # type: ignore[operator]
    assert power.is_sorted(descending=left > right) or power.max() - power.min() <= slack  # type: ignore[operator]


def test_holes_lie_between_readings_and_never_before_the_first() -> None:
    readings = pl.DataFrame(
        {"unit": ["u", "u", "u", "v"], "ts": [10, 20, 50, 30], "ts_end": [20, None, None, None]},
        schema={"unit": pl.String(), "ts": pl.Int64(), "ts_end": pl.Int64()},
    )
    spans = pl.DataFrame({"unit": ["u"], "t0": [10], "t1": [20]})
    found = holes(readings, spans, due_until_us=60).sort("unit", "t0")
    assert found.select("unit", "t0", "t1", "closed").rows() == [
        ("u", 20, 50, True),
        ("u", 50, 60, False),
        ("v", 30, 60, False),
    ]


def test_runs_that_one_span_was_spread_over_are_no_history() -> None:
    quiet = {"quality": "SUBSTITUTED", "coverage": 1.0, "method": "interpolated"}
    rows = [{"unit": "u", "slot": s, "energy_wh": 25.0, **quiet} for s in range(9)]
    rows += [{"unit": "u", "slot": s, "energy_wh": 26.0, **quiet} for s in range(9, 13)]
    rows += [{"unit": "u", "slot": s, "energy_wh": 0.0, **quiet} for s in range(20, 60)]
    rows += [{"unit": "u", "slot": 70, "energy_wh": 1.0, **quiet, "method": "like_day_scaled"}]
    rows += [{"unit": "u", "slot": 71, "energy_wh": 1.0, **quiet, "coverage": 0.5}]
    # A span of two hours and some minutes: seven slots, and what it cuts at both ends.
    rows += [{"unit": "u", "slot": 80 + s, "energy_wh": 5.0, **quiet} for s in range(1, 8)]
    rows += [{"unit": "u", "slot": s, "energy_wh": 9.0, **quiet, "method": "interpolated+register"} for s in (80, 88)]
    # An hourly register read at odd minutes.
    rows += [{"unit": "u", "slot": 100 + s, "energy_wh": 5.0, **quiet} for s in range(1, 4)]
    rows += [{"unit": "u", "slot": s, "energy_wh": 9.0, **quiet, "method": "interpolated+register"} for s in (100, 104)]
    found = good_history(pl.DataFrame(rows), longest_even_slots=timedelta(hours=2) // timedelta(minutes=15))
    assert found["slot"].to_list() == [*range(9, 13), *range(20, 60), *range(100, 105)]
