import json
from typing import Any

import httpx
import pytest
from graphql import parse

from pipelines.errors import RejectedError, TerminalError
from pipelines.exchange.graphql import list_aggregators, list_canary_networks, live_switches, read_scenario

Scripted = Any

SCENARIO = {
    "name": "Grid",
    "type": "Area",
    "uuid": "g",
    "children": [
        {"name": "Süd", "type": "Load", "uuid": "u1", "forecast_stream_enabled": True},
        {"name": "Dach", "type": "PV", "uuid": "u2", "forecast_stream_enabled": False},
    ],
}


def data(**fields: object) -> httpx.Response:
    return httpx.Response(200, json={"data": fields})


def scenario(serialized: object) -> httpx.Response:
    return data(readConfiguration={"scenarioData": {"latest": {"serialized": serialized}}})


def network(uuid: str, mapping: object) -> dict[str, object]:
    return {
        "uuid": uuid,
        "resultsStatus": "running",
        "type": "CANARY_NETWORK",
        "scenarioData": {"forecastStreamAreaMapping": mapping},
        "settingsData": {"spotMarketType": "TWO_SIDED"},
    }


def networks(*found: dict[str, object]) -> httpx.Response:
    return data(listCanaryNetworks={"configurations": list(found)})


def queries(scripted: Scripted) -> list[str]:
    for request in scripted.requests:
        assert (request.method, request.url.path) == ("POST", "/graphql/")
        assert request.headers["Authorization"].startswith("JWT ")
    return [json.loads(request.content)["query"] for request in scripted.requests]


async def test_a_scenario_is_unpacked_from_the_string_it_comes_in(scripted: Scripted) -> None:
    scripted.answers = [scenario(json.dumps(SCENARIO))]
    async with scripted.client() as client:
        root = await read_scenario(client, "sim-1")
    assert queries(scripted) == [
        'query { readConfiguration(uuid: "sim-1") { scenarioData { latest { serialized } } } }'
    ]
    assert [(area.name, area.uuid, area.live) for area in root.leaves()] == [("Süd", "u1", True), ("Dach", "u2", False)]


@pytest.mark.parametrize("uuid", ['a"b', "a\\", "ä\n{}"])
async def test_a_uuid_with_quotes_stays_one_string_of_the_query(scripted: Scripted, uuid: str) -> None:
    scripted.answers = [scenario(json.dumps(SCENARIO))]
    async with scripted.client() as client:
        await read_scenario(client, uuid)
    (operation,) = parse(queries(scripted)[0]).to_dict()["definitions"]
    (read,) = operation["selection_set"]["selections"]
    assert read["arguments"][0]["value"]["value"] == uuid


async def test_aggregators_are_listed_with_their_devices(scripted: Scripted) -> None:
    found = [
        {"configUuid": "s", "name": "Sunny", "devicesList": [{"deviceUuid": "u1"}, {"deviceUuid": "u2"}]},
        {"configUuid": "s", "name": "Idle", "devicesList": None},
    ]
    scripted.answers = [data(aggregatorsList=found)]
    async with scripted.client() as client:
        listed = await list_aggregators(client)
    assert [(one.simulation, one.name, one.devices) for one in listed] == [
        ("s", "Sunny", ("u1", "u2")),
        ("s", "Idle", ()),
    ]
    assert queries(scripted) == ["query { aggregatorsList { configUuid name devicesList { deviceUuid } } }"]


async def test_a_canary_network_tells_the_live_switches(scripted: Scripted) -> None:
    scripted.answers = [networks(network("other", "{}"), network("sim", json.dumps({"u1": "x", "u3": "y"})))]
    async with scripted.client() as client:
        listed = await list_canary_networks(client)
        assert await live_switches(client, "sim") == {"u1", "u3"}
        assert await live_switches(client, "other") == frozenset()
    assert (listed[1].results_status, listed[1].type, listed[1].spot_market_type) == (
        "running",
        "CANARY_NETWORK",
        "TWO_SIDED",
    )


async def test_a_simulation_that_is_no_canary_network_of_the_user_is_looked_up_in_its_scenario(
    scripted: Scripted,
) -> None:
    scripted.answers = [networks(), scenario(json.dumps(SCENARIO))]
    async with scripted.client() as client:
        assert await live_switches(client, "sim") == {"u1"}


async def test_switches_that_nothing_tells_are_not_taken_for_off(scripted: Scripted) -> None:
    silent = {**SCENARIO, "children": [{"name": "Süd", "type": "Load", "uuid": "u1"}]}
    scripted.answers = [networks(), scenario(json.dumps(silent))]
    async with scripted.client() as client:
        with pytest.raises(RejectedError, match="live switches of simulation sim"):
            await live_switches(client, "sim")


async def test_errors_in_a_success_are_errors(scripted: Scripted) -> None:
    answer = {"errors": [{"message": "no permission"}, {"message": "no permission"}], "data": {"aggregatorsList": []}}
    scripted.answers = [httpx.Response(200, json=answer)]
    async with scripted.client() as client:
        with pytest.raises(RejectedError, match=r"list of aggregators: the exchange refuses it: no permission$"):
            await list_aggregators(client)
    assert len(scripted.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        data(readConfiguration=None),
        data(readConfiguration={"scenarioData": None}),
        data(readConfiguration={"scenarioData": {"latest": {"serialized": None}}}),
    ],
)
async def test_a_simulation_that_is_not_shown_is_told(scripted: Scripted, answer: httpx.Response) -> None:
    scripted.answers = [answer]
    async with scripted.client() as client:
        with pytest.raises(RejectedError, match="shows nothing"):
            await read_scenario(client, "sim")


@pytest.mark.parametrize(
    "answer",
    [
        scenario("{not json"),
        scenario("[" * 100_000),
        scenario("[]"),
        httpx.Response(200, json=["data"]),
        httpx.Response(200, json={"data": None}),
    ],
)
async def test_an_answer_that_is_no_scenario_is_told(scripted: Scripted, answer: httpx.Response) -> None:
    scripted.answers = [answer]
    async with scripted.client() as client:
        with pytest.raises(TerminalError, match="scenario of simulation sim"):
            await read_scenario(client, "sim")


@pytest.mark.parametrize("mapping", ["nonsense", "[1]", 5])
async def test_a_mapping_that_cannot_be_read_is_not_taken_for_off(scripted: Scripted, mapping: object) -> None:
    scripted.answers = [networks(network("sim", mapping))]
    async with scripted.client() as client:
        with pytest.raises(TerminalError):
            await live_switches(client, "sim")
