"""Measures slots and prints the tables of `slots.py`."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from polars.testing import assert_frame_equal
from rich import box
from rich.console import Console
from rich.table import Table
from slots_data import write_readings
from slots_one import ASSETS_AT_ONCE, READINGS, STREAMS

HERE = Path(__file__).parent
NAMES = {
    "slotfeed": "slotfeed",
    "pandas": "pandas",
    "pandas_categories": "pandas, names as categories",
    "duckdb": "DuckDB",
    "duckdb_numbered": "DuckDB, streams numbered",
    "in_parts": f"slotfeed, {ASSETS_AT_ONCE} assets at once",
}
PEERS = ("slotfeed", "pandas", "pandas_categories", "duckdb", "duckdb_numbered")
GOALS = {"pandas": 10, "pandas_categories": 10, "duckdb": 2, "duckdb_numbered": 2}
"""Times as fast. Ours."""

GOAL_MB = 1_000
"""Of the largest. Ours."""

SAME_WH = 1e-6
WARM_UP = 20_000
WIDTH = 118
STYLE: dict[str, Any] = {"box": box.SIMPLE, "padding": (0, 1, 0, 0), "pad_edge": False}


@dataclass(frozen=True, kw_only=True)
class Run:
    """One way at one size, the least of its rounds; the memory is the most."""

    way: str
    readings: int
    slots: int
    seconds: float
    cpu_s: float
    peak_mb: float


class Bench:
    """Files of readings, and what became of them."""

    def __init__(self, folder: Path, every_s: int, tell: Callable[[str], None]) -> None:
        self.folder, self.every_s, self.tell = folder, every_s, tell
        self.warm_up = folder / "warm-up"
        self.warm_up.mkdir()
        self._write(self.warm_up, WARM_UP)

    def measure(self, readings: int, ways: Sequence[str], rounds: int) -> list[Run]:
        """Every way in turn, and all results held against each other."""
        self.tell(f"{readings:,} readings …")
        written = self._write(self.folder, readings)
        measured: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for number in range(rounds):
            for way in ways:
                self.tell(f"{readings:,} readings, round {number + 1} of {rounds}, {NAMES[way]} …")
                measured[way].append(self._run(way))
        slots = self._compare(ways)
        return [
            Run(
                way=way,
                readings=written,
                slots=slots,
                seconds=min(one["seconds"] for one in found),
                cpu_s=min(one["cpu_s"] for one in found),
                peak_mb=max(one["peak_mb"] for one in found),
            )
            for way, found in measured.items()
        ]

    def _write(self, folder: Path, readings: int) -> int:
        written = write_readings(folder / READINGS, readings, every_s=self.every_s)
        pairs = pl.scan_parquet(folder / READINGS).select("asset_id", "stream_id").unique()
        counts = pairs.group_by("asset_id").agg(streams=pl.len()).collect(engine="streaming")
        counts.write_parquet(folder / STREAMS)
        return written

    def _run(self, way: str) -> dict[str, float]:
        paths = (HERE / "slots_one.py", way, self.folder, self.warm_up, self._result(way))
        command = [sys.executable, *(str(path) for path in paths)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{way} failed:\n{done.stderr}")
        measured: dict[str, float] = json.loads(done.stdout)
        return measured

    def _result(self, way: str) -> Path:
        return self.folder / f"{way}.slots"

    def _compare(self, ways: Sequence[str]) -> int:
        """The number of slots.

        Raises:
            AssertionError: a way came to another result than the first.
        """
        first, *others = (self._read(way) for way in ways)
        for way, other in zip(ways[1:], others, strict=True):
            try:
                assert_frame_equal(first, other, rel_tol=1e-12, abs_tol=SAME_WH)
            except AssertionError as error:
                raise AssertionError(f"{ways[0]} and {way} came to different slots") from error
        return first.height

    def _read(self, way: str) -> pl.DataFrame:
        path = self._result(way)
        source = path / "*.parquet" if path.is_dir() else path
        return pl.scan_parquet(source, glob=True).collect().sort("asset_id", "slot_start")


def _times_table(runs: Sequence[Run]) -> Table:
    table = Table(title="Registers to slots, from the file to energy, coverage, quality and method", **STYLE)
    for head in ("readings", "slots"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for head in ("seconds", "CPU", "million\na second", "peak\nMB", "slotfeed is\nfaster by", "in CPU\nby"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("goal", no_wrap=True)
    for run in runs:
        if run.way == "slotfeed":
            table.add_section()
        ours = next(one for one in runs if (one.way, one.readings) == ("slotfeed", run.readings))
        ratio, goal = run.seconds / ours.seconds, GOALS.get(run.way)
        table.add_row(
            f"{run.readings:,}",
            f"{run.slots:,}",
            NAMES[run.way],
            f"{run.seconds:.2f}",
            f"{run.cpu_s:.2f}",
            f"{run.readings / run.seconds / 1e6:.1f}",
            f"{run.peak_mb:,.0f}",
            "" if goal is None else f"{ratio:.1f}",
            "" if goal is None else f"{run.cpu_s / ours.cpu_s:.1f}",
            "" if goal is None else f"{goal}: {_verdict(reached=ratio >= goal)}",
        )
    return table


def _memory_table(runs: Sequence[Run]) -> Table:
    table = Table(title="The largest, in bounded memory", **STYLE)
    for head in ("readings", "slots"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for head in ("seconds", "CPU", "peak\nMB"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("goal", no_wrap=True)
    for run in runs:
        goal = f"{GOAL_MB:,} MB: {_verdict(reached=run.peak_mb <= GOAL_MB)}" if run.way == "in_parts" else ""
        table.add_row(
            f"{run.readings:,}",
            f"{run.slots:,}",
            NAMES[run.way],
            f"{run.seconds:.1f}",
            f"{run.cpu_s:.1f}",
            f"{run.peak_mb:,.0f}",
            goal,
        )
    return table


def _verdict(*, reached: bool) -> str:
    return "reached" if reached else "missed"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Registers to slots, beside pandas and DuckDB.")
    parser.add_argument("--sizes", default="1e6,1e7", help="readings, beside the peers; default 1e6,1e7")
    parser.add_argument("--largest", default="5e7", help="readings, in parts; 0 leaves it out; default 5e7")
    parser.add_argument("--rounds", type=int, default=3, help="of which the least counts; default 3")
    parser.add_argument("--every", type=int, default=60, help="seconds between two readings; default 60")
    return parser.parse_args()


def main() -> None:
    """Measure and print; nothing is judged by time."""
    asked = _arguments()
    console = Console(width=WIDTH)
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="slotfeed-slots-") as folder, console.status("") as status:
        bench = Bench(Path(folder), asked.every, status.update)
        for size in asked.sizes.split(","):
            runs += bench.measure(int(float(size)), PEERS, asked.rounds)
        largest = int(float(asked.largest))
        in_memory = bench.measure(largest, ("in_parts", "duckdb_numbered"), 1) if largest else []
    console.print(_times_table(runs))
    if in_memory:
        console.print(_memory_table(in_memory))
    console.print(
        f"{os.cpu_count()} cores. All ways at a size came to the same slots: energies to {SAME_WH:g} Wh, coverage, "
        "quality and method."
    )
