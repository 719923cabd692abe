"""What of the outbox still moves, in words that its partial indexes answer.

Nearly every submission that was ever made has come to its end. The few that have not are found by indexes that hold
nothing else, and so are those that a repair may set back (see `SubmissionRow`). A database takes such an index where
the question repeats its condition word for word, so the conditions stand here and values in them are written out, not
handed over as parameters.
"""

from sqlalchemy import ColumnElement, FromClause, and_, literal

from pipelines.frames import Quantity, State


def with_deadline(row: FromClause) -> ColumnElement[bool]:
    """It waits, and has a deadline: `ix_submission_deadline`, by the deadline."""
    return and_(row.c.stage == _written(State.PENDING), row.c.closes_at.is_not(None))


def without_deadline(row: FromClause) -> ColumnElement[bool]:
    """It waits, and may leave at any age: `ix_submission_backlog`, by slot and asset."""
    return and_(row.c.stage == _written(State.PENDING), row.c.closes_at.is_(None))


def in_flight(row: FromClause) -> ColumnElement[bool]:
    """It is leased: `ix_submission_sending`, by the end of the lease."""
    return row.c.stage == _written(State.SENDING)


def taken_measurement(row: FromClause) -> ColumnElement[bool]:
    """A measurement that the exchange took, which is the end of it: `ix_submission_taken`, by when that was."""
    return and_(row.c.quantity == _written(Quantity.MEASUREMENT), row.c.stage == _written(State.ACCEPTED))


def failed(row: FromClause) -> ColumnElement[bool]:
    """It was refused, or its time was over: `ix_submission_failed`, by its deadline. A repair may set it back."""
    return row.c.stage.in_([_written(state) for state in (State.REJECTED, State.EXPIRED)])


def _written(value: str) -> ColumnElement[str]:
    return literal(str(value), literal_execute=True)
