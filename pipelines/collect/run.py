"""Collect: every source's new and changed readings, into the store."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pipelines.clock import Clock
from pipelines.collect.catalogue import vendor_of
from pipelines.collect.cloud.account import Surroundings, open_cloud
from pipelines.collect.database.source import open_database
from pipelines.collect.reading import Job, Tally, read_source
from pipelines.collect.source import Source
from pipelines.collect.summary import CollectSummary, Counts
from pipelines.community import Community, MeterDatabase, Stream
from pipelines.daylight import place_of
from pipelines.errors import (
    AccountStopped,
    AuthenticationError,
    ConfigurationError,
    SourceError,
    SourceUnavailable,
)
from pipelines.settings import Secrets
from pipelines.store import Store
from pipelines.traced import carried, failed, span

LIVE_TIME = timedelta(minutes=4)
"""No request of a live run begins later: a slot is at stake. Ours."""

AT_ONCE = 8
"""Sources read at the same time, so that a slow one doesn't hold up the others. Ours."""

FAILURES = (SourceUnavailable, SourceError, AuthenticationError, AccountStopped, ConfigurationError)
"""What one source can suffer without holding up the others."""


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What sources are opened with."""

    store: Store
    community: Community
    secrets: Secrets
    folder: Path
    """Of the community file."""

    clock: Clock
    gives_up: datetime | None
    """When requests of a live run must have ended; None: there is time."""

    sleep: Callable[[float], None] = time.sleep
    stopping: Callable[[], bool] = lambda: False

    def surroundings(self) -> Surroundings:
        """What vendor accounts are opened with."""
        where = self.community.community
        return Surroundings(
            store=self.store,
            secrets=self.secrets,
            folder=self.folder,
            place=place_of(where.latitude, where.longitude, where.time_zone),
            now=self.clock.now,
            gives_up=self.gives_up,
            sleep=self.sleep,
            stopping=self.stopping,
            allow_http=self.community.allow_http,
        )


@contextlib.contextmanager
def open_source(name: str, opening: Opening) -> Iterator[Source]:
    """A source of the community, whatever its kind.

    Raises:
        ConfigurationError: its settings or its secret.
        AccountStopped, SourceError, SourceUnavailable: it can't be asked.
    """
    settings = opening.community.sources[name]
    if isinstance(settings, MeterDatabase):
        with open_database(name, settings, opening.secrets, opening.folder) as database:
            yield database
        return
    with open_cloud(name, vendor_of(name, settings), settings, opening.surroundings()) as cloud:
        yield cloud


def collect(
    store: Store,
    community: Community,
    secrets: Secrets,
    *,
    folder: Path,
    end: datetime,
    run_id: str,
    clock: Clock,
    start: datetime | None = None,
    sleep: Callable[[float], None] = time.sleep,
    stopping: Callable[[], bool] = lambda: False,
) -> CollectSummary:
    """Read what every source has and the store hasn't, up to `end`.

    Each window is one transaction: readings together with the cursors that moved past them. A run that dies
    is finished by the next; a second run changes nothing. One source that fails or is slow doesn't hold up the others.

    Args:
        store: slotfeed's.
        community: whose sources and streams.
        secrets: the sources' passwords, keys and tokens.
        folder: of the community file; relative SQLite paths start there.
        end: the last instant wanted, aware. A span that isn't over by then waits.
        run_id: of this run.
        clock: the run's.
        start: the first instant wanted: a backfill. None: what follows each stream's cursor, less the
            source's overlap, and late rows where the source tells them.
        sleep: waits between tries.
        stopping: whether to ask for nothing more; from any thread. What isn't asked any more has failed by that.

    Raises:
        SourceUnavailable, SourceError, AuthenticationError, AccountStopped, ConfigurationError: no source could be
            read; this is what the first one failed with.
        StoreError: slotfeed's own database failed. Windows before are stored.
    """
    now = clock.now()
    job = Job(
        store=store,
        end=end,
        start=start,
        received_at=now,
        run_id=run_id,
        slot_length=community.slot_length,
        stopping=stopping,
    )
    opening = Opening(
        store=store,
        community=community,
        secrets=secrets,
        folder=folder,
        clock=clock,
        gives_up=now + LIVE_TIME if start is None else None,
        sleep=sleep,
        stopping=stopping,
    )
    streams: dict[str, dict[str, Stream]] = {}
    for key, stream in community.streams().items():
        streams.setdefault(stream.source, {})[key] = stream
    wanted = [name for name in community.sources if name in streams]

    @carried
    def one(name: str) -> Tally:
        with span("collect source", source=name) as opened:
            tally = _collect_source(job, opening, name, streams[name])
            opened.set_attributes({"slotfeed.stored": tally.counts.stored, "slotfeed.fetched": tally.counts.fetched})
            if tally.failure is not None:
                failed(opened, tally.failure)
            return tally

    with ThreadPoolExecutor(min(AT_ONCE, max(len(wanted), 1))) as pool:
        tallies = dict(zip(wanted, pool.map(one, wanted), strict=True))
    failures = {name: tally.failure for name, tally in tallies.items() if tally.failure is not None}
    if failures and len(failures) == len(tallies):
        raise next(iter(failures.values()))
    return CollectSummary(
        **asdict(sum((tally.counts for tally in tallies.values()), start=Counts())),
        per_source={name: tally.counts for name, tally in tallies.items()},
        coverage={name: tally.coverage for name, tally in tallies.items() if tally.coverage is not None},
        streams_without_data=[
            key
            for name, tally in tallies.items()
            if tally.failure is None
            for key in streams[name]
            if key not in tally.seen
        ],
        sources_failed={name: str(failure) for name, failure in failures.items()},
        devices_failed={
            f"{name}/{device}": str(error)
            for name, tally in tallies.items()
            for device, error in tally.failed.items()
            if error is not tally.failure
        },
    )


def _collect_source(job: Job, opening: Opening, name: str, streams: Mapping[str, Stream]) -> Tally:
    settings = opening.community.sources[name]
    zone = settings.time_zone if isinstance(settings, MeterDatabase) else None
    tally = Tally(unknown=Counter())
    try:
        with open_source(name, opening) as source:
            read_source(job, source, streams, zone or "UTC", tally)
    except FAILURES as error:
        tally.failure = error
    return tally
