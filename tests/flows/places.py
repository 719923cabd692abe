"""A community as its user has it: a folder with its file and meter database, and an exchange process."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import httpx

from pipelines.check import read_community
from pipelines.community import Community
from pipelines.sandbox.demo_community import community_yaml, registry_json
from pipelines.sandbox.exchange.process import exchange_process
from pipelines.sandbox.meter_replay import MeterReplay
from pipelines.settings import Secrets
from pipelines.store import Store
from pipelines.store.own import open_own_store

# The clock-change Sunday begins at 22:00 UTC; a feed two minutes into the slot before sends its first slot.
MIDNIGHT = datetime(2016, 10, 29, 22, tzinfo=UTC)
SLOT = timedelta(minutes=15)
FIRST_RUN = MIDNIGHT - SLOT + timedelta(minutes=2)

USERNAME, PASSWORD = "me", "hush-hush"
IN_ENVIRONMENT = {"SLOTFEED_EXCHANGE_USERNAME": USERNAME, "SLOTFEED_EXCHANGE_PASSWORD": PASSWORD}


@dataclass
class Place:
    """The folder and its surroundings."""

    folder: Path
    exchange: httpx.Client
    meters: MeterReplay
    ledger: Path
    """The exchange's own database, outside the folder."""

    @property
    def file(self) -> Path:
        return self.folder / "community.yaml"

    @property
    def community(self) -> Community:
        return read_community(self.file)

    @contextlib.contextmanager
    def store(self) -> Iterator[Store]:
        with contextlib.closing(open_own_store(self.community, self.folder, Secrets(self.folder))) as opened:
            yield opened

    def live_until(self, moment: datetime) -> None:
        self.meters.advance(moment)
        self.exchange.put("/sandbox/clock", json={"now": moment.isoformat()}).raise_for_status()

    def write_file(self, *, protocol: str = "rest", database: str = "sqlite:///slotfeed.sqlite") -> None:
        self.file.write_text(
            community_yaml(
                base_url=str(self.exchange.base_url).rstrip("/"),
                meter_url="sqlite:///meters.sqlite",
                database=database,
                protocol=protocol,
            )
        )


@contextlib.contextmanager
def open_place(folder: Path, outside: Path) -> Iterator[Place]:
    """The demo's community at 23:47 local time before its first live slot.

    Args:
        folder: becomes the community's.
        outside: of the exchange's files.
    """
    registry, ledger = outside / "registry.json", outside / "exchange.sqlite"
    registry.write_text(json.dumps(registry_json()))
    with (
        exchange_process(
            registry, username=USERNAME, password=PASSWORD, clock_start=FIRST_RUN, database=ledger
        ) as base_url,
        httpx.Client(base_url=base_url) as exchange,
        contextlib.closing(MeterReplay(f"sqlite:///{folder / 'meters.sqlite'}")) as meters,
    ):
        place = Place(folder=folder, exchange=exchange, meters=meters, ledger=ledger)
        place.write_file()
        meters.create()
        meters.advance(FIRST_RUN)
        yield place


@contextlib.contextmanager
def living_in(place: Place) -> Iterator[None]:
    """The place's folder as the working directory, its secrets in the environment."""
    with mock.patch.dict(os.environ, IN_ENVIRONMENT), contextlib.chdir(place.folder):
        yield
