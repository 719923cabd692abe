"""Listening: how far the exchange's market is ahead of its clock, measured so that deadlines follow it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from prefect import flow

from flows.session import Run, open_run, tell_nobody
from pipelines.errors import ConfigurationError, ExchangeUnavailable, Issue
from pipelines.exchange import ExchangeClient
from pipelines.exchange.aggregators import find_aggregator
from pipelines.exchange.listener import Listener, aggregator_url, asset_url, open_listener
from pipelines.exchange.messages import Answer, MarketEvent
from pipelines.store import keep_lead

CONNECTING_S = 15.0
"""Before it is told that the socket isn't there yet (ours)."""

SPARE = timedelta(minutes=5)
"""How much later than its slot a market event may come before it is given up (ours)."""

Say = Callable[[MarketEvent | Answer | str], None]
"""Shows a message, or words about the connection."""


@dataclass(frozen=True, kw_only=True)
class ListenSummary:
    """What was heard."""

    market_events: int
    lead_s: float | None
    """Of the last market event that counted."""


@flow(name="listen", description="Measure how far the exchange's market is ahead of its clock.")
async def listen(community: str = "community.yaml", slots: int = 1) -> dict[str, Any]:
    """Wait for market events and keep the lead they show; the next runs' deadlines follow it.

    Args:
        community: path of the community file.
        slots: market events to wait for, one a slot.

    Returns:
        What was heard.
    """
    async with open_run("listen", community, tell=tell_nobody) as run:
        try:
            async with asyncio.timeout((slots * run.community.slot_length + SPARE).total_seconds()):
                await hear(run, slots=slots, say=lambda _: None)
        except TimeoutError as late:
            raise ExchangeUnavailable(
                f"no {slots} market event(s) came over the exchange's websocket in time"
            ) from late
    return run.summary


async def hear(run: Run, *, slots: int | None, say: Say) -> None:
    """Listen until so many market events have come; None: until the socket is given up.

    Raises:
        ConfigurationError: there is no asset to listen to.
    """
    async with run.exchange() as client:
        url = await _url(run, client)
        async with open_listener(client, url=url, slot_length=run.community.slot_length) as listener:
            connected = await listener.wait_connected(CONNECTING_S)
            say(f"Listening at {url}" if connected else f"Not connected, trying on: {listener.problem}")
            await _count(run, listener, slots, say)


async def _url(run: Run, client: ExchangeClient) -> str:
    """The aggregator's socket where one sends, else that of the first asset with live data."""
    section, simulation = run.community.exchange, run.community.community.simulation_uuid
    if section.protocol == "batch" and section.aggregator is not None:
        aggregator = await find_aggregator(client, simulation, section.aggregator)
        return aggregator_url(section, simulation, aggregator.uuid)
    asset = next((one for one in run.community.assets if one.live), None)
    if asset is None:
        problem, remedy = "no asset's live switch is on, so none is told anything", "Set `live: true` for one"
        raise ConfigurationError([Issue(where="assets", field="live", problem=problem, remedy=remedy)])
    return asset_url(section, simulation, asset.uuid)


async def _count(run: Run, listener: Listener, slots: int | None, say: Say) -> None:
    begun, lead_s = 0, None
    async for message in listener.messages:
        say(message)
        if not isinstance(message, MarketEvent) or message.event != "market":
            continue
        if message.lead is not None:
            lead_s = message.lead.total_seconds()
            simulation = run.community.community.simulation_uuid
            keep_lead(run.store, simulation, message.lead, measured_at=message.at, source=message.event)
        elif listener.lead_problem:
            run.problems.append(listener.lead_problem)
        begun += 1
        run.note("listen", ListenSummary(market_events=begun, lead_s=lead_s))
        if begun == slots:
            return
    run.problems.append(f"the exchange's websocket is given up: {listener.problem}")
