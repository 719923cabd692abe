"""The paths under /manage/, as people with each role use them over HTTP."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from pipelines.sandbox.exchange.ctn import Ctn

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
ADMIN = "feeder@example.org"
FORBIDDEN = {"detail": "You do not have permission to perform this action."}
Exchange = Any
Join = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def join(exchange: Exchange, app: FastAPI) -> AsyncIterator[Join]:
    """Invites somebody, accepts, logs in: gives a client of theirs."""
    clients: list[httpx.AsyncClient] = []

    async def become(username: str, role: str, *subjects: str) -> httpx.AsyncClient:
        form = {"username": username, "role": role, "subjects": subjects}
        invited = await exchange.http.post("/manage/invitations", json=form)
        assert invited.status_code == 201, invited.text
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sandbox")
        clients.append(client)
        accepted = {"code": invited.json()["code"], "password": f"password of {username}"}
        assert (await client.post("/manage/invitations/accept", json=accepted)).status_code == 201
        await login(client, username)
        return client

    yield become
    for client in clients:
        await client.aclose()


async def login(client: httpx.AsyncClient, username: str, password: str | None = None) -> int:
    body = {"username": username, "password": password or f"password of {username}"}
    answer = await client.post("/api-token-auth/", json=body)
    if answer.status_code == 200:
        client.headers["Authorization"] = f"JWT {answer.json()['access']}"
    return answer.status_code


async def post_forecast(client: httpx.AsyncClient, asset: str, energy_kwh: float = 0.5) -> int:
    path = f"/external-connection/api/{SIMULATION}/{asset}/set-energy-forecast/"
    return (await client.post(path, json={"energy_forecast": {"2026-03-02T12:15": energy_kwh}})).status_code


async def audit(exchange: Exchange) -> list[tuple[str, str, str, str]]:
    lines = (await exchange.http.get("/manage/audit")).json()
    return [(line["username"], line["action"], line["subject"], line["outcome"]) for line in lines]


async def test_invited_user_is_who_the_invitation_says(join: Join) -> None:
    anna = await join("anna", "aggregator", "load", "pv")
    me = await anna.get("/manage/me")
    assert me.json() == {"username": "anna", "role": "aggregator", "subjects": ["load", "pv"]}


async def test_connection_is_asked_for_approved_and_ended(exchange: Exchange, join: Join) -> None:
    anna = await join("anna", "aggregator")
    assert await post_forecast(anna, "load") == 403
    asked = await anna.post("/manage/connections", json={"subject": "load"})
    assert (asked.status_code, asked.json()["state"], asked.json()["decided_by"]) == (201, "requested", None)
    assert await post_forecast(anna, "load") == 403
    listed = (await exchange.http.get("/manage/connections")).json()
    assert [(one["username"], one["subject"], one["state"]) for one in listed] == [("anna", "load", "requested")]

    approved = await exchange.http.put("/manage/connections/anna/load", json={"approve": True})
    assert (approved.json()["state"], approved.json()["decided_by"]) == ("approved", ADMIN)
    assert [await post_forecast(anna, asset) for asset in ("load", "pv")] == [200, 403]
    again = await anna.post("/manage/connections", json={"subject": "load"})
    assert (again.status_code, again.json()) == (409, {"detail": "This connection is approved already."})

    await exchange.http.put("/manage/connections/anna/load", json={"approve": False})
    assert await post_forecast(anna, "load") == 403
    assert (await anna.post("/manage/connections", json={"subject": "load"})).json()["state"] == "requested"


async def test_one_sees_ones_own_connections_only(join: Join) -> None:
    anna, bert = await join("anna", "aggregator"), await join("bert", "user", "pv")
    await anna.post("/manage/connections", json={"subject": "load"})
    assert [one["subject"] for one in (await anna.get("/manage/connections")).json()] == ["load"]
    assert [one["subject"] for one in (await bert.get("/manage/connections")).json()] == ["pv"]


@pytest.mark.parametrize(
    ("role", "subject", "status"),
    [
        ("user", "nothing", 404),
        ("user", "area-house", 404),
        ("grid_operator", "load", 404),
        ("grid_operator", "area-house", 201),
        ("owner", "load", 409),
    ],
)
async def test_what_can_be_asked_for(join: Join, role: str, subject: str, status: int) -> None:
    anna = await join("anna", role)
    assert (await anna.post("/manage/connections", json={"subject": subject})).status_code == status


MANAGERS_ONLY = [
    ("GET", "/manage/users", None),
    ("GET", "/manage/audit", None),
    ("POST", "/manage/invitations", {"username": "carl", "role": "user"}),
    ("PUT", "/manage/connections/anna/load", {"approve": True}),
    ("PUT", "/manage/assets/load/live", {"live": False}),
    ("PUT", "/manage/assets/load/profile", {"text": "00:00,1", "unit": "ENERGY_KWH"}),
]
ADMIN_ONLY = [
    ("PUT", "/manage/users/anna/role", {"role": "admin"}),
    ("DELETE", f"/manage/users/{ADMIN}", None),
    ("POST", "/manage/invitations", {"username": "carl", "role": "admin"}),
    ("POST", "/manage/invitations", {"username": "carl", "role": "owner"}),
]


@pytest.mark.parametrize("role", ["user", "aggregator", "grid_operator"])
@pytest.mark.parametrize("wish", MANAGERS_ONLY + ADMIN_ONLY)
async def test_who_does_not_manage_is_forbidden_and_written_down(
    exchange: Exchange, join: Join, role: str, wish: tuple[str, str, object]
) -> None:
    method, path, body = wish
    anna = await join("anna", role)
    before = len(await audit(exchange))
    answer = await anna.request(method, path, json=body)
    assert (answer.status_code, answer.json()) == (403, FORBIDDEN)
    lines = await audit(exchange)
    assert len(lines) == before + 1
    assert (lines[0][0], lines[0][3]) == ("anna", "forbidden")


@pytest.mark.parametrize(("method", "path", "body"), ADMIN_ONLY)
async def test_owner_makes_no_managers(join: Join, method: str, path: str, body: object) -> None:
    anna = await join("anna", "owner")
    assert (await anna.request(method, path, json=body)).status_code == 403


@pytest.mark.parametrize(("method", "path", "body"), MANAGERS_ONLY + ADMIN_ONLY + [("GET", "/manage/me", None)])
async def test_nothing_goes_without_a_token(app: FastAPI, method: str, path: str, body: object) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sandbox") as client:
        assert (await client.request(method, path, json=body)).status_code == 401


async def test_owner_runs_the_community(exchange: Exchange, join: Join) -> None:
    owner = await join("olga", "owner")
    assert await post_forecast(owner, "load") == 200
    invited = await owner.post("/manage/invitations", json={"username": "anna", "role": "user", "subjects": ["pv"]})
    assert invited.status_code == 201
    assert {user["username"] for user in (await owner.get("/manage/users")).json()} == {ADMIN, "olga"}
    assert ("olga", "invite-user", "anna", "done") in await audit(exchange)


async def test_user_is_removed_with_their_token(exchange: Exchange, join: Join) -> None:
    anna = await join("anna", "aggregator", "load")
    assert (await exchange.http.delete("/manage/users/anna")).status_code == 204
    assert await post_forecast(anna, "load") == 401
    assert await login(anna, "anna") == 401
    assert (await exchange.http.delete("/manage/users/anna")).status_code == 404
    last = await exchange.http.delete(f"/manage/users/{ADMIN}")
    assert (last.status_code, last.json()["detail"]) == (
        409,
        "This is the last administrator: make another one first.",
    )


async def test_own_password_is_changed(exchange: Exchange, join: Join) -> None:
    anna = await join("anna", "user")
    change = {"old_password": "password of anna", "new_password": "a better password"}
    wrong = await anna.put("/manage/me/password", json=change | {"old_password": "wrong"})
    assert (wrong.status_code, wrong.json()) == (403, {"detail": "The old password is wrong."})
    assert (await anna.put("/manage/me/password", json=change)).status_code == 204
    assert (await anna.get("/manage/me")).status_code == 401
    assert [await login(anna, "anna"), await login(anna, "anna", "a better password")] == [401, 200]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/manage/invitations/accept", {"code": "x", "password": "only eleven"}),
        ("/manage/invitations/accept", {"code": "x", "password": "p" * 201}),
        ("/manage/invitations/accept", {"code": "x", "password": "\ud800 lone surrogate"}),
        ("/manage/invitations", {"username": "two words", "role": "user"}),
        ("/manage/invitations", {"username": "", "role": "user"}),
        ("/manage/invitations", {"username": "anna", "role": "king"}),
        ("/manage/invitations", {"username": "anna", "role": "user", "more": 1}),
        ("/manage/connections", {"subject": "x" * 101}),
    ],
)
async def test_odd_bodies_are_refused_with_a_reason_that_repeats_nothing(
    exchange: Exchange, path: str, body: dict[str, object]
) -> None:
    answer = await exchange.http.post(path, content=json.dumps(body))
    assert answer.status_code == 422
    faults = answer.json()["detail"]
    assert faults
    assert all(set(fault) == {"loc", "msg", "type"} for fault in faults)
    if isinstance(secret := body.get("password"), str):
        assert secret not in answer.text


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"NaN", b'"' + b"[" * 100_000, b"[" * 100_000])
async def test_what_is_no_form_is_4xx(exchange: Exchange, content: bytes) -> None:
    for path in ("/manage/invitations", "/manage/connections", "/manage/invitations/accept"):
        answer = await exchange.http.post(path, content=content)
        assert answer.status_code in {400, 422}, path


@pytest.mark.parametrize(
    ("role", "subjects", "status"),
    [
        ("user", ["load"], 201),
        ("user", ["area-house"], 400),
        ("grid_operator", ["area-house"], 201),
        ("grid_operator", ["load"], 400),
        ("owner", ["load"], 400),
        ("admin", [], 201),
    ],
)
async def test_subjects_fit_the_role(exchange: Exchange, role: str, subjects: list[str], status: int) -> None:
    form = {"username": "anna", "role": role, "subjects": subjects}
    assert (await exchange.http.post("/manage/invitations", json=form)).status_code == status


async def test_switched_off_asset_is_driven_by_its_profile(exchange: Exchange) -> None:
    profile = {"text": "12:00,0.1\n12:15,0.2\n12:30,0.3\n12:45,0.4", "unit": "ENERGY_KWH"}
    assert (await exchange.http.put("/manage/assets/load/profile", json=profile)).status_code == 204
    assert (await exchange.http.put("/manage/assets/load/live", json={"live": False})).json()["live"] is False
    await exchange.forecast("load", {"12:15": 7.0, "12:45": 7.0})
    await exchange.at("12:30")
    await exchange.http.put("/manage/assets/load/live", json={"live": True})
    await exchange.forecast("load", {"12:45": 8.0})
    await exchange.at("12:45")
    assert await exchange.used("load") == {"12:00": 0.0, "12:15": 0.2, "12:30": 0.3, "12:45": 8.0}
    kept = (await exchange.http.get("/manage/assets/load/profile")).json()
    assert (kept["text"], kept["unit"], kept["username"], kept["from_slot"]) == (
        profile["text"],
        "ENERGY_KWH",
        ADMIN,
        "2026-03-02T12:15:00Z",
    )


async def test_unreadable_profile_is_refused_in_the_exchanges_words(exchange: Exchange) -> None:
    answer = await exchange.http.put(
        "/manage/assets/load/profile", json={"text": "00:00,1\n\n00:15,2", "unit": "ENERGY_KWH"}
    )
    assert (answer.status_code, answer.json()["detail"]) == (
        400,
        "There must not be an empty line in the profile file",
    )
    assert (await exchange.http.get("/manage/assets/load/profile")).status_code == 404


@pytest.mark.parametrize("text", ["{" * 10_000, "{'a': " * 5_000, "{'00:00': 1e999}", "\x00", "00:00,nan", "{}", "é;1"])
async def test_no_profile_makes_the_exchange_fail(exchange: Exchange, text: str) -> None:
    answer = await exchange.http.put("/manage/assets/load/profile", json={"text": text, "unit": "POWER_W"})
    assert answer.status_code == 400


async def test_results_tell_who_posted_what(exchange: Exchange, join: Join) -> None:
    anna = await join("anna", "aggregator", "load")
    bert = await join("bert", "user", "pv")
    assert await post_forecast(anna, "load", 0.25) == 200
    await exchange.measure("load", {"12:00": 0.75})
    await exchange.send_wh("load", 1500)
    await exchange.at("12:15")
    told = (await anna.get("/manage/assets/load/results")).json()
    assert [(one["quantity"], one["slot_start"], one["energy_kwh"], one["username"]) for one in told] == [
        ("measurement", "2026-03-02T12:00:00Z", 0.75, ADMIN),
        ("forecast", "2026-03-02T12:15:00Z", 0.25, "anna"),
        ("repeated", "2026-03-02T12:15:00Z", 1.5, ADMIN),
    ]
    assert {one["posted_at"] for one in told} == {"2026-03-02T12:01:00Z"}
    assert (await bert.get("/manage/assets/load/results")).status_code == 403
    later = await anna.get("/manage/assets/load/results", params={"start": "2026-03-02T13:30:00+01:00"})
    assert later.json() == []


@pytest.mark.parametrize(
    "params",
    [
        {"start": "2026-03-02T12:00:00Z", "end": "2026-03-02T11:00:00Z"},
        {"start": "2026-01-01T00:00:00Z", "end": "2026-03-01T00:00:00Z"},
        {"start": "0001-01-01T00:00:00+14:00"},
        {"end": "9999-12-31T23:59:59-12:00"},
        {"start": "2026-03-02T12:00:00"},
        {"start": "yesterday"},
    ],
)
async def test_odd_spans_are_refused(exchange: Exchange, params: dict[str, str]) -> None:
    assert (await exchange.http.get("/manage/assets/load/results", params=params)).status_code in {400, 422}


async def test_one_sees_the_assets_that_are_ones_own(exchange: Exchange, join: Join) -> None:
    bert, grid = await join("bert", "user", "pv"), await join("greta", "grid_operator", "area-house")
    assert [one["uuid"] for one in (await bert.get("/manage/assets")).json()] == ["pv"]
    assert (await grid.get("/manage/assets")).json() == []
    everything = (await exchange.http.get("/manage/assets")).json()
    assert {(one["uuid"], one["type"], one["market"], one["live"]) for one in everything} == {
        ("load", "Load", "area-house", True),
        ("pv", "PV", "area-house", True),
        ("meter", "SmartMeter", "area-house", True),
    }


async def test_refused_logins_are_written_down_without_what_was_typed(exchange: Exchange, ctn: Ctn) -> None:
    for username in (ADMIN, "hunter2 in the wrong field"):
        body = {"username": username, "password": "wrong guess"}
        assert (await exchange.http.post("/api-token-auth/", json=body)).status_code == 401
    assert (await audit(exchange))[:2] == [
        ("(unknown)", "login", "", "refused"),
        (ADMIN, "login", "", "refused"),
    ]
    told = json.dumps([await audit(exchange), ctn.journal.entries()])
    assert "hunter2" not in told
    assert "wrong guess" not in told


async def test_journal_hides_codes_and_passwords(exchange: Exchange, join: Join, ctn: Ctn) -> None:
    anna = await join("anna", "user")
    change = {"old_password": "password of anna", "new_password": "a better password"}
    await anna.put("/manage/me/password", json=change)
    told = json.dumps(ctn.journal.entries())
    assert "/manage/me/password" in told
    assert "password of anna" not in told
    assert "a better password" not in told


async def test_every_path_is_described(app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    operations = {(method, path) for path, one in paths.items() for method in one if path.startswith("/manage/")}
    assert len(operations) == 16
    assert all(paths[path][method].get("description") for method, path in operations)
