"""Watch: apart from the feed, whether somebody must act, and telling them once."""

from datetime import datetime
from typing import Any

from prefect import flow

from flows.artifacts import leave_watch
from flows.session import Run, open_run
from flows.watch_steps import look, tell_people, vouch


@flow(name="watch", description="See what is wrong, tell people once, and vouch that somebody looks.")
async def watch(community: str = "community.yaml", at: datetime | None = None) -> dict[str, Any]:
    """Look at what the feed has left, whether it runs or not.

    Args:
        community: path of the community file.
        at: the run's logical time; by default now.

    Returns:
        What stands.
    """
    async with open_run("watch", community, at=at, tell=leave_watch) as run:
        await watch_once(run)
    return run.summary


async def watch_once(run: Run) -> None:
    """The story of one look."""
    await look(run)
    await tell_people(run)
    await vouch(run)
