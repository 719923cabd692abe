"""`slotfeed check --connect`: whether the sources and the exchange are what the community file says."""

import asyncio
from datetime import timedelta
from pathlib import Path

from flows.logged_in import logged_in
from pipelines.clock import Clock, WallClock
from pipelines.collect.probe import probe
from pipelines.collect.run import Opening
from pipelines.community import Community
from pipelines.errors import ConfigurationError, Issue, RejectedError, Severity, SlotfeedError, Topic
from pipelines.exchange import ExchangeClient
from pipelines.exchange.graphql import live_switches
from pipelines.exchange.registry import asset_places, read_registry
from pipelines.settings import Secrets
from pipelines.store import Store
from pipelines.store.own import open_own_store
from pipelines.sync import standing_issues

PATIENCE = timedelta(minutes=1)
"""What a person waits for."""


async def try_connections(community: Community, folder: Path) -> list[Issue]:
    """Connect to each source and the exchange, and look for each asset there; every trouble as an issue."""
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
        try:
            issues += await try_sources(community, folder, secrets, store, clock)
        finally:
            store.close()
    return issues + await _try_exchange(community, folder)


async def try_sources(community: Community, folder: Path, secrets: Secrets, store: Store, clock: Clock) -> list[Issue]:
    """Connect to each source, and look for the devices that the file names; every trouble as an issue."""
    gives_up = clock.now() + PATIENCE
    opening = Opening(store=store, community=community, secrets=secrets, folder=folder, clock=clock, gives_up=gives_up)
    issues: list[Issue] = []
    for name in community.sources:
        issues += await asyncio.to_thread(probe, name, opening)
    return issues


async def _try_exchange(community: Community, folder: Path) -> list[Issue]:
    section = community.exchange
    try:
        async with logged_in(section.base_url, folder, allow_http=community.allow_http) as client:
            return await try_assets(community, client)
    except ConfigurationError as error:
        return list(error.issues)
    except SlotfeedError as error:
        remedy = "Correct `exchange.base_url` or the secrets, or try again later"
        return [Issue(where="exchange", field="base_url", problem=str(error), remedy=remedy)]


async def try_assets(community: Community, client: ExchangeClient) -> list[Issue]:
    """Whether the exchange takes what the assets send; it knows them and their switches by its registry.

    Args:
        community: the file.
        client: connected.
    """
    simulation = community.community.simulation_uuid
    try:
        places = asset_places(await read_registry(client, simulation))
    except RejectedError as error:
        remedy = "Correct `community.simulation_uuid`, or ask its owner to show it to this user"
        return [Issue(where="community", field="simulation_uuid", problem=str(error), remedy=remedy)]
    try:
        live = await live_switches(client, simulation)
    except SlotfeedError as error:
        remedy = "See on the exchange's page that each asset's live switch is on"
        told = Issue(
            where="exchange",
            field="",
            problem=str(error),
            remedy=remedy,
            severity=Severity.NOTICE,
            topic=Topic.SWITCHES_UNTOLD,
        )
        return [*standing_issues(community, places, None), told]
    return standing_issues(community, places, live)
