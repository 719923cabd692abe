"""Judges finished days: slots by the suite `slot_energy`, the exchange's answers by `exchange_match`."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import polars as pl
from sqlalchemy import Connection

from expectations.names import Suite
from pipelines.community import Community
from pipelines.day_types import with_local_days
from pipelines.store import QualityDayRow, Store, upsert_rows
from pipelines.store import aged_tables as aged
from pipelines.store.aged import bring_back, looking_back
from pipelines.validate.days import reading
from pipelines.validate.days.calendar import HISTORY, Days, last_finished_day
from pipelines.validate.days.figures import day_rows
from pipelines.validate.days.outcomes import findings
from pipelines.validate.days.prepared import Prepared, prepared_parts
from pipelines.validate.engine import broken_rows, warm_up
from pipelines.validate.findings import FINDINGS, close_findings, write_findings

SUITES = (Suite.SLOT_ENERGY, Suite.EXCHANGE_MATCH)

DAYS_AT_ONCE = 4
"""Days judged in one transaction: a usual day's work, for the three before come with it again."""

AGAIN = 3
"""Days before that are judged again: late data changes them. The number is ours."""

FURTHEST = timedelta(days=90)
"""How far back the first run goes; what is older is judged where `first` says so. The exchange keeps so many days."""


@dataclass(frozen=True, kw_only=True)
class DaysSummary:
    """What judging days did."""

    first: date | None = None
    """First day judged; None: there was none."""

    last: date | None = None
    slots: int = 0
    """(Asset, slot) pairs judged."""

    compared: int = 0
    """Pairs judged beside the exchange's value."""

    found: Mapping[str, int] = field(default_factory=dict)
    """Check -> rows that break it."""

    by_severity: Mapping[str, int] = field(default_factory=dict)
    closed: int = 0
    """Findings of earlier runs that hold no longer."""


def judge_days(
    store: Store,
    community: Community,
    *,
    now: datetime,
    run_id: str,
    first: date | None = None,
    last: date | None = None,
) -> DaysSummary:
    """Judge the finished days since the last that was judged, and the last three before again.

    Findings that stood open for these days and hold no longer are closed as corrected. A day that is judged again
    without new data changes nothing. Each few days are one transaction, so a run that was stopped goes on there.

    Args:
        store: slots, readings, submissions and what the exchange said; takes findings and `quality_day`.
        community: whose assets; other assets' days stay as they are.
        now: the run's logical time; days that end later are not finished.
        run_id: of the run.
        first: first local day. Default: AGAIN days before the last one judged, or FURTHEST before `now`.
        last: last local day. Default, and at the latest: yesterday.

    Returns:
        What was done.

    Raises:
        TerminalError: an expectation could not be evaluated; the days of its transaction stay as they were.
        StoreError: the database can't be used.
    """
    days = _days_to_judge(store, community, now=now, first=first, last=last)
    if days is None:
        return DaysSummary()
    # Before the first transaction: nobody should wait for the database while libraries are loaded.
    warm_up(*SUITES)
    total = DaysSummary(first=days.first, last=days.last)
    for some in days.split(DAYS_AT_ONCE):
        total = _sum(total, _judge(store, community, some, now=now, run_id=run_id))
    return total


def docs_frames(
    store: Store, community: Community, *, days: Days, now: datetime, at_once: int
) -> Iterator[Mapping[Suite, pl.DataFrame]]:
    """What the suites judge in these days, for Great Expectations' Data Docs.

    Args:
        store: read only.
        community: whose assets.
        days: local days.
        now: the run's logical time.
        at_once: assets in each part; memory grows with it.

    Yields:
        Suite -> prepared frame of some assets, with more than the columns that the suite's module names.
    """
    start, end = days.bounds(community.community.time_zone)
    with looking_back(store, start=start - HISTORY, end=end) as connection:
        for part in prepared_parts(connection, community, days, now=now, at_once=at_once):
            yield {Suite.SLOT_ENERGY: part.slots, Suite.EXCHANGE_MATCH: part.exchange}


def _days_to_judge(
    store: Store, community: Community, *, now: datetime, first: date | None, last: date | None
) -> Days | None:
    zone = community.community.time_zone
    newest = last_finished_day(now, zone)
    end = newest if last is None else min(last, newest)
    with store.reading() as connection:
        since = reading.read_since(connection, [asset.asset_id for asset in community.assets])
        judged = reading.last_judged_day(connection)
    if since.is_empty():
        return None
    earliest: date = (
        with_local_days(since, zone=zone, holidays_of=None, column="since").select(pl.col("local_day").min()).item()
    )
    begin = first or (newest - FURTHEST if judged is None else judged - timedelta(days=AGAIN - 1))
    days = Days(first=max(begin, earliest), last=end)
    return days if days.first <= days.last else None


def _judge(store: Store, community: Community, days: Days, *, now: datetime, run_id: str) -> DaysSummary:
    start, end = days.bounds(community.community.time_zone)
    found, figures, open_before = [FINDINGS.to_frame()], [], [reading.OPEN.to_frame()]
    slots = compared = 0
    with store.writing() as connection:
        # Findings that aged out are closed or found again, not doubled.
        bring_back(connection, start=start, end=end, series={aged.FINDINGS: None})
    with looking_back(store, start=start - HISTORY, end=end) as connection:
        for part in prepared_parts(connection, community, days, now=now):
            broken = _findings(part, run_id=run_id)
            found.append(broken.select(FINDINGS.names()))
            figures.append(_figures(connection, community, part, broken, start=start, end=end))
            open_before.append(
                reading.read_open(connection, [s.value for s in SUITES], part.asset_ids, start=start, end=end)
            )
            slots, compared = slots + part.slots.height, compared + part.exchange.height
    findings_now = pl.concat(found)
    gone = pl.concat(open_before).join(findings_now, on=["suite", "subject", "ts", "check_name"], how="anti")
    stamp = {"computed_at": now, "run_id": run_id}
    with store.writing() as connection:
        write_findings(connection, findings_now, now=now, run_id=run_id)
        closed = close_findings(connection, gone["id"].to_list(), by="corrected", now=now)
        for rows in figures:
            upsert_rows(connection, QualityDayRow, [row | stamp for row in rows.iter_rows(named=True)])
    return DaysSummary(
        slots=slots,
        compared=compared,
        found=Counter(findings_now["check_name"]),
        by_severity=Counter(findings_now["severity"]),
        closed=closed,
    )


def _findings(part: Prepared, *, run_id: str) -> pl.DataFrame:
    frames = ((Suite.SLOT_ENERGY, part.slots), (Suite.EXCHANGE_MATCH, part.exchange))
    return pl.concat(
        [findings(frame, broken_rows(suite, frame, run_id=run_id)) for suite, frame in frames if not frame.is_empty()]
        or [findings(part.slots, {})]
    )


def _figures(
    connection: Connection,
    community: Community,
    part: Prepared,
    broken: pl.DataFrame,
    *,
    start: datetime,
    end: datetime,
) -> pl.DataFrame:
    zone = community.community.time_zone
    of_readings = reading.read_severities(connection, Suite.READINGS.value, part.asset_ids, start=start, end=end)
    dated = with_local_days(of_readings, zone=zone, holidays_of=None, column="ts")
    columns = ["asset_id", "local_day", "severity"]
    shared = ["asset_id", "slot_start", "local_day", "energy_wh", "quality", "coverage"]
    rows = day_rows(
        pl.concat([part.before.select(shared), part.slots.select(shared)]),
        pl.concat([broken.select(columns), dated.select(columns)]),
        part.submitted,
        part.held,
        slot_length=community.slot_length,
    )
    return rows.filter(pl.col("day").is_in(part.slots["local_day"].unique().implode()))


def _sum(one: DaysSummary, other: DaysSummary) -> DaysSummary:
    return DaysSummary(
        first=one.first,
        last=one.last,
        slots=one.slots + other.slots,
        compared=one.compared + other.compared,
        found=dict(Counter(one.found) + Counter(other.found)),
        by_severity=dict(Counter(one.by_severity) + Counter(other.by_severity)),
        closed=one.closed + other.closed,
    )
