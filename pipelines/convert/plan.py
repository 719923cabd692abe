"""From slot energy to the outbox: which values the exchange should get, and by when.

The forecast is persistence: the newest slot that was measured whole before the coming slot's window opens
is expected to repeat. What it is too old to stand for is not made up: the slot gets no row, and
reconciliation lists it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from pipelines.frames import Quality, Quantity
from pipelines.slots import Abilities, forecast_window, slots_between

COMPLETE = 0.999
"""Coverage from which a slot counts as whole: a second's difference between clocks is no gap."""

SENDABLE = (Quality.MEASURED, Quality.SUBSTITUTED)
"""Qualities that are sent. Estimates are not, unless an asset asks for it."""

MAX_AGE = timedelta(hours=2)
"""How old a measured slot may be to stand for a coming one. The number is ours, after the two hours
up to which the Californian VEE rules bridge a gap by a straight line."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A slot that an asset needs a forecast for."""

    asset_id: str
    slot_start: datetime


def sendable(slots: pl.DataFrame) -> pl.DataFrame:
    """The slots that are whole and good enough to be sent."""
    return slots.filter((pl.col("coverage") >= COMPLETE) & pl.col("quality").is_in([q.value for q in SENDABLE]))


def targets(
    planned_through: Iterable[tuple[str, datetime, datetime | None]], *, coming: datetime, length: timedelta
) -> list[Target]:
    """Slots without a plan yet, up to the coming one, which is always looked at again.

    Args:
        planned_through: asset_id, live_since, newest slot planned (None: none yet).
        coming: start of the slot after the present one.
        length: slot length.
    """
    found = []
    for asset_id, live_since, through in planned_through:
        start = live_since if through is None else min(through + length, coming)
        found += [
            Target(asset_id=asset_id, slot_start=slot)
            for slot in slots_between(max(start, live_since), coming + length, length)
        ]
    return found


def forecasts(
    wanted: list[Target], measured: pl.DataFrame, *, abilities: Abilities, length: timedelta, margin: timedelta
) -> list[dict[str, Any]]:
    """Rows of the outbox for the wanted slots, without version; slots with nothing to stand for them are left out.

    Args:
        wanted: which asset needs which slot.
        measured: sendable SLOT_ENERGY, of at least MAX_AGE before the oldest wanted slot.
        abilities: of the protocol.
        length: slot length.
        margin: how long before its slot a forecast must be there.
    """
    if not wanted or measured.is_empty():
        return []
    asked = pl.DataFrame(
        {
            "asset_id": [t.asset_id for t in wanted],
            "slot_start": pl.Series([t.slot_start for t in wanted], dtype=measured.schema["slot_start"]),
        }
    ).with_columns(newest=pl.col("slot_start") - 2 * length)
    known = measured.select("asset_id", "energy_wh", "quality", source_slot="slot_start").sort("source_slot")
    matched = (
        asked.sort("newest")
        .join_asof(
            known, left_on="newest", right_on="source_slot", by="asset_id", strategy="backward", check_sortedness=False
        )
        .filter(pl.col("slot_start") - pl.col("source_slot") <= MAX_AGE)
    )
    rows = []
    for asset_id, slot_start, energy_wh, quality, source_slot in matched.select(
        "asset_id", "slot_start", "energy_wh", "quality", "source_slot"
    ).iter_rows():
        window = forecast_window(slot_start, length=length, margin=margin, abilities=abilities)
        rows.append(
            {
                "asset_id": asset_id,
                "slot_start": slot_start,
                "quantity": Quantity.FORECAST.value,
                "energy_wh": energy_wh,
                "source_slot": source_slot,
                "quality": quality,
                "method": "persistence",
                "opens_at": window.opens_at,
                "closes_at": window.closes_at,
            }
        )
    return rows


def measurements(changed: pl.DataFrame, *, live_since: dict[str, datetime], length: timedelta) -> list[dict[str, Any]]:
    """Rows of the outbox that report finished slots; the exchange takes them at any age.

    Args:
        changed: sendable SLOT_ENERGY with a new version.
        live_since: first live slot of each asset; slots before are history and stay here.
        length: slot length.
    """
    return [
        {
            **slot,
            "quantity": Quantity.MEASUREMENT.value,
            "source_slot": slot["slot_start"],
            "opens_at": slot["slot_start"] + length,
            "closes_at": None,
        }
        for slot in changed.select("asset_id", "slot_start", "energy_wh", "quality", "method").iter_rows(named=True)
        if slot["asset_id"] in live_since and slot["slot_start"] >= live_since[slot["asset_id"]]
    ]
