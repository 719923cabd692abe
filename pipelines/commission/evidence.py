"""What the store knows of many assets' slots, in a handful of queries for all of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from sqlalchemy import ColumnElement, Connection, FromClause, func, select

from expectations.names import Severity
from pipelines.frames import INSTANT, Quantity, State
from pipelines.reconcile.same import matches
from pipelines.report.queries import among
from pipelines.store import (
    AssetRow,
    CertificateRow,
    Cursor,
    DiscrepancyRow,
    ExchangeEnergyRow,
    FindingRow,
    RunRow,
    SlotEnergyRow,
    SubmissionRow,
    read_frame,
    table_of,
)

FORECAST = Quantity.FORECAST.value
KEY = ["asset_id", "slot_start"]
_KEY = {"asset_id": pl.String(), "slot_start": INSTANT}

SENT = pl.Schema(
    {
        **_KEY,
        "version": pl.Int64(),
        "sent_wh": pl.Float64(),
        "state": pl.String(),
        "closes_at": INSTANT,
        "error": pl.String(),
    }
)
HELD = pl.Schema({**_KEY, "held_wh": pl.Float64()})
DIFFERENCES = pl.Schema({**_KEY, "diagnosis": pl.String(), "evidence": pl.String(), "repair": pl.String()})
LOCAL = pl.Schema(
    {
        **_KEY,
        "version": pl.Int64(),
        "energy_wh": pl.Float64(),
        "quality": pl.String(),
        "coverage": pl.Float64(),
    }
)
FINDINGS = pl.Schema({"asset_id": pl.String(), "ts": INSTANT, "check_name": pl.String()})


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Rows of some assets since an instant, each slot once."""

    since: datetime
    compared: pl.DataFrame
    """What reconciliation looked at: asset_id, slot_start, sent_wh, held_wh, state, diagnosis, evidence, repair (of an
    open discrepancy, else null) and `good`: confirmed, the same on both sides, no discrepancy open."""

    sent: pl.DataFrame
    """`SENT`: the newest version of each forecast."""

    local: pl.DataFrame
    """`LOCAL`: the newest version of each slot."""

    findings: pl.DataFrame
    """`FINDINGS`: open ones that reject or flag."""


def read_evidence(connection: Connection, asset_ids: Sequence[str], *, since: datetime, now: datetime) -> Evidence:
    """Read it.

    Args:
        connection: for queries.
        asset_ids: whose.
        since: slots that start from here on.
        now: and before this.
    """
    sent, held, differs, local = (
        table_of(model) for model in (SubmissionRow, ExchangeEnergyRow, DiscrepancyRow, SlotEnergyRow)
    )

    def within(table: FromClause) -> tuple[ColumnElement[bool], ...]:
        return (
            among(connection, table.c.asset_id, asset_ids),
            table.c.slot_start >= since,
            table.c.slot_start < now,
        )

    def read(schema: pl.Schema, table: FromClause, *where: ColumnElement[bool], **renamed: str) -> pl.DataFrame:
        columns = [table.c[renamed.get(name, name)] for name in schema.names()]
        return read_frame(connection, select(*columns).where(*within(table), *where), schema)

    newest_sent = _newest(
        read(SENT, sent, sent.c.quantity == FORECAST, sent.c.state != State.SUPERSEDED.value, sent_wh="energy_wh")
    )
    exchange = read(HELD, held, held.c.quantity == FORECAST, held_wh="energy_wh")
    open_ones = read(DIFFERENCES, differs, differs.c.quantity == FORECAST, differs.c.closed_at.is_(None))
    compared = (
        exchange.join(newest_sent.drop("version"), on=KEY, how="left")
        .join(open_ones, on=KEY, how="left")
        .with_columns(
            good=(pl.col("state") == State.CONFIRMED.value).fill_null(value=False)
            & matches("sent_wh", "held_wh")
            & pl.col("diagnosis").is_null()
        )
        .sort(KEY)
    )
    return Evidence(
        since=since,
        compared=compared,
        sent=newest_sent,
        local=_newest(read(LOCAL, local)),
        findings=_findings(connection, asset_ids, since=since, now=now),
    )


def _newest(versions: pl.DataFrame) -> pl.DataFrame:
    return versions.sort(*KEY, "version").unique(KEY, keep="last", maintain_order=True)


def _findings(connection: Connection, asset_ids: Sequence[str], *, since: datetime, now: datetime) -> pl.DataFrame:
    row = table_of(FindingRow)
    query = select(*(row.c[name] for name in FINDINGS.names())).where(
        row.c.closed_at.is_(None),
        row.c.ts >= since,
        row.c.ts < now,
        row.c.severity.in_((Severity.REJECT.value, Severity.FLAG.value)),
        among(connection, row.c.asset_id, asset_ids),
    )
    return read_frame(connection, query, FINDINGS)


def broken_certificates(
    connection: Connection, *, skipping: Collection[str]
) -> dict[str, tuple[datetime, str, str, str]]:
    """asset_id -> slot, diagnosis, evidence and repair of the first open discrepancy since its certificate's period.

    However long ago that was: nobody may have looked for days.

    Args:
        connection: for queries.
        skipping: diagnoses that don't count.
    """
    row, certificate = table_of(DiscrepancyRow), table_of(CertificateRow)
    query = (
        select(row.c.asset_id, row.c.slot_start, row.c.diagnosis, row.c.evidence, row.c.repair)
        .join(certificate, (certificate.c.asset_id == row.c.asset_id) & certificate.c.ended_at.is_(None))
        .where(
            row.c.quantity == FORECAST,
            row.c.closed_at.is_(None),
            row.c.slot_start >= certificate.c.period_end,
            row.c.diagnosis.not_in(skipping),
        )
        .order_by(row.c.slot_start.desc())
    )
    return {asset_id: (slot, *told) for asset_id, slot, *told in connection.execute(query).tuples()}


def differing_slots(connection: Connection, asset_ids: Sequence[str]) -> dict[str, list[datetime]]:
    """asset_id -> slots that are listed as differing, of whatever age."""
    row = table_of(DiscrepancyRow)
    query = select(row.c.asset_id, row.c.slot_start).where(
        row.c.closed_at.is_(None), row.c.quantity == FORECAST, among(connection, row.c.asset_id, asset_ids)
    )
    found: dict[str, list[datetime]] = {}
    for asset_id, slot_start in connection.execute(query).tuples():
        found.setdefault(asset_id, []).append(slot_start)
    return found


def measurements(connection: Connection, asset_ids: Sequence[str], *, since: datetime, now: datetime) -> pl.DataFrame:
    """asset_id, slot_start, state of measurements, the newest version of each."""
    row = table_of(SubmissionRow)
    schema = pl.Schema({**_KEY, "version": pl.Int64(), "state": pl.String()})
    query = select(*(row.c[name] for name in schema.names())).where(
        row.c.quantity == Quantity.MEASUREMENT.value,
        row.c.state != State.SUPERSEDED.value,
        row.c.slot_start >= since,
        row.c.slot_start < now,
        among(connection, row.c.asset_id, asset_ids),
    )
    return _newest(read_frame(connection, query, schema)).drop("version")


def last_feed(connection: Connection) -> datetime | None:
    """Logical time of the newest feed or backfill that ran to its end; None: there was none."""
    row = table_of(RunRow)
    newest: datetime | None = connection.execute(
        select(func.max(row.c.logical_time)).where(
            row.c.command.in_(("feed", "backfill")), row.c.finished_at.is_not(None)
        )
    ).scalar_one()
    return newest


def newest_compared(connection: Connection, *, now: datetime) -> datetime | None:
    """Start of the newest slot that any reconciliation looked at."""
    row, asset = table_of(ExchangeEnergyRow), table_of(AssetRow)
    # Of each asset's index the last entry alone.
    own = (
        select(row.c.slot_start)
        .where(row.c.asset_id == asset.c.asset_id, row.c.quantity == FORECAST, row.c.slot_start < now)
        .order_by(row.c.slot_start.desc())
        .limit(1)
        .scalar_subquery()
    )
    newest: datetime | None = connection.execute(select(func.max(own)).select_from(asset)).scalar_one()
    return newest


def live_since(connection: Connection) -> dict[str, datetime]:
    """asset_id -> its first slot."""
    row = table_of(AssetRow)
    return {one.asset_id: one.live_since for one in connection.execute(select(row.c.asset_id, row.c.live_since))}


@dataclass(frozen=True, kw_only=True)
class Told:
    """How far a stream has told."""

    position: datetime
    """Stamp of its newest reading."""

    updated_at: datetime
    """When that came."""


def streams_told(connection: Connection) -> dict[str, Told]:
    """stream_id -> how far; a stream that never told anything isn't among them."""
    row = table_of(Cursor)
    query = select(row.c.stream_id, row.c.position, row.c.updated_at)
    return {one.stream_id: Told(position=one.position, updated_at=one.updated_at) for one in connection.execute(query)}
