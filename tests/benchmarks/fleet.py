"""A fleet in one run: hundreds of small communities of one-minute readings, each with a store of its own.

    python -m tests.benchmarks.fleet                   300 communities of 10 assets
    python -m tests.benchmarks.fleet --write           and put what was measured into docs/performance.md

The third run is measured, as by `feed.py`.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.feed_figures import fleet_table
from tests.benchmarks.feed_held import hold
from tests.benchmarks.feed_live import live
from tests.benchmarks.feed_place import Site, open_exchange
from tests.benchmarks.page import Sitting


def main() -> None:
    """Measure, print, and write where that is asked for."""
    parser = argparse.ArgumentParser(description="A fleet in one run.")
    parser.add_argument("--communities", type=int, default=300)
    parser.add_argument("--each", type=int, default=10, help="assets of a community")
    parser.add_argument("--write", action="store_true", help="put it into docs/performance.md")
    asked = parser.parse_args()
    sitting = Sitting("fleet", "fleet", "A fleet in one run")
    with tempfile.TemporaryDirectory() as name:
        told = a_fleet(Path(name), asked.communities, asked.each)
    figures = fleet_table(told, communities=asked.communities, each=asked.each)
    sitting.tell(figures, write=asked.write)


def a_fleet(folder: Path, communities: int, each: int) -> dict[str, Any]:
    """What the third run told."""
    sites = [Site(folder=folder / f"{turn:04}", first=turn * each, assets=each) for turn in range(communities)]
    with open_exchange(folder, communities * each) as (url, exchange):
        for site in sites:
            site.make(url, protocol="sdk", database="sqlite:///slotfeed.sqlite")
        [told], _ = live(sites, exchange, ["fleet", *(str(site.file) for site in sites)])
        if told["not_ok"]:
            raise RuntimeError(f"{len(told['not_ok'])} communities with trouble: {told['not_ok'][0]}")
    for site in (sites[0], sites[-1]):
        hold(folder / "exchange.sqlite", site)
    return told


if __name__ == "__main__":
    main()
