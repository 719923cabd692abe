"""Incidents: an alarm from when it is first seen until it is gone, kept and told once each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row, and_, or_, select, update

from pipelines.store import IncidentRow, Store, insert_rows, table_of
from pipelines.watch.alarms import REMEDIES, Alarm, Kind

GONE_AFTER = timedelta(minutes=30)
"""An alarm must be away for so long before its incident ends (ours): one that comes and goes is one incident."""


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One trouble, with its beginning and perhaps its end."""

    id: int
    kind: Kind
    subject: str
    told: str
    """What was seen last."""

    opened_at: datetime
    closed_at: datetime | None

    @property
    def remedy(self) -> str:
        """What to do."""
        return REMEDIES[self.kind]


def headline(incident: Incident) -> str:
    """Its kind and what it is about: `asset.silent asset 'Flat 3' (uuid)`."""
    return f"{incident.kind.value} {incident.subject}".strip()


def settle(connection: Connection, alarms: Iterable[Alarm], *, now: datetime, run_id: str) -> None:
    """Open an incident for each new alarm, keep those that stand, and end those that have been away for a while.

    Args:
        connection: inside a write transaction.
        alarms: all that is wrong now.
        now: the run's time.
        run_id: written on what is opened.
    """
    row = table_of(IncidentRow)
    seen = {(alarm.kind.value, alarm.subject): alarm for alarm in alarms}
    standing = connection.execute(
        select(row.c.id, row.c.kind, row.c.subject, row.c.seen_at).where(row.c.closed_at.is_(None))
    ).all()
    known = {(one.kind, one.subject) for one in standing}
    for one in standing:
        alarm = seen.get((one.kind, one.subject))
        if alarm is not None:
            connection.execute(update(row).where(row.c.id == one.id).values(told=alarm.told, seen_at=now))
        elif now - one.seen_at >= GONE_AFTER:
            connection.execute(update(row).where(row.c.id == one.id).values(closed_at=now))
    insert_rows(
        connection,
        IncidentRow,
        [
            {"kind": kind, "subject": subject, "told": alarm.told, "opened_at": now, "seen_at": now, "run_id": run_id}
            for (kind, subject), alarm in seen.items()
            if (kind, subject) not in known
        ],
    )


def open_incidents(connection: Connection) -> list[Incident]:
    """Those that stand, the oldest first."""
    row = table_of(IncidentRow)
    query = select(row).where(row.c.closed_at.is_(None)).order_by(row.c.opened_at, row.c.kind, row.c.subject)
    return [_incident(one) for one in connection.execute(query)]


def standing(store: Store) -> list[Incident]:
    """Those that stand, the oldest first."""
    with store.reading() as connection:
        return open_incidents(connection)


def untold(store: Store) -> list[Incident]:
    """Those whose beginning or end nobody has been told yet, the oldest first. One that ends untold is told once."""
    row = table_of(IncidentRow)
    began = row.c.told_at.is_(None)
    ended = and_(row.c.closed_at.is_not(None), row.c.end_told_at.is_(None))
    with store.reading() as connection:
        found = connection.execute(select(row).where(or_(began, ended)).order_by(row.c.opened_at, row.c.id))
        return [_incident(one) for one in found]


def mark_told(store: Store, incidents: Sequence[Incident], *, now: datetime) -> None:
    """Somebody has been told of these, as they are here."""
    row = table_of(IncidentRow)
    with store.writing() as connection:
        for one in incidents:
            told = {"told_at": now} if one.closed_at is None else {"told_at": now, "end_told_at": now}
            connection.execute(update(row).where(row.c.id == one.id).values(**told))


def _incident(row: Row[tuple[object, ...]]) -> Incident:
    return Incident(
        id=row.id,
        kind=Kind(row.kind),
        subject=row.subject,
        told=row.told,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
    )
