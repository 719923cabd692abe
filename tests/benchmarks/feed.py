"""One feed run at size: so many assets of one-minute readings, from meter database to exchange, stage by stage.

    python -m tests.benchmarks.feed                         10 to 10,000 assets, SQLite and PostgreSQL
    python -m tests.benchmarks.feed --assets 1000 --write   and put what was measured into docs/performance.md

Each run is a fresh process, as a worker or cron starts it. Two runs come before the one that is measured: the first
reads the history and lets the assets go live, the second is the first live slot. The measured one reads fifteen new
readings of each asset, and sends a forecast and a measurement for each; then a run reconciles what there is. The
exchange is the sandbox's, in a process of its own on the same cores; its CPU time is told apart. What it holds in the
end is held against the registers.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from rich.console import Console

from tests.benchmarks.databases import databases
from tests.benchmarks.feed_figures import Measured, goals_table, growth_table, stages_table
from tests.benchmarks.feed_held import hold
from tests.benchmarks.feed_live import LAST, live, run
from tests.benchmarks.feed_place import SLOT, Site, open_exchange
from tests.benchmarks.page import Sitting

CASES = (
    (10, "sqlite", "sdk"),
    (100, "sqlite", "sdk"),
    (1_000, "sqlite", "sdk"),
    (1_000, "postgresql", "sdk"),
    (1_000, "sqlite", "batch"),
    (10_000, "sqlite", "sdk"),
    (10_000, "postgresql", "sdk"),
    (10_000, "sqlite", "batch"),
)
"""Assets, store, protocol."""


def main() -> None:
    """Measure, print, and write where that is asked for."""
    parser = argparse.ArgumentParser(description="One feed run at size.")
    parser.add_argument("--assets", type=int, nargs="*", default=sorted({case[0] for case in CASES}))
    parser.add_argument("--write", action="store_true", help="put it into docs/performance.md")
    asked = parser.parse_args()
    sitting, console = Sitting("feed", "feed", "One feed run"), Console()
    found = []
    with databases() as make:
        for assets, kind, protocol in CASES:
            if assets not in asked.assets:
                continue
            console.print(f"{assets:,} assets, {kind}, {protocol} …", style="dim")
            with tempfile.TemporaryDirectory() as name:
                found.append(one_community(Path(name), assets, kind, make(kind), protocol))
    tables = [goals_table(found), stages_table(found), growth_table(found)]
    sitting.tell(*tables, write=asked.write)


def one_community(folder: Path, assets: int, kind: str, database: str, protocol: str) -> Measured:
    """The third run of one community, and the reconciliation after it."""
    site = Site(folder=folder / "community", first=0, assets=assets)
    with open_exchange(folder, assets) as (url, exchange):
        site.make(url, protocol=protocol, database=database)
        if protocol == "batch":
            asyncio.run(site.join_aggregator(url))
        [told], theirs_s = live([site], exchange, ["plain", str(site.file)])
        [reconciled] = run(LAST + SLOT, ["reconcile", str(site.file)])
    # It writes with a delay, and all of it when it ends.
    hold(folder / "exchange.sqlite", site)
    return Measured(
        assets=assets, kind=kind, protocol=protocol, told=told, reconciled=reconciled, exchange_cpu_s=theirs_s
    )


if __name__ == "__main__":
    main()
