"""A community as its user has it: a folder with its file and meter database, and an exchange process."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from flows import cli, screens
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


@dataclass
class Place:
    """The folder and its surroundings."""

    folder: Path
    exchange: httpx.Client
    meters: MeterReplay

    @property
    def file(self) -> Path:
        return self.folder / "community.yaml"

    @property
    def community(self) -> Community:
        return read_community(self.file)

    @contextlib.contextmanager
    def store(self) -> Iterator[Store]:
        opened = open_own_store(self.community, self.folder, Secrets(self.folder))
        yield opened
        opened.close()

    def live_until(self, moment: datetime) -> None:
        self.meters.advance(moment)
        self.exchange.put("/sandbox/clock", json={"now": moment.isoformat()}).raise_for_status()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The demo's community at 23:47 local time before its first live slot; secrets in the environment."""
    registry = tmp_path / "registry.json"
    registry.write_text(json.dumps(registry_json()))
    monkeypatch.setenv("SLOTFEED_EXCHANGE_USERNAME", "me")
    monkeypatch.setenv("SLOTFEED_EXCHANGE_PASSWORD", "hush-hush")
    monkeypatch.chdir(tmp_path)
    with (
        exchange_process(registry, username="me", password="hush-hush", clock_start=FIRST_RUN) as base_url,
        httpx.Client(base_url=base_url) as exchange,
        contextlib.closing(MeterReplay(f"sqlite:///{tmp_path / 'meters.sqlite'}")) as meters,
    ):
        (tmp_path / "community.yaml").write_text(
            community_yaml(base_url=base_url, meter_url="sqlite:///meters.sqlite", database="sqlite:///slotfeed.sqlite")
        )
        meters.create()
        meters.advance(FIRST_RUN)
        yield Place(folder=tmp_path, exchange=exchange, meters=meters)


@pytest.fixture
def slotfeed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run the command line in this process: exit status, and all it printed (stdout, then stderr)."""

    def run(*arguments: str | Path) -> tuple[int, str]:
        for console in (screens.out, screens.err):
            monkeypatch.setattr(console, "width", 250)
        monkeypatch.setattr(sys, "argv", ["slotfeed", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1 if end.code else 0
        else:
            status = 0
        told = capsys.readouterr()
        return status, told.out + told.err

    return run
