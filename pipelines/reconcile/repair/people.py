"""What waits for a person: one instruction for each asset and cause, however many slots; many assets share one."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from pipelines.reconcile.names import OF_NO_ASSET, Diagnosis, refused_words
from pipelines.reconcile.repair.compared import newest_confirmed
from pipelines.reconcile.repair.rules import Failed, Hold
from pipelines.store import DiscrepancyRow, table_of
from pipelines.store.discrepancies import still_open

MOST_ALONE = 3
"""So many assets with the same cause have an instruction each; more of them have one together. Ours."""


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """What a person is to do."""

    asset: str
    """Name; or how many there are, where they have the cause together."""

    cause: str
    slots: int
    first: datetime
    last: datetime
    """Start of the newest slot."""

    wrong_wh: float
    """What the market counts wrongly; 0 where nothing is known of that."""

    over: bool
    """A later slot of each of them is confirmed: nothing is to be done any more."""

    words: str
    evidence: str
    """Of the newest slot of an asset."""


def instructions(
    connection: Connection, names: Mapping[str, str], held: Sequence[tuple[Failed, Hold]]
) -> list[Instruction]:
    """What is to be done, the most energy first; then what is over.

    Args:
        connection: to read open discrepancies with.
        names: asset_id -> name, of the community's assets.
        held: values that were refused and aren't sent again now.
    """
    found = [*_of_discrepancies(connection, names), *_of_refused(held, names)]
    return sorted(found, key=lambda one: (one.over, -one.wrong_wh, one.asset, one.cause))


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
    found = connection.execute(query.where(still_open(row))).all()
    confirmed = {asset_id: newest_confirmed(connection, asset_id) for asset_id in {one.asset_id for one in found}}
    by_cause: dict[tuple[str, bool], list[Any]] = defaultdict(list)
    for one in found:
        by_cause[one.diagnosis, one.last < (confirmed[one.asset_id] or one.last)].append(one)
    for (cause, over), rows in by_cause.items():
        if cause in OF_NO_ASSET or len(rows) > MOST_ALONE:
            yield _instruction(rows, names, over=over, alike=cause not in OF_NO_ASSET)
        else:
            yield from (_instruction([one], names, over=over) for one in rows)


def _instruction(rows: Sequence[Any], names: Mapping[str, str], *, over: bool, alike: bool = True) -> Instruction:
    """One for rows of the query that have the same cause, those of most slots first."""
    rows = sorted(rows, key=lambda one: (-one.slots, names[one.asset_id]))
    first, others = rows[0], len(rows) - 1
    return Instruction(
        asset=names[first.asset_id] if not others else f"{len(rows)} assets",
        cause=first.diagnosis,
        slots=sum(one.slots for one in rows),
        first=min(one.first for one in rows),
        last=max(one.last for one in rows),
        wrong_wh=sum(one.wrong_wh or 0.0 for one in rows),
        over=over,
        words=first.repair + (f"; the same for the {others} others" if others and alike else ""),
        evidence=first.evidence,
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
            over=False,
            words=refused_words(name, often=often),
            evidence=newest.error,
        )
