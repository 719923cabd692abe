"""Runs, from the run log; counters, from the sums over all runs; and what the watch has seen."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from pipelines.deliver.margins import BOUNDS_S as MARGIN_BOUNDS_S
from pipelines.metrics.amounts import BEYOND, RUN_BOUNDS_S, SUM
from pipelines.metrics.families import FAMILIES, Kind
from pipelines.metrics.sample import Sample, instant, sample
from pipelines.store import IncidentRow, RunRow, table_of
from pipelines.store.tally import totals
from pipelines.watch import Kind as Alarm

BOUNDS: Mapping[str, tuple[int, ...]] = {
    "delivery_margin_seconds": MARGIN_BOUNDS_S,
    "run_duration_seconds": RUN_BOUNDS_S,
}

OK = "ok"
WATCH = "watch"


def of_runs(connection: Connection) -> Iterator[Sample]:
    """When each flow ran last, when last without a problem, and how long its steps took; of each share by itself."""
    last = last_runs(connection)
    for run in last:
        yield instant("last_run_timestamp_seconds", run.finished_at, run.command, run.share)
        if run.succeeded_at is not None:
            yield instant("last_success_timestamp_seconds", run.succeeded_at, run.command, run.share)
        for stage, seconds in run.summary.get("stages_s", {}).items():
            yield sample("last_stage_duration_seconds", seconds, run.command, run.share, stage)
        if run.command == WATCH:
            yield from _seen(run.summary)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The last run of a flow, or of one share of it, that has ended."""

    command: str
    share: str
    outcome: str
    started_at: datetime
    logical_time: datetime
    finished_at: datetime
    succeeded_at: datetime | None
    """When one last ended without a problem."""

    summary: Mapping[str, Any]


def last_runs(connection: Connection) -> list[Ended]:
    """Of each flow the last run; where workers carry shares, of each share that its newest run is one of.

    Shares of another number are of a time when the community was parted otherwise: nobody runs them any more.
    """
    row = table_of(RunRow).c
    query = (
        select(row.command, row.share, row.outcome, func.max(row.started_at), func.max(row.finished_at))
        .where(row.finished_at.is_not(None))
        .group_by(row.command, row.share, row.outcome)
    )
    started: dict[tuple[str, str], datetime] = {}
    succeeded: dict[tuple[str, str], datetime] = {}
    for command, share, outcome, started_at, finished_at in connection.execute(query).tuples():
        started[command, share] = max(started_at, started.get((command, share), started_at))
        if outcome == OK:
            succeeded[command, share] = finished_at
    newest: dict[str, tuple[datetime, str]] = {}
    for (command, share), at in started.items():
        newest[command] = max((at, _parts(share)), newest.get(command, (at, _parts(share))))
    wanted = [key for key in started if _parts(key[1]) == newest[key[0]][1]]
    rows = select(
        row.command, row.share, row.outcome, row.started_at, row.logical_time, row.finished_at, row.summary
    ).where(row.finished_at.is_not(None), row.started_at.in_([started[key] for key in wanted]))
    found = {
        (one.command, one.share): Ended(**one._mapping, succeeded_at=succeeded.get((one.command, one.share)))  # noqa: SLF001 - SQLAlchemy's public name
        for one in connection.execute(rows)
        if started.get((one.command, one.share)) == one.started_at
    }
    return [found[key] for key in sorted(wanted)]


def _parts(share: str) -> str:
    return share.partition("/")[2]


def of_totals(connection: Connection) -> Iterator[Sample]:
    """The counters, and the buckets of histograms."""
    buckets: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for (name, *labels), total in totals(connection).items():
        family = FAMILIES.get(name)
        # What a newer or older slotfeed counts and this one doesn't know is left alone.
        if family is None or len(labels) != len(family.labels) + (family.kind is Kind.HISTOGRAM):
            continue
        if family.kind is Kind.HISTOGRAM:
            buckets[name, *labels[:-1]][labels[-1]] = total
        else:
            yield sample(name, total, *labels)
    for (name, *labels), counts in buckets.items():
        # Prometheus' buckets hold all that is below their bound.
        below = 0.0
        for bound in (*map(str, BOUNDS[name]), BEYOND):
            below += counts.get(bound, 0.0)
            yield sample(name, below, *labels, bound)
        yield sample(name, counts.get(SUM, 0.0), *labels, SUM)


def of_incidents(connection: Connection) -> Iterator[Sample]:
    """How many incidents of each alarm stand."""
    row = table_of(IncidentRow).c
    query = select(row.kind, func.count()).where(row.closed_at.is_(None)).group_by(row.kind)
    counts = dict(connection.execute(query).tuples().all())
    for alarm in Alarm:
        yield sample("incidents_open", counts.get(alarm.value, 0), alarm.value)


def _seen(summary: Mapping[str, Any]) -> Iterator[Sample]:
    """What the last watch saw outside the store."""
    outside: Mapping[str, Any] = summary.get("outside", {})
    if (offset := outside.get("clock_offset_s")) is not None:
        yield sample("clock_offset_seconds", offset)
    for budget in outside.get("budgets", ()):
        labels = (budget["source"], budget["limit"])
        yield sample("source_requests_remaining", budget["left"], *labels)
        yield sample("source_requests_limit", budget["most"], *labels)
