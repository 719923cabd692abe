"""`slotfeed check --connect`: whether the sources and the exchange are what the community file says."""

import asyncio
from datetime import timedelta
from pathlib import Path

from pipelines.clock import WallClock
from pipelines.collect.probe import probe
from pipelines.collect.run import Opening
from pipelines.community import Community
from pipelines.errors import ConfigurationError, Issue, SlotfeedError
from pipelines.exchange import open_exchange
from pipelines.settings import EXCHANGE_PASSWORD, EXCHANGE_USERNAME, Secrets
from pipelines.store.own import open_own_store

PATIENCE = timedelta(minutes=1)
"""What a person waits for."""


async def try_connections(community: Community, folder: Path) -> list[Issue]:
    """Connect to each source and log in at the exchange; every trouble as an issue."""
    secrets, clock = Secrets(folder), WallClock()
    issues: list[Issue] = []
    try:
        # The community's own store: vendors count what a try costs, so it is counted here too.
        store = open_own_store(community, folder, secrets)
    except ConfigurationError as error:
        issues += error.issues
    except SlotfeedError as error:
        remedy = "Correct `database`, or see that the database can be reached"
        issues.append(Issue(where="database", field="", problem=str(error), remedy=remedy))
    else:
        gives_up = clock.now() + PATIENCE
        opening = Opening(
            store=store, community=community, secrets=secrets, folder=folder, clock=clock, gives_up=gives_up
        )
        try:
            for name in community.sources:
                issues += await asyncio.to_thread(probe, name, opening)
        finally:
            store.close()
    try:
        async with open_exchange(
            base_url=community.exchange.base_url,
            username=secrets.need(EXCHANGE_USERNAME, purpose="the exchange's user name"),
            password=secrets.need(EXCHANGE_PASSWORD, purpose="the exchange's password"),
            clock=clock,
            concurrency=1,
        ) as client:
            await client.connect()
    except ConfigurationError as error:
        issues += error.issues
    except SlotfeedError as error:
        remedy = "Correct `exchange.base_url` or the secrets, or try again later"
        issues.append(Issue(where="exchange", field="base_url", problem=str(error), remedy=remedy))
    return issues
