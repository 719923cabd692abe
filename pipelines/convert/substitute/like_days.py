"""What like days say of a slot: the mean of the same minutes of days of the same type before the gap.

The days that count are the last `like_day_weeks` before the gap begins, so that all of a long gap is estimated from
the same days and a neighbouring gap changes nothing in it. Ontario's rule (IESO
MDP_STD_0002) takes the three weeks before.
"""

from datetime import timedelta

import polars as pl

from pipelines.community import CommunitySection
from pipelines.convert.methods import Method, is_own
from pipelines.convert.standing import COMPLETE, SAME_ENERGY
from pipelines.day_types import with_local_days
from pipelines.frames import INSTANT, Quality

US = timedelta(microseconds=1)
BIN = ("day_type", "local_minute")


def instants(slot: str, slot_us: int) -> pl.Expr:
    """Slot numbers as the instants at which the slots start."""
    return (pl.col(slot) * slot_us).cast(pl.Datetime("us")).dt.replace_time_zone("UTC").cast(INSTANT)


def with_bins(slots: pl.DataFrame, place: CommunitySection, *, slot_us: int) -> pl.DataFrame:
    """Add to numbered slots what like slots have in common: `day_type`, `local_minute`."""
    dated = slots.with_columns(slot_start=instants("slot", slot_us))
    return with_local_days(dated, zone=place.time_zone, holidays_of=place.holidays).drop("slot_start", "local_day")


def good_history(slots: pl.DataFrame, *, longest_even_slots: int) -> pl.DataFrame:
    """The slots that others may be estimated from.

    That is, whole ones that were measured, or substituted by their own readings. A run of equal slots that one long
    span was spread over says nothing about the course of a day, so it is left out; one of zeros does: there was none.

    Args:
        slots: unit, slot, energy_wh, quality, coverage, method.
        longest_even_slots: slots up to which an evenly spread span still has the day's shape.
    """
    even = pl.col("method") == Method.INTERPOLATED
    before = pl.col("energy_wh").shift(1)
    goes_on = (
        even
        & even.shift(1)
        & (pl.col("slot") == pl.col("slot").shift(1) + 1)
        & ((pl.col("energy_wh") - before).abs() <= SAME_ENERGY * pl.max_horizontal("energy_wh", before, 1.0))
    )
    whole = slots.filter(
        (pl.col("coverage") >= COMPLETE)
        & pl.col("quality").is_in([Quality.MEASURED.value, Quality.SUBSTITUTED.value])
        & is_own()
    ).sort("unit", "slot")
    runs = whole.with_columns(even=even, run=(~goes_on.fill_null(value=False)).cum_sum().over("unit"))
    shapeless = pl.col("even") & (pl.col("energy_wh") > 0) & (pl.len().over("unit", "run") > longest_even_slots)
    return runs.filter(~shapeless).select("unit", "slot", "energy_wh")


def like_day_means(
    pieces: pl.DataFrame, history: pl.DataFrame, place: CommunitySection, *, back: timedelta, slot_us: int
) -> pl.DataFrame:
    """Add what like days had in each piece's slot.

    Args:
        pieces: unit, gap, t0 (begin of the gap), slot.
        history: unit, slot, energy_wh of good slots.
        place: time zone and holidays.
        back: how far before its gap's begin a slot may lie.
        slot_us: slot length in microseconds.

    Returns:
        The pieces with `like_wh`, the mean energy of a whole slot; null where no like day has one.
    """
    binned = with_bins(pieces, place, slot_us=slot_us)
    wanted = binned.select("unit", "gap", "t0", *BIN).unique()
    known = with_bins(history, place, slot_us=slot_us)
    begins, ends = pl.col("slot") * slot_us, (pl.col("slot") + 1) * slot_us
    means = (
        wanted.join(known, on=["unit", *BIN])
        .filter((begins >= pl.col("t0") - back // US) & (ends <= pl.col("t0")))
        .sort("unit", "gap", "slot")
        .group_by("unit", "gap", *BIN, maintain_order=True)
        .agg(like_wh=pl.col("energy_wh").mean())
    )
    return binned.join(means, on=["unit", "gap", *BIN], how="left").drop(BIN)
