"""Assets that a hypothesis may explain are known by their open slots alone."""

from datetime import datetime, timedelta

import polars as pl

from pipelines.frames import INSTANT
from pipelines.reconcile.candidates import by_factors, by_shifts

SLOT = timedelta(minutes=15)
WANTED = [10.0, 25.0, 0.0, 40.0, 55.5, 70.25, 12.0, 31.0, 90.0, 5.0, 66.0, 23.0]


def pairs(noon: datetime, **held: list[float | None]) -> pl.DataFrame:
    """Assets that should hold WANTED, and what they hold."""
    rows = [
        (asset, noon + place * SLOT, wanted, told, told is None or abs(told - wanted) > 0.02)
        for asset, series in sorted(held.items())
        for place, (wanted, told) in enumerate(zip(WANTED, series, strict=True))
    ]
    schema = {
        "asset_id": pl.String(),
        "slot_start": INSTANT,
        "wanted_wh": pl.Float64(),
        "exchange_wh": pl.Float64(),
        "open": pl.Boolean(),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_one_value_off_by_a_thousand_is_enough_and_two_for_an_hour(noon: datetime) -> None:
    thousandfold = [WANTED[0] * 1000, *WANTED[1:]]
    once, twice = [WANTED[0] * 4, *WANTED[1:]], [WANTED[0] * 4, WANTED[1] * 4, *WANTED[2:]]
    nothing: list[float | None] = [None, 0.0, *WANTED[2:]]
    found = pairs(noon, thousandfold=thousandfold, once=once, twice=twice, nothing=nothing)
    assert set(by_factors(found, length=SLOT)) == {"thousandfold", "twice"}


def test_a_shift_needs_four_slots_and_stays_within_its_asset(noon: datetime) -> None:
    later = [1000.5, 2000.5, *WANTED[:-2]]
    early = [*WANTED[3:], 1000.5, 2000.5, 3000.5]
    few = [*WANTED[:8], 500.5, WANTED[7], WANTED[8], WANTED[9]]
    zeros = [0.0] * len(WANTED)
    found = pairs(noon, early=early, few=few, later=later, zeros=zeros)
    assert set(by_shifts(found, length=SLOT)) == {"early", "later"}
    # The first four slots of `b` hold what the asset before it in the frame should end with: no shift of its own.
    neighbours = pairs(noon, a=list(WANTED), b=[*WANTED[-4:], *WANTED[4:]]).with_columns(
        wanted_wh=pl.col("wanted_wh") * pl.when(pl.col("asset_id") == "b").then(1.7).otherwise(1.0)
    )
    assert by_shifts(neighbours, length=SLOT) == []


def test_where_nothing_is_open_nobody_is_looked_at(noon: datetime) -> None:
    agreeing = pairs(noon, a=list(WANTED))
    assert by_factors(agreeing, length=SLOT) == []
    assert by_shifts(agreeing, length=SLOT) == []
