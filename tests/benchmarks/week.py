"""Seven simulated days of 1,000 assets before the local exchange, with trouble: what arrives, when, and how often.

    python -m tests.benchmarks.week                                 # 7 days, 1,000 assets, protocol rest
    python -m tests.benchmarks.week --days 0.5 --assets 100 --protocol sdk

The assets follow the 36 real ones of `tests/simbench_year.py`, each with a scale and a shift of its own. Every quarter
hour of the exchange's driven clock their registers are read from a database, judged, converted and sent by the feed's
own steps, in a process of its own; the exchange is the sandbox's, in another. 5 % of all posts meet a fault: the reply
lost or cut off, 503, 429, a torn connection, a web page, a delay, all tokens ended. The feed is killed (SIGKILL) at a
random moment every half day, and runs again six minutes later, when its leases have lapsed. Once a day the exchange is
away for an hour. At each day's end it is reconciled, and the checker of `tests/reliability` looks at the whole day.

Seconds are real ones, by this machine's clock: the exchange's stands while a run lasts, so that a slow run can't miss a
deadline for want of a fast machine. "Within 60 s" is from the run's start to the moment at which the exchange's answer
had been read.
"""

import argparse
import tempfile
from pathlib import Path

from rich.console import Console

from tests.benchmarks.week_figures import Figures, show, write
from tests.benchmarks.week_life import Week


def main() -> None:
    """Live the week, and print what it showed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--days", type=float, default=7)
    parser.add_argument("--assets", type=int, default=1000)
    parser.add_argument("--protocol", choices=("rest", "sdk"), default="rest")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills, and of the faults")
    parser.add_argument("--write", action="store_true", help="write the table into docs/reliability.md")
    asked = parser.parse_args()
    console = Console()
    console.width = max(console.width, 118)
    with tempfile.TemporaryDirectory() as name:
        week = Week(folder=Path(name), assets=asked.assets, protocol=asked.protocol, seed=asked.seed)
        figures = Figures.of(week.live(days=asked.days, tell=lambda line: console.print(line, style="dim")))
    show(console, figures)
    if asked.write:
        write(figures)


if __name__ == "__main__":
    main()
