"""Data that gets worse: coverage, quarantine, discrepancies nobody mends, accounts that are stopped."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from pipelines.community import Community
from pipelines.store import AccountRow, DiscrepancyRow, QualityDayRow, ReadingRow, Verdict, table_of
from pipelines.store.discrepancies import still_open
from pipelines.watch.alarms import Alarm, Kind
from pipelines.watch.silence import subject_of

DAY = timedelta(days=1)
DAYS_BEFORE = 7
GROWN = 3
"""Times the mean of the days before; ours."""

FEW = 20
"""Rows that one bad hour of one meter makes; ours."""

WAITING = (Verdict.QUARANTINED.value, Verdict.SUSPECT.value)


def coverage(connection: Connection, community: Community, *, drop: float) -> Iterator[Alarm]:
    """An alarm for each asset whose last judged day is measured by so much less than the week before.

    Args:
        connection: to read; days are judged by `slotfeed quality`.
        community: its live assets.
        drop: of the share of slots that are measured, 0..1.
    """
    row = table_of(QualityDayRow).c
    last_day = connection.execute(select(func.max(row.day))).scalar_one()
    if last_day is None:
        return
    query = select(row.asset_id, row.day, row.slots_measured, row.slots_expected).where(
        row.day >= last_day - DAYS_BEFORE * DAY
    )
    today: dict[str, float] = {}
    before: dict[str, list[float]] = {}
    for asset_id, day, measured, expected in connection.execute(query):
        if expected:
            share = measured / expected
            if day == last_day:
                today[asset_id] = share
            else:
                before.setdefault(asset_id, []).append(share)
    for asset in community.assets:
        if not asset.live or asset.asset_id not in today or asset.asset_id not in before:
            continue
        mean = sum(before[asset.asset_id]) / len(before[asset.asset_id])
        if mean - today[asset.asset_id] > drop:
            words = f"{today[asset.asset_id]:.0%} of {last_day:%Y-%m-%d} is measured, of the week before {mean:.0%}"
            yield Alarm(kind=Kind.COVERAGE_FALLING, subject=subject_of(asset), told=words)


def quarantine(connection: Connection, *, now: datetime) -> Iterator[Alarm]:
    """An alarm where the last day put far more readings aside than the week before did in a day."""
    row = table_of(ReadingRow).c
    waiting = row.verdict.in_(WAITING)
    query = select(func.count()).where(waiting, row.received_at > now - DAY, row.received_at <= now)
    fresh: int = connection.execute(query).scalar_one()
    earlier = select(func.count()).where(
        waiting, row.received_at > now - (1 + DAYS_BEFORE) * DAY, row.received_at <= now - DAY
    )
    usual = connection.execute(earlier).scalar_one() / DAYS_BEFORE
    if fresh > max(FEW, GROWN * usual):
        words = f"{fresh:,} readings of the last 24 hours wait in quarantine, before {usual:,.0f} a day"
        yield Alarm(kind=Kind.QUARANTINE_GROWING, subject="", told=words)


def discrepancies(connection: Connection, *, now: datetime, after: timedelta) -> Iterator[Alarm]:
    """An alarm for each cause whose discrepancies stand open for longer than `after`."""
    row = table_of(DiscrepancyRow)
    query = (
        select(row.c.diagnosis, func.count().label("slots"), func.min(row.c.opened_at).label("since"))
        .where(still_open(row), row.c.opened_at < now - after)
        .group_by(row.c.diagnosis)
        .order_by(row.c.diagnosis)
    )
    for diagnosis, slots, since in connection.execute(query):
        words = f"{slots:,} slots stand open, the oldest since {since:%Y-%m-%d %H:%M} UTC"
        yield Alarm(kind=Kind.DISCREPANCIES_AGEING, subject=f"cause '{diagnosis}'", told=words)


def accounts(connection: Connection, community: Community, *, now: datetime) -> Iterator[Alarm]:
    """An alarm for each vendor account that isn't asked any more."""
    row = table_of(AccountRow).c
    query = select(row.account, row.stopped_until, row.reason).where(row.stopped_until > now).order_by(row.account)
    for account, until, reason in connection.execute(query):
        if account in community.sources:
            words = f"not asked until {until:%Y-%m-%d %H:%M} UTC: {reason}"
            yield Alarm(kind=Kind.ACCOUNT_STOPPED, subject=f"source '{account}'", told=words)
