"""What the exchange should hold for each slot, by the rules of the protocol that carried the values.

Two questions are kept apart. `wanted_wh` is what should stand: the newest local version. `carried_wh` is what
the protocol produces from the posts that were accepted: under `rest` a value stands in its slot and stands
again in each following one until another arrives; under `sdk` a slot without a post is 0.
"""

from datetime import datetime, timedelta

import polars as pl

from pipelines.frames import INSTANT, State
from pipelines.slots import Abilities, slots_between

SUBMITTED = pl.Schema(
    {
        "id": pl.Int64(),
        "asset_id": pl.String(),
        "slot_start": INSTANT,
        "version": pl.Int64(),
        "energy_wh": pl.Float64(),
        "state": pl.String(),
        "attempts": pl.Int64(),
        "error": pl.String(),
    }
)
"""Forecast submissions, all versions."""

SENT_STATES = (State.ACCEPTED.value, State.CONFIRMED.value)


def slot_grid(live: pl.DataFrame, *, start: datetime, end: datetime, length: timedelta) -> pl.DataFrame:
    """Every slot in [start, end) of every asset since it went live.

    Args:
        live: asset_id, live_since.
        start: slot boundary.
        end: slot boundary.
        length: slot length.

    Returns:
        asset_id, slot_start.
    """
    slots = pl.DataFrame({"slot_start": list(slots_between(start, end, length))}, schema={"slot_start": INSTANT})
    return live.join(slots, how="cross").filter(pl.col("slot_start") >= pl.col("live_since")).drop("live_since")


def expected(grid: pl.DataFrame, submitted: pl.DataFrame, *, abilities: Abilities) -> pl.DataFrame:
    """What should stand in each slot, and what the accepted posts lead to.

    Args:
        grid: asset_id, slot_start.
        submitted: SUBMITTED, from before the grid's start where values repeat.
        abilities: of the protocol.

    Returns:
        The grid with id, wanted_wh, state, attempts, error (of the newest version; null where none was
        planned), carried_id, carried_wh (null where nothing was ever accepted), carried_state and carried_from (the
        slot that value was for).
    """
    versions = submitted.sort("version")
    newest = versions.group_by("asset_id", "slot_start").last()
    sent = versions.filter(pl.col("state").is_in(SENT_STATES)).group_by("asset_id", "slot_start").last()
    wanted = grid.join(
        newest.select("asset_id", "slot_start", "id", "state", "attempts", "error", wanted_wh="energy_wh"),
        on=["asset_id", "slot_start"],
        how="left",
    ).sort("slot_start")
    carried = sent.select(
        "asset_id", carried_id="id", carried_wh="energy_wh", carried_from="slot_start", carried_state="state"
    )
    if abilities.carries_slot_time:
        own = carried.with_columns(slot_start="carried_from")
        return wanted.join(own, on=["asset_id", "slot_start"], how="left").with_columns(
            pl.col("carried_wh").fill_null(0.0)
        )
    return wanted.join_asof(
        carried.sort("carried_from"),
        left_on="slot_start",
        right_on="carried_from",
        by="asset_id",
        strategy="backward",
        check_sortedness=False,
    )
