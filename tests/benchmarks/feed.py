"""One feed run at size: so many assets of one-minute readings, from meter database to exchange, stage by stage.

    python -m tests.benchmarks.feed                         1,000 and 10,000 assets, SQLite and PostgreSQL; a fleet
    python -m tests.benchmarks.feed --assets 1000 --write   and put what was measured into docs/performance.md

Each run is a fresh process, as a worker or cron starts it. Two runs come before the one that is measured: the first
reads the history and lets the assets go live, the second is the first live slot. The measured one reads fifteen new
readings of each asset, and sends a forecast and a measurement for each. The exchange is the sandbox's, in a process of
its own on the same cores; its CPU time is told apart. What it holds in the end is held against the registers.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from tests.benchmarks.databases import databases
from tests.benchmarks.feed_figures import Measured, fleet_table, goals_table, stages_table
from tests.benchmarks.feed_held import hold
from tests.benchmarks.feed_page import machine, write_part
from tests.benchmarks.feed_place import HISTORY, LATER, NOON, PASSWORD, SLOT, USERNAME, Site, open_exchange
from tests.benchmarks.processes import children_cpu_s

ROOT = Path(__file__).parents[2]
FLEET, EACH = 300, 10


def main() -> None:
    """Measure, print, and write where that is asked for."""
    parser = argparse.ArgumentParser(description="One feed run at size.")
    parser.add_argument("--assets", type=int, nargs="*", default=[1_000, 10_000])
    parser.add_argument("--kinds", nargs="*", default=["sqlite", "postgresql"])
    parser.add_argument("--fleet", type=int, default=FLEET, help=f"communities of {EACH} assets; 0: none")
    parser.add_argument("--write", action="store_true", help="put it into docs/performance.md")
    asked = parser.parse_args()
    load, began, console = os.getloadavg()[0], time.perf_counter(), Console()
    found = []
    with databases() as make:
        for assets in asked.assets:
            for kind in asked.kinds:
                console.print(f"{assets:,} assets, {kind} …", style="dim")
                with tempfile.TemporaryDirectory() as name:
                    found.append(one_community(Path(name), assets, kind, make(kind)))
    parts = [goals_table(found), stages_table(found)]
    if asked.fleet:
        console.print(f"a fleet of {asked.fleet} …", style="dim")
        with tempfile.TemporaryDirectory() as name:
            parts.append(fleet_table(a_fleet(Path(name), asked.fleet), communities=asked.fleet, each=EACH))
    command = " ".join(["python -m tests.benchmarks.feed", *sys.argv[1:]])
    took = f"Measuring this took {time.perf_counter() - began:.0f} s (`{command}`)."
    body = "\n\n".join([machine(load, datetime.now(UTC).date()), *parts, took])
    console.print(Markdown(body))
    if asked.write:
        write_part("feed", "One feed run", body)


def one_community(folder: Path, assets: int, kind: str, database: str) -> Measured:
    """The third run of one community."""
    site = Site(folder=folder / "community", first=0, assets=assets)
    with open_exchange(folder, assets) as (url, exchange):
        site.make(url, protocol="sdk", database=database)
        told, theirs_s = _live([site], exchange, "plain")
    # It writes with a delay, and all of it when it ends.
    hold(folder / "exchange.sqlite", site)
    return Measured(assets=assets, kind=kind, told=told, exchange_cpu_s=theirs_s)


def a_fleet(folder: Path, communities: int) -> dict[str, Any]:
    """The third run of a fleet, each community with a store of its own."""
    sites = [Site(folder=folder / f"{turn:04}", first=turn * EACH, assets=EACH) for turn in range(communities)]
    with open_exchange(folder, communities * EACH) as (url, exchange):
        for site in sites:
            site.make(url, protocol="sdk", database="sqlite:///slotfeed.sqlite")
        told, _ = _live(sites, exchange, "fleet")
        if told["not_ok"]:
            raise RuntimeError(f"{len(told['not_ok'])} communities with trouble: {told['not_ok'][0]}")
    for site in (sites[0], sites[-1]):
        hold(folder / "exchange.sqlite", site)
    return told


def _live(sites: list[Site], exchange: Any, how: str) -> tuple[dict[str, Any], float]:
    """Three slots; what the last run told, and the CPU time that the exchange spent meanwhile."""
    read_until, told, theirs_s = NOON - HISTORY, {}, 0.0
    for turn in range(3):
        start = NOON + turn * SLOT
        for site in sites:
            site.read_meters(read_until, start)
        read_until = start
        exchange.put("/sandbox/clock", json={"now": (start + LATER).isoformat()}).raise_for_status()
        before = children_cpu_s("sandbox.exchange")
        told = _run(start + LATER, how, sites)
        theirs_s = children_cpu_s("sandbox.exchange") - before
    # Values count from a market cycle on: without the next one the exchange would hold none of the last run's.
    exchange.put("/sandbox/clock", json={"now": (NOON + 3 * SLOT + LATER).isoformat()}).raise_for_status()
    return told, theirs_s


def _run(at: datetime, how: str, sites: list[Site]) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.feed_run", at.isoformat(), how, *(str(s.file) for s in sites)]
    secrets = {"SLOTFEED_EXCHANGE_USERNAME": USERNAME, "SLOTFEED_EXCHANGE_PASSWORD": PASSWORD}
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    done = subprocess.run(command, env=os.environ | secrets | quiet, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the run at {at} ended with status {done.returncode}: {done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.strip().rsplit("\n", 1)[-1])
    return told | {"wall_s": time.perf_counter() - began}


if __name__ == "__main__":
    main()
