"""Which rows leave the tables for files, and the list of those files.

A file is never changed and never deleted. A row that stands in a table counts; else the one in the file of the highest
number. So a row may stand in both, as after a run that died, and still is one row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl
from sqlalchemy import BigInteger, Connection, TypeDecorator, select
from sqlmodel import Field, SQLModel

from pipelines.frames import INSTANT
from pipelines.store.bulk import table_of
from pipelines.store.quality_tables import FindingRow
from pipelines.store.tables import DiscrepancyRow, ExchangeEnergyRow, ReadingRow, SlotEnergyRow, SubmissionRow


class AgedPartRow(SQLModel, table=True):
    """One file: rows of one kind and one UTC day."""

    __tablename__ = "aged_part"

    kind: str = Field(primary_key=True)
    """Name of an `AgedKind`."""

    day: date = Field(primary_key=True)
    number: int = Field(primary_key=True)
    """From 1 on: what is left of a day at first leaves later, in a file of its own."""

    file: str
    """Path below the community's folder of such files."""

    rows: int = Field(sa_type=BigInteger)
    total: float
    """Sum of their energies or values, for people who look into the file."""

    sha256: str
    first_at: datetime
    last_at: datetime
    """Both included."""

    written_at: datetime
    run_id: str


@dataclass(frozen=True)
class AgedKind:
    """Rows that leave together."""

    name: str
    model: type[SQLModel]
    series: str
    """Column of what the rows are a series of; an index begins with it, and goes on with `time`."""

    time: str
    value: str
    """Column that is summed up."""

    @property
    def schema(self) -> pl.Schema:
        """The table's columns, but those that the database computes of others."""
        columns = table_of(self.model).columns
        return pl.Schema({column.name: _polars(column.type) for column in columns if column.computed is None})

    @property
    def key(self) -> list[str]:
        """The table's primary key."""
        return [column.name for column in table_of(self.model).primary_key]


READINGS = AgedKind("readings", ReadingRow, "stream_id", "ts", "value")
QUARANTINE = AgedKind("quarantine", ReadingRow, "stream_id", "ts", "value")
FINDINGS = AgedKind("findings", FindingRow, "asset_id", "ts", "value")
SLOT_ENERGY = AgedKind("slot_energy", SlotEnergyRow, "asset_id", "slot_start", "energy_wh")
SUBMISSIONS = AgedKind("submissions", SubmissionRow, "asset_id", "slot_start", "energy_wh")
EXCHANGE_ENERGY = AgedKind("exchange_energy", ExchangeEnergyRow, "asset_id", "slot_start", "energy_wh")
DISCREPANCIES = AgedKind("discrepancies", DiscrepancyRow, "asset_id", "slot_start", "expected_wh")

KINDS = (READINGS, QUARANTINE, FINDINGS, SLOT_ENERGY, SUBMISSIONS, EXCHANGE_ENERGY, DISCREPANCIES)


@dataclass(frozen=True)
class Part:
    """An entry of the list of files, as `AgedPartRow`."""

    kind: str
    day: date
    number: int
    file: str
    rows: int
    total: float
    sha256: str
    first_at: datetime
    last_at: datetime


def parts_of(
    connection: Connection,
    kinds: Sequence[AgedKind] = KINDS,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[Part]:
    """Files with rows in [start, end), of each day in the order of their numbers.

    Args:
        connection: for the query.
        kinds: of these.
        start: None: from the first on.
        end: None: to the last.
    """
    row = table_of(AgedPartRow).c
    names = ("kind", "day", "number", "file", "rows", "total", "sha256", "first_at", "last_at")
    query = select(*(row[name] for name in names)).where(row.kind.in_([kind.name for kind in kinds]))
    if start is not None:
        query = query.where(row.last_at >= start)
    if end is not None:
        query = query.where(row.first_at < end)
    return [Part(*one) for one in connection.execute(query.order_by(row.day, row.kind, row.number)).tuples()]


def _polars(kind: Any) -> pl.DataType | type[pl.DataType]:  # noqa: ANN401 - SQLAlchemy's type
    python = (kind.impl_instance if isinstance(kind, TypeDecorator) else kind).python_type
    return {datetime: INSTANT, str: pl.String(), float: pl.Float64(), int: pl.Int64()}[python]
