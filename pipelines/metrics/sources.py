"""Readings that wait, and how the sources stand."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection, func, select

from pipelines.community import Cloud, Community
from pipelines.metrics.sample import Sample, instant, sample
from pipelines.store import AccountRow, Cursor, ReadingRow, Verdict, table_of

WAITING = (Verdict.QUARANTINED, Verdict.SUSPECT)


def of_quarantine(connection: Connection) -> Iterator[Sample]:
    """Readings that wait for a correction or a person."""
    row = table_of(ReadingRow).c
    query = select(row.verdict, func.count()).where(row.verdict.in_(WAITING)).group_by(row.verdict)
    counts = dict(connection.execute(query).tuples().all())
    for verdict in WAITING:
        yield sample("readings_waiting", counts.get(verdict.value, 0), verdict.value)


def of_sources(connection: Connection, community: Community, *, now: datetime) -> Iterator[Sample]:
    """How new each source's newest reading is, and which accounts aren't asked."""
    cursor, account = table_of(Cursor).c, table_of(AccountRow).c
    positions = dict(connection.execute(select(cursor.stream_id, cursor.position)).tuples().all())
    newest: dict[str, datetime] = {}
    for key, stream in community.streams().items():
        if (position := positions.get(key)) is not None:
            newest[stream.source] = max(position, newest.get(stream.source, position))
    for source, stamp in newest.items():
        yield instant("source_newest_reading_timestamp_seconds", stamp, source)
    query = select(account.account).where(account.stopped_until > now)
    stopped = set(connection.execute(query).scalars())
    for name, settings in community.sources.items():
        if isinstance(settings, Cloud):
            yield sample("source_stopped", float(name in stopped), name)
