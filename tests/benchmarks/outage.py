"""The exchange is away for a day: 10,000 assets, 96 slots, 960,000 measurements and as many forecasts.

    python -m tests.benchmarks.outage [assets] [case ...]

Cases are sqlite, postgresql and slow.

Protocol batch, 1,000 assets a request, against the local exchange in a process of its own. The outbox is filled as a
day of feeds without an answer leaves it. Then feeds come again, each with readings of its slot, until nothing waits:
first as fast as this machine and the exchange are, then with an exchange that takes 5 s for each request, one at a
time, so that a run must end before all has left. Told of each run: what left in which order, what expired, whether the
live slot's forecasts were in time, what the process has in memory.

The exchange's clock is driven: each request takes what it took here, or the 5 s.
"""

import asyncio
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from pipelines.store import AssetRow, SubmissionRow, insert_rows, open_store
from pipelines.store.large import upsert_frame
from tests.benchmarks.databases import KINDS, databases
from tests.benchmarks.outbox_data import waiting
from tests.benchmarks.processes import in_own_process, peak_mib
from tests.benchmarks.reconcile_data import FIRST_ID
from tests.reliability.outage import MINUTES_2, SLOT, START, Street, open_street

ASSETS, ASSETS_A_REQUEST, CONCURRENCY = 10_000, 1_000, 4
AWAY = 96
BACK = START + (AWAY + 1) * SLOT + MINUTES_2
SLOW_S = 5.0
CASES = {"sqlite": (KINDS[0], None), "postgresql": (KINDS[1], None), "slow": (KINDS[0], SLOW_S)}
MARGIN = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One feed after the outage."""

    database: str
    pace: str
    at: datetime
    accepted: int
    expired: int
    left: int
    newest_first: bool
    expired_sent: int
    """Forecasts that left for another slot than the coming one."""

    live_in_time: bool
    """All forecasts of the coming slot were accepted, by requests that began before their deadline."""

    early_s: float
    """Before the next feed is due, the last request had its answer."""

    seconds: float
    """Of this machine, from the readings to the end."""

    peak_mib: float


def lived(kind: str, url: str, assets: int, request_s: float | None) -> list[Ran]:
    """Feed until nothing waits."""
    store = open_store(url)
    with tempfile.TemporaryDirectory() as folder:
        opened = open_street(
            store,
            Path(folder),
            assets=assets,
            assets_per_batch=ASSETS_A_REQUEST,
            concurrency=CONCURRENCY if request_s is None else 1,
            post_takes=None if request_s is None else timedelta(seconds=request_s),
            history=False,
        )
        with opened as street:
            return asyncio.run(_feeds(kind, street, request_s))


async def _feeds(kind: str, street: Street, request_s: float | None) -> list[Ran]:
    await street.select_aggregator()
    _fill(street)
    # What was metered last before: the same values that wait already.
    street.meter(BACK - MINUTES_2 - 5 * SLOT, BACK - MINUTES_2 - SLOT, begin=True)
    done: list[Ran] = []
    for number in range(200):
        at = BACK + number * SLOT
        done.append(await _feed(kind, street, at, "as it comes" if request_s is None else f"{request_s:g} s a request"))
        if not done[-1].left:
            break
    return done


async def _feed(kind: str, street: Street, at: datetime, pace: str) -> Ran:
    late = street.clock.now() > at
    street.at(max(at, street.clock.now()))
    street.sent = []
    began, coming = time.perf_counter(), at - MINUTES_2 + SLOT
    street.meter(at - MINUTES_2 - SLOT, at - MINUTES_2)
    street.plan()
    done = await street.deliver()
    forecasts = [one for one in street.sent if one.forecasts]
    of_coming = sum(coming in profile for one in forecasts for profile in one.forecasts.values())
    others = sum(len(profile) for one in forecasts for profile in one.forecasts.values()) - of_coming
    newest = [one.slots[0] for one in street.sent if one.measurements]
    in_time = not late and of_coming == len(street.assets) and max(one.at for one in forecasts) < coming - MARGIN
    return Ran(
        database=kind,
        pace=pace,
        at=at,
        accepted=done.accepted,
        expired=done.expired,
        left=done.left + done.given_back,
        newest_first=newest == sorted(newest, reverse=True),
        expired_sent=others,
        live_in_time=in_time,
        early_s=(at + SLOT - street.clock.now()).total_seconds(),
        seconds=time.perf_counter() - began,
        peak_mib=peak_mib(),
    )


def _fill(street: Street) -> None:
    """What a day of feeds without an exchange leaves: a forecast and a measurement of each slot that wait."""
    assets = street.assets
    live = [
        {"asset_id": one, "name": one, "live_since": START + SLOT, "planned_through": BACK - MINUTES_2, "run_id": "b"}
        for one in assets
    ]
    with street.store.writing() as connection:
        insert_rows(connection, AssetRow, live)
    for number in range(AWAY):
        # Measured in vain: all but the slot that the first feed after the outage measures.
        measured = [("measurement", START + number * SLOT)] if number else []
        for quantity, slot in [*measured, ("forecast", START + (number + 2) * SLOT)]:
            first_id = FIRST_ID + (2 * number + (quantity == "forecast")) * len(assets)
            with street.store.writing() as connection:
                upsert_frame(connection, SubmissionRow, waiting(slot, assets, first_id, quantity=quantity))
    analyse = "ANALYZE" if street.store.engine.dialect.name == "sqlite" else "VACUUM ANALYZE"
    with street.store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(analyse)


def _table(found: list[Ran]) -> Table:
    table = Table(title="Feeds after a day without the exchange", box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for head in ("", "", "run (UTC)"):
        table.add_column(head, no_wrap=True)
    for head in ("accepted", "expired", "wait", "newest\nfirst", "expired,\nyet sent", "live slot\nin time"):
        table.add_column(head, justify="right", no_wrap=True)
    for head in ("before the\nnext feed", "took\nhere", "peak\nMiB"):
        table.add_column(head, justify="right", no_wrap=True)
    for one in found:
        table.add_row(
            one.database,
            one.pace,
            f"{one.at:%d %H:%M}",
            f"{one.accepted:,}",
            f"{one.expired:,}",
            f"{one.left:,}",
            "yes" if one.newest_first else "NO",
            f"{one.expired_sent:,}",
            "yes" if one.live_in_time else "NO",
            f"{one.early_s:.0f} s",
            f"{one.seconds:.1f} s",
            f"{one.peak_mib:.0f}",
        )
    return table


def main() -> None:
    """Measure and print."""
    assets = int(sys.argv[1]) if len(sys.argv) > 1 else ASSETS
    began, console = time.perf_counter(), Console()
    console.width = max(console.width, 130)
    found: list[Ran] = []
    with databases() as make:
        for kind, request_s in (CASES[name] for name in sys.argv[2:] or CASES):
            console.print(
                f"{kind}, {'as it comes' if request_s is None else f'{request_s:g} s a request'} …", style="dim"
            )
            found += in_own_process(lived, kind, make(kind), assets, request_s)
            # As it grows: a case takes some minutes.
            console.print(_table(found))
    console.print(f"{os.cpu_count()} cores, {time.perf_counter() - began:.0f} s in all.")


if __name__ == "__main__":
    main()
