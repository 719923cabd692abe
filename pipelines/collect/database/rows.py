"""The meter database as a source: which rows are asked for, how, and what comes back.

Rows leave this file as a frame of one row a value, `ROWS`: strings, floats and stamps, but still in the
source's own words (units, registers, quality codes) and, where it writes them so, in local time.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl
from sqlalchemy import Connection, Result, inspect
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.types import TypeEngine

from pipelines.collect.database.query import (
    ROW_ORDER,
    Asked,
    named_columns,
    orders_by_row,
    selection_of,
    statement_of,
    table_name,
)
from pipelines.collect.database.stamps import LOCAL, numbers, read_clock, read_stamps, texts
from pipelines.collect.local_time import Reach
from pipelines.collect.source import ROWS
from pipelines.community import MeterDatabase, TimeType
from pipelines.errors import SourceError
from pipelines.frames import INSTANT

LONG_AGO = datetime(1971, 1, 1, tzinfo=UTC)


def table_columns(connection: Connection, source: str, settings: MeterDatabase) -> dict[str, TypeEngine[Any]]:
    """Names and types of the table's columns.

    Raises:
        SourceError: there is no such table or view.
    """
    schema, name = table_name(settings)
    try:
        found = inspect(connection).get_columns(name, schema=schema)
    except NoSuchTableError as error:
        there = inspect(connection)
        tables = sorted(there.get_table_names(schema=schema) + there.get_view_names(schema=schema))
        raise SourceError(
            f"source '{source}': there is no table or view {settings.table}; there are {', '.join(tables) or 'none'}"
        ) from error
    return {each["name"]: each["type"] for each in found}


def require_columns(connection: Connection, source: str, settings: MeterDatabase) -> dict[str, TypeEngine[Any]]:
    """Names and types of the table's columns, among them all that the community file names.

    Raises:
        SourceError: there is no such table or view, or a column is missing.
    """
    types = table_columns(connection, source, settings)
    _check(source, settings, list(types))
    return types


def existing_columns(connection: Connection, source: str, settings: MeterDatabase) -> list[str]:
    """Names of the columns that the table has or the statement returns.

    Raises:
        SourceError: there is no such table, or the statement isn't a SELECT.
    """
    if settings.sql is None:
        return list(table_columns(connection, source, settings))
    nobody = Asked(devices=(), registers=(), within=Reach(LONG_AGO, LONG_AGO), zones=("UTC",))
    return list(_run(connection, source, settings, nobody).keys())


def absent_columns(settings: MeterDatabase, existing: Sequence[str]) -> dict[str, str]:
    """Of `named_columns`, those that the database hasn't."""
    return {field: name for field, name in named_columns(settings).items() if name not in existing}


def tells_order(settings: MeterDatabase) -> bool:
    """Whether anything but the stamps tells in which order rows came to be."""
    return settings.row_order or settings.columns.tie_breaker is not None


def fetch(connection: Connection, source: str, settings: MeterDatabase, asked: Asked) -> pl.DataFrame:
    """Rows whose stamp lies in the reach, late ones before it, and some beside.

    Returns:
        `ROWS`; naive stamps are `LOCAL`, others `INSTANT`.

    Raises:
        SourceError: a table or column is missing, or the statement isn't a SELECT.
    """
    result = _run(connection, source, settings, asked)
    names = list(result.keys())
    _check(source, settings, names)
    rows = result.fetchall()
    found: dict[str, Sequence[object]] = dict(
        zip(names, zip(*rows, strict=True) if rows else ((),) * len(names), strict=True)
    )
    return pl.concat(_frames(source, settings, found))


def _run(connection: Connection, source: str, settings: MeterDatabase, asked: Asked) -> Result[Any]:
    dialect = connection.dialect.name
    if settings.sql is not None:
        return connection.execute(statement_of(source, settings, dialect, asked))
    types = require_columns(connection, source, settings)
    return connection.execute(selection_of(source, settings, dialect, asked, types))


def _check(source: str, settings: MeterDatabase, existing: Sequence[str]) -> None:
    if missing := absent_columns(settings, existing):
        lacking = ", ".join(f"{name} ({field})" for field, name in missing.items())
        raise SourceError(f"source '{source}': there is no column {lacking}; there are {', '.join(existing)}")


def _frames(source: str, settings: MeterDatabase, found: Mapping[str, Sequence[object]]) -> Iterator[pl.DataFrame]:
    """One frame for narrow rows; for wide ones, one a value column."""
    columns = settings.columns
    nothing: Sequence[object] = (None,) * len(found[columns.meter])

    def values(name: str | None) -> Sequence[object]:
        return nothing if name is None else found[name]

    def stamps(name: str) -> pl.Series:
        return read_stamps(found[name], settings.time_type, where=f"source '{source}', column {name}")

    time_dtype = LOCAL if settings.time_type is TimeType.NAIVE else INSTANT
    order = columns.tie_breaker or (ROW_ORDER if orders_by_row(settings) else None)
    places = _order(source, columns.tie_breaker, None if order is None else found[order], rows=len(nothing))
    common = pl.DataFrame(
        {
            "meter": texts(found[columns.meter]),
            "stamp": stamps(columns.time),
            "stamp_end": stamps(columns.end) if columns.end else pl.Series(nothing, dtype=time_dtype),
            "unit": texts(values(columns.unit)),
            "quality": texts(values(columns.quality)),
            "ingested_at": read_clock(values(columns.ingested_at), settings.time_zone or "UTC"),
        }
    ).with_columns(order=places)
    if settings.wide is None:
        yield common.with_columns(
            register=_registers(texts(values(columns.register_)), settings), value=numbers(values(columns.value))
        ).select(ROWS)
    for name, register in (settings.wide or {}).items():
        yield common.with_columns(register=pl.lit(register), value=numbers(found[name])).select(ROWS)


def _registers(said: pl.Series, settings: MeterDatabase) -> pl.Series:
    known = {raw.strip(): name for raw, name in settings.register_map.items()}
    return said.replace(known) if known else said


def _order(source: str, name: str | None, values: Sequence[object] | None, *, rows: int) -> pl.Series:
    """Place of each row in the true order; rows that tie, or all where nothing tells, as they came."""
    try:
        ties = pl.Series(values=values or (), dtype=None if values else pl.Int64())
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise SourceError(f"source '{source}': column {name} (columns.tie_breaker) can't be sorted") from error
    if ties.null_count() == len(ties):
        return pl.int_range(rows, eager=True, dtype=pl.Int64())
    return ties.rank("ordinal").cast(pl.Int64()).fill_null(0)
