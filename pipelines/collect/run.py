"""Collect: every source's new and changed readings, into the store."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from pipelines.collect.connection import SourceDatabase, open_source
from pipelines.collect.keep import keep, read_cursors
from pipelines.collect.meter_database import fetch
from pipelines.collect.normalise import Fetch, Readings, normalise, reach_of, stream_frame
from pipelines.collect.query import Asked
from pipelines.collect.summary import CollectSummary, Counts
from pipelines.collect.windows import plan
from pipelines.community import Community, MeterDatabase, Stream, resolve_sqlite_path
from pipelines.errors import AuthenticationError, ConfigurationError, SlotfeedError, SourceError, SourceUnavailable
from pipelines.settings import Secrets, database_url, source_password
from pipelines.store import Store

FIRST_REACH = timedelta(hours=24)
"""How far back a stream is read that was never read before."""

INGEST_MARGIN = timedelta(hours=3)
"""Late rows are asked for from a little before the newest one known: rows are committed after they are stamped, and
`ingested_at` itself may run through a repeated hour."""

FAILURES = (SourceUnavailable, SourceError, AuthenticationError, ConfigurationError)
"""What one source can suffer without holding up the others."""


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What all windows of a run have in common."""

    store: Store
    end: datetime
    start: datetime | None
    received_at: datetime
    run_id: str
    slot_length: timedelta


@dataclass
class _Tally:
    """What one source brought so far; stands even if its next window fails."""

    counts: Counts = field(default_factory=Counts)
    seen: set[str] = field(default_factory=set)
    failure: SlotfeedError | None = None


def collect(
    store: Store,
    community: Community,
    secrets: Secrets,
    *,
    folder: Path,
    end: datetime,
    run_id: str,
    received_at: datetime,
    start: datetime | None = None,
) -> CollectSummary:
    """Read what every source has and the store hasn't, up to `end`.

    Each window of at most a week is one query and one transaction: readings together with the cursors
    that moved past them. A run that dies is finished by the next; a second run changes nothing. One source
    that fails doesn't hold up the others.

    Args:
        store: slotfeed's.
        community: whose sources and streams.
        secrets: the sources' passwords.
        folder: of the community file; relative SQLite paths start there.
        end: the last instant wanted, aware. A span that isn't over by then waits.
        run_id: of this run.
        received_at: now, aware.
        start: the first instant wanted: a backfill. None: what follows each stream's cursor, less the
            source's overlap, and late rows where the source tells them.

    Raises:
        SourceUnavailable, SourceError, AuthenticationError, ConfigurationError: no source could be read; this is what
            the first one failed with.
        StoreError: slotfeed's own database failed. Windows before are stored.
    """
    job = _Job(
        store=store, end=end, start=start, received_at=received_at, run_id=run_id, slot_length=community.slot_length
    )
    tallies: dict[str, _Tally] = {}
    silent: list[str] = []
    for name, settings in community.sources.items():
        streams = {key: stream for key, stream in community.streams().items() if stream.source == name}
        if not streams:
            continue
        tally = tallies[name] = _Tally()
        try:
            url = database_url(
                resolve_sqlite_path(settings.url, folder), source_password(name), secrets, where=f"source '{name}'"
            )
            with open_source(name, url) as database:
                _collect_source(job, database, settings, streams, tally)
        except FAILURES as error:
            tally.failure = error
        else:
            silent += [stream_id for stream_id in streams if stream_id not in tally.seen]
    failures = {name: tally.failure for name, tally in tallies.items() if tally.failure is not None}
    if failures and len(failures) == len(tallies):
        raise next(iter(failures.values()))
    return CollectSummary(
        **asdict(sum((tally.counts for tally in tallies.values()), start=Counts())),
        per_source={name: tally.counts for name, tally in tallies.items()},
        streams_without_data=silent,
        sources_failed={name: str(failure) for name, failure in failures.items()},
    )


def _collect_source(
    job: _Job, database: SourceDatabase, settings: MeterDatabase, streams: Mapping[str, Stream], tally: _Tally
) -> None:
    with job.store.reading() as connection:
        known = read_cursors(connection, streams)
    cursors = {row["stream_id"]: row for row in known.to_dicts()}
    frame = stream_frame(streams.values(), settings, job.slot_length)
    positions = {stream_id: cursors[stream_id]["position"] for stream_id in cursors}
    # A backfill that begins after a cursor leaves a gap behind it, which the cursor must not pass.
    moving = {s for s in streams if job.start is None or s not in positions or job.start <= positions[s]}
    for window in plan(_starts(job, settings, streams, positions), job.end):
        some = frame.filter(pl.col("stream_id").is_in(window.stream_ids))
        live = window.newest and job.start is None
        # Every stream's rows were asked for up to the newest stamp that any of them had.
        since = [row["changed_since"] for row in cursors.values() if row["changed_since"] is not None] if live else []
        asking = Fetch(
            source=database.name,
            start=window.start,
            end=window.end,
            since=max(since) - INGEST_MARGIN if since else None,
            received_at=job.received_at,
            run_id=job.run_id,
        )
        readings = _read(database, settings, some, asking)
        kept = keep(job.store, readings.frame, asking, moving=moving, up_to_date=live)
        tally.seen |= set(readings.frame["stream_id"])
        tally.counts += Counts(
            fetched=readings.fetched,
            stored=kept.stored,
            corrected=kept.corrected,
            duplicates=readings.duplicates,
            nulls=readings.nulls,
        )


def _starts(
    job: _Job, settings: MeterDatabase, streams: Mapping[str, Stream], positions: Mapping[str, datetime]
) -> dict[str, datetime]:
    if job.start is not None:
        return dict.fromkeys(streams, job.start)
    overlap = timedelta(minutes=settings.overlap)
    return {
        stream_id: min(positions[stream_id], job.end) - overlap if stream_id in positions else job.end - FIRST_REACH
        for stream_id in streams
    }


def _read(database: SourceDatabase, settings: MeterDatabase, streams: pl.DataFrame, asking: Fetch) -> Readings:
    asked = Asked(
        devices=streams["meter"].unique().sort().to_list(),
        registers=streams["wanted"].filter(streams["wanted"] != "").unique().sort().to_list(),
        within=reach_of(streams, settings, asking.start, asking.end),
        zones=streams["zone"].unique().to_list(),
        since=asking.since,
    )
    with database.reading() as connection:
        raw = fetch(connection, database.name, settings, asked)
    return normalise(raw, streams, settings, asking)
