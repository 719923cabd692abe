from typing import Any

import httpx
import pytest

from pipelines.errors import ConfigurationError, RejectedError, TerminalError
from pipelines.exchange.registry import asset_places, find_asset, read_registry
from pipelines.gsy_files.tree import Area

Scripted = Any


def leaf(name: str, kind: str, uuid: str | None, **more: object) -> dict[str, Any]:
    return {"name": name, "type": kind, "uuid": uuid, "registered": False, "aggregator_name": None, **more}


TREE = {
    "name": "Grid",
    "type": "Area",
    "uuid": "grid",
    "children": [
        {
            "name": "Haus Süd",
            "type": "Area",
            "uuid": "h1",
            "children": [leaf("Load", "Load", "u1", aggregator_name="Sunny"), leaf("Dach", "PV", "u2")],
        },
        {
            "name": 'House "2"',
            "type": "Area",
            "uuid": "h2",
            "children": [leaf("Load", "Load", "u3"), leaf("Dach", "Load", "u4"), leaf("Battery", "Storage", "u5")],
        },
        {"name": "Empty", "type": "Area", "uuid": "h3", "children": []},
    ],
}


async def read(scripted: Scripted, answer: httpx.Response) -> Area:
    scripted.answers = [answer]
    async with scripted.client() as client:
        return await read_registry(client, "sim/1")


async def test_the_registry_is_read_with_the_token_and_without_a_trailing_slash(scripted: Scripted) -> None:
    root = await read(scripted, httpx.Response(200, json=TREE))
    (request,) = scripted.requests
    assert (request.method, request.url.raw_path) == ("GET", b"/external-connection/configurations/sim%2F1/registry")
    assert request.headers["Authorization"].startswith("JWT ")
    assert [place.area.uuid for place in asset_places(root)] == ["u1", "u2", "u3", "u4", "u5"]
    assert asset_places(root)[0].area.aggregator == "Sunny"
    assert asset_places(root)[0].path == ("Grid", "Haus Süd")


async def test_an_asset_is_found_by_its_name(scripted: Scripted) -> None:
    root = await read(scripted, httpx.Response(200, json=TREE))
    assert find_asset(root, " Battery ").area.uuid == "u5"
    assert find_asset(root, "Dach", kind="PV").area.uuid == "u2"


async def test_a_name_that_fits_several_lists_each_uuid_and_where_it_lies(scripted: Scripted) -> None:
    root = await read(scripted, httpx.Response(200, json=TREE))
    with pytest.raises(ConfigurationError) as caught:
        find_asset(root, "Load", kind="Load")
    assert 'u1 (Load in Grid / Haus Süd); u3 (Load in Grid / House "2")' in str(caught.value)


@pytest.mark.parametrize(
    ("name", "remedy"), [("batery", "Did you mean 'Battery'?"), ("Wallbox", "slotfeed assets list")]
)
async def test_an_unknown_name_is_told_with_the_nearest(scripted: Scripted, name: str, remedy: str) -> None:
    root = await read(scripted, httpx.Response(200, json=TREE))
    with pytest.raises(ConfigurationError, match="no asset of this name") as caught:
        find_asset(root, name)
    assert remedy in str(caught.value)


async def test_a_market_is_no_asset(scripted: Scripted) -> None:
    root = await read(scripted, httpx.Response(200, json=TREE))
    for market in ("Grid", "Haus Süd", "Empty"):
        with pytest.raises(ConfigurationError):
            find_asset(root, market)


async def test_an_unknown_simulation_is_named(scripted: Scripted) -> None:
    with pytest.raises(RejectedError, match="registry of simulation sim/1: the exchange answered 404"):
        await read(scripted, httpx.Response(404, json={"detail": "Not found."}))


@pytest.mark.parametrize("body", [[1], "text", {"name": "Grid", "children": [{"type": "Load"}]}])
async def test_an_answer_that_is_no_registry_is_told(scripted: Scripted, body: object) -> None:
    with pytest.raises(TerminalError, match="can't be read"):
        await read(scripted, httpx.Response(200, json=body))


async def test_ten_thousand_assets_in_a_deep_tree_are_read(scripted: Scripted) -> None:
    tree: dict[str, Any] = {"name": "Bottom", "type": "Area", "uuid": "b", "children": []}
    tree["children"] = [leaf(f"Flat {i}", "Load", f"u{i}") for i in range(10_000)]
    for i in range(100):
        tree = {"name": f"Level {i}", "type": "Area", "uuid": f"level-{i}", "children": [tree]}
    root = await read(scripted, httpx.Response(200, json=tree))
    place = find_asset(root, "Flat 9999")
    assert place.area.uuid == "u9999"
    assert len(place.path) == 101
