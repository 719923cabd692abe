"""What the model is told of a pair of coming slot and asset: numbers that don't depend on the asset's size.

Energies are shares of rated power over the slot, so that one model serves a flat and a farm. The asset's name is no
feature: the model can't learn it by heart, and serves an asset it has never seen.
"""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from pipelines.community import AssetType
from pipelines.convert.forecast.calendar_facts import DAYS_BEFORE, Calendar, SlotFacts
from pipelines.convert.forecast.windows import AROUND, Energies, Windows

TYPES: Sequence[AssetType] = (
    AssetType.LOAD,
    AssetType.HEAT_PUMP,
    AssetType.EV_CHARGER,
    AssetType.PV,
    AssetType.BATTERY,
    AssetType.SMART_METER,
)
"""Their numbers are part of a stored model: append, never reorder."""

LAGS = 8
"""Recent slots that the model sees one by one; of the others it gets means and durations."""

ON_SHARE = 0.01
"""Share of rated power above which an asset counts as switched on. The number is ours."""

CLEAR_SKY_CAP = 4.0
"""A clear sky's change over two hours is told up to this factor: about sunrise it has no bound."""

_AROUND = ("2_before", "1_before", "same", "1_after", "2_after")
FEATURES: Sequence[str] = (
    *(f"recent_{number}" for number in range(LAGS)),
    "newest",
    "age",
    "mean_hour",
    "mean_4_hours",
    "mean_recent",
    "highest_recent",
    "lowest_recent",
    "share_on",
    "run",
    "run_before",
    *(f"yesterday_{place}" for place in _AROUND),
    *(f"last_week_{place}" for place in _AROUND),
    "mean_days",
    "mean_days_change",
    "highest_days",
    "minute",
    "weekday",
    "day_type",
    "sun",
    "sun_change",
    "clear_sky",
    "asset_type",
)
"""Their names and order; a stored model whose names differ isn't used."""

Table = npt.NDArray[np.float32]


def features(
    windows: Windows, facts: SlotFacts, *, full_wh: Energies, types: npt.NDArray[np.int64], calendar: Calendar
) -> Table:
    """The table that the model learns from and forecasts by, (n, len(FEATURES)), NaN where something isn't known.

    Args:
        windows: the past of n pairs.
        facts: of their slots, (n,).
        full_wh: energy of a slot at rated power, (n,).
        types: number in TYPES, (n,).
        calendar: of the community.
    """
    recent = windows.recent_wh / full_wh[:, None]
    days = windows.days_wh / full_wh[:, None, None]
    place, newest_wh = windows.newest()
    newest = newest_wh / full_wh
    hour = max(1, timedelta(hours=1) // calendar.length)
    sun, sun_then = facts.sun[:, 0], facts.sun[np.arange(len(place)), 1 + np.maximum(place, 0)]
    run, run_before = _durations(recent, place)
    same, earlier = days[:, :, AROUND], days[:, :, 0]
    columns = [
        *_padded(recent, LAGS),
        newest,
        place,
        _mean(recent[:, :hour]),
        _mean(recent[:, : 4 * hour]),
        _mean(recent),
        _highest(recent),
        -_highest(-recent),
        _mean(np.where(np.isnan(recent), np.nan, recent > ON_SHARE)),
        run,
        run_before,
        *days[:, 0].T,
        *days[:, DAYS_BEFORE - 1].T,
        _mean(same),
        _mean(same - earlier),
        _highest(same),
        facts.minute,
        facts.weekday,
        facts.day_type,
        sun,
        sun - sun_then,
        newest * _clear_sky(sun, sun_then),
        types,
    ]
    return np.column_stack(columns).astype(np.float32)


def _padded(recent: Energies, count: int) -> list[Energies]:
    """The first columns; NaN for those that long slots don't have."""
    missing = np.full(len(recent), np.nan)
    return [recent[:, i] if i < recent.shape[1] else missing for i in range(count)]


def _mean(values: Energies) -> Energies:
    """Of each row, of what is there."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    total = np.ascontiguousarray(np.where(known, values, 0.0)).sum(axis=1)
    mean: Energies = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return mean


def _highest(values: Energies) -> Energies:
    filled = np.where(np.isnan(values), -np.inf, values).max(axis=1)
    return np.where(np.isinf(filled), np.nan, filled)


def _durations(recent: Energies, place: npt.NDArray[np.int64]) -> tuple[Energies, Energies]:
    """How many slots the present state (on or off) has lasted, and the one before it, each up to all the recent.

    What has not come yet is taken to be as the newest that has.
    """
    width = recent.shape[1]
    rows = np.arange(len(recent))
    on = recent > ON_SHARE
    newest_on = on[rows, np.maximum(place, 0)]
    on = np.where(np.arange(width) < place[:, None], newest_on[:, None], on)
    changed = np.column_stack([on[:, 1:] != on[:, :-1], np.ones(len(recent), dtype=bool)])
    run = changed.argmax(axis=1) + 1
    changed[rows, run - 1] = False
    second = np.where(changed.any(axis=1), changed.argmax(axis=1) + 1, width)
    return run.astype(np.float64), (second - run).astype(np.float64)


def _clear_sky(sun: Table, sun_then: Table) -> Table:
    """By what factor a clear sky's light changes from the newest measured slot to the coming one."""
    ratio = np.maximum(sun, 0.0) / np.maximum(sun_then, 0.02)
    return np.minimum(ratio, CLEAR_SKY_CAP).astype(np.float32)
