"""The FusionSolar emulator: logins, limits made from the number of devices, errors inside HTTP 200."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from pipelines.sandbox.clouds.defects import Hole, Offline
from pipelines.sandbox.clouds.demo import grown_fleet
from pipelines.sandbox.clouds.fleet import Fleet
from pipelines.sandbox.clouds.world import World

BASE = "/fusionsolar/thirdData"
PV6, PV7, METER = 1000000033554406, 1000000033554407, 1000000033554508
SPENT = "ACCESS_FREQUENCY_IS_TOO_HIGH"

Ask = Callable[..., Awaitable[dict[str, Any]]]


def later(world: World, **span: float) -> None:
    world.clock.set(world.now() + timedelta(**span))  # type: ignore[attr-defined]


def ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


async def log_in(http: httpx.AsyncClient, world: World, secret: str | None = None) -> httpx.Response:
    body = {"userName": world.username, "systemCode": world.secret if secret is None else secret}
    return await http.post(f"{BASE}/login", json=body)


@pytest.fixture
def ask(http: httpx.AsyncClient, world: World) -> Ask:
    """Log in, ask, and return the answer's JSON; errors come with 200 as all answers do."""
    tokens: list[str] = []

    async def post(path: str, *, fresh: bool = False, **body: object) -> dict[str, Any]:
        if fresh or not tokens:
            tokens.append((await log_in(http, world)).headers["xsrf-token"])
        reply = await http.post(f"{BASE}/{path}", json=body, headers={"XSRF-TOKEN": tokens[-1]})
        assert reply.status_code == 200
        found: dict[str, Any] = reply.json()
        return found

    return post


def history(world: World, device: int = PV6, kind: int = 1, minutes: int = 60) -> dict[str, object]:
    start = world.now() - timedelta(minutes=minutes)
    return {"devIds": str(device), "devTypeId": kind, "startTime": ms(start), "endTime": ms(world.now())}


async def test_a_login_is_a_header_that_lasts_half_an_hour(http: httpx.AsyncClient, world: World, ask: Ask) -> None:
    reply = await log_in(http, world)
    assert reply.json()["success"] is True
    assert reply.headers["xsrf-token"] not in reply.text
    assert (await ask("stations", pageNo=1))["success"] is True
    later(world, minutes=29, seconds=59)
    assert (await ask("stations", pageNo=1))["success"] is True
    later(world, seconds=1)
    assert (await ask("stations", pageNo=1))["failCode"] == 305


async def test_without_a_token_nothing_is_told(http: httpx.AsyncClient) -> None:
    reply = await http.post(f"{BASE}/getDevList", json={"stationCodes": "NE=home-1"})
    assert (reply.status_code, reply.json()["failCode"], reply.json()["data"]) == (200, 305, None)


async def test_five_wrong_codes_lock_the_account_for_half_an_hour(http: httpx.AsyncClient, world: World) -> None:
    for _ in range(5):
        assert (await log_in(http, world, "wrong")).json()["message"] == "user.login.user_or_value_invalid"
    later(world, minutes=29)
    locked = await log_in(http, world)
    assert (locked.json()["success"], "xsrf-token" in locked.headers) == (False, False)
    assert "lock" in locked.json()["message"]
    later(world, minutes=2)
    assert (await log_in(http, world)).json()["success"] is True


async def test_a_sixth_login_in_ten_minutes_is_too_often(http: httpx.AsyncClient, world: World) -> None:
    assert [(await log_in(http, world)).json()["failCode"] for _ in range(6)] == [0] * 5 + [407]
    later(world, minutes=10)
    assert (await log_in(http, world)).json()["success"] is True


async def test_before_a_device_has_sent_anything_its_items_are_null(ask: Ask, world: World) -> None:
    unit = world.fleet.unit("fusionsolar", str(PV6))
    assert unit is not None
    world.fleet = Fleet({"fusionsolar": (replace(unit, first=world.now() + timedelta(hours=1)),)})
    answer = await ask("getDevRealKpi", devIds=unit.device, devTypeId=1)
    assert answer["data"][0]["dataItemMap"]["total_cap"] is None
    assert answer["data"][0]["dataItemMap"]["run_state"] == 0


async def test_plants_lead_to_devices(ask: Ask) -> None:
    plants = (await ask("stations", pageNo=1))["data"]
    codes = ",".join(plant["plantCode"] for plant in plants["list"])
    devices = (await ask("getDevList", stationCodes=codes))["data"]
    assert {device["id"]: device["devTypeId"] for device in devices} == {PV6: 1, PV7: 1, METER: 17}


async def test_present_readings_are_kwh_at_the_answers_clock(ask: Ask, world: World) -> None:
    answer = await ask("getDevRealKpi", devIds=f"{PV6},{PV7}", devTypeId=1)
    assert answer["params"]["currentTime"] == ms(world.now())
    unit = world.fleet.unit("fusionsolar", str(PV6))
    assert unit is not None
    expected = world.fleet.register_wh(unit, "production", world.now(), world.now())
    own = answer["data"][0]
    assert own["devId"] == PV6
    assert own["dataItemMap"]["total_cap"] * 1000 == pytest.approx(expected, abs=0.5)
    assert own["dataItemMap"]["run_state"] == 1
    assert "collectTime" not in own


async def test_history_has_a_row_every_five_minutes(ask: Ask, world: World) -> None:
    rows = (await ask("getDevHistoryKpi", **history(world, METER, 17)))["data"]
    stamps = [datetime.fromtimestamp(row["collectTime"] / 1000, UTC) for row in rows]
    assert stamps == [datetime(2016, 10, 29, 7, 10, tzinfo=UTC) + n * timedelta(minutes=5) for n in range(12)]
    assert all(row["dataItemMap"]["reverse_active_cap"] == 0 for row in rows)


async def test_the_days_counter_keeps_yesterdays_energy_after_midnight(ask: Ask, world: World) -> None:
    # 22:00 UTC is midnight in Berlin.
    caps = []
    for minutes in (-5, 10, 20):
        world.clock.set(datetime(2016, 10, 29, 22, tzinfo=UTC) + timedelta(minutes=minutes))  # type: ignore[attr-defined]
        answer = await ask("getDevRealKpi", fresh=True, devIds=str(PV6), devTypeId=1)
        caps.append(answer["data"][0]["dataItemMap"]["day_cap"])
        later(world, minutes=5)
    assert caps[0] == caps[1] > caps[2]


async def test_without_connection_the_snapshot_stays_and_history_ends(ask: Ask, world: World) -> None:
    start = world.now() - timedelta(minutes=30)
    gone = Offline(what="offline", device=str(PV6), start=start, end=world.now() + timedelta(hours=1))
    world.fleet.replace_defects([gone])
    first = (await ask("getDevRealKpi", devIds=str(PV6), devTypeId=1))["data"][0]["dataItemMap"]
    later(world, minutes=20)
    second = (await ask("getDevRealKpi", devIds=str(PV6), devTypeId=1))["data"][0]["dataItemMap"]
    assert first["run_state"] == second["run_state"] == 0
    assert first["total_cap"] == second["total_cap"]
    rows = (await ask("getDevHistoryKpi", **history(world, minutes=120)))["data"]
    assert max(row["collectTime"] for row in rows) <= ms(start)
    later(world, hours=1)
    rows = (await ask("getDevHistoryKpi", fresh=True, **history(world, minutes=60)))["data"]
    assert len(rows) == 12


async def test_what_was_not_recorded_is_missing_in_history(ask: Ask, world: World) -> None:
    start, end = world.now() - timedelta(minutes=31), world.now() - timedelta(minutes=9)
    world.fleet.replace_defects([Hole(what="hole", device=str(METER), start=start, end=end)])
    assert len((await ask("getDevHistoryKpi", **history(world, METER, 17)))["data"]) == 12 - 4


@pytest.mark.parametrize(("path", "allowed"), [("getDevRealKpi", 2), ("getDevList", 24), ("getDevHistoryKpi", 1)])
async def test_limits_answer_407(ask: Ask, world: World, path: str, allowed: int) -> None:
    body = {"getDevList": {"stationCodes": "NE=home-1"}, "getDevRealKpi": {"devIds": str(PV6), "devTypeId": 1}}
    codes = [await ask(path, **body.get(path, history(world))) for _ in range(allowed + 1)]
    assert [answer["failCode"] for answer in codes] == [0] * allowed + [407]
    assert codes[-1]["data"] == SPENT


async def test_a_days_histories_are_as_many_as_the_devices_allow(ask: Ask, world: World) -> None:
    codes = []
    for _ in range(26):
        codes.append((await ask("getDevHistoryKpi", fresh=True, **history(world)))["failCode"])
        later(world, minutes=3)
    assert codes == [0] * 25 + [407]


async def test_the_gateway_refuses_a_flood(http: httpx.AsyncClient, world: World) -> None:
    replies = [await http.post(f"{BASE}/stations", json={}) for _ in range(301)]
    assert replies[-2].status_code == 200
    assert replies[-1].status_code == 403
    assert replies[-1].json()["errorCode"] == "49401021002"
    later(world, minutes=1)
    assert (await log_in(http, world)).status_code == 200


async def test_a_wrong_type_is_an_error_and_a_wrong_id_is_silence(ask: Ask) -> None:
    assert (await ask("getDevRealKpi", devIds=str(PV6), devTypeId=17))["failCode"] == 20006
    answer = await ask("getDevRealKpi", devIds="4711", devTypeId=1)
    assert (answer["success"], answer["data"]) == (True, [])


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("stations", {"pageNo": "1"}),
        ("getDevList", {"stationCodes": ""}),
        ("getDevList", {"stationCodes": ",".join(["NE=1"] * 101)}),
        ("getDevRealKpi", {"devIds": ",".join(["1"] * 101)}),
        ("getDevHistoryKpi", {"devIds": ",".join(["1"] * 11)}),
        ("getDevHistoryKpi", {"startTime": 0}),
        ("getDevHistoryKpi", {"startTime": "2016-10-29"}),
        ("getDevHistoryKpi", {"endTime": 0}),
        ("getDevHistoryKpi", {"endTime": 10**18}),
    ],
)
async def test_parameters_out_of_bounds_are_refused(ask: Ask, world: World, path: str, change: dict[str, Any]) -> None:
    answer = await ask(path, **history(world) | change)
    assert answer["success"] is False
    assert 20001 <= answer["failCode"] <= 20028


async def test_three_days_are_the_longest_history(ask: Ask, world: World) -> None:
    assert (await ask("getDevHistoryKpi", **history(world, minutes=3 * 1440)))["success"] is True
    assert (await ask("getDevHistoryKpi", **history(world, minutes=3 * 1440 + 1)))["success"] is False


async def test_a_body_that_is_no_object_is_refused(http: httpx.AsyncClient, world: World) -> None:
    token = (await log_in(http, world)).headers["xsrf-token"]
    reply = await http.post(f"{BASE}/stations", content=b"[", headers={"XSRF-TOKEN": token})
    assert reply.json()["success"] is False


async def test_a_large_fleet_has_pages_of_plants_and_a_larger_limit(ask: Ask, world: World) -> None:
    world.fleet = grown_fleet(250)
    pages = [(await ask("stations", pageNo=page))["data"] for page in (1, 2, 3)]
    assert pages[0]["pageCount"] == len(pages)
    assert len({plant["plantCode"] for page in pages for plant in page["list"]}) == pages[0]["total"] == 250
    own = [unit.device for unit in world.fleet.of("fusionsolar") if unit.kind == "pv"][:100]
    codes = [(await ask("getDevRealKpi", devIds=",".join(own), devTypeId=1))["failCode"] for _ in range(4)]
    # About 167 inverters and 83 meters: two requests and one.
    assert codes == [0, 0, 0, 407]
