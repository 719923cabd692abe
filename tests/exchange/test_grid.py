"""A grid operator's commands, to the byte."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from pipelines.errors import RejectedError
from pipelines.exchange import Envelope, Fate
from pipelines.exchange.grid import (
    fee_in,
    market_stats,
    set_grid_fee,
    set_grid_fees,
    stats_in,
    stats_of_markets,
)

Scripted = Any
ENVELOPE = Envelope(simulation="sim", aggregator="agg", transaction_id="t-1")


class Socket:
    """Holds the one answer that comes over the websocket, and what was expected of it."""

    def __init__(self, answer: Mapping[str, object] | None) -> None:
        self.answer, self.expected = answer, list[tuple[str, str]]()

    def expect(self, command: str, transaction_id: str) -> "Socket":
        self.expected.append((command, transaction_id))
        return self

    async def within(self, seconds: float) -> Mapping[str, object] | None:
        assert seconds <= 20
        return self.answer


def told(**fields: object) -> httpx.Response:
    return httpx.Response(200, json=fields)


async def test_a_fee_is_posted_and_read_from_the_reply(scripted: Scripted) -> None:
    scripted.answers = [told(command="grid_fees", status="ready", market_fee_const="4.2", market_fee_percent="None")]
    async with scripted.client() as client:
        assert await set_grid_fee(client, simulation="sim", market="m-1", fee_const=4.2) == 4.2
    (request,) = scripted.requests
    assert (request.method, request.url.path) == ("POST", "/external-connection/api/sim/m-1/grid-fee/")
    body = json.loads(request.content)
    assert body.pop("transaction_id")
    assert body == {"fee_const": 4.2}


async def test_the_answer_of_the_websocket_counts_where_the_reply_only_queues(scripted: Scripted) -> None:
    scripted.answers = [told(status="queued")]
    socket = Socket({"command": "grid_fees", "status": "ready", "market_fee_const": "4.0"})
    async with scripted.client() as client:
        assert await set_grid_fee(client, simulation="sim", market="m-1", fee_const=4.2, hears=socket) == 4.0
        assert await set_grid_fee(client, simulation="sim", market="m-1", fee_const=1, hears=Socket(None)) is None
    posted = json.loads(scripted.requests[0].content)["transaction_id"]
    assert socket.expected == [("grid_fees", posted)]


async def test_a_refusal_is_told_in_the_exchanges_words_from_either_side(scripted: Scripted) -> None:
    words = "GridFee parameter conflicting with GlobalConfigFeeType"
    refusal = {"command": "grid_fees", "status": "error", "error_message": words}
    async with scripted.client() as client:
        scripted.answers = [httpx.Response(200, json=refusal)]
        with pytest.raises(RejectedError, match=words):
            await set_grid_fee(client, simulation="sim", market="m-1", fee_const=4.2)
        scripted.answers = [told(status="queued")]
        with pytest.raises(RejectedError, match=words):
            await set_grid_fee(client, simulation="sim", market="m-1", fee_const=4.2, hears=Socket(refusal))


@pytest.mark.parametrize("fee", [-0.1, float("nan"), float("inf")])
async def test_an_unsound_fee_never_leaves(scripted: Scripted, fee: float) -> None:
    async with scripted.client() as client:
        with pytest.raises(ValueError, match="finite and not negative"):
            await set_grid_fee(client, simulation="sim", market="m-1", fee_const=fee)
    assert scripted.requests == []


async def test_stats_are_asked_for_without_body_or_slash(scripted: Scripted) -> None:
    stats = {"avg_trade_rate": 21.5, "total_traded_energy_kWh": 3.25, "market_fee_revenue": 0.4}
    scripted.answers = [told(command="dso_market_stats", status="ready", name="Grid", market_stats=stats)]
    async with scripted.client() as client:
        found = await market_stats(client, simulation="sim", market="m-1")
    assert (found.name, found.stats, found.fee_const) == ("Grid", stats, None)
    (request,) = scripted.requests
    assert (request.method, request.content) == ("GET", b"")
    assert request.url.path == "/external-connection/api/sim/m-1/dso-market-stats"


@pytest.mark.parametrize(
    ("answer", "fee"),
    [
        ({"market_fee_const": "4.2"}, 4.2),
        ({"market_fee_const": "None", "market_fee_percent": "5"}, None),
        ({"market_fee_const": 0}, 0.0),
        ({"market_fee_const": "nan"}, None),
        ({"market_fee_const": None, "current_market_fee": 3}, 3.0),
        ({}, None),
        ("ready", None),
    ],
)
def test_a_fee_is_read_as_the_engine_writes_it(answer: object, fee: float | None) -> None:
    assert fee_in(answer) == fee


def test_a_fee_among_the_stats_is_read_too() -> None:
    assert stats_in({"name": "Grid", "market_stats": {"market_fee_const": "2.5"}}).fee_const == 2.5


async def test_many_markets_share_one_batch_and_fail_one_by_one(scripted: Scripted) -> None:
    ready = {"area_uuid": "m-1", "command": "grid_fees", "status": "ready", "market_fee_const": "4.2"}
    error = {"area_uuid": "m-2", "command": "grid_fees", "status": "error", "error_message": "conflicting"}
    answer = {"command": "batch_commands", "transaction_id": "t-1", "responses": {"m-1": [ready], "m-2": [error]}}
    scripted.answers = [told(status="queued")]
    socket = Socket(answer)
    async with scripted.client() as client:
        found = await set_grid_fees(client, ENVELOPE, {"m-1": 4.2, "m-2": 3.0, "m-3": 1.0}, hears=socket)
    assert [found[uuid].fate for uuid in ("m-1", "m-2", "m-3")] == [Fate.READY, Fate.REFUSED, Fate.UNANSWERED]
    assert fee_in(found["m-1"].body) == 4.2
    assert found["m-2"].reason == "conflicting"
    (request,) = scripted.requests
    assert request.url.path == "/external-connection/aggregator-api/sim/batch-commands/"
    assert json.loads(request.content) == {
        "aggregator_uuid": "agg",
        "batch_commands": {
            "m-1": [{"type": "grid_fees", "data": {"fee_const": 4.2}}],
            "m-2": [{"type": "grid_fees", "data": {"fee_const": 3.0}}],
            "m-3": [{"type": "grid_fees", "data": {"fee_const": 1.0}}],
        },
        "transaction_id": "t-1",
    }
    assert socket.expected == [("batch_commands", "t-1")]


async def test_stats_of_many_markets_come_in_one_batch(scripted: Scripted) -> None:
    one = {"command": "dso_market_stats", "status": "ready", "name": "Grid", "market_stats": {"avg_trade_rate": 20}}
    scripted.answers = [told(responses={"m-1": [one]})]
    async with scripted.client() as client:
        found = await stats_of_markets(client, ENVELOPE, ["m-1"], hears=None)
    assert stats_in(found["m-1"].body).stats == {"avg_trade_rate": 20}
    assert json.loads(scripted.requests[0].content)["batch_commands"] == {
        "m-1": [{"type": "dso_market_stats", "data": {}}]
    }
