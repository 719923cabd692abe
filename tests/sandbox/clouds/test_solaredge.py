"""SolarEdge on the wire, as its public clients see it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from pipelines.clock import FixedClock
from pipelines.sandbox.clouds.app import create_app
from pipelines.sandbox.clouds.demo import assignments, grown_fleet
from pipelines.sandbox.clouds.world import World
from pipelines.sandbox.demo_community import demo_assets, power_kw

SITE = assignments()["PV 1"][1]
OTHER = assignments()["PV 2"][1]
WINDOW = {"from": "2016-10-29T08:00:00+02:00", "to": "2016-10-29T08:59:59+02:00"}
QUARTERS = {"resolution": "QUARTER_HOUR", "unit": "WH"}


@pytest.fixture
def api(http: httpx.AsyncClient, world: World) -> httpx.AsyncClient:
    """With the API key."""
    http.base_url = http.base_url.join("/solaredge/v2/")
    http.headers["X-API-Key"] = world.secret
    return http


async def energy(api: httpx.AsyncClient, site: str = SITE, **query: str) -> dict[str, Any]:
    answer = await api.get(f"sites/{site}/energy", params=QUARTERS | query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def profile_wh(quarter: int, count: int) -> list[float]:
    """PV 1's energy from so many quarter hours after 2016-10-28 20:00 UTC on."""
    column = next(asset.simbench_id for asset in demo_assets() if asset.name == "PV 1")
    return [power * 250 for power in power_kw()[column].to_list()[quarter : quarter + count]]


def clock(world: World) -> FixedClock:
    assert isinstance(world.clock, FixedClock)
    return world.clock


async def test_energy_in_local_time_at_the_start_of_each_quarter_hour(api: httpx.AsyncClient) -> None:
    told = await energy(api, **WINDOW)
    assert (told["unit"], told["resolution"]) == ("WH", "QUARTER_HOUR")
    assert [point["timestamp"] for point in told["values"]] == [
        f"2016-10-29T08:{minute}:00+02:00" for minute in ("00", "15", "30", "45")
    ]
    # 6:00 UTC is 40 quarter hours after the first.
    assert [point["value"] for point in told["values"]] == pytest.approx(profile_wh(40, 4))
    assert re.fullmatch(r"2016-10-29T08:59:59\.\d{9}\+02:00", told["period"]["to"]), "nanoseconds"


async def test_other_units(api: httpx.AsyncClient) -> None:
    told = await energy(api, **WINDOW, unit="KWH")
    assert [point["value"] for point in told["values"]] == pytest.approx(
        [wh / 1000 for wh in profile_wh(40, 4)], abs=1e-6
    )
    assert (await api.get(f"sites/{SITE}/energy", params=QUARTERS | WINDOW | {"unit": "J"})).status_code == 400


async def test_the_end_is_inclusive(api: httpx.AsyncClient) -> None:
    told = await energy(api, **WINDOW | {"to": "2016-10-29T09:00:00+02:00"})
    assert told["values"][-1]["timestamp"] == "2016-10-29T09:00:00+02:00"


async def test_forms_of_time(api: httpx.AsyncClient) -> None:
    local = await energy(api, **{"from": "2016-10-29T09:00:00", "to": "2016-10-29T09:14:59"})
    utc = await energy(api, **{"from": "2016-10-29T07:00:00Z", "to": "2016-10-29T07:14:59Z"})
    assert local["values"] == utc["values"]
    for wrong in ("2016-10-29T07:00:00.5Z", "2016-10-29T09:00:00 02:00", "yesterday", "0001-01-01T00:00:00Z"):
        answer = await api.get(f"sites/{SITE}/energy", params=QUARTERS | WINDOW | {"from": wrong})
        assert answer.status_code == 400, wrong


async def test_the_repeated_hour_is_told_apart(api: httpx.AsyncClient, world: World) -> None:
    clock(world).set(datetime(2016, 10, 30, 12, tzinfo=UTC))
    told = await energy(api, **{"from": "2016-10-30T00:00:00Z", "to": "2016-10-30T01:59:59Z"})
    stamps = [point["timestamp"] for point in told["values"]]
    assert stamps[0] == "2016-10-30T02:00:00+02:00"
    assert stamps[4] == "2016-10-30T02:00:00+01:00"
    assert len(set(stamps)) == 8


async def test_null_in_the_dark_and_for_the_newest(api: httpx.AsyncClient, world: World) -> None:
    night = await energy(api, **{"from": "2016-10-29T00:00:00Z", "to": "2016-10-29T01:59:59Z"})
    assert {point["value"] for point in night["values"]} == {None}
    newest = (await energy(api, **{"from": "2016-10-29T07:30:00Z"}))["values"]
    # 8:07:30: the bucket of 8:00 has begun, that of 7:45 ended less than ten minutes ago.
    assert [point["timestamp"][11:16] for point in newest] == ["09:30", "09:45", "10:00"]
    assert [point["value"] is None for point in newest] == [False, True, True]
    clock(world).set(world.now() + timedelta(minutes=3))
    later = (await energy(api, **{"from": "2016-10-29T07:30:00Z"}))["values"]
    assert [point["value"] is None for point in later] == [False, False, True]


async def test_twelve_hours_at_most(api: httpx.AsyncClient) -> None:
    longest = {"from": "2016-10-28T20:00:00Z", "to": "2016-10-29T08:00:00Z"}
    assert len((await energy(api, **longest))["values"]) == 49
    answer = await api.get(f"sites/{SITE}/energy", params=QUARTERS | longest | {"to": "2016-10-29T08:00:01Z"})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "Bad Request"
    assert "12 hours" in answer.json()["detail"]
    assert len((await energy(api, **longest, resolution="HOUR"))["values"]) == 13


async def test_power_is_not_the_energy(api: httpx.AsyncClient) -> None:
    told = (await api.get(f"sites/{SITE}/power", params=WINDOW | {"resolution": "QUARTER_HOUR"})).json()
    assert told["unit"] == "W"
    share = sum(point["value"] for point in told["values"]) / 4 / sum(profile_wh(40, 4))
    assert 0.98 < share < 0.99


async def test_overview_is_since_midnight(api: httpx.AsyncClient, world: World) -> None:
    clock(world).set(datetime(2016, 10, 29, 21, tzinfo=UTC))
    told = (await api.get(f"sites/{SITE}/overview")).json()
    # Local midnight is 22:00 UTC, 8 quarter hours after the first.
    assert told["production"]["total"] == pytest.approx(sum(profile_wh(8, 92)))
    assert told["production"]["unit"] == "WH"


async def test_sites_by_page(api: httpx.AsyncClient) -> None:
    told = (await api.get("sites", params={"page": 2, "sites-in-page": 1})).json()
    assert told["sites"]["count"] == 2
    assert [site["siteId"] for site in told["sites"]["site"]] == [int(OTHER)]
    assert (await api.get("sites", params={"sites-in-page": 1001})).status_code == 400


async def test_devices_are_inverters_unless_asked(api: httpx.AsyncClient) -> None:
    assert [each["type"] for each in (await api.get(f"sites/{SITE}/devices")).json()] == ["INVERTER"]
    assert (await api.get(f"sites/{SITE}/devices", params={"types": ["METER", "BATTERY"]})).json() == []


async def test_ten_a_minute(api: httpx.AsyncClient, world: World) -> None:
    left = [(await api.get("sites")).headers["x-ratelimit-remaining-minute"] for _ in range(10)]
    assert left == [str(number) for number in range(9, -1, -1)]
    refused = await api.get("sites")
    assert refused.status_code == 429
    assert refused.headers["x-ratelimit-remaining-minute"] == "0"
    wait_s = int(refused.headers["retry-after"])
    assert 60 <= wait_s <= 61
    clock(world).set(world.now() + timedelta(seconds=wait_s))
    assert (await api.get("sites")).status_code == 200


async def test_a_spent_month_names_no_time(api: httpx.AsyncClient, world: World) -> None:
    await api.put("sandbox/plan", json={"per_month": 1})
    assert (await api.get("sites")).status_code == 200
    refused = await api.get("sites")
    assert refused.status_code == 429
    assert int(refused.headers["x-ratelimit-remaining-minute"]) > 0
    assert "retry-after" not in refused.headers
    clock(world).set(datetime(2016, 11, 1, tzinfo=UTC))
    assert (await api.get("sites")).status_code == 200


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("sites", None, 401),
        ("sites", "wrong", 401),
        ("sites/999/energy", "right", 404),
        ("sites/nonsense/devices", "right", 404),
    ],
)
async def test_refusals_are_problem_documents(
    api: httpx.AsyncClient, world: World, path: str, key: str | None, status: int
) -> None:
    del api.headers["X-API-Key"]
    headers = {} if key is None else {"X-API-Key": world.secret if key == "right" else key}
    answer = await api.get(path, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


async def test_retired(api: httpx.AsyncClient) -> None:
    await api.put("sandbox/retired", params={"retired": True})
    assert (await api.get("sites")).status_code == 410


# OAuth 2


async def consent(api: httpx.AsyncClient, world: World) -> str:
    page = await api.get("authorize", params={"client_id": world.username, "site_id": SITE})
    code = re.search(r"<code>([^<]+)</code>", page.text)
    assert code is not None
    return code[1]


async def token(api: httpx.AsyncClient, world: World, **body: str) -> httpx.Response:
    client = {"client_id": world.username, "client_secret": world.secret}
    return await api.post("oauth2/token", json=client | body)


async def test_refresh_tokens_die_on_use(api: httpx.AsyncClient, world: World) -> None:
    del api.headers["X-API-Key"]
    code = await consent(api, world)
    first = (await token(api, world, grant_type="authorization_code", code=code)).json()
    assert first["expires_in"] == 7200
    assert (await token(api, world, grant_type="authorization_code", code=code)).status_code == 400, "serves once"
    second = await token(api, world, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert second.status_code == 200
    again = await token(api, world, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")

    api.headers["Authorization"] = f"Bearer {second.json()['access_token']}"
    assert (await api.get(f"sites/{SITE}/energy", params=QUARTERS | WINDOW)).status_code == 200
    assert (await api.get(f"sites/{OTHER}/energy", params=QUARTERS | WINDOW)).status_code == 403
    assert (await api.get("sites")).status_code == 403
    clock(world).set(world.now() + timedelta(hours=2))
    assert (await api.get(f"sites/{SITE}/energy", params=QUARTERS | WINDOW)).status_code == 401


async def test_a_revoked_consent_opens_nothing(api: httpx.AsyncClient, world: World) -> None:
    del api.headers["X-API-Key"]
    code = await consent(api, world)
    told = (await token(api, world, grant_type="authorization_code", code=code)).json()
    await api.post("oauth2/revoke-token", json={"token": told["refresh_token"]})
    again = await token(api, world, grant_type="refresh_token", refresh_token=told["refresh_token"])
    assert again.json()["error"] == "invalid_grant"
    headers = {"Authorization": f"Bearer {told['access_token']}"}
    assert (await api.get(f"sites/{SITE}/energy", headers=headers)).status_code == 401


async def test_wrong_clients(api: httpx.AsyncClient, world: World) -> None:
    assert (await api.get("authorize", params={"client_id": "other"})).status_code == 400
    assert (await token(api, world, client_secret="wrong", grant_type="refresh_token")).status_code == 401
    assert (await token(api, world, grant_type="password")).json()["error"] == "unsupported_grant_type"
    assert (await api.post("oauth2/token", content=b"grant_type=refresh_token")).status_code == 401, "takes JSON alone"


async def test_a_thousand_sites(world: World) -> None:
    world = World(fleet=grown_fleet(1000), clock=world.clock, username="me", secret="key")
    transport = httpx.ASGITransport(create_app(world))
    async with httpx.AsyncClient(transport=transport, base_url="http://clouds/solaredge/v2/") as api:
        api.headers["X-API-Key"] = "key"
        told = (await api.get("sites", params={"sites-in-page": 1000})).json()["sites"]["site"]
        assert len({site["siteId"] for site in told}) == 1000
        assert len((await energy(api, str(told[-1]["siteId"]), **WINDOW))["values"]) == 4
