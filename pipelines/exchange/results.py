"""Reading back what the exchange used: the historical-data API.

Its answer's schema is not documented. Two forms are understood, both keyed by slot in UTC: the profile keys
of the exchange's result files (`load_profile_kWh`, `pv_production_kWh`, `smart_meter_profile_kWh`), and a
plain number in kWh. Measurements are never echoed: what comes back is the forecast that was used.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pipelines.errors import RejectedError, SlotfeedError
from pipelines.exchange.client import ExchangeClient

PROFILE_KEYS = ("load_profile_kWh", "pv_production_kWh", "smart_meter_profile_kWh")
SLOT_FORMAT = "%Y-%m-%dT%H:%M"


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

    One asset's trouble doesn't hinder the others; only a refused login ends the whole.
    """
    found = ReadBack()
    gate = asyncio.Semaphore(concurrency)

    async def one(asset: str) -> None:
        path = f"/historical-data/assets/{simulation}/{asset}/{start:{SLOT_FORMAT}}/{end:{SLOT_FORMAT}}"
        step = f"results of asset {asset}"
        async with gate:
            try:
                body = await client.get(path, step=step)
                found.energy_wh[asset] = {
                    slot: wh for slot, wh in parse_profile(body, step=step).items() if start <= slot < end
                }
            except RejectedError as error:
                found.unknown[asset] = str(error)
            except SlotfeedError as error:
                found.failed[asset] = str(error)

    async with asyncio.TaskGroup() as group:
        for asset in assets:
            group.create_task(one(asset))
    return found


def parse_profile(body: object, *, step: str) -> dict[datetime, float]:
    """Slot start -> Wh, from the historical-data answer.

    Raises:
        SlotfeedError: not one of the known forms; names the first odd entry.
    """
    if body == []:
        return {}
    if not isinstance(body, dict):
        raise SlotfeedError(f"{step}: expected an object keyed by slot, got {type(body).__name__}")
    profile = {}
    for key, entry in body.items():
        value = entry
        if isinstance(entry, dict):
            value = next((entry[name] for name in PROFILE_KEYS if name in entry), None)
        if value is None:
            continue
        try:
            slot = datetime.strptime(key, SLOT_FORMAT).replace(tzinfo=UTC)
            profile[slot] = float(value) * 1000
        except (TypeError, ValueError) as error:
            raise SlotfeedError(f"{step}: can't read the entry {key!r}: {str(entry)[:80]!r}") from error
    return profile
