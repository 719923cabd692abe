"""One run's sending: workers, what they have settled, and the tally."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from pipelines.community import Community
from pipelines.deliver.margins import Margins
from pipelines.deliver.outbox import OUTCOME_UNKNOWN, Leased, Outcome, record
from pipelines.deliver.posting import NOT_TRIED, Line, Poster
from pipelines.deliver.posts import Post, may_expire, posts_of
from pipelines.errors import AuthenticationError
from pipelines.exchange import PROTOCOLS, ExchangeClient
from pipelines.exchange import Protocol as Wire
from pipelines.frames import Quantity, State
from pipelines.store import Store

SILENCE = 3
"""Posts in a row that get no answer after all their tries: then the exchange is taken to be down."""

RACES = 3
"""Times that a submission goes again in one run after the market cycle has thrown it away; ours."""

LEASED = 500
"""Submissions leased at once."""

LEASED_EACH = 10
"""The same for each worker, where there are so many that it comes to more; ours. They are ready together at the end
of what is leased, and wait there for the last of them."""

MOST_LEASED = 20_000
"""The same where a request carries many assets; ours."""

SHOWN_PROBLEMS = 5


@dataclass(kw_only=True)
class Sender:
    """What one run sends, and what became of it."""

    store: Store
    community: Community
    client: ExchangeClient
    line: Line
    until: datetime
    """No post without a deadline begins from then on."""

    stopping: Callable[[], bool] = lambda: False
    """Whether no new post is to be begun."""

    worker: str = field(default_factory=lambda: uuid4().hex)
    silent_in_a_row: int = 0
    """Posts given up for want of an answer since the last one that was answered."""

    unwritten: list[Outcome] = field(default_factory=list)
    """Answered, but not yet in the store: as many as are in flight at most. A kill sends each of these once more."""

    counts: Counter[State] = field(default_factory=Counter)
    """Submissions by their last outcome."""

    energy_wh: float = 0.0
    margins: Margins = field(default_factory=Margins)
    problems: list[str] = field(default_factory=list)
    raced: Counter[int] = field(default_factory=Counter)
    """Submission -> how often it went back so that it may go again."""

    poster: Poster = field(init=False)

    def __post_init__(self) -> None:
        """Tie the poster to this run."""
        self.poster = Poster(
            client=self.client,
            wire=self.wire,
            line=self.line,
            simulation=self.community.community.simulation_uuid,
            names=self.names,
            until=self.until,
        )

    @property
    def names(self) -> dict[str, str]:
        """Asset uuid -> name of those that are sent: the exchange throws away what an asset gets that isn't live."""
        return {asset.asset_id: asset.name for asset in self.community.assets if asset.live}

    @property
    def wire(self) -> Wire:
        """The protocol in use."""
        return PROTOCOLS[self.community.exchange.protocol]

    @property
    def at_once(self) -> int:
        """Submissions to lease: what all workers together can carry in one request each."""
        section = self.community.exchange
        if not self.wire.abilities.many_assets:
            return max(LEASED, LEASED_EACH * section.concurrency)
        return min(max(LEASED, section.assets_per_batch * section.concurrency), MOST_LEASED)

    @property
    def down(self) -> bool:
        """Whether the exchange has fallen silent."""
        return self.silent_in_a_row >= SILENCE

    @property
    def ending(self) -> bool:
        """Whether no new post is begun, for either reason."""
        return self.down or self.stopping()

    @property
    def backlog_is_over(self) -> bool:
        """Whether no post without a deadline is begun any more."""
        return self.client.clock.now() >= self.until

    async def send(self, batch: Sequence[Leased], *, lease_ends: datetime) -> None:
        """Send one batch with bounded concurrency, until the exchange falls silent or the run is to stop."""
        section = self.community.exchange
        posts = deque(posts_of(batch, self.wire.abilities, assets_per_post=section.assets_per_batch))
        unsettled = {one.id: one for one in batch}
        on_their_way: set[int] = set()

        async def work() -> None:
            while (post := self._next(posts)) is not None:
                ids = {one.id for one in post}
                on_their_way.update(ids)
                result = await self.poster.send(post, lease_ends=lease_ends)
                on_their_way.difference_update(ids)
                if result.answered is not None:
                    self.silent_in_a_row = 0 if result.answered else self.silent_in_a_row + 1
                posts.extendleft(reversed(result.again))
                for outcome in result.outcomes:
                    self._settle(unsettled.pop(outcome.id), outcome)
                if len(self.unwritten) >= section.concurrency:
                    self._write()

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(section.concurrency, len(posts))):
                    group.create_task(work())
        except* AuthenticationError as refused:
            # All workers fail alike; one of them tells it. Nothing was taken without a login.
            on_their_way.clear()
            raise refused.exceptions[0] from None
        finally:
            # What has no outcome goes back at once, whatever ended this batch, so that the next run needn't wait.
            for one in unsettled.values():
                error = OUTCOME_UNKNOWN if one.id in on_their_way else NOT_TRIED
                back = Outcome(id=one.id, state=State.PENDING, at=self.client.clock.now(), error=error)
                self._settle(one, back)
            self._write()

    def count(self, state: State) -> int:
        """Submissions whose last outcome in this run is `state`."""
        return self.counts[state]

    def _next(self, posts: deque[Post]) -> Post | None:
        """The first that may begin now; what is passed over goes back at the end."""
        while posts and not self.ending:
            post = posts.popleft()
            if may_expire(post) or not self.backlog_is_over:
                return post
        return None

    def _settle(self, leased: Leased, outcome: Outcome) -> None:
        if leased.id in self.raced:
            # What was told of it before was not its end.
            self.counts[State.PENDING] -= 1
        if outcome.again:
            self.raced[leased.id] += 1
            if self.raced[leased.id] > RACES:
                outcome = Outcome(id=outcome.id, state=outcome.state, at=outcome.at, error=outcome.error)
        self.unwritten.append(outcome)
        self.counts[outcome.state] += 1
        if outcome.state is State.ACCEPTED and leased.quantity is Quantity.FORECAST:
            self.energy_wh += leased.energy_wh
        if outcome.state is State.ACCEPTED and leased.closes_at is not None:
            self.margins.add(closes_at=leased.closes_at, accepted_at=outcome.at)
        told = outcome.again or outcome.error in {"", NOT_TRIED, *self.problems}
        if not told and len(self.problems) < SHOWN_PROBLEMS:
            self.problems.append(outcome.error)

    def _write(self) -> None:
        record(self.store, self.unwritten, worker=self.worker)
        # Kept until they are written: where a signal breaks that off, they are written with the rest at the end.
        self.unwritten = []
