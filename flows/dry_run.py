"""What a feed would send, beside what the exchange has: local work is done, nothing leaves."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from flows.session import Run, open_run
from flows.steps import collect, validate
from flows.steps import convert as convert_only
from pipelines.convert import preview_forecasts
from pipelines.exchange import PROTOCOLS, read_energy
from pipelines.slots import slot_floor


async def dry_run(community: Path, *, at: datetime | None) -> list[Mapping[str, Any]]:
    """Rows for the screen: asset, slot, what would be sent, what the exchange uses in the present slot, the difference.

    Readings are collected, judged and converted as usual; no forecast is planned and no asset goes live.
    """
    rows: list[Mapping[str, Any]] = []

    async def compare(run: Run) -> None:
        await collect(run)
        await validate(run)
        await convert_only(run, forecast=False)
        rows.extend(await _beside(run))

    async def silent(_run: Run) -> None:
        """The rows tell it all."""

    async with open_run("dry run", community, at=at, tell=silent) as run:
        await compare(run)
    return rows


async def _beside(run: Run) -> list[Mapping[str, Any]]:
    section = run.community.community
    abilities = PROTOCOLS[run.community.exchange.protocol].abilities
    wanted = preview_forecasts(run.store, run.community, abilities=abilities, now=run.now)
    present = slot_floor(run.now, run.community.slot_length)
    async with run.exchange() as client:
        held = await read_energy(
            client,
            simulation=section.simulation_uuid,
            assets=[row["asset_id"] for row in wanted],
            start=present,
            end=present + run.community.slot_length,
            concurrency=run.community.exchange.concurrency,
        )
    names = {asset.asset_id: asset.name for asset in run.community.assets}
    zone = ZoneInfo(section.time_zone)
    trouble = held.unknown | held.failed
    run.problems += trouble.values()
    rows: list[Mapping[str, Any]] = []
    for row in sorted(wanted, key=lambda row: names[row["asset_id"]]):
        now_wh = held.energy_wh.get(row["asset_id"], {}).get(present)
        rows.append(
            {
                "asset": names[row["asset_id"]],
                "slot": f"{row['slot_start'].astimezone(zone):%Y-%m-%d %H:%M %Z}",
                "would send (Wh)": round(row["energy_wh"], 3),
                "exchange now (Wh)": None if now_wh is None else round(now_wh, 3),
                "difference (Wh)": None if now_wh is None else round(row["energy_wh"] - now_wh, 3),
                "forecast by": row["method"].replace("_", " "),
                # A standard profile rests on no measurement.
                "measured in": None
                if row["source_slot"] == row["slot_start"]
                else f"{row['source_slot'].astimezone(zone):%m-%d %H:%M %Z}",
            }
        )
    return rows
