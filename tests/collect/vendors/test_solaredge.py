"""SolarEdge as a source: recorded answers, and real HTTP to the emulator."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import polars as pl
import pytest

from pipelines.collect.vendors.solaredge import parse_series, rows_of, unknown_fields, with_darkness
from pipelines.errors import AccountStopped, AuthenticationError, SourceError, SourceUnavailable
from pipelines.sandbox.clouds.defects import Hole, Offline, Spike
from pipelines.sandbox.clouds.demo import assignments
from pipelines.sandbox.clouds.faults import CloudFault, CloudRule
from pipelines.sandbox.clouds.fleet import Fleet, Unit
from pipelines.sandbox.clouds.serve import in_thread
from pipelines.sandbox.clouds.world import World
from pipelines.sandbox.demo_community import demo_assets, power_kw

SITE = assignments()["PV 1"][1]
OTHER = assignments()["PV 2"][1]
QUARTER = timedelta(minutes=15)
FIRST = datetime(2016, 10, 28, 20, tzinfo=UTC)
"""Of the demo's data."""

DAWN = datetime(2016, 10, 29, 4, tzinfo=UTC)
PATH = "/sites/{site}/energy"


def at(hour: int, minute: int = 0, day: int = 29) -> datetime:
    return datetime(2016, 10, day, hour, minute, tzinfo=UTC)


def demo_wh(start: datetime, end: datetime, name: str = "PV 1") -> list[float]:
    """The plant's energy of each quarter hour, from the profile itself."""
    column = next(asset.simbench_id for asset in demo_assets() if asset.name == name)
    return [250 * kw for kw in power_kw()[column].to_list()[(start - FIRST) // QUARTER : (end - FIRST) // QUARTER]]


def values(rows: pl.DataFrame, device: str = SITE, register: str = "production") -> dict[datetime, float | None]:
    own = rows.filter((pl.col("meter") == device) & (pl.col("register") == register)).sort("stamp")
    assert own["stamp"].is_unique().all()
    return dict(own.select("stamp", "value").iter_rows())


def asked(stage: Any, part: str = "/energy") -> int:
    return sum(part in entry["path"] for entry in stage.world.journal.entries("solaredge"))


def disturb(stage: Any, do: CloudFault, path: str = "/energy", **how: Any) -> None:
    stage.world.faults.replace([CloudRule(do=do, path=path, **how)])


# The recorded day


@pytest.fixture
def day(recorded: Callable[[str], bytes]) -> dict[str, Any]:
    return json.loads(recorded("solaredge/energy.json"))


def test_energy_of_the_recorded_day_is_the_overviews(day: dict[str, Any], recorded: Callable[[str], bytes]) -> None:
    rows = rows_of([parse_series(day, "1", "production")])
    told = [point for point in day["values"] if point["value"] is not None]
    assert json.loads(recorded("solaredge/overview.json"))["production"]["total"] == 26_290.0
    assert rows["value"].sum() == 26_290.0, "nothing lost, nothing doubled"
    assert len(told) == 44
    assert rows["value"].null_count() == len(day["values"]) - len(told) == 25
    assert set(rows["unit"]) == {"Wh"}
    first = rows.filter(pl.col("value").is_not_null()).row(0, named=True)
    assert first["stamp"] == datetime(2026, 8, 24, 5, tzinfo=UTC), "06:00+01:00 is the start of its quarter hour"
    assert first["stamp_end"] == datetime(2026, 8, 24, 5, 15, tzinfo=UTC)
    newest = rows.row(-1, named=True)
    assert newest["stamp"] == datetime(2026, 8, 24, 16, tzinfo=UTC)
    assert newest["value"] is None, "the bucket that had just begun"


def test_integrated_power_would_be_another_number(day: dict[str, Any], recorded: Callable[[str], bytes]) -> None:
    power = json.loads(recorded("solaredge/power.json"))["values"]
    assert sum(point["value"] or 0 for point in power) / 4 == pytest.approx(25_909, abs=1), "not 26,290"


def test_fraction_and_zone_forms_of_stamps() -> None:
    stamps = ["2026-08-24T17:05:45.016061916+01:00", "2026-08-24T16:00:00Z", "2016-10-30T02:00:00+02:00"]
    told = {"unit": "WH", "values": [{"timestamp": stamp, "value": 1} for stamp in stamps]}
    assert rows_of([parse_series(told, "1", "production")])["stamp"].to_list() == [
        datetime(2026, 8, 24, 16, 5, 45, 16061, tzinfo=UTC),
        datetime(2026, 8, 24, 16, tzinfo=UTC),
        datetime(2016, 10, 30, 0, tzinfo=UTC),
    ]


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"unit": "WH", "values": False}, "False where the list"),
        ({"unit": "WH", "values": {"timestamp": "x", "value": 1}}, "where the list"),
        ({"unit": "WH", "values": [[1477720800, 3.0]]}, "no {timestamp, value}"),
        ({"unit": "WH", "values": [{"timestamp": "2026-08-24T00:00:00Z"}]}, "no {timestamp, value}"),
        ({"unit": "WH", "values": [{"timestamp": "2026-08-24T00:00:00Z", "value": "12"}]}, "a value is str"),
        ({"unit": "WH", "values": [{"timestamp": "2026-08-24T00:00:00Z", "value": True}]}, "a value is bool"),
        ({"unit": "WH", "values": [{"timestamp": 1477720800, "value": 1}]}, "a timestamp is int"),
        ({"unit": "JOULE", "values": []}, "unit 'JOULE' is unknown"),
        ({"values": []}, "unit None is unknown"),
        ({"title": "Forbidden", "detail": "no scope"}, "an error instead of data: Forbidden no scope"),
        ([], r"\[\] where an object was due"),
        (None, "None where an object was due"),
    ],
)
def test_wrong_forms_say_what_is_wrong(told: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_series(told, "1", "production")


def test_unknown_fields_are_counted_by_name(recorded: Callable[[str], bytes]) -> None:
    for known in ("energy", "meters_telemetry", "storage_telemetry"):
        assert not unknown_fields(json.loads(recorded(f"solaredge/{known}.json")))
    told = {"unit": "WH", "mood": 1, "values": [{"timestamp": "t", "value": 1, "state": "E"}] * 3}
    assert unknown_fields(told) == {"mood": 1, "state": 3}
    meters = {"meters": {"m": {"importEnergy": told, "importSmell": [7]}}}
    assert unknown_fields(meters) == {"mood": 1, "state": 3, "importSmell": 1}


def test_own_values_beat_the_substitute_and_nulls_by_day_stay() -> None:
    stamps = [f"2016-10-29T{time}:00Z" for time in ("02:00", "02:15", "07:00")]
    told = {
        "unit": "WH",
        "values": [{"timestamp": t, "value": v} for t, v in zip(stamps, (2.0, None, None), strict=True)],
    }
    rows = with_darkness(rows_of([parse_series(told, "1", "production")]), ["1"], [at(2), at(2, 15), at(2, 30)])
    assert values(rows, "1") == {at(2): 2.0, at(2, 15): 0.0, at(2, 30): 0.0, at(7): None}
    assert dict(rows.select("stamp", "quality").iter_rows()) == {
        at(2): None,
        at(2, 15): "SUBSTITUTED",
        at(2, 30): "SUBSTITUTED",
        at(7): None,
    }


# A site


def test_energy_of_a_site_by_day(stage: Any) -> None:
    with stage.open("solaredge") as source:
        answer = stage.read(source, at(7), at(10), (SITE, "production"), (OTHER, "production"))
    expected = demo_wh(at(7), at(10))
    assert list(values(answer.rows)) == [at(7) + n * QUARTER for n in range(12)], "no leak of the bucket from 10:00"
    assert list(values(answer.rows).values()) == pytest.approx(expected)
    assert sum(expected) > 0
    assert list(values(answer.rows, OTHER).values()) == pytest.approx(demo_wh(at(7), at(10), "PV 2"))
    assert not answer.failed
    assert not answer.unknown
    assert asked(stage) == 2, "one request a site"


def test_night_costs_no_request(stage: Any) -> None:
    with stage.open("solaredge") as source:
        answer = stage.read(source, at(20, day=28), at(4), (SITE, "production"))
    assert values(answer.rows) == {at(20, day=28) + n * QUARTER: 0.0 for n in range(32)}
    assert set(answer.rows["quality"]) == {"SUBSTITUTED"}
    assert set(answer.rows["unit"]) == {"Wh"}
    assert not stage.world.journal.entries()


def test_a_window_across_dawn_asks_for_its_light_part(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    original = httpx.Client.build_request
    monkeypatch.setattr(
        httpx.Client, "build_request", lambda *a, **k: seen.append(str(k.get("params"))) or original(*a, **k)
    )
    with stage.open("solaredge") as source:
        answer = stage.read(source, at(0), at(10), (SITE, "production"))
    told = answer.rows.sort("stamp")
    # In Berlin the sun rose at 5:52 UTC that day and was 3 degrees below the horizon some 20 minutes before.
    dark = told.filter(pl.col("quality") == "SUBSTITUTED")
    assert at(5) <= dark["stamp"].max() < at(5, 45)
    assert f"'from': '{(dark['stamp'].max() + QUARTER).isoformat()}'" in seen[0]
    assert "'to': '2016-10-29T09:59:59+00:00'" in seen[0]
    assert len(told) == 40
    light = (dark["stamp"].max() + QUARTER, at(10))
    assert told["value"].sum() == pytest.approx(sum(demo_wh(*light)))
    assert asked(stage) == 1


def test_without_a_place_nothing_is_taken_for_dark(stage: Any) -> None:
    with stage.open("solaredge", place=None) as source:
        answer = stage.read(source, at(0), at(4), (SITE, "production"))
    assert set(values(answer.rows).values()) == {None}, "the inverter sleeps: no value, which isn't 0"
    assert asked(stage) == 1


def test_across_the_end_of_summer_time(stage: Any) -> None:
    stage.clock.set(at(12, day=30))
    with stage.open("solaredge", place=None) as source:
        answer = stage.read(source, at(0, day=30), at(3, day=30), (SITE, "production"))
    assert list(values(answer.rows)) == [at(0, day=30) + n * QUARTER for n in range(12)], "02:00 to 02:45 twice"


def test_both_days_add_up_to_the_plants_own_energy(stage: Any) -> None:
    stage.clock.set(at(23, 30, day=30))
    total_wh, start = 0.0, FIRST
    # By the sun, that is: the profile has 264 Wh from 5:15 on, with the sun 7 degrees below the horizon.
    with stage.open("solaredge", live=False, place=None) as source:
        while start < at(23, day=30):
            end = min(start + source.longest_window, at(23, day=30))
            total_wh += stage.read(source, start, end, (SITE, "production")).rows["value"].sum()
            start = end
    assert total_wh == pytest.approx(sum(demo_wh(FIRST, at(23, day=30))), rel=1e-9)


def test_newest_buckets_come_without_a_value(stage: Any) -> None:
    stage.clock.set(at(10, 5))
    with stage.open("solaredge") as source:
        told = values(stage.read(source, at(9), at(10, 5), (SITE, "production")).rows)
    assert list(told) == [at(9), at(9, 15), at(9, 30), at(9, 45)]
    assert told[at(9, 45)] is None
    assert None not in [told[at(9)], told[at(9, 15)], told[at(9, 30)]]


def test_late_data_are_null_until_the_gateway_is_back(stage: Any) -> None:
    stage.world.fleet.replace_defects([Offline(what="offline", device=SITE, start=at(8), end=at(10, 30))])
    with stage.open("solaredge") as source:
        stage.clock.set(at(10, 20))
        before = values(stage.read(source, at(7, 30), at(9), (SITE, "production")).rows)
        stage.clock.set(at(10, 40))
        after = values(stage.read(source, at(7, 30), at(9), (SITE, "production")).rows)
    assert list(before.values())[2:] == [None] * 4
    assert list(after.values()) == pytest.approx(demo_wh(at(7, 30), at(9)))


def test_holes_and_absurd_values_are_passed_on(stage: Any) -> None:
    stage.world.fleet.replace_defects(
        [
            Hole(what="hole", device=SITE, start=at(8), end=at(8, 30)),
            Spike(what="spike", device=SITE, at=at(9), factor=1e7),
        ]
    )
    with stage.open("solaredge") as source:
        told = values(stage.read(source, at(8), at(10), (SITE, "production")).rows)
    assert told[at(8)] is told[at(8, 15)] is None
    assert told[at(9)] == pytest.approx(1e7 * demo_wh(at(9), at(9, 15))[0])


# Bad answers


def replaced(stage: Any, told: Any) -> None:
    disturb(stage, CloudFault.REPLACE, body=told if isinstance(told, str) else json.dumps(told))


def energy(*points: tuple[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "unit": "WH",
        "resolution": "QUARTER_HOUR",
        "values": [{"timestamp": t, "value": v} for t, v in points],
    } | more


def test_points_that_disagree_and_stamps_from_the_future_are_passed_on(stage: Any) -> None:
    told = [("2016-10-29T10:00:00+02:00", 1.0), ("2016-10-29T10:00:00+02:00", 2.0), ("2031-01-01T00:00:00Z", 1e12)]
    replaced(stage, energy(*told))
    with stage.open("solaredge") as source:
        answer = stage.read(source, at(8), at(8, 45), (SITE, "production"))
    assert {1.0, 2.0, 1e12} <= set(answer.rows["value"])
    assert set(answer.rows["stamp"]) == {at(8), datetime(2031, 1, 1, tzinfo=UTC)}


@pytest.mark.parametrize(
    "told",
    [
        {"unit": "WH", "values": False},
        {"title": "Unknown error", "status": 200},
        [],
        energy(("29.10.2016 10:00", 1.0)),
        energy(("2016-10-29T10:00:00", 1.0)),
        energy(("2016-10-29T10:00:00Z", 1.0), resolution="HOUR"),
    ],
)
def test_an_answer_of_another_form_fails_its_site_alone(stage: Any, told: Any) -> None:
    disturb(stage, CloudFault.REPLACE, f"/{SITE}/energy", body=json.dumps(told))
    with stage.open("solaredge") as source:
        answer = stage.read(source, at(8), at(9), (SITE, "production"), (OTHER, "production"))
    assert set(answer.failed) == {SITE}
    assert isinstance(answer.failed[SITE], SourceError)
    assert SITE in str(answer.failed[SITE])
    assert "'acc'" in str(answer.failed[SITE])
    assert "what came is kept in" in str(answer.failed[SITE])
    assert len(values(answer.rows, OTHER)) == 4


@pytest.mark.parametrize("do", [CloudFault.HTML, CloudFault.TRUNCATE, CloudFault.RESET, CloudFault.LOSE_REPLY])
def test_faults_of_the_way_are_tried_again(stage: Any, do: CloudFault) -> None:
    disturb(stage, do, f"/{SITE}/energy", times=1)
    with stage.open("solaredge") as source:
        answer = stage.read(source, at(8), at(9), (SITE, "production"))
    assert not answer.failed
    assert list(values(answer.rows).values()) == pytest.approx(demo_wh(at(8), at(9)))
    assert asked(stage) == 2


def test_a_web_page_that_stays_names_the_window(stage: Any) -> None:
    disturb(stage, CloudFault.HTML, f"/{SITE}/energy")
    with stage.open("solaredge") as source:
        error = stage.read(source, at(8), at(9), (SITE, "production")).failed[SITE]
    assert isinstance(error, SourceUnavailable)
    assert "2016-10-29 08:00 to 2016-10-29 09:00 UTC" in str(error)


def test_a_short_answer_is_asked_on_from_where_it_stopped(stage: Any) -> None:
    short = energy(("2016-10-29T08:00:00Z", 1.0), ("2016-10-29T08:15:00Z", 2.0))
    disturb(stage, CloudFault.REPLACE, body=json.dumps(short), times=1)
    with stage.open("solaredge") as source:
        answer = stage.read(source, at(8), at(9), (SITE, "production"))
    assert list(values(answer.rows).values()) == pytest.approx([1.0, 2.0, *demo_wh(at(8, 30), at(9))])
    assert asked(stage) == 2


def test_an_answer_that_stays_short_leaves_the_rest_due(stage: Any) -> None:
    replaced(stage, energy(("2016-10-29T08:00:00Z", 1.0)))
    with stage.open("solaredge") as source:
        answer = stage.read(source, at(8), at(9), (SITE, "production"))
    assert not answer.failed
    assert set(answer.rows["stamp"]) == {at(8)}
    assert asked(stage) == 2


# What there is


def test_devices_are_the_sites(stage: Any) -> None:
    with stage.open("solaredge") as source:
        devices = {device.device: device for device in source.devices()}
    assert set(devices) == {SITE, OTHER}
    assert devices[SITE].registers == ("production",)
    assert devices[SITE].name == "PV 1"


def test_a_site_that_the_account_has_not_fails_and_names_those_it_has(stage: Any) -> None:
    with stage.open("solaredge") as source:
        answer = stage.read(source, at(8), at(9), ("999", "production"), (SITE, "production"))
    assert set(answer.failed) == {"999"}
    said = str(answer.failed["999"])
    assert all(part in said for part in ("'acc'", "site 999", "404", SITE, OTHER, "08:00"))
    assert len(values(answer.rows)) == 4


@pytest.mark.parametrize("device", [SITE, "home"])
def test_a_register_that_no_site_has_is_not_asked_for(stage: Any, device: str) -> None:
    with stage.open("solaredge") as source:
        answer = stage.read(source, at(8), at(9), (device, "import"))
    assert "production" in str(answer.failed[device])
    assert not stage.world.journal.entries()


def test_403_fails_the_site_with_the_vendors_words(stage: Any) -> None:
    disturb(stage, CloudFault.STATUS, f"/{SITE}/energy", status=403)
    with stage.open("solaredge") as source:
        answer = stage.read(source, at(8), at(9), (SITE, "production"), (OTHER, "production"))
    assert "403" in str(answer.failed[SITE])
    assert len(values(answer.rows, OTHER)) == 4


# Key and limits


def test_the_key_stands_in_no_address_and_no_message(stage: Any) -> None:
    with (
        stage.open("solaredge", secret="wrong-key-77") as source,
        pytest.raises(AuthenticationError, match="401") as refused,
    ):
        stage.read(source, at(8), at(9), (SITE, "production"))
    assert "wrong-key-77" not in str(refused.value)
    assert asked(stage) == 1, "a refused key is not tried again"


def test_ten_a_minute_are_waited_for_without_a_429(stage: Any) -> None:
    with stage.open("solaredge") as source:
        for _ in range(11):
            stage.read(source, at(8), at(9), (SITE, "production"))
    assert {entry["status"] for entry in stage.world.journal.entries()} == {200}
    assert 55 < sum(stage.waits) < 70


def test_a_429_of_the_minute_is_waited_for(stage: Any) -> None:
    for _ in range(10):  # by somebody else who has the key
        httpx.get(f"{stage.url}/solaredge/v2/sites", headers={"X-API-Key": stage.world.secret})
    with stage.open("solaredge") as source:
        answer = stage.read(source, at(8), at(9), (SITE, "production"))
    assert [entry["status"] for entry in stage.world.journal.entries()][-2:] == [429, 200]
    assert sum(stage.waits) >= 60
    assert len(values(answer.rows)) == 4


def test_spent_credits_stop_the_account_until_the_next_month(stage: Any) -> None:
    httpx.put(f"{stage.url}/solaredge/v2/sandbox/plan", json={"per_month": 0})
    with stage.open("solaredge") as source, pytest.raises(AccountStopped, match="credits") as stopped:
        stage.read(source, at(8), at(9), (SITE, "production"))
    assert stopped.value.until == datetime(2016, 11, 1, tzinfo=UTC)
    assert not stage.waits
    assert asked(stage) == 1
    with pytest.raises(AccountStopped, match="2016-11-01"), stage.open("solaredge"):
        pass
    assert asked(stage) == 1


def test_a_retired_interface_stops_the_account(stage: Any) -> None:
    httpx.put(f"{stage.url}/solaredge/v2/sandbox/retired", params={"retired": True})
    with stage.open("solaredge") as source, pytest.raises(AccountStopped, match="retired"):
        stage.read(source, at(8), at(9), (SITE, "production"))


# Meters and batteries


@pytest.fixture
def home(stage: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The stage with another fleet: site 77 with a plant, a grid meter and a battery."""
    own = demo_wh(FIRST, at(23, day=30))

    def unit(device: str, kind: str, **energy_wh: list[float]) -> Unit:
        return Unit(
            device=device, name=device, kind=kind, site="77", rated_power_kw=5, energy_wh=energy_wh, first=FIRST
        )

    ramp = [float(number % 96) for number in range(len(own))]
    units = (
        unit("77", "pv", production=own),
        unit("M1", "meter", **{"import": ramp, "export": [0.0] * len(own)}),
        unit("B1", "battery", charge=[2 * wh for wh in ramp], discharge=[3 * wh for wh in ramp]),
    )
    world = World(fleet=Fleet({"solaredge": units}), clock=stage.clock, username="me", secret=stage.world.secret)
    with in_thread(world) as url:
        monkeypatch.setattr(stage, "world", world)
        monkeypatch.setattr(stage, "url", url)
        yield stage


ALL = (("77", "production"), ("77/M1", "import"), ("77/M1", "export"), ("77/B1", "charge"), ("77/B1", "discharge"))


def test_meters_and_batteries_of_a_site_take_one_request_each(home: Any) -> None:
    with home.open("solaredge") as source:
        answer = home.read(source, at(8), at(10), *ALL)
    assert not answer.failed
    assert not answer.unknown
    # 8:00 is the 48th quarter hour after 20:00.
    assert list(values(answer.rows, "77/M1", "import").values()) == [48.0 + n for n in range(8)]
    assert set(values(answer.rows, "77/M1", "export").values()) == {0.0}
    assert list(values(answer.rows, "77/B1", "charge").values()) == [2 * (48.0 + n) for n in range(8)]
    assert list(values(answer.rows, "77/B1", "discharge").values()) == [3 * (48.0 + n) for n in range(8)]
    assert [asked(home, part) for part in ("/energy", "/meters/", "/storage/")] == [1, 1, 1]


def test_only_what_is_wanted_is_asked_for(home: Any) -> None:
    with home.open("solaredge") as source:
        home.read(source, at(8), at(10), ("77/M1", "import"))
    assert [asked(home, part) for part in ("/energy", "/meters/", "/storage/")] == [0, 1, 0]


def test_with_a_battery_the_dark_is_no_zero(home: Any) -> None:
    with home.open("solaredge") as source:
        answer = home.read(source, at(0), at(2), ("77", "production"), ("77/B1", "charge"))
    assert set(values(answer.rows, "77").values()) == {None}
    assert asked(home) == 1


def test_a_meter_or_register_that_is_not_there_names_those_that_are(home: Any) -> None:
    with home.open("solaredge") as source:
        answer = home.read(source, at(8), at(9), ("77/M9", "import"), ("77/M1", "consumption"), ("77/M1", "import"))
    assert "77/M1" in str(answer.failed["77/M9"])
    assert "has no register 'consumption'; it has: import, export" in str(answer.failed["77/M1"])
    assert len(values(answer.rows, "77/M1", "import")) == 4


def test_devices_name_meters_and_batteries(home: Any) -> None:
    with home.open("solaredge") as source:
        found = {device.device: device.registers for device in source.devices()}
    assert found == {
        "77": ("production",),
        "77/M1": ("import", "export"),
        "77/B1": ("charge", "discharge"),
    }


def test_documented_telemetry(recorded: Callable[[str], bytes]) -> None:
    meters = json.loads(recorded("solaredge/meters_telemetry.json"))["meters"]
    rows = rows_of(
        [
            parse_series(meters["M-GRID"]["exportEnergy"], "1/M-GRID", "export"),
            parse_series(meters["M-PV"]["productionEnergy"], "1/M-PV", "production"),
        ]
    )
    assert rows.select("value", "unit").rows() == [
        (0.0, "Wh"),
        (310.0, "Wh"),
        (None, "Wh"),
        (0.25, "kWh"),
        (0.5, "kWh"),
        (None, "kWh"),
    ]
