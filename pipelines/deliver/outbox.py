"""The outbox's transitions, each one transaction: lease, mark, give back, expire.

    pending -> sending -> accepted -> confirmed (by reconciliation)
       |          |-> rejected
       |          |-> pending   gave up for now; the next run tries again
       |-> expired              its time is over: it is never sent
       |-> superseded           a newer version has taken its place

A row is leased before it leaves. If the worker dies, the lease lapses and the row is sent again: at least
once, never silently not at all. An older version never follows a newer one: it isn't leased while a newer one
stands, and a newer one waits until an older one in flight is settled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import Connection, Select, Table, and_, bindparam, case, exists, literal, or_, select, update
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import FromClause

from pipelines.frames import Quantity, State
from pipelines.store import CHUNK, Store, SubmissionRow, table_of

LEASE = timedelta(minutes=5)
"""Longer than a post with all its tries takes (`ALL_ATTEMPTS_S` and one request), shorter than a slot."""

OUTCOME_UNKNOWN = "sent, but no answer was recorded; reconciliation will tell whether it arrived"
NEVER_SENT = "not sent in time"
SWITCHED_OFF = "not sent: the asset's live switch is off (`live: false`)"


@dataclass(frozen=True, kw_only=True)
class Leased:
    """A submission this worker may send now."""

    id: int
    asset_id: str
    slot_start: datetime
    quantity: Quantity
    energy_wh: float
    closes_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one leased submission."""

    id: int
    state: State
    at: datetime
    error: str = ""
    again: bool = False
    """Goes back so that this worker may take it once more."""


def expire_overdue(store: Store, *, now: datetime) -> int:
    """Close what can't be sent any more, and free what a dead worker had leased.

    Args:
        store: the outbox.
        now: the exchange's time where it is known.

    Returns:
        How many rows became `expired`.
    """
    row = table_of(SubmissionRow)
    lapsed = and_(row.c.state == State.SENDING, row.c.leased_until <= now)
    overdue = and_(row.c.closes_at.is_not(None), row.c.closes_at <= now)
    with store.writing() as connection:
        lost = connection.execute(
            update(row).where(lapsed, overdue).values(state=State.EXPIRED.value, error=OUTCOME_UNKNOWN, leased_by="")
        ).rowcount
        connection.execute(update(row).where(lapsed).values(state=State.PENDING.value, leased_by=""))
        _supersede_older_pending(connection)
        unsent = connection.execute(
            update(row)
            .where(row.c.state == State.PENDING, overdue)
            .values(state=State.EXPIRED.value, error=_reason(row))
        ).rowcount
    return int(lost + unsent)


def close_switched_off(store: Store, *, assets: Sequence[str]) -> int:
    """Close what waits for assets that take no live data: measurements have no deadline that would end them.

    Args:
        store: the outbox.
        assets: whose live switch is off.

    Returns:
        How many rows became `expired`.
    """
    if not assets:
        return 0
    row = table_of(SubmissionRow)
    waiting = and_(row.c.state == State.PENDING, row.c.asset_id.in_(assets))
    with store.writing() as connection:
        closed = connection.execute(
            update(row).where(waiting).values(state=State.EXPIRED.value, error=SWITCHED_OFF)
        ).rowcount
    return int(closed)


def lease_due(store: Store, *, assets: Sequence[str], now: datetime, worker: str, limit: int) -> list[Leased]:
    """Take up to `limit` submissions that may leave now; nobody else gets them while the lease lasts.

    Those with a deadline come first, then the newest slots. What this worker has tried and given back isn't
    taken by it again.
    """
    row = table_of(SubmissionRow)
    due = and_(
        row.c.state == State.PENDING,
        row.c.asset_id.in_(assets),
        row.c.leased_by != worker,
        or_(row.c.opens_at.is_(None), row.c.opens_at <= now),
        or_(row.c.closes_at.is_(None), row.c.closes_at > now),
        ~_newer_exists(row),
        ~_older_in_flight(row),
    )
    columns = (row.c.id, row.c.asset_id, row.c.slot_start, row.c.quantity, row.c.energy_wh, row.c.closes_at)
    with store.writing() as connection:
        query = (
            select(*columns)
            .where(due)
            .order_by(row.c.closes_at.is_(None), row.c.slot_start.desc(), row.c.asset_id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        found = connection.execute(query).all()
        for start in range(0, len(found), CHUNK):
            connection.execute(
                update(row)
                .where(row.c.id.in_([one.id for one in found[start : start + CHUNK]]))
                .values(
                    state=State.SENDING.value,
                    attempts=row.c.attempts + 1,
                    leased_by=worker,
                    leased_until=now + LEASE,
                    sent_at=now,
                )
            )
    return [
        Leased(
            id=one.id,
            asset_id=one.asset_id,
            slot_start=one.slot_start,
            quantity=Quantity(one.quantity),
            energy_wh=one.energy_wh,
            closes_at=one.closes_at,
        )
        for one in found
    ]


def record(store: Store, outcomes: Sequence[Outcome], *, worker: str) -> None:
    """Write what became of leased submissions; one whose lease went to somebody else meanwhile is left to them."""
    if not outcomes:
        return
    row = table_of(SubmissionRow)
    statement = (
        update(row)
        .where(row.c.id == bindparam("row_id"), row.c.state == State.SENDING, row.c.leased_by == worker)
        .values(
            state=bindparam("new_state"),
            error=bindparam("new_error"),
            accepted_at=bindparam("at"),
            leased_by=bindparam("holder"),
            leased_until=None,
        )
    )
    with store.writing() as connection:
        for start in range(0, len(outcomes), CHUNK):
            part = outcomes[start : start + CHUNK]
            connection.execute(
                statement,
                [
                    {
                        "row_id": one.id,
                        "new_state": one.state.value,
                        "new_error": one.error,
                        "at": one.at if one.state is State.ACCEPTED else None,
                        "holder": "" if one.again else worker,
                    }
                    for one in part
                ],
            )
            _supersede_replaced(connection, [one.id for one in part if one.state is State.ACCEPTED])


def _same_slot(row: FromClause, other: FromClause) -> ColumnElement[bool]:
    return and_(
        other.c.asset_id == row.c.asset_id,
        other.c.slot_start == row.c.slot_start,
        other.c.quantity == row.c.quantity,
    )


def _newer_exists(row: Table) -> ColumnElement[bool]:
    other = row.alias()
    return exists(select(other.c.id).where(_same_slot(row, other), other.c.version > row.c.version))


def _older_in_flight(row: Table) -> ColumnElement[bool]:
    other = row.alias()
    older = and_(other.c.version < row.c.version, other.c.state == State.SENDING)
    return exists(select(other.c.id).where(_same_slot(row, other), older))


def _supersede_older_pending(connection: Connection) -> None:
    row = table_of(SubmissionRow)
    connection.execute(
        update(row).where(row.c.state == State.PENDING, _newer_exists(row)).values(state=State.SUPERSEDED.value)
    )


def _supersede_replaced(connection: Connection, accepted: Sequence[int]) -> None:
    """Older accepted versions of what has just been accepted are what the exchange no longer holds."""
    if not accepted:
        return
    held = {State.ACCEPTED, State.CONFIRMED}
    replaced = [one.id for one in connection.execute(_older(), {"accepted": accepted}) if one.state in held]
    if replaced:
        row = table_of(SubmissionRow)
        connection.execute(update(row).where(row.c.id.in_(replaced)).values(state=State.SUPERSEDED.value))


@cache
def _older() -> Select[tuple[int, str]]:
    """Older versions of the rows `accepted`.

    Their state is looked at afterwards: asked for here, it leads SQLite through all that was ever accepted. Made once,
    for making it takes longer than running it.
    """
    row = table_of(SubmissionRow)
    newer, older = row.alias(), row.alias()
    return (
        select(older.c.id, older.c.state)
        .join(newer, and_(_same_slot(newer, older), older.c.version < newer.c.version))
        .where(newer.c.id.in_(bindparam("accepted", expanding=True)))
    )


def _reason(row: Table) -> ColumnElement[str]:
    """Why it expired: the last try's trouble if there was one."""
    return case(
        (row.c.error == OUTCOME_UNKNOWN, literal(OUTCOME_UNKNOWN)),
        (row.c.error != "", literal(f"{NEVER_SENT}: ") + row.c.error),
        else_=literal(NEVER_SENT),
    )
