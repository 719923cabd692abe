"""`slotfeed demo`: a real day of a real community, from its meter database to a local exchange and back.

The Saturday is loaded as history, then the clock-change Sunday 2016-10-30 (Europe/Berlin, 100 quarter hours) is
replayed slot by slot against the sandbox's driven clock. Two things go wrong on purpose: an inverter writes an absurd
value, and the exchange answers "ready" to a value that it throws away.
"""

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import polars as pl
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import select

from flows import screens
from flows.backfill import load_history
from flows.feed import feed, feed_once
from flows.local_prefect import PrefectServer, prefect_server
from flows.logged_in import logged_in
from flows.session import Run, open_run
from flows.steps import deliver, reconcile
from pipelines.check import read_community
from pipelines.community import Community
from pipelines.errors import TerminalError
from pipelines.exchange import PROTOCOLS
from pipelines.exchange.aggregators import create_aggregator, select_aggregator
from pipelines.frames import Quality
from pipelines.report.figures import Status
from pipelines.report.run import write_report
from pipelines.report.rundown import discrepancy_rows
from pipelines.report.status import status
from pipelines.sandbox import demo_community
from pipelines.sandbox.clouds.app import vendors
from pipelines.sandbox.clouds.demo import assignments
from pipelines.sandbox.clouds.process import clouds_process
from pipelines.sandbox.exchange.process import exchange_process
from pipelines.sandbox.meter_replay import MeterReplay, truth
from pipelines.settings import EXCHANGE_PASSWORD, EXCHANGE_USERNAME, Secrets, source_password
from pipelines.slots import slots_between
from pipelines.store import SlotEnergyRow, Store, read_frame, table_of
from pipelines.store.own import open_own_store

ZONE = ZoneInfo("Europe/Berlin")
SLOT = timedelta(minutes=15)
SATURDAY = datetime(2016, 10, 29, tzinfo=ZONE).astimezone(UTC)
SUNDAY = datetime(2016, 10, 30, tzinfo=ZONE).astimezone(UTC)
MONDAY = datetime(2016, 10, 31, tzinfo=ZONE).astimezone(UTC)
AFTERWARDS = MONDAY + timedelta(minutes=32)
INTO_SLOT = timedelta(minutes=2)
"""A feed runs this long after a slot begins, as the deployment's schedule has it."""

SPIKE = ("PV 3", datetime(2016, 10, 30, 11, tzinfo=ZONE).astimezone(UTC), 1000.0)
DROPPED = ("Load 5", datetime(2016, 10, 30, 13, 30, tzinfo=ZONE).astimezone(UTC))
BY_PREFECT = [datetime(2016, 10, 30, 17, minute, tzinfo=ZONE).astimezone(UTC) for minute in (0, 15, 30, 45)]
"""These slots are fed by flow runs on a Prefect server of the demo's own."""

OWN_FILES = (
    "community.yaml",
    "registry.json",
    "report.html",
    "quality",
    "meters.sqlite",
    "slotfeed.sqlite",
    "prefect",
    ".slotfeed",
)


@dataclass(frozen=True)
class Stage:
    """The demo's surroundings."""

    folder: Path
    exchange: httpx.Client
    """To the sandbox's control paths."""

    clouds: httpx.Client
    """To the control paths of the vendor clouds."""

    meters: MeterReplay
    prefect: PrefectServer

    @property
    def community_file(self) -> Path:
        """The demo's community file."""
        return self.folder / "community.yaml"

    def move_to(self, moment: datetime) -> None:
        """Let the outside world live until `moment`."""
        self.meters.advance(moment)
        for sandbox in (self.exchange, self.clouds):
            sandbox.put("/sandbox/clock", json={"now": moment.isoformat()}).raise_for_status()


async def run_demo(folder: Path, *, protocol: str) -> bool:
    """Play the day; True if reconciliation accounts for every asset and slot.

    Args:
        folder: for the databases and the report; a former demo's files in it are replaced.
        protocol: `rest`, `sdk` or `batch`.
    """
    if protocol not in PROTOCOLS:
        raise TerminalError(f"--protocol: {protocol!r} is none of {', '.join(PROTOCOLS)}")
    _clear(folder)
    async with _stage(folder, protocol) as stage:
        if PROTOCOLS[protocol].abilities.many_assets:
            await _select_aggregator(stage)
        await _load_saturday(stage)
        await _replay_sunday(stage)
        await _end_the_day(stage)
        async with open_run("reconcile", stage.community_file, at=AFTERWARDS, tell=screens.show_run) as run:
            await reconcile(run, start=SUNDAY, end=MONDAY)
        return _close(stage)


@contextlib.asynccontextmanager
async def _stage(folder: Path, protocol: str) -> AsyncIterator[Stage]:
    registry = folder / "registry.json"
    registry.write_text(json.dumps(demo_community.registry_json(), indent=1))
    os.environ[EXCHANGE_USERNAME[0]] = "demo"
    os.environ[EXCHANGE_PASSWORD[0]] = password = secrets.token_urlsafe()
    meter_url = f"sqlite:///{folder / 'meters.sqlite'}"
    for vendor in vendors():
        os.environ[source_password(vendor)[0]] = password
    start = SUNDAY - SLOT
    with (
        prefect_server(folder / "prefect") as prefect,
        exchange_process(registry, username="demo", password=password, clock_start=start) as base_url,
        clouds_process(username="demo", secret=password, clock_start=start) as clouds_url,
        httpx.Client(base_url=base_url) as exchange,
        httpx.Client(base_url=clouds_url) as clouds,
        contextlib.closing(MeterReplay(meter_url)) as meters,
    ):
        (folder / "community.yaml").write_text(
            demo_community.community_yaml(
                base_url=base_url,
                meter_url="sqlite:///meters.sqlite",
                database="sqlite:///slotfeed.sqlite",
                protocol=protocol,
                clouds={name: clouds_url + vendor.PREFIX for name, vendor in vendors().items()},
                assigned=assignments(),
            )
        )
        meters.create()
        meters.spike(*SPIKE)
        yield Stage(folder=folder, exchange=exchange, clouds=clouds, meters=meters, prefect=prefect)


async def _select_aggregator(stage: Stage) -> None:
    """Let one aggregator send for all: at a real exchange, a person decides that."""
    community = read_community(stage.community_file)
    simulation = community.community.simulation_uuid
    async with logged_in(community.exchange.base_url, stage.folder) as client:
        made = await create_aggregator(client, simulation, demo_community.AGGREGATOR)
        for asset in community.assets:
            await select_aggregator(client, simulation, made, asset=asset.uuid, name=asset.name)


async def _load_saturday(stage: Stage) -> None:
    screens.out.print(
        f"[bold]1[/] A sandbox exchange serves on {stage.exchange.base_url}, {len(vendors())} vendor clouds on "
        f"{stage.clouds.base_url}, a meter database stands in {stage.folder}"
    )
    screens.out.print(f"[bold]2[/] Loading Saturday {SATURDAY.astimezone(ZONE):%Y-%m-%d} as history")
    stage.meters.advance(SUNDAY - SLOT)
    story = partial(load_history, start=SATURDAY, end=SUNDAY)
    async with open_run("backfill", stage.community_file, at=SUNDAY - SLOT, tell=screens.show_run) as run:
        await story(run)


async def _replay_sunday(stage: Stage) -> None:
    asset = next(a for a in read_community(stage.community_file).assets if a.name == DROPPED[0])
    # What arrives in the slot before is for this one, and is answered as ready and thrown away.
    fault = {"do": "drop", "asset": asset.uuid, "slot": (DROPPED[1] - SLOT).isoformat()}
    stage.exchange.put("/sandbox/faults", json=[fault]).raise_for_status()
    slots = list(slots_between(SUNDAY, MONDAY, SLOT))
    screens.out.print(
        f"[bold]3[/] Live at midnight: {len(slots)} slots of Sunday {SUNDAY.astimezone(ZONE):%Y-%m-%d}, one feed each"
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screens.out) as progress:
        bar = progress.add_task("", total=len(slots))
        for slot in slots:
            local = slot.astimezone(ZONE)
            in_prefect = slot in BY_PREFECT
            note = "Prefect flow run" if in_prefect else "feed"
            progress.update(bar, description=f"{local:%H:%M %Z} {note:<16}")
            now = slot - SLOT + INTO_SLOT
            stage.move_to(now)
            if in_prefect:
                with stage.prefect.in_use():
                    await feed(community=str(stage.community_file), at=now)
            else:
                async with open_run("feed", stage.community_file, at=now, tell=_nothing) as run:
                    await feed_once(run)
            progress.advance(bar)
    screens.out.print(f"  of these as Prefect flow runs: {', '.join(stage.prefect.flow_runs())}")


async def _end_the_day(stage: Stage) -> None:
    """Take in the last quarter hours and report what was measured; no forecast for a Monday that isn't played.

    Clouds tell a quarter hour late, so it is waited for half an hour longer.
    """
    stage.move_to(AFTERWARDS)
    async with open_run("backfill", stage.community_file, at=AFTERWARDS, tell=_nothing) as run:
        await load_history(run, start=SUNDAY, end=MONDAY)
        await deliver(run)


async def _nothing(_run: Run) -> None:
    """A hundred summaries would bury the bar."""


def _close(stage: Stage) -> bool:
    """Write the report and tell how it ended."""
    community = read_community(stage.community_file)
    store = open_own_store(community, stage.folder, Secrets(stage.folder))
    try:
        summary = status(store, community, start=SUNDAY, end=MONDAY)
        report = write_report(
            store,
            community,
            start=SUNDAY,
            end=MONDAY,
            now=AFTERWARDS,
            path=stage.folder / "report.html",
        )
        screens.out.print()
        screens.out.print(screens.figures(summary))
        screens.show_discrepancies(discrepancy_rows(store, community))
        _show_truth(store, community)
    finally:
        store.close()
    _show_next(stage, report, summary)
    return summary.accounted and summary.not_final.count == 0


def _show_truth(store: Store, community: Community) -> None:
    """How far the slots are from the profiles that the meters and clouds were made of, by kind of source."""
    row = table_of(SlotEnergyRow)
    schema = pl.Schema(
        {
            "asset_id": pl.String(),
            "slot_start": pl.Datetime("us", "UTC"),
            "version": pl.Int64(),
            "energy_wh": pl.Float64(),
            "quality": pl.String(),
        }
    )
    with store.reading() as connection:
        made = read_frame(connection, select(*(row.c[name] for name in schema.names())), schema)
    kinds = pl.DataFrame(
        [(a.asset_id, community.sources[a.streams[0].source].type) for a in community.assets],
        schema=["asset_id", "source"],
        orient="row",
    )
    off = (
        made.filter(pl.col("version") == pl.col("version").max().over("asset_id", "slot_start"))
        # The seeded absurd value leaves a gap; what is estimated there is no claim to be true.
        .filter(pl.col("quality") != Quality.ESTIMATED)
        .join(truth(), on=["asset_id", "slot_start"], suffix="_true")
        .join(kinds, on="asset_id")
        .group_by("source")
        .agg(
            assets=pl.col("asset_id").n_unique(),
            slots=pl.len(),
            worst=(pl.col("energy_wh") - pl.col("energy_wh_true")).abs().max(),
        )
        .sort("source")
    )
    rows = [
        {"source": source, "assets": assets, "slots": f"{slots:,}", "largest deviation": f"{worst:.6f} Wh"}
        for source, assets, slots, worst in off.iter_rows()
    ]
    screens.show_rows("Slot energy against the original profiles", rows, empty="No slot was made")


def _show_next(stage: Stage, report: Path, summary: Status) -> None:
    if summary.accounted:
        screens.out.print("[green]Every slot of every asset is accounted for.[/]")
    else:
        screens.out.print(f"[red]{summary.unaccounted.count:,} slots are not accounted for.[/]")
    file = stage.community_file
    screens.out.print(f"\nThe report: [bold]{report}[/]", soft_wrap=True)
    screens.out.print(
        "Next:\n"
        f"  slotfeed status -c {file} --at {MONDAY.isoformat()}\n"
        f"  slotfeed quality -c {file} --at {AFTERWARDS.isoformat()}\n"
        f"  slotfeed quarantine list -c {file}\n"
        "  slotfeed init, then edit community.yaml for your own community (see README.md)\n"
        "The commands are in .venv/bin.",
        soft_wrap=True,
    )


def _clear(folder: Path) -> None:
    """Remove what an earlier demo left, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in OWN_FILES:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        for file in (path, path.with_name(f"{name}-wal"), path.with_name(f"{name}-shm")):
            file.unlink(missing_ok=True)
