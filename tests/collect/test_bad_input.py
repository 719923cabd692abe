"""What vendors send wrong, through the whole door: refused with account, device and window, or quarantined by name."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import SQLModel

from expectations.names import Suite
from pipelines.clock import FixedClock
from pipelines.collect.catalogue import find_vendor
from pipelines.collect.run import collect
from pipelines.collect.summary import CollectSummary
from pipelines.community import Community
from pipelines.errors import AccountStopped, AuthenticationError, SlotfeedError, SourceUnavailable
from pipelines.sandbox.clouds.app import vendors
from pipelines.sandbox.clouds.defects import Spike
from pipelines.sandbox.clouds.demo import demo_fleet
from pipelines.sandbox.clouds.faults import CloudFault, CloudRule
from pipelines.sandbox.clouds.serve import in_thread
from pipelines.sandbox.clouds.world import World
from pipelines.settings import Secrets
from pipelines.store import Store
from pipelines.validate.engine import warm_up
from pipelines.validate.run import validate

QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)
NOON = datetime(2016, 10, 29, 10, tzinfo=UTC)
"""12:00 in Berlin, on the first day of the data."""

NOW = NOON + 2 * HOUR
SECRET = "hush-hush-4711"

Point = tuple[datetime, float]
"""Stamp, and energy of the quarter hour or state of the register, in Wh."""


def ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def inexogy(_: str, points: Sequence[Point], **more: object) -> object:
    return [{"time": ms(at), "values": {"energy": round(wh * 1e7)}} | more for at, wh in points]


def solaredge(_: str, points: Sequence[Point], **more: object) -> object:
    values = [{"timestamp": at.isoformat(), "value": wh} | more for at, wh in points]
    return {"unit": "WH", "resolution": "QUARTER_HOUR", "values": values}


def victron(_: str, points: Sequence[Point], **more: object) -> object:
    return {"success": True, "records": {"Gc": [[ms(at), wh / 1000] for at, wh in points]}, "totals": {}} | more


def fusionsolar(device: str, points: Sequence[Point], **more: object) -> object:
    data = [
        {"devId": int(device), "collectTime": ms(at), "dataItemMap": {"total_cap": wh / 1000}} | more
        for at, wh in points
    ]
    return {"success": True, "failCode": 0, "params": {"currentTime": ms(points[-1][0])}, "data": data}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a vendor tells what it tells wrong."""

    register: str
    body: Callable[..., object]
    path: str
    """Where histories are read."""

    lists: str
    """The path at which a list of its answer becomes `false`, dotted; empty: the answer itself."""

    unit: int = 0
    live: str = ""
    """Where present readings are read, if that is elsewhere."""

    counts: bool = False
    """It tells registers."""


KINDS = {
    "inexogy": Kind(register="import", body=inexogy, path="/readings", lists="", counts=True),
    "solaredge": Kind(register="production", body=solaredge, path="/energy", lists="values"),
    "victron_vrm": Kind(register="consumption", body=victron, path="/stats", lists="records.Gc"),
    "fusionsolar": Kind(
        register="production",
        body=fusionsolar,
        path="/getDevHistoryKpi",
        lists="data",
        unit=1,
        live="/getDevRealKpi",
        counts=True,
    ),
    "home_assistant": Kind(register="energy", body=inexogy, path="/api/websocket", lists=""),
}


@dataclass
class Place:
    """One device of one vendor, and a store that collects from it."""

    name: str
    world: World
    url: str
    store: Store
    folder: Path
    ours: FixedClock
    """The clock of this machine."""

    unit: int
    """Which of the vendor's devices."""

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]

    @property
    def device(self) -> str:
        return self.world.fleet.of(self.name)[self.unit].device

    @property
    def community(self) -> Community:
        vendor = find_vendor(self.name)
        assert vendor is not None
        channel = vendor.channels[self.kind.register]
        stream = {"source": "acc", "device": self.device, "register": self.kind.register}
        terms = {"kind": channel.kind.value, "unit": channel.unit}
        source = {"type": self.name, "url": self.url + vendors()[self.name].PREFIX, "username": "me"}
        asset = {"name": "A", "uuid": "a", "type": "load", "rated_power_kw": 100, "streams": [stream | terms]}
        return Community.model_validate(
            {
                "community": {"name": "c", "simulation_uuid": "s", "time_zone": "Europe/Berlin"},
                "exchange": {"base_url": "http://127.0.0.1:1"},
                "sources": {"acc": source},
                "assets": [asset],
            }
        )

    def sleep(self, seconds: float) -> None:
        for clock in (self.ours, self.world.clock):
            assert isinstance(clock, FixedClock)
            clock.set(clock.now() + timedelta(seconds=seconds))

    def collect(self, *, live: bool = False) -> CollectSummary:
        """Read the two hours up to noon; or, live, what is new."""
        now = self.ours.now()
        return collect(
            self.store,
            self.community,
            Secrets(self.folder, environment={"SLOTFEED_SOURCE_ACC_PASSWORD": SECRET}),
            folder=self.folder,
            start=None if live else NOON - 2 * HOUR,
            end=now if live else NOON,
            run_id="r",
            clock=self.ours,
            sleep=self.sleep,
        )

    def tell(self, body: object, *, live: bool = False) -> None:
        """Let the vendor answer this."""
        path = self.kind.live if live and self.kind.live else self.kind.path
        text = body if isinstance(body, str) else json.dumps(body)
        self.world.faults.replace([CloudRule(do=CloudFault.REPLACE, path=path, body=text)])

    def judged(self) -> list[dict[str, Any]]:
        """All readings after validation, by stamp."""
        validate(self.store, self.community, now=self.ours.now(), run_id="r")
        table = SQLModel.metadata.tables["reading"]
        with self.store.reading() as connection:
            rows = connection.execute(table.select().order_by(table.c.ts, table.c.id)).mappings()
            return [dict(row) for row in rows]

    def failures(self) -> list[str]:
        """What a run tells went wrong, whether it ended in it or not."""
        try:
            summary = self.collect()
        except SlotfeedError as error:
            return [str(error)]
        return [*summary.sources_failed.values(), *summary.devices_failed.values()]


@pytest.fixture(scope="module", autouse=True)
def _great_expectations() -> None:
    warm_up(Suite.READINGS)


def open_place(name: str, store: Store, folder: Path) -> Iterator[Place]:
    world = World(fleet=demo_fleet(), clock=FixedClock(NOW), username="me", secret=SECRET)
    with in_thread(world) as url:
        ours = FixedClock(NOW)
        yield Place(name=name, world=world, url=url, store=store, folder=folder, ours=ours, unit=KINDS[name].unit)


@pytest.fixture(params=sorted(KINDS))
def place(request: pytest.FixtureRequest, sqlite_store: Store, tmp_path: Path) -> Iterator[Place]:
    """Each vendor in turn, two hours after noon."""
    yield from open_place(request.param, sqlite_store, tmp_path)


@pytest.fixture(params=sorted(KINDS.keys() - {"home_assistant"}))
def web(request: pytest.FixtureRequest, sqlite_store: Store, tmp_path: Path) -> Iterator[Place]:
    """Each vendor that is asked over HTTP, so that its answers can be replaced."""
    yield from open_place(request.param, sqlite_store, tmp_path)


def quarters(count: int, *, first: datetime = NOON - HOUR, wh: float = 1000.0, counts: bool = False) -> list[Point]:
    """Quarter hours of so much energy, or the states of the register that counts it."""
    return [(first + n * QUARTER, (50_000 + n * wh) if counts else wh) for n in range(count)]


WINDOWS = [("2016-10-29 08:00", "10:00"), ("2016-10-29 07:45", "10:15")]


def names_all(place: Place, text: str) -> None:
    """Account, device, and the window that was asked for."""
    assert "source 'acc'" in text
    assert place.device in text
    assert "2016-10-29" in text
    # Some ask for a quarter hour more on either side.
    assert any(f"{start} to 2016-10-29 {end} UTC" in text for start, end in WINDOWS), text
    assert SECRET not in text


def test_the_bodies_here_are_what_the_vendors_send(web: Place) -> None:
    """Else every test below would be of something that no door ever sees."""
    web.tell(web.kind.body(web.device, quarters(4, counts=web.kind.counts)))
    summary = web.collect()
    assert (summary.devices_failed, summary.sources_failed) == ({}, {})
    rows = web.judged()
    assert [(row["ts"], row["verdict"]) for row in rows] == [(NOON - HOUR + n * QUARTER, "good") for n in range(4)]
    expected = [50_000, 51_000, 52_000, 53_000] if web.kind.counts else [1000] * 4
    assert [row["value"] for row in rows] == pytest.approx(expected)


def test_a_web_page_instead_of_json_is_told_with_all_names(web: Place) -> None:
    web.world.faults.replace([CloudRule(do=CloudFault.HTML, path=web.kind.path)])
    with pytest.raises(SourceUnavailable, match="a web page came instead of an answer") as told:
        web.collect()
    names_all(web, str(told.value))
    kept = list((web.folder / ".slotfeed" / "unreadable").glob("acc-*"))
    assert kept
    assert all("back soon" in file.read_text() for file in kept)
    assert web.judged() == []


@pytest.mark.parametrize("wrong", [False, 17, "none", {"a": 1}], ids=repr)
def test_another_type_where_a_list_was_due_is_refused_with_all_names(web: Place, wrong: object) -> None:
    body: Any = web.kind.body(web.device, quarters(4, counts=web.kind.counts))
    if not web.kind.lists:
        body = wrong
    else:
        *outer, last = web.kind.lists.split(".")
        inner = body
        for key in outer:
            inner = inner[key]
        inner[last] = wrong
    web.tell(body)
    told = web.failures()
    if web.name == "victron_vrm" and wrong is False:
        # It does write false for a flow that it has nothing of.
        assert told == []
    else:
        assert told != []
        names_all(web, told[0])
    assert web.judged() == []


@pytest.mark.parametrize("wrong", ["12", False, {"kWh": 1}], ids=repr)
def test_a_value_that_is_no_number_is_refused_with_all_names(web: Place, wrong: object) -> None:
    text = json.dumps(web.kind.body(web.device, [(NOON - HOUR, 5_000_000.0), (NOON - 2 * QUARTER, 6_000_000.0)]))
    number = {"inexogy": "60000000000000", "solaredge": "6000000.0"}.get(web.name, "6000.0")
    assert text.count(number) == 1
    web.tell(text.replace(number, json.dumps(wrong)))
    told = web.failures()
    assert told != []
    names_all(web, told[0])
    assert web.judged() == []


def test_fields_that_no_paper_tells_of_are_counted_and_do_no_harm(web: Place) -> None:
    web.tell(web.kind.body(web.device, quarters(4, counts=web.kind.counts), firmwareMood="good"))
    summary = web.collect()
    (note,) = summary.coverage["acc"].notes
    assert note.startswith("fields that the vendor's papers don't tell of: firmwareMood (")
    assert [row["verdict"] for row in web.judged()] == ["good"] * 4


def test_points_of_one_stamp_that_disagree_are_both_quarantined(web: Place) -> None:
    points = quarters(4, counts=web.kind.counts)
    at, wh = points[1]
    web.tell(web.kind.body(web.device, [*points, (at, wh + 250)]))
    web.collect()
    rows = web.judged()
    twice = [row for row in rows if row["ts"] == at]
    assert [(row["verdict"], "key_unique" in row["broken"]) for row in twice] == [("quarantined", True)] * 2
    assert {row["stream_id"] for row in twice} == {f"acc/{web.device}/{web.kind.register}"}
    assert [row["verdict"] for row in rows if row["ts"] != at] == ["good"] * 3


def test_points_of_one_stamp_that_agree_are_one(web: Place) -> None:
    points = quarters(4, counts=web.kind.counts)
    web.tell(web.kind.body(web.device, [*points, points[1]]))
    web.collect()
    assert [row["verdict"] for row in web.judged()] == ["good"] * 4


AHEAD = NOW + 60 * HOUR


def tell_the_future(place: Place) -> None:
    """The newest value has a stamp of sixty hours from now."""
    points = quarters(4, first=NOW - HOUR, counts=place.kind.counts)
    # Present readings have one stamp for all.
    points = points[:0] if place.kind.live else points
    place.tell(place.kind.body(place.device, [*points, (AHEAD, 54_000.0 if place.kind.counts else 1000.0)]), live=True)


def test_a_stamp_from_the_future_is_quarantined(web: Place) -> None:
    tell_the_future(web)
    web.collect(live=True)
    last = web.judged()[-1]
    assert last["ts"] == AHEAD
    assert (last["verdict"], last["broken"]) == ("quarantined", "not_from_future")
    assert last["stream_id"] == f"acc/{web.device}/{web.kind.register}"


def test_a_cursor_does_not_follow_a_stamp_from_the_future(web: Place) -> None:
    tell_the_future(web)
    web.collect(live=True)
    web.world.faults.replace([])
    # Nothing runs for longer than any source reads again.
    web.sleep(30 * 3600)
    web.collect(live=True)
    assert min(row["ts"] for row in web.judged() if row["ts"] > NOW + QUARTER) <= NOW + HOUR


def test_a_billion_kilowatt_hours_are_quarantined(web: Place) -> None:
    points = quarters(4, counts=web.kind.counts)
    points[2] = (points[2][0], 1e12)
    web.tell(web.kind.body(web.device, points))
    web.collect()
    rows = web.judged()
    assert [row["verdict"] for row in rows] == ["good", "good", "quarantined", "good"]
    assert "within_rated_power" in rows[2]["broken"]
    assert rows[2]["value"] == pytest.approx(1e12)


def test_a_leap_of_a_sensor_at_home_is_quarantined(sqlite_store: Store, tmp_path: Path) -> None:
    for place in open_place("home_assistant", sqlite_store, tmp_path):
        units = place.world.fleet.of("home_assistant")
        numbers = range((NOON - HOUR - units[0].first) // QUARTER, (NOON - units[0].first) // QUARTER)
        unit, number = next((u, n) for u in units for n in numbers if u.energy_wh["consumption"][n] > 10)
        at = unit.first + number * QUARTER
        place.world.fleet.replace_defects([Spike(device=unit.device, what="spike", at=at, factor=1e9)])
        place.unit = units.index(unit)
        place.collect()
        rows = [row for row in place.judged() if at <= row["ts"] < at + QUARTER]
        assert {row["verdict"] for row in rows} == {"quarantined"}
        assert all("within_rated_power" in row["broken"] for row in rows)


def test_a_revoked_token_is_told_once_and_ends_the_questions(place: Place) -> None:
    place.collect()
    place.world.secret = "another"
    place.world.journal.clear()
    place.sleep(HOUR.total_seconds())
    with pytest.raises((AuthenticationError, AccountStopped)) as told:
        place.collect(live=True)
    assert "source 'acc'" in str(told.value)
    assert SECRET not in str(told.value)
    asked = len(place.world.journal.entries())
    with pytest.raises(AccountStopped, match="slotfeed sources resume acc"):
        place.collect(live=True)
    assert len(place.world.journal.entries()) == asked
    assert asked <= 3


@pytest.mark.parametrize(("minutes", "side"), [(10, "600 s behind"), (-10, "600 s ahead of")])
def test_a_clock_that_is_wrong_is_told(place: Place, minutes: int, side: str) -> None:
    place.ours.set(NOW + timedelta(minutes=minutes))
    summary = place.collect()
    notes = [note for note in summary.coverage["acc"].notes if "clock" in note]
    assert notes == [f"its clock is {side} this machine's"]


def test_a_clock_that_is_a_little_off_is_not_told(place: Place) -> None:
    place.ours.set(NOW + timedelta(minutes=2))
    assert [note for note in place.collect().coverage["acc"].notes if "clock" in note] == []
