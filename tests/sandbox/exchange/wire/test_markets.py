"""What a grid operator does with a market, directly and through an aggregator."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from pipelines.sandbox.exchange.accounts.people import Role
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.engine.twin import Settings

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
API = f"/external-connection/api/{SIMULATION}"

NewUser = Callable[..., Awaitable[str]]


async def fee(exchange: Any, body: dict[str, object], market: str = "area-house") -> httpx.Response:
    answer: httpx.Response = await exchange.http.post(f"{API}/{market}/grid-fee/", json=body)
    return answer


async def test_fee_is_set_and_told_in_the_engines_words(exchange: Any, ctn: Ctn) -> None:
    mailbox = ctn.hub.join("area-house")
    answer = await fee(exchange, {"fee_const": 2.5, "transaction_id": "t"})
    told = {
        "area_uuid": "area-house",
        "command": "grid_fees",
        "status": "ready",
        "market_fee_const": "2.5",
        "market_fee_percent": "None",
        "transaction_id": "t",
    }
    assert answer.json() == told
    assert json.loads(await mailbox.take() or b"") == told
    assert ctn.twin.markets["area-house"].fee_const == 2.5


@pytest.mark.parametrize(
    ("grid_fee_type", "body"),
    [(1, {"fee_percent": 5}), (1, {}), (2, {"fee_const": 5}), (1, {"fee_const": -1}), (1, {"fee_const": "5"})],
)
async def test_fee_that_the_engine_refuses(
    exchange: Any, ctn: Ctn, grid_fee_type: int, body: dict[str, object]
) -> None:
    ctn.twin.settings = Settings(grid_fee_type=grid_fee_type)
    answer = await fee(exchange, body)
    assert (answer.status_code, answer.json()["status"]) == (200, "error")
    if not isinstance(body.get("fee_const"), str) and body != {"fee_const": -1}:
        assert answer.json()["error_message"] == "GridFee parameter conflicting with GlobalConfigFeeType"
    market = ctn.twin.markets["area-house"]
    assert (market.fee_const, market.fee_percent) == (0.0, 0.0)


async def test_statistics_of_the_last_slot(exchange: Any) -> None:
    await exchange.forecast("load", {"12:15": 0.6})
    await exchange.forecast("pv", {"12:15": 0.4})
    await exchange.at("12:15")
    await exchange.at("12:30")
    # GSy's client sends a body with its GET, and no slash at the end.
    answer = await exchange.http.request("GET", f"{API}/area-house/dso-market-stats", json={"transaction_id": "t"})
    told = answer.json()
    stats = told.pop("market_stats")
    assert told == {
        "status": "ready",
        "name": "House",
        "area_uuid": "area-house",
        "command": "dso_market_stats",
        "transaction_id": "t",
    }
    assert stats.keys() == {
        "min_trade_rate",
        "max_trade_rate",
        "avg_trade_rate",
        "median_trade_rate",
        "total_traded_energy_kWh",
        "market_bill",
        "market_fee_revenue",
        "area_throughput",
        "self_sufficiency",
        "self_consumption",
        "market_energy_deviance",
    }
    assert (stats["avg_trade_rate"], stats["total_traded_energy_kWh"]) == (19.0, 0.4)


async def test_only_a_markets_operator_may(exchange: Any, ctn: Ctn, new_user: NewUser) -> None:
    assert (await fee(exchange, {"fee_const": 1}, market="load")).status_code == 404
    for name, role, subject, status in (
        ("gus", Role.GRID_OPERATOR, "area-house", 200),
        ("greta", Role.GRID_OPERATOR, "area-grid", 403),
        ("ada", Role.AGGREGATOR, "load", 403),
    ):
        exchange.http.headers["Authorization"] = f"JWT {await new_user(name, role, subject)}"
        assert (await fee(exchange, {"fee_const": 1})).status_code == status, name
        assert (await exchange.http.get(f"{API}/area-house/dso-market-stats")).status_code == status, name
    forbidden = {one.username for one in ctn.audit.lines(limit=20) if one.outcome == "forbidden"}
    assert forbidden == {"greta", "ada"}


async def test_operator_sets_fees_through_an_aggregator(exchange: Any, ctn: Ctn, new_user: NewUser) -> None:
    exchange.http.headers["Authorization"] = f"JWT {await new_user('gus', Role.GRID_OPERATOR, 'area-house')}"
    api = f"/external-connection/aggregator-api/{SIMULATION}"
    uuid = (await exchange.http.post(f"{api}/create-aggregator/", json={"name": "G"})).json()["uuid"]
    pair = {"aggregator_uuid": uuid, "device_uuid": "area-house"}
    assert (await exchange.http.post(f"{api}/select-aggregator/", json=pair)).status_code == 200
    commands = {"area-house": [{"type": "grid_fees", "data": {"fee_const": 3}}]}
    body = {"aggregator_uuid": uuid, "batch_commands": commands}
    (told,) = (await exchange.http.post(f"{api}/batch-commands/", json=body)).json()["responses"]["area-house"]
    assert (told["status"], told["market_fee_const"]) == ("ready", "3.0")
    assert ctn.twin.markets["area-house"].fee_const == 3.0
