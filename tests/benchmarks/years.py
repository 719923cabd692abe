"""Does the live slot stay as fast as the store grows? Days of a community's past, laid down bulk by bulk.

    python -m tests.benchmarks.years                    1,000 assets, 1, 8 and 64 days, SQLite and PostgreSQL
    python -m tests.benchmarks.years --write            and put what was measured into docs/performance.md

A year of 10,000 assets is 350 million slots; here are up to six million, with the readings, submissions and read-back
values that belong to them. How time grows with each eightfold is shown, and what that makes of 350 million if it goes
on so. A live slot is a feed in a process of its own, its stages together, Great Expectations imported before; the
shortest of three slots in a row counts, after as many that nobody counts: a community's first slots have less to send.
"""

import argparse
import tempfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from pipelines.store import Store, open_store
from tests.benchmarks.databases import databases
from tests.benchmarks.feed_figures import years_table
from tests.benchmarks.feed_live import run
from tests.benchmarks.feed_place import HISTORY, LATER, NOON, SLOT, Site, open_exchange
from tests.benchmarks.page import Sitting
from tests.benchmarks.years_data import lay_down_day

SLOTS_A_DAY = 96
TURNS = 3


def main() -> None:
    """Measure, print, and write where that is asked for."""
    parser = argparse.ArgumentParser(description="The live slot beside a long past.")
    parser.add_argument("--assets", type=int, default=1_000)
    parser.add_argument("--days", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--kinds", nargs="*", default=["sqlite", "postgresql"])
    parser.add_argument("--write", action="store_true", help="put it into docs/performance.md")
    asked = parser.parse_args()
    sitting, console = Sitting("years", "years", "Beside years of past"), Console()
    tables = []
    with databases() as make:
        for kind in asked.kinds:
            with tempfile.TemporaryDirectory() as name:
                found = beside(Path(name), asked.assets, asked.days, make(kind), console)
            tables.append(years_table(kind, found))
    sitting.tell(f"{asked.assets:,} assets.", *tables, write=asked.write)


def beside(folder: Path, assets: int, days: list[int], database: str, console: Console) -> list[dict[str, Any]]:
    """Of each size: slots that are stored, and the seconds of a live slot by stage."""
    site, found, there = Site(folder=folder / "community", first=0, assets=assets), [], 0
    with open_exchange(folder, assets) as (url, exchange):
        site.make(url, protocol="sdk", database=database)
        site.read_meters(NOON - HISTORY, NOON)
        for turn in range(TURNS):
            _turn(site, exchange, turn)
        for step, wanted in enumerate(days, start=1):
            console.print(f"{wanted} days …", style="dim")
            with closing(open_store(database)) as store:
                for day in range(there, wanted):
                    lay_down_day(store, list(site.numbers), NOON - 2 * HISTORY - timedelta(days=day + 1))
                _settle(store)
            there = wanted
            turns = [_turn(site, exchange, step * TURNS + turn) for turn in range(TURNS)]
            shortest = min(turns, key=lambda told: sum(told["stages_s"].values()))
            found.append({"slots": wanted * SLOTS_A_DAY * assets, "stages_s": shortest["stages_s"]})
    return found


def _turn(site: Site, exchange: httpx.Client, number: int) -> dict[str, Any]:
    """The feed of one slot."""
    start = NOON + number * SLOT
    if number:
        site.read_meters(start - SLOT, start)
    exchange.put("/sandbox/clock", json={"now": (start + LATER).isoformat()}).raise_for_status()
    [told] = run(start + LATER, ["warm", str(site.file)])
    return told


def _settle(store: Store) -> None:
    """As the databases do it themselves in time: what was deleted is gone, and plans know how much there is."""
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE" if store.engine.dialect.name == "sqlite" else "VACUUM ANALYZE")


if __name__ == "__main__":
    main()
