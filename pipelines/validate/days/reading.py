"""What judging days reads from the store, in bulk."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any

import polars as pl
from sqlalchemy import Connection, Select, column, func, select, values
from sqlmodel import col

from pipelines.frames import INSTANT, Kind, Quantity
from pipelines.store import (
    CHUNK,
    USABLE,
    AssetRow,
    DiscrepancyRow,
    ExchangeEnergyRow,
    FindingRow,
    QualityDayRow,
    ReadingRow,
    SlotEnergyRow,
    SubmissionRow,
    read_frame,
    table_of,
)
from pipelines.store.asked import no_lead
from pipelines.validate.days.channels import MARKS, REGISTERS
from pipelines.validate.days.exchange import SENT
from pipelines.validate.days.packed import read_packed_slots
from pipelines.validate.days.slots import CURRENT, SINCE

LIVE = pl.Schema({"asset_id": pl.String(), "live_since": INSTANT})
"""Since when an asset is live at the exchange."""

SUBMITTED = pl.Schema(
    {
        "asset_id": pl.String(),
        "slot_start": INSTANT,
        "version": pl.Int64(),
        "energy_wh": pl.Float64(),
        "state": pl.String(),
        "attempts": pl.Int64(),
        "confirmed_at": INSTANT,
    }
)
"""Forecasts of the outbox. Key: asset_id, slot_start, version."""

HELD = pl.Schema({"asset_id": pl.String(), "slot_start": INSTANT, "exchange_wh": pl.Float64(), "read_at": INSTANT})
"""What the exchange said of forecasts. Key: asset_id, slot_start."""

LISTED = pl.Schema({"asset_id": pl.String(), "slot_start": INSTANT, "diagnosis": pl.String(), "opened_at": INSTANT})
"""Discrepancies of forecasts. Key: asset_id, slot_start."""

OPEN = pl.Schema(
    {
        "id": pl.Int64(),
        "suite": pl.String(),
        "asset_id": pl.String(),
        "subject": pl.String(),
        "ts": INSTANT,
        "check_name": pl.String(),
    }
)
"""Findings that are open. Key: id."""

DAY_COUNTS = pl.Schema({"asset_id": pl.String(), "ts": INSTANT, "severity": pl.String()})
"""Open findings of readings, for the counts of a day."""


def last_judged_day(connection: Connection) -> date | None:
    """The newest day that has been judged; None: no day has."""
    newest: date | None = connection.execute(select(func.max(col(QualityDayRow.day)))).scalar_one()
    return newest


def read_since(connection: Connection, asset_ids: Sequence[str]) -> pl.DataFrame:
    """From which slot on each asset should have all: its first known one, or its first live one if that is earlier.

    Returns:
        A frame of `SINCE`, without assets of which nothing is known.
    """
    parts = [read_live(connection, asset_ids).rename({"live_since": "since"})]
    for some in _portions(asset_ids):
        asked = values(column("asset_id", _type(SlotEnergyRow.asset_id)), name="asked").data([(one,) for one in some])
        named = asked.cte("asked")
        slot = table_of(SlotEnergyRow).alias()
        # One seek in the index for each asset, however long its history.
        first = (
            select(slot.c.slot_start)
            .where(slot.c.asset_id == named.c.asset_id)
            .order_by(slot.c.slot_start)
            .limit(1)
            .scalar_subquery()
        )
        parts.append(read_frame(connection, select(named.c.asset_id, first), SINCE))
    return pl.concat(parts).filter(pl.col("since").is_not_null()).group_by("asset_id").agg(pl.col("since").min())


def read_live(connection: Connection, asset_ids: Sequence[str]) -> pl.DataFrame:
    """Since when these assets are live: a frame of `LIVE`."""
    row = table_of(AssetRow)
    return _by_asset(connection, select(row.c.asset_id, row.c.live_since), row.c.asset_id, asset_ids, LIVE)


def read_slots(connection: Connection, asset_ids: Sequence[str], *, start: datetime, end: datetime) -> pl.DataFrame:
    """The newest version of each slot that starts in [start, end): a frame of `CURRENT`."""
    parts = [read_packed_slots(connection, some, start=start, end=end) for some in _portions(asset_ids)]
    return pl.concat([CURRENT.to_frame(), *parts])


def read_marks(connection: Connection, stream_ids: Sequence[str], *, start: datetime, end: datetime) -> pl.DataFrame:
    """When the usable readings of these channels in [start, end] are of: a frame of `MARKS`."""
    return _readings(connection, MARKS, stream_ids, start=start, end=end)


def read_registers(
    connection: Connection, stream_ids: Sequence[str], *, start: datetime, end: datetime
) -> pl.DataFrame:
    """Usable readings of these registers in [start, end]: a frame of `REGISTERS`."""
    return _readings(connection, REGISTERS, stream_ids, start=start, end=end, kind=Kind.REGISTER)


def _readings(
    connection: Connection,
    schema: pl.Schema,
    stream_ids: Sequence[str],
    *,
    start: datetime,
    end: datetime,
    kind: Kind | None = None,
) -> pl.DataFrame:
    row = table_of(ReadingRow)
    query = select(*(row.c[name] for name in schema.names())).where(
        row.c.ts >= start, row.c.ts <= end, no_lead(row.c.verdict).in_(USABLE), row.c.value.is_not(None)
    )
    if kind is not None:
        query = query.where(row.c.kind == kind)
    return _by_asset(connection, query, row.c.stream_id, stream_ids, schema)


def read_submitted(connection: Connection, asset_ids: Sequence[str], *, start: datetime, end: datetime) -> pl.DataFrame:
    """Forecasts of slots that start in [start, end), superseded ones too: a frame of `SUBMITTED`."""
    return _of_forecasts(connection, SubmissionRow, SUBMITTED, asset_ids, start=start, end=end)


def read_last_sent(connection: Connection, asset_ids: Sequence[str], *, before: datetime) -> pl.DataFrame:
    """Each asset's last forecast before this instant that the exchange took; it may still repeat it.

    Returns:
        A frame of `SUBMITTED`, at most one row an asset.
    """
    parts = [SUBMITTED.to_frame()]
    for some in _portions(asset_ids):
        asked = values(column("asset_id", _type(SubmissionRow.asset_id)), name="asked").data([(one,) for one in some])
        named = asked.cte("asked")
        other, row = table_of(SubmissionRow).alias(), table_of(SubmissionRow)
        last = (
            select(other.c.id)
            .where(other.c.asset_id == named.c.asset_id, other.c.slot_start < before)
            .where(other.c.quantity == Quantity.FORECAST.value, other.c.state.in_(SENT))
            .order_by(other.c.slot_start.desc(), other.c.version.desc())
            .limit(1)
            .scalar_subquery()
        )
        query = select(*(row.c[name] for name in SUBMITTED.names())).where(
            row.c.id.in_(select(last).select_from(named))
        )
        parts.append(read_frame(connection, query, SUBMITTED))
    return pl.concat(parts)


def read_held(connection: Connection, asset_ids: Sequence[str], *, start: datetime, end: datetime) -> pl.DataFrame:
    """What the exchange said of slots that start in [start, end): a frame of `HELD`."""
    return _of_forecasts(
        connection, ExchangeEnergyRow, HELD, asset_ids, start=start, end=end, names={"exchange_wh": "energy_wh"}
    )


def read_listed(connection: Connection, asset_ids: Sequence[str], *, start: datetime, end: datetime) -> pl.DataFrame:
    """Discrepancies of slots that start in [start, end), open or closed: a frame of `LISTED`."""
    return _of_forecasts(connection, DiscrepancyRow, LISTED, asset_ids, start=start, end=end)


def _of_forecasts(
    connection: Connection,
    model: Any,  # noqa: ANN401 - one of three tables
    schema: pl.Schema,
    asset_ids: Sequence[str],
    *,
    start: datetime,
    end: datetime,
    names: dict[str, str] | None = None,
) -> pl.DataFrame:
    row = table_of(model)
    query = select(*(row.c[(names or {}).get(name, name)] for name in schema.names())).where(
        row.c.quantity == Quantity.FORECAST.value, row.c.slot_start >= start, row.c.slot_start < end
    )
    return _by_asset(connection, query, row.c.asset_id, asset_ids, schema)


def read_open(
    connection: Connection, suites: Sequence[str], asset_ids: Sequence[str], *, start: datetime, end: datetime
) -> pl.DataFrame:
    """Open findings of these suites and assets at instants in [start, end): a frame of `OPEN`."""
    row = table_of(FindingRow)
    query = select(*(row.c[name] for name in OPEN.names())).where(
        row.c.closed_at.is_(None), row.c.suite.in_(suites), row.c.ts >= start, row.c.ts < end
    )
    return _by_asset(connection, query, row.c.asset_id, asset_ids, OPEN)


def read_severities(
    connection: Connection, suite: str, asset_ids: Sequence[str], *, start: datetime, end: datetime
) -> pl.DataFrame:
    """Severities of a suite's findings at instants in [start, end), open or closed: a frame of `DAY_COUNTS`."""
    row = table_of(FindingRow)
    query = select(*(row.c[name] for name in DAY_COUNTS.names())).where(
        row.c.suite == suite, row.c.ts >= start, row.c.ts < end
    )
    return _by_asset(connection, query, row.c.asset_id, asset_ids, DAY_COUNTS)


def _by_asset(
    connection: Connection,
    query: Select[Any],
    key: Any,  # noqa: ANN401 - SQLAlchemy's column
    keys: Sequence[str],
    schema: pl.Schema,
) -> pl.DataFrame:
    parts = [read_frame(connection, query.where(key.in_(some)), schema) for some in _portions(keys)]
    return pl.concat([schema.to_frame(), *parts])


def _portions(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), CHUNK):
        yield keys[start : start + CHUNK]


def _type(attribute: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's constructs
    return attribute.type
