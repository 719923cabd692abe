"""Aggregators over HTTP: whose they are, and who has selected whom."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.clock import FixedClock
from pipelines.sandbox.exchange.accounts.people import Role
from pipelines.sandbox.exchange.ctn import Ctn, open_ctn
from pipelines.sandbox.exchange.engine.trading import Aggregator
from pipelines.sandbox.exchange.ways_in import read_origin

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
API = f"/external-connection/aggregator-api/{SIMULATION}"

Ask = Callable[..., Awaitable[httpx.Response]]
NewUser = Callable[..., Awaitable[str]]


@pytest.fixture
def ask(exchange: Any) -> Ask:
    """POST to a path of the aggregator API, as the administrator or with another token."""

    async def post(path: str, by: str | None = None, **body: object) -> httpx.Response:
        headers = {} if by is None else {"Authorization": f"JWT {by}"}
        answer: httpx.Response = await exchange.http.post(f"{API}/{path}/", json=body, headers=headers)
        return answer

    return post


async def listed(exchange: Any, by: str | None = None) -> list[dict[str, str]]:
    headers = {} if by is None else {"Authorization": f"JWT {by}"}
    answer = await exchange.http.get(f"{API}/list-aggregators/", headers=headers)
    assert answer.status_code == 200
    found: list[dict[str, str]] = answer.json()
    return found


async def test_made_listed_and_deleted(exchange: Any, ask: Ask) -> None:
    made = (await ask("create-aggregator", name="Mine")).json()
    assert made["name"] == "Mine"
    assert await listed(exchange) == [made]
    gone = await ask("delete-aggregator", aggregator_uuid=made["uuid"])
    assert gone.json()["uuid"] == made["uuid"]
    assert await listed(exchange) == []
    assert (await ask("delete-aggregator", aggregator_uuid=made["uuid"])).status_code == 404


async def test_selecting_is_exclusive(ask: Ask, ctn: Ctn) -> None:
    first, second = [(await ask("create-aggregator", name="A")).json()["uuid"] for _ in range(2)]
    assert first != second, "names aren't unique"
    selected = await ask("select-aggregator", aggregator_uuid=first, device_uuid="load", transaction_id="t")
    assert selected.json() == {
        "status": "SELECTED",
        "aggregator_uuid": first,
        "device_uuid": "load",
        "transaction_id": "t",
    }
    assert ctn.twin.assets["load"].trades_by_template is False
    taken = await ask("select-aggregator", aggregator_uuid=second, device_uuid="load")
    assert (taken.status_code, taken.json()["msg"]) == (400, f"Device already have selected {first}")
    assert (await ask("unselect-aggregator", aggregator_uuid=second, device_uuid="load")).status_code == 400
    freed = await ask("unselect-aggregator", aggregator_uuid=first, device_uuid="load")
    assert (freed.status_code, freed.json()["status"]) == (200, "UNSELECTED")
    assert ctn.twin.assets["load"].trades_by_template is True
    assert (await ask("select-aggregator", aggregator_uuid=second, device_uuid="load")).status_code == 200


async def test_deleting_frees_what_had_selected_it(ask: Ask, ctn: Ctn) -> None:
    uuid = (await ask("create-aggregator", name="A")).json()["uuid"]
    for device in ("load", "area-house"):
        assert (await ask("select-aggregator", aggregator_uuid=uuid, device_uuid=device)).status_code == 200
    await ask("delete-aggregator", aggregator_uuid=uuid)
    assert [ctn.trading.selected_by(device) for device in ("load", "area-house")] == [None, None]


async def test_each_user_has_their_own(exchange: Any, ask: Ask, new_user: NewUser) -> None:
    ada, eve = await new_user("ada", Role.AGGREGATOR, "load"), await new_user("eve", Role.AGGREGATOR, "pv")
    hers = (await ask("create-aggregator", ada, name="Ada's")).json()
    assert await listed(exchange, ada) == [hers]
    assert await listed(exchange, eve) == []
    assert await listed(exchange) == [hers], "whoever manages sees all"
    uuid = hers["uuid"]
    refused = [
        await ask("delete-aggregator", eve, aggregator_uuid=uuid),
        await ask("select-aggregator", eve, aggregator_uuid=uuid, device_uuid="pv"),
        await ask("select-aggregator", ada, aggregator_uuid=uuid, device_uuid="pv"),
        await ask("select-aggregator", ada, aggregator_uuid=uuid, device_uuid="area-house"),
    ]
    assert [answer.status_code for answer in refused] == [403] * 4
    assert (await ask("select-aggregator", ada, aggregator_uuid=uuid, device_uuid="load")).status_code == 200


async def test_an_assets_owner_chooses_an_aggregator_and_makes_none(ask: Ask, ctn: Ctn, new_user: NewUser) -> None:
    owner = await new_user("olga", Role.USER, "load")
    uuid = (await ask("create-aggregator", await new_user("ada", Role.AGGREGATOR), name="A")).json()["uuid"]
    assert (await ask("create-aggregator", owner, name="B")).status_code == 403
    assert (await ask("select-aggregator", owner, aggregator_uuid=uuid, device_uuid="pv")).status_code == 403
    assert (await ask("select-aggregator", owner, aggregator_uuid=uuid, device_uuid="load")).status_code == 200
    forbidden = {(one.username, one.action) for one in ctn.audit.lines(limit=9) if one.outcome == "forbidden"}
    assert forbidden == {("olga", "create-aggregator"), ("olga", "select-aggregator")}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("create-aggregator", {}, 400),
        ("create-aggregator", {"name": ""}, 400),
        ("create-aggregator", {"name": "x" * 201}, 400),
        ("create-aggregator", {"name": ["x"]}, 400),
        ("create-aggregator", {"name": "a\nb"}, 400),
        ("select-aggregator", {"aggregator_uuid": "nobody", "device_uuid": "load"}, 404),
        ("select-aggregator", {"device_uuid": "load"}, 400),
    ],
)
async def test_what_makes_no_sense_is_refused(ask: Ask, path: str, body: dict[str, object], status: int) -> None:
    assert (await ask(path, **body)).status_code == status


async def test_body_that_is_no_object_is_refused(exchange: Any) -> None:
    for content in (b"[1]", b"{", b'"x"', b"\xff"):
        answer = await exchange.http.post(f"{API}/create-aggregator/", content=content)
        assert answer.status_code == 400, content


def test_all_of_it_outlives_a_restart(registry_file: Path, clock: FixedClock, tmp_path: Path) -> None:
    def opened() -> Ctn:
        return open_ctn(
            twin=read_origin(registry_file).twin, clock=clock, database=tmp_path / "x.sqlite", admin=("a", "b")
        )

    before = opened()
    trading = before.trading
    trading.add(one := Aggregator(uuid="aggregator-1", name="A", username="ada"))
    trading.select("load", one.uuid)
    trading.select("area-house", one.uuid)
    trading.set_fee(before.twin.markets["area-house"], fee_const=2.5, fee_percent=None)
    before.close()
    after = opened()
    assert after.trading.aggregators == {one.uuid: one}
    assert after.trading.selections()[one.uuid] == ["load", "area-house"]
    assert after.twin.markets["area-house"].fee_const == 2.5
    after.trading.remove(one)
    after.close()
    last = opened()
    assert (last.trading.aggregators, dict(last.trading.selections())) == ({}, {})
    last.close()
