"""What listeners are told as the market goes on. The community: Flat (load), Roof (PV), Meter, in House in Grid."""

import json
from collections.abc import Callable
from typing import Any, Protocol

import httpx
import pytest

from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.hub import Mailbox

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
API = f"/external-connection/aggregator-api/{SIMULATION}"


class Client(Protocol):
    """What these tests use of the conftest's."""

    http: httpx.AsyncClient

    async def forecast(self, asset: str, energies_kwh: dict[str, float]) -> object: ...
    async def command(self, asset: str, command: str, body: object) -> httpx.Response: ...
    async def at(self, time: str) -> None: ...


@pytest.fixture
def box(ctn: Ctn) -> Callable[[str], Mailbox]:
    return ctn.hub.join


async def aggregator(exchange: Client, *devices: str) -> str:
    """Make one that these have selected."""
    uuid: str = (await exchange.http.post(f"{API}/create-aggregator/", json={"name": "A"})).json()["uuid"]
    for device in devices:
        pair = {"aggregator_uuid": uuid, "device_uuid": device}
        assert (await exchange.http.post(f"{API}/select-aggregator/", json=pair)).status_code == 200
    return uuid


async def taken(ctn: Ctn, uuid: str, box: Mailbox) -> list[dict[str, Any]]:
    """What has been told so far, up to a mark of this test's own."""
    ctn.hub.tell(uuid, {"event": "mark"})
    told: list[dict[str, Any]] = []
    while (message := json.loads(await box.take() or b"{}")) != {"event": "mark"}:
        told.append(message)
    return told


async def test_market_event_for_an_aggregator_is_the_engines(exchange: Client, ctn: Ctn, box: Any) -> None:
    uuid = await aggregator(exchange, "meter")
    await exchange.forecast("load", {"12:15": 0.6})
    await exchange.forecast("pv", {"12:15": 0.4})
    await exchange.at("12:15")
    mailbox = box(uuid)
    await exchange.at("12:30")
    (told,) = await taken(ctn, uuid, mailbox)
    grid = told.pop("grid_tree")
    assert told == {
        "event": "market",
        "slot_completion": "0%",
        "market_slot": "2026-03-02T12:30",
        "feed_in_tariff_rate": 8.0,
        "market_maker_rate": 30.0,
        "num_ticks": 10.0,
        "simulation_id": SIMULATION,
    }
    assert grid.keys() == {"area-grid"}
    # 0.4 kWh of the roof went to the flat at 19 ct/kWh, half way between 8 and 30: 7.6 ct.
    stats = {
        "min_trade_rate": 19.0,
        "max_trade_rate": 19.0,
        "avg_trade_rate": 19.0,
        "median_trade_rate": 19.0,
        "total_traded_energy_kWh": 0.4,
    }
    inside = {"bought": 0.4, "sold": 0.4, "spent": 0.076, "earned": 0.076}
    nothing = {"bought": 0.0, "sold": 0.0, "spent": 0.0, "earned": 0.0}
    for area in (grid["area-grid"], house := grid["area-grid"]["children"]["area-house"]):
        assert area["last_market_stats"] == stats
        assert area["last_market_bill"] == {"accumulated_trades": inside, "external_trades": nothing}
        assert (area["last_market_fee"], area["current_market_fee"]) == (0.0, 0.0)
    assert house["area_name"] == "House"
    assert house["children"]["load"] == {"area_name": "Flat"}, "somebody else's asset shows only its name"
    assert house["children"]["pv"] == {"area_name": "Roof"}
    assert house["children"]["meter"].keys() == {
        "area_name",
        "asset_info",
        "last_slot_asset_info",
        "asset_bill",
    }


async def test_own_asset_shows_what_it_needs_and_what_it_had(exchange: Client, ctn: Ctn, box: Any) -> None:
    await exchange.forecast("load", {"12:15": 0.6, "12:30": 0.3})
    await exchange.forecast("pv", {"12:15": 0.4})
    uuid = await aggregator(exchange, "load")
    await exchange.at("12:15")
    mailbox = box(uuid)
    await exchange.at("12:30")
    (told,) = await taken(ctn, uuid, mailbox)
    flat = told["grid_tree"]["area-grid"]["children"]["area-house"]["children"]["load"]
    assert flat["asset_info"] == {
        "energy_requirement_kWh": 0.3,
        "energy_active_in_bids": 0.0,
        "energy_traded": 0.0,
        "total_cost": 0.0,
    }
    # Its aggregator has bid for nothing, so nothing was bought: the exchange no longer bids for it.
    assert flat["last_slot_asset_info"] == {"energy_traded": 0.0, "total_cost": 0.0}
    assert flat["asset_bill"]["bought"] == 0.0


async def test_every_tenth_of_the_slot_is_told_once(exchange: Client, ctn: Ctn, box: Any) -> None:
    uuid = await aggregator(exchange, "load")
    await exchange.at("12:15")
    mailbox = box(uuid)
    # Ticks of 15 s, of which six make a tenth.
    for second in range(15, 15 * 14, 15):
        minute, rest = divmod(second, 60)
        answer = await exchange.http.put("/sandbox/clock", json={"now": f"2026-03-02T12:{15 + minute}:{rest:02}Z"})
        assert answer.status_code == 200
    told = await taken(ctn, uuid, mailbox)
    assert [(one["event"], one["slot_completion"], one["market_slot"]) for one in told] == [
        ("tick", "10%", "2026-03-02T12:15"),
        ("tick", "20%", "2026-03-02T12:15"),
    ]
    assert all("grid_tree" in one for one in told)


async def test_registered_asset_hears_of_the_market_directly(exchange: Client, ctn: Ctn, box: Any) -> None:
    mailbox, other = box("load"), box("pv")
    assert (await exchange.command("load", "register", {"transaction_id": "t"})).status_code == 200
    await exchange.forecast("load", {"12:15": 0.6})
    await exchange.at("12:15")
    await exchange.at("12:17")
    messages = await taken(ctn, "load", mailbox)
    market, tick = (one for one in messages if "event" in one)
    assert (market["event"], market["start_time"], market["duration_min"]) == ("market", "2026-03-02T12:15", 15)
    assert (market["name"], market["area_uuid"], market["last_market_maker_rate"]) == ("House", "load", 30.0)
    needs = {"energy_requirement_kWh": 0.6, "energy_active_in_bids": 0.0, "energy_traded": 0.0, "total_cost": 0.0}
    assert market["device_info"] == needs
    assert tick == {
        "event": "tick",
        "area_uuid": "load",
        "device_info": needs,
        "slot_completion": "13%",
        "market_slot": "2026-03-02T12:15",
    }
    assert await taken(ctn, "pv", other) == [], "the engine tells nothing to an asset that isn't registered"


async def test_end_is_told_to_all_but_unregistered_assets(exchange: Client, ctn: Ctn, box: Any) -> None:
    uuid, idle = await aggregator(exchange, "pv"), await aggregator(exchange)
    ctn.twin.assets["load"].registered = True
    boxes = {one: box(one) for one in (uuid, idle, "load", "pv", "meter", "area-grid")}
    ctn.finish()
    told = {
        one: [message for message in await taken(ctn, one, mailbox) if "event" in message]
        for one, mailbox in boxes.items()
    }
    assert told == {
        uuid: [{"event": "finish", "num_ticks": 10.0, "simulation_id": SIMULATION}],
        idle: [],
        "load": [{"event": "finish", "area_uuid": "load"}],
        "pv": [],
        "meter": [],
        "area-grid": [{"event": "finish"}],
    }


async def test_aggregator_of_a_market_hears_of_it_too(exchange: Client, ctn: Ctn, box: Any) -> None:
    uuid = await aggregator(exchange, "area-house")
    mailbox = box(uuid)
    await exchange.at("12:15")
    assert [one["event"] for one in await taken(ctn, uuid, mailbox)] == ["market"]


async def test_a_year_at_once_is_one_market_event(exchange: Client, ctn: Ctn, box: Any) -> None:
    uuid = await aggregator(exchange, "load")
    mailbox = box(uuid)
    answer = await exchange.http.put("/sandbox/clock", json={"now": "2027-03-02T12:00:00Z"})
    assert answer.status_code == 200
    told = await taken(ctn, uuid, mailbox)
    assert [(one["event"], one["market_slot"]) for one in told] == [("market", "2027-03-02T12:00")]
