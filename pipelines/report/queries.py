"""The questions that the status and the page put to the store, answered by SQL in aggregate.

All share one scope: assets of the community file that are live, and the slots of a period from each
asset's first live slot on. Of every slot the newest version counts. What comes back is a row per asset,
per slot of the whole community, or a list with a limit; never a row per asset and slot of everyone.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    String,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
)

from pipelines.frames import Quantity, State
from pipelines.store import (
    AssetRow,
    DiscrepancyRow,
    ExchangeEnergyRow,
    ReadingRow,
    SlotEnergyRow,
    SubmissionRow,
    Verdict,
    table_of,
)
from pipelines.store.discrepancies import given_up, standing, still_open

ASSET = table_of(AssetRow)
SUBMISSION = table_of(SubmissionRow)
SLOT = table_of(SlotEnergyRow)
EXCHANGE = table_of(ExchangeEnergyRow)
DISCREPANCY = table_of(DiscrepancyRow)
READING = table_of(ReadingRow)

TAKEN = (State.ACCEPTED.value, State.CONFIRMED.value)
"""States of a value that the exchange has taken."""

STANDING, OPEN, LOST = standing(DISCREPANCY), still_open(DISCREPANCY), given_up(DISCREPANCY)
"""A discrepancy's sides differ still; and nothing has given it up yet; or something has."""

APART_WH = func.abs(func.coalesce(DISCREPANCY.c.expected_wh, 0.0) - func.coalesce(DISCREPANCY.c.exchange_wh, 0.0))
"""How far a discrepancy's sides are apart."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Which assets and slots a question is about."""

    asset_ids: tuple[str, ...]
    start: datetime
    end: datetime
    """Slots that start in [start, end)."""

    def of(self, connection: Connection, table: FromClause) -> ColumnElement[bool]:
        """Condition on the rows of a table that is keyed by asset and slot."""
        live = exists().where(ASSET.c.asset_id == table.c.asset_id, ASSET.c.live_since <= table.c.slot_start)
        return and_(
            among(connection, table.c.asset_id, self.asset_ids),
            table.c.slot_start >= self.start,
            table.c.slot_start < self.end,
            live,
        )


def among(connection: Connection, column: ColumnElement[Any], values: Iterable[str]) -> ColumnElement[bool]:
    """`column IN values` as one parameter: SQLite takes 32,766 of them, and communities grow."""
    listed = list(values)
    if len(listed) == 1:
        # Plainly, so that the database finds the rows of one asset by their key.
        return column == listed[0]
    if connection.dialect.name == "postgresql":
        rows = func.json_array_elements_text(cast(literal(json.dumps(listed), String), JSON)).table_valued("value")
    else:
        rows = func.json_each(json.dumps(listed)).table_valued("value")
    return column.in_(select(rows.c.value))


def newest_submission(row: FromClause = SUBMISSION) -> ColumnElement[bool]:
    """The row is the highest version of its key that isn't superseded."""
    newer = SUBMISSION.alias("newer")
    return and_(
        row.c.state != State.SUPERSEDED,
        ~exists().where(
            newer.c.asset_id == row.c.asset_id,
            newer.c.slot_start == row.c.slot_start,
            newer.c.quantity == row.c.quantity,
            newer.c.version > row.c.version,
            newer.c.state != State.SUPERSEDED,
        ),
    )


def newest_slot() -> ColumnElement[bool]:
    """The row is the highest version of its slot."""
    newer = SLOT.alias("newer")
    return ~exists().where(
        newer.c.asset_id == SLOT.c.asset_id,
        newer.c.slot_start == SLOT.c.slot_start,
        newer.c.version > SLOT.c.version,
    )


def in_state(states: Iterable[str], row: FromClause = SUBMISSION) -> ColumnElement[bool]:
    """The row is in one of the states.

    As a CASE, which no index answers: SQLite would take the one on states, find nearly every row by it,
    and be six times slower than by walking the rows in the order of their key.
    """
    return case((row.c.state.in_(list(states)), 1), else_=0) == 1


def sent_forecast() -> ColumnElement[bool]:
    """The row is the forecast that the exchange should be using."""
    return and_(SUBMISSION.c.quantity == Quantity.FORECAST, in_state(TAKEN), newest_submission())


def submission_totals(connection: Connection, scope: Scope, *, over: datetime) -> Select[Any]:
    """asset_id, quantity, state, rows, rows of slots before `over`, energy_wh, newest slot.

    Superseded rows count as such.
    """
    return (
        select(
            SUBMISSION.c.asset_id,
            SUBMISSION.c.quantity,
            SUBMISSION.c.state,
            func.count().label("rows"),
            func.count().filter(SUBMISSION.c.slot_start < over).label("rows_over"),
            func.sum(SUBMISSION.c.energy_wh).label("energy_wh"),
            func.max(SUBMISSION.c.slot_start).label("newest"),
        )
        .where(scope.of(connection, SUBMISSION), or_(SUBMISSION.c.state == State.SUPERSEDED, newest_submission()))
        .group_by(SUBMISSION.c.asset_id, SUBMISSION.c.quantity, SUBMISSION.c.state)
    )


def discrepancy_totals(connection: Connection, scope: Scope) -> Select[Any]:
    """asset_id, diagnosis, open, closed and lost rows, and by how much the lost ones are wrong."""
    return (
        select(
            DISCREPANCY.c.asset_id,
            DISCREPANCY.c.diagnosis,
            func.count().filter(OPEN).label("open"),
            func.count().filter(~STANDING).label("closed"),
            func.count().filter(LOST).label("lost"),
            func.sum(APART_WH).filter(LOST).label("lost_wh"),
        )
        .where(scope.of(connection, DISCREPANCY))
        .group_by(DISCREPANCY.c.asset_id, DISCREPANCY.c.diagnosis)
    )


def slot_totals(connection: Connection, scope: Scope) -> Select[Any]:
    """asset_id, covered slots (summed coverage), newest slot with readings in it."""
    return (
        select(
            SLOT.c.asset_id,
            func.sum(SLOT.c.coverage).label("covered"),
            func.max(SLOT.c.slot_start).filter(SLOT.c.coverage > 0).label("newest"),
        )
        .where(scope.of(connection, SLOT), newest_slot())
        .group_by(SLOT.c.asset_id)
    )


def not_final(connection: Connection, scope: Scope, *, over: datetime) -> ColumnElement[bool]:
    """Submissions that still move: unsent, or forecasts of slots before `over` that nothing was read back for."""
    explained = exists().where(
        DISCREPANCY.c.asset_id == SUBMISSION.c.asset_id,
        DISCREPANCY.c.slot_start == SUBMISSION.c.slot_start,
        DISCREPANCY.c.quantity == SUBMISSION.c.quantity,
        STANDING,
    )
    return and_(
        scope.of(connection, SUBMISSION),
        newest_submission(),
        or_(
            SUBMISSION.c.state.in_((State.PENDING.value, State.SENDING.value)),
            and_(
                SUBMISSION.c.state == State.ACCEPTED,
                SUBMISSION.c.quantity == Quantity.FORECAST,
                SUBMISSION.c.slot_start < over,
                ~explained,
            ),
        ),
    )


def accounted_without_confirmation(connection: Connection, scope: Scope) -> Iterator[Select[Any]]:
    """asset_id, slot_start of slots whose end is known although no forecast is confirmed, each once.

    First those that have a diagnosis, then those whose measurement was taken and that have none.
    """
    measured = SUBMISSION.alias("measured")
    yield (
        select(DISCREPANCY.c.asset_id, DISCREPANCY.c.slot_start)
        .where(scope.of(connection, DISCREPANCY), DISCREPANCY.c.diagnosis != "", ~_confirmed(DISCREPANCY))
        .distinct()
    )
    explained = exists().where(
        DISCREPANCY.c.asset_id == measured.c.asset_id,
        DISCREPANCY.c.slot_start == measured.c.slot_start,
        DISCREPANCY.c.diagnosis != "",
    )
    yield select(measured.c.asset_id, measured.c.slot_start).where(
        scope.of(connection, measured),
        measured.c.quantity == Quantity.MEASUREMENT,
        in_state(TAKEN, measured),
        newest_submission(measured),
        ~_confirmed(measured),
        ~explained,
    )


def confirmed_forecast() -> ColumnElement[bool]:
    """The row is a forecast that was read back as sent."""
    return and_(SUBMISSION.c.quantity == Quantity.FORECAST, in_state([State.CONFIRMED]), newest_submission())


def _confirmed(row: FromClause) -> ColumnElement[bool]:
    """The slot of a row has a confirmed forecast."""
    return exists().where(
        SUBMISSION.c.asset_id == row.c.asset_id, SUBMISSION.c.slot_start == row.c.slot_start, confirmed_forecast()
    )


def undecided(
    connection: Connection, stream_ids: Iterable[str], start: datetime | None, end: datetime | None
) -> ColumnElement[bool]:
    """Readings in quarantine, and suspects, that were stamped or received in the period.

    A stamp may be the very thing that is wrong, so the time of receipt counts too; a row without any
    stamp belongs to every period. Both bounds are included: the last register state stands on the end.
    """

    def within(column: ColumnElement[Any]) -> ColumnElement[bool]:
        bounds = [column >= start] if start else []
        bounds += [column <= end] if end else []
        return and_(True, *bounds)

    return and_(
        READING.c.verdict.in_((Verdict.QUARANTINED, Verdict.SUSPECT)),
        among(connection, READING.c.stream_id, stream_ids),
        or_(READING.c.ts.is_(None), within(READING.c.ts), within(READING.c.received_at)),
    )
