"""Open findings: how many of which check and asset, and the stretches of time in which they lie."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, func, select
from sqlalchemy.sql.elements import ColumnElement

from expectations.names import CHECKS, Check, Suite
from pipelines.report import queries as q
from pipelines.store import FindingRow, table_of

FINDING = table_of(FindingRow)

ROWS = 20_000
"""Findings that are read one by one, at most: 36 assets with all slots of five days."""

READINGS_APART = timedelta(hours=1)
"""Readings no further apart than this belong to one stretch; slots have to follow each other."""


@dataclass(frozen=True, kw_only=True)
class Broken:
    """Open findings of one check of one asset in the period."""

    asset_id: str
    check: str
    suite: str
    severity: str
    rows: int
    first: datetime
    last: datetime
    """Stamps of the readings, or starts of the slots."""

    @property
    def title(self) -> str:
        """What the check is called; its name, where this version doesn't know it."""
        return title_of(self.check)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Findings of one check of one asset that follow each other in time."""

    asset_id: str
    check: str
    suite: str
    severity: str
    rows: int
    start: datetime
    end: datetime
    """End of the last slot; for readings the stamp of the last."""

    value: float | None
    """The one that is furthest from what is good."""

    low: float | None
    high: float | None
    detail: str
    found_at: datetime
    """When the first of them was found."""

    @property
    def title(self) -> str:
        """What the check is called."""
        return title_of(self.check)

    @property
    def explanation(self) -> str:
        """What holds for good rows; empty where this version doesn't know the check."""
        return CHECKS[Check(self.check)].explanation if self.check in CHECKS else ""


def title_of(check: str) -> str:
    """What a check is called; its name, where this version doesn't know it."""
    return CHECKS[Check(check)].title if check in CHECKS else check


def broken_checks(connection: Connection, scope: q.Scope) -> list[Broken]:
    """Open findings in the period, summed by asset, check and severity."""
    columns = (FINDING.c.asset_id, FINDING.c.check_name, FINDING.c.suite, FINDING.c.severity)
    query = select(
        *columns,
        func.count().label("rows"),
        func.min(FINDING.c.ts).label("first"),
        func.max(FINDING.c.ts).label("last"),
    ).where(_open_within(connection, scope))
    return [
        Broken(
            asset_id=row.asset_id,
            check=row.check_name,
            suite=row.suite,
            severity=row.severity,
            rows=row.rows,
            first=row.first,
            last=row.last,
        )
        for row in connection.execute(query.group_by(*columns))
    ]


def open_before(connection: Connection, scope: q.Scope) -> int:
    """Findings of the same assets from before the period that are open still."""
    query = select(func.count()).where(
        FINDING.c.closed_at.is_(None),
        FINDING.c.ts < scope.start,
        q.among(connection, FINDING.c.asset_id, scope.asset_ids),
    )
    counted: int = connection.execute(query).scalar_one()
    return counted


def stretches(connection: Connection, scope: q.Scope, *, length: timedelta) -> list[Stretch]:
    """The open findings of the scope's assets as stretches of time, by asset, the newest first.

    Args:
        connection: to read with.
        scope: few assets; no more than ROWS findings of theirs are read.
        length: of a slot.
    """
    query = (
        select(FINDING)
        .where(_open_within(connection, scope))
        .order_by(FINDING.c.asset_id, FINDING.c.check_name, FINDING.c.severity, FINDING.c.ts)
        .limit(ROWS)
    )
    found: list[list[Any]] = []
    for row in connection.execute(query):
        if found and _follows(found[-1][-1], row, length):
            found[-1].append(row)
        else:
            found.append([row])
    return sorted((_stretch(rows, length) for rows in found), key=lambda one: (one.start, one.check), reverse=True)


def _open_within(connection: Connection, scope: q.Scope) -> ColumnElement[bool]:
    return and_(
        FINDING.c.closed_at.is_(None),
        FINDING.c.ts >= scope.start,
        FINDING.c.ts < scope.end,
        q.among(connection, FINDING.c.asset_id, scope.asset_ids),
    )


def _follows(before: Any, row: Any, length: timedelta) -> bool:  # noqa: ANN401 - rows of the table
    same = all(getattr(before, name) == getattr(row, name) for name in ("asset_id", "check_name", "severity"))
    apart = READINGS_APART if row.suite == Suite.READINGS else length
    return same and row.ts - before.ts <= apart


def _stretch(rows: Sequence[Any], length: timedelta) -> Stretch:
    worst = max(rows, key=_excess)
    last = rows[-1].ts
    return Stretch(
        asset_id=worst.asset_id,
        check=worst.check_name,
        suite=worst.suite,
        severity=worst.severity,
        rows=len(rows),
        start=rows[0].ts,
        end=last if worst.suite == Suite.READINGS else last + length,
        value=worst.value,
        low=worst.low,
        high=worst.high,
        detail=worst.detail,
        found_at=min(row.found_at for row in rows),
    )


def _excess(row: Any) -> float:  # noqa: ANN401 - a row of the table
    """How far a value is out of its bounds; one without a number comes last."""
    if row.value is None:
        return -1.0
    above = row.value - row.high if row.high is not None else 0.0
    below = row.low - row.value if row.low is not None else 0.0
    return max(above, below, 0.0)


def of_assets(found: Iterable[Stretch]) -> dict[str, list[Stretch]]:
    """asset_id -> its stretches, in the order they come."""
    grouped: dict[str, list[Stretch]] = {}
    for one in found:
        grouped.setdefault(one.asset_id, []).append(one)
    return grouped
