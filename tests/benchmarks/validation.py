"""How fast Great Expectations judges readings, whether it stays so, and how much memory years of history take.

Run by `make bench`, or alone with `--quick` (no history).

1. Judging. The suite `readings` over 100,000 and a million readings of registers, prepared beforehand as the feed
   prepares them; all of them good, and with one in a thousand bad. Beside it, in the same run and over the same frame,
   the floor: the same checks written by hand as polars expressions, which must find the same rows.
2. A thousand runs. 500 readings each in one process: the time of the first and of the last hundred, and the memory
   before and after.
3. History. 50 million readings, prepared and judged in portions in a process of its own: time and peak memory.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_
from pathlib import Path
from statistics import median

import polars as pl
from processes import in_own_process, peak_mib
from rich import box
from rich.console import Console
from rich.table import Table

from expectations.limits import CHANGED_BY, UNIT_OF_KIND, USABLE_QUALITIES
from expectations.names import READING_CHECKS, Check, Suite
from pipelines.community import Community
from pipelines.validate.engine import broken_rows, warm_up
from pipelines.validate.prepare import ROWS, USABLE_REGISTERS, channels, prepare

PER_STREAM = 96
START = datetime(2026, 3, 2, tzinfo=UTC)
NOW = START + timedelta(days=2)
ROUNDS = 5
GOALS_S = {100_000: 1.0, 1_000_000: 4.0}
HISTORY = 50_000_000
HISTORY_GOAL_MIB = 1_430
"""1.5 GB."""

PORTION = 200_000
"""As the feed judges at a time."""


def community(streams: int) -> Community:
    """Loads with a register each."""
    stream = {"source": "m", "kind": "register", "unit": "Wh"}
    return Community.model_validate(
        {
            "community": {"name": "bench", "simulation_uuid": "s"},
            "exchange": {"base_url": "http://127.0.0.1:1"},
            "sources": {
                "m": {
                    "type": "meter_database",
                    "url": "sqlite:///m.sqlite",
                    "columns": {"meter": "meter", "time": "time"},
                    "time_type": "timestamptz",
                }
            },
            "assets": [
                {
                    "name": f"a{number}",
                    "uuid": f"a{number}",
                    "type": "load",
                    "rated_power_kw": 10,
                    "streams": [stream | {"device": f"d{number}"}],
                }
                for number in range(streams)
            ],
        }
    )


def readings(count: int, *, bad: bool, first_stream: int = 0) -> pl.DataFrame:
    """`count` readings of registers that rise by 100 Wh a quarter of an hour; one in a thousand without a value."""
    number = pl.int_range(count, dtype=pl.Int64)
    value = 100.0 * (number % PER_STREAM) + 17.3
    ts = pl.lit(START).dt.cast_time_unit("us") + pl.duration(minutes=15 * (number % PER_STREAM))
    frame = pl.select(
        id=number,
        stream_id=pl.format("m/d{}/-", first_stream + number // PER_STREAM),
        ts=ts,
        ts_end=None,
        revision=0,
        kind=pl.lit("register"),
        value=pl.when(number % 1000 == 500).then(None).otherwise(value) if bad else value,
        unit=pl.lit("Wh"),
        quality=pl.lit("MEASURED"),
        ingested_at=None,
        received_at=pl.lit(NOW),
    )
    return frame.cast(dict(ROWS))


def by_hand(frame: pl.DataFrame) -> dict[Check, list[int]]:
    """The same checks as polars expressions."""
    col = pl.col
    unit = col("kind").replace_strict(dict(UNIT_OF_KIND), default=None)

    def outside(check: Check) -> pl.Expr:
        return (col(check) < col(f"{check}_low")) | (col(check) > col(f"{check}_high"))

    bad = {
        Check.KEY_NOT_NULL: col("stream_id").is_null() | col("ts").is_null(),
        Check.KEY_UNIQUE: col("rivals") > 1,
        Check.KIND_KNOWN: ~col("kind").is_in(list(UNIT_OF_KIND)),
        Check.KIND_CONFIGURED: col("kind") != col("configured_kind"),
        Check.UNIT_KNOWN: (col("unit") != unit) | (unit.is_null() & ~col("unit").is_in(["Wh", "W"])),
        Check.VALUE_PRESENT: col("number").is_null(),
        Check.VALUE_FINITE: col("number") != "finite",
        Check.QUALITY_USABLE: ~col("quality").is_in(list(USABLE_QUALITIES)),
        Check.SPAN_ORDERED: ((col("span_s") <= 0) & (col("kind") != "register"))
        | (col("span_s").is_null() & (col("kind") == "interval")),
        Check.SPAN_LENGTH: col("span_s") != col("configured_span_s"),
        Check.NOT_FROM_FUTURE: outside(Check.NOT_FROM_FUTURE),
        Check.NOT_AGES_OLD: outside(Check.NOT_AGES_OLD),
        Check.WITHIN_RATED_POWER: outside(Check.WITHIN_RATED_POWER),
        Check.NOT_NEGATIVE: col("forward_value") < 0,
        Check.REGISTER_NOT_FALLING: (col("register_wh") < col("register_before_wh")).fill_null(value=False)
        | (col("register_after_wh") < col("register_wh")).fill_null(value=False),
        Check.REGISTER_WITHIN_DIALS: col("shown_wh") >= col("dials_wh"),
        Check.RANK_NOT_LOWER: (col("rank") > col("standing_rank")) & (col("change") <= CHANGED_BY),
    }
    marks = frame.select(expression.fill_null(value=False).alias(check) for check, expression in bad.items())
    return {check: marks[check].arg_true().to_list() for check in bad}


def seconds_of(work: Callable[[], object]) -> float:
    """How long it took."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def judging(console: Console) -> None:
    """Part 1."""
    warm_up(Suite.READINGS)
    table = Table(
        title=f"Judging: {len(READING_CHECKS)} checks, median of {ROUNDS} rounds", box=box.SIMPLE, title_justify="left"
    )
    heads = ("readings", "bad", "Great Expectations", "by hand in polars", "ratio", "goal")
    for head in heads:
        table.add_column(head, justify="right")
    for count, goal_s in GOALS_S.items():
        known = channels(community(-(-count // PER_STREAM)))
        for bad in (False, True):
            frame = prepare(readings(count, bad=bad), USABLE_REGISTERS.to_frame(), known, now=NOW)
            found = {check: list(rows) for check, rows in broken_rows(Suite.READINGS, frame, run_id="bench").items()}
            if found != by_hand(frame):
                raise RuntimeError(f"{count:,} readings: the two ways don't find the same rows")
            rounds = [
                (
                    seconds_of(lambda frame=frame: broken_rows(Suite.READINGS, frame, run_id="bench")),
                    seconds_of(lambda frame=frame: by_hand(frame)),
                )
                for _ in range(ROUNDS)
            ]
            ours_s, floor_s = (median(column) for column in zip(*rounds, strict=True))
            table.add_row(
                f"{count:,}",
                f"{reduce(or_, (set(rows) for rows in found.values()), set()).__len__():,}",
                f"{ours_s:.2f} s",
                f"{floor_s:.3f} s",
                f"{ours_s / floor_s:.0f}",
                f"<= {goal_s:.0f} s: {'met' if ours_s <= goal_s else 'NOT met'}",
            )
    console.print(table)


def thousand_runs(console: Console) -> None:
    """Part 2."""
    known = channels(community(6))
    frame = prepare(readings(500, bad=False), USABLE_REGISTERS.to_frame(), known, now=NOW)
    warm_up(Suite.READINGS)
    taken, resident = [], []
    for _ in range(1_000):
        taken.append(seconds_of(lambda: broken_rows(Suite.READINGS, frame, run_id="bench")))
        resident.append(_resident_mib())
    console.print(
        f"A thousand runs of 500 readings: {1000 * median(taken[:100]):.0f} ms at the median of the first hundred, "
        f"{1000 * median(taken[-100:]):.0f} ms of the last; {resident[99]:.0f} MiB after the first hundred, "
        f"{resident[-1]:.0f} MiB after all\n"
    )


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def history(count: int) -> tuple[int, float, float]:
    """Part 3, in a process of its own: rows found bad, seconds without making the readings, peak memory in MiB."""
    warm_up(Suite.READINGS)
    per_portion = PORTION // PER_STREAM
    known = channels(community(per_portion))
    bad, taken = 0, 0.0
    for portion in _portions(count, per_portion):
        begin = time.perf_counter()
        prepared = prepare(portion, USABLE_REGISTERS.to_frame(), known, now=NOW)
        found = broken_rows(Suite.READINGS, prepared, run_id="bench")
        taken += time.perf_counter() - begin
        bad += len(set().union(*found.values()))
    return bad, taken, peak_mib()


def _portions(count: int, streams: int) -> Iterator[pl.DataFrame]:
    rows = streams * PER_STREAM
    for start in range(0, count, rows):
        yield readings(min(rows, count - start), bad=True)


def main() -> None:
    """Print the three parts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="without the history")
    quick = parser.parse_args().quick
    console = Console(width=118)
    judging(console)
    thousand_runs(console)
    if not quick:
        bad, taken, peak = in_own_process(history, HISTORY)
        console.print(
            f"History: {HISTORY:,} readings prepared and judged in portions of {PORTION:,}, {bad:,} of them bad: "
            f"{taken:.0f} s, {HISTORY / taken:,.0f} readings/s, peak {peak:,.0f} MiB "
            f"(goal <= 1.5 GB: {'met' if peak <= HISTORY_GOAL_MIB else 'NOT met'})"
        )


if __name__ == "__main__":
    main()
