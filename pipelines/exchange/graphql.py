"""The exchange's GraphQL door: the digital twin with its live switches, and the aggregators.

The query strings are those of GSy's Python SDK (gsy-e-sdk, `utils.py`), since nothing else of the schema is
public. GraphQL tells its errors inside an answer of status 200.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.errors import ConfigurationError, RejectedError, TerminalError
from pipelines.exchange.client import ExchangeClient
from pipelines.exchange.wire import Request
from pipelines.gsy_files.tree import Area, parse_tree
from pipelines.plain import plain

READ_CONFIGURATION = "query {{ readConfiguration(uuid: {uuid}) {{ scenarioData {{ latest {{ serialized }} }} }} }}"
AGGREGATORS = "query { aggregatorsList { configUuid name devicesList { deviceUuid } } }"
CANARY_NETWORKS = (
    "query { listCanaryNetworks { configurations { uuid resultsStatus type "
    "scenarioData { forecastStreamAreaMapping } settingsData { spotMarketType } } } }"
)

SHOWN = 300
"""Characters of the exchange's own words that go into a message."""


@dataclass(frozen=True, kw_only=True)
class ListedAggregator:
    """An aggregator of the user who is logged in."""

    simulation: str
    name: str
    devices: tuple[str, ...]
    """Uuids of the assets that have selected it."""


@dataclass(frozen=True, kw_only=True)
class CanaryNetwork:
    """A live simulation as its user's list has it."""

    uuid: str
    results_status: str
    """`running` where it runs."""

    type: str
    spot_market_type: str
    """ONE_SIDED, TWO_SIDED or COEFFICIENTS."""

    live: frozenset[str]
    """Uuids of the assets whose live switch is on."""


async def read_scenario(client: ExchangeClient, simulation: str) -> Area:
    """The digital twin behind a simulation.

    Raises:
        RejectedError: the exchange doesn't know the simulation, or doesn't show it to this user.
        TerminalError: the answer isn't what it should be.
        ExchangeUnavailable: no answer after all tries.
    """
    step = f"scenario of simulation {simulation}"
    # JSON's way to write a text is GraphQL's too (its specification, 2.9.4), so no quote in it can end the string.
    data = await ask(client, READ_CONFIGURATION.format(uuid=json.dumps(simulation)), step=step)
    serialized = _at(data, "readConfiguration", "scenarioData", "latest", "serialized", step=step)
    try:
        return parse_tree(_unpacked(serialized, step=step), where="scenario")
    except ConfigurationError as error:
        raise TerminalError(f"{step}: the exchange's tree can't be read: {client.hide(str(error))[:SHOWN]}") from None


async def list_aggregators(client: ExchangeClient) -> list[ListedAggregator]:
    """The user's aggregators, over all simulations; errors as for `read_scenario`."""
    step = "list of aggregators"
    found = _at(await ask(client, AGGREGATORS, step=step), "aggregatorsList", step=step)
    return [
        ListedAggregator(
            simulation=_text(one, "configUuid", step=step),
            name=_text(one, "name", step=step),
            devices=tuple(
                _text(device, "deviceUuid", step=step) for device in _objects(one.get("devicesList") or [], step=step)
            ),
        )
        for one in _objects(found, step=step)
    ]


async def list_canary_networks(client: ExchangeClient) -> list[CanaryNetwork]:
    """The user's canary networks with their live switches; errors as for `read_scenario`."""
    step = "list of canary networks"
    networks = _at(await ask(client, CANARY_NETWORKS, step=step), "listCanaryNetworks", "configurations", step=step)
    return [
        CanaryNetwork(
            uuid=_text(one, "uuid", step=step),
            results_status=str(one.get("resultsStatus")),
            type=str(one.get("type")),
            spot_market_type=str(_within(one.get("settingsData"), "spotMarketType")),
            live=_live(one.get("scenarioData"), step=step),
        )
        for one in _objects(networks, step=step)
    ]


async def live_switches(client: ExchangeClient, simulation: str) -> frozenset[str]:
    """Uuids of the simulation's assets whose live switch is on.

    Taken from the user's canary networks; where the simulation isn't among them, from its digital twin.

    Raises:
        RejectedError: neither says anything of the switches.
        TerminalError: an answer isn't what it should be.
        ExchangeUnavailable: no answer after all tries.
    """
    for network in await list_canary_networks(client):
        if network.uuid == simulation:
            return network.live
    areas = [area for area in (await read_scenario(client, simulation)).walk() if area.live is not None]
    if not areas:
        raise RejectedError(
            f"live switches of simulation {simulation}: it isn't among this user's canary networks, and its scenario "
            "doesn't tell them"
        )
    return frozenset(area.uuid for area in areas if area.live and area.uuid)


async def ask(client: ExchangeClient, query: str, *, step: str) -> Mapping[str, object]:
    """The `data` of a query's answer.

    Raises:
        RejectedError: the answer holds errors, also beside data.
        TerminalError: it holds no data.
    """
    body = json.dumps({"query": query}).encode()
    answer = await client.post(Request(path="/graphql/", body=body), step=step, closes_at=None)
    if isinstance(answer, dict) and (errors := answer.get("errors")):
        raise RejectedError(f"{step}: the exchange refuses it: {client.hide(_words(errors))[:SHOWN]}")
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict):
        raise TerminalError(f"{step}: the exchange's answer holds no data")
    return data


def _words(errors: object) -> str:
    listed = errors if isinstance(errors, list) else [errors]
    told = [str(one["message"]) if isinstance(one, dict) and "message" in one else str(one) for one in listed]
    return plain("; ".join(dict.fromkeys(told)))


def _at(data: object, *path: str, step: str) -> object:
    for key in path:
        data = _within(data, key)
        if data is None:
            # An unknown or foreign uuid gives null somewhere on the way.
            raise RejectedError(f"{step}: the exchange shows nothing ({'.'.join(path)} is empty there)")
    return data


def _within(entry: object, key: str) -> object:
    return entry.get(key) if isinstance(entry, dict) else None


def _objects(found: object, *, step: str) -> list[dict[str, object]]:
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise TerminalError(f"{step}: expected a list of objects")
    return found


def _text(entry: object, key: str, *, step: str) -> str:
    value = _within(entry, key)
    if not isinstance(value, str) or not value:
        raise TerminalError(f"{step}: an entry has no {key}")
    return value


def _live(scenario: object, *, step: str) -> frozenset[str]:
    mapping = _within(scenario, "forecastStreamAreaMapping")
    if mapping is None or mapping == "":
        return frozenset()
    found = _unpacked(mapping, step=step)
    if not isinstance(found, dict):
        raise TerminalError(f"{step}: forecastStreamAreaMapping is no object keyed by asset")
    return frozenset(found)


def _unpacked(value: object, *, step: str) -> object:
    """What a JSON string inside the JSON holds; an object that isn't packed into one is taken as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise TerminalError(f"{step}: the exchange's JSON inside a string can't be read ({error})") from error
