"""`slotfeed check --connect`: whether the sources and the exchange are what the community file says."""

from pathlib import Path

from pipelines.clock import WallClock
from pipelines.collect import probe
from pipelines.community import Community, resolve_sqlite_path
from pipelines.errors import ConfigurationError, Issue, SlotfeedError
from pipelines.exchange import open_exchange
from pipelines.settings import EXCHANGE_PASSWORD, EXCHANGE_USERNAME, Secrets, database_url, source_password


async def try_connections(community: Community, folder: Path) -> list[Issue]:
    """Connect to each source and log in at the exchange; every trouble as an issue."""
    secrets = Secrets(folder)
    issues: list[Issue] = []
    for name, source in community.sources.items():
        try:
            url = database_url(
                resolve_sqlite_path(source.url, folder), source_password(name), secrets, where=f"source '{name}'"
            )
            issues += probe(name, source, url)
        except ConfigurationError as error:
            issues += error.issues
    try:
        async with open_exchange(
            base_url=community.exchange.base_url,
            username=secrets.need(EXCHANGE_USERNAME, purpose="the exchange's user name"),
            password=secrets.need(EXCHANGE_PASSWORD, purpose="the exchange's password"),
            clock=WallClock(),
            concurrency=1,
        ) as client:
            await client.connect()
    except ConfigurationError as error:
        issues += error.issues
    except SlotfeedError as error:
        remedy = "Correct `exchange.base_url` or the secrets, or try again later"
        issues.append(Issue(where="exchange", field="base_url", problem=str(error), remedy=remedy))
    return issues
