"""An account over many runs: its pace through a month, what stops it, and what its cursors may pass."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from sqlmodel import col, select

from pipelines.clock import FixedClock
from pipelines.collect.catalogue import find_vendor
from pipelines.collect.cloud.account import Surroundings, open_cloud
from pipelines.collect.cloud.vendor import Account as CloudAccount
from pipelines.collect.cloud.vendor import Ask, Vendor
from pipelines.collect.people import quotas, resume
from pipelines.collect.run import Opening, collect
from pipelines.collect.source import NO_ROWS, STREAMS, Answer, Device, Fetch
from pipelines.collect.summary import CollectSummary
from pipelines.community import Cloud, Community
from pipelines.daylight import Place
from pipelines.errors import AccountStopped, AuthenticationError
from pipelines.sandbox.clouds.app import vendors
from pipelines.sandbox.clouds.demo import demo_fleet
from pipelines.sandbox.clouds.serve import in_thread
from pipelines.sandbox.clouds.world import World
from pipelines.settings import Secrets
from pipelines.store import Cursor, ReadingRow, Store

SECRET = "hush-hush-4711"
QUARTER, HOUR, DAY = timedelta(minutes=15), timedelta(hours=1), timedelta(days=1)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
NOON = datetime(2026, 12, 10, 11, 2, tzinfo=UTC)

LIGHT = (timedelta(hours=6, minutes=20), timedelta(hours=15, minutes=50))
"""From midnight UTC: civil twilight in Berlin begins between 6:34 and 6:56 and ends between 15:33 and 15:44, all
December; almanac values, and a quarter hour more."""


@dataclass
class Account:
    """The demo's two SolarEdge sites through a whole month, and a store that collects from them."""

    world: World
    url: str
    store: Store
    folder: Path
    secret: str = SECRET
    waits: list[float] = field(default_factory=list)

    @property
    def clock(self) -> FixedClock:
        assert isinstance(self.world.clock, FixedClock)
        return self.world.clock

    def community(self, **settings: object) -> Community:
        source = {"type": "solaredge", "url": self.url + vendors()["solaredge"].PREFIX, **settings}
        terms = {"source": "acc", "register": "production", "kind": "interval", "unit": "Wh"}
        assets = [
            {
                "name": unit.name,
                "uuid": unit.device,
                "type": "pv",
                "rated_power_kw": 100,
                "streams": [{**terms, "device": unit.device}],
            }
            for unit in self.world.fleet.of("solaredge")
        ]
        return Community.model_validate(
            {
                "community": {"name": "c", "simulation_uuid": "s", "time_zone": "Europe/Berlin"},
                "exchange": {"base_url": "http://127.0.0.1:1"},
                "sources": {"acc": source},
                "assets": assets,
            }
        )

    @property
    def secrets(self) -> Secrets:
        return Secrets(self.folder, environment={"SLOTFEED_SOURCE_ACC_PASSWORD": self.secret})

    def opening(self) -> Opening:
        return Opening(
            store=self.store,
            community=self.community(),
            secrets=self.secrets,
            folder=self.folder,
            clock=self.clock,
            gives_up=None,
        )

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.set(self.clock.now() + timedelta(seconds=seconds))

    def collect(self, start: datetime | None = None, **settings: object) -> CollectSummary:
        """As a run does now."""
        return collect(
            self.store,
            self.community(**settings),
            self.secrets,
            folder=self.folder,
            start=start,
            end=self.clock.now(),
            run_id="r",
            clock=self.clock,
            sleep=self.sleep,
        )

    def collect_at(self, moment: datetime, **settings: object) -> CollectSummary:
        self.clock.set(moment)
        return self.collect(None, **settings)

    def plan(self, **plan: int) -> None:
        """What the vendor allows."""
        httpx.put(f"{self.url}/solaredge/v2/sandbox/plan", json=plan).raise_for_status()

    def asked(self) -> list[tuple[datetime, str, int | None]]:
        """When, for what, and how it was answered: every request since the last look."""
        entries: list[dict[str, Any]] = self.world.journal.entries("solaredge")
        self.world.journal.clear()
        return [
            (datetime.fromisoformat(e["at"]), e["path"], e["status"]) for e in entries if "sandbox" not in e["path"]
        ]

    def cursors(self) -> dict[str, datetime]:
        with self.store.reading() as connection:
            return dict(connection.execute(select(Cursor.stream_id, Cursor.position)).all())  # type: ignore[arg-type]

    def made(self, stream: str, start: datetime, end: datetime) -> set[datetime]:
        """Starts of the quarter hours in [start, end) in which a site made energy: of the others it may tell null."""
        unit = next(u for u in self.world.fleet.of("solaredge") if u.device == stream.split("/")[1])
        starts = [unit.first + n * QUARTER for n in range(len(unit.energy_wh["production"]))]
        energies_wh = dict(zip(starts, unit.energy_wh["production"], strict=True))
        return {at for at, wh in energies_wh.items() if start <= at < end and wh > 0}

    def stamps(self, stream: str) -> list[datetime]:
        with self.store.reading() as connection:
            query = select(col(ReadingRow.ts)).where(col(ReadingRow.stream_id) == stream, col(ReadingRow.revision) == 0)
            return sorted(connection.execute(query).scalars())


@pytest.fixture
def account(sqlite_store: Store, tmp_path: Path) -> Iterator[Account]:
    """At noon of a December day that the data reach from the month before to the month after."""
    fleet = demo_fleet(first=DECEMBER - 3 * DAY, quarter_hours=96 * 40)
    world = World(fleet=fleet, clock=FixedClock(DECEMBER), username="me", secret=SECRET)
    with in_thread(world) as url:
        yield Account(world=world, url=url, store=sqlite_store, folder=tmp_path)


def is_light(moment: datetime) -> bool:
    since = moment - datetime.combine(moment, datetime.min.time(), UTC)
    return LIGHT[0] <= since <= LIGHT[1]


@dataclass
class Plant:
    """A vendor with SolarEdge's terms whose answers are empty: what is counted are the requests for its two sites."""

    store: Store
    folder: Path
    clock: FixedClock
    month: int
    asked: list[datetime] = field(default_factory=list)

    def vendor(self) -> Vendor:
        plant = self

        class Session:
            def __init__(self, account: CloudAccount) -> None:
                self.http = account.http

            def devices(self) -> list[Device]:
                return []

            def read(self, ask: Ask) -> Answer:
                for site in () if ask.quiet else ask.channels:
                    full = self.http.budget.spend({}, plant.clock.now())
                    if full is not None:
                        raise AccountStopped(f"source 'acc', site {site}: spent", until=full)
                    self.http.requests += 1
                    plant.asked.append(plant.clock.now())
                return Answer(rows=NO_ROWS)

        known = find_vendor("solaredge")
        assert known is not None
        return replace(known, open=Session)

    def run(self, vendor: Vendor) -> None:
        """As the feed does at this minute."""
        now = self.clock.now()
        around = Surroundings(
            store=self.store,
            secrets=Secrets(self.folder, environment={"SLOTFEED_SOURCE_ACC_PASSWORD": SECRET}),
            folder=self.folder,
            place=Place(latitude=52.5, longitude=13.4),
            now=self.clock.now,
            gives_up=now + timedelta(minutes=4),
        )
        settings = Cloud(type="solaredge", limits={"month": self.month})
        fetch = Fetch(source="acc", start=now - 3 * HOUR, end=now - QUARTER, since=None, received_at=now, run_id="r")
        with open_cloud("acc", vendor, settings, around) as source:
            source.read(SITES, replace(fetch, open_end=True))

    def live(self, until: datetime) -> None:
        vendor = self.vendor()
        while self.clock.now() < until:
            self.run(vendor)
            self.clock.set(self.clock.now() + QUARTER)


SITES = pl.DataFrame(
    [
        {"stream_id": f"acc/{site}/production", "meter": site, "wanted": "production", "kind": "interval"}
        | {"stream_unit": "Wh", "span": QUARTER, "ends": False, "zone": "UTC"}
        for site in ("2051001", "2051002")
    ],
    schema=STREAMS,
)


def plant_of(store: Store, folder: Path, month: int) -> Plant:
    return Plant(store=store, folder=folder, clock=FixedClock(DECEMBER + timedelta(minutes=2)), month=month)


def polled_days(asked: list[datetime]) -> dict[date, list[datetime]]:
    """Day -> when it was polled in the light; what is polled in the dark must be what follows the last light."""
    found: dict[date, list[datetime]] = {}
    for at in sorted(set(asked)):
        found.setdefault(at.date(), []).append(at)
    for day, polls in found.items():
        dark = [at for at in polls if not is_light(at)]
        # Once after dusk, for the last light of the day; and once at the very first, when nothing is known yet.
        assert len(dark) <= (2 if day == DECEMBER.date() else 1), day
        found[day] = [at for at in polls if is_light(at)]
    return found


def evenly(day: date, polls: list[datetime], pause: timedelta) -> None:
    """From the first light to the last no longer pause than this."""
    midnight = datetime.combine(day, datetime.min.time(), UTC)
    # Certain light, by the almanac: 7:00 to 15:30.
    edges = [midnight + 7 * HOUR, *polls, midnight + 15.5 * HOUR]
    assert all(later - earlier <= pause for earlier, later in pairwise(edges)), (day, polls)


def test_a_months_requests_last_through_the_month_and_none_is_made_in_the_dark(
    sqlite_store: Store, tmp_path: Path
) -> None:
    plant = plant_of(sqlite_store, tmp_path, 2000)
    plant.live(DECEMBER + 31 * DAY)
    # A tenth is left for people; the rest isn't wasted as long as there are quarter hours to poll in.
    assert 1000 <= len(plant.asked) <= 2000
    days = polled_days(plant.asked)
    assert len(days) == 31
    for day, polls in days.items():
        evenly(day, polls, timedelta(minutes=45))


def test_a_small_plan_is_polled_every_two_hours_until_it_is_spent(sqlite_store: Store, tmp_path: Path) -> None:
    plant = plant_of(sqlite_store, tmp_path, 100)
    with pytest.raises(AccountStopped, match="spent") as stopped:
        plant.live(DECEMBER + 31 * DAY)
    assert len(plant.asked) == 100
    assert stopped.value.until == DECEMBER + 31 * DAY
    days = polled_days(plant.asked)
    last = max(days)
    for day, polls in days.items():
        if day != last:
            evenly(day, polls, 2 * HOUR + QUARTER)
    for moment in (DECEMBER + 20 * DAY, DECEMBER + 31 * DAY - QUARTER):
        plant.clock.set(moment)
        with pytest.raises(AccountStopped, match="2027-01-01"):
            plant.run(plant.vendor())
    assert len(plant.asked) == 100
    plant.clock.set(DECEMBER + 31 * DAY + 11 * HOUR)
    plant.run(plant.vendor())
    assert len(plant.asked) == 102


def test_two_days_at_the_vendor_cost_what_the_plan_allows_and_miss_nothing(account: Account) -> None:
    moment, polls, requests = NOON, [], 0
    while moment <= NOON + 2 * DAY:
        account.collect_at(moment, limits={"month": 600})
        asked = account.asked()
        assert all(status == 200 for _, _, status in asked)
        requests += len(asked)
        polls += [moment] if asked else []
        moment += QUARTER
    # 540 requests for 22 days, and what the first day's reading again costs beside.
    assert requests <= 2 * 540 / 22 + 4
    assert [at for at in polls if at.hour not in range(6, 18)] == []
    for stream in account.cursors():
        made = account.made(stream, NOON - HOUR, NOON + 2 * DAY - 2 * HOUR)
        assert len(made) > 40
        assert made - set(account.stamps(stream)) == set()


@pytest.mark.parametrize("refusal", ["month", "login", "retired"])
def test_a_stopped_account_is_asked_once_and_says_why_and_until_when(account: Account, refusal: str) -> None:
    account.clock.set(NOON)
    if refusal == "month":
        account.plan(per_month=0)
        reason, until = "credits are spent", "2027-01-01 00:00"
    elif refusal == "login":
        account.secret = "wrong-one"
        reason, until = "401", "2026-12-10 12:02"
    else:
        httpx.put(f"{account.url}/solaredge/v2/sandbox/retired", params={"retired": True}).raise_for_status()
        reason, until = "410", "2026-12-11 11:02"
    with pytest.raises((AccountStopped, AuthenticationError), match=reason):
        account.collect()
    first = account.asked()
    # Two sites are asked at once; none of the two a second time.
    assert len(first) <= 2
    assert len({path for _, path, _ in first}) == len(first)
    assert account.waits == []
    for minutes in (0, 15, 30, 45):
        with pytest.raises(AccountStopped) as stopped:
            account.collect_at(NOON + timedelta(minutes=minutes))
        for word in ("source 'acc'", f"not asked before {until} UTC", "2026-12-10 11:02 UTC", reason, "resume acc"):
            assert word in str(stopped.value)
    assert account.asked() == []
    (quota,) = quotas(account.opening(), account.clock.now())
    assert f"{quota.account.stopped_until:%Y-%m-%d %H:%M}" == until
    assert SECRET not in quota.account.reason
    assert "wrong-one" not in quota.account.reason
    assert account.cursors() == {}


def test_a_stop_ends_by_itself_at_its_time(account: Account) -> None:
    account.plan(per_month=0)
    with pytest.raises(AccountStopped):
        account.collect_at(NOON)
    account.plan(per_month=2000)
    with pytest.raises(AccountStopped):
        account.collect_at(datetime(2026, 12, 31, 23, 59, tzinfo=UTC))
    assert len(account.asked()) <= 2
    summary = account.collect_at(datetime(2027, 1, 1, 0, 0, tzinfo=UTC))
    assert summary.stored > 0


def test_resume_lets_a_stopped_account_be_asked_again(account: Account) -> None:
    account.plan(per_month=0)
    with pytest.raises(AccountStopped):
        account.collect_at(NOON)
    account.plan(per_month=2000)
    assert resume(account.opening(), "acc")
    assert not resume(account.opening(), "acc")
    assert account.collect_at(NOON + QUARTER).stored > 0
    (quota,) = quotas(account.opening(), account.clock.now())
    assert (quota.account.stopped_until, quota.account.reason) == (None, "")


def test_what_is_not_asked_yet_holds_the_cursors(account: Account) -> None:
    moment, quiet = NOON - 2 * HOUR, 0
    while moment < NOON + 26 * HOUR:
        summary = account.collect_at(moment, limits={"month": 100})
        asked = account.asked()
        for stream, position in account.cursors().items():
            stamps = account.stamps(stream)
            # What is substituted for the dark may lie before the cursor.
            assert stamps[-1] >= position
            assert account.made(stream, NOON - 20 * HOUR, position) - set(stamps) == set()
        if not asked and moment.hour in range(8, 15):
            quiet += 1
            (note,) = summary.coverage["acc"].notes
            assert note.startswith("its monthly budget is spread: asked again from ")
        moment += QUARTER
    assert quiet > 10


def test_a_backfill_is_not_held_up_by_the_pace(account: Account) -> None:
    account.collect_at(NOON, limits={"month": 100})
    account.asked()
    account.clock.set(NOON + QUARTER)
    account.collect(NOON - 2 * DAY, limits={"month": 100})
    assert account.asked() != []
