"""The registry as each user sees it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pipelines.sandbox.exchange.accounts.people import Role

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
PATH = f"/external-connection/configurations/{SIMULATION}/registry"

Node = dict[str, Any]


def names(node: Node) -> list[str]:
    return [node["name"], *(name for child in node["children"] for name in names(child))]


async def test_tree_with_all_that_a_client_reads(exchange: Any) -> None:
    api = f"/external-connection/aggregator-api/{SIMULATION}"
    uuid = (await exchange.http.post(f"{api}/create-aggregator/", json={"name": "Mine"})).json()["uuid"]
    pair = {"aggregator_uuid": uuid, "device_uuid": "pv"}
    await exchange.http.post(f"{api}/select-aggregator/", json=pair)
    await exchange.command("load", "register", {})

    def leaf(name: str, kind: str, uuid: str, registered: bool = False, aggregator: str | None = None) -> Node:
        return {
            "name": name,
            "type": kind,
            "uuid": uuid,
            "attributes": None,
            "registered": registered,
            "aggregator_name": aggregator,
            "children": [],
        }

    flat = leaf("Flat", "Load", "load", registered=True)
    leaves = [flat, leaf("Roof", "PV", "pv", aggregator="Mine"), leaf("Meter", "SmartMeter", "meter")]
    house = leaf("House", "Area", "area-house") | {"children": leaves}
    assert (await exchange.http.get(PATH)).json() == leaf("Grid", "Area", "area-grid") | {"children": [house]}


@pytest.mark.parametrize(
    ("role", "subjects", "seen"),
    [
        (Role.OWNER, (), ["Flat", "Roof", "Meter"]),
        (Role.GRID_OPERATOR, (), ["Flat", "Roof", "Meter"]),
        (Role.AGGREGATOR, ("load", "pv"), ["Flat", "Roof"]),
        (Role.USER, ("meter",), ["Meter"]),
        (Role.USER, (), []),
    ],
)
async def test_everyone_sees_what_is_theirs(
    exchange: Any, new_user: Callable[..., Awaitable[str]], role: Role, subjects: tuple[str, ...], seen: list[str]
) -> None:
    headers = {"Authorization": f"JWT {await new_user('somebody', role, *subjects)}"}
    assert names((await exchange.http.get(PATH, headers=headers)).json()) == ["Grid", "House", *seen]


async def test_without_token_nothing_is_seen(exchange: Any) -> None:
    del exchange.http.headers["Authorization"]
    assert (await exchange.http.get(PATH)).status_code == 401
