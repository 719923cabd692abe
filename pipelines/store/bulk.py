"""Bulk writes and reads: rows go in by thousands, frames come out typed."""

from collections.abc import Sequence
from typing import Any

import polars as pl
from sqlalchemy import Connection, Select, Table, UniqueConstraint
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

CHUNK = 5_000
"""Rows per batch of an executemany, and keys per IN list."""


def insert_rows(connection: Connection, model: type[SQLModel], rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; one whose key stands already is left as it is.

    Where the database makes the primary key itself, the key is what else is unique in the table: a made one that stands
    already (a sequence that lags behind, as after a restore) is an error, lest the row be lost unseen.

    Args:
        connection: inside a write transaction.
        model: the table.
        rows: one dict a row, all with the same keys.

    Raises:
        StoreError: from the transaction around, where the database makes a primary key that stands already.
    """
    _write(connection, model, rows, keys=None)


def upsert_rows(connection: Connection, model: type[SQLModel], rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; one whose primary key stands already takes the new values."""
    _write(connection, model, rows, keys=[column.name for column in table_of(model).primary_key])


def read_frame(connection: Connection, query: Select[Any], schema: pl.Schema) -> pl.DataFrame:
    """The query's rows as a frame; its columns are named and typed by `schema`, in order."""
    rows = [tuple(row) for row in connection.execute(query)]
    return pl.DataFrame(rows, schema=schema, orient="row", infer_schema_length=None)


def table_of(model: type[SQLModel]) -> Table:
    """The SQL table behind a model, whose columns are typed for queries."""
    table: Table = model.__table__  # type: ignore[attr-defined]
    return table


def _write(
    connection: Connection, model: type[SQLModel], rows: Sequence[dict[str, Any]], *, keys: list[str] | None
) -> None:
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement: Any = dialect.insert(table_of(model))
    if keys is None:
        statement = _or_leave(statement, table_of(model), connection.dialect.name)
    else:
        changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
        statement = statement.on_conflict_do_update(index_elements=keys, set_=changed)
    for start in range(0, len(rows), CHUNK):
        connection.execute(statement, list(rows[start : start + CHUNK]))


def _or_leave(statement: Any, table: Table, dialect: str) -> Any:  # noqa: ANN401 - either dialect's insert
    if [column.name for column in table.primary_key] != ["id"]:
        return statement.on_conflict_do_nothing()
    constraint = next((one for one in table.constraints if isinstance(one, UniqueConstraint)), None)
    if constraint is not None:
        return statement.on_conflict_do_nothing(index_elements=[column.name for column in constraint.columns])
    index = next((one for one in table.indexes if one.unique), None)
    if index is not None:
        names, where = [column.name for column in index.columns], index.dialect_options[dialect]["where"]
        return statement.on_conflict_do_nothing(index_elements=names, index_where=where)
    return statement
