"""A community of so many assets that are read each minute, as its user has it: a folder, a file, an exchange."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import httpx
from pydantic import SecretStr

from pipelines.clock import FixedClock
from pipelines.exchange import open_exchange as open_exchange_client
from pipelines.exchange.aggregators import create_aggregator, select_aggregator
from pipelines.sandbox.exchange.process import exchange_process

USERNAME, PASSWORD = "feed", "hush-hush-4711"
SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
SLOT, MINUTE = timedelta(minutes=15), timedelta(minutes=1)
NOON = datetime(2026, 6, 8, 12, tzinfo=UTC)
LATER = timedelta(minutes=2)
"""A feed runs so long after its slot has begun."""

HISTORY = 2 * SLOT
OVERLAP_MINUTES = 15
"""Read again in each run. The default's six hours would be 360 rows an asset and slot, which at this size an aggregator
leaves to `ingested_at`."""

CONCURRENCY = 50
AGGREGATOR = "Feed"


@dataclass(frozen=True, kw_only=True)
class Site:
    """One community of the bench."""

    folder: Path
    first: int
    """Number of its first asset."""

    assets: int

    @property
    def file(self) -> Path:
        """Its community file."""
        return self.folder / "community.yaml"

    @property
    def numbers(self) -> range:
        """Of its assets."""
        return range(self.first, self.first + self.assets)

    def make(self, url: str, *, protocol: str, database: str) -> None:
        """Write its file, and a meter database with nothing in it.

        Args:
            url: of the exchange.
            protocol: `sdk` or `batch`.
            database: SQLAlchemy URL of its store.
        """
        self.folder.mkdir()
        self.file.write_text(_yaml(self, url, protocol=protocol, database=database))
        with closing(sqlite3.connect(self.folder / "meters.sqlite")) as connection:
            connection.execute(
                "CREATE TABLE registers (meter TEXT, at INTEGER, value_wh REAL, PRIMARY KEY (meter, at)) WITHOUT ROWID"
            )

    async def join_aggregator(self, url: str) -> None:
        """Let an aggregator send for all of its assets, as `batch` needs it."""
        clock = FixedClock(NOON + LATER)
        login = {"username": SecretStr(USERNAME), "password": SecretStr(PASSWORD)}
        async with open_exchange_client(base_url=url, clock=clock, concurrency=CONCURRENCY, **login) as client:
            await client.connect()
            made = await create_aggregator(client, SIMULATION, AGGREGATOR)
            async with asyncio.TaskGroup() as group:
                for uuid in map(uuid_of, self.numbers):
                    group.create_task(select_aggregator(client, SIMULATION, made, asset=uuid, name=uuid))

    def read_meters(self, start: datetime, end: datetime) -> int:
        """Read every meter each minute of (start, end]; how many rows that made."""
        stamps = range(int(start.timestamp()) + 60, int(end.timestamp()) + 1, 60)
        rows = ((uuid_of(number), at, register_wh(number, at)) for number in self.numbers for at in stamps)
        with closing(sqlite3.connect(self.folder / "meters.sqlite")) as connection:
            connection.executemany("INSERT INTO registers VALUES (?, ?, ?)", rows)
            connection.commit()
        return len(stamps) * self.assets


def uuid_of(number: int) -> str:
    """Of an asset, at the exchange and in the meter database."""
    return str(uuid5(NAMESPACE_OID, f"feed {number}"))


def register_wh(number: int, at: int) -> float:
    """What an asset's register shows at an instant (seconds since 1970): a power of its own, steady but for a step
    each quarter hour, so that no two slots are alike.
    """
    minutes = at // 60 - int(NOON.timestamp()) // 60 + 10_000
    return round(1_000_000.0 + minutes * (1 + number % 90) + (minutes // 15) * (number % 7), 3)


def slot_wh(number: int, start: datetime) -> float:
    """The energy that flows in a slot."""
    begin = int(start.timestamp())
    return register_wh(number, begin + 900) - register_wh(number, begin)


@contextmanager
def open_exchange(folder: Path, assets: int) -> Iterator[tuple[str, httpx.Client]]:
    """A sandbox exchange that knows so many assets, its clock where the first run's is."""
    leaves = [{"name": f"Load {number}", "type": "Load", "uuid": uuid_of(number)} for number in range(assets)]
    registry = {
        "username": USERNAME,
        "name": "Feed",
        "uuid": SIMULATION,
        "domain_name": "http://127.0.0.1",
        "web_socket_domain_name": "ws://127.0.0.1",
        "global_settings": {"slot_length": "15m"},
        "registry": {"name": "Grid", "type": "Area", "uuid": "grid", "children": leaves},
    }
    source = folder / "registry.json"
    source.write_text(json.dumps(registry))
    with (
        exchange_process(
            source,
            username=USERNAME,
            password=PASSWORD,
            clock_start=NOON + LATER,
            database=folder / "exchange.sqlite",
        ) as url,
        httpx.Client(base_url=url, timeout=600) as client,
    ):
        yield url, client


def _yaml(site: Site, url: str, *, protocol: str, database: str) -> str:
    """The file in the form that `slotfeed init` gives it."""
    head = f"""community:
  name: Feed {site.first}
  simulation_uuid: {SIMULATION}
  time_zone: Europe/Berlin
exchange:
  base_url: {url}
  protocol: {protocol}
  concurrency: {CONCURRENCY}
"""
    if protocol == "batch":
        head += f"  aggregator: {AGGREGATOR}\n"
    head += f"""database: {database}
sources:
  meters:
    type: meter_database
    url: sqlite:///meters.sqlite
    table: registers
    columns: {{meter: meter, time: at, value: value_wh}}
    time_type: epoch_s
    overlap: {OVERLAP_MINUTES}
assets:
"""
    return head + "".join(
        f"""  - name: Load {number}
    uuid: {uuid_of(number)}
    type: load
    rated_power_kw: 10
    streams:
      - {{source: meters, device: {uuid_of(number)}, kind: register, unit: Wh}}
"""
        for number in site.numbers
    )
