"""Reconciling a day of 10,000 assets, 960,000 asset-slots, on SQLite and on PostgreSQL.

    python -m tests.benchmarks.reconcile               10,000 assets
    python -m tests.benchmarks.reconcile --write       and put what was measured into docs/performance.md

The store holds two days: one that was settled, and the one that is reconciled, accepted and never looked at. Measured
is `compare`: read both sides from the store, compare, find the causes, and write what was read back, what is confirmed
and what differs. What the exchange holds is handed in as its reading leaves it in memory; reading it over HTTP is told
in a line of its own, from a local exchange on the same machine.

1. Nothing differs. 2. 500 assets differ all day: a fifth each by unit, by sign, by an hour, with nothing arrived, and
swapped by two. 3. Each slot of any asset differs with a chance of 5 %: nothing arrived. 4. The first day once more, as
an hourly run sees it: nearly all is settled already.

Each in a process of its own, on a database of its own; PostgreSQL with the settings it comes with. The peer does the
first case by SQLAlchemy's rows: `read_frame`, `upsert_rows`, and an UPDATE per row by executemany.
"""

import argparse
import asyncio
import time
from contextlib import closing
from dataclasses import dataclass

import polars as pl
from rich.console import Console
from sqlalchemy import bindparam, select, update

from pipelines.exchange.results import ReadBack
from pipelines.frames import INSTANT
from pipelines.reconcile.expected import SUBMITTED
from pipelines.reconcile.run import compare
from pipelines.reconcile.same import matches
from pipelines.store import ExchangeEnergyRow, SubmissionRow, open_store, read_frame, table_of, upsert_rows
from tests.benchmarks.databases import KINDS, databases
from tests.benchmarks.page import Sitting, table
from tests.benchmarks.processes import in_own_process, peak_mib
from tests.benchmarks.read_back import read_over_http
from tests.benchmarks.reconcile_data import CASES, END, NOW, START, Case, community_of, fill, told

ASSETS = 10_000
GOAL_S, GOAL_MIB = 10.0, 1024
PEER = "peer: rows through SQLAlchemy"
ONCE_MORE = "all agree, once more"


@dataclass(frozen=True, kw_only=True)
class Taken:
    """One reconciliation."""

    database: str
    case: str
    seconds: float
    cpu_s: float
    peak_mib: float
    """Of the process, the read-back in it."""

    before_mib: float
    """The same before it began: the interpreter, and what was read back."""

    compared: int
    discrepancies: int


def reconciled(kind: str, url: str, assets: int, case: Case) -> list[Taken]:
    """The day, and where all agrees the same day again."""
    community, read = community_of(assets), told(assets, case)
    before, found = peak_mib(), []
    with closing(open_store(url)) as store:
        for name in (case.name, ONCE_MORE)[: 1 if case.faulty else 2]:
            began, cpu = time.perf_counter(), time.process_time()
            done = compare(store, community, read, start=START, end=END, now=NOW, run_id="bench")
            found.append(
                Taken(
                    database=kind,
                    case=name,
                    seconds=time.perf_counter() - began,
                    cpu_s=time.process_time() - cpu,
                    peak_mib=peak_mib(),
                    before_mib=before,
                    compared=done.compared,
                    discrepancies=done.discrepancies,
                )
            )
    return found


def by_rows(kind: str, url: str, assets: int) -> list[Taken]:
    """The clean day by SQLAlchemy's rows and a statement for each."""
    read, row = told(assets, CASES[0]), table_of(SubmissionRow)
    before = peak_mib()
    with closing(open_store(url)) as store:
        began, cpu = time.perf_counter(), time.process_time()
        with store.writing() as connection:
            query = select(*(row.c[name] for name in SUBMITTED.names())).where(
                row.c.slot_start >= START, row.c.quantity == "forecast"
            )
            sent = read_frame(connection, query, SUBMITTED)
            both = sent.join(_held(read), on=["asset_id", "slot_start"], how="left")
            agree = both.filter(matches("energy_wh", "exchange_wh"))
            stamp = {"read_at": NOW, "run_id": "bench", "quantity": "forecast"}
            told_rows = both.select("asset_id", "slot_start", energy_wh="exchange_wh").iter_rows(named=True)
            upsert_rows(connection, ExchangeEnergyRow, [one | stamp for one in told_rows])
            connection.execute(
                update(row)
                .where(row.c.id == bindparam("row_id"), row.c.state == "accepted")
                .values(state="confirmed", confirmed_at=NOW),
                [{"row_id": one} for one in agree["id"]],
            )
        return [
            Taken(
                database=kind,
                case=PEER,
                seconds=time.perf_counter() - began,
                cpu_s=time.process_time() - cpu,
                peak_mib=peak_mib(),
                before_mib=before,
                compared=both.height,
                discrepancies=both.height - agree.height,
            )
        ]


def _held(read: ReadBack) -> pl.DataFrame:
    rows = [(asset, slot, wh) for asset, profile in read.energy_wh.items() for slot, wh in profile.items()]
    schema = {"asset_id": pl.String(), "slot_start": INSTANT, "exchange_wh": pl.Float64()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def measure(assets: int, console: Console) -> list[Taken]:
    """Every case on every database."""
    found: list[Taken] = []
    with databases() as make:
        for kind in KINDS:
            for case in CASES:
                console.print(f"{kind}, {case.name} …", style="dim")
                url = make(kind)
                in_own_process(fill, url, assets)
                found += in_own_process(reconciled, kind, url, assets, case)
                console.print(f"  {found[-1].seconds:.1f} s, {found[-1].peak_mib:.0f} MiB", style="dim")
            console.print(f"{kind}, {PEER} …", style="dim")
            url = make(kind)
            in_own_process(fill, url, assets)
            found += in_own_process(by_rows, kind, url, assets)
    return found


def _table(found: list[Taken]) -> str:
    heads = ("", "", "asset-slots", "differ", "run", "own CPU", "peak", "of it before", "times the peer's", "goal")
    rows = []
    for one in found:
        peer = next(other for other in found if (other.database, other.case) == (one.database, PEER))
        met = "met" if one.seconds <= GOAL_S and one.peak_mib <= GOAL_MIB else "**not met**"
        rows.append(
            (
                one.database,
                one.case,
                f"{one.compared:,}",
                f"{one.discrepancies:,}",
                f"{one.seconds:.1f} s",
                f"{one.cpu_s:.1f} s",
                f"{one.peak_mib:.0f} MiB",
                f"{one.before_mib:.0f} MiB",
                f"{peer.seconds / one.seconds:.1f}",
                "" if one.case == PEER else f"{GOAL_S:g} s, {GOAL_MIB} MiB: {met}",
            )
        )
    return table(heads, rows)


def main() -> None:
    """Measure, print, and write where that is asked for."""
    parser = argparse.ArgumentParser(description="Reconciling a day.")
    parser.add_argument("--assets", type=int, default=ASSETS)
    parser.add_argument("--write", action="store_true", help="put it into docs/performance.md")
    asked = parser.parse_args()
    sitting = Sitting("reconcile", "reconcile", "Reconciling a day")
    figures = _table(measure(asked.assets, Console()))
    values, seconds = asyncio.run(read_over_http(asked.assets))
    read = f"Reading {values:,} values of a local exchange over HTTP, a request an asset: {seconds:.1f} s."
    sitting.tell(figures, read, write=asked.write)


if __name__ == "__main__":
    main()
