"""Reading back what the exchange used: the historical-data API.

Its answer's schema is not documented. Two forms are understood, both keyed by slot in UTC: the profile keys
of the exchange's result files (`load_profile_kWh`, `pv_production_kWh`, `smart_meter_profile_kWh`), and a
plain number in kWh. Measurements are never echoed: what comes back is the forecast that was used.

Whether the end that is asked for belongs to the answer isn't documented either; what lies outside [start, end) is
dropped here.
"""

import asyncio
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import quote

from pipelines.errors import RejectedError, SlotfeedError
from pipelines.exchange.client import ExchangeClient

PROFILE_KEYS = ("load_profile_kWh", "pv_production_kWh", "smart_meter_profile_kWh")
SLOT_FORMAT = "%Y-%m-%dT%H:%M"

LONGEST_WINDOW = timedelta(days=7)
"""Span of one request. Ours: 672 slots of 15 minutes, some 50 kB."""


@dataclass(frozen=True, kw_only=True)
class History:
    """What could be read, in the exchange's own unit."""

    energy_kwh: dict[str, dict[datetime, float]] = field(default_factory=dict)
    """Asset -> slot start -> kWh as the exchange gave it; slots of which it says nothing are absent. Assets of which no
    window could be read are absent."""

    unknown: dict[str, str] = field(default_factory=dict)
    """Assets the exchange doesn't know, with its words."""

    failed: dict[str, str] = field(default_factory=dict)
    """Assets of which a window could not be read this time, with the first reason. What the others hold is in
    `energy_kwh`."""


@dataclass(frozen=True, kw_only=True)
class ReadBack:
    """What could be read."""

    energy_wh: dict[str, dict[datetime, float]] = field(default_factory=dict)
    """Asset -> slot start -> Wh; slots of which the exchange says nothing are absent."""

    unknown: dict[str, str] = field(default_factory=dict)
    """Assets the exchange doesn't know, with its words."""

    failed: dict[str, str] = field(default_factory=dict)
    """Assets that could not be read this time, with the reason."""


async def read_energy(
    client: ExchangeClient,
    *,
    simulation: str,
    assets: Iterable[str],
    start: datetime,
    end: datetime,
    concurrency: int,
) -> ReadBack:
    """Energy the exchange used, per asset and slot in [start, end).

    One asset's trouble doesn't hinder the others; an asset of which a part could not be read is in `failed`, and
    nothing is said of its slots.
    """
    found = await read_history(
        client, simulation=simulation, assets=assets, start=start, end=end, concurrency=concurrency
    )
    energy_wh = {}
    for asset in list(found.energy_kwh):
        # Each profile goes as its twin comes: of very many assets both would fill the memory.
        profile = found.energy_kwh.pop(asset)
        if asset not in found.failed:
            energy_wh[asset] = {slot: kwh * 1000 for slot, kwh in profile.items()}
    return ReadBack(energy_wh=energy_wh, unknown=found.unknown, failed=found.failed)


async def read_history(
    client: ExchangeClient,
    *,
    simulation: str,
    assets: Iterable[str],
    start: datetime,
    end: datetime,
    concurrency: int,
) -> History:
    """The same in kWh, with what could be read of assets that failed in part.

    Assets are read side by side, the windows of one asset in turn. A window whose answer can't be read doesn't end its
    asset: the next may be in order. After a refusal, or where no answer comes after all tries, no further one is asked
    for.
    """
    found = History()
    gate = asyncio.Semaphore(concurrency)
    spans = list(windows(start, end))

    async def one(asset: str) -> None:
        step = f"results of asset {asset}"
        for first, last in spans:
            path = (
                f"/historical-data/assets/{quote(simulation, safe='')}/{quote(asset, safe='')}"
                f"/{first:{SLOT_FORMAT}}/{last:{SLOT_FORMAT}}"
            )
            try:
                async with gate:
                    body = await client.get(path, step=step)
            except RejectedError as error:
                found.unknown[asset] = client.hide(str(error))
                return
            except SlotfeedError as error:
                found.failed.setdefault(asset, str(error))
                return
            try:
                profile = parse_kwh(body, step=step)
            except SlotfeedError as error:
                found.failed.setdefault(asset, client.hide(str(error)))
                continue
            held = found.energy_kwh.setdefault(asset, {})
            held.update((slot, kwh) for slot, kwh in profile.items() if first <= slot < last)

    async with asyncio.TaskGroup() as group:
        for asset in assets:
            group.create_task(one(asset))
    return found


def windows(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """[start, end) parted into spans that one request may have, in order and without gap or overlap."""
    first = start
    while first < end:
        last = min(first + LONGEST_WINDOW, end)
        yield first, last
        first = last


@lru_cache(maxsize=16_384)
def _instant(key: str) -> datetime:
    """Of a key. All assets have the same ones: each is read once, and stands in memory once."""
    return datetime.strptime(key, SLOT_FORMAT).replace(tzinfo=UTC)


def parse_kwh(body: object, *, step: str) -> dict[datetime, float]:
    """Slot start -> kWh, from the historical-data answer.

    Raises:
        SlotfeedError: not one of the known forms, or a slot that stands in it twice; names the first odd entry.
    """
    if body == []:
        return {}
    if not isinstance(body, dict):
        raise SlotfeedError(f"{step}: expected an object keyed by slot, got {type(body).__name__}")
    profile: dict[datetime, float] = {}
    for key, entry in body.items():
        value = entry
        if isinstance(entry, dict):
            value = next((entry[name] for name in PROFILE_KEYS if name in entry), None)
        if value is None:
            continue
        try:
            slot = _instant(key)
            energy_kwh = float(value)
            # Python's JSON knows NaN and infinity, and both would pass for equal to anything.
            if not math.isfinite(energy_kwh * 1000):
                raise ValueError("no finite energy")  # noqa: TRY301 - told as any other
        except (TypeError, ValueError) as error:
            raise SlotfeedError(f"{step}: can't read the entry {str(key)[:80]!r}: {str(entry)[:80]!r}") from error
        if slot in profile:
            raise SlotfeedError(f"{step}: the slot of the entry {key!r} stands in the answer twice")
        profile[slot] = energy_kwh
    return profile
