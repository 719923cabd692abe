"""Victron VRM: flows of a site in quarter hours, summed to registers."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from pipelines.clock import FixedClock
from pipelines.collect.source import Answer
from pipelines.errors import AccountStopped, AuthenticationError, SourceError, SourceUnavailable
from pipelines.sandbox.clouds.defects import Offline
from pipelines.sandbox.clouds.demo import demo_fleet, grown_fleet
from pipelines.sandbox.clouds.faults import CloudRule
from pipelines.sandbox.clouds.serve import in_thread
from pipelines.sandbox.clouds.world import World
from pipelines.store import Store

HOME, BATTERY_HOME = "151007", "151012"
REGISTERS = ("production", "consumption", "import", "export", "charge", "discharge")
SECRET = "hush-hush-4711"
QUARTER = timedelta(minutes=15)


def at(hour: int, minute: int = 0, day: int = 29) -> datetime:
    return datetime(2016, 10, day, hour, minute, tzinfo=UTC)


def quarters(answer: Answer, device: str, register: str) -> dict[datetime, float | None]:
    """Start -> Wh."""
    own = answer.rows.filter(meter=device, register=register)
    assert set(own["unit"]) <= {"kWh"}
    assert (own["stamp_end"] - own["stamp"] == QUARTER).all()
    return {stamp: None if kwh is None else kwh * 1000 for stamp, kwh in own.select("stamp", "value").iter_rows()}


def measured(device: str, register: str, start: datetime, end: datetime) -> dict[datetime, float]:
    """What the fleet's own series says: quarter hours in Wh that lie in [start, end]."""
    unit = demo_fleet().unit("victron_vrm", device)
    assert unit is not None
    series = {unit.first + number * QUARTER: wh for number, wh in enumerate(unit.energy_wh[register])}
    return {stamp: wh for stamp, wh in series.items() if start <= stamp and stamp + QUARTER <= end}


def asked(stage: Any) -> Counter[str]:
    """Last part of the path -> requests."""
    return Counter(entry["path"].rpartition("/")[2] for entry in stage.world.journal.entries("victron_vrm"))


def instead(stage: Any, body: object, *, times: int | None = None, path: str = "/stats") -> None:
    """Let the vendor answer this."""
    text = body if isinstance(body, str) else json.dumps(body)
    stage.world.faults.replace(
        [CloudRule.model_validate({"do": "replace", "path": path, "body": text, "times": times})]
    )


def told(**series: object) -> dict[str, object]:
    return {"success": True, "records": series, "totals": {}}


MS = 1477724400000
"""2016-10-29 07:00 UTC."""


@pytest.mark.parametrize(
    ("device", "registers"), [(HOME, REGISTERS[:4]), (BATTERY_HOME, REGISTERS)], ids=["home", "home with battery"]
)
def test_every_register_is_the_energy_of_its_quarter_hours(stage: Any, device: str, registers: tuple[str, ...]) -> None:
    with stage.open("victron_vrm") as source:
        answer = stage.read(source, at(0), at(11), *[(device, register) for register in registers])
    assert not answer.failed
    assert not answer.unknown
    for register in registers:
        expected = measured(device, register, at(0), at(11))
        assert len(expected) == 44
        assert quarters(answer, device, register) == pytest.approx(expected, abs=1e-9)
    assert sum(measured(device, "production", at(0), at(11)).values()) > 1000
    assert asked(stage) == {"stats": 1}


def test_the_repeated_hour_of_autumn_is_two_hours(stage: Any) -> None:
    stage.clock.set(at(12, day=30))
    with stage.open("victron_vrm") as source:
        answer = stage.read(source, at(0, day=30), at(3, day=30), (HOME, "consumption"))
    expected = measured(HOME, "consumption", at(0, day=30), at(3, day=30))
    assert len(expected) == 12
    assert quarters(answer, HOME, "consumption") == pytest.approx(expected)
    assert len(set(expected.values())) > 6  # the two passes differ, so none was told twice


def test_only_what_was_asked_for_comes_and_each_site_costs_one_request(stage: Any) -> None:
    with stage.open("victron_vrm") as source:
        answer = stage.read(source, at(8), at(9), (HOME, "consumption"), (HOME, "production"), (BATTERY_HOME, "charge"))
    found = set(answer.rows.select("meter", "register").unique().iter_rows())
    assert found == {(HOME, "consumption"), (HOME, "production"), (BATTERY_HOME, "charge")}
    assert asked(stage) == {"stats": 2}


def test_a_window_within_a_quarter_hour_is_not_asked_for(stage: Any) -> None:
    with stage.open("victron_vrm") as source:
        answer = stage.read(source, at(8, 1), at(8, 14), (HOME, "consumption"))
    assert answer.rows.is_empty()
    assert asked(stage) == {}


def test_the_longest_window_is_not_too_long_for_the_vendor(stage: Any) -> None:
    with stage.open("victron_vrm") as source:
        end = at(10, 59)
        answer = stage.read(source, end - source.longest_window, end, (HOME, "import"))
    assert not answer.failed
    # The data begin at 20:00 the day before.
    found = {stamp for stamp in quarters(answer, HOME, "import") if stamp + QUARTER <= end}
    assert found == {at(20, day=28) + number * QUARTER for number in range(59)}


def test_the_quarter_hour_that_still_runs_grows(stage: Any) -> None:
    grown = []
    for minute in (5, 14, 15):
        stage.clock.set(at(11, minute))
        with stage.open("victron_vrm") as source:
            assert source.settle == timedelta(minutes=5)
            answer = stage.read(source, at(10), at(11, 15), (HOME, "consumption"))
        grown.append(quarters(answer, HOME, "consumption")[at(11)])
    whole = measured(HOME, "consumption", at(11), at(11, 15))[at(11)]
    assert grown == pytest.approx([whole / 3, whole * 14 / 15, whole])


def test_a_site_without_a_battery_has_no_battery_energy_rather_than_zero(stage: Any) -> None:
    with stage.open("victron_vrm") as source:
        answer = stage.read(source, at(8), at(9), *[(HOME, register) for register in REGISTERS])
    assert not answer.failed
    assert set(answer.rows["register"]) == {"production", "consumption", "import", "export"}
    assert answer.rows["value"].null_count() == 0


def test_a_recorded_answer_in_milliseconds_and_one_in_seconds_say_the_same(
    stage: Any, recorded: Callable[[str], bytes]
) -> None:
    start = datetime(2025, 12, 24, 23, tzinfo=UTC)
    stage.clock.set(start + timedelta(hours=1))
    answers = []
    for name in ("stats", "stats_seconds"):
        instead(stage, recorded(f"victron_vrm/{name}.json").decode())
        with stage.open("victron_vrm") as source:
            answers.append(stage.read(source, start, start + 2 * QUARTER, *[(HOME, r) for r in REGISTERS]))
    for answer in answers:
        assert not answer.unknown  # `kwh` is known, and of no use
        found = {register: list(quarters(answer, HOME, register).values()) for register in REGISTERS}
        assert found == {
            "production": pytest.approx([392, 651]),
            "consumption": pytest.approx([204.5, 151]),
            "import": [62.5, 0],
            "export": [250, 500],
            "charge": [],
            "discharge": [],
        }
    assert list(quarters(answers[1], HOME, "export")) == [start, start + QUARTER]


def test_a_sum_is_unknown_where_one_of_its_flows_is(stage: Any) -> None:
    body = told(
        Pc=[[MS, 0.1], [MS + 900_000, 0.2], [MS + 1_800_000, 0.3]],
        Gc=[[MS, 0.01], [MS + 1_800_000, None]],
        Pg=[[MS, 1], [MS + 900_000, 2], [MS + 1_800_000, 3]],
    )
    instead(stage, body)
    with stage.open("victron_vrm") as source:
        answer = stage.read(source, at(7), at(7, 45), *[(HOME, r) for r in REGISTERS])
    found = {register: list(quarters(answer, HOME, register).values()) for register in REGISTERS[:4]}
    assert found == {
        "production": pytest.approx([1100, 2200, 3300]),
        "consumption": [pytest.approx(110), None, None],
        "import": [10, None, None],
        "export": [1000, 2000, 3000],
    }


def test_whole_numbers_and_fractions_stand_side_by_side(stage: Any) -> None:
    instead(stage, told(Gc=[[MS, 0], [MS + 900_000.0, 0.25], [MS + 1_800_000, None], [MS + 2_700_000, 2**64 - 1]]))
    with stage.open("victron_vrm") as source:
        answer = stage.read(source, at(7), at(8), (HOME, "import"))
    assert answer.rows["value"].to_list() == [0, 0.25, None, 2.0**64]
    assert answer.rows["stamp"].to_list() == [at(7), at(7, 15), at(7, 30), at(7, 45)]


def test_no_data_is_no_error(stage: Any, recorded: Callable[[str], bytes]) -> None:
    nothing = recorded("victron_vrm/stats_nothing.json").decode()
    for body in (nothing, {"success": True, "records": False}, told(Pc=False, Gc=False), told(Pc=[]), told()):
        instead(stage, body)
        with stage.open("victron_vrm") as source:
            answer = stage.read(source, at(7), at(8), (HOME, "consumption"))
        assert answer.rows.is_empty()
        assert not answer.failed


def test_an_error_with_status_200_fails_its_site_alone(stage: Any, recorded: Callable[[str], bytes]) -> None:
    body = recorded("victron_vrm/stats_refused.json").decode()
    instead(stage, body, path=f"{HOME}/stats")
    with stage.open("victron_vrm") as source:
        answer = stage.read(source, at(7), at(8), (HOME, "consumption"), (BATTERY_HOME, "consumption"))
    assert set(answer.rows["meter"]) == {BATTERY_HOME}
    (error,) = answer.failed.values()
    assert isinstance(error, SourceError)
    for part in ("'acc'", HOME, "2016-10-29 07:00", "08:00", "maximum range", "range_too_long"):
        assert part in str(error)


def test_a_revoked_token_stops_the_account(stage: Any) -> None:
    with (
        stage.open("victron_vrm", secret="revoked-0815") as source,
        pytest.raises(AuthenticationError, match="Login required") as caught,
    ):
        stage.read(source, at(7), at(8), (HOME, "consumption"), (BATTERY_HOME, "consumption"))
    assert "revoked-0815" not in str(caught.value)
    requests = asked(stage)
    assert requests
    with pytest.raises(AccountStopped), stage.open("victron_vrm"):
        pass
    assert asked(stage) == requests


def test_a_revoked_token_with_status_200_is_one_too(stage: Any, recorded: Callable[[str], bytes]) -> None:
    instead(stage, recorded("victron_vrm/login_refused.json").decode())
    with stage.open("victron_vrm") as source, pytest.raises(AuthenticationError, match="new access token"):
        stage.read(source, at(7), at(8), (HOME, "consumption"))


@pytest.mark.parametrize("fault", ["html", "empty"])
def test_what_is_no_answer_fails_the_site_and_is_asked_again_by_the_next_run(stage: Any, fault: str) -> None:
    stage.world.faults.replace([CloudRule.model_validate({"do": fault, "path": f"{HOME}/stats"})])
    with stage.open("victron_vrm") as source:
        answer = stage.read(source, at(7), at(8), (HOME, "import"), (BATTERY_HOME, "import"))
    assert set(answer.failed) == {HOME}
    assert isinstance(answer.failed[HOME], SourceUnavailable if fault == "html" else SourceError)
    assert HOME in str(answer.failed[HOME])
    assert set(answer.rows["meter"]) == {BATTERY_HOME}


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"success": "yes", "records": {}},
        {"success": True},
        {"success": True, "records": "none"},
        {"success": True, "records": [1]},
        told(Pc="0.1"),
        told(Pc=True),
        told(Pc={"0": [MS, 0.1]}),
        told(Pc=[0.1, 0.2]),
        told(Pc=[[MS]]),
        told(Pc=[{"0": MS, "1": 0.1}]),
        told(Pc=[[MS, "0.1"]]),
        told(Pc=[[MS, False]]),
        told(Pc=[["2016-10-29T07:00:00Z", 0.1]]),
        told(Pc=[[None, 0.1]]),
    ],
    ids=str,
)
def test_json_of_the_wrong_form_is_kept_and_named(stage: Any, body: object) -> None:
    instead(stage, body)
    with stage.open("victron_vrm") as source:
        answer = stage.read(source, at(7), at(8), (HOME, "production"))
    assert answer.rows.is_empty()
    error = answer.failed[HOME]
    assert isinstance(error, SourceError)
    assert f"energy of device {HOME}, 2016-10-29 07:00 to 2016-10-29 08:00 UTC" in str(error)
    (kept,) = Path(stage.folder, ".slotfeed", "unreadable").iterdir()
    assert json.loads(kept.read_text()) == body


def test_unknown_fields_are_counted_and_harm_nothing(stage: Any) -> None:
    body = told(Pc=[[MS, 0.1]], gc=[[MS, 5]], kwh=[[MS, 0.1]]) | {"meta": 1}
    instead(stage, body)
    with stage.open("victron_vrm") as source:
        answer = stage.read(source, at(7), at(7, 15), (HOME, "production"), (BATTERY_HOME, "production"))
    assert dict(answer.unknown) == {"records.gc": 2, "meta": 2}
    assert answer.rows["value"].to_list() == [0.1, 0.1]


def test_points_that_disagree_are_both_passed_on_and_equal_ones_once(stage: Any) -> None:
    body = told(Pc=[[MS, 0.1], [MS, 0.2], [MS + 900_000, 0.3], [MS + 900_000, 0.3]], Gc=[[MS, 1], [MS + 900_000, 1]])
    instead(stage, body)
    with stage.open("victron_vrm") as source:
        answer = stage.read(source, at(7), at(7, 30), (HOME, "consumption"), (HOME, "import"))
    found = answer.rows.group_by("register").agg(pl.col("value").sort()).rows()
    assert dict(found) == {"consumption": pytest.approx([1.1, 1.2, 1.3]), "import": [1, 1]}


def test_absurd_values_and_stamps_are_passed_on(stage: Any) -> None:
    future_ms = 4_102_444_800_000
    body = told(Gc=[[MS, 1e9], [MS + 900_000, -3], [future_ms, 0.1], [10**17, 0.1]])
    instead(stage, body)
    with stage.open("victron_vrm") as source:
        answer = stage.read(source, at(7), at(7, 30), (HOME, "import"))
    assert answer.rows.select("stamp", "value").rows() == [
        (at(7), 1e9),
        (at(7, 15), -3),
        (datetime(2100, 1, 1, tzinfo=UTC), 0.1),
        (None, 0.1),
    ]


def _cut_off(stage: Any, start: datetime, end: datetime, keep: dict[str, int]) -> dict[str, Any]:
    """The vendor's own answer with so many points a flow."""
    whole = httpx.get(
        f"{stage.url}/victron_vrm/v2/installations/{BATTERY_HOME}/stats",
        params={
            "type": "kwh",
            "interval": "15mins",
            "start": int(start.timestamp()),
            "end": int(end.timestamp()),
        },
        headers={"X-Authorization": f"Token {SECRET}"},
    ).json()
    whole["records"] = {code: points[: keep.get(code, 96)] for code, points in whole["records"].items()}
    stage.world.journal.clear()
    return whole


@pytest.mark.parametrize(
    "keep", [dict.fromkeys(("Pc", "Pb", "Pg", "Gc", "Gb", "Bc", "Bg"), 16), {"Bc": 5}], ids=["all flows", "one flow"]
)
def test_the_rest_of_an_answer_that_was_cut_off_is_asked_for(stage: Any, keep: dict[str, int]) -> None:
    stage.clock.set(at(6, day=30))
    instead(stage, _cut_off(stage, at(0), at(0, day=30), keep), times=1)
    with stage.open("victron_vrm") as source:
        answer = stage.read(source, at(0), at(0, day=30), *[(BATTERY_HOME, register) for register in REGISTERS])
    for register in REGISTERS:
        expected = measured(BATTERY_HOME, register, at(0), at(0, day=30))
        assert len(expected) == 96
        assert quarters(answer, BATTERY_HOME, register) == pytest.approx(expected, abs=1e-9)
    assert asked(stage) == {"stats": 2}


def test_an_answer_that_stays_short_is_asked_for_once_more_and_the_rest_left_due(stage: Any) -> None:
    stage.world.fleet.replace_defects([Offline(what="offline", device=HOME, start=at(5), end=at(12))])
    with stage.open("victron_vrm") as source:
        answer = stage.read(source, at(0), at(11), (HOME, "consumption"))
    assert quarters(answer, HOME, "consumption") == pytest.approx(measured(HOME, "consumption", at(0), at(5)))
    assert not answer.failed
    assert asked(stage) == {"stats": 2}


def test_an_answer_that_never_gets_on_ends(stage: Any) -> None:
    instead(stage, told(Pc=[[MS, 0.1]]))
    stage.clock.set(at(20))
    with stage.open("victron_vrm") as source:
        answer = stage.read(source, at(7), at(20), (HOME, "production"))
    assert quarters(answer, HOME, "production") == {at(7): 100}
    assert asked(stage) == {"stats": 2}


def test_what_a_gateway_kept_while_offline_is_there_later(stage: Any) -> None:
    stage.world.fleet.replace_defects([Offline(what="offline", device=HOME, start=at(10), end=at(14))])
    stage.clock.set(at(15))
    with stage.open("victron_vrm") as source:
        assert source.overlap == timedelta(hours=24)
        assert source.memory == timedelta(days=31)
        answer = stage.read(source, at(15) - source.overlap, at(15), (HOME, "production"))
    assert quarters(answer, HOME, "production") == pytest.approx(
        measured(HOME, "production", at(15, day=28), at(15)), abs=1e-9
    )


def test_a_429_is_waited_for_as_long_as_it_says(stage: Any) -> None:
    rule = {"do": "status", "status": 429, "retry_after": "2", "times": 1}
    stage.world.faults.replace([CloudRule.model_validate(rule)])
    with stage.open("victron_vrm") as source:
        answer = stage.read(source, at(7), at(8), (HOME, "import"))
    assert answer.rows.height == 4
    assert [wait >= 2 for wait in stage.waits] == [True]


def test_an_account_of_many_sites_stays_within_the_limit(sqlite_store: Store, tmp_path: Path, stage: Any) -> None:
    fleet = grown_fleet(210)
    world = World(fleet=fleet, clock=FixedClock(at(11)), username="me", secret=SECRET)
    with in_thread(world) as url:
        crowd = type(stage)(world=world, url=url, store=sqlite_store, folder=tmp_path)
        sites = [(unit.device, "import") for unit in fleet.of("victron_vrm")]
        with crowd.open("victron_vrm") as source:
            answer = crowd.read(source, at(7), at(8), *sites)
    assert not answer.failed
    assert answer.rows["meter"].n_unique() == 210
    assert {entry["status"] for entry in world.journal.entries()} == {200}
    assert crowd.waits  # there was no room for all at once


def test_devices_are_sites_with_the_registers_they_have(stage: Any) -> None:
    with stage.open("victron_vrm") as source:
        home, battery_home = source.devices()
    assert (home.device, battery_home.device) == (HOME, BATTERY_HOME)
    assert set(home.registers) == set(REGISTERS[:4])
    assert set(battery_home.registers) == set(REGISTERS)
    # The record of a gateway replaced years ago stands beside this one.
    assert home.newest == battery_home.newest == stage.clock.now()
    assert "Home 7" in home.name
    assert "c0619ab00001" not in home.name


def test_a_site_that_was_replaced_or_never_sent(stage: Any, recorded: Callable[[str], bytes]) -> None:
    instead(stage, recorded("victron_vrm/installations.json").decode(), path="/users/22/installations")
    with stage.open("victron_vrm") as source:
        mill, barn = source.devices()
    assert (mill.device, mill.name, mill.newest) == (
        "382372",
        "Mill, GX c0619ab7f3e2",
        datetime(2025, 12, 24, 23, 5, tzinfo=UTC),
    )
    assert mill.registers == ()  # its data are refused
    assert (barn.device, barn.registers, barn.newest) == ("382373", (), None)


def test_a_site_the_account_lacks_fails_with_those_it_has(stage: Any) -> None:
    with stage.open("victron_vrm") as source:
        answer = stage.read(source, at(7), at(8), ("99", "import"), ("../users/me", "import"), (HOME, "import"))
    assert set(answer.failed) == {"99", "../users/me"}
    for error in answer.failed.values():
        assert isinstance(error, SourceError)
        assert HOME in str(error)
        assert BATTERY_HOME in str(error)
    assert answer.rows.height == 4
    # The list was asked for once.
    assert asked(stage)["installations"] == 1


def test_a_register_that_no_site_has_fails_with_those_there_are(stage: Any) -> None:
    with stage.open("victron_vrm") as source:
        answer = stage.read(source, at(7), at(8), (HOME, "1.8.0"), (BATTERY_HOME, "import"))
    assert set(answer.failed) == {HOME}
    for part in ("'1.8.0'", HOME, "import", "discharge", "'acc'"):
        assert part in str(answer.failed[HOME])
    assert set(answer.rows["meter"]) == {BATTERY_HOME}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/users/me", {"success": True, "user": []}),
        ("/users/me", {"success": True, "user": {"id": "22"}}),
        ("/users/22/installations", {"success": True, "records": {}}),
        ("/users/22/installations", {"success": True, "records": [{"idSite": "151007"}]}),
        ("/users/22/installations", {"success": True, "records": ["151007"]}),
    ],
)
def test_a_list_of_installations_of_the_wrong_form_is_kept(stage: Any, path: str, body: object) -> None:
    instead(stage, body, path=path)
    with stage.open("victron_vrm") as source, pytest.raises(SourceError, match="source 'acc'"):
        source.devices()
    assert any(Path(stage.folder, ".slotfeed", "unreadable").iterdir())


def test_the_token_travels_in_the_header_alone(stage: Any) -> None:
    sent: list[httpx.Request] = []
    with stage.open("victron_vrm") as source:
        source._account.http.client.event_hooks = {"request": [sent.append]}
        stage.read(source, at(7), at(8), (HOME, "import"))
        source.devices()
    assert {request.headers["X-Authorization"] for request in sent} == {f"Token {SECRET}"}
    assert not any(SECRET in str(request.url) for request in sent)
