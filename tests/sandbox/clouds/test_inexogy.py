"""inexogy on the wire, as its public clients see it."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from pipelines.clock import FixedClock
from pipelines.sandbox.clouds.defects import Offline, Reset
from pipelines.sandbox.clouds.demo import assignments
from pipelines.sandbox.clouds.world import World
from pipelines.sandbox.demo_community import demo_assets, power_kw

SIX = datetime(2016, 10, 29, 6, tzinfo=UTC)
SIX_MS = 1_477_720_800_000
QUARTER_MS = 900_000
METER = assignments()["Load 1"][1]


@pytest.fixture
def meter(http: httpx.AsyncClient, world: World) -> httpx.AsyncClient:
    """Logged in and reading plain text."""
    http.base_url = http.base_url.join("/inexogy/public/v1/")
    http.auth = (world.username, world.secret)
    http.headers["Accept"] = "application/json, text/plain"
    return http


async def readings(meter: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await meter.get("readings", params={"meterId": METER, "resolution": "fifteen_minutes"} | query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def profile_wh() -> list[float]:
    """Load 1's energy in the quarter hours from 6:00 UTC on: ten hours after the data begin."""
    column = next(asset.simbench_id for asset in demo_assets() if asset.name == "Load 1")
    return [power * 250 for power in power_kw()[column].to_list()[40:]]


async def test_registers_at_quarter_hours(meter: httpx.AsyncClient) -> None:
    rows = await readings(meter, **{"from": SIX_MS, "to": SIX_MS + 4 * QUARTER_MS, "fields": "energy,energyOut"})
    assert [row["time"] for row in rows] == [SIX_MS + n * QUARTER_MS for n in range(5)], "both ends"
    assert all(row["values"].keys() == {"energy", "energyOut"} for row in rows)
    assert {row["values"]["energyOut"] for row in rows} == {0}
    states = [row["values"]["energy"] for row in rows]
    assert all(isinstance(state, int) for state in states)
    told_wh = [(after - before) / 1e7 for before, after in pairwise(states)]
    assert told_wh == pytest.approx(profile_wh()[:4], abs=1e-6)


async def test_only_points_until_now_and_power_is_zero(meter: httpx.AsyncClient) -> None:
    rows = await readings(meter, **{"from": SIX_MS + 1})
    assert [row["time"] for row in rows] == [SIX_MS + n * QUARTER_MS for n in range(1, 9)], "now is 8:07:30"
    assert {row["values"]["power"] for row in rows} == {0}
    assert await readings(meter, **{"from": SIX_MS + 9 * QUARTER_MS, "to": SIX_MS + 20 * QUARTER_MS}) == []


@pytest.mark.parametrize(
    ("resolution", "stamps"),
    [
        ("three_minutes", ["06:00", "06:03", "06:06"]),
        ("one_hour", ["06:00", "07:00", "08:00"]),
    ],
)
async def test_other_resolutions(meter: httpx.AsyncClient, resolution: str, stamps: list[str]) -> None:
    rows = await readings(meter, resolution=resolution, **{"from": SIX_MS - 1})
    told = [datetime.fromtimestamp(row["time"] / 1000, UTC).strftime("%H:%M") for row in rows]
    assert told[:3] == stamps


async def test_calendar_resolutions_tell_what_lies_in_the_data(meter: httpx.AsyncClient, world: World) -> None:
    assert isinstance(world.clock, FixedClock)
    world.clock.set(datetime(2017, 3, 1, tzinfo=UTC))
    days = await readings(meter, resolution="one_day", **{"from": SIX_MS - 30 * 86_400_000})
    assert [row["time"] for row in days] == [SIX_MS - 21_600_000, SIX_MS + 64_800_000]
    for resolution in ("one_week", "one_month", "one_year"):
        assert await readings(meter, resolution=resolution, **{"from": SIX_MS - 30 * 86_400_000}) == []


async def test_raw_points_stand_between_the_quarters_and_carry_power(meter: httpx.AsyncClient) -> None:
    rows = await readings(meter, resolution="raw", **{"from": SIX_MS + 60_000, "to": SIX_MS + 70_000})
    assert len(rows) == 5
    power_mw = 4 * profile_wh()[0] * 1000
    assert [row["values"]["power"] for row in rows] == pytest.approx([power_mw] * 5, abs=1)
    last = (await meter.get("last_reading", params={"meterId": METER})).json()
    now_ms = SIX_MS + 7_650_000
    assert now_ms - 2000 < last["time"] <= now_ms
    assert last["values"].keys() == {"energy", "energyOut", "power"}


async def test_meters_and_fields(meter: httpx.AsyncClient) -> None:
    found = (await meter.get("meters")).json()
    assert [one["meterId"] for one in found] == [assignments()[f"Load {n}"][1] for n in (1, 2, 3, 4)]
    assert found[0]["type"] == "EASYMETER"
    assert found[0]["measurementType"] == "ELECTRICITY"
    assert found[0]["firstMeasurementTime"] == SIX_MS - 36_000_000
    assert found[0]["lastMeasurementTime"] == SIX_MS + 7_650_000
    assert (await meter.get("field_names", params={"meterId": METER})).json() == ["energy", "energyOut", "power"]


@pytest.mark.parametrize(
    ("resolution", "days"),
    [
        ("raw", 1),
        ("three_minutes", 10),
        ("fifteen_minutes", 31),
        ("one_hour", 93),
        ("one_day", 3653),
        ("one_week", 7305),
    ],
)
async def test_longest_span_of_each_resolution(meter: httpx.AsyncClient, resolution: str, days: int) -> None:
    end = SIX_MS + 8 * QUARTER_MS
    query = {"meterId": METER, "resolution": resolution, "to": end, "fields": "energy"}
    fits = await meter.get("readings", params={**query, "from": end - days * 86_400_000})
    long = await meter.get("readings", params={**query, "from": end - days * 86_400_000 - 1})
    assert (fits.status_code, long.status_code) == (200, 400)
    assert "too long" in long.text


@pytest.mark.parametrize(
    ("wrong", "status", "reason"),
    [
        ({"resolution": "ten_minutes"}, 400, "resolution 'ten_minutes'"),
        ({"from": "yesterday"}, 400, "'from'"),
        ({"from": "9" * 16}, 400, "'from'"),
        ({"to": "1"}, 400, "before 'from'"),
        ({"meterId": "nobody"}, 404, "No meter"),
        ({"disaggregation": "true"}, 400, "raw only"),
    ],
)
async def test_refusals_are_plain_text_for_those_who_read_it(
    meter: httpx.AsyncClient, wrong: dict[str, str], status: int, reason: str
) -> None:
    query = {"meterId": METER, "from": str(SIX_MS), "resolution": "fifteen_minutes"} | wrong
    heard = await meter.get("readings", params=query)
    assert (heard.status_code, heard.headers["content-type"]) == (status, "text/plain; charset=utf-8")
    assert reason in heard.text
    unheard = await meter.get("readings", params=query, headers={"Accept": "application/json"})
    assert (unheard.status_code, unheard.content) == (status, b"")


@pytest.mark.parametrize("login", [None, ("member@example.org", "guessed"), ("other", "correct horse battery")])
async def test_wrong_login_is_401(meter: httpx.AsyncClient, login: tuple[str, str] | None) -> None:
    meter.auth = login
    answer = await meter.get("meters")
    assert (answer.status_code, answer.headers["content-type"]) == (401, "text/plain; charset=utf-8")


@pytest.mark.parametrize("header", ["Basic", "Basic %%%", "Bearer abc", "Basic w7w="])
async def test_broken_login_is_401(meter: httpx.AsyncClient, header: str) -> None:
    meter.auth = None
    assert (await meter.get("meters", headers={"Authorization": header})).status_code == 401


async def test_rows_that_the_fleet_does_not_know_are_missing(meter: httpx.AsyncClient, world: World) -> None:
    world.fleet.replace_defects(
        [Offline(what="offline", device=METER, start=SIX, end=SIX + timedelta(days=1))],
    )
    rows = await readings(meter, **{"from": SIX_MS - QUARTER_MS})
    assert [row["time"] for row in rows] == [SIX_MS - QUARTER_MS, SIX_MS]
    found = (await meter.get("meters")).json()
    assert found[0]["lastMeasurementTime"] == SIX_MS


async def test_end_of_summer_time_is_an_hour_like_any(meter: httpx.AsyncClient, world: World) -> None:
    """Berlin has 2:00 to 3:00 twice on 30 October 2016; UTC has not."""
    assert isinstance(world.clock, FixedClock)
    world.clock.set(datetime(2016, 10, 30, 12, tzinfo=UTC))
    midnight_ms = SIX_MS + 18 * 3_600_000
    rows = await readings(meter, **{"from": midnight_ms, "to": midnight_ms + 12 * QUARTER_MS, "fields": "energy"})
    assert [row["time"] for row in rows] == [midnight_ms + n * QUARTER_MS for n in range(13)]
    used_wh = (rows[-1]["values"]["energy"] - rows[0]["values"]["energy"]) / 1e7
    assert used_wh == pytest.approx(sum(profile_wh()[72:84]), abs=1e-6)


async def test_reset_meter_starts_at_zero(meter: httpx.AsyncClient, world: World) -> None:
    world.fleet.replace_defects([Reset(what="reset", device=METER, at=SIX)])
    rows = await readings(meter, **{"from": SIX_MS, "to": SIX_MS + QUARTER_MS})
    assert rows[0]["values"]["energy"] == 0
    assert rows[1]["values"]["energy"] == pytest.approx(profile_wh()[0] * 1e7, abs=1)
