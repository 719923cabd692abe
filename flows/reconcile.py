"""Reconciliation: what the exchange holds against what it should hold."""

from datetime import datetime
from typing import Any

from prefect import flow

from flows.artifacts import leave_reconcile
from flows.session import open_run
from flows.steps import reconcile as compare


@flow(name="reconcile", description="Read back every asset's slots and name the cause of each difference.")
async def reconcile(
    community: str = "community.yaml",
    start: datetime | None = None,
    end: datetime | None = None,
    at: datetime | None = None,
) -> dict[str, Any]:
    """Prove that what was sent is what the exchange used.

    Args:
        community: path of the community file.
        start: first slot; by default the oldest that isn't settled, and a day back at least.
        end: slots from here on are left out; by default the last that has finished.
        at: the run's logical time; by default now.

    Returns:
        What was found.
    """
    async with open_run("reconcile", community, at=at, tell=leave_reconcile) as run:
        await compare(run, start=start, end=end)
    return run.summary
