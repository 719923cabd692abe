"""Setting fees: only what differs, each market on its own, and read back."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from pipelines.clock import FixedClock
from pipelines.community import Community
from pipelines.errors import AuthenticationError
from pipelines.exchange import ExchangeClient, open_exchange
from pipelines.fees import FeesSummary, Outcome, apply_fees

AT = datetime(2026, 3, 2, 10, 50, tzinfo=UTC)
"""11:50 in Vienna: the slot that begins next is that of noon."""

API = "/external-connection/api/sim/"


class Markets:
    """An exchange with markets of which a test says what they tell."""

    def __init__(self) -> None:
        self.fees: dict[str, float] = {"m-1": 1.0, "m-2": 1.0}
        self.tells_in_stats = True
        self.stuck: set[str] = set()
        self.refusing = False
        self.posted: list[tuple[str, float]] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/api-token-auth/":
            return httpx.Response(200, json={"access": "token"})
        if self.refusing:
            return httpx.Response(401)
        if path.endswith("/list-aggregators/"):
            return httpx.Response(200, json=[{"uuid": "agg", "name": "Operator"}])
        if path.endswith("/batch-commands/"):
            orders = json.loads(request.content)["batch_commands"]
            told = {area: [self.obey(area, one) for one in sent] for area, sent in orders.items() if area in self.fees}
            return httpx.Response(200, json={"command": "batch_commands", "responses": told})
        market, what = path.removeprefix(API).split("/")[:2]
        if market not in self.fees:
            return httpx.Response(404, json={"detail": "No such market."})
        data = json.loads(request.content) if request.content else {}
        kind = {"grid-fee": "grid_fees", "dso-market-stats": "dso_market_stats"}[what]
        return httpx.Response(200, json=self.obey(market, {"type": kind, "data": data}))

    def obey(self, market: str, order: dict[str, Any]) -> dict[str, Any]:
        answer = {"command": order["type"], "status": "ready", "area_uuid": market}
        if order["type"] == "dso_market_stats":
            told = {"market_fee_const": str(self.fees[market])} if self.tells_in_stats else {}
            return answer | {"name": market, "market_stats": {}} | told
        self.posted.append((market, order["data"]["fee_const"]))
        if market not in self.stuck:
            self.fees[market] = order["data"]["fee_const"]
        return answer | {"market_fee_const": str(self.fees[market])}

    @asynccontextmanager
    async def client(self) -> AsyncIterator[ExchangeClient]:
        async def sleep(_seconds: float) -> None:
            return None

        async with open_exchange(
            base_url="https://exchange.example",
            username=SecretStr("me"),
            password=SecretStr("hush"),
            clock=FixedClock(AT),
            concurrency=4,
            transport=httpx.MockTransport(self.handle),
            sleep=sleep,
        ) as client:
            yield client

    async def run(self, community: Community, **options: Any) -> FeesSummary:
        async with self.client() as client:
            return await apply_fees(community, client, **options)


def community(*uuids: str, protocol: str = "sdk", plan: bool = True) -> Community:
    noon = {"from": "12:00", "to": "14:00", "cents_per_kwh": 4.2}
    fees = [{"market": u.upper(), "uuid": u, "cents_per_kwh": 1, "schedule": [noon]} for u in uuids]
    stream = {"source": "meters", "device": "d", "kind": "register", "unit": "Wh"}
    asset = {"name": "Flat", "uuid": "a", "type": "load", "rated_power_kw": 1, "streams": [stream]}
    columns = {"meter": "id", "time": "at", "value": "v"}
    source = {"type": "meter_database", "url": "sqlite:///m", "table": "t", "columns": columns, "time_type": "epoch_s"}
    return Community.model_validate(
        {
            "community": {"name": "Small", "simulation_uuid": "sim", "time_zone": "Europe/Vienna"},
            "exchange": {"base_url": "https://exchange.example", "protocol": protocol, "aggregator": "Operator"},
            "sources": {"meters": source},
            "assets": [asset],
            "grid_fees": fees if plan else [],
        }
    )


def outcomes(summary: FeesSummary) -> dict[str, Outcome]:
    return {one.uuid: one.outcome for one in summary.markets}


@pytest.mark.parametrize("protocol", ["sdk", "batch"])
async def test_what_differs_is_set_for_the_slot_that_begins_next(protocol: str) -> None:
    markets = Markets()
    markets.fees["m-2"] = 4.2
    done = await markets.run(community("m-1", "m-2", protocol=protocol))
    assert done.slot_start == AT + timedelta(minutes=10)
    assert outcomes(done) == {"m-1": Outcome.SET, "m-2": Outcome.STANDS}
    assert markets.posted == [("m-1", 4.2)]
    change = done.markets[0].next_change
    assert change is not None
    assert (change.at, change.cents_per_kwh) == (datetime(2026, 3, 2, 13, tzinfo=UTC), 1)
    again = await markets.run(community("m-1", "m-2", protocol=protocol))
    assert outcomes(again) == {"m-1": Outcome.STANDS, "m-2": Outcome.STANDS}
    assert len(markets.posted) == 1


@pytest.mark.parametrize("protocol", ["sdk", "batch"])
async def test_one_market_fails_and_the_others_go_on(protocol: str) -> None:
    markets = Markets()
    markets.stuck.add("m-2")
    done = await markets.run(community("m-1", "m-2", "m-3", protocol=protocol))
    assert outcomes(done) == {"m-1": Outcome.SET, "m-2": Outcome.FAILED, "m-3": Outcome.FAILED}
    stuck, unknown = done.problems
    assert stuck == "market 'M-2': set to 4.2 ct/kWh, and the exchange says 1 stands"
    assert unknown.startswith("market 'M-3': ")


async def test_an_exchange_that_tells_no_present_fee_is_set_in_each_run() -> None:
    markets = Markets()
    markets.tells_in_stats = False
    for _ in range(2):
        assert outcomes(await markets.run(community("m-1"))) == {"m-1": Outcome.SET}
    assert markets.posted == [("m-1", 4.2), ("m-1", 4.2)]


async def test_a_dry_run_and_a_file_without_fees_set_nothing() -> None:
    markets = Markets()
    done = await markets.run(community("m-1"), dry_run=True)
    assert (done.markets[0].present, done.markets[0].wanted, done.markets[0].outcome) == (1, 4.2, Outcome.WOULD_SET)
    assert (await markets.run(community("m-1", plan=False))).markets == ()
    assert (await markets.run(community("m-1"), at=AT + timedelta(hours=2))).markets[0].outcome is Outcome.STANDS
    assert markets.posted == []


async def test_a_refused_login_ends_the_run() -> None:
    markets = Markets()
    markets.refusing = True
    with pytest.raises(AuthenticationError):
        await markets.run(community("m-1", "m-2"))
