"""Posts a slot the way the feed does: from the outbox, through `deliver`, until every outcome is written."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from posting_exchange import PASSWORD, SIMULATION, SLOT, USERNAME
from pydantic import SecretStr

from pipelines.clock import WallClock
from pipelines.community import Community
from pipelines.deliver import deliver, open_line
from pipelines.exchange import PROTOCOLS, open_exchange
from pipelines.frames import Quantity, State
from pipelines.slots import forecast_window
from pipelines.store import Store, SubmissionRow, insert_rows, open_store

AGGREGATOR = "Bench"


@dataclass(frozen=True, kw_only=True)
class Posted:
    """What posting a slot took."""

    assets: int
    seconds: float
    cpu_s: float
    """Of this process."""

    before_s: float | None = None
    """Login, and what else the protocol asks for before the first post."""

    at_once: int | None = None
    """Of the sequential peer: answers that were there when it first looked, so that it never waited."""


def community_of(url: str, assets: Sequence[str], protocol: str, concurrency: int) -> Community:
    """All of them loads; what meters them plays no part."""

    def asset(number: int, uuid: str) -> dict[str, object]:
        stream = {"source": "meters", "device": uuid, "kind": "register", "unit": "Wh"}
        return {"name": f"Load {number}", "uuid": uuid, "type": "load", "rated_power_kw": 10, "streams": [stream]}

    exchange = {"base_url": url, "protocol": protocol, "concurrency": concurrency}
    return Community.model_validate(
        {
            "community": {"name": "Bench", "simulation_uuid": SIMULATION},
            "exchange": exchange | ({"aggregator": AGGREGATOR} if protocol == "batch" else {}),
            "sources": {
                "meters": {
                    "type": "meter_database",
                    "url": "sqlite:///meters.sqlite",
                    "table": "t",
                    "columns": {"meter": "id", "time": "at", "value": "v"},
                    "time_type": "epoch_s",
                }
            },
            "assets": [asset(number, uuid) for number, uuid in enumerate(assets)],
        }
    )


async def post_slot(community: Community, slot: datetime, energy_wh: Sequence[float], folder: Path) -> Posted:
    """Fill an outbox, and deliver it.

    Raises:
        RuntimeError: something wasn't accepted.
    """
    store = open_store(f"sqlite:///{folder / f'{community.exchange.protocol}_{slot:%d%H%M}.sqlite'}")
    try:
        _fill(store, community, slot, energy_wh)
        began = time.perf_counter()
        async with (
            open_exchange(
                base_url=community.exchange.base_url,
                username=SecretStr(USERNAME),
                password=SecretStr(PASSWORD),
                clock=WallClock(),
                concurrency=community.exchange.concurrency,
            ) as client,
        ):
            await client.connect()
            async with open_line(client, community) as line:
                ready, cpu = time.perf_counter(), time.process_time()
                summary = await deliver(store, community, client, line=line)
                seconds, cpu_s = time.perf_counter() - ready, time.process_time() - cpu
    finally:
        store.close()
    if summary.accepted != len(community.assets):
        raise RuntimeError(f"{community.exchange.protocol}: not all was accepted: {summary}")
    return Posted(assets=len(community.assets), seconds=seconds, cpu_s=cpu_s, before_s=ready - began)


def _fill(store: Store, community: Community, slot: datetime, energy_wh: Sequence[float]) -> None:
    abilities = PROTOCOLS[community.exchange.protocol].abilities
    window = forecast_window(slot, length=SLOT, margin=community.margin, abilities=abilities)
    rows = [
        {
            "asset_id": asset.asset_id,
            "slot_start": slot,
            "quantity": Quantity.FORECAST.value,
            "version": 0,
            "energy_wh": value,
            "source_slot": slot - 2 * SLOT,
            "quality": "MEASURED",
            "method": "persistence",
            "opens_at": window.opens_at,
            "closes_at": window.closes_at,
            "state": State.PENDING.value,
            "attempts": 0,
            "created_at": slot - SLOT,
            "run_id": "bench",
        }
        for asset, value in zip(community.assets, energy_wh, strict=True)
    ]
    with store.writing() as connection:
        insert_rows(connection, SubmissionRow, rows)
