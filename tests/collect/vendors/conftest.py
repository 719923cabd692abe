"""Accounts at emulated vendors, and recorded answers."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines.clock import FixedClock
from pipelines.collect.catalogue import vendor_of
from pipelines.collect.cloud.account import CloudSource, Surroundings, open_cloud
from pipelines.collect.source import STREAMS, Answer, Fetch
from pipelines.community import Cloud
from pipelines.daylight import Place
from pipelines.sandbox.clouds.app import vendors
from pipelines.sandbox.clouds.demo import demo_fleet
from pipelines.sandbox.clouds.serve import in_thread
from pipelines.sandbox.clouds.world import World
from pipelines.settings import Secrets
from pipelines.store import Store

DATA = Path(__file__).parents[2] / "data"
SECRET = "hush-hush-4711"
BERLIN = Place(latitude=52.5, longitude=13.4)
NOON = datetime(2016, 10, 29, 11, tzinfo=UTC)
"""13:00 in Berlin, on the first day of the demo's data."""


@dataclass
class Stage:
    """The emulated clouds in a thread, and a store; the clock of both is driven by the test."""

    world: World
    url: str
    store: Store
    folder: Path
    waits: list[float] = field(default_factory=list)

    @property
    def clock(self) -> FixedClock:
        assert isinstance(self.world.clock, FixedClock)
        return self.world.clock

    def sleep(self, seconds: float) -> None:
        """Waiting moves the clock of both sides."""
        self.waits.append(seconds)
        self.clock.set(self.clock.now() + timedelta(seconds=seconds))

    @contextlib.contextmanager
    def open(
        self, vendor: str, *, live: bool = True, secret: str = SECRET, place: Place | None = BERLIN, **settings: object
    ) -> Iterator[CloudSource]:
        """The account `acc` at a vendor, as a run opens it; `settings` are those of the community file."""
        address = self.url + vendors()[vendor].PREFIX
        cloud = Cloud.model_validate({"type": vendor, "url": address, "username": "me", **settings})
        around = Surroundings(
            store=self.store,
            secrets=Secrets(self.folder, environment={"SLOTFEED_SOURCE_ACC_PASSWORD": secret}),
            folder=self.folder,
            place=place,
            now=self.clock.now,
            sleep=self.sleep,
            gives_up=self.clock.now() + timedelta(minutes=4) if live else None,
        )
        with open_cloud("acc", vendor_of("acc", cloud), cloud, around) as source:
            yield source

    def read(self, source: CloudSource, start: datetime, end: datetime, *channels: tuple[str, str]) -> Answer:
        """What the source answers for (device, register) pairs."""
        frame = pl.DataFrame(
            [
                {
                    "stream_id": f"acc/{device}/{register}",
                    "meter": device,
                    "wanted": register,
                    "kind": "interval",
                    "stream_unit": "Wh",
                    "span": timedelta(minutes=15),
                    "ends": False,
                    "zone": "UTC",
                }
                for device, register in channels
            ],
            schema=STREAMS,
        )
        now = self.clock.now()
        fetch = Fetch(
            source="acc",
            start=start,
            end=end,
            since=None,
            received_at=now,
            run_id="r",
            open_end=now - end < timedelta(minutes=15),
        )
        return source.read(frame, fetch)


@pytest.fixture
def stage(sqlite_store: Store, tmp_path: Path) -> Iterator[Stage]:
    """The demo's fleet at noon of its first day."""
    world = World(fleet=demo_fleet(), clock=FixedClock(NOON), username="me", secret=SECRET)
    with in_thread(world) as url:
        yield Stage(world=world, url=url, store=sqlite_store, folder=tmp_path)


@pytest.fixture
def recorded() -> Callable[[str], bytes]:
    """Bytes of a recorded answer: `solaredge/energy.json`."""
    return lambda name: (DATA / name).read_bytes()
