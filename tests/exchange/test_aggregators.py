import json
from typing import Any

import httpx
import pytest

from pipelines.errors import RejectedError
from pipelines.exchange.aggregators import (
    Aggregator,
    create_aggregator,
    delete_aggregator,
    find_aggregator,
    list_aggregators,
    select_aggregator,
    unselect_aggregator,
)

Scripted = Any
SIM = "b4d5"
BASE = "/external-connection/aggregator-api/b4d5"
STREET = Aggregator(uuid="a66a", name="Street")
LIST = [{"uuid": "b77b", "name": "Twin"}, {"uuid": "a66a", "name": "Street"}, {"uuid": "c88c", "name": "Twin"}]


def body(request: httpx.Request) -> dict[str, str]:
    found: dict[str, str] = json.loads(request.content)
    assert found.pop("transaction_id")
    return found


async def test_the_list_is_read_by_name(scripted: Scripted) -> None:
    scripted.answers = [httpx.Response(200, json=LIST)]
    async with scripted.client() as client:
        found = await list_aggregators(client, SIM)
    assert [(one.uuid, one.name) for one in found] == [("a66a", "Street"), ("b77b", "Twin"), ("c88c", "Twin")]
    assert (scripted.requests[0].method, scripted.requests[0].url.path) == ("GET", f"{BASE}/list-aggregators/")


async def test_one_without_aggregators_has_an_empty_list(scripted: Scripted) -> None:
    scripted.answers = [httpx.Response(200, json=[])]
    async with scripted.client() as client:
        assert await list_aggregators(client, SIM) == []


@pytest.mark.parametrize("answer", [{"aggregators": LIST}, ["Street"], [{"name": "Street"}], [{"uuid": 7}]])
async def test_a_list_of_another_form_is_refused(scripted: Scripted, answer: object) -> None:
    scripted.answers = [httpx.Response(200, json=answer)]
    async with scripted.client() as client:
        with pytest.raises(RejectedError, match="list of the aggregators"):
            await list_aggregators(client, SIM)


@pytest.mark.parametrize("asked", ["Street", "a66a"])
async def test_an_aggregator_is_found_by_name_or_uuid(scripted: Scripted, asked: str) -> None:
    scripted.answers = [httpx.Response(200, json=LIST)]
    async with scripted.client() as client:
        assert await find_aggregator(client, SIM, asked) == STREET


async def test_a_name_that_two_have_is_an_error_that_names_their_uuids(scripted: Scripted) -> None:
    scripted.answers = [httpx.Response(200, json=LIST)]
    async with scripted.client() as client:
        with pytest.raises(RejectedError, match=r"2 aggregators are called 'Twin'.*b77b, c88c"):
            await find_aggregator(client, SIM, "Twin")
        assert (await find_aggregator(client, SIM, "c88c")).uuid == "c88c"


async def test_an_unknown_one_is_an_error_that_names_those_there_are(scripted: Scripted) -> None:
    scripted.answers = [httpx.Response(200, json=LIST)]
    async with scripted.client() as client:
        with pytest.raises(RejectedError, match=r"no aggregator 'Steet'.*'Street', 'Twin', 'Twin'.*create NAME"):
            await find_aggregator(client, SIM, "Steet")


async def test_create_and_delete(scripted: Scripted) -> None:
    scripted.answers = [
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"uuid": "a66a"}),
        httpx.Response(200, json={"uuid": "a66a"}),
    ]
    async with scripted.client() as client:
        made = await create_aggregator(client, SIM, "Street")
        await delete_aggregator(client, SIM, made)
    assert made == STREET
    _, create, delete = scripted.requests
    assert (create.url.path, body(create)) == (f"{BASE}/create-aggregator/", {"name": "Street"})
    assert (delete.url.path, body(delete)) == (f"{BASE}/delete-aggregator/", {"aggregator_uuid": "a66a"})


async def test_no_second_one_of_the_same_name_is_made(scripted: Scripted) -> None:
    scripted.answers = [httpx.Response(200, json=LIST)]
    async with scripted.client() as client:
        with pytest.raises(RejectedError, match=r"'Street' already \(a66a\)"):
            await create_aggregator(client, SIM, "Street")
    assert len(scripted.requests) == 1


async def test_select_and_unselect_name_aggregator_and_device(scripted: Scripted) -> None:
    scripted.answers = [httpx.Response(200, json={"aggregator_uuid": "a66a"})]
    async with scripted.client() as client:
        assert await select_aggregator(client, SIM, STREET, asset="e81a", name="Flat") is True
        await unselect_aggregator(client, SIM, STREET, asset="e81a", name="Flat")
    paths = [request.url.path for request in scripted.requests]
    assert paths == [f"{BASE}/select-aggregator/", f"{BASE}/unselect-aggregator/"]
    assert [body(one) for one in scripted.requests] == [{"aggregator_uuid": "a66a", "device_uuid": "e81a"}] * 2


@pytest.mark.parametrize("reply", [{"status": "ok"}, {"aggregator_uuid": None}, [1]])
async def test_a_reply_without_the_uuid_is_no_success(scripted: Scripted, reply: object) -> None:
    scripted.answers = [httpx.Response(200, json=reply)]
    async with scripted.client() as client:
        with pytest.raises(RejectedError, match=r"asset 'Flat'.*holds no aggregator_uuid"):
            await select_aggregator(client, SIM, STREET, asset="e81a", name="Flat")


def taken_by(uuid: str, status: int) -> httpx.Response:
    told = {"status": "error", "aggregator_uuid": "a66a", "msg": f"Device already have selected {uuid}"}
    return httpx.Response(status, json=told)


@pytest.mark.parametrize("status", [200, 400])
async def test_an_asset_that_another_has_is_told_with_what_to_do(scripted: Scripted, status: int) -> None:
    scripted.answers = [taken_by("b77b", status)]
    async with scripted.client() as client:
        with pytest.raises(
            RejectedError, match=r"with aggregator b77b already.*unselect --aggregator b77b --asset 'Flat'"
        ):
            await select_aggregator(client, SIM, STREET, asset="e81a", name="Flat")


async def test_selecting_twice_is_no_error(scripted: Scripted) -> None:
    scripted.answers = [taken_by("a66a", 200)]
    async with scripted.client() as client:
        assert await select_aggregator(client, SIM, STREET, asset="e81a", name="Flat") is False
