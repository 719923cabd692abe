"""What a flow run leaves in Prefect's interface for the community's manager: a summary in words and a table.

Prefect being away costs the artifacts, never the run.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from prefect.artifacts import acreate_link_artifact, acreate_markdown_artifact, acreate_table_artifact
from prefect.exceptions import PrefectException

from flows.session import Run
from pipelines.commission.told import rows_of, words_of
from pipelines.commission.verdicts import AssetStanding
from pipelines.plain import in_markdown
from pipelines.report.daily import quality_in_words, quality_links
from pipelines.report.findings import finding_rows
from pipelines.report.rundown import (
    MOST_ROWS,
    discrepancy_rows,
    feed_in_words,
    heading,
    nothing_to_send,
    problems_in_words,
    reconcile_in_words,
    submission_rows,
)
from pipelines.report.upkeep import archive_in_words, archive_rows, fee_rows, fees_in_words
from pipelines.shares import WHOLE
from pipelines.validate.findings import list_findings
from pipelines.watch import headline, standing

log = logging.getLogger("slotfeed")


async def leave_feed(run: Run) -> None:
    """Leave what a feed or backfill did; of a share under a name of its own."""
    asked = run.command == "feed" and "convert" in run.summary
    nothing = nothing_to_send(run.store, run.community, now=run.now) if asked else ()
    await _leave(
        run,
        "feed" if run.share == WHOLE else f"feed-{run.share.number}-of-{run.share.of}",
        words=feed_in_words(run.community, run.summary, _wrong(run), nothing=nothing),
        rows=submission_rows(run.store, run.community, run.run_id),
    )


async def leave_reconcile(run: Run) -> None:
    """Leave what a reconciliation found and a repair did: open discrepancies first, then those that are lost."""
    rows = discrepancy_rows(run.store, run.community)
    rows += discrepancy_rows(run.store, run.community, most=MOST_ROWS - len(rows), lost=True)
    await _leave(
        run,
        "reconcile",
        words=reconcile_in_words(run.community, run.summary, _wrong(run)),
        rows=rows,
    )


async def leave_grid_fees(run: Run) -> None:
    """Leave which grid fees stand and which were set."""
    words = fees_in_words(run.community, run.summary, _wrong(run))
    await _leave(run, "grid-fees", words=words, rows=fee_rows(run.community, run.summary))


async def leave_archive(run: Run) -> None:
    """Leave which days were kept."""
    words = archive_in_words(run.community, run.summary, _wrong(run))
    await _leave(run, "archive", words=words, rows=archive_rows(run.summary))


async def leave_quality(run: Run) -> None:
    """Leave what the daily look found, and links to its pages."""
    words = quality_in_words(run.community, run.summary, _wrong(run))
    links = quality_links(run.community, run.summary)
    open_ones = list_findings(run.store, closed=False, limit=MOST_ROWS)
    await _leave(run, "quality", words=words, rows=finding_rows(open_ones, run.community), links=links)


async def leave_commission(run: Run, standings: Sequence[AssetStanding]) -> None:
    """Leave how far each asset is on its way to being proven, those first that need a person."""
    words = words_of(run.community, run.summary, _wrong(run))
    rows = rows_of(standings, ZoneInfo(run.community.community.time_zone))[:MOST_ROWS]
    await _leave(run, "commission", words=words, rows=rows)


async def leave_watch(run: Run) -> None:
    """Leave what is wrong now."""
    incidents = standing(run.store)
    lines: list[str] = []
    for one in incidents:
        since = f"since {one.opened_at:%Y-%m-%d %H:%M} UTC"
        lines.append(f"- **{in_markdown(headline(one))}**: {in_markdown(one.told)}")
        lines.append(f"    - {since}. What to do: {in_markdown(one.remedy)}")
    count = len(incidents)
    state = "nothing is wrong" if not count else "one thing is wrong" if count == 1 else f"{count:,} things are wrong"
    words = "\n".join([f"{heading(run.community)}: {state}", "", *lines, *problems_in_words(_wrong(run))])
    rows: list[Mapping[str, Any]] = [
        {"alarm": one.kind.value, "subject": one.subject, "since": f"{one.opened_at:%Y-%m-%d %H:%M} UTC"}
        | {"seen": one.told, "what to do": one.remedy}
        for one in incidents
    ]
    await _leave(run, "watch", words=words, rows=rows)


async def leave_fleet(key: str, words: str, rows: Sequence[Mapping[str, str]]) -> None:
    """Leave how the communities of a fleet came through."""
    try:
        await acreate_table_artifact([dict(row) for row in rows[:MOST_ROWS]], key=key, description=words)
    except (PrefectException, httpx.HTTPError) as error:
        log.warning("No artifacts: Prefect's server doesn't answer (%s)", type(error).__name__)


def _wrong(run: Run) -> list[str]:
    """What went wrong, and what ended the run if an error did."""
    return [*run.problems, *([f"the run ended: {run.failure}"] if run.failure else [])]


async def _leave(
    run: Run, key: str, *, words: str, rows: list[Mapping[str, Any]], links: Mapping[str, str] | None = None
) -> None:
    zone = ZoneInfo(run.community.community.time_zone)
    title = f"{run.community.community.name}, {run.now.astimezone(zone):%Y-%m-%d %H:%M %Z}"
    try:
        await acreate_markdown_artifact(words, key=f"{key}-summary", description=title)
        await acreate_table_artifact([dict(row) for row in rows], key=f"{key}-table", description=title)
        for name, link in (links or {}).items():
            await acreate_link_artifact(link, link_text=f"{title}: {name}", key=f"{key}-{name}", description=title)
    except (PrefectException, httpx.HTTPError) as error:
        log.warning("No artifacts: Prefect's server doesn't answer (%s)", type(error).__name__)
