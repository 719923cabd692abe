"""What GSy's own client needs of the exchange's answers and would stumble over, read as its protocol says."""

import ast
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pipelines.sandbox.exchange import hub
from pipelines.sandbox.exchange.accounts.people import Role
from pipelines.sandbox.exchange.ctn import Ctn

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
REGISTRY = f"/external-connection/configurations/{SIMULATION}/registry"
AGGREGATORS = f"/external-connection/aggregator-api/{SIMULATION}"

Node = dict[str, Any]
NewUser = Callable[..., Awaitable[str]]


def below(node: Node) -> list[Node]:
    """The node and all under it; as the client does, whatever stands under `children` is walked through."""
    return [node, *(one for child in node.get("children", ()) for one in below(child))]


async def held(ctn: Ctn, uuid: str) -> list[Node]:
    """What somebody hears who joins now."""
    mailbox = ctn.hub.join(uuid)
    ctn.hub.tell(uuid, {"event": "mark"})
    told: list[Node] = []
    while (message := json.loads(await mailbox.take() or b"{}")) != {"event": "mark"}:
        told.append(message)
    ctn.hub.leave(uuid, mailbox)
    return told


async def test_names_can_be_looked_up_all_over_the_tree(exchange: Any) -> None:
    question = f'{{ readConfiguration(uuid: "{SIMULATION}") {{ scenarioData {{ latest {{ serialized }} }} }} }}'
    answer = await exchange.http.post("/graphql/", json={"query": question})
    tree = json.loads(answer.json()["data"]["readConfiguration"]["scenarioData"]["latest"]["serialized"])
    for told in (tree, (await exchange.http.get(REGISTRY)).json()):
        assert {node["name"]: node["uuid"] for node in below(told)} == {
            "Grid": "area-grid",
            "House": "area-house",
            "Flat": "load",
            "Roof": "pv",
            "Meter": "meter",
        }


async def test_refused_query_can_be_read_as_a_literal(exchange: Any) -> None:
    question = '{ readConfiguration(uuid: "other") { uuid } }'
    (error,) = (await exchange.http.post("/graphql/", json={"query": question})).json()["errors"]
    assert ast.literal_eval(error["message"]) == ["Configuration matching query does not exist."]


@pytest.mark.parametrize(
    ("role", "subjects", "registered"),
    [
        (Role.AGGREGATOR, ("load", "pv"), {"Flat", "Roof"}),
        (Role.GRID_OPERATOR, ("area-house",), {"House"}),
        (Role.AGGREGATOR, (), set()),
        (Role.OWNER, (), set()),
    ],
)
async def test_registry_tells_whom_what_was_approved(
    exchange: Any, new_user: NewUser, role: Role, subjects: tuple[str, ...], registered: set[str]
) -> None:
    headers = {"Authorization": f"JWT {await new_user('somebody', role, *subjects)}"}
    tree = (await exchange.http.get(REGISTRY, headers=headers)).json()
    assert {node["name"] for node in below(tree) if node["registered"] is True} == registered


async def test_answer_waits_for_a_websocket_that_still_opens(exchange: Any, ctn: Ctn) -> None:
    await exchange.command("load", "register", {"transaction_id": "t-1"})
    await exchange.command("load", "set-energy-forecast", {"energy_forecast": {}, "transaction_id": "t-2"})
    answers = [(one["command"], one["transaction_id"]) for one in await held(ctn, "load")]
    assert answers == [("register", "t-1"), ("set_energy_forecast", "t-2")]
    assert await held(ctn, "load") == [], "whoever comes later has asked for nothing"


async def test_answer_does_not_wait_for_long(exchange: Any, ctn: Ctn, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(hub, "monotonic", lambda: now)
    await exchange.command("load", "register", {"transaction_id": "t-1"})
    now += hub.HELD_S
    assert await held(ctn, "load") == []


async def test_few_answers_wait_and_neither_events_nor_batches(exchange: Any, ctn: Ctn) -> None:
    for number in range(hub.MOST_HELD + 2):
        await exchange.command("load", "set-energy-forecast", {"energy_forecast": {}, "transaction_id": number})
    assert [one["transaction_id"] for one in await held(ctn, "load")] == list(range(2, hub.MOST_HELD + 2))
    uuid = (await exchange.http.post(f"{AGGREGATORS}/create-aggregator/", json={"name": "A"})).json()["uuid"]
    await exchange.http.post(f"{AGGREGATORS}/select-aggregator/", json={"aggregator_uuid": uuid, "device_uuid": "pv"})
    batch = {"aggregator_uuid": uuid, "batch_commands": {"pv": [{"type": "device_info"}]}}
    assert (await exchange.http.post(f"{AGGREGATORS}/batch-commands/", json=batch)).json()["responses"]
    assert await held(ctn, uuid) == []
