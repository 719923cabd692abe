"""What a meter database is asked, and nothing but a SELECT: limits in the types its columns have."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    DateTime,
    Float,
    Integer,
    Numeric,
    Select,
    String,
    TextClause,
    bindparam,
    column,
    literal_column,
    select,
    table,
    text,
)
from sqlalchemy.types import NullType, TypeEngine

from pipelines.collect.local_time import Reach, to_local
from pipelines.community import MeterDatabase, TimeType
from pipelines.errors import SourceError

END_MARGIN = timedelta(minutes=1)
"""Asked for beyond the window's end, so that a statement that says `time < :end` still brings a register read at it."""

TEXT_OFFSETS = timedelta(hours=15)
"""Stamps stored as text are compared as text, whatever their offset, up to 14 hours; what is too much is dropped."""

ROW_ORDER = "slotfeed_row_order"

PARAMETERS = frozenset({"start", "end", "meters"})

NOT_CODE = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", re.DOTALL)


@dataclass(frozen=True)
class Asked:
    """One question to a meter database."""

    devices: Sequence[str]
    registers: Sequence[str]
    """As streams call them; empty where streams name none."""

    within: Reach
    zones: Sequence[str]
    """Of naive stamps."""

    since: datetime | None = None
    """Of a table that tells when it got its rows (`columns.ingested_at`), those it got later are wanted too."""


def table_name(settings: MeterDatabase) -> tuple[str | None, str]:
    """Schema and name of the source's table."""
    schema, _, name = str(settings.table).rpartition(".")
    return schema or None, name


def named_columns(settings: MeterDatabase) -> dict[str, str]:
    """Field of the community file -> column it names."""
    named = {
        f"columns.{field.alias or name}": value
        for name, field in type(settings.columns).model_fields.items()
        if (value := getattr(settings.columns, name)) is not None
    }
    return named | {f"wide.{name}": name for name in settings.wide or {}}


def statement_of(source: str, settings: MeterDatabase, dialect: str, asked: Asked) -> TextClause:
    """The source's own statement with its parameters filled in.

    Raises:
        SourceError: it isn't one single SELECT, or has other parameters than :start, :end and :meters.
    """
    statement = text(single_select(source, str(settings.sql)))
    found = set(statement.compile().params)
    if found != PARAMETERS:
        raise SourceError(
            f"source '{source}': `sql` must use :start, :end and :meters, each of them and no others; it uses "
            f"{', '.join(sorted(found)) or 'none'}"
        )
    low, high = _limits(settings, dialect, asked)
    return statement.bindparams(
        bindparam("start", low.value, type_=low.type),
        bindparam("end", high.value, type_=high.type),
        _listed("meters", asked.devices),
    )


def selection_of(
    source: str, settings: MeterDatabase, dialect: str, asked: Asked, types: Mapping[str, TypeEngine[Any]]
) -> Select[Any]:
    """A SELECT of the named columns from the source's table.

    Args:
        source: for messages.
        settings: of the source.
        dialect: SQLAlchemy's name of the engine.
        asked: which rows.
        types: of the table's columns.

    Raises:
        SourceError: the order of the rows is wanted, and the engine keeps none.
    """
    low, high = _limits(settings, dialect, asked)
    when: ColumnElement[Any] = column(settings.columns.time)
    begun: ColumnElement[bool] = when >= low
    if asked.since is not None and settings.columns.ingested_at is not None:
        ingested: ColumnElement[Any] = column(settings.columns.ingested_at)
        begun |= ingested > _clock_limit(settings, dialect, types[settings.columns.ingested_at], asked.since)
    return _select(source, settings, dialect, asked).where(when <= high, begun)


def single_select(source: str, sql: str) -> str:
    """The statement, once it is sure to be one SELECT.

    Raises:
        SourceError: it is something else, or more than one statement.
    """
    statement = sql.strip().removesuffix(";")
    code = NOT_CODE.sub(" ", statement)
    if ";" in code or not re.match(r"\s*(select|with)\b", code, re.IGNORECASE):
        raise SourceError(f"source '{source}': `sql` isn't one single SELECT; nothing was run")
    # The usual way to write a list is (:meters); the list brings its own brackets.
    return re.sub(r"\(\s*:meters\s*\)", ":meters", statement)


def _select(source: str, settings: MeterDatabase, dialect: str, asked: Asked) -> Select[Any]:
    schema, name = table_name(settings)
    wanted: list[ColumnElement[Any]] = [column(each) for each in dict.fromkeys(named_columns(settings).values())]
    if orders_by_row(settings):
        if dialect != "sqlite":
            raise SourceError(
                f"source '{source}': {dialect} keeps no row order in a table; name a column that "
                "grows with true time as columns.tie_breaker, or write `sql` with an ORDER BY"
            )
        wanted.append(literal_column("rowid").label(ROW_ORDER))
    query = select(*wanted).select_from(table(name, schema=schema)).where(_among(settings.columns.meter, asked.devices))
    if settings.columns.register_ is not None and asked.registers:
        said = {raw for raw, register in settings.register_map.items() if register in asked.registers}
        query = query.where(_among(settings.columns.register_, sorted(said.union(asked.registers))))
    return query


def orders_by_row(settings: MeterDatabase) -> bool:
    """Whether the table's own row number has to tell the order."""
    naive = settings.time_type is TimeType.NAIVE
    return naive and settings.table is not None and settings.row_order and settings.columns.tie_breaker is None


def _among(name: str, values: Sequence[str]) -> ColumnElement[bool]:
    return column(name).in_(_listed(None, values))


def _listed(name: str | None, values: Sequence[str]) -> BindParameter[Any]:
    # Without a type, the database takes the values as the column's own: text, number or uuid. For an empty
    # list SQLAlchemy writes a number, which text can't be compared with; nothing equals null either.
    return bindparam(name, list(values) or [None], expanding=True, type_=NullType())


def _limits(settings: MeterDatabase, dialect: str, asked: Asked) -> tuple[BindParameter[Any], BindParameter[Any]]:
    """The reach in the type that the time column has; on the generous side."""
    start, end = asked.within.start, asked.within.end + END_MARGIN
    as_text = dialect == "sqlite"
    match settings.time_type:
        case TimeType.EPOCH_S | TimeType.EPOCH_MS:
            unit = 1000 if settings.time_type is TimeType.EPOCH_MS else 1
            return _typed(_epoch(start, unit), BigInteger()), _typed(_epoch(end, unit), BigInteger())
        case TimeType.TIMESTAMPTZ if as_text:
            return _text_limits(_naive_utc(start - TEXT_OFFSETS), _naive_utc(end + TEXT_OFFSETS))
        case TimeType.TIMESTAMPTZ:
            return _typed(start, DateTime(timezone=True)), _typed(end, DateTime(timezone=True))
        case TimeType.NAIVE:
            low = min(to_local(zone, start) for zone in asked.zones)
            high = max(to_local(zone, end) for zone in asked.zones)
            return _text_limits(low, high) if as_text else (_typed(low, DateTime()), _typed(high, DateTime()))


def _clock_limit(settings: MeterDatabase, dialect: str, type_: TypeEngine[Any], since: datetime) -> BindParameter[Any]:
    """`since` in the type that the column `ingested_at` has."""
    if isinstance(type_, (Integer, Float, Numeric)):
        return _typed(_epoch(since, 1000 if settings.time_type is TimeType.EPOCH_MS else 1), BigInteger())
    if dialect == "sqlite":
        return _text_limits(_naive_utc(since - TEXT_OFFSETS), _naive_utc(since))[0]
    if getattr(type_, "timezone", False):
        return _typed(since, DateTime(timezone=True))
    return _typed(to_local(settings.time_zone or "UTC", since), DateTime())


def _text_limits(low: datetime, high: datetime) -> tuple[BindParameter[Any], BindParameter[Any]]:
    # Date and time stand apart by a blank or by a T, and the blank sorts first: so at most a day too much
    # comes back, and nothing too little.
    return _typed(f"{low:%Y-%m-%d %H:%M}", String()), _typed(f"{high:%Y-%m-%dT%H:%M}~", String())


def _typed(value: object, type_: TypeEngine[Any]) -> BindParameter[Any]:
    return bindparam(None, value, type_=type_)


def _epoch(instant: datetime, unit: int) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * unit


def _naive_utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(tzinfo=None)
