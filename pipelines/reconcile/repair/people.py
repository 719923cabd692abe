"""What waits for a person: one instruction for each asset and cause, however many slots they are."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from pipelines.reconcile.names import OF_NO_ASSET, Diagnosis, refused_words
from pipelines.reconcile.repair.rules import Failed, Hold
from pipelines.store import DiscrepancyRow, table_of
from pipelines.store.discrepancies import still_open


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """What a person is to do."""

    asset: str
    """Name; or how many there are, where the cause lies with none of them."""

    cause: str
    slots: int
    first: datetime
    last: datetime
    """Start of the newest slot."""

    wrong_wh: float
    """What the market counts wrongly; 0 where nothing is known of that."""

    words: str
    evidence: str
    """Of the newest slot."""


def instructions(
    connection: Connection, names: Mapping[str, str], held: Sequence[tuple[Failed, Hold]]
) -> list[Instruction]:
    """What is to be done, the most energy first.

    Args:
        connection: to read open discrepancies with.
        names: asset_id -> name, of the community's assets.
        held: values that were refused and aren't sent again now.
    """
    found = [*_of_discrepancies(connection, names), *_of_refused(held, names)]
    return sorted(found, key=lambda one: (-one.wrong_wh, one.asset, one.cause))


def _of_discrepancies(connection: Connection, names: Mapping[str, str]) -> Iterator[Instruction]:
    row = table_of(DiscrepancyRow)
    off = func.abs(func.coalesce(row.c.expected_wh, 0.0) - func.coalesce(row.c.exchange_wh, 0.0))
    totals = (
        select(
            row.c.asset_id,
            row.c.diagnosis,
            func.count().label("slots"),
            func.min(row.c.slot_start).label("first"),
            func.max(row.c.slot_start).label("last"),
            func.sum(off).label("wrong_wh"),
        )
        .where(still_open(row), row.c.asset_id.in_(names))
        .group_by(row.c.asset_id, row.c.diagnosis)
        .subquery()
    )
    newest = (row.c.asset_id == totals.c.asset_id) & (row.c.slot_start == totals.c.last)
    query = select(totals, row.c.repair, row.c.evidence).join(row, newest & (row.c.diagnosis == totals.c.diagnosis))
    together: dict[str, list[Any]] = defaultdict(list)
    for one in connection.execute(query.where(still_open(row))):
        if one.diagnosis in OF_NO_ASSET:
            together[one.diagnosis].append(one)
        else:
            yield _instruction([one], names)
    for rows in together.values():
        yield _instruction(rows, names)


def _instruction(rows: Sequence[Any], names: Mapping[str, str]) -> Instruction:
    """One for rows of the query that have the same cause."""
    newest = max(rows, key=lambda one: one.last)
    return Instruction(
        asset=names[newest.asset_id] if len(rows) == 1 else f"{len(rows)} assets",
        cause=newest.diagnosis,
        slots=sum(one.slots for one in rows),
        first=min(one.first for one in rows),
        last=newest.last,
        wrong_wh=sum(one.wrong_wh or 0.0 for one in rows),
        words=newest.repair,
        evidence=newest.evidence,
    )


def _of_refused(held: Sequence[tuple[Failed, Hold]], names: Mapping[str, str]) -> Iterator[Instruction]:
    groups: dict[tuple[str, str], list[tuple[Failed, Hold]]] = defaultdict(list)
    for one, hold in held:
        if one.refused and hold in {Hold.ALONE, Hold.LATER, Hold.TOO_OFTEN}:
            groups[one.asset_id, one.quantity].append((one, hold))
    for (asset_id, quantity), rows in groups.items():
        newest, _ = max(rows, key=lambda item: item[0].slot_start)
        name = names[asset_id]
        often = any(hold is Hold.TOO_OFTEN for _, hold in rows)
        yield Instruction(
            asset=name,
            cause=f"{quantity}s {Diagnosis.REFUSED.value}",
            slots=len(rows),
            first=min(one.slot_start for one, _ in rows),
            last=newest.slot_start,
            wrong_wh=0.0,
            words=refused_words(name, often=often),
            evidence=newest.error,
        )
