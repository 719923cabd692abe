"""The outbox's transitions, each one transaction: lease, mark, give back, expire.

    pending -> sending -> accepted -> confirmed (by reconciliation)
       |          |-> rejected
       |          |-> pending   gave up for now; the next run tries again
       |-> expired              its time is over: it is never sent
       |-> superseded           a newer version has taken its place

A row is leased before it leaves. If the worker dies, the lease lapses and the row is sent again: at least
once, never silently not at all. An older version never follows a newer one: it isn't leased while a newer one
stands, and a newer one waits until an older one in flight is settled.

Each transition is a few statements over whole sets of rows, led by indexes that hold only what still moves
(`pipelines.store.moving`): neither the years that are settled nor a backlog makes them slower.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, FromClause, String, Table, and_, any_, case, func, literal, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from pipelines.deliver.versions import newer_exists, older_in_flight, supersede_given_back, supersede_older
from pipelines.frames import Quantity, State
from pipelines.store import Store, SubmissionRow, table_of
from pipelines.store.asked import among, asked
from pipelines.store.moving import in_flight, with_deadline, without_deadline

LEASE = timedelta(minutes=5)
"""Longer than a post with all its tries takes (`ALL_ATTEMPTS_S` and one request), shorter than a slot."""

OUTCOME_UNKNOWN = "sent, but no answer was recorded; reconciliation will tell whether it arrived"
NEVER_SENT = "not sent in time"
SWITCHED_OFF = "not sent: the asset's live switch is off (`live: false`)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Leased:
    """A submission this worker may send now."""

    id: int
    asset_id: str
    slot_start: datetime
    quantity: Quantity
    energy_wh: float
    closes_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
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
    lapsed = and_(in_flight(row), row.c.leased_until <= now)
    overdue = and_(row.c.closes_at.is_not(None), row.c.closes_at <= now)
    with store.writing() as connection:
        lost = connection.execute(
            update(row).where(lapsed, overdue).values(state=State.EXPIRED.value, error=OUTCOME_UNKNOWN, leased_by="")
        ).rowcount
        freed = connection.execute(
            update(row).where(lapsed).values(state=State.PENDING.value, leased_by="").returning(row.c.id)
        ).scalars()
        supersede_given_back(connection, list(freed))
        unsent = connection.execute(
            update(row).where(with_deadline(row), overdue).values(state=State.EXPIRED.value, error=_reason(row))
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
    with store.writing() as connection:
        theirs = among(connection, row.c.asset_id, assets)
        return sum(
            connection.execute(
                update(row).where(waiting, theirs).values(state=State.EXPIRED.value, error=SWITCHED_OFF)
            ).rowcount
            for waiting in (with_deadline(row), without_deadline(row))
        )


def lease_due(
    store: Store, *, assets: Sequence[str], now: datetime, worker: str, limit: int, backlog: bool = True
) -> list[Leased]:
    """Take up to `limit` submissions that may leave now; nobody else gets them while the lease lasts.

    Those with a deadline come first, then the newest slots. What this worker has tried and given back isn't
    taken by it again.

    Args:
        store: the outbox.
        assets: whose submissions.
        now: the exchange's time.
        worker: takes them.
        limit: at most so many.
        backlog: also what has no deadline.
    """
    row = table_of(SubmissionRow).alias("due")
    with store.writing() as connection:
        open_now = and_(
            among(connection, row.c.asset_id, assets),
            row.c.leased_by != worker,
            or_(row.c.opens_at.is_(None), row.c.opens_at <= now),
            ~newer_exists(row),
            ~older_in_flight(row),
        )
        still_open = and_(with_deadline(row), row.c.closes_at > now)
        found = _claim(connection, row, and_(still_open, open_now), now=now, worker=worker, limit=limit)
        if backlog and len(found) < limit:
            due = and_(without_deadline(row), open_now)
            found += _claim(connection, row, due, now=now, worker=worker, limit=limit - len(found))
    return found


def left_behind(store: Store, *, assets: Sequence[str], now: datetime, worker: str) -> int:
    """How many submissions without a deadline may leave by now, and this worker has not come to them."""
    row = table_of(SubmissionRow)
    with store.reading() as connection:
        open_now = or_(row.c.opens_at.is_(None), row.c.opens_at <= now)
        due = and_(without_deadline(row), open_now, row.c.leased_by != worker)
        count = select(func.count()).select_from(row).where(due, among(connection, row.c.asset_id, assets))
        return int(connection.execute(count).scalar_one())


def record(store: Store, outcomes: Sequence[Outcome], *, worker: str) -> None:
    """Write what became of leased submissions; one whose lease went to somebody else meanwhile is left to them."""
    if not outcomes:
        return
    row = table_of(SubmissionRow)
    with store.writing() as connection:
        told = asked(
            connection,
            {
                "id": row.c.id.type,
                "state": String(),
                "error": String(),
                "at": row.c.accepted_at.type,
                "holder": String(),
            },
            [
                (
                    one.id,
                    one.state.value,
                    one.error,
                    one.at if one.state is State.ACCEPTED else None,
                    # Kept where this worker mustn't take it again. A name on what is settled would only fill pages.
                    worker if one.state is State.PENDING and not one.again else "",
                )
                for one in outcomes
            ],
        )
        connection.execute(
            update(row)
            .where(row.c.id == told.c.id, row.c.state == State.SENDING, row.c.leased_by == worker)
            .values(
                state=told.c.state,
                error=told.c.error,
                accepted_at=told.c["at"],
                leased_by=told.c.holder,
                leased_until=None,
            )
        )
        supersede_given_back(connection, [one.id for one in outcomes if one.state is State.PENDING])
        supersede_older(
            connection,
            accepted=[one.id for one in outcomes if one.state is State.ACCEPTED],
            refused=[one.id for one in outcomes if one.state is State.REJECTED],
        )


def _claim(
    connection: Connection, row: FromClause, due: ColumnElement[bool], *, now: datetime, worker: str, limit: int
) -> list[Leased]:
    """Lease the first of what is due, the newest slots first, in one statement."""
    table = table_of(SubmissionRow)
    first = (
        select(row.c.id)
        .where(due)
        # Both backwards, as the index is walked.
        .order_by(row.c.slot_start.desc(), row.c.asset_id.desc())
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if connection.dialect.name == "postgresql":
        # An array is made once, before anything is updated; a subquery might be joined, and run again.
        chosen = table.c.id == any_(func.array(first.scalar_subquery()))
    else:
        chosen = table.c.id.in_(first)
    found = connection.execute(
        update(table)
        .where(chosen)
        .values(
            state=State.SENDING.value,
            attempts=table.c.attempts + 1,
            leased_by=worker,
            leased_until=now + LEASE,
            sent_at=now,
        )
        .returning(
            table.c.id, table.c.asset_id, table.c.slot_start, table.c.quantity, table.c.energy_wh, table.c.closes_at
        )
    )
    leased = [
        Leased(id=id_, asset_id=asset, slot_start=slot, quantity=Quantity(quantity), energy_wh=wh, closes_at=closes_at)
        for id_, asset, slot, quantity, wh, closes_at in found
    ]
    leased.sort(key=lambda one: one.asset_id)
    leased.sort(key=lambda one: one.slot_start, reverse=True)
    return leased


def _reason(row: Table) -> ColumnElement[str]:
    """Why it expired: the last try's trouble if there was one."""
    return case(
        (row.c.error == OUTCOME_UNKNOWN, literal(OUTCOME_UNKNOWN)),
        (row.c.error != "", literal(f"{NEVER_SENT}: ") + row.c.error),
        else_=literal(NEVER_SENT),
    )
