"""One very large community in two shares: two workers side by side, PostgreSQL, all on the same two cores.

    python -m tests.benchmarks.shares                   100,000 assets
    python -m tests.benchmarks.shares --write           and put what was measured into docs/performance.md

The third run is measured, as by `feed.py`: 1.5 million new readings, 100,000 forecasts and as many measurements. Here
the workers share their cores with each other, with PostgreSQL and with the exchange; on two machines each has its own.
"""

import argparse
import tempfile
from pathlib import Path

from tests.benchmarks.databases import databases
from tests.benchmarks.feed_figures import shares_table
from tests.benchmarks.feed_held import hold
from tests.benchmarks.feed_live import live
from tests.benchmarks.feed_place import Site, open_exchange
from tests.benchmarks.page import Sitting

WORKERS = 2


def main() -> None:
    """Measure, print, and write where that is asked for."""
    parser = argparse.ArgumentParser(description="A very large community in shares.")
    parser.add_argument("--assets", type=int, default=100_000)
    parser.add_argument("--write", action="store_true", help="put it into docs/performance.md")
    asked = parser.parse_args()
    sitting = Sitting("shares", "shares", "A very large community in shares")
    with databases() as make, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        site = Site(folder=folder / "community", first=0, assets=asked.assets)
        with open_exchange(folder, asked.assets) as (url, exchange):
            site.make(url, protocol="sdk", database=make("postgresql"))
            ways = [[f"{number}/{WORKERS}", str(site.file)] for number in range(1, WORKERS + 1)]
            told, theirs_s = live([site], exchange, *ways)
        hold(folder / "exchange.sqlite", site)
    figures = shares_table(told, assets=asked.assets, exchange_cpu_s=theirs_s)
    sitting.tell(figures, write=asked.write)


if __name__ == "__main__":
    main()
