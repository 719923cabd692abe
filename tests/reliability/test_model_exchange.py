"""The model of the exchange and the sandbox, written apart from each other, hold the same after the same posts."""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.exchange.aggregators import create_aggregator, select_aggregator
from tests.conftest import SIMULATION
from tests.reliability.model_exchange import TICK, ModelExchange

SLOT = timedelta(minutes=15)
SLOTS = 6
ASSETS = ("load-1", "pv-1")

Step = tuple[str, int, float]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(ASSETS), st.integers(-2, SLOTS), st.integers(0, 2_000_000).map(lambda n: n / 1000)),
        st.tuples(st.just("wait"), st.sampled_from([5, 60, 290, 770, 780, 1200]), st.just(0.0)),
    ),
    max_size=12,
)
"""A forecast of an asset for the slot so many slots ahead, in Wh; or so many seconds, also up to a slot's last ones."""


def post_of(protocol: str, by: str, asset: str, slot: datetime, energy_wh: float) -> tuple[str, dict[str, Any]]:
    """One forecast; `by`: of a batch, the aggregator."""
    path = f"/external-connection/api/{SIMULATION}/{asset}/"
    if protocol == "rest":
        return path + "set_energy_forecast/", {"energy_Wh": energy_wh, "transaction_id": "t"}
    by_slot = {f"{slot:%Y-%m-%dT%H:%M}": energy_wh / 1000}
    if protocol == "sdk":
        return path + "set-energy-forecast/", {"energy_forecast": by_slot, "transaction_id": "t"}
    orders = {asset: [{"type": "set_energy_forecast", "energy_forecast": by_slot}]}
    body = {"aggregator_uuid": by, "batch_commands": orders, "transaction_id": "t"}
    return f"/external-connection/aggregator-api/{SIMULATION}/batch-commands/", body


async def aggregator(world: Any) -> str:
    """One that sends for both; from then on the exchange serves what waits at each tick."""
    async with world.client() as client:
        made = await create_aggregator(client, SIMULATION, "Street")
        for asset in ASSETS:
            await select_aggregator(client, SIMULATION, made, asset=asset, name=asset)
    world.ctn.tick = TICK
    return made.uuid


async def ask(http: httpx.AsyncClient, method: str, path: str, **more: Any) -> Any:
    answer = await http.request(method, path, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("protocol", ["rest", "sdk", "batch"])
def test_both_hold_the_same(make_light_world: Callable[[str], Any], noon: datetime, protocol: str) -> None:
    world = make_light_world(protocol)
    by = asyncio.run(aggregator(world)) if protocol == "batch" else ""
    # Both live on from example to example.
    model = ModelExchange(now=noon, length=SLOT, lead=timedelta(0), keyed=protocol != "rest")
    model.tokens["t"] = noon + timedelta(days=99)

    @settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(steps=STEPS)
    def same(steps: list[Step]) -> None:
        asyncio.run(lived(steps))

    async def lived(steps: list[Step]) -> None:
        start = model.slot
        async with httpx.AsyncClient(transport=httpx.ASGITransport(world.app), base_url="http://e") as http:
            token = (await ask(http, "POST", "/api-token-auth/", json={"username": "me", "password": "hush"}))["access"]
            http.headers["Authorization"] = f"JWT {token}"
            for what, number, energy_wh in steps:
                if what == "wait":
                    pass_time(timedelta(seconds=number))
                    continue
                path, body = post_of(protocol, by, what, model.slot + number * SLOT, energy_wh)
                told = await ask(http, "POST", path, json=body), answered(model, "POST", path, body)
                if protocol != "batch":
                    assert [one["status"] for one in told] == ["ready", "ready"]
            pass_time((SLOTS + 2) * SLOT)
            for asset in ASSETS:
                span = f"{start:%Y-%m-%dT%H:%M}/{model.slot:%Y-%m-%dT%H:%M}"
                path = f"/historical-data/assets/{SIMULATION}/{asset}/{span}"
                held = {slot: next(iter(one.values())) for slot, one in (await ask(http, "GET", path)).items()}
                modelled = {slot: one["load_profile_kWh"] for slot, one in answered(model, "GET", path, {}).items()}
                assert held == pytest.approx(modelled, abs=1e-8)

    def pass_time(span: timedelta) -> None:
        model.pass_time(world.clock.now() + span - model.now)
        world.clock.set(world.clock.now() + span)
        world.ctn.advance()

    same()


def answered(model: ModelExchange, method: str, path: str, body: dict[str, Any]) -> Any:
    answer = model.answer(method, path, json.dumps(body).encode(), "t")
    assert answer.status_code == 200
    return answer.json()
