"""Questions about many assets or streams at once, each answered by a seek in an index however long the history."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import CTE, ColumnElement, Connection, ScalarSelect, and_, func, literal, or_, select

from expectations.limits import WHOLE
from pipelines.convert.methods import FILLING, Method
from pipelines.store import USABLE, ReadingRow, SlotEnergyRow, table_of
from pipelines.store.asked import asked, no_lead

T = TypeVar("T")
Range = tuple[str, datetime, datetime]
"""asset_id, and its slots from a start up to a slot boundary."""

BATCH = 20_000
"""Keys per query."""


def last_readings(connection: Connection, stream_ids: list[str]) -> dict[str, datetime]:
    """Up to where each stream's newest usable reading tells; streams without one are left out."""
    table = table_of(ReadingRow)

    def newest(stream_id: ColumnElement[Any]) -> ScalarSelect[Any]:
        told = func.coalesce(table.c.ts_end, table.c.ts)
        mine = select(told).where(table.c.stream_id == stream_id, no_lead(table.c.verdict).in_(USABLE))
        return mine.order_by(table.c.ts.desc()).limit(1).scalar_subquery()

    found: dict[str, datetime] = {}
    for keys in _batches(sorted(set(stream_ids))):
        wanted = asked(connection, {"key": table.c.stream_id.type}, [(key,) for key in keys])
        query = select(wanted.c.key, newest(wanted.c.key).label("last"))
        found |= {key: last for key, last in connection.execute(query) if last is not None}
    return found


def last_slots(connection: Connection, asset_ids: list[str]) -> dict[str, datetime]:
    """Each asset's newest slot; assets without one are left out."""
    far = datetime.max.replace(tzinfo=UTC)
    return _newest_slots(connection, [(asset_id, far, far) for asset_id in asset_ids], only=None)


def last_settled(connection: Connection, ranges: list[Range]) -> dict[str, datetime]:
    """Each asset's newest slot before the range's end that is whole or was filled; assets without one are left out."""
    table = table_of(SlotEnergyRow)
    names = literal("+").concat(table.c.method).concat("+")
    filled = [names.like(f"%+{method.value}+%") for method in FILLING]
    return _newest_slots(connection, ranges, only=or_(table.c.coverage >= WHOLE, *filled))


def with_gaps(connection: Connection, ranges: list[Range], *, length: timedelta) -> list[Range]:
    """Those of the ranges in which not every slot is whole by its own readings."""
    table, newer = table_of(SlotEnergyRow), table_of(SlotEnergyRow).alias()
    found: list[Range] = []
    for part in _batches([one for one in ranges if one[1] < one[2]]):
        wanted = _asked(connection, part)
        current = ~(
            select(newer.c.version)
            .where(
                newer.c.asset_id == table.c.asset_id,
                newer.c.slot_start == table.c.slot_start,
                newer.c.version > table.c.version,
            )
            .exists()
        )
        query = (
            select(wanted.c.number, func.count())
            .join(
                table,
                and_(
                    table.c.asset_id == wanted.c.asset_id,
                    table.c.slot_start >= wanted.c.a,
                    table.c.slot_start < wanted.c.b,
                ),
            )
            # The bounds of all, for PostgreSQL's plan: as in `slots_within`.
            .where(table.c.slot_start >= min(a for _, a, _ in part), table.c.slot_start < max(b for *_, b in part))
            .where(table.c.coverage >= WHOLE, ~table.c.method.contains(Method.LIKE_DAY.value), current)
            .group_by(wanted.c.number)
        )
        whole = dict(connection.execute(query).tuples().all())
        found += [one for number, one in enumerate(part) if whole.get(number, 0) * length < one[2] - one[1]]
    return found


def _newest_slots(
    connection: Connection, ranges: list[Range], *, only: ColumnElement[bool] | None
) -> dict[str, datetime]:
    table = table_of(SlotEnergyRow)
    found: dict[str, datetime] = {}
    for part in _batches(ranges):
        wanted = _asked(connection, part)
        mine = select(table.c.slot_start).where(table.c.asset_id == wanted.c.asset_id, table.c.slot_start < wanted.c.b)
        if only is not None:
            mine = mine.where(only)
        newest = mine.order_by(table.c.slot_start.desc()).limit(1).scalar_subquery()
        query = select(wanted.c.asset_id, newest.label("last"))
        found |= {asset_id: last for asset_id, last in connection.execute(query) if last is not None}
    return found


def _asked(connection: Connection, part: list[Range]) -> CTE:
    table = table_of(SlotEnergyRow)
    instant = table.c.slot_start.type
    types = {"number": table.c.version.type, "asset_id": table.c.asset_id.type, "a": instant, "b": instant}
    return asked(connection, types, [(number, *one) for number, one in enumerate(part)])


def _batches(items: list[T]) -> Iterable[list[T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
