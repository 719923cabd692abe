"""One very large community in two shares: two workers side by side, PostgreSQL, all on the same two cores.

    python -m tests.benchmarks.shares                   100,000 assets
    python -m tests.benchmarks.shares --write           and put what was measured into docs/performance.md

The third run is measured, as by `feed.py`: 1.5 million new readings, 100,000 forecasts and as many measurements. Here
the workers share their cores with each other, with PostgreSQL and with the exchange; on two machines each has its own.
"""

import argparse
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from tests.benchmarks.databases import databases
from tests.benchmarks.feed_figures import shares_table
from tests.benchmarks.feed_held import hold
from tests.benchmarks.feed_live import live
from tests.benchmarks.feed_page import machine, write_part
from tests.benchmarks.feed_place import Site, open_exchange

WORKERS = 2


def main() -> None:
    """Measure, print, and write where that is asked for."""
    parser = argparse.ArgumentParser(description="A very large community in shares.")
    parser.add_argument("--assets", type=int, default=100_000)
    parser.add_argument("--write", action="store_true", help="put it into docs/performance.md")
    asked = parser.parse_args()
    load, began, console = os.getloadavg()[0], time.perf_counter(), Console()
    with databases() as make, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        site = Site(folder=folder / "community", first=0, assets=asked.assets)
        with open_exchange(folder, asked.assets) as (url, exchange):
            site.make(url, protocol="sdk", database=make("postgresql"))
            ways = [[f"{number}/{WORKERS}", str(site.file)] for number in range(1, WORKERS + 1)]
            told, theirs_s = live([site], exchange, *ways)
        hold(folder / "exchange.sqlite", site)
    command = " ".join(["python -m tests.benchmarks.shares", *sys.argv[1:]])
    took = f"Measuring this took {time.perf_counter() - began:.0f} s (`{command}`)."
    figures = shares_table(told, assets=asked.assets, exchange_cpu_s=theirs_s)
    body = "\n\n".join([machine(load, datetime.now(UTC).date()), figures, took])
    console.print(Markdown(body))
    if asked.write:
        write_part("shares", "A very large community in shares", body)


if __name__ == "__main__":
    main()
