"""A year of 36 real assets as slot energy: `tests/data/simbench_2016`."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

FOLDER = Path(__file__).parent / "data" / "simbench_2016"
START = datetime(2015, 12, 31, 23, tzinfo=UTC)
"""Start of the year in Europe/Berlin."""

STEPS = 10_000


def assets() -> pl.DataFrame:
    """asset_id, kind (load, heat_pump, ev_charger, pv), profile, p_nom_kw."""
    return pl.read_csv(FOLDER / "assets.csv")


def slot_energy(start: datetime = START, end: datetime = datetime(2016, 12, 31, 23, tzinfo=UTC)) -> pl.DataFrame:
    """asset_id, slot_start (UTC), energy_wh of the quarter hours that start in [start, end), sorted by both."""
    profiles = pl.read_parquet(FOLDER / "profiles.parquet")
    instants = pl.datetime_range(START, datetime(2016, 12, 31, 23, tzinfo=UTC), "15m", closed="left", eager=True)
    long = (
        profiles.with_columns(slot_start=instants.cast(pl.Datetime("us", "UTC")))
        .filter(pl.col("slot_start").is_between(start, end, closed="left"))
        .unpivot(index="slot_start", variable_name="profile", value_name="share")
    )
    energy_wh = pl.col("share") / STEPS * pl.col("p_nom_kw") * 1000 / 4
    joined = assets().join(long, on="profile").select("asset_id", "slot_start", energy_wh=energy_wh)
    return joined.sort("asset_id", "slot_start")
