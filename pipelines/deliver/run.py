"""The door of `deliver`: sends what is due, newest slot first, and records what became of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from pipelines.community import Community
from pipelines.deliver.backlog import backlog_until
from pipelines.deliver.outbox import LEASE, close_switched_off, expire_overdue, lease_due, left_behind
from pipelines.deliver.posting import Line
from pipelines.deliver.sender import Sender
from pipelines.exchange import ExchangeClient
from pipelines.frames import State
from pipelines.store import Store

NO_LINE = Line()


@dataclass(frozen=True, kw_only=True)
class DeliverSummary:
    """What one run of `deliver` did, in submissions."""

    accepted: int = 0
    rejected: int = 0
    expired: int = 0
    given_back: int = 0
    """Not answered; the next run tries again."""

    left: int = 0
    """Without a deadline, and their turn didn't come before the run had to end; the next run goes on with them."""

    energy_wh: float = 0.0
    """Sum of the accepted forecasts."""

    margins: dict[str, int] = field(default_factory=dict)
    """Accepted values that have a deadline, by how long before it they were (`pipelines.deliver.margins`)."""

    margin_s: float = 0.0
    """Their margins together, in seconds."""

    problems: tuple[str, ...] = ()
    """The first few, in words."""


async def deliver(
    store: Store,
    community: Community,
    client: ExchangeClient,
    *,
    line: Line = NO_LINE,
    stopping: Callable[[], bool] = lambda: False,
) -> DeliverSummary:
    """Send every submission that is due, what has a deadline first, then the newest slots.

    What has none leaves while the present slot lasts (`backlog_until`), so that a backlog is never in the way of the
    next run. Stops early when the exchange doesn't answer any more, or when it is asked to. What is left waits for the
    next run.

    Args:
        store: the outbox.
        community: its live assets' submissions are sent, others' are left alone.
        client: connected.
        line: from `open_line`, where the protocol needs one.
        stopping: whether to begin no new post: those on their way get their answer, what else is leased goes back.

    Raises:
        AuthenticationError: the login is refused; everything leased is given back.
    """
    expired = expire_overdue(store, now=client.clock.now())
    until = backlog_until(client.clock.now(), length=community.slot_length)
    sender = Sender(store=store, community=community, client=client, line=line, until=until, stopping=stopping)
    assets = list(sender.names)
    try:
        while not sender.ending:
            now, backlog = client.clock.now(), not sender.backlog_is_over
            batch = lease_due(
                store, assets=assets, now=now, worker=sender.worker, limit=sender.at_once, backlog=backlog
            )
            if not batch:
                break
            await sender.send(batch, lease_ends=now + LEASE)
    finally:
        expired += expire_overdue(store, now=client.clock.now())
        # Last, for it goes through the whole backlog, and nothing that it closes would be sent.
        expired += close_switched_off(store, assets=[asset.asset_id for asset in community.assets if not asset.live])
    return DeliverSummary(
        accepted=sender.count(State.ACCEPTED),
        rejected=sender.count(State.REJECTED),
        expired=expired + sender.count(State.EXPIRED),
        given_back=sender.count(State.PENDING),
        left=left_behind(store, assets=assets, now=client.clock.now(), worker=sender.worker),
        energy_wh=sender.energy_wh,
        margins=sender.margins.counts,
        margin_s=sender.margins.total_s,
        problems=tuple(sender.problems),
    )
