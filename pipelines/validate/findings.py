"""Findings in the store: which row broke which check, by what value. They are closed, never deleted."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, Connection, case, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from pipelines.frames import INSTANT, conform
from pipelines.store import CHUNK, FindingRow, Store, read_frame, table_of
from pipelines.store import aged_tables as aged
from pipelines.store.aged import looking_back

FINDINGS = pl.Schema(
    {
        "suite": pl.String(),
        "check_name": pl.String(),
        "severity": pl.String(),
        "asset_id": pl.String(),
        "subject": pl.String(),
        "ts": INSTANT,
        "reading_id": pl.Int64(),
        "value": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "detail": pl.String(),
    }
)
"""Findings of one run; the columns are those of `pipelines.store.FindingRow`. Key: `KEY`."""

LISTED = pl.Schema({**FINDINGS, "found_at": INSTANT, "closed_at": INSTANT, "closed_by": pl.String()})
"""Findings of the store."""

KEY = ("suite", "subject", "ts", "check_name", "reading_id")


def write_findings(connection: Connection, frame: pl.DataFrame, *, now: datetime, run_id: str) -> int:
    """Keep findings. One that stands already takes the new numbers; one that was closed is opened again.

    `found_at` and `run_id` of a finding that stood open stay those of the run that found it first.

    Args:
        connection: inside the transaction that judges the rows.
        frame: of `FINDINGS`; a value that is no finite number is kept as none.
        now: the run's logical time.
        run_id: of the run.

    Returns:
        How many were given.

    Raises:
        TypeError: the frame isn't one of `FINDINGS`.
    """
    finite = conform(frame, FINDINGS, door="findings").with_columns(
        pl.when(pl.col("value").is_finite()).then(pl.col("value")).alias("value")
    )
    rows = [
        row | {"found_at": now, "closed_at": None, "closed_by": "", "run_id": run_id}
        for row in finite.iter_rows(named=True)
    ]
    table = table_of(FindingRow)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement: Any = dialect.insert(table)
    given = statement.excluded
    was_closed = table.c.closed_at.is_not(None)
    changed = {
        name: given[name]
        for name in ("severity", "asset_id", "value", "low", "high", "detail", "closed_at", "closed_by")
    }
    changed |= {name: case((was_closed, given[name]), else_=table.c[name]) for name in ("found_at", "run_id")}
    statement = statement.on_conflict_do_update(index_elements=KEY, set_=changed)
    for start in range(0, len(rows), CHUNK):
        connection.execute(statement, rows[start : start + CHUNK])
    return len(rows)


def list_findings(
    store: Store, *, asset_ids: Collection[str] = (), severities: Collection[str] = (), closed: bool, limit: int
) -> pl.DataFrame:
    """Findings, those of the newest rows first.

    Args:
        store: the database.
        asset_ids: only of these; none: of all.
        severities: only of these; none: of all.
        closed: with those that are closed.
        limit: rows at most.

    Returns:
        A frame of `LISTED`.
    """
    table = table_of(FindingRow)
    query = select(*(table.c[name] for name in LISTED.names())).order_by(
        table.c.ts.desc().nulls_last(), table.c.id.desc()
    )
    if asset_ids:
        query = query.where(table.c.asset_id.in_(asset_ids))
    if severities:
        query = query.where(table.c.severity.in_(severities))
    if not closed:
        query = query.where(table.c.closed_at.is_(None))
    with looking_back(store, start=None, end=None, kinds=[aged.FINDINGS]) as connection:
        return read_frame(connection, query.limit(limit), LISTED)


def close_findings(connection: Connection, ids: Sequence[int], *, by: str, now: datetime) -> int:
    """Close findings that are open.

    Args:
        connection: inside a write transaction.
        ids: of `FindingRow`.
        by: why, as `FindingRow.closed_by` holds it.
        now: the run's logical time.

    Returns:
        How many were open till now.
    """
    return _close(connection, table_of(FindingRow).c.id, ids, by=by, now=now)


def close_reading_findings(connection: Connection, reading_ids: Sequence[int], *, by: str, now: datetime) -> int:
    """Close what is open about readings.

    Args:
        connection: inside the transaction that decides about them.
        reading_ids: of `ReadingRow`.
        by: why, as `FindingRow.closed_by` holds it.
        now: the run's logical time.

    Returns:
        How many findings were open till now.
    """
    return _close(connection, table_of(FindingRow).c.reading_id, reading_ids, by=by, now=now)


def _close(connection: Connection, key: ColumnElement[Any], values: Sequence[int], *, by: str, now: datetime) -> int:
    closed = 0
    for start in range(0, len(values), CHUNK):
        some = values[start : start + CHUNK]
        statement = (
            update(FindingRow)
            .where(key.in_(some), col(FindingRow.closed_at).is_(None))
            .values(closed_at=now, closed_by=by)
        )
        closed += connection.execute(statement).rowcount
    return closed
