"""The GraphQL door, asked with the queries of GSy's client."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from pipelines.sandbox.exchange.accounts.people import Role
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.engine.twin import Settings

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
SCENARIO = 'query { readConfiguration(uuid: "%s") { scenarioData { latest { serialized } } } }'
AGGREGATORS = "query { aggregatorsList { configUuid name devicesList { deviceUuid } } }"
NETWORKS = (
    "query { %s { configurations { uuid resultsStatus type scenarioData { forecastStreamAreaMapping } "
    "settingsData { spotMarketType } } } }"
)


async def ask(exchange: Any, query: object, **more: object) -> httpx.Response:
    answer: httpx.Response = await exchange.http.post("/graphql/", json={"query": query} | more)
    return answer


async def data(exchange: Any, query: str) -> Any:
    answer = await ask(exchange, query)
    assert (answer.status_code, list(answer.json())) == (200, ["data"])
    return answer.json()["data"]


async def test_digital_twin_is_a_tree_in_a_string(exchange: Any) -> None:
    told = await data(exchange, SCENARIO % SIMULATION)
    tree = json.loads(told["readConfiguration"]["scenarioData"]["latest"]["serialized"])
    assert (tree["name"], tree["uuid"]) == ("Grid", "area-grid")
    (house,) = tree["children"]
    assert [(one["name"], one["uuid"]) for one in house["children"]] == [
        ("Flat", "load"),
        ("Roof", "pv"),
        ("Meter", "meter"),
    ]


async def test_unknown_simulation_is_an_error_inside_a_200(exchange: Any) -> None:
    answer = await ask(exchange, SCENARIO % "other")
    assert answer.status_code == 200
    assert answer.json()["data"] == {"readConfiguration": None}
    (error,) = answer.json()["errors"]
    assert error["message"] == "['Configuration matching query does not exist.']"


async def test_aggregators_with_their_devices(exchange: Any) -> None:
    api = f"/external-connection/aggregator-api/{SIMULATION}"
    uuid = (await exchange.http.post(f"{api}/create-aggregator/", json={"name": "Mine"})).json()["uuid"]
    await exchange.http.post(f"{api}/select-aggregator/", json={"aggregator_uuid": uuid, "device_uuid": "pv"})
    assert await data(exchange, AGGREGATORS) == {
        "aggregatorsList": [{"configUuid": SIMULATION, "name": "Mine", "devicesList": [{"deviceUuid": "pv"}]}]
    }


async def test_live_switches_stand_in_the_canary_network(exchange: Any, ctn: Ctn) -> None:
    ctn.market.switch("pv", live=False)
    ctn.twin.settings = Settings(spot_market_type=2)
    (network,) = (await data(exchange, NETWORKS % "listCanaryNetworks"))["listCanaryNetworks"]["configurations"]
    mapping = json.loads(network.pop("scenarioData")["forecastStreamAreaMapping"])
    assert mapping.keys() == {"load", "meter"}
    assert network == {
        "uuid": SIMULATION,
        "resultsStatus": "running",
        "type": "CANARY_NETWORK",
        "settingsData": {"spotMarketType": "TWO_SIDED"},
    }
    assert await data(exchange, NETWORKS % "listScmCommunities") == {"listScmCommunities": {"configurations": []}}


async def test_users_see_what_is_theirs(exchange: Any, new_user: Callable[..., Awaitable[str]]) -> None:
    exchange.http.headers["Authorization"] = f"JWT {await new_user('ada', Role.AGGREGATOR, 'load')}"
    told = await data(exchange, SCENARIO % SIMULATION)
    assert "Roof" not in told["readConfiguration"]["scenarioData"]["latest"]["serialized"]
    (network,) = (await data(exchange, NETWORKS % "listCanaryNetworks"))["listCanaryNetworks"]["configurations"]
    assert json.loads(network["scenarioData"]["forecastStreamAreaMapping"]).keys() == {"load"}


async def test_variables_are_understood(exchange: Any) -> None:
    query = "query Q($u: String!) { readConfiguration(uuid: $u) { name } }"
    answer = await ask(exchange, query, variables={"u": SIMULATION}, operationName="Q")
    assert answer.json() == {"data": {"readConfiguration": {"name": "Test community"}}}


DEEP = "{ __schema { types { " + "fields { type { " * 8 + "name" + " } }" * 8 + " } } }"
ROUND = "query { listCanaryNetworks { ...F } } fragment F on ConfigurationList { configurations { uuid } ...F }"
WIDE = "query { " + " ".join(f"a{i}: aggregatorsList {{ name }}" for i in range(21)) + " }"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("query { nothing }", "Cannot query field 'nothing'"),
        ("query {", "Syntax Error"),
        ("query { readConfiguration { name } }", "is required"),
        # So the client of 2021 wrote it; GraphQL has no single quotes.
        ("query { readConfiguration(uuid: '{simulation}') { name } }", "Syntax Error"),
        (DEEP, "nested too deeply"),
        (ROUND, "nested too deeply"),
        (WIDE, "20 fields at most"),
        ("{a" * 900, "nested too deeply"),
        ("{ aggregatorsList(x: " + "[" * 900, "nested too deeply"),
        ("{ " + "a " * 3000 + "}", "tokens"),
        ("", "Syntax Error"),
        (None, "Must provide query string."),
        (["x"], "Must provide query string."),
        ("mutation { x }", "mutation"),
    ],
)
async def test_document_that_is_no_query_is_refused(exchange: Any, query: object, says: str) -> None:
    answer = await ask(exchange, query)
    assert answer.status_code == 400
    assert says in str(answer.json()["errors"])


async def test_without_token_nothing_is_told(exchange: Any) -> None:
    del exchange.http.headers["Authorization"]
    assert (await ask(exchange, AGGREGATORS)).status_code == 401
