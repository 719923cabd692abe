"""What a series shows where no hypothesis predicts it: a value that stands still, a profile, an engine that is away."""

from datetime import timedelta

import polars as pl

from pipelines.reconcile.same import TOLERANCE_WH, matches

RUN_SLOTS, RUN_OPEN = 4, 2
"""Slots in a row that hold one value before the stream is said to have stopped (an hour), counted from the first that
differs, and how many of them must differ. Ours, as all numbers here."""

ABSENT_SHARE = 0.9
"""Share of the assets without a value from which on the exchange is said to have none."""

PROFILE_SLOTS, PROFILE_OPEN, PROFILE_VALUES, PROFILE_SHARE = 3, 6, 2, 0.6
"""Foreign slots before a profile is seen; slots that differ in their stretch, different values among the foreign ones,
and the share of the stretch's slots that differ."""

DAY = timedelta(days=1)
SENT = ("accepted", "confirmed")


def with_neighbours(pairs: pl.DataFrame) -> pl.DataFrame:
    """Adds what series are read by.

    Args:
        pairs: asset_id, slot_start, wanted_wh, exchange_wh; without a gap per asset.

    Returns:
        The rows with `before_wh` (held in the slot before), `next_wh` (wanted in the slot after), `repeats` (holds what
        the slot before holds) and `run` (number of the stretch that holds one value).
    """
    return (
        pairs.with_columns(
            before_wh=pl.col("exchange_wh").shift(1).over("asset_id", order_by="slot_start"),
            next_wh=pl.col("wanted_wh").shift(-1).over("asset_id", order_by="slot_start"),
        )
        .with_columns(repeats=matches("exchange_wh", "before_wh"))
        .with_columns(run=(~pl.col("repeats")).cum_sum().over("asset_id", order_by="slot_start"))
    )


def no_results(pairs: pl.DataFrame) -> pl.DataFrame:
    """Slots of which the exchange has no value for nearly all assets, two at least: slot_start, absent, assets."""
    return (
        pairs.filter("compared")
        .group_by("slot_start")
        .agg(assets=pl.len(), absent=pl.col("exchange_wh").is_null().sum())
        .filter(pl.col("absent") >= 2, pl.col("absent") >= ABSENT_SHARE * pl.col("assets"))
    )


def stopped(pairs: pl.DataFrame, *, zero_is_nothing: bool) -> pl.DataFrame:
    """Stretches in which one value stands still while others should have stood.

    Args:
        pairs: `with_neighbours`, with `left` (differs, and nothing explains it yet).
        zero_is_nothing: the exchange puts 0 where nothing arrived, so a 0 is no value that stands still.

    Returns:
        asset_id, run, run_from, run_slots, run_values.
    """
    begins = pl.col("slot_start").filter("left").min()
    counted = (pl.col("exchange_wh").abs() > TOLERANCE_WH) | (not zero_is_nothing)
    # Mostly a few of very many stretches.
    differ = pairs.filter("left", counted).group_by("asset_id", "run").len().filter(pl.col("len") >= RUN_OPEN)
    return (
        pairs.join(differ.drop("len"), on=["asset_id", "run"], how="semi")
        .filter(counted)
        .group_by("asset_id", "run")
        .agg(
            run_from=pl.col("slot_start").min(),
            run_length=(pl.col("slot_start") >= begins).sum(),
            run_slots=pl.col("left").sum(),
            run_values=pl.col("wanted_wh").filter("left").round(1).n_unique(),
        )
        .filter(pl.col("run_length") >= RUN_SLOTS)
    )


def profiles(pairs: pl.DataFrame) -> pl.DataFrame:
    """Assets whose accepted values never stand while a series of other values does: it follows its profile.

    Args:
        pairs: `with_neighbours`, with `left`, `agrees`, `state`.

    Returns:
        asset_id, foreign (slots), since (first that differs), telling (slots from there on that can tell), strange (of
        them, those that differ), again (share of the foreign slots that hold what the same slot of the
        day before holds, null where that day wasn't read), confidence.
    """
    foreign = (
        pl.col("left") & pl.col("state").is_in(SENT) & (pl.col("exchange_wh").abs() > TOLERANCE_WH) & ~pl.col("repeats")
    )
    yesterday = pairs.select("asset_id", pl.col("slot_start") + DAY, yesterday_wh="exchange_wh")
    seen = pairs.join(yesterday, on=["asset_id", "slot_start"], how="left").with_columns(
        foreign=foreign, again=matches("exchange_wh", "yesterday_wh")
    )
    spans = (
        seen.filter("left")
        .group_by("asset_id")
        .agg(
            since=pl.col("slot_start").min(),
            last=pl.col("slot_start").max(),
            values=pl.col("exchange_wh").filter("foreign").round(1).n_unique(),
            again=pl.when(pl.col("foreign") & pl.col("yesterday_wh").is_not_null()).then(pl.col("again")).mean(),
            foreign=pl.col("foreign").sum(),
        )
        .filter(pl.col("foreign") >= PROFILE_SLOTS, pl.col("values") >= PROFILE_VALUES)
    )
    held = pl.col("left") | (pl.col("agrees") & (pl.col("wanted_wh") > TOLERANCE_WH))
    stretch = (
        seen.join(spans.select("asset_id", "since", "last"), on="asset_id")
        .filter(held, pl.col("slot_start").is_between("since", "last"))
        .group_by("asset_id")
        .agg(telling=pl.len(), strange=pl.col("left").sum())
        .filter(pl.col("strange") >= PROFILE_OPEN, pl.col("strange") >= PROFILE_SHARE * pl.col("telling"))
    )
    share = pl.col("strange") / pl.col("telling")
    return spans.join(stretch, on="asset_id").with_columns(
        confidence=share
        * pl.when(pl.col("again") >= PROFILE_SHARE).then(0.97).otherwise(0.75)
        * (1 - pl.lit(0.5).pow(pl.col("values")))
    )
