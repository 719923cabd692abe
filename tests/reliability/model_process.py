"""The program's verbs in this process, and how it is killed: at a request or at either end of a transaction.

A kill is an exception that nothing catches. After it, the process can neither reach its database nor the exchange, so
whatever the program still does on its way out leaves no trace: as after `kill -9`.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import cycle
from types import SimpleNamespace
from unittest import mock

import httpx
from pydantic import SecretStr
from sqlalchemy import event

from pipelines.clock import Clock
from pipelines.community import Community
from pipelines.exchange import ExchangeClient, open_exchange
from pipelines.exchange.expected import AWAY_S
from pipelines.store import Store, open_store
from tests.reliability.model_exchange import ModelExchange

USERNAME, PASSWORD = "me", "hush-hush"


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Switch:
    """Kills a process at one of its points."""

    left: int | None = None
    """Points that it still passes; None: all."""

    dead: bool = False

    def point(self) -> None:
        """Pass a point, or die there.

        Raises:
            Killed: now, or already before.
        """
        if self.left is not None:
            self.left -= 1
            self.dead |= self.left < 0
        if self.dead:
            raise Killed


@dataclass
class Machine:
    """The feed's machine: its clock may be wrong, and it may sleep."""

    exchange: ModelExchange
    off: timedelta = timedelta(0)

    def now(self) -> datetime:
        return self.exchange.now + self.off

    @contextlib.contextmanager
    def runs(self) -> Iterator[None]:
        """Let the program's running clocks, and the waits between its tries, follow the model's time."""
        began = self.exchange.now

        def lived_s() -> float:
            return (self.exchange.now - began).total_seconds()

        def awake_s() -> float:
            return lived_s() - self.exchange.asleep.total_seconds()

        # As on Linux: the monotonic clock stands while the machine sleeps, the boot time clock runs on.
        clocks = SimpleNamespace(monotonic=awake_s, clock_gettime=lambda _: lived_s(), CLOCK_BOOTTIME=7)
        with mock.patch("pipelines.clock.time", clocks), mock.patch("tenacity.time", clocks):
            yield


@dataclass
class Transport(httpx.AsyncBaseTransport):
    """Carries requests to the model."""

    exchange: ModelExchange
    switch: Switch
    turns: Iterator[int]
    """How often others come first, request after request."""

    on_sleep: Callable[[], Awaitable[None]]
    """What happens elsewhere while the machine sleeps."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.switch.point()
        for _ in range(next(self.turns)):
            await asyncio.sleep(0)
        if request.method == "POST" and self.exchange.faults and self.exchange.faults[0].startswith("asleep"):
            await self._sleep(float(self.exchange.faults.popleft().split()[1]))
        token = request.headers.get("Authorization", "").removeprefix("JWT ")
        self.switch.point()
        response = self.exchange.answer(request.method, request.url.path, request.content, token)
        self.switch.point()
        return response

    async def _sleep(self, hours: float) -> None:
        """The machine sleeps before the request has left, and finds the connection dead."""
        span = timedelta(hours=hours)
        self.exchange.asleep += span
        self.exchange.pass_time(span)
        await self.on_sleep()
        raise httpx.ReadError("connection reset")


@dataclass
class Socket:
    """The aggregator's websocket, as `Listener` gives it to those who post."""

    exchange: ModelExchange
    switch: Switch

    def expect(self, _: str, transaction_id: str) -> "Waiting":
        """Hear what is told of a batch from now on."""
        self.exchange.told[transaction_id] = deque()
        return Waiting(self.exchange, self.switch, transaction_id)


@dataclass
class Waiting:
    """For a batch's answers."""

    exchange: ModelExchange
    switch: Switch
    transaction: str

    async def within(self, seconds: float) -> Mapping[str, object] | None:
        """The next, or None after so many seconds; of a socket that is away, after those that it is waited for."""
        exchange, told = self.exchange, self.exchange.told.get(self.transaction, deque())
        until = exchange.now + timedelta(seconds=seconds if exchange.heard else min(seconds, AWAY_S))
        while not told and exchange.now < until:
            exchange.pass_time(min(exchange.next_tick, until) - exchange.now)
            # Others hear, too.
            await asyncio.sleep(0)
        self.switch.point()
        if not told:
            exchange.told.pop(self.transaction, None)
            return None
        return told.popleft()


async def nothing() -> None:
    """Nothing happens."""


@dataclass
class Process:
    """One running slotfeed."""

    machine: Machine
    community: Community
    url: str
    switch: Switch = field(default_factory=Switch)
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self.store = open_store(self.url)
        for moment in ("begin", "commit"):
            event.listen(self.store.engine, moment, lambda _: self.switch.point(), insert=True)

    def start_again(self) -> None:
        """After a kill: a new process on the same database."""
        self.store.close()
        self.switch = Switch()
        self._start()

    @contextlib.asynccontextmanager
    async def client(
        self, turns: Sequence[int] = (0,), on_sleep: Callable[[], Awaitable[None]] = nothing
    ) -> "contextlib.AbstractAsyncContextManager[ExchangeClient]":
        """Logged in, as a run's client is."""
        exchange = self.machine.exchange

        async def sleep(seconds: float) -> None:
            exchange.pass_time(timedelta(seconds=seconds))
            await asyncio.sleep(0)

        clock: Clock = self.machine
        async with open_exchange(
            base_url="http://exchange.example",
            username=SecretStr(USERNAME),
            password=SecretStr(PASSWORD),
            clock=clock,
            concurrency=self.community.exchange.concurrency,
            transport=Transport(exchange, self.switch, cycle(turns), on_sleep),
            sleep=sleep,
        ) as client:
            await client.connect()
            client.lead = exchange.lead
            yield client
