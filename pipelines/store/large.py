"""Rows by the hundred thousand: read as a frame, written from one, or laid beside a table for one statement.

What goes through SQLAlchemy's rows and Python's instants takes some ten microseconds a row. Here each database is
spoken to in its own fast way: SQLite's driver takes and gives plain tuples, PostgreSQL's COPY whole texts, and polars
turns either into columns.
"""

import contextlib
import io
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import polars as pl
import psycopg
from sqlalchemy import Column, Connection, MetaData, Select, Table, UniqueConstraint, func, select
from sqlalchemy.sql.schema import ScalarElementColumnDefault
from sqlmodel import SQLModel

from pipelines.frames import INSTANT
from pipelines.store.bulk import table_of

ROWS_AT_ONCE = 50_000
"""Rows that stand in memory as Python objects or text together, some 20 MB."""

WORK_MIB = 64
"""Of PostgreSQL's memory for a join with rows laid beside a table, up to the transaction's end: with its own 4 MB, a
million of them go through files. Ours."""

STORED = "%Y-%m-%d %H:%M:%S%.6f"
"""Instants as SQLAlchemy lays them down in SQLite: UTC, without offset."""


def read_large(connection: Connection, query: Select[Any], schema: pl.Schema) -> pl.DataFrame:
    """As `read_frame`, for very many rows of texts, numbers and instants."""
    stored = pl.Schema({name: pl.String() if kind == INSTANT else kind for name, kind in schema.items()})
    read = _copied if connection.dialect.name == "postgresql" else _fetched
    parts = [stored.to_frame(), *read(connection, query, stored, schema)]
    instants = [name for name, kind in schema.items() if kind == INSTANT]
    return pl.concat(parts).with_columns(
        pl.col(instants).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC")
    )


def insert_frame(connection: Connection, model: type[SQLModel], frame: pl.DataFrame) -> None:
    """As `upsert_frame`, faster on PostgreSQL where none of the rows stands yet; one that does is replaced."""
    if connection.dialect.name == "postgresql" and not frame.is_empty():
        try:
            with connection.begin_nested():
                _copy_in(connection, table_of(model).name, frame)
        except psycopg.errors.UniqueViolation:
            # Somebody else has written it meanwhile.
            upsert_frame(connection, model, frame)
        return
    upsert_frame(connection, model, frame)


def append_frame(connection: Connection, model: type[SQLModel], frame: pl.DataFrame) -> None:
    """As `insert_rows`, of a frame, into a table that numbers its rows: one whose key stands is left as it is.

    Args:
        connection: inside a write transaction.
        model: the table; it has one unique constraint.
        frame: its columns are the table's, by name and type; what is absent has the model's default.
    """
    if frame.is_empty():
        return
    table = table_of(model)
    [key] = [one for one in table.constraints if isinstance(one, UniqueConstraint)]
    absent = {c.name: c.default for c in table.c if c.name not in frame.columns}
    defaults = {name: _plain(one.arg) for name, one in absent.items() if isinstance(one, ScalarElementColumnDefault)}
    whole = frame.with_columns(**{name: pl.lit(value) for name, value in defaults.items()})
    conflict = f"ON CONFLICT ({', '.join(column.name for column in key.columns)}) DO NOTHING"
    if connection.dialect.name == "postgresql":
        _by_way_of_another(connection, table, whole, conflict)
        return
    _insert(connection, table.name, whole, conflict)


def upsert_frame(connection: Connection, model: type[SQLModel], frame: pl.DataFrame) -> None:
    """As `upsert_rows`, of a frame.

    Args:
        connection: inside a write transaction.
        model: the table.
        frame: its columns are the table's, by name and type.
    """
    if frame.is_empty():
        return
    table = table_of(model)
    keys = [column.name for column in table.primary_key]
    new = ", ".join(f"{name} = excluded.{name}" for name in frame.columns if name not in keys)
    conflict = f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {new}"
    if connection.dialect.name == "postgresql":
        _by_way_of_another(connection, table, frame, conflict)
        return
    _insert(connection, table.name, frame, conflict)


def _by_way_of_another(connection: Connection, table: Table, frame: pl.DataFrame, conflict: str) -> None:
    """PostgreSQL's COPY knows no conflicts: the rows are laid beside the table first."""
    names = ", ".join(frame.columns)
    with beside(connection, table, frame) as staged:
        # Names of tables and columns alone, as the models have them.
        rows = f"SELECT {names} FROM {staged.name}"  # noqa: S608
        connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) {rows} {conflict}")


@contextlib.contextmanager
def beside(
    connection: Connection, table: Table, frame: pl.DataFrame, types: Mapping[str, str] | None = None
) -> Iterator[Table]:
    """Lay the frame down as a temporary table, for one statement over all its rows.

    Args:
        connection: inside a write transaction.
        table: the columns' types are those of its columns of the same name.
        frame: what is laid down.
        types: columns of a name that the table doesn't have -> the one of its columns that they are like.

    Yields:
        The temporary table; it is gone after the block.
    """
    name = f"staged_{uuid4().hex}"
    like = {one: (types or {}).get(one, one) for one in frame.columns}
    columns = ", ".join(f"{theirs} AS {one}" for one, theirs in like.items())
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL work_mem = '{WORK_MIB}MB'")
    connection.exec_driver_sql(f"CREATE TEMP TABLE {name} AS SELECT {columns} FROM {table.name} WHERE 1 = 0")  # noqa: S608
    lay_down(connection, name, frame)
    yield Table(name, MetaData(), *(Column(one, table.c[theirs].type) for one, theirs in like.items()))
    connection.exec_driver_sql(f"DROP TABLE {name}")


def lay_down(connection: Connection, name: str, frame: pl.DataFrame) -> None:
    """Write the frame into a temporary table that has its columns."""
    if connection.dialect.name == "postgresql":
        _copy_in(connection, name, frame)
        connection.exec_driver_sql(f"ANALYZE {name}")
    else:
        _insert(connection, name, frame)


def _fetched(connection: Connection, query: Select[Any], stored: pl.Schema, _: pl.Schema) -> Iterator[pl.DataFrame]:
    """What SQLite's driver gives, part by part."""
    result = connection.execute(query)
    cursor = result.cursor
    while cursor is not None and (rows := cursor.fetchmany(ROWS_AT_ONCE)):
        yield pl.DataFrame(rows, schema=stored, orient="row")
    result.close()


def _copied(connection: Connection, query: Select[Any], stored: pl.Schema, schema: pl.Schema) -> Iterator[pl.DataFrame]:
    """What PostgreSQL copies out, as comma-separated text."""
    rows = query.subquery()
    in_utc = [
        func.timezone("UTC", column) if kind == INSTANT else column
        for column, kind in zip(rows.c, schema.values(), strict=True)
    ]
    # COPY takes no parameters, so they are written out.
    written = str(select(*in_utc).compile(connection, compile_kwargs={"literal_binds": True})).replace("%%", "%")
    # Quoted or not, polars takes for none what looks like it, so that no text may.
    null = f"none-{uuid4().hex[:12]}"
    sql = f"COPY ({written}) TO STDOUT (FORMAT csv, NULL '{null}')"
    text = io.BytesIO()
    with _driver(connection).cursor() as cursor, cursor.copy(sql) as copied:
        for block in copied:
            text.write(block)
    if text.tell():
        text.seek(0)
        yield pl.read_csv(text, has_header=False, schema=stored, null_values=null, empty_string_is_null=False)


def _copy_in(connection: Connection, name: str, frame: pl.DataFrame) -> None:
    sql = f"COPY {name} ({', '.join(frame.columns)}) FROM STDIN (FORMAT csv)"
    with _driver(connection).cursor() as cursor, cursor.copy(sql) as copy:
        for part in frame.iter_slices(ROWS_AT_ONCE):
            # Texts in quotation marks, so that an empty one isn't taken for none.
            text = part.write_csv(include_header=False, quote_style="non_numeric", datetime_format=f"{STORED}+00")
            copy.write(text.encode())


def _insert(connection: Connection, name: str, frame: pl.DataFrame, conflict: str = "") -> None:
    holes = ", ".join("?" * frame.width)
    sql = f"INSERT INTO {name} ({', '.join(frame.columns)}) VALUES ({holes}) {conflict}"  # noqa: S608
    instants = [column for column, kind in frame.schema.items() if kind == INSTANT]
    for part in frame.iter_slices(ROWS_AT_ONCE):
        rows = part.with_columns(pl.col(instants).dt.strftime(STORED)).rows()
        connection.exec_driver_sql(sql, rows)


def _plain(value: object) -> object:
    """A name of an enumeration as the text that it is."""
    return str(value) if isinstance(value, str) else value


def _driver(connection: Connection) -> Any:  # noqa: ANN401 - psycopg's
    return connection.connection.driver_connection
