"""Victron VRM on the wire, as its public clients see it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from pipelines.clock import FixedClock
from pipelines.sandbox.clouds.defects import Negative, Offline, Spike
from pipelines.sandbox.clouds.demo import BATTERY_HOME, FLOW_HOME, assignments
from pipelines.sandbox.clouds.world import World
from pipelines.sandbox.demo_community import demo_assets, power_kw

FIRST = datetime(2016, 10, 28, 20, tzinfo=UTC)
SIX = datetime(2016, 10, 29, 6, tzinfo=UTC)
SIX_S = 1_477_720_800
DAY_S = 86_400
SITE, BATTERY_SITE = str(151_000 + FLOW_HOME), str(151_000 + BATTERY_HOME)
CODES = {"Pc", "Pb", "Pg", "Gc", "Gb", "Bc", "Bg"}


@pytest.fixture
def vrm(http: httpx.AsyncClient, world: World) -> httpx.AsyncClient:
    """With the token."""
    http.base_url = http.base_url.join("/victron_vrm/v2/")
    http.headers["X-Authorization"] = f"Token {world.secret}"
    return http


async def stats(vrm: httpx.AsyncClient, site: str = SITE, **query: Any) -> dict[str, Any]:
    asked = {"type": "kwh", "interval": "15mins", "start": SIX_S, "end": SIX_S + 3600} | query
    answer = await vrm.get(f"installations/{site}/stats", params=asked)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["success"] is True
    return body


def profile_wh(home: int, kind: str) -> list[float]:
    """The home's energy in the quarter hours from 6:00 UTC on: ten hours after the data begin."""
    column = next(a.simbench_id for a in demo_assets() if (a.home, a.type.value) == (home, kind))
    return [power * 250 for power in power_kw()[column].to_list()[40:]]


def total_wh(records: dict[str, Any], *codes: str) -> list[float]:
    """Sums of flows per stamp."""
    return [sum(point[1] for point in points) * 1000 for points in zip(*(records[c] for c in codes), strict=True)]


async def test_flows_sum_to_production_and_consumption(vrm: httpx.AsyncClient) -> None:
    assert {device for vendor, device, _ in assignments().values() if vendor == "victron_vrm"} == {SITE}
    records = (await stats(vrm, BATTERY_SITE))["records"]
    assert set(records) == CODES
    assert [point[0] for point in records["Pc"]] == [SIX_S * 1000 + n * 900_000 for n in range(4)], "start, in ms"
    assert total_wh(records, "Pc", "Pb", "Pg") == pytest.approx(profile_wh(BATTERY_HOME, "pv")[:4])
    assert total_wh(records, "Pc", "Gc", "Bc") == pytest.approx(profile_wh(BATTERY_HOME, "load")[:4])


async def test_every_flow_of_the_whole_data_is_there_and_none_below_zero(vrm: httpx.AsyncClient, world: World) -> None:
    world.clock = FixedClock(datetime(2016, 10, 30, 23, tzinfo=UTC))
    end = int(world.now().timestamp())
    records = (await stats(vrm, BATTERY_SITE, start=int(FIRST.timestamp()), end=end))["records"]
    assert {len(points) for points in records.values()} == {204}
    assert min(point[1] for points in records.values() for point in points) >= -1e-12
    assert sum(total_wh(records, "Pb", "Gb")) == pytest.approx(17685.0235, abs=0.01), "charged in two days"


async def test_flows_a_site_has_not_are_false(vrm: httpx.AsyncClient) -> None:
    body = await stats(vrm)
    assert {code for code, points in body["records"].items() if points is False} == {"Pb", "Gb", "Bc", "Bg"}
    assert {code for code, total in body["totals"].items() if total is False} == {"Pb", "Gb", "Bc", "Bg"}
    assert body["totals"]["Pc"] == pytest.approx(sum(point[1] for point in body["records"]["Pc"]))


async def test_nothing_at_all_is_a_list(vrm: httpx.AsyncClient) -> None:
    for query in ({"start": SIX_S, "end": SIX_S}, {"start": SIX_S + DAY_S, "end": SIX_S + DAY_S + 3600}):
        body = await stats(vrm, **query)
        assert body == {"success": True, "records": [], "totals": []}


async def test_custom_codes(vrm: httpx.AsyncClient) -> None:
    query = {"type": "custom", "attributeCodes[]": ["Pc", "bs"]}
    records = (await stats(vrm, **query))["records"]
    assert records["bs"] is False
    assert records["Pc"] == (await stats(vrm))["records"]["Pc"]
    assert set(records) == {"Pc", "bs"}


async def test_the_newest_quarter_hour_grows(vrm: httpx.AsyncClient, world: World) -> None:
    load_wh = profile_wh(FLOW_HOME, "load")[8]
    told = []
    for minute in (7.5, 12):
        world.clock = FixedClock(SIX + timedelta(hours=2, minutes=minute))
        records = (await stats(vrm, start=SIX_S + 7200, end=SIX_S + 10_800))["records"]
        told += total_wh(records, "Pc", "Gc")
    assert told == pytest.approx([load_wh / 2, load_wh * 0.8])


async def test_hours_are_sums_of_quarters(vrm: httpx.AsyncClient) -> None:
    quarters = (await stats(vrm, end=SIX_S + 7200))["records"]["Gc"]
    hours = (await stats(vrm, end=SIX_S + 7200, interval="hours"))["records"]["Gc"]
    assert hours == [
        [SIX_S * 1000 + n * 3_600_000, pytest.approx(sum(point[1] for point in quarters[4 * n : 4 * n + 4]))]
        for n in range(2)
    ]
    longer = {
        interval: (await stats(vrm, end=SIX_S + 7200, interval=interval))["records"]["Gc"]
        for interval in ("days", "weeks", "months", "years")
    }
    total = pytest.approx(sum(point[1] for point in quarters))
    starts = {"days": (2016, 10, 29), "weeks": (2016, 10, 24), "months": (2016, 10, 1), "years": (2016, 1, 1)}
    assert longer == {
        interval: [[int(datetime(*day, tzinfo=UTC).timestamp()) * 1000, total]] for interval, day in starts.items()
    }


@pytest.mark.parametrize(
    ("interval", "days"), [("15mins", 31), ("hours", 31), ("days", 180), ("weeks", 980), ("months", 731)]
)
async def test_longest_spans(vrm: httpx.AsyncClient, interval: str, days: int) -> None:
    longest = {"start": SIX_S - days * DAY_S, "end": SIX_S, "interval": interval}
    assert (await stats(vrm, **longest))["records"]["Gc"]
    answer = await vrm.get(f"installations/{SITE}/stats", params={"type": "kwh"} | longest | {"end": SIX_S + 1})
    assert answer.json()["success"] is False
    assert str(days) in answer.json()["errors"]


async def test_an_offline_gateway_sends_later(vrm: httpx.AsyncClient, world: World) -> None:
    until = SIX + timedelta(hours=2)
    spell = {"start": SIX + timedelta(minutes=30), "end": until}
    world.fleet.replace_defects([Offline(what="offline", device=SITE, **spell)])
    world.clock = FixedClock(until - timedelta(minutes=1))
    assert len((await stats(vrm))["records"]["Gc"]) == 2
    records = (await vrm.get("users/22/installations")).json()["records"]
    newest = max(record["last_timestamp"] for record in records if str(record["idSite"]) == SITE)
    assert newest == SIX_S + 1800
    world.clock = FixedClock(until)
    whole = (await stats(vrm))["records"]
    assert total_wh(whole, "Pc", "Gc") == pytest.approx(profile_wh(FLOW_HOME, "load")[:4])


async def test_defects_show_in_the_channel_they_are_told_of(vrm: httpx.AsyncClient, world: World) -> None:
    load_wh, pv_wh = profile_wh(FLOW_HOME, "load")[:4], profile_wh(FLOW_HOME, "pv")[:4]
    spike = Spike(what="spike", device=SITE, channel="consumption", at=SIX, factor=1000)
    negative = Negative(what="negative", device=SITE, channel="production", at=SIX + timedelta(minutes=15), wh=-50)
    world.fleet.replace_defects([spike, negative])
    records = (await stats(vrm))["records"]
    assert total_wh(records, "Pc", "Gc") == pytest.approx([load_wh[0] * 1000, *load_wh[1:]])
    assert total_wh(records, "Pc", "Pg") == pytest.approx([pv_wh[0], -50, *pv_wh[2:]])


async def test_the_user_and_the_installations(vrm: httpx.AsyncClient) -> None:
    me = (await vrm.get("users/me")).json()
    assert me["success"] is True
    number = me["user"]["id"]
    body = (await vrm.get(f"users/{number}/installations", params={"extended": 1})).json()
    stale, home, battery_home = body["records"]
    assert (home["idSite"], battery_home["idSite"]) == (int(SITE), int(BATTERY_SITE))
    assert home["last_timestamp"] == SIX_S + 2 * 3600 + 450
    assert stale["idSite"] == home["idSite"]
    assert stale["identifier"] != home["identifier"]
    assert stale["last_timestamp"] < home["last_timestamp"] - 4 * 365 * DAY_S
    assert "extended" in home
    other = await vrm.get(f"users/{number + 1}/installations")
    assert (other.status_code, other.json()["success"]) == (403, False)


@pytest.mark.parametrize("header", [None, "Token wrong", "Bearer correct horse battery", "correct horse battery"])
async def test_without_its_token_nothing_is_told(vrm: httpx.AsyncClient, header: str | None) -> None:
    del vrm.headers["X-Authorization"]
    headers = {} if header is None else {"X-Authorization": header}
    for path in ("users/me", "users/22/installations", f"installations/{SITE}/stats"):
        answer = await vrm.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.json() == {"success": False, "errors": "Login required", "error_code": "invalid_credentials"}


@pytest.mark.parametrize(
    ("site", "query", "status"),
    [
        ("99", {}, 403),
        (SITE, {"interval": "minutes"}, 400),
        (SITE, {"type": "live_feed"}, 400),
        (SITE, {"type": "custom"}, 400),
        (SITE, {"start": "now"}, 400),
        (SITE, {"start": SIX_S * 1000}, 400),
        (SITE, {"end": SIX_S - 1}, 400),
    ],
)
async def test_what_is_refused(vrm: httpx.AsyncClient, site: str, query: dict[str, Any], status: int) -> None:
    asked = {"type": "kwh", "interval": "15mins", "start": SIX_S, "end": SIX_S + 3600} | query
    answer = await vrm.get(f"installations/{site}/stats", params=asked)
    assert answer.status_code == status
    assert answer.json()["success"] is False
    assert {"errors", "error_code"} <= answer.json().keys()


async def test_200_requests_are_remembered_and_one_is_forgotten_each_third_of_a_second(
    vrm: httpx.AsyncClient, world: World
) -> None:
    assert {(await vrm.get("users/me")).status_code for _ in range(200)} == {200}
    refused = await vrm.get("users/me")
    assert refused.status_code == 429
    assert refused.json()["success"] is False
    assert refused.headers["Retry-After"] == "1"
    world.clock = FixedClock(world.now() + timedelta(seconds=1))
    assert [(await vrm.get("users/me")).status_code for _ in range(4)] == [200, 200, 200, 429]
