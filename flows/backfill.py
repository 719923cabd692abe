"""Backfill: a stretch of history from the meters into the database, without sending anything."""

from datetime import datetime
from typing import Any

from prefect import flow

from flows.artifacts import leave_feed
from flows.session import Run, open_run
from flows.steps import collect, convert, validate


@flow(name="backfill", description="Load history: collect, validate and convert a stretch of time.")
async def backfill(
    start: datetime, end: datetime, community: str = "community.yaml", at: datetime | None = None
) -> dict[str, Any]:
    """Load the readings of [start, end] and make slots of them.

    No asset goes live by it. What it changes in slots that are live already is sent by the next feed.

    Args:
        start: with offset, or UTC.
        end: with offset, or UTC.
        community: path of the community file.
        at: the run's logical time; by default now.

    Returns:
        What each step did, by step.
    """
    async with open_run("backfill", community, at=at, tell=leave_feed) as run:
        await load_history(run, start=start, end=end)
    return run.summary


async def load_history(run: Run, *, start: datetime, end: datetime) -> None:
    """The story of a stretch of history."""
    await collect(run, start=start, end=end)
    await validate(run)
    await convert(run, forecast=False)
