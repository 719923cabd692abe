"""What like days say of a slot: the mean of the same minutes of days of the same type before the gap.

The days that count are the last `like_day_weeks` before the gap begins, so that all of a long gap is estimated from
the same days and a neighbouring gap changes nothing in it. Ontario's rule (IESO
MDP_STD_0002) takes the three weeks before.
"""

from datetime import timedelta

import polars as pl

from expectations.limits import WHOLE
from pipelines.community import CommunitySection
from pipelines.convert.methods import Method, is_own
from pipelines.convert.standing import SAME_ENERGY
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
    span was spread over says nothing about the course of a day, nor do the slots that the span cuts at its ends; all
    are left out, whether they have been given the shape of like days already or not. A run of zeros does say
    something: there was none.

    Args:
        slots: unit, slot, energy_wh, quality, coverage, method.
        longest_even_slots: slots up to which an evenly spread span still has the day's shape.
    """
    whole = slots.filter(
        (pl.col("coverage") >= WHOLE)
        & pl.col("quality").is_in([Quality.MEASURED.value, Quality.SUBSTITUTED.value])
        & is_own()
    ).sort("unit", "slot")
    even = pl.col("method") == Method.INTERPOLATED
    follows = (pl.col("slot") == pl.col("slot").shift(1) + 1) & (pl.col("unit") == pl.col("unit").shift(1))
    told = whole.with_columns(
        even=even,
        cut=pl.col("method").str.contains(Method.INTERPOLATED.value) & ~even,
        follows=follows.fill_null(value=False),
    )
    before = pl.col("energy_wh").shift(1)
    same = (pl.col("energy_wh") - before).abs() <= SAME_ENERGY * pl.max_horizontal("energy_wh", before, 1.0)
    goes_on = (pl.col("even") & pl.col("even").shift(1) & pl.col("follows") & same).fill_null(value=False)
    precedes = pl.col("follows").shift(-1).fill_null(value=False)
    begins = (~goes_on & pl.col("follows") & pl.col("cut").shift(1)).fill_null(value=False)
    ends = (~goes_on.shift(-1).fill_null(value=False) & precedes & pl.col("cut").shift(-1)).fill_null(value=False)
    runs = told.with_columns(
        run=(~goes_on).cum_sum(), precedes=precedes, cuts=begins.cast(pl.Int32) + ends.cast(pl.Int32)
    )
    shapeless = pl.col("even") & (pl.col("energy_wh") > 0)
    length = pl.len().over("run") + pl.col("cuts").sum().over("run")
    marked = runs.with_columns(shapeless=shapeless & (length > longest_even_slots))
    beside = (pl.col("follows") & pl.col("shapeless").shift(1)) | (pl.col("precedes") & pl.col("shapeless").shift(-1))
    left_out = pl.col("shapeless") | (pl.col("cut") & beside.fill_null(value=False))
    return marked.filter(~left_out).select("unit", "slot", "energy_wh")


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
