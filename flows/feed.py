"""The feed: every market slot, from the meters to the exchange."""

from datetime import datetime
from typing import Any

from prefect import flow

from flows.artifacts import leave_feed
from flows.session import Run, open_run
from flows.steps import collect, convert, deliver, validate
from pipelines.collect.run import FAILURES


@flow(name="feed", description="Collect, validate, convert and deliver one market slot.")
async def feed(community: str = "community.yaml", at: datetime | None = None) -> dict[str, Any]:
    """Carry what the meters say to the exchange, once.

    Run late, doubled or after a crash, it leaves the same rows: the outbox decides what is still due.

    Args:
        community: path of the community file.
        at: the run's logical time; by default now. What was due for slots that have begun since is expired,
            not sent: deadlines follow the exchange's own clock.

    Returns:
        What each step did, by step.
    """
    async with open_run("feed", community, at=at, tell=leave_feed) as run:
        await feed_once(run)
    return run.summary


async def feed_once(run: Run) -> None:
    """The story of one slot."""
    try:
        await collect(run)
    except FAILURES as error:
        # What was measured last still stands for the coming slot, and the outbox may hold what is due.
        run.problems.append(str(error))
    await validate(run)
    await convert(run)
    await deliver(run)
