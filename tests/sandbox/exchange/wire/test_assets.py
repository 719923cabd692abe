"""Registering, and the posts whose content nobody knows."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pipelines.sandbox.exchange.accounts.people import Role
from pipelines.sandbox.exchange.ctn import Ctn

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"


async def test_registering_is_answered_and_stops_the_template(exchange: Any, ctn: Ctn) -> None:
    mailbox = ctn.hub.join("load")
    answer = await exchange.command("load", "register", {"transaction_id": "t"})
    told = {"command": "register", "status": "ready", "registered": True, "device_uuid": "load", "transaction_id": "t"}
    assert answer.json() == told
    assert json.loads(await mailbox.take() or b"") == told
    assert ctn.twin.assets["load"].trades_by_template is False
    again = await exchange.command("load", "register", {"transaction_id": "u"})
    assert again.json() == told | {"transaction_id": "u"}, "a client that waits gets its answer"


async def test_unregistering_gives_the_asset_back_to_the_template(exchange: Any, ctn: Ctn) -> None:
    api = f"/external-connection/aggregator-api/{SIMULATION}"
    uuid = (await exchange.http.post(f"{api}/create-aggregator/", json={"name": "A"})).json()["uuid"]
    pair = {"aggregator_uuid": uuid, "device_uuid": "load"}
    await exchange.http.post(f"{api}/select-aggregator/", json=pair)
    await exchange.command("load", "register", {})
    mailbox = ctn.hub.join(uuid)
    answer = await exchange.command("load", "unregister", {"transaction_id": "t"})
    assert answer.json() == {
        "command": "unregister",
        "status": "ready",
        "unregistered": True,
        "transaction_id": "t",
    }
    assert ctn.twin.assets["load"].trades_by_template is True
    assert json.loads(await mailbox.take() or b"")["event"] == "unselected_by_device"


async def test_unregistering_what_isnt_is_an_error_in_the_engines_words(exchange: Any) -> None:
    answer = await exchange.command("load", "unregister", {"transaction_id": "t"})
    words = "Client should be registered in order to access this area."
    assert answer.json() == {"status": "error", "error_message": words}


async def test_live_generation_is_answered_with_hyphens(exchange: Any) -> None:
    answer = await exchange.command("pv", "set-live-generation", {"live_data": {"x": 1}, "transaction_id": "t"})
    assert answer.json() == {"command": "set-live-generation", "status": "ready", "transaction_id": "t"}


async def test_coefficient_communities_data_is_taken(exchange: Any) -> None:
    member = await exchange.command("load", "set-scm-timeseries-and-member-data", {"anything": [1]})
    whole = await exchange.http.post(
        f"/external-connection/api/{SIMULATION}/set-scm-global-data/", json={"anything": {}}
    )
    # GSy's client takes an empty answer for "not posted".
    assert [(one.status_code, one.json()["status"]) for one in (member, whole)] == [(200, "ready")] * 2


@pytest.mark.parametrize(
    "path", ["register", "unregister", "set-live-generation", "set-scm-timeseries-and-member-data"]
)
async def test_foreign_and_unknown_assets_are_refused(
    exchange: Any, ctn: Ctn, new_user: Callable[..., Awaitable[str]], path: str
) -> None:
    assert (await exchange.command("nobody", path, {})).status_code == 404
    exchange.http.headers["Authorization"] = f"JWT {await new_user('ada', Role.AGGREGATOR, 'load')}"
    assert (await exchange.command("load", path, {})).status_code == 200
    assert (await exchange.command("pv", path, {})).status_code == 403
    assert ctn.twin.assets["pv"].registered is False
    del exchange.http.headers["Authorization"]
    assert (await exchange.command("load", path, {})).status_code == 401


async def test_a_whole_communitys_data_is_for_who_manages_it(
    exchange: Any, new_user: Callable[..., Awaitable[str]]
) -> None:
    for role, status in ((Role.AGGREGATOR, 403), (Role.OWNER, 200)):
        headers = {"Authorization": f"JWT {await new_user(role.value, role, 'load')}"}
        path = f"/external-connection/api/{SIMULATION}/set-scm-global-data/"
        assert (await exchange.http.post(path, json={}, headers=headers)).status_code == status
