"""The hour that a clock shows twice: which pass each reading belongs to, from the order of the rows.

Within one stream, in true order, local time grows except once: where the second pass begins. So
one fall of local time proves both passes. Without a fall there are still two proofs: a second pass that
would lie in the future hasn't begun; and of all places where the clock may have gone back, exactly one may
turn the readings into a regular series (readings as far apart as the clock goes back, or further, don't fall).
What remains open stays open: a guess would put energy into the wrong hour.
"""

from datetime import datetime

import polars as pl

KEYS = ("stream_id", "night")


def tell_apart(rows: pl.DataFrame, *, horizon: datetime) -> pl.DataFrame:
    """Choose each row's instant.

    Args:
        rows: with `stream_id`, `order`, `stamp` (naive local), `first` and `last` (the instants it can stand for,
            naive UTC) and `night` (one value per repeated hour).
        horizon: naive UTC; nothing has happened after it.

    Returns:
        The rows with `instant` (naive UTC): null where the pass can't be told.
    """
    repeated = pl.col("first") != pl.col("last")
    twice = rows.filter(repeated).sort(*KEYS, "order")
    if twice.is_empty():
        return rows.with_columns(instant=pl.col("first"))
    turns = _turns(rows, twice, horizon)
    told = (
        twice.with_columns(place=pl.int_range(pl.len()).over(KEYS))
        .join(turns, on=KEYS, how="left")
        .with_columns(
            instant=pl.when(pl.col("place") < pl.col("turn"))
            .then("first")
            .when(pl.col("place") >= pl.col("turn"))
            .then("last")
        )
        .drop("place", "turn")
    )
    once = rows.filter(~repeated.fill_null(value=False)).with_columns(instant=pl.col("first"))
    return pl.concat([once, told.select(once.columns)])


def _turns(rows: pl.DataFrame, twice: pl.DataFrame, horizon: datetime) -> pl.DataFrame:
    """Per stream and night, the place in `twice` at which the second pass begins (`turn`); null: can't be told."""
    nights = _nights(rows, twice)
    # The row after the repeated hour stands for the case that no reading belongs to the second pass.
    after = nights.select(*KEYS, stamp="after", order=pl.lit(None, pl.Int64()))
    places = (
        pl.concat([twice.select(*KEYS, "stamp", "order"), after])
        .sort(*KEYS, "order", nulls_last=True)
        .join(nights, on=KEYS, how="left")
        .with_columns(
            step_before=_microseconds(
                pl.col("stamp") - pl.col("stamp").shift(1).over(KEYS).fill_null(pl.col("before"))
            ),
            place=pl.int_range(pl.len()).over(KEYS),
        )
        .with_columns(
            inner=(pl.col("place") > 0) & pl.col("order").is_not_null(),
            irregular=_misfit(pl.col("step_before") + pl.col("shift")) - _misfit(pl.col("step_before")),
        )
        .with_columns(pl.col("irregular").fill_null(0.0))
    )
    fall = pl.col("inner") & (pl.col("step_before") < 0)
    best = pl.col("irregular").bottom_k(2).sort()
    return (
        places.group_by(KEYS)
        .agg(
            falls=fall.sum(),
            fallen_at=pl.col("place").filter(fall).first(),
            readings=pl.len() - 1,
            regular_at=pl.col("irregular").arg_min(),
            lead=best.last() - best.first(),
            needed=pl.min_horizontal(pl.col("step").first() / 4, pl.col("shift").first() / 2),
            in_future=pl.col("last_possible").first() > horizon,
        )
        .select(
            *KEYS,
            turn=pl.when(pl.col("falls") == 1)
            .then(pl.col("fallen_at"))
            .when((pl.col("falls") == 0) & pl.col("in_future"))
            .then(pl.col("readings"))
            .when((pl.col("falls") == 0) & (pl.col("lead") >= pl.col("needed")))
            .then(pl.col("regular_at")),
        )
    )


def _nights(rows: pl.DataFrame, twice: pl.DataFrame) -> pl.DataFrame:
    """Per stream and night: by how much clocks go back, the usual step (both us), and the readings either side."""
    nights = twice.group_by(KEYS).agg(
        first_possible=pl.col("first").min(),
        last_possible=pl.col("last").max(),
        shift=_microseconds(pl.col("last") - pl.col("first")).max(),
    )
    once = rows.filter(pl.col("first") == pl.col("last")).select("stream_id", pl.col("stamp", "first"))
    sides = (
        nights.join(once, on="stream_id")
        .group_by(KEYS)
        .agg(
            before=pl.col("stamp").filter(pl.col("first") < pl.col("first_possible")).max(),
            after=pl.col("stamp").filter(pl.col("first") > pl.col("last_possible")).min(),
        )
    )
    steps = (
        rows.filter(pl.col("first").is_not_null())
        .sort("stream_id", "order")
        .select("stream_id", step=_microseconds(pl.col("stamp").diff().over("stream_id")))
        .filter(pl.col("step") > 0)
        .group_by("stream_id")
        .agg(pl.col("step").median())
    )
    return nights.join(sides, on=KEYS, how="left").join(steps, on="stream_id", how="left")


def _misfit(length: pl.Expr) -> pl.Expr:
    """How far a step is from the usual one; beyond half of it, it tells nothing but that readings are missing."""
    return pl.min_horizontal((length - pl.col("step")).abs(), pl.col("step") / 2)


def _microseconds(duration: pl.Expr) -> pl.Expr:
    return duration.dt.total_microseconds()
