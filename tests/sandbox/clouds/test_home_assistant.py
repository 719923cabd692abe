"""The emulated Home Assistant: its websocket over a real socket, its REST paths in this process."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from pipelines.sandbox.clouds.defects import Drop, Frozen, Hole, Offline, Reset, Spike
from pipelines.sandbox.clouds.fleet import Fleet, Unit
from pipelines.sandbox.clouds.home_assistant import PREFIX
from pipelines.sandbox.clouds.serve import in_thread
from pipelines.sandbox.clouds.world import World

SECRET = "correct horse battery"
SENSOR = "sensor.heat_pump_energy"
FIRST = datetime(2016, 10, 29, 20, tzinfo=UTC)
STEP, QUARTER, HOUR = timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1)
QUARTERS = 4 * 30
USED_KWH = 400 * 5
"""Hours at rated power that a counter starts with; something of the device's own comes on top."""


@pytest.fixture
def world(world: World) -> World:
    """One sensor that counts 30, 60, 90, … Wh in the quarter hours of 30 hours, seen at their end."""
    energy_wh = [30.0 * (number + 1) for number in range(QUARTERS)]
    unit = Unit(
        device=SENSOR,
        name="Heat pump",
        kind="heat_pump",
        site="home",
        rated_power_kw=5,
        energy_wh={"consumption": energy_wh},
        first=FIRST,
    )
    world.fleet = Fleet({"home_assistant": (unit,)})
    world.clock.set(FIRST + 30 * HOUR + timedelta(minutes=1))
    return world


@pytest.fixture
def address(world: World) -> Iterator[str]:
    with in_thread(world) as url:
        yield url.replace("http", "ws") + f"{PREFIX}/api/websocket"


@pytest.fixture
def socket(address: str) -> Iterator[ClientConnection]:
    """Logged in."""
    with connect(address) as opened:
        hear(opened)
        say(opened, type="auth", access_token=SECRET)
        assert hear(opened)["type"] == "auth_ok"
        yield opened


def hear(connection: ClientConnection) -> dict[str, Any]:
    return json.loads(connection.recv(timeout=10))


def say(connection: ClientConnection, **message: object) -> None:
    connection.send(json.dumps(message))


@pytest.fixture
def ask(socket: ClientConnection) -> Callable[..., dict[str, Any]]:
    numbers = iter(range(1, 100))

    def one(**message: object) -> dict[str, Any]:
        say(socket, **{"id": next(numbers), **message})
        return hear(socket)

    return one


@pytest.fixture
def rows(ask: Callable[..., dict[str, Any]]) -> Callable[..., list[dict[str, Any]]]:
    """Statistics of the sensor that begin in [start, end)."""

    def read(start: datetime, end: datetime, **changes: object) -> list[dict[str, Any]]:
        message = {
            "type": "recorder/statistics_during_period",
            "start_time": start.isoformat(),
            "end_time": end.isoformat(),
            "statistic_ids": [SENSOR],
            "period": "5minute",
            "units": {"energy": "kWh"},
            "types": ["change", "sum", "state"],
        }
        answer = ask(**{**message, **changes})
        assert answer["success"], answer
        return answer["result"].get(SENSOR, [])

    return read


def ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def counted_kwh(until: datetime) -> float:
    """What the sensor counted from its first quarter hour to the end of one."""
    number = (until - FIRST) // QUARTER
    return 0.03 * number * (number + 1) / 2


# Login


def test_the_handshake_and_a_wrong_token(address):
    with connect(address) as connection:
        assert hear(connection)["type"] == "auth_required"
        say(connection, type="auth", access_token="wrong")
        assert hear(connection) == {"type": "auth_invalid", "message": "Invalid access token or password"}
        with pytest.raises(ConnectionClosed):
            hear(connection)


@pytest.mark.parametrize("text", ['{"type":"recorder/list_statistic_ids","id":1}', '{"type":"auth"}', "[]"])
def test_no_command_before_the_login(address, text):
    with connect(address) as connection:
        hear(connection)
        connection.send(text)
        assert hear(connection)["type"] == "auth_invalid"


def test_text_that_is_no_json_ends_the_connection(address, socket):
    with connect(address) as connection:
        hear(connection)
        connection.send("token please")
        with pytest.raises(ConnectionClosed):
            hear(connection)
    socket.send(b"\x00")
    with pytest.raises(ConnectionClosed):
        hear(socket)


# Errors


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "recorder/nothing"}, "unknown_command"),
        ({"type": 7}, "invalid_format"),
        ({"type": "recorder/list_statistic_ids", "statistic_type": ["sum"]}, "invalid_format"),
        ({"type": "recorder/list_statistic_ids", "id": "one"}, "invalid_format"),
        ({"period": "minute"}, "invalid_format"),
        ({"period": ["hour"]}, "invalid_format"),
        ({"statistic_ids": []}, "invalid_format"),
        ({"statistic_ids": SENSOR}, "invalid_format"),
        ({"types": ["all"]}, "invalid_format"),
        ({"units": {"energy": "m"}}, "invalid_format"),
        ({"units": None}, "invalid_format"),
        ({"start_time": 1787529600000}, "invalid_format"),
        ({"start_time": "yesterday"}, "invalid_start_time"),
        ({"start_time": "0001-01-01T00:00:00+14:00"}, "invalid_start_time"),
        ({"end_time": "tomorrow"}, "invalid_end_time"),
    ],
)
def test_what_it_refuses(ask, message, code):
    whole = {
        "type": "recorder/statistics_during_period",
        "start_time": "2016-10-29T20:00:00Z",
        "statistic_ids": [SENSOR],
        "period": "hour",
    }
    answer = ask(**{**whole, **message})
    assert (answer["type"], answer["success"], answer["error"]["code"]) == ("result", False, code)
    assert ask(**whole)["success"], "it goes on"


def test_numbers_of_commands_must_increase(socket):
    for number in (5, 5, 4):
        say(socket, id=number, type="recorder/list_statistic_ids")
    answers = [hear(socket) for _ in range(3)]
    assert [answer.get("error", {}).get("code") for answer in answers] == [None, "id_reuse", "id_reuse"]


# Statistics


def test_a_row_carries_its_start_and_all_of_a_slot_is_in_three(rows):
    start = FIRST + HOUR
    found = rows(start, start + QUARTER)
    assert [(row["start"], row["end"]) for row in found] == [
        (ms(start + n * STEP), ms(start + (n + 1) * STEP)) for n in range(3)
    ]
    assert [row["change"] for row in found] == pytest.approx([0.05] * 3), "150 Wh in the fifth quarter hour"
    assert found[-1]["sum"] == pytest.approx(counted_kwh(start + QUARTER))
    assert 0 < found[-1]["state"] - found[-1]["sum"] - USED_KWH < 100
    assert [row["change"] for row in rows(start, start + QUARTER, units={"energy": "Wh"})] == pytest.approx([50] * 3)


def test_a_row_is_there_only_after_its_end(world, rows):
    world.clock.set(FIRST + 30 * HOUR + timedelta(minutes=6))
    assert len(rows(FIRST, world.now())) == 3 * QUARTERS, "the data's end"
    assert len(rows(FIRST + 29 * HOUR, FIRST + 29 * HOUR + timedelta(seconds=1))) == 1
    assert rows(FIRST - HOUR, FIRST) == []


def test_the_newest_row_is_made_ten_seconds_late(world, address):
    def newest() -> int:
        with connect(address) as connection:
            hear(connection)
            say(connection, type="auth", access_token=SECRET)
            hear(connection)
            say(
                connection,
                id=1,
                type="recorder/statistics_during_period",
                start_time=FIRST.isoformat(),
                statistic_ids=[SENSOR],
                period="5minute",
            )
            return hear(connection)["result"][SENSOR][-1]["end"]

    world.fleet = Fleet({"home_assistant": (demo_like(),)})
    assert newest() == ms(world.now() - timedelta(minutes=1))
    world.clock.set(world.now() + timedelta(minutes=4, seconds=5))
    assert newest() == ms(FIRST + 30 * HOUR)
    world.clock.set(world.now() + timedelta(seconds=5))
    assert newest() == ms(FIRST + 30 * HOUR + STEP)


def demo_like() -> Unit:
    return Unit(
        device=SENSOR,
        name="Longer",
        kind="heat_pump",
        site="home",
        rated_power_kw=5,
        energy_wh={"consumption": [30.0] * 4 * 48},
        first=FIRST,
    )


def test_hours_and_days_hold_what_their_five_minutes_hold(rows):
    hours = rows(FIRST, FIRST + 30 * HOUR, period="hour")
    assert [row["start"] for row in hours] == [ms(FIRST + n * HOUR) for n in range(30)]
    assert {row["end"] - row["start"] for row in hours} == {3_600_000}
    assert hours[2]["change"] == pytest.approx(counted_kwh(FIRST + 3 * HOUR) - counted_kwh(FIRST + 2 * HOUR))
    # 30 October has 25 hours in Berlin, from 22:00 to 23:00 UTC.
    long_day = rows(FIRST + 3 * HOUR, FIRST + 10 * HOUR, period="day")
    midnight, next_midnight = datetime(2016, 10, 29, 22, tzinfo=UTC), datetime(2016, 10, 30, 23, tzinfo=UTC)
    assert [(row["start"], row["end"]) for row in long_day] == [(ms(midnight), ms(next_midnight))]
    assert long_day[0]["change"] == pytest.approx(counted_kwh(next_midnight) - counted_kwh(midnight))


def test_an_hour_that_is_not_over_has_no_row(world, rows):
    world.fleet = Fleet({"home_assistant": (demo_like(),)})
    world.clock.set(FIRST + 30 * HOUR + timedelta(minutes=31))
    assert rows(FIRST, world.now(), period="hour")[-1]["end"] == ms(FIRST + 30 * HOUR)


def test_five_minutes_are_forgotten_and_the_oldest_left_tells_its_whole_sum(world, rows):
    world.clock.set(FIRST + timedelta(days=10, hours=2, minutes=2))
    found = rows(FIRST, FIRST + 30 * HOUR)
    assert found[0]["start"] == ms(FIRST + 2 * HOUR + STEP)
    assert found[0]["change"] == found[0]["sum"] > 1
    assert found[1]["change"] < 0.1
    inside = rows(FIRST + 3 * HOUR, FIRST + 4 * HOUR)
    assert inside[0]["change"] < 0.2, "the row before it is still there"
    assert len(rows(FIRST, FIRST + 2 * HOUR, period="hour")) == 2, "hours are kept"


@pytest.mark.parametrize("kind", [Hole, Offline])
def test_after_a_gap_one_row_holds_all_of_it(world, rows, kind):
    start, end = FIRST + HOUR, FIRST + 3 * HOUR
    world.fleet.replace_defects([kind(what=kind.__name__.lower(), device=SENSOR, start=start, end=end)])
    found = rows(FIRST, FIRST + 4 * HOUR)
    assert not [row for row in found if ms(start) <= row["start"] < ms(end)]
    lump = next(row for row in found if row["start"] == ms(end))
    gap_kwh = counted_kwh(end) - counted_kwh(start)
    assert lump["change"] == pytest.approx(gap_kwh + 0.03 * 13 / 3)
    assert sum(row["change"] for row in found) == pytest.approx(counted_kwh(FIRST + 4 * HOUR))


def test_a_counter_that_shows_nothing_for_a_while_puts_its_whole_state_into_one_row(world, rows):
    start, end = FIRST + HOUR, FIRST + 2 * HOUR
    world.fleet.replace_defects([Drop(what="drop", device=SENSOR, start=start, end=end)])
    changes = {row["start"]: row["change"] for row in rows(FIRST, FIRST + 3 * HOUR)}
    # The state at an instant is told by the row that ends then.
    assert changes[ms(start - STEP)] == 0
    assert changes[ms(end - STEP)] > USED_KWH
    assert 0 < changes[ms(end)] < 1


def test_a_spike_of_the_state_is_one_of_the_sum_and_its_fall_is_taken_for_a_reset(world, rows):
    at = FIRST + HOUR
    world.fleet.replace_defects([Spike(what="spike", device=SENSOR, at=at, factor=65536)])
    found = rows(FIRST, FIRST + 2 * HOUR)
    changes = {row["start"]: row["change"] for row in found}
    assert changes[ms(at - STEP)] > 65000 * USED_KWH
    assert USED_KWH < changes[ms(at + QUARTER - STEP)] < 2 * USED_KWH


def test_a_new_counter_is_compensated_in_the_sum(world, rows):
    at = FIRST + HOUR
    world.fleet.replace_defects([Reset(what="reset", device=SENSOR, at=at)])
    found = rows(FIRST, FIRST + 2 * HOUR)
    assert all(0 <= row["change"] < 1 for row in found)
    assert found[-1]["state"] < 10
    assert found[-1]["sum"] > found[0]["sum"]


def test_a_state_that_stands_still_is_no_gap(world, rows):
    start, end = FIRST + HOUR, FIRST + 2 * HOUR
    world.fleet.replace_defects([Frozen(what="frozen", device=SENSOR, start=start, end=end)])
    found = rows(FIRST, FIRST + 3 * HOUR)
    assert len(found) == 36
    assert [row["change"] for row in found[13:23]] == [0] * 10
    assert sum(row["change"] for row in found) == pytest.approx(counted_kwh(FIRST + 3 * HOUR))


def test_only_what_was_asked_for_is_told(ask, rows):
    start = FIRST + HOUR
    assert set(rows(start, start + STEP, types=["change"])[0]) == {"start", "end", "change"}
    assert rows(start, start + STEP, types=["mean"])[0]["mean"] is None
    assert rows(start, start + STEP, statistic_ids=["sensor.nowhere"]) == []


def test_the_list_of_statistics(ask):
    listed = {one["statistic_id"]: one for one in ask(type="recorder/list_statistic_ids")["result"]}
    assert listed[SENSOR]["has_sum"] is True
    assert listed[SENSOR]["statistics_unit_of_measurement"] == "kWh"
    assert listed["sensor.living_room_temperature"]["has_sum"] is False
    sums = ask(type="recorder/list_statistic_ids", statistic_type="sum")["result"]
    assert [one["statistic_id"] for one in sums] == [SENSOR, "sensor.gas_consumed"]


def test_the_journal_counts_commands(world, ask):
    ask(type="recorder/list_statistic_ids")
    ask(type="x" * 5000)
    entries = world.journal.entries("home_assistant")
    assert [(entry["method"], entry["template"]) for entry in entries if entry["method"] == "COMMAND"] == [
        ("COMMAND", "recorder/list_statistic_ids"),
        ("COMMAND", "unknown command"),
    ]
    assert entries[0]["method"] == "WEBSOCKET"
    assert SECRET not in str(entries)


# REST


async def test_states_by_rest(world, http: httpx.AsyncClient):
    bearer = {"Authorization": f"Bearer {SECRET}"}
    assert (await http.get(f"{PREFIX}/api/")).status_code == 401
    wrong = await http.get(f"{PREFIX}/api/states/{SENSOR}", headers={"Authorization": "Bearer wrong"})
    assert (wrong.status_code, wrong.text) == (401, "401: Unauthorized")
    assert (await http.get(f"{PREFIX}/api/", headers=bearer)).json() == {"message": "API running."}
    missing = await http.get(f"{PREFIX}/api/states/sensor.nowhere", headers=bearer)
    assert (missing.status_code, missing.json()) == (404, {"message": "Entity not found."})

    known = (await http.get(f"{PREFIX}/api/states/{SENSOR}", headers=bearer)).json()
    assert 0 < float(known["state"]) - USED_KWH - counted_kwh(FIRST + 30 * HOUR) < 100
    assert known["attributes"]["unit_of_measurement"] == "kWh"

    away = Offline(what="offline", device=SENSOR, start=world.now() - HOUR, end=world.now() + HOUR)
    world.fleet.replace_defects([away])
    gone = (await http.get(f"{PREFIX}/api/states/{SENSOR}", headers=bearer)).json()
    assert gone["state"] == "unavailable"
