"""Slots of the last day, what still moves in the outbox, and what differs at the exchange."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, exists, func, select

from pipelines.community import Community
from pipelines.frames import Quantity, State
from pipelines.metrics.sample import Sample, instant, sample
from pipelines.report import queries as q
from pipelines.slots import slot_floor
from pipelines.store import DiscrepancyRow, SubmissionRow, table_of
from pipelines.store.compared import compared_until
from pipelines.store.discrepancies import given_up, standing, still_open
from pipelines.store.moving import in_flight, with_deadline, without_deadline

WINDOW = timedelta(hours=24)
"""Slots that are counted one by one. Ours: a day has its night, and costs a second at ten thousand assets."""

NONE = "none"
MOVING = (State.PENDING, State.SENDING, State.ACCEPTED, State.CONFIRMED, State.REJECTED, State.EXPIRED)
UNSETTLED = (State.PENDING.value, State.SENDING.value, State.ACCEPTED.value)
"""States of a forecast of which nothing was read back yet."""


def of_slots(connection: Connection, community: Community, *, now: datetime) -> Iterator[Sample]:
    """Expected slots of the last day, the state of each, and how far readings back them."""
    length = community.slot_length
    # The present slot counts: it has no result yet, but its value should be there.
    begun = slot_floor(now, length) + length
    live = _live(connection, community)
    scope = q.Scope(asset_ids=tuple(live), start=begun - WINDOW, end=begun)
    expected = _expected(live, scope, length)
    yield sample("slots_expected", expected)
    counts: Counter[tuple[str, str]] = Counter()
    query = (
        select(q.SUBMISSION.c.quantity, q.SUBMISSION.c.state, func.count())
        .where(scope.of(connection, q.SUBMISSION), q.newest_submission())
        .group_by(q.SUBMISSION.c.quantity, q.SUBMISSION.c.state)
    )
    for quantity, state, count in connection.execute(query).tuples():
        counts[quantity, state] += count
    for quantity in Quantity:
        for state in MOVING:
            yield sample("slots", counts[quantity, state], quantity.value, state.value)
    planned = sum(counts[Quantity.FORECAST, state] for state in MOVING)
    yield sample("slots", max(0, expected - planned), Quantity.FORECAST.value, NONE)
    for name, start in (("present", begun - length), ("coming", begun)):
        yield sample("slot_values_taken", _taken(connection, live, start, start + length), name)
    yield from _coverage(connection, live, scope, length)


def of_outbox(connection: Connection, community: Community, *, now: datetime) -> Iterator[Sample]:
    """What waits, what is on its way, and what nothing was read back of."""
    row = table_of(SubmissionRow)
    conditions = {"yes": with_deadline(row), "no": without_deadline(row)}
    for deadline, condition in conditions.items():
        yield sample("submissions_waiting", _count(connection, condition), deadline)
    yield sample("submissions_in_flight", _count(connection, in_flight(row)))
    listed = table_of(DiscrepancyRow)
    explained = exists().where(
        listed.c.asset_id == row.c.asset_id,
        listed.c.slot_start == row.c.slot_start,
        listed.c.quantity == row.c.quantity,
        standing(listed),
    )
    over = slot_floor(now, community.slot_length)
    unsettled = and_(
        row.c.asset_id == q.ASSET.c.asset_id,
        row.c.slot_start >= compared_until(q.ASSET),
        row.c.slot_start < over,
        row.c.quantity == Quantity.FORECAST.value,
        row.c.state.in_(UNSETTLED),
        ~explained,
    )
    # Asked for each asset by itself: one that can't be read back must not lead through months of all others.
    count, oldest = (
        select(found).where(unsettled).correlate(q.ASSET).scalar_subquery()
        for found in (func.count(), func.min(row.c.slot_start))
    )
    over_all = select(func.sum(count), func.min(oldest)).select_from(q.ASSET)
    total, first = connection.execute(over_all).tuples().one()
    yield sample("forecasts_unsettled", total or 0)
    if first is not None:
        yield instant("oldest_unsettled_slot_timestamp_seconds", first)


def of_discrepancies(connection: Connection) -> Iterator[Sample]:
    """Open ones by cause, and the lost."""
    row = table_of(DiscrepancyRow)
    query = select(row.c.diagnosis, func.count()).where(still_open(row)).group_by(row.c.diagnosis)
    for cause, count in connection.execute(query).tuples():
        yield sample("discrepancies_open", count, cause)
    yield sample("discrepancies_lost", connection.execute(select(func.count()).where(given_up(row))).scalar_one())


def _live(connection: Connection, community: Community) -> dict[str, datetime]:
    wanted = {asset.asset_id for asset in community.assets if asset.live}
    rows = connection.execute(select(q.ASSET.c.asset_id, q.ASSET.c.live_since)).tuples()
    return {asset_id: since for asset_id, since in rows if asset_id in wanted}


def _expected(live: dict[str, datetime], scope: q.Scope, length: timedelta) -> int:
    """An asset is live from the start of a slot on."""
    return sum(max(0, (scope.end - max(scope.start, since)) // length) for since in live.values())


def _coverage(connection: Connection, live: dict[str, datetime], scope: q.Scope, length: timedelta) -> Iterator[Sample]:
    # What ended last is read and computed in the slot after.
    over = q.Scope(asset_ids=scope.asset_ids, start=scope.start - 2 * length, end=scope.end - 2 * length)
    covered = sum(row.covered for row in connection.execute(q.slot_totals(connection, over)))
    if slots := _expected(live, over, length):
        yield sample("coverage_ratio", covered / slots)


def _taken(connection: Connection, live: dict[str, datetime], start: datetime, end: datetime) -> int:
    scope = q.Scope(asset_ids=tuple(live), start=start, end=end)
    return _count(connection, and_(scope.of(connection, q.SUBMISSION), q.sent_forecast()))


def _count(connection: Connection, condition: ColumnElement[bool]) -> int:
    count: int = connection.execute(select(func.count()).select_from(q.SUBMISSION).where(condition)).scalar_one()
    return count
