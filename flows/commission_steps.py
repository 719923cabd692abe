"""The steps of commissioning: ask around, walk the assets, write certificates."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.session import Run
from flows.steps import step
from flows.trial import PATIENCE, try_assets
from pipelines.collect.probe import probe
from pipelines.collect.run import AT_ONCE, Opening
from pipelines.commission.around import Around
from pipelines.commission.asking import sources_to_ask
from pipelines.commission.choosing import choose_assets
from pipelines.commission.names import DAY, Terms
from pipelines.commission.publish import FOLDER, Written, write_certificates
from pipelines.commission.run import Commissioning
from pipelines.commission.run import commission as walk_assets
from pipelines.errors import ConfigurationError, Issue, SlotfeedError
from pipelines.exchange import PROTOCOLS

EXCHANGE_REMEDY = "Correct `exchange.base_url` or the secrets, or try again later"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a walk is asked for."""

    assets: tuple[str, ...] = ()
    """Names or uuids; none: all."""

    terms: Terms = DAY
    ask_all: bool = False
    """Knock at every source of these assets, as a person wants it; else only where it is needed."""

    notices: tuple[Issue, ...] = ()
    """What `check` noticed of the file."""


@step
async def ask_around(run: Run, wanted: Wanted) -> Around:
    """Knock at the sources and the exchange."""
    assets = choose_assets(run.community, wanted.assets)
    names = list(dict.fromkeys(stream.source for asset in assets for stream in asset.streams))
    asked = set(names) if wanted.ask_all else sources_to_ask(run.store, assets, now=run.now)
    sources, (answered, exchange) = await asyncio.gather(
        _ask_sources(run, [name for name in names if name in asked]), _ask_exchange(run)
    )
    return Around(
        sources=sources,
        spared=frozenset(names) - frozenset(sources),
        exchange=exchange,
        exchange_answered=answered,
        notices=wanted.notices,
    )


async def _ask_sources(run: Run, names: Sequence[str]) -> dict[str, list[Issue]]:
    opening = Opening(
        store=run.store,
        community=run.community,
        secrets=run.secrets,
        folder=run.folder,
        clock=run.clock,
        gives_up=run.clock.now() + PATIENCE,
        sleep=run.stop.pause,
        stopping=run.stop.asked,
    )
    room = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> list[Issue]:
        async with room:
            return await asyncio.to_thread(probe, name, opening)

    found = await asyncio.gather(*(one(name) for name in names))
    return dict(zip(names, found, strict=True))


async def _ask_exchange(run: Run) -> tuple[bool, list[Issue]]:
    """Whether it answered, and what is wrong there."""
    try:
        async with run.exchange() as client:
            return True, await try_assets(run.community, client)
    except ConfigurationError as error:
        return False, list(error.issues)
    except SlotfeedError as error:
        return False, [Issue(where="exchange", field="base_url", problem=str(error), remedy=EXCHANGE_REMEDY)]


@step
async def judge_assets(run: Run, wanted: Wanted, around: Around) -> Commissioning:
    """Walk the assets through the steps; issue and end certificates."""
    chosen = choose_assets(run.community, wanted.assets) if wanted.assets else []
    found = await asyncio.to_thread(
        walk_assets,
        run.store,
        run.community,
        around,
        abilities=PROTOCOLS[run.community.exchange.protocol].abilities,
        terms=wanted.terms,
        asset_ids=[asset.asset_id for asset in chosen],
        now=run.now,
        run_id=run.run_id,
    )
    run.note("commission", found.summary)
    return found


@step
async def write_pages(run: Run, wanted: Wanted, found: Commissioning) -> list[Written]:
    """Write the certificates that are new or have ended, and those that somebody asked for by name."""
    assets = [
        one.asset
        for one in found.standings
        if one.certificate and (wanted.assets or one.asset.asset_id in found.changed)
    ]
    written = await asyncio.to_thread(write_certificates, run.store, assets, certificates_folder(run))
    run.summary["certificates"] = [str(one.path) for one in written[:NAMED]]
    return written


NAMED = 50
"""Pages that the run log names."""


def certificates_folder(run: Run) -> Path:
    """Where certificates are: beside the daily run's pages."""
    return run.folder / run.community.quality.folder / FOLDER
