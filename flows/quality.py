"""Quality: every day, whether the data is good, and pages that say so."""

from datetime import datetime
from typing import Any

from prefect import flow

from flows.artifacts import leave_quality
from flows.quality_steps import choose, judge, publish
from flows.session import Run, open_run


@flow(name="quality", description="Judge the days that are over, choose forecasts once a week, and write the report.")
async def quality(
    community: str = "community.yaml", at: datetime | None = None, choose_forecasts: bool = False
) -> dict[str, Any]:
    """Tell a community's manager whether its data is good.

    Args:
        community: path of the community file.
        at: the run's logical time; by default now.
        choose_forecasts: choose each asset's forecast anew, also where that was done within the week.

    Returns:
        What was found, chosen and written.
    """
    async with open_run("quality", community, at=at, tell=leave_quality) as run:
        await look(run, choose_forecasts=choose_forecasts)
    return run.summary


async def look(run: Run, *, choose_forecasts: bool = False) -> None:
    """The story of a daily look."""
    await judge(run)
    await choose(run, anyway=choose_forecasts)
    await publish(run)
