"""Versions of the same value: an older one never follows a newer one, and gives way to it."""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, exists, select, update
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import FromClause

from pipelines.frames import State
from pipelines.store import SubmissionRow, table_of
from pipelines.store.asked import asked
from pipelines.store.moving import in_flight

GIVES_WAY = (State.PENDING, State.ACCEPTED, State.CONFIRMED)
"""What an older version may still be when a newer one has come to its end: given back while the newer one was planned,
or what the exchange held before."""


def same_slot(row: FromClause, other: FromClause) -> ColumnElement[bool]:
    """Two submissions are versions of one value."""
    return and_(
        other.c.asset_id == row.c.asset_id,
        other.c.slot_start == row.c.slot_start,
        other.c.quantity == row.c.quantity,
    )


def newer_exists(row: FromClause) -> ColumnElement[bool]:
    """A newer version stands."""
    other = table_of(SubmissionRow).alias("newer")
    return exists(select(other.c.id).where(same_slot(row, other), other.c.version > row.c.version))


def older_in_flight(row: FromClause) -> ColumnElement[bool]:
    """An older version is leased."""
    other = table_of(SubmissionRow).alias("older")
    older = and_(other.c.version < row.c.version, in_flight(other))
    return and_(row.c.version > 0, exists(select(other.c.id).where(same_slot(row, other), older)))


def supersede_given_back(connection: Connection, given_back: Sequence[int]) -> None:
    """What came back while a newer version was planned will not go again."""
    if not given_back:
        return
    row = table_of(SubmissionRow)
    listed = asked(connection, {"id": row.c.id.type}, [(one,) for one in given_back])
    connection.execute(
        update(row)
        .where(row.c.id.in_(select(listed.c.id)), row.c.state == State.PENDING, newer_exists(row))
        .values(state=State.SUPERSEDED.value)
    )


def supersede_older(connection: Connection, *, accepted: Sequence[int], refused: Sequence[int]) -> None:
    """Older versions that wait give way, and to what was accepted those that the exchange held before."""
    row = table_of(SubmissionRow)
    newer, older = row.alias("newer"), row.alias("older")
    listed = asked(
        connection,
        {"id": row.c.id.type, "accepted": row.c.version.type},
        [(one, 1) for one in accepted] + [(one, 0) for one in refused],
    )
    query = (
        select(older.c.id, older.c.state, listed.c.accepted)
        .select_from(listed)
        # First versions, nearly all, have none before them.
        .join(newer, and_(newer.c.id == listed.c.id, newer.c.version > 0))
        .join(older, and_(same_slot(newer, older), older.c.version < newer.c.version))
    )
    # States are looked at afterwards: asked for in the query, they would lead the database away from the keys.
    replaced = [
        (one.id,)
        for one in connection.execute(query)
        if one.state == State.PENDING or (one.accepted and one.state in GIVES_WAY)
    ]
    if replaced:
        again = asked(connection, {"id": row.c.id.type}, replaced)
        connection.execute(update(row).where(row.c.id.in_(select(again.c.id))).values(state=State.SUPERSEDED.value))
