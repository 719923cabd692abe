"""The steps of the daily look at the data: judge days, choose forecasts, publish what people read."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from flows.moments import midnight
from flows.session import Run
from flows.steps import step
from pipelines.convert.forecast import ForecastSummary, choose_forecasts
from pipelines.convert.forecast.due import choice_is_due
from pipelines.errors import TerminalError
from pipelines.report.run import write_report
from pipelines.validate.days import DaysSummary, judge_days
from pipelines.validate.publish import publish_docs

DAYS = 7
"""Days that the pages show one by one; their trend goes on for weeks. The number is ours."""

ASSET_DAYS = 7_000
"""Days of assets, taken together, that the Data Docs judge once more: a minute's work. The number is ours."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """Where the pages are."""

    report: Path
    docs: Path | None
    """Great Expectations' own; None where they couldn't be built."""


@step
async def judge(run: Run) -> DaysSummary:
    """Judge the days that are over, and the last few again."""
    report = await asyncio.to_thread(judge_days, run.store, run.community, now=run.now, run_id=run.run_id)
    run.note("judge", report)
    return report


@step
async def choose(run: Run, *, anyway: bool = False) -> ForecastSummary | None:
    """Choose each asset's forecast by a backtest, once a week or when asked."""
    if not anyway and not choice_is_due(run.store, now=run.now):
        return None
    report = await asyncio.to_thread(choose_forecasts, run.store, run.community, now=run.now, run_id=run.run_id)
    run.note("choose", report)
    return report


@step
async def publish(run: Run) -> Published:
    """Write the report and, beside it, Great Expectations' Data Docs."""
    folder = run.folder / run.community.quality.folder
    days = max(1, min(DAYS, ASSET_DAYS // len(run.community.assets)))
    docs = None
    try:
        docs = await asyncio.to_thread(
            publish_docs, run.store, run.community, days=days, now=run.now, folder=folder / "docs"
        )
    except TerminalError as error:
        # The report stands without them.
        run.problems.append(str(error))
    report = await asyncio.to_thread(
        write_report,
        run.store,
        run.community,
        start=midnight(run.now, run.community.community.time_zone, days_before=DAYS),
        end=run.now,
        now=run.now,
        path=folder / "report.html",
        docs="docs/index.html" if docs else None,
    )
    published = Published(report=report, docs=docs)
    run.summary["publish"] = {"report": str(report), "docs": docs and str(docs)}
    return published
