"""Reads one open source, window by window."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl
from sqlalchemy import Connection

from pipelines.collect.gaps import Cadence, due_windows, find_gaps, note_gaps, read_gaps
from pipelines.collect.keep import Kept, keep, latest_stamp, read_cursors
from pipelines.collect.normalise import Readings, normalise, stream_frame
from pipelines.collect.source import OF_THE_WHOLE, Answer, Fetch, Source
from pipelines.collect.summary import Counts, Coverage
from pipelines.collect.windows import Window, plan
from pipelines.community import Stream
from pipelines.errors import SlotfeedError, SourceUnavailable
from pipelines.store import Store

FIRST_REACH = timedelta(hours=24)
"""How far back a stream is read that was never read before."""

INGEST_MARGIN = timedelta(hours=3)
"""Late rows are asked for from a little before the newest one known: rows are committed after they are stamped, and
`ingested_at` itself may run through a repeated hour."""

CLOCK_TOLERANCE_S = 180.0
"""A vendor's clock that is further from ours is told of. Ours."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all windows of a run have in common."""

    store: Store
    end: datetime
    start: datetime | None
    received_at: datetime
    run_id: str
    slot_length: timedelta
    stopping: Callable[[], bool] = lambda: False
    """Whether no window is to be begun."""


@dataclass(kw_only=True)
class Tally:
    """What one source brought so far; stands even if its next window fails."""

    counts: Counts = field(default_factory=Counts)
    seen: set[str] = field(default_factory=set)
    """Streams for which a value came."""

    failed: dict[str, SlotfeedError] = field(default_factory=dict)
    """Devices that could not be read to the end."""

    unknown: Counter[str] = field(default_factory=Counter)
    waits: str = ""
    failure: SlotfeedError | None = None
    coverage: Coverage | None = None


def read_source(job: Job, source: Source, streams: Mapping[str, Stream], zone: str, tally: Tally) -> None:
    """Read all that a source has and the store hasn't.

    Args:
        job: of the run.
        source: open.
        streams: of this source, by id.
        zone: of naive stamps.
        tally: filled as windows are stored.

    Raises:
        SourceUnavailable, SourceError, AuthenticationError, AccountStopped: the source failed; what came before is
            stored.
    """
    reader = _Reader(job, source, streams, zone, tally)
    try:
        reader.read_all()
    finally:
        tally.coverage = reader.coverage()


class _Reader:
    def __init__(self, job: Job, source: Source, streams: Mapping[str, Stream], zone: str, tally: Tally) -> None:
        self._job, self._source, self._tally = job, source, tally
        self._streams = streams
        self._frame = stream_frame(streams.values(), zone, job.slot_length)
        # A span that has just ended may still grow.
        self._end = min(job.end, job.received_at - source.settle)
        with job.store.reading() as connection:
            known = read_cursors(connection, streams)
            self._gaps = read_gaps(connection, streams) if source.step else None
        self._positions: dict[str, datetime] = dict(known.select("stream_id", "position").iter_rows())
        self._changed = known["changed_since"].max()
        # A backfill that begins after a cursor leaves a gap behind it, which the cursor must not pass.
        self._moving = {
            stream_id
            for stream_id in streams
            if job.start is None or stream_id not in self._positions or job.start <= self._positions[stream_id]
        }

    def read_all(self) -> None:
        """What is new first, for a slot is at stake; then what is missing behind it."""
        starts = {stream_id: min(self._start_of(stream_id), self._end) for stream_id in self._streams}
        held: set[str] = set()
        for window in plan(starts, self._end, self._source.longest_window):
            ids = [stream_id for stream_id in window.stream_ids if stream_id not in held]
            if ids:
                # Of a device that failed nothing later is read: the cursor would pass what it lacks.
                held |= self._read_window(window, ids)
        if self._gaps is not None and self._source.step and self._job.start is None:
            cadence = Cadence(step=self._source.step, memory=self._source.memory)
            for window in due_windows(self._gaps, cadence, now=self._end, longest=self._source.longest_window):
                self._read_window(window, window.stream_ids)

    def coverage(self) -> Coverage:
        step = self._source.step or self._job.slot_length
        due = {}
        for stream_id in self._streams:
            position = self._positions.get(stream_id)
            if position is None or self._end - position > 2 * step:
                due[stream_id] = f"{position:%Y-%m-%dT%H:%M:%SZ}" if position else ""
        notes = [self._tally.waits] if self._tally.waits else []
        if self._tally.unknown:
            named = ", ".join(f"{name} ({count} times)" for name, count in self._tally.unknown.most_common(5))
            notes.append(f"fields that the vendor's papers don't tell of: {named}")
        if abs(self._source.ahead_s) > CLOCK_TOLERANCE_S:
            side = "ahead of" if self._source.ahead_s > 0 else "behind"
            notes.append(f"its clock is {abs(self._source.ahead_s):.0f} s {side} this machine's")
        with self._job.store.reading() as connection:
            gaps = read_gaps(connection, self._streams).height if self._source.step else 0
        return Coverage(
            asked_until=f"{self._end:%Y-%m-%dT%H:%M:%SZ}",
            streams=len(self._streams),
            with_data=len(self._tally.seen),
            due=due,
            gaps=gaps,
            notes=tuple(notes),
        )

    def _start_of(self, stream_id: str) -> datetime:
        if self._job.start is not None:
            return self._job.start
        if stream_id in self._positions:
            return min(self._positions[stream_id], self._end) - self._source.overlap
        return self._end - FIRST_REACH

    def _read_window(self, window: Window, ids: Collection[str]) -> set[str]:
        """Read and store a window; the streams whose devices failed."""
        if self._job.stopping():
            raise SourceUnavailable(f"source '{self._source.name}': not read to the end, the run is being stopped")
        live = window.newest and self._job.start is None
        fetch = Fetch(
            source=self._source.name,
            start=window.start,
            end=window.end,
            # Every stream's rows were asked for up to the newest stamp that any of them had.
            since=self._changed - INGEST_MARGIN if live and isinstance(self._changed, datetime) else None,
            received_at=self._job.received_at,
            run_id=self._job.run_id,
            open_end=live and self._source.step is not None,
        )
        frame = self._frame.filter(pl.col("stream_id").is_in(list(ids)))
        answer = self._source.read(frame, fetch)
        readings = normalise(answer.rows, frame, self._source.wording, fetch)
        lost = set(frame.filter(pl.col("meter").is_in(list(answer.failed)))["stream_id"])
        # A gap that the vendor wasn't asked for is asked for the next time, as if this had not been.
        unasked = answer.holds or (bool(answer.waits) and not window.newest)
        kept = self._keep(readings, fetch, answered=set(ids) - lost, live=live, holds=answer.holds, unasked=unasked)
        self._count(readings, kept, answer)
        whole = [error for error in answer.failed.values() if isinstance(error, OF_THE_WHOLE)]
        away = lost == set(ids) and all(isinstance(error, SourceUnavailable) for error in answer.failed.values())
        if whole or away:
            # Nothing more is to be had of this source now.
            raise next(iter(whole or answer.failed.values()))
        return lost

    def _keep(
        self, readings: Readings, fetch: Fetch, *, answered: set[str], live: bool, holds: bool, unasked: bool
    ) -> Kept:
        moving: set[str] = set() if holds else self._moving & answered
        plausible = readings.frame.filter(pl.col("ts") <= latest_stamp(fetch))
        step = self._source.step
        found = None
        if step and not unasked and self._gaps is not None:
            positions = {"stream_id": list(self._positions), "position": list(self._positions.values())}
            before = pl.DataFrame(positions, schema={"stream_id": pl.String(), "position": pl.Datetime("us", "UTC")})
            found = find_gaps(plausible.filter(pl.col("stream_id").is_in(list(answered))), before, step)
        known = self._gaps

        def beside(connection: Connection) -> None:
            if found is not None and known is not None:
                note_gaps(connection, found, known, fetch, asked=answered)

        kept = keep(
            self._job.store,
            readings.frame,
            fetch,
            moving=moving,
            up_to_date=live,
            yielding=self._source.wording.own_substitutes,
            beside=beside,
        )
        for stream_id, newest in plausible.group_by("stream_id").agg(pl.col("ts").max()).iter_rows():
            if stream_id in moving:
                self._positions[stream_id] = max(newest, self._positions.get(stream_id, newest))
        return kept

    def _count(self, readings: Readings, kept: Kept, answer: Answer) -> None:
        tally = self._tally
        tally.seen |= set(readings.frame["stream_id"])
        tally.failed |= {d: error for d, error in answer.failed.items() if not isinstance(error, OF_THE_WHOLE)}
        tally.unknown.update(answer.unknown)
        tally.waits = answer.waits or tally.waits
        tally.counts += Counts(
            fetched=readings.fetched,
            stored=kept.stored,
            corrected=kept.corrected,
            duplicates=readings.duplicates,
            nulls=readings.nulls,
        )
