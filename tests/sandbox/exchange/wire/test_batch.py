"""Batch commands as an aggregator posts them. The community: Flat (load), Roof (PV), Meter, in House in Grid."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest

from pipelines.clock import FixedClock
from pipelines.sandbox.exchange.accounts.people import Role
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.faults import Rule

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
API = f"/external-connection/aggregator-api/{SIMULATION}"
DEVICES = ("load", "pv", "meter", "area-house")


@dataclass
class Desk:
    """An aggregator that everything but the grid has selected."""

    http: httpx.AsyncClient
    uuid: str

    async def post(self, commands: object, **more: object) -> httpx.Response:
        body = {"aggregator_uuid": self.uuid, "batch_commands": commands, "transaction_id": "t-1"}
        return await self.http.post(f"{API}/batch-commands/", json=body | more)

    async def order(self, device: str, *commands: dict[str, object]) -> list[dict[str, Any]]:
        """Responses to commands for one device."""
        answer = await self.post({device: commands})
        assert answer.status_code == 200
        responses: list[dict[str, Any]] = answer.json()["responses"][device]
        return responses


@pytest.fixture
async def desk(exchange: Any) -> Desk:
    uuid = (await exchange.http.post(f"{API}/create-aggregator/", json={"name": "A"})).json()["uuid"]
    for device in DEVICES:
        pair = {"aggregator_uuid": uuid, "device_uuid": device}
        assert (await exchange.http.post(f"{API}/select-aggregator/", json=pair)).status_code == 200
    return Desk(exchange.http, uuid)


async def test_energies_of_many_assets_are_used(desk: Desk, exchange: Any, ctn: Ctn) -> None:
    mailbox = ctn.hub.join(desk.uuid)
    forecast = {"type": "set_energy_forecast", "energy_forecast": {"2026-03-02T12:15": 0.4, "2026-03-02T12:30": 0.5}}
    measurement = {"type": "set_energy_measurement", "energy_measurement": {"2026-03-02T11:45": 0.2}}
    answer = await desk.post({"load": [forecast, measurement], "pv": [forecast]})
    assert answer.json() == {
        "command": "batch_commands",
        "transaction_id": "t-1",
        "aggregator_uuid": desk.uuid,
        "responses": {
            "load": [
                {
                    "command": command["type"],
                    "status": "ready",
                    "area_uuid": "load",
                    "transaction_id": "t-1",
                    command["type"]: command | {"transaction_id": "t-1"},
                }
                for command in (forecast, measurement)
            ],
            "pv": [
                {
                    "command": "set_energy_forecast",
                    "status": "ready",
                    "area_uuid": "pv",
                    "transaction_id": "t-1",
                    "set_energy_forecast": forecast | {"transaction_id": "t-1"},
                }
            ],
        },
    }
    assert json.loads(await mailbox.take() or b"") == answer.json(), "its listeners hear the same"
    await exchange.at("12:30")
    assert await exchange.used("load", "12:15") == {"12:15": 0.4, "12:30": 0.5}
    assert await exchange.used("pv", "12:15") == {"12:15": 0.4, "12:30": 0.5}


@pytest.mark.parametrize(
    ("energies", "why"),
    [({"2026-03-02T12:15": -1}, "negative"), ({"2026-03-02T12:15Z": 1}, "offset"), (3, "scalar"), (None, "none")],
)
async def test_energies_that_the_engine_refuses(desk: Desk, exchange: Any, energies: object, why: str) -> None:
    (told,) = await desk.order("load", {"type": "set_energy_forecast", "energy_forecast": energies})
    assert (told["status"], told["area_uuid"], told["transaction_id"]) == ("error", "load", "t-1"), why
    assert told["error_message"].startswith("Error when handling set_energy_forecast on area Flat with arguments {")
    await exchange.at("12:15")
    assert await exchange.used("load", "12:15") == {"12:15": 0.0}


@pytest.mark.parametrize(
    ("device", "command", "told"),
    [
        ("meter", "set_energy_forecast", "Command type not supported for device meter"),
        ("load", "fly", "Command type not supported for device load"),
        ("load", "grid_fees", "Command type not supported for device load"),
        ("area-house", "set_energy_forecast", "Command type not supported for device area-house"),
        ("load", "offer", "Offer command not supported on device load"),
        ("pv", "delete_bid", "Delete bid command not supported on device pv"),
    ],
)
async def test_commands_that_a_device_doesnt_know(desk: Desk, device: str, command: str, told: str) -> None:
    (answer,) = await desk.order(device, {"type": command, "energy_forecast": {}})
    assert answer == {"command": command, "status": "error", "area_uuid": device, "message": told}


async def test_command_without_type_is_an_error_of_its_own(desk: Desk) -> None:
    first, second = await desk.order("load", {"energy_forecast": {}}, {"type": "device_info"})
    assert first == {"status": "error", "area_uuid": "load", "message": "Invalid command type"}
    assert second["status"] == "ready"


async def test_what_is_unknown_has_no_entry_and_alone_no_answer(desk: Desk, ctn: Ctn) -> None:
    info = [{"type": "device_info"}]
    answer = (await desk.post({"nobody": info, "load": info})).json()
    assert answer["responses"].keys() == {"load"}
    mailbox = ctn.hub.join(desk.uuid)
    answer = (await desk.post({"nobody": info})).json()
    assert "responses" not in answer
    ctn.hub.tell(desk.uuid, {"event": "mark"})
    assert json.loads(await mailbox.take() or b"") == {"event": "mark"}


async def test_device_that_it_doesnt_control_is_refused_and_noted(
    desk: Desk, exchange: Any, ctn: Ctn, new_user: Callable[..., Awaitable[str]]
) -> None:
    # Ada may post for the load alone; the roof has selected her aggregator, but was never approved for her.
    ada = {"Authorization": f"JWT {await new_user('ada', Role.AGGREGATOR, 'load')}"}
    uuid = (await exchange.http.post(f"{API}/create-aggregator/", json={"name": "Ada"}, headers=ada)).json()["uuid"]
    for device in ("load", "pv"):
        ctn.trading.select(device, uuid)
    forecast = {"type": "set_energy_forecast", "energy_forecast": {"2026-03-02T12:15": 0.4}}
    body = {"aggregator_uuid": uuid, "batch_commands": {one: [forecast] for one in ("load", "pv", "meter")}}
    told = (await exchange.http.post(f"{API}/batch-commands/", json=body, headers=ada)).json()["responses"]
    assert [told[one][0]["status"] for one in ("load", "pv", "meter")] == ["ready", "error", "error"]
    assert told["pv"][0]["message"] == f"Device pv is not controlled by aggregator {uuid}"
    noted = [(one.username, one.subject) for one in ctn.audit.lines(limit=9) if one.action == "batch-commands"]
    assert noted == [("ada", "pv")]
    await exchange.at("12:15")
    assert await exchange.used("load", "12:15") == {"12:15": 0.4}
    assert await exchange.used("pv", "12:15") == {"12:15": 0.0}
    others = await exchange.http.post(f"{API}/batch-commands/", json=body | {"aggregator_uuid": desk.uuid}, headers=ada)
    assert others.status_code == 403


@pytest.mark.parametrize("commands", [None, [], {"load": {"type": "x"}}, {"load": ["x"]}, "x", 3])
async def test_batch_that_is_none_is_refused(desk: Desk, commands: object) -> None:
    assert (await desk.post(commands)).status_code == 400


async def test_bid_and_offer_meet_and_both_sides_are_told(desk: Desk, exchange: Any, ctn: Ctn) -> None:
    await exchange.forecast("load", {"12:15": 0.6})
    await exchange.forecast("pv", {"12:15": 0.4})
    await exchange.at("12:15")
    ctn.trading.set_fee(ctn.twin.markets["area-house"], fee_const=1.5, fee_percent=None)
    mailbox = ctn.hub.join(desk.uuid)
    answer = await desk.post(
        {
            "pv": [{"type": "offer", "energy": 0.4, "price": 4.0, "replace_existing": True, "time_slot": None}],
            "load": [{"type": "bid", "energy": 0.6, "price": 12.0, "time_slot": "2026-03-02T12:15"}],
        }
    )
    (offer,), (bid,) = (answer.json()["responses"][one] for one in ("pv", "load"))
    assert (offer["command"], offer["status"], bid["command"], bid["status"]) == ("offer", "ready", "bid", "ready")
    words = json.loads(bid["bid"])
    assert (words["type"], words["buyer"], words["energy"], words["price"]) == ("Bid", "Flat", 0.6, 12.0)
    trade = json.loads(await mailbox.take() or b"")
    assert (trade["event"], trade["grid_tree"].keys()) == ("trade", {"area-grid"})
    buying, selling = trade["trade_list"]
    # 0.4 kWh at the bid's 20 ct/kWh.
    assert (buying["asset_id"], buying["traded_energy"], buying["trade_price"]) == ("load", 0.4, 8.0)
    assert (buying["buyer"], buying["seller"], buying["bid_id"]) == ("Flat", "anonymous", words["id"])
    assert (buying["local_market_fee"], buying["total_fee"]) == (1.5, 0.6)
    assert (selling["asset_id"], selling["buyer"], selling["seller"]) == ("pv", "anonymous", "Roof")
    assert (selling["bid_id"], selling["residual_offer_id"]) == ("None", "None")
    (info,) = await desk.order("load", {"type": "device_info"})
    assert info["device_info"] == {
        "energy_requirement_kWh": 0.2,
        "energy_active_in_bids": 0.2,
        "energy_traded": 0.4,
        "total_cost": 8.0,
    }
    await exchange.at("12:30")
    (stats,) = await desk.order("area-house", {"type": "dso_market_stats", "data": {}})
    assert (stats["status"], stats["name"], stats["area_uuid"]) == ("ready", "House", "area-house")
    assert stats["market_stats"]["avg_trade_rate"] == pytest.approx(20.0)
    assert stats["market_stats"]["total_traded_energy_kWh"] == pytest.approx(0.4)


async def test_orders_are_listed_and_taken_back(desk: Desk, exchange: Any) -> None:
    await exchange.forecast("load", {"12:15": 0.6})
    await exchange.at("12:15")
    bid = {"type": "bid", "energy": 0.2, "price": 4.0, "replace_existing": False}
    await desk.order("load", bid, bid)
    (listed,) = await desk.order("load", {"type": "list_bids", "time_slot": None})
    assert [(one["energy"], one["price"]) for one in listed["bid_list"]] == [(0.2, 4.0), (0.2, 4.0)]
    first, second = (one["id"] for one in listed["bid_list"])
    (gone,) = await desk.order("load", {"type": "delete_bid", "bid_id": first, "time_slot": None})
    assert (gone["command"], gone["status"], gone["deleted_bids"]) == ("bid_delete", "ready", [first])
    (again,) = await desk.order("load", {"type": "delete_bid", "bid_id": first})
    assert (again["command"], again["status"]) == ("bid_delete", "error")
    (rest,) = await desk.order("load", {"type": "list_bids"})
    assert [one["id"] for one in rest["bid_list"]] == [second]


@pytest.mark.parametrize(
    "change",
    [
        {"energy": 0.61},
        {"energy": 0},
        {"energy": -0.1},
        {"energy": "0.1"},
        {"energy": True},
        {"price": -1},
        {"price": None},
        {"time_slot": "2026-03-02T12:30"},
        {"time_slot": "soon"},
        {"colour": "green"},
    ],
)
async def test_bid_that_the_engine_refuses(desk: Desk, exchange: Any, change: dict[str, object]) -> None:
    await exchange.forecast("load", {"12:15": 0.6})
    await exchange.at("12:15")
    (told,) = await desk.order("load", {"type": "bid", "energy": 0.6, "price": 12.0} | change)
    assert (told["command"], told["status"], told["area_uuid"]) == ("bid", "error", "load")
    assert told["error_message"].startswith("Error when handling bid create on area Flat with arguments {")
    (listed,) = await desk.order("load", {"type": "list_bids"})
    assert listed["bid_list"] == []


async def test_batch_waits_for_the_tick_and_outlives_a_market_cycle(desk: Desk, exchange: Any, ctn: Ctn) -> None:
    ctn.tick = timedelta(seconds=15)
    clock = ctn.clock
    assert isinstance(clock, FixedClock)
    clock.set(clock.now().replace(minute=14, second=50))
    ctn.advance()
    mailbox = ctn.hub.join(desk.uuid)
    forecast = {"2026-03-02T12:15": 0.4, "2026-03-02T12:30": 0.5}
    answer = await desk.post({"load": [{"type": "set_energy_forecast", "energy_forecast": forecast}]})
    assert answer.json() == {"command": "batch_commands", "status": "queued", "transaction_id": "t-1"}
    for time in ("12:15", "12:16"):
        await exchange.at(time)
    told = [json.loads(await mailbox.take() or b"") for _ in range(2)]
    assert [one.get("event", one.get("command")) for one in told] == ["market", "batch_commands"]
    assert told[1]["responses"]["load"][0]["status"] == "ready"
    await exchange.at("12:31")
    assert await exchange.used("load", "12:15", "12:45") == {"12:15": 0.0, "12:30": 0.5}, "too late for 12:15"


async def test_the_journal_shows_a_batchs_energies_and_nothing_else_of_it(desk: Desk, exchange: Any, ctn: Ctn) -> None:
    secret = "hush-hush"
    forecast = {"type": "set_energy_forecast", "energy_forecast": {"2026-03-02T12:15": 0.4}, "password": secret}
    wrong = {"type": "set_energy_measurement", "energy_measurement": {"2026-03-02T11:45": -0.2}}
    ctn.faults.replace([Rule(do="drop", asset="Roof")])
    await desk.post({"load": [forecast, wrong], "pv": [forecast], "nobody": [{"type": secret}]}, token=secret)
    entry = (await exchange.journal())[-1]
    shown = {"type": "set_energy_forecast", "energy_forecast": {"2026-03-02T12:15": 0.4}, "password": "…"}
    assert entry["body"]["batch_commands"] == {"load": [shown, wrong], "pv": [shown], "nobody": [{"type": "…"}]}
    assert entry["answers"] == {"load": ["ready", "error"], "pv": ["ready"]}
    assert (entry["fault"], entry["fault_meets"]) == ("drop", ["pv"])
    assert secret not in json.dumps(entry)


async def test_the_journal_keeps_so_many_energies(desk: Desk, ctn: Ctn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.sandbox.exchange.journal.KEPT", 10)
    slots = {f"2026-03-02T12:{minute}": 0.1 for minute in (15, 30, 45)}
    for _ in range(4):
        await desk.order("load", {"type": "set_energy_forecast", "energy_forecast": slots})
    kept = ctn.journal.entries()
    assert [len(entry["body"]["batch_commands"]["load"][0]["energy_forecast"]) for entry in kept] == [3, 3, 3]
