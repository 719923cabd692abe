"""Runs, from the run log; counters, from the sums over all runs; and what the watch has seen."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
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
    """When each flow ran last, when last without a problem, and how long its steps took."""
    row = table_of(RunRow).c
    query = (
        select(row.command, row.outcome, func.max(row.finished_at), func.max(row.started_at))
        .where(row.finished_at.is_not(None))
        .group_by(row.command, row.outcome)
    )
    ended: dict[str, datetime] = {}
    started: dict[str, datetime] = {}
    for command, outcome, finished_at, started_at in connection.execute(query).tuples():
        ended[command] = max(finished_at, ended.get(command, finished_at))
        started[command] = max(started_at, started.get(command, started_at))
        if outcome == OK:
            yield instant("last_success_timestamp_seconds", finished_at, command)
    for command, at in ended.items():
        yield instant("last_run_timestamp_seconds", at, command)
    last = select(row.command, row.summary).where(row.command.in_(started), row.started_at.in_(started.values()))
    for command, summary in connection.execute(last).tuples():
        for stage, seconds in summary.get("stages_s", {}).items():
            yield sample("last_stage_duration_seconds", seconds, command, stage)
        if command == WATCH:
            yield from _seen(summary)


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
