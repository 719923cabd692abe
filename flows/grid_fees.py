"""Grid fees: what a grid operator plans for the day, set market by market."""

from datetime import datetime
from typing import Any

from prefect import flow

from flows.artifacts import leave_grid_fees
from flows.session import open_run
from flows.upkeep_steps import grid_fees as set_fees


@flow(name="grid-fees", description="Set each market's grid fee for the slot that begins next, where it differs.")
async def grid_fees(community: str = "community.yaml", at: datetime | None = None) -> dict[str, Any]:
    """Let the exchange's grid fees follow the plan of the community file.

    Args:
        community: path of the community file.
        at: the run's logical time; by default now, by the exchange's clock.

    Returns:
        What was found and done, market by market.
    """
    async with open_run("grid-fees", community, at=at, tell=leave_grid_fees) as run:
        await set_fees(run, at=at)
    return run.summary
