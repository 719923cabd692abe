"""The steps beside the energy's path: a grid operator's fees, keeping the exchange's results, and old rows."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import date, datetime

from flows.moments import in_utc
from flows.session import Run
from flows.steps import step
from pipelines.archive import ArchiveSummary, archive_folder, keep_results
from pipelines.exchange import PROTOCOLS
from pipelines.exchange.addresses import aggregator_url, asset_url
from pipelines.exchange.grid import Hears
from pipelines.exchange.listener import open_listener
from pipelines.fees import FeesSummary, apply_fees
from pipelines.retention import RetentionSummary, age
from pipelines.store.aged import aged_folder

CONNECT_S = 5.0
"""How long a websocket is waited for before the first post; ours. Without it, the reply to the post has to do."""


@step
async def grid_fees(run: Run, *, at: datetime | None = None, dry_run: bool = False) -> FeesSummary:
    """Set the grid fees of the slot that begins next."""
    async with run.exchange() as client:

        @contextlib.asynccontextmanager
        async def listening(uuid: str) -> AsyncIterator[Hears]:
            async with open_listener(client, url=_socket(run, uuid), slot_length=run.community.slot_length) as listener:
                await listener.wait_connected(CONNECT_S)
                yield listener

        report = await apply_fees(
            run.community, client, at=None if at is None else in_utc(at), dry_run=dry_run, listening=listening
        )
    run.note("grid_fees", report)
    run.problems += report.problems
    return report


@step
async def archive(run: Run, *, start: date | None = None) -> ArchiveSummary:
    """Keep the finished days that aren't kept yet."""
    async with run.exchange() as client:
        report = await keep_results(
            run.store, run.community, client, root=archive_folder(run.community, run.folder), start=start
        )
    run.note("archive", report)
    run.problems += report.problems
    return report


@step
async def retention(run: Run) -> RetentionSummary:
    """Move rows that are older than the community file says into files."""
    report = await asyncio.to_thread(
        age,
        run.store,
        run.community.retention,
        root=aged_folder(run.community, run.folder),
        now=run.now,
        run_id=run.run_id,
        stopped=lambda: run.stop.first is not None,
    )
    run.note("retention", report)
    return report


def _socket(run: Run, uuid: str) -> str:
    """Where answers for this market or aggregator come."""
    section, simulation = run.community.exchange, run.community.community.simulation_uuid
    through_aggregator = PROTOCOLS[section.protocol].abilities.many_assets
    return (aggregator_url if through_aggregator else asset_url)(section, simulation, uuid)
