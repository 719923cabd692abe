"""The rows of the page's tables, in the order in which they should be read, each list with a limit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from pipelines.community import Community
from pipelines.report import queries as q
from pipelines.report.status import broken_names
from pipelines.store import Verdict

ROWS = 200
"""Rows that a table shows; what is left out is counted below it."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """The first rows of a list."""

    rows: tuple[Any, ...]
    total: int

    @property
    def more(self) -> int:
        """Rows that are left out."""
        return self.total - len(self.rows)


@dataclass(frozen=True, kw_only=True)
class DifferingSlot:
    """A slot in which the exchange's value isn't the one that should be there, open or lost."""

    asset: str
    asset_id: str
    slot_start: datetime
    quantity: str
    expected_wh: float | None
    exchange_wh: float | None
    diagnosis: str
    evidence: str
    repair: str
    """What to do; of a lost one, why it is."""


@dataclass(frozen=True, kw_only=True)
class QuarantinedReading:
    """A reading that waits for a correction, a decision or, as a suspect, for later readings."""

    row: int
    assets: tuple[str, ...]
    stream_id: str
    ts: datetime | None
    value: float | None
    unit: str
    broken: tuple[tuple[str, str], ...]
    """Expectation, and the same in words (empty where there are none)."""

    suspect: bool


def lost_discrepancies(connection: Connection, scope: q.Scope, names: Mapping[str, str], *, total: int) -> Table:
    """Those that were given up, the newest slot first."""
    newest = (q.DISCREPANCY.c.slot_start.desc(), q.DISCREPANCY.c.asset_id)
    query = select(q.DISCREPANCY).where(scope.of(connection, q.DISCREPANCY), q.LOST).order_by(*newest).limit(ROWS)
    return Table(rows=tuple(_discrepancy(row, names, lost=True) for row in connection.execute(query)), total=total)


def open_discrepancies(connection: Connection, scope: q.Scope, names: Mapping[str, str], *, total: int) -> Table:
    """Open discrepancies in the order of their slots."""
    query = (
        select(q.DISCREPANCY)
        .where(scope.of(connection, q.DISCREPANCY), q.OPEN)
        .order_by(q.DISCREPANCY.c.slot_start, q.DISCREPANCY.c.asset_id)
        .limit(ROWS)
    )
    return Table(rows=tuple(_discrepancy(row, names, lost=False) for row in connection.execute(query)), total=total)


def _discrepancy(row: Any, names: Mapping[str, str], *, lost: bool) -> DifferingSlot:  # noqa: ANN401 - a row
    return DifferingSlot(
        asset=names[row.asset_id],
        asset_id=row.asset_id,
        slot_start=row.slot_start,
        quantity=row.quantity,
        expected_wh=row.expected_wh,
        exchange_wh=row.exchange_wh,
        diagnosis=row.diagnosis,
        evidence=row.evidence,
        repair=row.lost_reason if lost else row.repair,
    )


def quarantined_readings(
    connection: Connection,
    community: Community,
    start: datetime,
    end: datetime,
    *,
    in_words: Mapping[str, str],
    total: int,
) -> Table:
    """Readings in quarantine and suspects in the order of their stamps, those without a stamp first."""
    assets = _assets_of_streams(community)
    query = (
        select(q.READING)
        .where(q.undecided(connection, assets, start, end))
        .order_by(q.READING.c.ts.is_not(None), q.READING.c.ts, q.READING.c.id)
        .limit(ROWS)
    )
    rows = tuple(
        QuarantinedReading(
            row=row.id,
            assets=assets[row.stream_id],
            stream_id=row.stream_id,
            ts=row.ts,
            value=row.value,
            unit=row.unit,
            broken=in_words_of(broken_names(row.broken), in_words),
            suspect=row.verdict == Verdict.SUSPECT,
        )
        for row in connection.execute(query)
    )
    return Table(rows=rows, total=total)


def in_words_of(names: Iterable[str], in_words: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Each name with its sentence."""
    return tuple((name, in_words.get(name, "")) for name in names)


def _assets_of_streams(community: Community) -> dict[str, tuple[str, ...]]:
    """stream_id -> names of the assets that it feeds."""
    found: dict[str, tuple[str, ...]] = {}
    for asset in community.assets:
        for stream in (*asset.streams, *asset.check_registers):
            found[stream.stream_id] = (*found.get(stream.stream_id, ()), asset.name)
    return found
