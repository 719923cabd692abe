"""From slot energy to the outbox: which values the exchange should get, and by when.

What the values are is `convert.forecast`'s business. A slot that has none gets no row, and reconciliation lists it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from pipelines.frames import Quantity
from pipelines.slots import Abilities, forecast_window, slots_between


@dataclass(frozen=True, kw_only=True)
class Target:
    """A slot that an asset needs a forecast for."""

    asset_id: str
    slot_start: datetime


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
    foretold: pl.DataFrame, *, abilities: Abilities, length: timedelta, margin: timedelta
) -> list[dict[str, Any]]:
    """Rows of the outbox for slots foretold, without version.

    Args:
        foretold: FORETOLD of `convert.forecast.live`.
        abilities: of the protocol.
        length: slot length.
        margin: how long before its slot a forecast must be there.
    """
    rows = []
    for slot in foretold.iter_rows(named=True):
        window = forecast_window(slot["slot_start"], length=length, margin=margin, abilities=abilities)
        rows.append(
            {
                **slot,
                "quantity": Quantity.FORECAST.value,
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
