"""The door of `report`: one HTML page for the people who run a community.

The page is a single file that opens without a network: Vega's runtime, the data and the style are in it, and its
content security policy lets nothing else run or be fetched.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from pipelines.community import AssetType, Community
from pipelines.report import exchange_problems, finding_problems, slot_problems, summary, tables, trend
from pipelines.report import queries as q
from pipelines.report.asset_charts import asset_chart, grade_map
from pipelines.report.assets import AssetFigures, asset_figures
from pipelines.report.backtest import last_backtest
from pipelines.report.broken import Broken, broken_checks, of_assets, open_before, stretches
from pipelines.report.charts import Period, Spec, community_chart
from pipelines.report.details import details
from pipelines.report.faults import FAULTS
from pipelines.report.figures import AssetStatus, Status
from pipelines.report.grades import WORDS, Grade
from pipelines.report.overview import check_rows
from pipelines.report.problems import LISTED, Ground, Problem, in_order
from pipelines.report.rendering import render, write_whole
from pipelines.report.series import MULTIPLES, AssetSeries, asset_series, buckets_for, community_series
from pipelines.report.status import status as status_of
from pipelines.report.trend_charts import trend_charts, trend_frames
from pipelines.slots import slot_floor
from pipelines.store import Store
from pipelines.store.aged import looking_back

RELEASE, DISCARD = "quarantine release", "quarantine discard"
"""Commands that decide about a quarantined reading, followed by the row's number."""

DATA_DOCS = "docs/index.html"
"""Where Great Expectations' own pages are, from the report's folder."""

ASSET_ROWS = 1000
"""Rows of the table of assets; what is left out is counted below it."""

OPENED = 3
"""Assets whose details stand open where something is the matter with them."""

BUCKET_WORDS = {"1d": "day", "1w": "week", "1mo": "month"}


def write_report(
    store: Store,
    community: Community,
    *,
    start: datetime,
    end: datetime,
    now: datetime,
    path: Path,
    docs: str | None = None,
) -> Path:
    """Write the page about the slots of [start, end) as they stand at `now`.

    Args:
        store: the community's database.
        community: the file; local times are those of its zone.
        start: of the period.
        end: of the period.
        now: slots that end later are left out of charts and sums.
        path: of the page. It is replaced whole or not at all; missing folders are made.
        docs: link to Great Expectations' Data Docs, relative to the page. Default: DATA_DOCS, where that is a file.

    Returns:
        `path`.

    Raises:
        TerminalError: the file can't be written.
    """
    if docs is None and (path.parent / DATA_DOCS).is_file():
        docs = DATA_DOCS
    with looking_back(store, start=start, end=end) as connection:
        status = status_of(store, community, start=start, end=end, now=now)
        view = _View(connection=connection, community=community, status=status, start=start, end=end, now=now)
        words = {check.value: fault for check, fault in FAULTS.items()}
        content = _content(view, in_words=words)
    write_whole(render(content | {"docs": docs}, view.zone), path, community=community.community.name)
    return path


@dataclass(frozen=True, kw_only=True)
class _View:
    """What the parts of the page are computed from."""

    connection: Connection
    community: Community
    status: Status
    start: datetime
    end: datetime
    now: datetime

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.community.community.time_zone)

    @property
    def over(self) -> datetime:
        """End of the last slot of the period that is over."""
        return max(self.start, min(self.end, slot_floor(self.now, self.community.slot_length)))

    @property
    def day(self) -> date:
        """The period's last local day."""
        last = max(self.start, self.over - self.community.slot_length)
        return trend.local_day(last, self.zone)

    @property
    def scope(self) -> q.Scope:
        return q.Scope(asset_ids=tuple(a.uuid for a in self.status.per_asset), start=self.start, end=self.end)


def _content(view: _View, *, in_words: Mapping[str, str]) -> dict[str, Any]:
    connection, community, status, scope = view.connection, view.community, view.status, view.scope
    names = {asset.asset_id: asset.name for asset in community.assets}
    broken = broken_checks(connection, scope)
    days = trend.day_sums(connection, scope.asset_ids, until=view.day)
    forecasts = trend.forecast_records(connection, scope.asset_ids, until=view.day)
    figures = asset_figures(connection, community, scope, status, over=view.over, broken=broken, forecasts=forecasts)
    problems = _problems(view, figures, broken)
    discrepancies = tables.open_discrepancies(connection, scope, names, total=status.open_discrepancies)
    quarantine = tables.quarantined_readings(
        connection, community, view.start, view.end, in_words=in_words, total=status.quarantined + status.suspect
    )
    severities = Counter({one.severity: 0 for one in broken})
    for one in broken:
        severities[one.severity] += one.rows
    return {
        "status": status,
        "zone": view.zone.key,
        "protocol": community.exchange.protocol,
        "slot_minutes": community.community.slot_length,
        "backtest": last_backtest(connection, community),
        "start": view.start,
        "end": view.end,
        "now": view.now,
        "verdict": summary.verdict(status, problems, discrepancies.rows, view.zone),
        "problems": tables.Table(rows=tuple(problems[:LISTED]), total=len(problems)),
        "tiles": summary.tiles(
            status, community, figures, severities=severities, older=open_before(connection, scope)
        ),
        "columns": trend.comparison(days),
        "days": dict(reversed(days.items())),
        "measurements": status.submissions["measurement"]["accepted"],
        "discrepancies": discrepancies,
        "lost": tables.lost_discrepancies(connection, scope, names, total=status.lost_discrepancies),
        "causes": {
            "open": summary.causes_in_words(status.discrepancies),
            "closed": summary.causes_in_words(status.closed_discrepancies),
        },
        "quarantine": quarantine,
        "unaccounted": tables.Table(rows=status.unaccounted.first, total=status.unaccounted.count),
        "assets": tables.Table(rows=tuple(figures[:ASSET_ROWS]), total=len(figures)),
        "checks": check_rows(broken, names, view.zone),
        "grades": [(grade, WORDS[grade]) for grade in Grade],
        "release": RELEASE,
        "discard": DISCARD,
        "opened": OPENED,
    } | _charted(view, figures, days)  # fmt: skip


def _charted(view: _View, figures: Sequence[AssetFigures], days: Mapping[date, trend.DaySum]) -> dict[str, Any]:
    """The charts with their data, and the details of the assets that are charted one by one."""
    connection, community, over = view.connection, view.community, view.over
    # Before the first asset is live there is nothing to draw.
    start = min(over, max(view.start, min((a.live_since for a in view.status.per_asset), default=view.start)))
    chosen = figures[:MULTIPLES]
    charted = [row.status for row in chosen]
    labels = _labels(charted)
    groups = _groups(community, view.status)
    series = asset_series(connection, community, charted, start, over)
    totals = community_series(connection, community, groups, start, over)
    own = q.Scope(asset_ids=tuple(a.uuid for a in charted), start=start, end=view.end)
    found = of_assets(stretches(connection, own, length=community.slot_length))
    frames = {"cells": series.cells, "parts": series.parts, "runs": series.runs, "totals": totals}
    frames |= trend_frames(days) if days else {}
    period = Period(start, over, view.zone)
    return {
        "bucket": _bucket_words(community, start, over),
        "groups": list(groups),
        "charted": {asset.uuid: k for k, asset in enumerate(charted)},
        "details": details(chosen, labels, series.parts, found, view.zone),
        "data": {name: frame.to_dict(as_series=False) for name, frame in frames.items()},
        "specs": trend_charts(days) | _specs(series, labels, [] if totals.is_empty() else list(groups), period),
    }


def _specs(series: AssetSeries, labels: Sequence[str], groups: Iterable[str], period: Period) -> dict[str, Spec]:
    """The charts of the period that have something to show."""
    specs = {f"community-{group.lower()}": community_chart(period, group) for group in groups}
    if not series.cells.is_empty():
        specs |= {"map": grade_map(period, labels), "asset": asset_chart(period)}
    return specs


def _problems(view: _View, figures: Sequence[AssetFigures], broken: Sequence[Broken]) -> list[Problem]:
    connection, length = view.connection, view.community.slot_length
    ground = Ground(figures=figures, zone=view.zone, length=length, over=view.over)
    start, end, runs = view.start, view.end, view.status.last_run
    fed_until = slot_problems.fed_until(runs, ground, end=end, now=view.now)
    return in_order(
        [
            *slot_problems.run_problems(runs, ground, end=end, now=view.now),
            *slot_problems.silence_problems(ground, fed_until=fed_until),
            *slot_problems.gap_problems(connection, ground, start=start),
            *finding_problems.check_problems(ground, broken),
            *finding_problems.quarantine_problems(connection, view.community, ground, start=start, end=end),
            *finding_problems.discrepancy_problems(connection, view.scope, ground),
            *exchange_problems.refused_measurements(connection, view.scope, ground),
            *exchange_problems.lost_problem(connection, view.scope, ground),
            *finding_problems.unaccounted_problem(view.status, ground),
        ]
    )


def _groups(community: Community, status: Status) -> dict[str, tuple[str, ...]]:
    """Live assets by what the exchange takes them for."""
    live = {asset.uuid for asset in status.per_asset}
    found = {
        title: tuple(a.asset_id for a in community.assets if a.asset_id in live and a.type.sent_as is kind)
        for title, kind in (("Loads", AssetType.LOAD), ("PV", AssetType.PV))
    }
    return {title: ids for title, ids in found.items() if ids}


def _labels(charted: Sequence[AssetStatus]) -> list[str]:
    """Names for the charts; those that occur twice get the beginning of their uuid."""
    names = [asset.name for asset in charted]
    return [f"{a.name} ({a.uuid[:8]})" if names.count(a.name) > 1 else a.name for a in charted]


def _bucket_words(community: Community, start: datetime, end: datetime) -> str:
    minutes = community.community.slot_length
    every = buckets_for(start, end, slot_minutes=minutes, zone=community.community.time_zone).every
    if every == f"{minutes}m":
        return "slot"
    if every in BUCKET_WORDS:
        return BUCKET_WORDS[every]
    length = int(every.removesuffix("m"))
    return f"{length // 60} hours" if length > 60 and length % 60 == 0 else f"{length} minutes"
