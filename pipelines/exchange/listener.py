"""The exchange's websocket, as a client: answers to commands, events of the market, and the market's lead.

What a post's reply can't tell comes here: whether the engine took a value. Events tell when its slots begin.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from pipelines.exchange.addresses import aggregator_url, asset_url, websocket_address
from pipelines.exchange.client import ExchangeClient
from pipelines.exchange.expected import Expectations, Expected
from pipelines.exchange.link import Link
from pipelines.exchange.market_clock import LEAD_BOUND
from pipelines.exchange.messages import Answer, MarketEvent, parse_message
from pipelines.exchange.skew import LeadMeter, exact_lead

__all__ = ["Expected", "Listener", "aggregator_url", "asset_url", "open_listener", "websocket_address"]

KEPT_BYTES = 8 * 2**20
KEPT_MESSAGES = 256
"""Messages that wait for a reader, in frames' bytes and in number; the oldest go first (ours)."""


class Listener:
    """Hears one asset, market or aggregator; made by `open_listener`."""

    def __init__(
        self,
        client: ExchangeClient,
        *,
        url: str,
        slot_length: timedelta,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """Take the client whose token opens the socket."""
        self._client = client
        self._slot_length = slot_length
        self._meter = LeadMeter(slot_length)
        self._expectations = Expectations()
        self._link = Link(client, url, take=self._take, changed=self._wake, sleep=sleep)
        self._kept: deque[tuple[int, MarketEvent | Answer]] = deque()
        self._kept_bytes = 0
        self._news = asyncio.Event()
        self._measuring: asyncio.Task[None] | None = None
        self._measured: datetime | None = None
        self._closed = False
        self.ignored = 0
        """Frames that were neither an event nor an answer."""

        self.dropped = 0
        """Messages that no reader came for in time."""

        self.lead_problem = ""
        """Why the last market event didn't count for the lead, in words; empty where it did."""

    @property
    def connected(self) -> bool:
        """Whether the socket is open."""
        return self._link.connected

    @property
    def problem(self) -> str:
        """Why it isn't, in words."""
        return self._link.problem

    async def wait_connected(self, seconds: float) -> bool:
        """Whether the socket is open, after so many seconds at most."""
        return await self._link.wait_connected(seconds)

    @property
    def lead(self) -> timedelta | None:
        """How far the market is ahead of the clock the exchange's HTTP answers tell (+7 s: its slots begin 7 s early).

        None until an event has told.
        """
        return self._meter.lead

    def expect(self, command: str, transaction_id: str) -> Expected:
        """Wait for a command's answer; call it before the command is posted.

        Args:
            command: name under which the answer comes: `set_energy_forecast`, `batch_commands`.
            transaction_id: of the post.
        """
        return self._expectations.expect(command, transaction_id, self._link)

    @property
    async def messages(self) -> AsyncIterator[MarketEvent | Answer]:
        """Events and answers as they come, until the listener closes; for one reader."""
        while True:
            while self._kept:
                size, message = self._kept.popleft()
                self._kept_bytes -= size
                yield message
            if self._closed:
                return
            self._news.clear()
            await self._news.wait()

    @property
    async def events(self) -> AsyncIterator[MarketEvent]:
        """Events alone, as `messages` has them."""
        async for message in self.messages:
            if isinstance(message, MarketEvent):
                yield message

    async def run(self) -> None:
        """Listen until cancelled."""
        try:
            await self._link.run()
        finally:
            if self._measuring is not None:
                self._measuring.cancel()
                await asyncio.wait([self._measuring])
            self._closed = True
            self._wake()

    def _take(self, frame: bytes | str) -> None:
        message = parse_message(frame, at=self._client.http_clock.now())
        if message is None:
            self.ignored += 1
        elif isinstance(message, Answer):
            self._expectations.hand_over(message)
            self._keep(self._for_readers(message), len(frame))
        elif self._can_measure(message):
            self._measured = message.slot
            self._measuring = asyncio.create_task(self._measure(message, len(frame)))
        else:
            if message.event == "tick":
                self._meter.tick(message)
            self._keep(message, len(frame))

    def _for_readers(self, answer: Answer) -> Answer:
        """The answer as it may be shown: the exchange's words may hold what it was sent."""
        words = {key: self._client.hide(value) for key, value in answer.body.items() if isinstance(value, str)}
        return replace(answer, body={**answer.body, **words})

    def _can_measure(self, event: MarketEvent) -> bool:
        """Once a slot and one at a time, so that a flood of events doesn't become one of requests."""
        idle = self._measuring is None or self._measuring.done()
        exact = exact_lead(event, now=event.at, slot_length=self._slot_length) is not None
        return exact and idle and event.slot != self._measured

    async def _measure(self, event: MarketEvent, size: int) -> None:
        """Measure the lead by a market event, once the HTTP clock has been looked at: it may have been set meanwhile.

        A sandbox's driven clock stands still between steps while ours runs on.
        """
        loop = asyncio.get_running_loop()
        arrived, before = loop.time(), self._client.http_clock
        await self._client.ask_time()
        if self._client.http_clock is not before:
            self._meter.clock_was_set()
        at = self._client.http_clock.now() - timedelta(seconds=loop.time() - arrived)
        lead = exact_lead(event, now=at, slot_length=self._slot_length)
        if lead is not None and self._meter.market(lead):
            self.lead_problem = ""
        elif lead is not None:
            self.lead_problem = (
                f"the exchange's market begins slot {event.slot:%Y-%m-%d %H:%M} UTC {lead.total_seconds():+.0f} s off "
                f"its own clock; more than {LEAD_BOUND.total_seconds():.0f} s isn't believed, so deadlines stay where "
                "they are. Ask the exchange whether the simulation was paused"
            )
            lead = None
        self._keep(replace(event, at=at, lead=lead), size)

    def _keep(self, message: MarketEvent | Answer, size: int) -> None:
        self._kept.append((size, message))
        self._kept_bytes += size
        while len(self._kept) > KEPT_MESSAGES or (self._kept_bytes > KEPT_BYTES and len(self._kept) > 1):
            self._kept_bytes -= self._kept.popleft()[0]
            self.dropped += 1
        self._news.set()

    def _wake(self) -> None:
        self._expectations.wake()
        self._news.set()


@contextlib.asynccontextmanager
async def open_listener(
    client: ExchangeClient,
    *,
    url: str,
    slot_length: timedelta,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[Listener]:
    """Listen for as long as the context is open; it never fails because the socket is away.

    Args:
        client: whose login opens the socket, and against whose HTTP clock the lead is measured.
        url: full address, ws:// or wss://, with its trailing slash: `aggregator_url`, `asset_url`.
        slot_length: of the market.
        sleep: waits between tries to connect; for tests.
    """
    listener = Listener(client, url=url, slot_length=slot_length, sleep=sleep)
    task = asyncio.create_task(listener.run())
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
