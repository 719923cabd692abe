"""Huawei FusionSolar: lifetime registers as they are now and of the past, inside limits made from the fleet."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from pipelines.collect.source import Answer
from pipelines.collect.vendors.fusionsolar.memory import Memory
from pipelines.collect.vendors.fusionsolar.points import parse_devices, parse_plants, parse_points
from pipelines.errors import AccountStopped, AuthenticationError, SourceError, SourceUnavailable
from pipelines.sandbox.clouds.defects import Offline, Reset
from pipelines.sandbox.clouds.demo import demo_fleet, grown_fleet
from pipelines.sandbox.clouds.faults import CloudRule
from pipelines.sandbox.clouds.fleet import Fleet, Unit

PV6, PV7, METER = "1000000033554406", "1000000033554407", "1000000033554508"
BOTH = ((PV6, "production"), (METER, "import"))
SECRET = "hush-hush-4711"
QUARTER = timedelta(minutes=15)


def at(hour: int, minute: int = 0, day: int = 29) -> datetime:
    return datetime(2016, 10, day, hour, minute, tzinfo=UTC)


NOW, EIGHT, NINE = at(11), at(8), at(9)


def states_wh(answer: Answer, device: str, register: str) -> dict[datetime, float | None]:
    """Stamp -> state in Wh."""
    own = answer.rows.filter(meter=device, register=register)
    assert set(own["unit"]) <= {"kWh"}
    assert own["stamp_end"].null_count() == own.height
    return {stamp: None if kwh is None else kwh * 1000 for stamp, kwh in own.select("stamp", "value").iter_rows()}


def counted_wh(device: str, register: str, start: datetime, end: datetime) -> float:
    """Sum of the fleet's own quarter hours in [start, end)."""
    unit = demo_fleet().unit("fusionsolar", device)
    assert unit is not None
    first, last = (start - unit.first) // QUARTER, (end - unit.first) // QUARTER
    return sum(unit.energy_wh[register][first:last])


def asked(stage: Any) -> Counter[str]:
    """Last part of the path -> requests."""
    return Counter(entry["path"].rpartition("/")[2] for entry in stage.world.journal.entries("fusionsolar"))


def fault(stage: Any, do: str, path: str = "/getDev", **more: object) -> None:
    stage.world.faults.replace([CloudRule.model_validate({"do": do, "path": path, **more})])


def instead(stage: Any, body: object, path: str = "/getDevHistoryKpi", times: int | None = None) -> None:
    """Let the vendor answer this."""
    fault(stage, "replace", path, body=body if isinstance(body, str) else json.dumps(body), times=times)


def answer_of(data: object, **more: object) -> dict[str, object]:
    now_ms = int(NOW.timestamp() * 1000)
    return {"success": True, "failCode": 0, "params": {"currentTime": now_ms}, "message": None, "data": data, **more}


def point(collected: datetime, device: str = PV6, **items: object) -> dict[str, object]:
    return {"devId": int(device), "collectTime": int(collected.timestamp() * 1000), "dataItemMap": items}


def read_history(stage: Any, *channels: tuple[str, str], start: datetime = EIGHT, end: datetime = NINE) -> Answer:
    with stage.open("fusionsolar", live=False) as source:
        return stage.read(source, start, end, *(channels or ((PV6, "production"),)))


# What is read


def test_a_live_run_reads_registers_at_the_vendors_clock_with_one_request_for_each_type(stage: Any) -> None:
    with stage.open("fusionsolar") as source:
        answer = stage.read(source, at(9), NOW, *BOTH, (PV7, "production"))
    unit = stage.world.fleet.unit("fusionsolar", PV7)
    expected = stage.world.fleet.register_wh(unit, "production", NOW, NOW)
    assert states_wh(answer, PV7, "production")[NOW] == pytest.approx(expected, abs=0.5)
    assert states_wh(answer, METER, "import").keys() >= {NOW}
    assert asked(stage)["getDevRealKpi"] == 2
    assert not answer.failed


def test_history_brings_the_fleets_energy_across_the_end_of_summer_time(stage: Any) -> None:
    stage.clock.set(at(12, day=30))
    answer = read_history(stage, *BOTH, start=at(0, day=30), end=at(3, day=30))
    for device, register in BOTH:
        states = states_wh(answer, device, register)
        assert sorted(states) == [at(0, day=30) + n * timedelta(minutes=5) for n in range(37)]
        for hour in range(3):
            energy_wh = states[at(hour + 1, day=30)] - states[at(hour, day=30)]
            assert energy_wh == pytest.approx(
                counted_wh(device, register, at(hour, day=30), at(hour + 1, day=30)), abs=1
            )


def test_the_sum_of_two_days_is_the_fleets(stage: Any) -> None:
    stage.clock.set(at(22, day=30))
    start, end = at(20, day=28), at(20, day=30)
    states = states_wh(read_history(stage, *BOTH, start=start, end=end), PV6, "production")
    assert states[end] - states[start] == pytest.approx(counted_wh(PV6, "production", start, end), abs=1)
    assert asked(stage)["getDevHistoryKpi"] == 2


def test_midnight_is_no_step_because_the_days_own_counter_is_not_read(stage: Any) -> None:
    stage.clock.set(at(12, day=30))
    states = list(states_wh(read_history(stage, start=at(21), end=at(23, 30)), PV6, "production").values())
    assert states == sorted(states)


def test_batteries_tell_charge_and_discharge_and_meters_both_directions(stage: Any) -> None:
    steps = {"charge": [100.0] * 8, "discharge": [25.0] * 8}
    battery = Unit(device="77", name="B", kind="battery", site="h", rated_power_kw=5, energy_wh=steps, first=at(9))
    grid = Unit(
        device="78",
        name="M",
        kind="meter",
        site="h",
        rated_power_kw=5,
        energy_wh={"import": [50.0] * 8, "export": [10.0] * 8},
        first=at(9),
    )
    stage.world.fleet = Fleet({"fusionsolar": (battery, grid)})
    wanted = (("77", "charge"), ("77", "discharge"), ("78", "import"), ("78", "export"))
    answer = read_history(stage, *wanted, start=at(9), end=at(10))
    grown = {}
    for device, register in wanted:
        states = states_wh(answer, device, register)
        grown[register] = states[at(10)] - states[at(9)]
    assert grown == pytest.approx({"charge": 400, "discharge": 100, "import": 200, "export": 40})


def test_devices_are_told_with_their_registers(stage: Any) -> None:
    with stage.open("fusionsolar") as source:
        found = {device.device: device for device in source.devices()}
    assert found[PV6].registers == ("production",)
    assert found[METER].registers == ("import", "export")
    assert "PV 6" in found[PV6].name
    assert "grid meter" in found[METER].name


def test_the_recorded_answers_are_read(recorded: Callable[[str], bytes]) -> None:
    def data(name: str) -> Any:
        return json.loads(recorded(f"fusionsolar/{name}.json"))["data"]

    assert parse_plants(data("stations")) == (["NE=33554875", "NE=33554876"], 1)
    devices = parse_devices(data("devices"))
    assert {device: kind for device, (kind, _) in devices.items()} == {
        "1000000033554875": 1,
        "1000000033554876": 17,
        "1000000033554877": 39,
        "1000000033554878": 62,
    }
    present = parse_points(data("present_inverters"), 1, at_ms=1_700_000_120_000)
    stamp = datetime(2023, 11, 14, 22, 15, 20, tzinfo=UTC)
    # The second is without connection, so what it shows is old; the third tells nothing.
    assert present.frame.select("meter", "stamp", "value", "unit").rows() == [
        ("1000000033554875", stamp, 12345.6, "kWh"),
        ("1000000033554880", stamp, None, "kWh"),
        ("1000000033554881", stamp, None, "kWh"),
    ]
    history = parse_points(data("history_meter"), 17)
    assert history.frame.filter(register="import")["value"].to_list() == [501.25, None, 501.31]
    assert history.frame.filter(register="export")["value"].to_list() == [90.5] * 3
    assert not present.unknown
    assert not history.unknown


# Without connection, late, reset


def test_a_device_without_connection_gives_no_reading_and_its_history_comes_later(stage: Any) -> None:
    stage.world.fleet.replace_defects([Offline(what="offline", device=PV6, start=at(9), end=at(11, 30))])
    with stage.open("fusionsolar") as source:
        present = states_wh(stage.read(source, at(10), NOW, *BOTH), PV6, "production")
    assert present == {NOW: None}
    stage.clock.set(at(12))
    states = states_wh(read_history(stage, start=at(9), end=at(11)), PV6, "production")
    assert states[at(11)] - states[at(9)] == pytest.approx(counted_wh(PV6, "production", at(9), at(11)), abs=1)


def test_a_counter_that_starts_anew_is_passed_on_as_it_is(stage: Any) -> None:
    stage.world.fleet.replace_defects([Reset(what="reset", device=PV6, at=at(8, 30), to_wh=0)])
    states = states_wh(read_history(stage), PV6, "production")
    assert states[at(8, 30)] == 0
    assert states[at(8, 25)] > 1e5


# Limits


def test_live_runs_of_a_day_stay_inside_every_limit_and_still_ask_for_history(stage: Any) -> None:
    for number in range(24 * 4):
        stage.clock.set(NOW + number * QUARTER + timedelta(minutes=2))
        now = stage.clock.now()
        with stage.open("fusionsolar") as source:
            answer = stage.read(source, now - timedelta(hours=2), now, *BOTH)
        assert not answer.failed
        assert now in states_wh(answer, PV6, "production")
    # Eight tenths of the 25 that three devices are allowed.
    assert asked(stage)["getDevHistoryKpi"] == 20
    assert asked(stage)["getDevList"] <= 2


def test_a_run_asks_once_for_a_device_however_many_of_its_windows_end_now(stage: Any) -> None:
    with stage.open("fusionsolar") as source:
        stage.read(source, at(10), NOW, (PV6, "production"))
        answer = stage.read(source, at(9), NOW, (PV6, "production"), (PV7, "production"))
    assert states_wh(answer, PV7, "production").keys() >= {NOW}
    assert asked(stage)["getDevRealKpi"] == 1


def test_a_large_fleet_is_read_by_hundreds_now_and_by_tens_of_the_past_a_minute_apart(stage: Any) -> None:
    stage.world.fleet = grown_fleet(150)
    units = stage.world.fleet.of("fusionsolar")
    wanted = [(unit.device, "production" if unit.kind == "pv" else "import") for unit in units]
    with stage.open("fusionsolar") as source:
        present = stage.read(source, NOW - QUARTER, NOW, *wanted)
    assert present.rows.filter(pl.col("stamp") == NOW)["meter"].n_unique() == 150
    # A hundred inverters and fifty meters.
    assert asked(stage)["getDevRealKpi"] == 2
    before = asked(stage)["getDevHistoryKpi"]
    history = read_history(stage, *wanted[:24])
    assert set(history.rows["meter"]) == {device for device, _ in wanted[:24]}
    # Sixteen inverters in two requests, eight meters in one.
    assert asked(stage)["getDevHistoryKpi"] - before == 3
    assert min(stage.waits) >= 60
    assert not history.failed


def test_a_day_whose_histories_are_spent_still_tells_the_present(stage: Any) -> None:
    with stage.open("fusionsolar", live=False) as source:
        for _ in range(25):
            assert not stage.read(source, at(8), at(8, 30), (PV6, "production")).failed
        refused = stage.read(source, at(8), at(8, 30), (PV6, "production"))
    assert isinstance(refused.failed[PV6], SourceUnavailable)
    assert "25 requests of history are spent" in str(refused.failed[PV6])
    with stage.open("fusionsolar") as source:
        past = stage.read(source, at(8), at(8, 30), (PV6, "production"))
        now = stage.clock.now()
        present = stage.read(source, now - QUARTER, now, (PV6, "production"))
    assert past.waits
    assert past.holds
    assert not past.failed
    assert states_wh(present, PV6, "production").keys() == {now}


def test_the_list_of_devices_is_kept_for_a_day(stage: Any) -> None:
    for hour in (11, 17, 23):
        stage.clock.set(at(hour))
        with stage.open("fusionsolar") as source:
            stage.read(source, at(hour - 1), at(hour), (PV6, "production"))
    assert asked(stage)["getDevList"] == 1
    stage.clock.set(at(12, day=30))
    with stage.open("fusionsolar") as source:
        stage.read(source, at(11, day=30), at(12, day=30), (PV6, "production"))
    assert asked(stage)["getDevList"] == 2


@pytest.mark.parametrize(
    "kept", [b"", b"{", b"[]", b'{"owner": "me", "listed_at_s": 1, "devices": 7, "history_at_s": {}}']
)
def test_a_kept_list_that_cannot_be_read_is_asked_for_again(kept: bytes) -> None:
    assert Memory.parse(kept) == Memory()


# Devices and registers that aren't there


def test_a_device_or_register_that_the_account_lacks_fails_alone_and_names_what_there_is(stage: Any) -> None:
    answer = read_history(stage, (PV6, "production"), ("4711", "production"), (METER, "charge"))
    assert states_wh(answer, PV6, "production")
    assert set(answer.failed) == {"4711", METER}
    assert isinstance(answer.failed["4711"], SourceError)
    assert PV6 in str(answer.failed["4711"])
    assert "import, export" in str(answer.failed[METER])
    for error in answer.failed.values():
        assert "source 'acc'" in str(error)
        assert "2016-10-29 08:00 to 2016-10-29 09:00" in str(error)


def test_a_device_that_the_vendor_no_longer_tells_of_fails(stage: Any) -> None:
    instead(stage, answer_of([]), "/getDevRealKpi")
    with stage.open("fusionsolar") as source:
        answer = stage.read(source, at(10), NOW, (PV6, "production"))
    assert isinstance(answer.failed[PV6], SourceError)


# Logins


def test_a_refused_system_code_stops_the_account_before_it_is_locked(stage: Any) -> None:
    for _ in range(4):
        with (
            pytest.raises((AuthenticationError, AccountStopped)),
            stage.open("fusionsolar", secret="wrong-1") as source,
        ):
            stage.read(source, at(10), NOW, *BOTH)
        stage.clock.set(stage.clock.now() + QUARTER)
    assert asked(stage) == {"login": 1}


def test_the_vendors_words_on_a_refused_login_are_told_and_no_secret(stage: Any) -> None:
    with stage.open("fusionsolar", secret="wrong-1") as source, pytest.raises(AuthenticationError) as caught:
        stage.read(source, at(10), NOW, *BOTH)
    assert "user.login.user_or_value_invalid" in str(caught.value)
    assert "wrong-1" not in str(caught.value)


def test_a_token_that_ends_in_the_middle_of_a_backfill_is_renewed_once(stage: Any) -> None:
    with stage.open("fusionsolar", live=False) as source:
        stage.read(source, at(8), at(9), (PV6, "production"))
        stage.clock.set(NOW + timedelta(minutes=31))
        answer = stage.read(source, at(8), at(9), *BOTH)
    assert not answer.failed
    assert asked(stage)["login"] == 2


def test_a_token_that_is_about_to_end_is_replaced_before_requests_are_refused_for_it(stage: Any) -> None:
    stage.world.fleet = grown_fleet(600)
    units = stage.world.fleet.of("fusionsolar")
    wanted = [(unit.device, "production" if unit.kind == "pv" else "import") for unit in units]
    with stage.open("fusionsolar") as source:
        stage.read(source, NOW - QUARTER, NOW, *wanted)
        stage.clock.set(NOW + timedelta(minutes=31))
        answer = stage.read(source, NOW, stage.clock.now(), *wanted)
    assert answer.rows.filter(pl.col("stamp") == stage.clock.now())["meter"].n_unique() == 600
    # Four hundred inverters and two hundred meters, twice, and none refused.
    assert asked(stage)["getDevRealKpi"] == 12
    assert asked(stage)["login"] == 2


def test_a_token_that_is_revoked_is_renewed(stage: Any) -> None:
    revoked = {"success": False, "failCode": 305, "message": "USER_MUST_RELOGIN", "data": None}
    instead(stage, revoked, times=1)
    assert states_wh(read_history(stage), PV6, "production")
    assert asked(stage)["login"] == 2


def test_of_many_requests_with_the_same_lost_token_one_logs_in(stage: Any) -> None:
    with stage.open("fusionsolar", live=False) as source:
        stage.read(source, at(8), at(9), (PV6, "production"))
        wire = source._session._wire
        lost = dict(wire._headers())
        for _ in range(3):
            wire._renew(lost)
    assert asked(stage)["login"] == 2


def test_a_login_that_is_lost_again_at_once_is_refused(stage: Any) -> None:
    instead(stage, {"success": False, "failCode": 305, "message": "USER_MUST_RELOGIN", "data": None}, "/stations")
    with stage.open("fusionsolar") as source, pytest.raises(AuthenticationError, match="right after a login"):
        stage.read(source, at(10), NOW, *BOTH)
    assert asked(stage)["login"] == 2


def test_no_token_is_written_down(stage: Any, tmp_path: Any) -> None:
    with stage.open("fusionsolar", live=False) as source:
        stage.read(source, at(8), at(9), *BOTH)
        token = next(header for header in source._session._wire._headers().values())
        instead(stage, {"success": False, "failCode": 20013, "message": f"bad {token} {SECRET}", "data": None})
        error = stage.read(source, at(8), at(9), (PV6, "production")).failed[PV6]
    assert len(token) > 20
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (token, SECRET):
        assert secret not in str(error)
        assert secret.encode() not in kept


# Errors, most of them inside HTTP 200


def test_asked_too_often_stops_the_account_for_five_minutes(stage: Any, recorded: Callable[[str], bytes]) -> None:
    instead(stage, recorded("fusionsolar/too_often.json").decode(), "/getDevRealKpi")
    with stage.open("fusionsolar") as source, pytest.raises(AccountStopped, match="ACCESS_FREQUENCY") as caught:
        stage.read(source, at(10), NOW, (PV6, "production"))
    assert caught.value.until == NOW + timedelta(minutes=5)
    assert asked(stage)["getDevRealKpi"] == 1


def test_a_history_asked_too_often_does_not_take_the_present_with_it(
    stage: Any, recorded: Callable[[str], bytes]
) -> None:
    instead(stage, recorded("fusionsolar/too_often.json").decode())
    with stage.open("fusionsolar") as source:
        answer = stage.read(source, at(10), NOW, (PV6, "production"))
    assert states_wh(answer, PV6, "production").keys() == {NOW}
    assert "ACCESS_FREQUENCY" in str(answer.failed[PV6])


def test_a_repair_asked_too_often_waits_and_holds_up_nothing_else(stage: Any, recorded: Callable[[str], bytes]) -> None:
    instead(stage, recorded("fusionsolar/too_often.json").decode())
    with stage.open("fusionsolar") as source:
        past = stage.read(source, at(8), at(9), (PV6, "production"))
        present = stage.read(source, at(10), NOW, (PV6, "production"))
    assert "ACCESS_FREQUENCY" in past.waits
    assert past.holds
    assert not past.failed
    assert states_wh(present, PV6, "production").keys() == {NOW}


def test_the_gateways_refusal_stops_the_account_for_a_quarter_hour(stage: Any) -> None:
    with stage.open("fusionsolar") as source:
        source.devices()
        desk_full = {"errorCode": "49401021002", "errorMessage": "quotaControl"}
        instead(stage, desk_full, "/getDevRealKpi")
        with pytest.raises(AccountStopped, match="gateway") as caught:
            stage.read(source, at(10), NOW, (PV6, "production"))
    assert caught.value.until == NOW + QUARTER


def test_a_busy_system_is_asked_again(stage: Any) -> None:
    instead(stage, {"success": False, "failCode": 20200, "data": None, "message": "SYSTEM_BUSY"}, times=1)
    assert states_wh(read_history(stage), PV6, "production")
    assert asked(stage)["getDevHistoryKpi"] == 2


@pytest.mark.parametrize(("code", "told"), [(401, "no right"), (20006, "20006"), ("20013", "20013")])
def test_other_refusals_fail_the_devices_of_the_request_without_another_try(stage: Any, code: Any, told: str) -> None:
    instead(stage, {"success": False, "failCode": code, "data": None, "message": None})
    answer = read_history(stage)
    assert isinstance(answer.failed[PV6], SourceError)
    for word in (told, PV6, "source 'acc'", "2016-10-29 08:00 to 2016-10-29 09:00"):
        assert word in str(answer.failed[PV6])
    assert asked(stage)["getDevHistoryKpi"] == 1


def test_one_device_type_that_fails_leaves_the_other(stage: Any) -> None:
    instead(stage, {"success": False, "failCode": 20006, "data": None, "message": None}, times=1)
    answer = read_history(stage, *BOTH)
    assert len(answer.failed) == 1
    assert answer.rows["meter"].n_unique() == 1


@pytest.mark.parametrize("do", ["html", "empty", "truncate", "reset"])
def test_what_is_no_answer_is_tried_again_and_then_fails_as_unavailable(stage: Any, do: str) -> None:
    fault(stage, do, "/getDevHistoryKpi", times=1)
    assert not read_history(stage).failed
    fault(stage, do, "/getDevHistoryKpi")
    assert isinstance(read_history(stage).failed[PV6], SourceUnavailable)


@pytest.mark.parametrize(
    "body",
    [
        [],
        "7",
        {"data": []},
        {"success": "true", "failCode": 0, "data": []},
        answer_of(False),
        answer_of({"devId": 1}),
        answer_of([7]),
        answer_of([{"collectTime": 1, "dataItemMap": {}}]),
        answer_of([{"devId": 1, "dataItemMap": {}}]),
        answer_of([{"devId": 1, "collectTime": "2016-10-29", "dataItemMap": {}}]),
        answer_of([{"devId": 1, "collectTime": 10**18, "dataItemMap": {}}]),
        answer_of([{"devId": 1, "collectTime": 1, "dataItemMap": [1]}]),
    ],
)
def test_json_of_another_form_fails_and_is_kept(stage: Any, tmp_path: Any, body: object) -> None:
    instead(stage, body)
    error = read_history(stage).failed[PV6]
    assert isinstance(error, SourceError)
    kept = list((tmp_path / ".slotfeed" / "unreadable").iterdir())
    assert len(kept) == 1
    assert kept[0].name in str(error)


@pytest.mark.parametrize("data", [None, [], {}])
def test_no_data_is_no_rows_and_no_error(stage: Any, data: object) -> None:
    instead(stage, answer_of(data))
    answer = read_history(stage)
    assert answer.rows.height == 0
    assert not answer.failed


@pytest.mark.parametrize("wrong", ["12.5", True, {}, [1]])
def test_a_value_that_is_no_number_fails_its_device_alone(stage: Any, wrong: object) -> None:
    instead(stage, answer_of([point(at(8), PV6, total_cap=wrong), point(at(8), PV7, total_cap=5.5)]))
    answer = read_history(stage, (PV6, "production"), (PV7, "production"))
    assert set(answer.failed) == {PV6}
    assert states_wh(answer, PV7, "production") == {at(8): 5500}
    assert not states_wh(answer, PV6, "production")


def test_a_register_that_a_device_never_tells_fails_it(stage: Any) -> None:
    instead(stage, answer_of([point(at(8), METER, active_cap=1), point(at(8, 5), METER, active_cap=2)]))
    answer = read_history(stage, (METER, "import"), (METER, "export"))
    assert "reverse_active_cap" in str(answer.failed[METER])
    # A meter that counts one way only is no fault where nobody asks for the other.
    stage.clock.set(at(12))
    answer = read_history(stage, (METER, "import"))
    assert not answer.failed
    assert states_wh(answer, METER, "import") == {at(8): 1000, at(8, 5): 2000}


def test_doubtful_values_are_passed_on_for_validation_to_judge(stage: Any) -> None:
    rows = [
        point(at(8), total_cap=1e9),
        point(at(8), total_cap=5),
        point(at(8, 5), total_cap=-3),
        point(at(8, 10), total_cap=None),
        point(at(20), total_cap=0),
    ]
    instead(stage, answer_of(rows))
    answer = read_history(stage)
    assert answer.rows.select("stamp", "value").rows() == [
        (at(8), 1e9),
        (at(8), 5),
        (at(8, 5), -3),
        (at(8, 10), None),
        (at(20), 0),
    ]
    assert not answer.failed


def test_unknown_fields_are_counted(stage: Any) -> None:
    instead(
        stage, answer_of([point(at(8), total_cap=1) | {"novelty": 1}, point(at(8, 5), total_cap=1) | {"novelty": 2}])
    )
    answer = read_history(stage)
    assert answer.unknown == {"novelty": 2}
    assert answer.rows.height == 2


@pytest.mark.parametrize("clock", [None, "now", 10**18])
def test_a_snapshot_without_a_readable_clock_is_refused(stage: Any, clock: object) -> None:
    item = {"devId": int(PV6), "dataItemMap": {"total_cap": 1.0, "run_state": 1}}
    instead(stage, answer_of([item], params={"currentTime": clock}), "/getDevRealKpi")
    with stage.open("fusionsolar") as source:
        answer = stage.read(source, at(10), NOW, (PV6, "production"))
    assert "currentTime" in str(answer.failed[PV6])
