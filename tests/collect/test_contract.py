"""What every source keeps to, whatever its vendor: the same day of the same devices through the same door.

The truth is the emulated fleet's, from which both the clouds and the meter database are filled. To take a further
vendor in, add it to `MEASURED`.
"""

import base64
import contextlib
import logging
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlmodel import SQLModel, select

from pipelines.clock import FixedClock
from pipelines.collect.catalogue import find_vendor, vendor_names
from pipelines.collect.people import list_devices, quotas
from pipelines.collect.run import Opening, collect
from pipelines.collect.summary import CollectSummary
from pipelines.community import Community
from pipelines.convert.kernel import slot_energy
from pipelines.errors import AccountStopped, AuthenticationError, SlotfeedError, SourceUnavailable
from pipelines.sandbox.clouds.app import vendors
from pipelines.sandbox.clouds.defects import Defect, Hole, Offline, Spike
from pipelines.sandbox.clouds.demo import demo_fleet
from pipelines.sandbox.clouds.faults import CloudFault, CloudRule
from pipelines.sandbox.clouds.fleet import Fleet, Unit
from pipelines.sandbox.clouds.serve import in_thread
from pipelines.sandbox.clouds.world import World
from pipelines.settings import Secrets
from pipelines.store import ReadingRow, Store, open_store, read_frame, table_of

QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
NOON = datetime(2016, 10, 29, 10, tzinfo=UTC)
"""12:00 in Berlin: every PV plant of the data is at work."""

SECRET = "hush-hush-4711"
DATABASE = "meter_database"

SCHEMA = pl.Schema(
    {
        "stream_id": pl.String(),
        "ts": pl.Datetime("us", "UTC"),
        "ts_end": pl.Datetime("us", "UTC"),
        "kind": pl.String(),
        "value": pl.Float64(),
        "quality": pl.String(),
        "revision": pl.Int64(),
        "verdict": pl.String(),
    }
)


@dataclass(frozen=True)
class Measured:
    """Which of a vendor's units is read, and how exactly it can be."""

    unit: int
    channel: str
    register: str
    other: int
    """A second unit, to be read beside the first."""

    within_wh: float = 1e-6
    """What the vendor's own rounding may take from a quarter hour."""

    sleeps: bool = False
    """Where nothing flows the vendor may tell null, by day too."""

    fills: bool = True
    """What an offline device measured comes later, quarter hour by quarter hour; else all at once, at the end."""

    corrects: bool = True
    """The vendor may tell another value for a time that is past."""


MEASURED = {
    DATABASE: Measured(0, "import", "1-0:1.8.0", 1),
    "inexogy": Measured(0, "import", "import", 1),
    "solaredge": Measured(0, "production", "production", 1, sleeps=True),
    "victron_vrm": Measured(1, "consumption", "consumption", 0),
    # Registers of whole Wh.
    "fusionsolar": Measured(1, "production", "production", 2, within_wh=1.0),
    "home_assistant": Measured(0, "consumption", "energy", 1, fills=False, corrects=False),
}


@dataclass
class Place:
    """One source, its devices, and a store that collects from it; all by one clock."""

    kind: str
    world: World
    url: str
    store: Store
    folder: Path
    secret: str = SECRET
    waits: list[float] = field(default_factory=list)

    @property
    def measured(self) -> Measured:
        return MEASURED[self.kind]

    @property
    def fleet(self) -> Fleet:
        return self.world.fleet

    @property
    def clock(self) -> FixedClock:
        assert isinstance(self.world.clock, FixedClock)
        return self.world.clock

    def unit(self, number: int) -> Unit:
        return self.fleet.of("inexogy" if self.kind == DATABASE else self.kind)[number]

    @property
    def stream(self) -> str:
        return f"acc/{self.unit(self.measured.unit).device}/{self.measured.register}"

    def community(self, *, also: str | None = None) -> Community:
        """A community that reads one device of the source, and perhaps another."""
        if self.kind == DATABASE:
            source: dict[str, Any] = {
                "type": DATABASE,
                "url": "sqlite:///meters.sqlite",
                "table": "register",
                "columns": {"meter": "meter", "time": "at", "register": "obis", "value": "wh"},
                "time_type": "epoch_s",
            }
        else:
            source = {"type": self.kind, "url": self.url + vendors()[self.kind].PREFIX, "username": "me"}
        vendor_says = {"kind": "register", "unit": "Wh"}
        if self.kind != DATABASE:
            channel = find_channel(self.kind, self.measured.register)
            vendor_says = {"kind": channel.kind.value, "unit": channel.unit}
        devices = [self.unit(self.measured.unit).device, *([also] if also else [])]
        streams = [{"source": "acc", "device": d, "register": self.measured.register, **vendor_says} for d in devices]
        asset = {"name": "A", "uuid": "a", "type": "load", "rated_power_kw": 100, "streams": streams}
        return Community.model_validate(
            {
                "community": {"name": "Contract", "simulation_uuid": "s", "time_zone": "Europe/Berlin"},
                "exchange": {"base_url": "http://127.0.0.1:1"},
                "sources": {"acc": source},
                "assets": [asset],
            }
        )

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.set(self.clock.now() + timedelta(seconds=seconds))

    @property
    def secrets(self) -> Secrets:
        return Secrets(self.folder, environment={"SLOTFEED_SOURCE_ACC_PASSWORD": self.secret})

    def opening(self) -> Opening:
        """What the commands of people are given."""
        return Opening(
            store=self.store,
            community=self.community(),
            secrets=self.secrets,
            folder=self.folder,
            clock=self.clock,
            gives_up=self.clock.now() + HOUR,
            sleep=self.sleep,
        )

    def collect(
        self, *, start: datetime | None = None, end: datetime | None = None, also: str | None = None
    ) -> CollectSummary:
        """As a run does now."""
        self.fill()
        return collect(
            self.store,
            self.community(also=also),
            self.secrets,
            folder=self.folder,
            start=start,
            end=end or self.clock.now(),
            run_id="r",
            clock=self.clock,
            sleep=self.sleep,
        )

    def live(self, until: datetime) -> CollectSummary:
        """A run two minutes into every quarter hour up to `until`; what the last one told."""
        while True:
            self.clock.set(min(self.clock.now() + QUARTER, until))
            summary = self.collect()
            if self.clock.now() >= until:
                return summary

    def fill(self) -> None:
        """Let the meter database hold what its meters have sent by now."""
        if self.kind != DATABASE:
            return
        now = self.clock.now()
        with contextlib.closing(sqlite3.connect(self.folder / "meters.sqlite")) as database:
            database.execute("CREATE TABLE IF NOT EXISTS register (meter, obis, at, wh, PRIMARY KEY (meter, obis, at))")
            for unit in self.fleet.of("inexogy"):
                stamps = [unit.first + n * QUARTER for n in range((now - unit.first) // QUARTER + 1)]
                told = [(at, self.fleet.register_wh(unit, "import", at, now)) for at in stamps]
                rows = [(unit.device, "1-0:1.8.0", int(at.timestamp()), wh) for at, wh in told if wh is not None]
                database.executemany("INSERT OR REPLACE INTO register VALUES (?, ?, ?, ?)", rows)
            database.commit()

    def suffer(self, *defects: Defect) -> None:
        self.fleet.replace_defects(defects)

    def readings(self, stream: str | None = None) -> pl.DataFrame:
        """The newest revision of each reading of a stream."""
        table = table_of(ReadingRow)
        query = select(*(table.c[name] for name in SCHEMA.names())).where(table.c.stream_id == (stream or self.stream))
        with self.store.reading() as connection:
            found = read_frame(connection, query, SCHEMA)
        return found.sort("ts", "revision").unique(("stream_id", "ts"), keep="last", maintain_order=True)

    def slots(self) -> dict[datetime, float]:
        """Whole slots, in Wh."""
        readings = self.readings().with_columns(
            asset_id=pl.lit("a"), sign=pl.lit(1), two_way=pl.lit(value=False), series_start=pl.lit("")
        )
        made = slot_energy(
            readings.lazy(), streams_per_asset=pl.LazyFrame({"asset_id": ["a"], "streams": [1]}), slot_length=QUARTER
        ).collect()
        whole = made.filter(pl.col("coverage") > 0.999)
        return dict(whole.select("slot_start", "energy_wh").iter_rows())

    def truth(self, start: datetime, end: datetime) -> dict[datetime, float]:
        """What really flowed in each slot, from the unit's own profile."""
        unit = self.unit(self.measured.unit)
        energies = unit.energy_wh[self.measured.channel]
        first, last = (start - unit.first) // QUARTER, (end - unit.first) // QUARTER
        return {unit.first + n * QUARTER: energies[n] for n in range(first, last)}

    def agrees(self, start: datetime, end: datetime) -> None:
        """Every slot of the span is there and true."""
        slots, truth = self.slots(), self.truth(start, end)
        needed = [at for at, wh in truth.items() if wh > 0 or not self.measured.sleeps]
        missing = [f"{at:%d %H:%M}" for at in needed if at not in slots]
        assert not missing
        known = {at: (slots[at], wh) for at, wh in truth.items() if at in slots}
        off = {f"{at:%d %H:%M}": both for at, both in known.items() if abs(both[0] - both[1]) > self.measured.within_wh}
        assert not off

    def requests(self) -> list[dict[str, Any]]:
        return self.world.journal.entries(self.kind)


def find_channel(kind: str, register: str) -> Any:
    vendor = find_vendor(kind)
    assert vendor is not None
    return vendor.channels[register]


@contextlib.contextmanager
def placed(kind: str, store: Store, folder: Path) -> Iterator[Place]:
    """At noon of the first day."""
    world = World(fleet=demo_fleet(), clock=FixedClock(NOON + timedelta(minutes=2)), username="me", secret=SECRET)
    with in_thread(world) as url:
        yield Place(kind=kind, world=world, url=url, store=store, folder=folder)


@pytest.fixture(params=sorted(MEASURED))
def place(request: pytest.FixtureRequest, sqlite_store: Store, tmp_path: Path) -> Iterator[Place]:
    """Each kind of source in turn."""
    with placed(request.param, sqlite_store, tmp_path) as found:
        yield found


@pytest.fixture(params=sorted(MEASURED.keys() - {DATABASE}))
def cloud(request: pytest.FixtureRequest, sqlite_store: Store, tmp_path: Path) -> Iterator[Place]:
    """Each vendor in turn; a meter database is no account."""
    with placed(request.param, sqlite_store, tmp_path) as found:
        yield found


def test_every_vendor_keeps_the_contract() -> None:
    assert set(MEASURED) == {DATABASE, *vendor_names()} == {DATABASE, *vendors()}


def test_devices_are_listed_with_the_registers_that_streams_name(place: Place) -> None:
    place.fill()
    found, failed = list_devices(place.opening(), ["acc"])
    assert not failed
    devices = {device.device: device for device in found["acc"]}
    for number in (place.measured.unit, place.measured.other):
        device = devices[place.unit(number).device]
        assert place.measured.register in device.registers
        assert device.newest is None or place.clock.now() - HOUR <= device.newest <= place.clock.now()


def test_a_day_of_history_is_true_to_the_watt_hour(place: Place) -> None:
    midnight = datetime(2016, 10, 28, 22, tzinfo=UTC)
    place.clock.set(midnight + timedelta(hours=26))
    place.collect(start=midnight, end=midnight + timedelta(hours=24))
    place.agrees(midnight, midnight + timedelta(hours=24))


def test_the_repeated_hour_is_kept_apart(place: Place) -> None:
    start = datetime(2016, 10, 29, 22, tzinfo=UTC)
    place.clock.set(start + timedelta(hours=8))
    place.collect(start=start, end=start + timedelta(hours=6))
    place.agrees(start, start + timedelta(hours=6))


def test_live_runs_bring_every_slot_and_nothing_twice(place: Place) -> None:
    place.collect()
    # The last hours of a cloud may still be due; they come with later runs.
    place.live(NOON + 3 * HOUR + timedelta(minutes=2))
    place.agrees(NOON - 20 * HOUR + 9 * HOUR, NOON + HOUR)
    before = place.readings()
    summary = place.collect()
    assert (summary.stored, summary.sources_failed) == (0, {})
    assert place.readings().equals(before)


def test_nothing_is_asked_for_that_the_vendor_refuses(cloud: Place) -> None:
    cloud.collect(start=NOON - 13 * HOUR, end=NOON)
    cloud.live(NOON + 2 * HOUR)
    refused = [(e["template"], e["status"]) for e in cloud.requests() if (e["status"] or 0) >= 400]
    assert not refused
    assert all(wait < 120 for wait in cloud.waits)


def test_what_is_still_due_is_told(place: Place) -> None:
    place.live(NOON + HOUR)
    gone = place.clock.now()
    place.suffer(
        Offline(device=place.unit(place.measured.unit).device, what="offline", start=gone, end=gone + 9 * HOUR)
    )
    summary = place.live(gone + 3 * HOUR)
    coverage = summary.coverage["acc"]
    assert (coverage.streams, set(coverage.due)) == (1, {place.stream})
    since = datetime.fromisoformat(coverage.due[place.stream])
    assert gone - HOUR <= since <= gone
    assert not [at for at in place.slots() if at > gone]


def test_a_gateway_that_comes_back_is_filled_in(place: Place) -> None:
    place.live(NOON + HOUR)
    gone = NOON + HOUR
    device = place.unit(place.measured.unit).device
    place.suffer(Offline(device=device, what="offline", start=gone, end=gone + 5 * HOUR))
    place.live(gone + 5 * HOUR + timedelta(minutes=2))
    summary = place.live(gone + 8 * HOUR)
    assert summary.sources_failed == {}
    if place.measured.fills:
        place.agrees(NOON - HOUR, gone + 6 * HOUR)
        return
    during = place.readings().filter(pl.col("ts") >= gone, pl.col("ts_end") <= gone + 6 * HOUR)
    assert during["value"].sum() == pytest.approx(sum(place.truth(gone, gone + 6 * HOUR).values()))


@pytest.mark.parametrize("kind", ["solaredge", "fusionsolar", "inexogy"])
def test_accounts_budgets_and_gaps_are_kept_in_postgresql_too(kind: str, postgres_url: str, tmp_path: Path) -> None:
    store = open_store(postgres_url)
    with placed(kind, store, tmp_path) as place:
        gone = NOON + HOUR
        device = place.unit(place.measured.unit).device
        place.live(gone)
        place.suffer(Offline(device=device, what="offline", start=gone, end=gone + 2 * HOUR))
        place.live(gone + 4 * HOUR + timedelta(minutes=2))
        place.agrees(NOON - HOUR, gone + 3 * HOUR)
        opening = place.opening()
        (quota,) = quotas(opening, place.clock.now())
        assert any(standing.used for standing in quota.standings)
        assert quota.account.polled_at is not None
    store.close()


def test_what_was_never_measured_is_no_zero(place: Place) -> None:
    start = NOON + HOUR
    place.suffer(Hole(device=place.unit(place.measured.unit).device, what="hole", start=start, end=start + HOUR))
    place.collect()
    place.live(NOON + 5 * HOUR + timedelta(minutes=2))
    inside = place.readings().filter(pl.col("ts") > start, pl.col("ts") < start + HOUR)
    assert inside.filter(pl.col("value") == 0).is_empty()
    # Where registers stand on both sides the energy is known; else nothing is.
    slots, truth = place.slots(), place.truth(start, start + HOUR)
    known = [slots[at] for at in truth if at in slots]
    assert not known or sum(known) == pytest.approx(sum(truth.values()), abs=4 * place.measured.within_wh)


def test_a_correction_is_a_further_revision(place: Place) -> None:
    if not place.measured.corrects:
        pytest.skip("its statistics are written once")
    device = place.unit(place.measured.unit).device
    at = NOON - HOUR
    place.suffer(Spike(device=device, what="spike", at=at, factor=3.0))
    place.collect()
    place.live(NOON + HOUR)
    wrong = place.slots()
    assert abs(wrong.get(at, 0.0) - place.truth(at, at + QUARTER)[at]) > 1
    place.suffer()
    summary = place.live(NOON + 2 * HOUR + timedelta(minutes=2))
    assert summary.sources_failed == {}
    place.agrees(at - QUARTER, at + HOUR)
    table = SQLModel.metadata.tables["reading"]
    with place.store.reading() as connection:
        revisions = {revision for (revision,) in connection.execute(select(table.c.revision))}
    assert max(revisions) >= 1


def test_a_device_that_is_unknown_does_not_hold_up_the_others(place: Place) -> None:
    summary = place.collect(also="4711-nobody")
    assert place.readings().height > 0
    told = {**summary.devices_failed, **dict.fromkeys(summary.streams_without_data, "")}
    assert any("4711-nobody" in name for name in told)
    assert all("4711-nobody" in reason for reason in summary.devices_failed.values())
    assert all("acc" in reason for reason in summary.devices_failed.values())


def test_a_source_that_is_away_is_told_and_picked_up_later(cloud: Place) -> None:
    cloud.collect()
    before = cloud.readings()
    cloud.world.faults.replace([CloudRule(do=CloudFault.RESET)])
    cloud.clock.set(cloud.clock.now() + 2 * HOUR)
    # A vendor that allows few logins isn't tried as often.
    with pytest.raises((SourceUnavailable, AccountStopped), match="acc"):
        cloud.collect()
    assert cloud.readings().equals(before)
    cloud.world.faults.replace([])
    cloud.clock.set(NOON + 5 * HOUR + timedelta(minutes=2))
    cloud.live(NOON + 6 * HOUR + timedelta(minutes=2))
    cloud.agrees(NOON, NOON + 4 * HOUR)


def test_a_refused_secret_is_tried_once_and_told_without_showing_it(cloud: Place) -> None:
    cloud.secret = "wrong-" + SECRET
    with pytest.raises(AuthenticationError, match="acc") as told:
        cloud.collect()
    asked = len(cloud.requests())
    with pytest.raises(AccountStopped, match="slotfeed sources resume acc") as stopped:
        cloud.collect()
    assert len(cloud.requests()) == asked <= 2
    assert SECRET not in f"{told.value!r} {stopped.value!r} {told.value.__cause__!r} {told.value.__context__!r}"


@pytest.mark.parametrize("fault", [CloudFault.HTML, CloudFault.TRUNCATE, CloudFault.LOSE_REPLY])
def test_one_broken_answer_is_asked_again(cloud: Place, fault: CloudFault) -> None:
    if fault is CloudFault.HTML and cloud.kind == "home_assistant":
        pytest.skip("the sandbox refuses a websocket in one way only")
    cloud.world.faults.replace([CloudRule(do=fault, times=1)])
    summary = cloud.collect()
    assert summary.sources_failed == {}
    assert cloud.readings().height > 0


def test_no_secret_is_left_anywhere(cloud: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    cloud.collect()
    cloud.world.faults.replace([CloudRule(do=CloudFault.HTML)])
    cloud.clock.set(cloud.clock.now() + 2 * HOUR)
    with pytest.raises(SlotfeedError, match="acc"):
        cloud.collect()
    cloud.store.close()
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    # A websocket that isn't opened has no answer, and what answers a login is never kept.
    assert any("unreadable" in str(path) for path in kept) or cloud.kind in {"home_assistant", "fusionsolar"}
    coded = base64.b64encode(f"me:{SECRET}".encode())
    assert not [path for path in kept if SECRET.encode() in path.read_bytes() or coded in path.read_bytes()]
    assert caplog.records or cloud.kind == "home_assistant", "the client does log"
    assert SECRET not in caplog.text
    assert coded.decode() not in caplog.text
    assert not re.search("xsrf", caplog.text, re.IGNORECASE)
