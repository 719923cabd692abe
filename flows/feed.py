"""The feed: every market slot, from the meters to the exchange."""

from datetime import datetime
from typing import Any

from prefect import flow

from flows.artifacts import leave_feed
from flows.session import Run, Teller, open_run, tell_nobody
from flows.steps import collect, convert, deliver, validate
from pipelines.collect.run import FAILURES
from pipelines.errors import SlotfeedError
from pipelines.shares import Share, parts
from pipelines.slots import slot_floor
from pipelines.store.in_time import waits_in_time
from pipelines.store.runs import carried
from pipelines.watch.feeds import REST


@flow(name="feed", description="Collect, validate, convert and deliver one market slot.")
async def feed(community: str = "community.yaml", at: datetime | None = None, share: str = "1/1") -> dict[str, Any]:
    """Carry what the meters say to the exchange, once.

    Run late, doubled or after a crash, it leaves the same rows: the outbox decides what is still due.

    Args:
        community: path of the community file.
        at: the run's logical time; by default now. What was due for slots that have begun since is expired,
            not sent: deadlines follow the exchange's own clock.
        share: the part of the community's assets, such as 2/3, where several workers carry it side by side.

    Returns:
        What each step did, by step.
    """
    async with open_run("feed", community, at=at, tell=leave_feed, share=Share.parse(share)) as run:
        await feed_once(run)
    return run.summary


@flow(name="feed-rest", description="What no feed has brought to its end in this slot.")
async def feed_rest(shares: int, community: str = "community.yaml", at: datetime | None = None) -> dict[str, Any]:
    """Carry what a worker left that has died or never came, or that the exchange would not take, while there is time.

    Args:
        shares: how many parts the community has.
        community: path of the community file.
        at: the run's logical time; by default now.

    Returns:
        The shares that were carried; each has a line of its own in the run log.
    """
    async with open_run("feed-rest", community, at=at, tell=tell_nobody) as run:
        await rest_once(run, shares=shares, tell=leave_feed)
    return run.summary


async def rest_once(run: Run, *, shares: int = 1, tell: Teller = tell_nobody) -> None:
    """Feed the shares that no feed has brought to its end in the run's slot, or of which something waits in time.

    A feed may end well and leave things behind: what a dead one had in hand while it ran, or what it gave back because
    the exchange was away.
    """
    begun = slot_floor(run.now, run.community.slot_length)
    done = carried(run.store, "feed", since=begun)
    left = [share for share in parts(shares) if str(share) not in done or _waits(run, share)]
    run.summary["shares"] = [str(share) for share in left]
    for share in left:
        try:
            async with open_run("feed", run.file, at=run.at, tell=tell, share=share, stop=run.stop) as its_run:
                its_run.summary[REST] = True
                await feed_once(its_run)
        except SlotfeedError as error:
            run.problems.append(f"share {share}: {error}")


def _waits(run: Run, share: Share) -> bool:
    assets = [asset.asset_id for asset in share.part(run.community).assets]
    return waits_in_time(run.store, assets=assets, now=run.clock.now())


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
