"""A grid operator's commands to a market: its grid fee, and what it did in its last slot.

Direct ones serve one market; through an aggregator that the markets have selected, one request serves many. For a
market that is neither registered nor with an aggregator, the engine does nothing and answers nothing (gsy-e,
redis_external_market_connection.py).

A fee is read from the engine's answer to `grid_fees`: it tells, as text, what stands in the market after the command.
`dso_market_stats` of the public engine tells of trades and of the fees' revenue, and no fee; where an exchange adds
one, it is read.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol
from urllib.parse import quote
from uuid import uuid4

from pipelines.errors import RejectedError
from pipelines.exchange.batch import AWAITED, Orders, batch_request, read_answer
from pipelines.exchange.client import ExchangeClient
from pipelines.exchange.wire import Envelope, Fate, Request, Verdict, encode
from pipelines.plain import plain

ANSWER_S = 20.0
"""How long an answer over the websocket is waited for. The engine serves commands once in a tick, 15 s by default; the
figure is ours."""

SHOWN = 200
"""Characters of the exchange's own words that go into a message."""

FEE_KEYS = ("market_fee_const", "current_market_fee")
"""Keys under which the exchange tells a constant fee: in the answer to a command, in the tree of a market event."""


class Awaited(Protocol):
    """An answer that may come; see `pipelines.exchange.listener`."""

    async def within(self, seconds: float) -> Mapping[str, object] | None:
        """The answer's body, or None where none comes in time."""
        ...


class Hears(Protocol):
    """The websocket of a market or aggregator, as far as it is needed here."""

    def expect(self, command: str, transaction_id: str) -> Awaited:
        """Register before posting."""
        ...


@dataclass(frozen=True, kw_only=True)
class MarketStats:
    """What a market did in its last slot."""

    name: str
    stats: Mapping[str, object] = field(default_factory=dict)
    """Rates in ct/kWh, energies in kWh: min_trade_rate, max_trade_rate, avg_trade_rate, median_trade_rate,
    total_traded_energy_kWh, market_bill, market_fee_revenue, area_throughput and what else the exchange tells."""

    fee_const: float | None = None
    """The grid fee that stands, in ct/kWh; None: the exchange doesn't tell it here."""


async def set_grid_fee(
    client: ExchangeClient, *, simulation: str, market: str, fee_const: float, hears: Hears | None = None
) -> float | None:
    """Set the grid fee of one market.

    Args:
        client: connected.
        simulation: its uuid.
        market: the market's uuid.
        fee_const: ct/kWh, >= 0. It stands in the markets that begin from the next market cycle on.
        hears: the market's websocket: where the answer comes if the reply to the post doesn't hold it.

    Returns:
        The fee that stands now by the exchange's answer, in ct/kWh; None where no answer tells.

    Raises:
        RejectedError: refused, such as a constant fee where the simulation's fees are percentages.
        ExchangeUnavailable, AuthenticationError: as for `ExchangeClient.post`.
        ValueError: no finite fee >= 0.
    """
    step = f"grid fee of market {market}"
    transaction = str(uuid4())
    expected = None if hears is None else hears.expect("grid_fees", transaction)
    body = {"fee_const": _sound(fee_const), "transaction_id": transaction}
    request = Request(path=f"{_market_path(simulation, market)}/grid-fee/", body=encode(body))
    reply = await client.post(request, step=step, closes_at=None)
    told = fee_in(reply)
    if told is None and expected is not None and (answer := await expected.within(ANSWER_S)) is not None:
        if answer.get("status") == "error":
            raise RejectedError(f"{step}: the exchange refuses it: {client.hide(_words(answer))[:SHOWN]}")
        told = fee_in(answer)
    return told


async def market_stats(client: ExchangeClient, *, simulation: str, market: str) -> MarketStats:
    """What one market did in its last slot.

    Raises:
        SlotfeedError: as for `ExchangeClient.get`.
    """
    reply = await client.get(f"{_market_path(simulation, market)}/dso-market-stats", step=f"stats of market {market}")
    return stats_in(reply)


async def set_grid_fees(
    client: ExchangeClient, envelope: Envelope, fees: Mapping[str, float], *, hears: Hears | None
) -> dict[str, Verdict]:
    """Set the grid fees of many markets, through the aggregator they have selected.

    Args:
        client: connected.
        envelope: names the aggregator.
        fees: market's uuid -> ct/kWh, >= 0.
        hears: the aggregator's websocket.

    Returns:
        A verdict for each market; `fee_in` its body tells the fee that stands.

    Raises:
        SlotfeedError: as for `ExchangeClient.post`; then nothing is known of any market.
        ValueError: no finite fee >= 0.
    """
    orders = {market: [{"type": "grid_fees", "data": {"fee_const": _sound(fee)}}] for market, fee in fees.items()}
    return await _ask_all(client, envelope, orders, hears, step=f"grid fees of {len(fees)} market(s)")


async def stats_of_markets(
    client: ExchangeClient, envelope: Envelope, markets: Sequence[str], *, hears: Hears | None
) -> dict[str, Verdict]:
    """What many markets did in their last slot, through their aggregator; `stats_in` a verdict's body reads it.

    Raises:
        SlotfeedError: as for `ExchangeClient.post`.
    """
    orders: Orders = {market: [{"type": "dso_market_stats", "data": {}}] for market in markets}
    return await _ask_all(client, envelope, orders, hears, step=f"stats of {len(markets)} market(s)")


def fee_in(answer: object) -> float | None:
    """The constant grid fee that an answer tells, in ct/kWh; None where it tells none that is finite."""
    if not isinstance(answer, Mapping):
        return None
    for key in FEE_KEYS:
        value = answer.get(key)
        if value is None or isinstance(value, bool):
            continue
        try:
            fee = float(value)  # the engine writes it as text, and "None" where none stands
        except (TypeError, ValueError):
            continue
        if math.isfinite(fee):
            return fee
    return None


def stats_in(answer: object) -> MarketStats:
    """The stats that an answer holds."""
    body = answer if isinstance(answer, Mapping) else {}
    stats = body.get("market_stats")
    stats = stats if isinstance(stats, Mapping) else {}
    told = fee_in(body)
    return MarketStats(name=str(body.get("name", "")), stats=stats, fee_const=fee_in(stats) if told is None else told)


async def _ask_all(
    client: ExchangeClient, envelope: Envelope, orders: Orders, hears: Hears | None, *, step: str
) -> dict[str, Verdict]:
    expected = None if hears is None else hears.expect(AWAITED, envelope.transaction_id)
    answer = await client.post(batch_request(envelope, orders), step=step, closes_at=None)
    told_already = isinstance(answer, Mapping) and isinstance(answer.get("responses"), Mapping)
    if not told_already and expected is not None:
        answer = await expected.within(ANSWER_S) or answer
    found = {market: verdicts[0] for market, verdicts in read_answer(answer, orders).items()}
    return {market: replace(verdict, reason=client.hide(verdict.reason)) for market, verdict in found.items()}


def refused(verdict: Verdict) -> bool:
    """Whether a verdict says that the command had no effect, as far as is known."""
    return verdict.fate is not Fate.READY


def _market_path(simulation: str, market: str) -> str:
    return f"/external-connection/api/{quote(simulation, safe='')}/{quote(market, safe='')}"


def _words(answer: Mapping[str, object]) -> str:
    words = answer.get("error_message") or answer.get("error") or answer.get("message") or "without saying why"
    return plain(str(words))


def _sound(fee_const: float) -> float:
    if not math.isfinite(fee_const) or fee_const < 0:
        raise ValueError(f"a grid fee must be finite and not negative, not {fee_const} ct/kWh")
    return fee_const
