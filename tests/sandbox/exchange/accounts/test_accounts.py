import json
from typing import Any

import jwt
import pytest

PASSWORD = "correct horse battery"
SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
USERNAME = "feeder@example.org"
Exchange = Any

GUARDED = f"/historical-data/assets/{SIMULATION}/load/2026-03-02T12:00/2026-03-02T14:00"


async def test_right_password_gives_a_token_under_both_keys(exchange: Exchange) -> None:
    answer = await exchange.http.post("/api-token-auth/", json={"username": USERNAME, "password": PASSWORD})
    assert answer.status_code == 200
    assert answer.json()["access"] == answer.json()["token"]


@pytest.mark.parametrize(
    "body",
    [
        {"username": USERNAME, "password": "wrong"},
        {"username": "another", "password": PASSWORD},
        {"username": USERNAME},
        {"username": USERNAME, "password": None},
        {"username": USERNAME, "password": "\ud800"},
        {},
        [],
    ],
)
async def test_anything_else_is_401(exchange: Exchange, body: object) -> None:
    answer = await exchange.http.post("/api-token-auth/", content=json.dumps(body))
    assert answer.status_code == 401
    assert "access" not in answer.text


async def test_token_ends_by_the_clock_of_the_sandbox(exchange: Exchange) -> None:
    await exchange.at("13:00")
    assert (await exchange.http.get(GUARDED)).status_code == 200
    await exchange.at("13:01")
    expired = await exchange.http.get(GUARDED)
    assert (expired.status_code, expired.json()) == (401, {"detail": "Token is expired"})
    await exchange.login()
    assert (await exchange.http.get(GUARDED)).status_code == 200


async def test_two_logins_in_one_second_give_two_tokens_that_both_hold(exchange: Exchange) -> None:
    first = exchange.http.headers["authorization"]
    await exchange.login()
    assert exchange.http.headers["authorization"] != first
    for header in (first, exchange.http.headers["authorization"]):
        assert (await exchange.http.get(GUARDED, headers={"Authorization": header})).status_code == 200


async def test_foreign_token_and_other_schemes_are_401_and_change_nothing(exchange: Exchange) -> None:
    token = exchange.http.headers["authorization"].removeprefix("JWT ")
    claims = jwt.decode(token, options={"verify_signature": False})
    forged = jwt.encode(claims, "x" * 32, algorithm="HS256")
    unsigned = jwt.encode(claims, None, algorithm="none")
    for header in (f"Bearer {token}", token, "JWT ", "JWT x", f"JWT {forged}", f"JWT {unsigned}", f"JWT {token}x", ""):
        answer = await exchange.http.post(
            f"/external-connection/api/{SIMULATION}/load/set_energy_forecast/",
            json={"energy_Wh": 100},
            headers={"Authorization": header},
        )
        assert answer.status_code == 401, header
    await exchange.at("12:15")
    assert (await exchange.used("load"))["12:15"] == 0.0
