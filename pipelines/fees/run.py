"""The door of `fees`: what each market should have, what it has, and setting what differs.

The engine takes a market's fee when it makes the market, at the market cycle. So what is set during a slot is for the
slot that begins next, and the fee that is looked up is that slot's.

Where the exchange tells no present fee, it is set in each run: the same fee once more changes nothing, and an exchange
that was started anew has it again within a slot.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import uuid4
from zoneinfo import ZoneInfo

from pipelines.community import Community, MarketFees
from pipelines.errors import AuthenticationError, RejectedError, SlotfeedError
from pipelines.exchange.aggregators import find_aggregator
from pipelines.exchange.batch import with_advice
from pipelines.exchange.client import ExchangeClient
from pipelines.exchange.grid import (
    Hears,
    fee_in,
    market_stats,
    refused,
    set_grid_fee,
    set_grid_fees,
    stats_in,
    stats_of_markets,
)
from pipelines.exchange.wire import Envelope, Fate, Verdict
from pipelines.fees.schedule import Change, fee_at, next_change
from pipelines.slots import slot_floor

SAME_CENTS = 1e-6
"""Two fees this near are the same; ours, far below what anybody bills."""

Listening = Callable[[str], AbstractAsyncContextManager[Hears | None]]
"""Opens the websocket at which answers for a market's or aggregator's uuid come; None: there is none."""


class Outcome(StrEnum):
    """What became of one market."""

    STANDS = "stands"
    SET = "set"
    TAKEN = "taken"
    """The exchange took it and doesn't tell what stands."""

    WOULD_SET = "would be set"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class MarketLine:
    """One market in a run."""

    market: str
    uuid: str
    wanted: float
    """ct/kWh in the slot that begins next."""

    present: float | None
    """ct/kWh at the exchange before this run; None: it doesn't tell."""

    outcome: Outcome
    note: str = ""
    next_change: Change | None = None


@dataclass(frozen=True, kw_only=True)
class FeesSummary:
    """What a run did."""

    slot_start: datetime
    """The slot that the fees are for."""

    markets: tuple[MarketLine, ...] = ()

    @property
    def problems(self) -> list[str]:
        """Each market that failed, in words."""
        return [f"market '{one.market}': {one.note}" for one in self.markets if one.outcome is Outcome.FAILED]


@contextlib.asynccontextmanager
async def deaf(_uuid: str) -> AsyncIterator[None]:
    """No websocket: answers are what the reply to a post holds."""
    yield None


async def apply_fees(
    community: Community,
    client: ExchangeClient,
    *,
    at: datetime | None = None,
    dry_run: bool = False,
    listening: Listening = deaf,
) -> FeesSummary:
    """Set the fees of the slot that follows `at`, where they differ, and read them back.

    One market's trouble doesn't hinder the others; it is told in its line.

    Args:
        community: its `grid_fees`.
        client: connected.
        at: within the slot before; None: now by the exchange's clock.
        dry_run: ask what stands, set nothing.
        listening: opens websockets for answers.

    Raises:
        AuthenticationError: the login is refused.
        RejectedError: protocol batch, and its aggregator isn't known.
    """
    length = community.slot_length
    slot = slot_floor(client.clock.now() if at is None else at, length) + length
    summary = FeesSummary(slot_start=slot)
    if not community.grid_fees:
        return summary
    section, simulation = community.exchange, community.community.simulation_uuid
    operator: _Operator
    if section.protocol == "batch" and section.aggregator:
        aggregator = await find_aggregator(client, simulation, section.aggregator)
        operator = _ThroughAggregator(client, simulation, aggregator.uuid, listening)
    else:
        operator = _Direct(client, simulation, section.concurrency, listening)
    zone = ZoneInfo(community.community.time_zone)
    lines = await operator.present([_line(fees, slot, zone) for fees in community.grid_fees])
    lines = [
        replace(line, next_change=next_change(fees, slot, zone, slot_length=length))
        for line, fees in zip(lines, community.grid_fees, strict=True)
    ]
    waiting = [line for line in lines if line.outcome is Outcome.WOULD_SET]
    if waiting and not dry_run:
        done = {line.uuid: line for line in await operator.set(waiting)}
        lines = [done.get(line.uuid, line) for line in lines]
    return replace(summary, markets=tuple(lines))


def _line(fees: MarketFees, slot: datetime, zone: ZoneInfo) -> MarketLine:
    wanted = fee_at(fees, slot, zone)
    return MarketLine(market=fees.market, uuid=fees.uuid, wanted=wanted, present=None, outcome=Outcome.WOULD_SET)


def _seen(line: MarketLine, fee: float | None) -> MarketLine:
    stands = fee is not None and abs(fee - line.wanted) <= SAME_CENTS
    return replace(line, present=fee, outcome=Outcome.STANDS if stands else Outcome.WOULD_SET)


def _done(line: MarketLine, fee: float | None) -> MarketLine:
    if fee is None:
        return replace(line, outcome=Outcome.TAKEN, note="the exchange doesn't tell which fee stands")
    if abs(fee - line.wanted) <= SAME_CENTS:
        return replace(line, outcome=Outcome.SET)
    return _failed(line, f"set to {line.wanted:g} ct/kWh, and the exchange says {fee:g} stands")


def _failed(line: MarketLine, note: str) -> MarketLine:
    return replace(line, outcome=Outcome.FAILED, note=note)


class _Operator(Protocol):
    """How markets are asked."""

    async def present(self, lines: Sequence[MarketLine]) -> list[MarketLine]:
        """The lines with what stands at the exchange."""
        ...

    async def set(self, lines: Sequence[MarketLine]) -> list[MarketLine]:
        """The lines with what became of setting their fee."""
        ...


class _Direct:
    """A request for each market."""

    def __init__(self, client: ExchangeClient, simulation: str, concurrency: int, listening: Listening) -> None:
        self._client, self._simulation, self._listening = client, simulation, listening
        self._gate = asyncio.Semaphore(concurrency)

    async def present(self, lines: Sequence[MarketLine]) -> list[MarketLine]:
        async def one(line: MarketLine) -> MarketLine:
            return _seen(line, await self._read(line))

        return await self._each(lines, one)

    async def set(self, lines: Sequence[MarketLine]) -> list[MarketLine]:
        async def one(line: MarketLine) -> MarketLine:
            async with self._listening(line.uuid) as hears:
                fee = await set_grid_fee(
                    self._client, simulation=self._simulation, market=line.uuid, fee_const=line.wanted, hears=hears
                )
            return _done(line, await self._read(line) if fee is None else fee)

        return await self._each(lines, one)

    async def _read(self, line: MarketLine) -> float | None:
        try:
            return (await market_stats(self._client, simulation=self._simulation, market=line.uuid)).fee_const
        except RejectedError:
            # Who may set a fee needn't be one who may read stats; setting tells what is wrong with the market itself.
            return None

    async def _each(
        self, lines: Sequence[MarketLine], do: Callable[[MarketLine], Awaitable[MarketLine]]
    ) -> list[MarketLine]:
        async def guarded(line: MarketLine) -> MarketLine:
            async with self._gate:
                try:
                    return await do(line)
                except AuthenticationError:
                    raise
                except SlotfeedError as error:
                    return _failed(line, str(error))

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(guarded(line)) for line in lines]
        except* AuthenticationError as refusals:
            # All markets are refused alike; one of them tells it.
            raise refusals.exceptions[0] from None
        return [task.result() for task in tasks]


class _ThroughAggregator:
    """One request for all markets: protocol batch."""

    def __init__(self, client: ExchangeClient, simulation: str, aggregator: str, listening: Listening) -> None:
        self._client, self._simulation = client, simulation
        self._aggregator, self._listening = aggregator, listening

    async def present(self, lines: Sequence[MarketLine]) -> list[MarketLine]:
        async def ask(hears: Hears | None) -> dict[str, Verdict]:
            return await stats_of_markets(self._client, self._envelope(), [one.uuid for one in lines], hears=hears)

        def read(line: MarketLine, verdict: Verdict) -> MarketLine:
            return _seen(line, None if refused(verdict) else stats_in(verdict.body).fee_const)

        return await self._each(lines, ask, read)

    async def set(self, lines: Sequence[MarketLine]) -> list[MarketLine]:
        fees = {one.uuid: one.wanted for one in lines}

        async def ask(hears: Hears | None) -> dict[str, Verdict]:
            found = await set_grid_fees(self._client, self._envelope(), fees, hears=hears)
            raced = {market: fees[market] for market, verdict in found.items() if verdict.fate is Fate.RACED}
            if raced:
                found |= await set_grid_fees(self._client, self._envelope(), raced, hears=hears)
            return found

        def read(line: MarketLine, verdict: Verdict) -> MarketLine:
            if refused(verdict):
                return _failed(line, with_advice(verdict.reason, line.market))
            return _done(line, fee_in(verdict.body))

        return await self._each(lines, ask, read)

    def _envelope(self) -> Envelope:
        return Envelope(simulation=self._simulation, aggregator=self._aggregator, transaction_id=str(uuid4()))

    async def _each(
        self,
        lines: Sequence[MarketLine],
        ask: Callable[[Hears | None], Awaitable[dict[str, Verdict]]],
        read: Callable[[MarketLine, Verdict], MarketLine],
    ) -> list[MarketLine]:
        try:
            async with self._listening(self._aggregator) as hears:
                verdicts = await ask(hears)
        except AuthenticationError:
            raise
        except SlotfeedError as error:
            return [_failed(line, str(error)) for line in lines]
        return [read(line, verdicts[line.uuid]) for line in lines]
