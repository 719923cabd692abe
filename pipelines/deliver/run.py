"""The door of `deliver`: sends what is due, newest slot first, and records what became of it."""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from uuid import uuid4

from pipelines.community import Community
from pipelines.deliver.outbox import Leased, Outcome, expire_overdue, lease_due, record
from pipelines.errors import AuthenticationError, ExchangeUnavailable, ExpiredError, TerminalError
from pipelines.exchange import PROTOCOLS, ExchangeClient
from pipelines.exchange import Protocol as Wire
from pipelines.frames import Quantity, State
from pipelines.store import Store

BATCH = 500
"""Submissions leased at once."""

SLOTS_PER_POST = 96
"""Measurements of one asset that travel in one request, where the protocol names slots: a day."""

SILENCE = 3
"""Posts in a row that get no answer after all their tries: then the exchange is taken to be down."""

SHOWN_PROBLEMS = 5
NOT_TRIED = "not tried: the run ended before"


@dataclass(frozen=True, kw_only=True)
class DeliverSummary:
    """What one run of `deliver` did, in submissions."""

    accepted: int = 0
    rejected: int = 0
    expired: int = 0
    given_back: int = 0
    """Not answered; the next run tries again."""

    energy_wh: float = 0.0
    """Sum of the accepted forecasts."""

    problems: tuple[str, ...] = ()
    """The first few, in words."""


async def deliver(store: Store, community: Community, client: ExchangeClient) -> DeliverSummary:
    """Send every submission that is due.

    Stops early when the exchange doesn't answer any more: what is left waits for the next run.

    Args:
        store: the outbox.
        community: its assets' submissions are sent, others' are left alone.
        client: connected.

    Raises:
        AuthenticationError: the login is refused; everything leased is given back.
    """
    expired = expire_overdue(store, now=client.clock.now())
    sender = _Sender(store=store, community=community, client=client)
    try:
        while batch := lease_due(
            store, assets=list(sender.names), now=client.clock.now(), worker=sender.worker, limit=BATCH
        ):
            await sender.send(batch)
            if sender.silent_in_a_row >= SILENCE:
                break
    finally:
        expired += expire_overdue(store, now=client.clock.now())
    return DeliverSummary(
        accepted=sender.states[State.ACCEPTED],
        rejected=sender.states[State.REJECTED],
        expired=expired + sender.states[State.EXPIRED],
        given_back=sender.states[State.PENDING],
        energy_wh=sender.energy_wh,
        problems=tuple(sender.problems),
    )


@dataclass(kw_only=True)
class _Sender:
    """One run's sending: what it does and its tally."""

    store: Store
    community: Community
    client: ExchangeClient
    worker: str = field(default_factory=lambda: uuid4().hex)
    silent_in_a_row: int = 0
    """Posts given up for want of an answer since the last one that was answered."""

    unwritten: list[Outcome] = field(default_factory=list)
    """Answered, but not yet in the store: as many as are in flight at most. A kill sends each of these once more."""

    states: Counter[State] = field(default_factory=Counter)
    energy_wh: float = 0.0
    problems: list[str] = field(default_factory=list)

    @cached_property
    def names(self) -> dict[str, str]:
        return {asset.asset_id: asset.name for asset in self.community.assets}

    @property
    def wire(self) -> Wire:
        return PROTOCOLS[self.community.exchange.protocol]

    async def send(self, batch: Sequence[Leased]) -> None:
        """Send one batch with bounded concurrency, until the exchange falls silent."""
        posts = deque(_posts(batch, self.wire))
        unsettled = {one.id: one for one in batch}

        async def work() -> None:
            while posts and self.silent_in_a_row < SILENCE:
                for outcome in await self._outcomes(posts.popleft()):
                    self._settle(unsettled.pop(outcome.id), outcome)
                if len(self.unwritten) >= self.community.exchange.concurrency:
                    self._write()

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.community.exchange.concurrency, len(posts))):
                    group.create_task(work())
        except* AuthenticationError as refused:
            # All workers fail alike; one of them tells it.
            raise refused.exceptions[0] from None
        finally:
            # What never left goes back at once, whatever ended this batch, so that the next run needn't wait.
            for one in unsettled.values():
                back = Outcome(id=one.id, state=State.PENDING, at=self.client.clock.now(), error=NOT_TRIED)
                self._settle(one, back)
            self._write()

    async def _outcomes(self, post: Sequence[Leased]) -> list[Outcome]:
        """Send one post; many slots that are refused go again one by one: the exchange takes all or none."""
        state, error = await self._attempt(post)
        if state is State.REJECTED and len(post) > 1:
            return [outcome for one in post for outcome in await self._outcomes([one])]
        now = self.client.clock.now()
        return [Outcome(id=one.id, state=state, at=now, error=error) for one in post]

    async def _attempt(self, post: Sequence[Leased]) -> tuple[State, str]:
        first = post[0]
        slots = f"slot {first.slot_start:%Y-%m-%d %H:%M} UTC" if len(post) == 1 else f"{len(post)} slots"
        step = f"{first.quantity} of asset '{self.names[first.asset_id]}' for {slots}"
        try:
            request = self.wire.request(
                simulation=self.community.community.simulation_uuid,
                asset=first.asset_id,
                quantity=first.quantity,
                energy_wh={one.slot_start: one.energy_wh for one in post},
                transaction_id=str(uuid4()),
            )
            closes_at = min((one.closes_at for one in post if one.closes_at is not None), default=None)
            await self.client.post(request, step=step, closes_at=closes_at)
        except ExchangeUnavailable as away:
            self.silent_in_a_row += 1
            return State.PENDING, str(away)
        except ExpiredError as late:
            return State.EXPIRED, str(late)
        except AuthenticationError:
            raise
        except (TerminalError, ValueError) as refused:
            self.silent_in_a_row = 0
            return State.REJECTED, str(refused)
        self.silent_in_a_row = 0
        return State.ACCEPTED, ""

    def _settle(self, leased: Leased, outcome: Outcome) -> None:
        self.unwritten.append(outcome)
        self.states[outcome.state] += 1
        if outcome.state is State.ACCEPTED and leased.quantity is Quantity.FORECAST:
            self.energy_wh += leased.energy_wh
        told = outcome.error in {"", NOT_TRIED, *self.problems}
        if not told and len(self.problems) < SHOWN_PROBLEMS:
            self.problems.append(outcome.error)

    def _write(self) -> None:
        outcomes, self.unwritten = self.unwritten, []
        record(self.store, outcomes, worker=self.worker)


def _posts(batch: Sequence[Leased], wire: Wire) -> list[list[Leased]]:
    """Which submissions share a request: those of one asset and quantity, where the protocol names slots."""
    if not wire.abilities.carries_slot_time:
        return [[one] for one in batch]
    posts = []
    # Sorting is stable, so deadlines and newest slots stay in front within each asset.
    for _, same in groupby(sorted(batch, key=_asset_key), key=_asset_key):
        rows = list(same)
        posts += [rows[i : i + SLOTS_PER_POST] for i in range(0, len(rows), SLOTS_PER_POST)]
    return posts


def _asset_key(leased: Leased) -> tuple[Quantity, str]:
    # "forecast" sorts before "measurement": what has a deadline goes first.
    return leased.quantity, leased.asset_id
