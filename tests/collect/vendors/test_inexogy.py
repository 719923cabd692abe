"""inexogy as a source: registers in Wh at quarter hours, and what becomes of answers that aren't as agreed."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from pipelines.collect.source import Answer
from pipelines.collect.vendors.inexogy import VENDOR, parse_meters, parse_points, points_frame
from pipelines.errors import AccountStopped, AuthenticationError, SourceError, SourceUnavailable
from pipelines.sandbox.clouds.defects import Hole, Negative, Offline, Reset
from pipelines.sandbox.clouds.demo import assignments
from pipelines.sandbox.clouds.faults import CloudFault, CloudRule
from pipelines.sandbox.clouds.fleet import Fleet, Unit
from pipelines.sandbox.demo_community import demo_assets, power_kw

QUARTER = timedelta(minutes=15)
FIRST = datetime(2016, 10, 28, 20, tzinfo=UTC)
"""Start of the demo's data."""

SIX = datetime(2016, 10, 29, 6, tzinfo=UTC)
METERS = [assignments()[f"Load {number}"][1] for number in (1, 2, 3, 4)]
METER = METERS[0]
IMPORT = (METER, "import")


def profile_wh(name: str, start: datetime, quarters: int) -> list[float]:
    """What the demo's asset used in each quarter hour, from its power."""
    column = next(asset.simbench_id for asset in demo_assets() if asset.name == name)
    number = (start - FIRST) // QUARTER
    return [power * 250 for power in power_kw()[column].to_list()[number : number + quarters]]


def states(answer: Answer, device: str = METER, register: str = "import") -> dict[datetime, float | None]:
    rows = answer.rows.filter(pl.col("meter") == device, pl.col("register") == register)
    return dict(rows.select("stamp", "value").iter_rows())


def answer_with(stage: Any, points: object, *, times: int | None = None, path: str = "/readings") -> None:
    body = points if isinstance(points, str) else json.dumps(points)
    stage.world.faults.replace([CloudRule(do=CloudFault.REPLACE, path=path, body=body, times=times)])


def point(at: datetime, **values: object) -> dict[str, object]:
    return {"time": round(at.timestamp() * 1000), "values": values}


def asked(stage: Any, template: str) -> int:
    return sum(entry["template"].endswith(template) for entry in stage.world.journal.entries("inexogy"))


def test_documented_answer_in_watt_hours(recorded: Callable[[str], bytes]) -> None:
    points = parse_points(json.loads(recorded("inexogy/readings.json")), ["import", "export"])
    frame = points_frame({"m": points})
    first = datetime(2018, 1, 3, 0, tzinfo=UTC)
    told = frame.filter(pl.col("register") == "import")
    assert told["stamp"].to_list() == [first + n * QUARTER for n in range(5)]
    assert told["value"][0] == pytest.approx(523_732.753889, abs=1e-9), "523.7 kWh, by the vendor's 1e-10 kWh"
    assert frame.filter(pl.col("register") == "export")["value"].to_list() == [0, 0, 0.125, 4.00175, 4.00175]
    assert frame["unit"].unique().to_list() == ["Wh"]
    assert frame["stamp_end"].null_count() == len(frame), "registers last for no span"
    assert not points.unknown


def test_documented_meters(recorded: Callable[[str], bytes]) -> None:
    meters = list(parse_meters(json.loads(recorded("inexogy/meters.json"))).values())
    assert [meter.newest for meter in meters] == [
        datetime(2018, 1, 3, 0, 59, 56, 943_000, tzinfo=UTC),
        None,
        datetime(2018, 1, 3, 0, 57, tzinfo=UTC),
    ]
    assert [meter.registers for meter in meters] == [("import", "export"), ("import", "export"), ()]
    assert meters[0].name == "EASYMETER 1ESY1161229886 electricity"


def test_registers_at_both_ends_of_the_window(stage: Any) -> None:
    with stage.open("inexogy") as source:
        answer = stage.read(source, SIX, SIX + timedelta(hours=1), IMPORT, (METER, "export"))
    told = states(answer)
    assert {SIX + n * QUARTER for n in range(5)} <= told.keys()
    energies = [told[SIX + (n + 1) * QUARTER] - told[SIX + n * QUARTER] for n in range(4)]
    assert energies == pytest.approx(profile_wh("Load 1", SIX, 4), abs=1e-6)
    assert set(states(answer, register="export").values()) == {0.0}
    assert (answer.failed, dict(answer.unknown), asked(stage, "/readings")) == ({}, {}, 1)


def test_end_of_summer_time_is_four_quarters_an_hour_like_any(stage: Any) -> None:
    start, end = datetime(2016, 10, 30, 0, tzinfo=UTC), datetime(2016, 10, 30, 3, tzinfo=UTC)
    stage.clock.set(end + timedelta(hours=1))
    with stage.open("inexogy") as source:
        told = states(stage.read(source, start, end, IMPORT))
    assert {start + n * QUARTER for n in range(13)} <= told.keys()
    assert told[end] - told[start] == pytest.approx(sum(profile_wh("Load 1", start, 12)), abs=1e-6)


def test_every_meter_counts_the_energy_of_the_whole_data(stage: Any) -> None:
    end = datetime(2016, 10, 30, 23, tzinfo=UTC)
    stage.clock.set(end)
    with stage.open("inexogy", live=False) as source:
        answer = stage.read(source, FIRST, end, *((meter, "import") for meter in METERS))
    for number, meter in enumerate(METERS, start=1):
        told = states(answer, meter)
        used_wh = sum(profile_wh(f"Load {number}", FIRST, 204))
        assert told[end] - told[FIRST] == pytest.approx(used_wh, rel=1e-9), meter
        assert len(told) == 205
    assert asked(stage, "/readings") == 4, "one request for each meter"


def test_longest_window_is_one_request_that_the_vendor_takes(stage: Any) -> None:
    end = stage.clock.now()
    with stage.open("inexogy", live=False) as source:
        answer = stage.read(source, end - VENDOR.longest_window, end, IMPORT)
    assert answer.failed == {}
    assert (min(states(answer)), max(states(answer))) == (FIRST, end)
    assert asked(stage, "/readings") == 1


def test_nothing_is_asked_of_the_time_to_come(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    queries: list[dict[str, Any]] = []
    with stage.open("inexogy") as source:
        http = source._account.http
        get = http.get
        monkeypatch.setattr(http, "get", lambda path, **rest: (queries.append(rest["params"]), get(path, **rest))[1])
        stage.read(source, SIX, stage.clock.now(), IMPORT)
    (query,) = queries
    assert query["to"] == stage.clock.now().timestamp() * 1000
    assert query["from"] == (SIX - QUARTER).timestamp() * 1000, "one point before"


def test_meter_that_the_account_does_not_have(stage: Any) -> None:
    with stage.open("inexogy") as source:
        answer = stage.read(source, SIX, SIX + QUARTER, ("sold", "import"), IMPORT)
    assert answer.failed.keys() == {"sold"}
    assert isinstance(answer.failed["sold"], SourceError)
    message = str(answer.failed["sold"])
    for part in ("source 'acc'", "meter sold", "2016-10-29 06:00", "2016-10-29 06:15 UTC", *METERS):
        assert part in message
    assert SIX in states(answer), "the others go on"


@pytest.mark.parametrize("register", ["production", ""])
def test_register_that_no_meter_has(stage: Any, register: str) -> None:
    with stage.open("inexogy") as source:
        answer = stage.read(source, SIX, SIX + QUARTER, (METER, register), IMPORT, (METERS[1], register))
    assert answer.failed.keys() == {METER, METERS[1]}
    message = str(answer.failed[METERS[1]])
    assert f"no register '{register}'" in message
    assert "import, export" in message
    assert SIX in states(answer), "what the meter has is read"


def test_one_way_meter_has_no_export(stage: Any) -> None:
    one_way = Unit(
        device="one-way",
        name="Flat",
        kind="meter",
        site="home",
        rated_power_kw=5,
        energy_wh={"import": [100.0] * 8},
        first=SIX,
    )
    stage.world.fleet = Fleet({"inexogy": (one_way,)})
    with stage.open("inexogy") as source:
        (device,) = source.devices()
        answer = stage.read(source, SIX, SIX + QUARTER, ("one-way", "import"), ("one-way", "export"))
    assert device.registers == ("import",)
    assert "no register 'export'" in str(answer.failed["one-way"])
    assert str(answer.failed["one-way"]).endswith("the meter has: import")
    told = states(answer, "one-way")
    assert told[SIX + QUARTER] - told[SIX] == pytest.approx(100)
    assert states(answer, "one-way", "export") == {}


def test_gas_meter_is_listed_and_not_read(stage: Any, recorded: Callable[[str], bytes]) -> None:
    gas = "7b6f0d2c55d34e0f9a3be1f9c2d40a77"
    listed = CloudRule(do=CloudFault.REPLACE, path="/meters", body=recorded("inexogy/meters.json").decode())
    electric = CloudRule(do=CloudFault.REPLACE, path="/field_names", body='["energy","energyOut","power"]', times=2)
    named = CloudRule(do=CloudFault.REPLACE, path="/field_names", body='["volume","actualityDuration"]')
    told = CloudRule(
        do=CloudFault.REPLACE, path="/readings", body=recorded("inexogy/readings_gas.json").decode(), times=1
    )
    stage.world.faults.replace([listed, electric, named, told])
    with stage.open("inexogy") as source:
        assert [device.registers for device in source.devices()] == [("import", "export")] * 2 + [()]
        answer = stage.read(source, SIX, SIX + QUARTER, (gas, "import"))
        refused = stage.read(source, SIX, SIX + QUARTER, (gas, "import"))
    assert "no register 'import'" in str(answer.failed[gas])
    assert (answer.rows.is_empty(), dict(answer.unknown)) == (True, {})
    assert "no meter of electricity (RLM 7ELS0820014711 gas)" in str(refused.failed[gas])


def test_devices_with_their_newest_reading(stage: Any) -> None:
    with stage.open("inexogy") as source:
        devices = source.devices()
    assert [device.device for device in devices] == METERS
    assert all(device.registers == ("import", "export") for device in devices)
    assert all(device.newest == stage.clock.now() for device in devices)


def test_refused_login_stops_the_account_and_tells_no_secret(stage: Any) -> None:
    with pytest.raises(AuthenticationError) as refused, stage.open("inexogy", secret="guessed-wrong") as source:
        stage.read(source, SIX, SIX + QUARTER, *((meter, "import") for meter in METERS))
    assert "e-mail address or password is wrong" in str(refused.value)
    for secret in ("guessed-wrong", "bWU6Z3Vlc3NlZC13cm9uZw=="):
        assert secret not in f"{refused.value!r} {refused.value} {refused.value.__context__!r}"
    before = asked(stage, "/readings")
    with pytest.raises(AccountStopped, match="slotfeed sources resume acc"), stage.open("inexogy"):
        pass
    assert asked(stage, "/readings") == before


def test_login_revoked_in_mid_run_ends_the_window(stage: Any) -> None:
    with stage.open("inexogy") as source:
        assert not stage.read(source, SIX, SIX + QUARTER, IMPORT).rows.is_empty()
        stage.world.secret = "changed"
        with pytest.raises(AuthenticationError, match="readings of meter"):
            stage.read(source, SIX, SIX + QUARTER, IMPORT)


def test_reason_in_plain_text_is_told(stage: Any) -> None:
    stage.world.faults.replace([CloudRule(do=CloudFault.STATUS, path="/readings", status=400, times=1)])
    with stage.open("inexogy") as source:
        answer = stage.read(source, SIX, SIX + QUARTER, IMPORT)
    assert "answered 400: The sandbox was told to answer 400." in str(answer.failed[METER])


@pytest.mark.parametrize(
    "fault",
    [
        {"do": "html"},
        {"do": "status", "status": 502},
        {"do": "status", "status": 429, "retry_after": "3"},
        {"do": "truncate"},
        {"do": "reset"},
        {"do": "replace", "body": '[{"time":1477720800000,"valu'},
    ],
)
def test_one_bad_answer_is_asked_again(stage: Any, fault: dict[str, Any]) -> None:
    stage.world.faults.replace([CloudRule(path="/readings", times=1, **fault)])
    with stage.open("inexogy") as source:
        answer = stage.read(source, SIX, SIX + QUARTER, IMPORT)
    assert SIX in states(answer)
    assert (answer.failed, len(stage.waits)) == ({}, 1)
    if "retry_after" in fault:
        assert 3 <= stage.waits[0] < 9, "what was asked for, and some jitter"


def test_outage_of_one_meter_leaves_the_others(stage: Any) -> None:
    stage.world.faults.replace([CloudRule(do=CloudFault.HTML, path="/readings", times=4)])
    with stage.open("inexogy") as source:
        lost = stage.read(source, SIX, SIX + QUARTER, IMPORT)
        assert isinstance(lost.failed[METER], SourceUnavailable)
        assert "a web page came" in str(lost.failed[METER])
        assert "readings of meter" in str(lost.failed[METER])
        assert SIX in states(stage.read(source, SIX, SIX + QUARTER, IMPORT))


def test_too_many_requests_without_a_word_when_stop_the_account(stage: Any) -> None:
    stage.world.faults.replace([CloudRule(do=CloudFault.STATUS, path="/readings", status=429)])
    with stage.open("inexogy") as source, pytest.raises(AccountStopped, match="429"):
        stage.read(source, SIX, SIX + QUARTER, *((meter, "import") for meter in METERS))
    assert stage.waits == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("false", "no list of readings"),
        ("{}", "no list of readings"),
        ('"nothing"', "no list of readings"),
        ("[1]", "no list of readings"),
        ('[{"values":{"energy":1}}]', "'time'"),
        ('[{"time":"1477720800000","values":{"energy":1}}]', "'time'"),
        ('[{"time":true,"values":{"energy":1}}]', "'time'"),
        ('[{"time":9000000000000000000,"values":{"energy":1}}]', "'time'"),
        ('[{"time":1477720800000}]', "no 'values'"),
        ('[{"time":1477720800000,"values":[]}]', "no 'values'"),
        ('[{"time":1477720800000,"values":{"energy":"12"}}]', "'energy' isn't a number"),
        ('[{"time":1477720800000,"values":{"energy":false}}]', "'energy' isn't a number"),
        ('[{"time":1477720800000,"values":{"energy":{}}}]', "'energy' isn't a number"),
    ],
)
def test_wrong_types_fail_the_meter_and_are_kept(stage: Any, body: str, problem: str) -> None:
    answer_with(stage, body, times=1)
    with stage.open("inexogy") as source:
        answer = stage.read(source, SIX, SIX + QUARTER, IMPORT)
        (kept,) = (stage.folder / ".slotfeed" / "unreadable").iterdir()
        healed = stage.read(source, SIX, SIX + QUARTER, IMPORT)
    assert isinstance(answer.failed[METER], SourceError)
    assert problem in str(answer.failed[METER])
    assert str(kept) in str(answer.failed[METER])
    assert json.loads(kept.read_text()) == json.loads(body)
    assert answer.rows.is_empty()
    assert SIX in states(healed)


def test_new_fields_are_counted_and_do_no_harm(stage: Any) -> None:
    points = [{**point(SIX + n * QUARTER, energy=10**12, energyNew=1, power=0), "flags": 0} for n in range(3)]
    answer_with(stage, points, times=1)
    with stage.open("inexogy") as source:
        answer = stage.read(source, SIX, SIX + 2 * QUARTER, IMPORT)
    assert dict(answer.unknown) == {"energyNew": 3, "flags": 3}
    assert list(states(answer).values()) == [100_000.0] * 3
    assert answer.failed == {}


def test_null_and_left_out_are_no_zero(stage: Any) -> None:
    points = [point(SIX, energy=10**10), point(SIX + QUARTER, energy=None), point(SIX + 2 * QUARTER)]
    answer_with(stage, points, times=1)
    with stage.open("inexogy") as source:
        answer = stage.read(source, SIX, SIX + 2 * QUARTER, IMPORT)
    assert list(states(answer).values()) == [1000.0, None, None]


def test_points_that_disagree_and_absurd_ones_are_passed_on(stage: Any) -> None:
    """What is absurd, validation judges, and it can only judge what it gets."""
    future = SIX + timedelta(days=400)
    told = [(SIX, 10**10), (SIX, 2 * 10**10), (SIX + QUARTER, 10**19), (SIX + 2 * QUARTER, -5), (future, 3 * 10**10)]
    answer_with(stage, [point(at, energy=energy) for at, energy in told], times=1)
    with stage.open("inexogy") as source:
        answer = stage.read(source, SIX, SIX + 2 * QUARTER, IMPORT)
    assert answer.rows.select("stamp", "value").rows() == [
        (SIX, 1000.0),
        (SIX, 2000.0),
        (SIX + QUARTER, 1e12),
        (SIX + 2 * QUARTER, -5e-7),
        (future, 3000.0),
    ], "10**19 of the vendor's units are 1e9 kWh"


@pytest.mark.parametrize(
    "rule",
    [CloudRule(do=CloudFault.EMPTY, path="/readings"), CloudRule(do=CloudFault.REPLACE, path="/readings", body="[]")],
)
def test_no_body_is_no_data(stage: Any, rule: CloudRule) -> None:
    stage.world.faults.replace([rule])
    with stage.open("inexogy") as source:
        answer = stage.read(source, SIX, SIX + QUARTER, IMPORT)
    assert answer.rows.is_empty()
    assert answer.failed == {}
    assert asked(stage, "/readings") == 1


def test_cut_answer_is_continued(stage: Any) -> None:
    cut = [point(SIX + n * QUARTER, energy=n) for n in range(3)]
    answer_with(stage, cut, times=1)
    with stage.open("inexogy") as source:
        answer = stage.read(source, SIX, SIX + timedelta(hours=3), IMPORT, (METERS[1], "import"))
    assert set(states(answer)) >= {SIX + n * QUARTER for n in range(13)}
    assert set(states(answer, METERS[1])) >= {SIX + n * QUARTER for n in range(13)}
    assert (answer.failed, asked(stage, "/readings")) == ({}, 3)


def test_answer_that_stays_short_leaves_the_rest_due(stage: Any) -> None:
    answer_with(stage, [point(SIX + n * QUARTER, energy=n) for n in range(3)])
    with stage.open("inexogy") as source:
        answer = stage.read(source, SIX, SIX + timedelta(hours=3), IMPORT)
    assert max(states(answer)) == SIX + 2 * QUARTER
    assert (answer.failed, asked(stage, "/readings")) == ({}, 2)


def test_list_of_meters_that_fails_hides_no_reading(stage: Any) -> None:
    stage.world.faults.replace(
        [
            CloudRule(do=CloudFault.REPLACE, path="/readings", body=json.dumps([point(SIX, energy=7)]), times=1),
            CloudRule(do=CloudFault.REPLACE, path="/meters", body='{"meters":[]}'),
        ]
    )
    with stage.open("inexogy") as source:
        answer = stage.read(source, SIX, SIX + timedelta(hours=3), IMPORT)
        with pytest.raises(SourceError, match="no list of meters"):
            source.devices()
    assert list(states(answer)) == [SIX]
    assert answer.failed == {}


def test_meter_that_is_offline_is_not_asked_twice(stage: Any) -> None:
    stage.world.fleet.replace_defects([Offline(what="offline", device=METER, start=SIX, end=SIX + timedelta(days=1))])
    with stage.open("inexogy") as source:
        answer = stage.read(source, SIX - QUARTER, stage.clock.now(), IMPORT)
    assert list(states(answer)) == [SIX - QUARTER - QUARTER, SIX - QUARTER, SIX]
    assert (answer.failed, asked(stage, "/readings")) == ({}, 1)


def test_holes_resets_and_falls_come_as_the_meter_tells_them(stage: Any) -> None:
    stage.world.fleet.replace_defects(
        [
            Hole(what="hole", device=METER, start=SIX, end=SIX + timedelta(minutes=45)),
            Reset(what="reset", device=METERS[1], at=SIX, to_wh=250),
            Negative(what="negative", device=METERS[2], at=SIX, wh=-2.5),
        ]
    )
    with stage.open("inexogy") as source:
        wanted = [(meter, "import") for meter in METERS[:3]]
        answer = stage.read(source, SIX, SIX + timedelta(hours=1), *wanted)
    holed, reset, fallen = (states(answer, meter) for meter in METERS[:3])
    assert SIX + QUARTER not in holed
    assert SIX + 2 * QUARTER not in holed
    assert holed[SIX + 3 * QUARTER] - holed[SIX] == pytest.approx(sum(profile_wh("Load 1", SIX, 3)), abs=1e-6)
    assert reset[SIX] == 250
    assert fallen[SIX + QUARTER] - fallen[SIX] == pytest.approx(-2.5, abs=1e-6)


def test_own_limit_ends_a_live_run_and_holds_up_a_backfill(stage: Any) -> None:
    wanted = [(meter, "import") for meter in METERS]
    with stage.open("inexogy", limits={"requests": 3}) as source:
        answer = stage.read(source, SIX, SIX + QUARTER, *wanted)
    assert answer.rows["meter"].n_unique() == 3, "what was paid for is kept"
    (stopped,) = answer.failed.values()
    assert isinstance(stopped, AccountStopped)
    assert asked(stage, "/readings") == 3
    with (
        pytest.raises(AccountStopped, match="budget of requests is spent"),
        stage.open("inexogy", limits={"requests": 3}),
    ):
        pass
    stage.clock.set(stage.clock.now() + timedelta(hours=1))
    with stage.open("inexogy", live=False, limits={"requests": 3}) as source:
        answer = stage.read(source, SIX, SIX + QUARTER, *wanted)
    assert answer.rows["meter"].n_unique() == 4
    assert sum(stage.waits) >= 300, "three at once, the fourth when five minutes have passed"
