"""How near substitutes come to the truth: gaps cut into a real year of loads and PV."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from pipelines.convert.methods import is_filled
from pipelines.convert.standing import CURRENT
from pipelines.store import SlotEnergyRow, Store, read_frame, table_of
from tests import simbench_year
from tests.convert.substitute.world import asset, community, put, run, stream

START = datetime(2016, 5, 1, 22, tzinfo=UTC)
END = START + timedelta(days=56)
SIX_HOURS, HALF_HOUR, TWO_DAYS = timedelta(hours=6), timedelta(minutes=30), timedelta(days=2)
GAPS = [
    # After three weeks, each at another time of day, on workdays and weekends.
    *[(START + timedelta(days=22 + 2 * i, hours=(5 * i) % 24), HALF_HOUR) for i in range(12)],
    *[(START + timedelta(days=23 + 2 * i, hours=(3 + 7 * i) % 18), SIX_HOURS) for i in range(10)],
    *[(START + timedelta(days=46 + 4 * i, hours=3), TWO_DAYS) for i in range(2)],
]
NAMES = {HALF_HOUR: "30 min", SIX_HOURS: "6 h", TWO_DAYS: "2 days"}
KINDS = ("load", "pv")


def some_assets() -> dict[str, str]:
    """Five of each kind: asset_id -> kind."""
    chosen = simbench_year.assets().filter(pl.col("kind").is_in(KINDS)).sort("kind", "asset_id")
    return dict(chosen.group_by("kind", maintain_order=True).head(5).select("asset_id", "kind").iter_rows())


def test_like_days_beat_lines_and_zeros_in_long_gaps(sqlite_store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = some_assets()
    truth = simbench_year.slot_energy(START, END).filter(pl.col("asset_id").is_in(list(kinds)))
    missing = pl.any_horizontal(
        pl.col("slot_start").is_between(begin, begin + length, closed="left") for begin, length in GAPS
    )
    for (asset_id,), rows in truth.filter(~missing).group_by("asset_id"):
        put(sqlite_store, str(asset_id), dict(rows.select("slot_start", "energy_wh").iter_rows()))
    of = community(*[asset(name, stream(name)) for name in kinds], zone="Europe/Berlin", holidays="DE-HE")
    run(sqlite_store, of, END)
    with sqlite_store.reading() as connection:
        table = table_of(SlotEnergyRow)
        found = read_frame(
            connection, table.select().with_only_columns(*[table.c[n] for n in CURRENT.names()]), CURRENT
        )
    filled = found.filter(is_filled()).join(truth, on=["asset_id", "slot_start"], suffix="_true")
    assert filled.height == truth.filter(missing).height
    assert filled["energy_wh"].min() >= 0  # type: ignore[operator]
    table_ = _errors(filled, truth, kinds)
    with capsys.disabled(), pl.Config(tbl_rows=20, float_precision=1):
        print(f"\nmean absolute error, % of the mean over all slots\n{table_}")  # noqa: T201 - shown to people who run it
    for row in table_.iter_rows(named=True):
        if row["gap"] == "30 min":
            assert row["method"] == "linear"
            assert row["substitute"] < row["zero"]
        else:
            assert row["method"] == "like_day"
            assert row["substitute"] < row["zero"], row
            # PV of some hours is the exception: the neighbours know the day's weather, other days don't.
            if (row["kind"], row["gap"]) != ("pv", "6 h"):
                assert row["substitute"] < 0.7 * row["line"], row


def _errors(filled: pl.DataFrame, truth: pl.DataFrame, kinds: dict[str, str]) -> pl.DataFrame:
    """Errors of what was substituted, of a straight line through the gap, and of zero, in % of the kind's mean."""
    kind = pl.col("asset_id").replace_strict(kinds, return_dtype=pl.String)
    mean = truth.with_columns(kind=kind).group_by("kind").agg(mean_wh=pl.col("energy_wh").mean())
    edges = truth.select("asset_id", "slot_start", edge="energy_wh")
    parts = []
    for begin, length in GAPS:
        share = (pl.col("slot_start") - begin + timedelta(minutes=15)) / (length + timedelta(minutes=15))
        left = edges.filter(pl.col("slot_start") == begin - timedelta(minutes=15)).select("asset_id", left="edge")
        right = edges.filter(pl.col("slot_start") == begin + length).select("asset_id", right="edge")
        parts.append(
            filled.filter(pl.col("slot_start").is_between(begin, begin + length, closed="left"))
            .join(left, on="asset_id")
            .join(right, on="asset_id")
            .with_columns(
                line=pl.col("left") + (pl.col("right") - pl.col("left")) * share, gap=pl.lit(NAMES[length]), kind=kind
            )
        )
    off = {"substitute": pl.col("energy_wh"), "line": pl.col("line"), "zero": pl.lit(0.0)}
    return (
        pl.concat(parts)
        .join(mean, on="kind")
        .group_by("kind", "gap", "method", maintain_order=True)
        .agg(
            ((expr - pl.col("energy_wh_true")).abs().mean() / pl.col("mean_wh").first() * 100).alias(name)
            for name, expr in off.items()
        )
        .sort("kind", "gap")
    )
