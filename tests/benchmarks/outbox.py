"""The outbox at size, on SQLite and on PostgreSQL.

    python -m tests.benchmarks.outbox [assets] [backlog]

1. Claiming and settling. 200,000 measurements wait; leases of 20,000, as protocol batch takes them, each settled as
   accepted in one go. The peer does the same by a SELECT, an UPDATE of lists of ids, and an UPDATE per row by
   executemany.
2. A live slot of 10,000 assets, from the readings in hand until its forecasts and measurements are settled: store the
   readings, validate, convert, expire, lease, settle. Two databases live the same slots in turn: in one nothing else
   waits, in the other 1.5 million old measurements do. The exchange answers nothing here: its time isn't the store's.

PostgreSQL has the settings it comes with. Statistics are taken once after filling, as the databases do by themselves
after a while.
"""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table

from pipelines.deliver.outbox import Outcome, lease_due, record
from pipelines.frames import State
from pipelines.store import Store, open_store
from tests.benchmarks.databases import KINDS, databases
from tests.benchmarks.outbox_data import NOON, fill_backlog, uuids
from tests.benchmarks.outbox_live import PARTS, Lived, live_slots
from tests.benchmarks.outbox_peer import lease_by_rows, record_by_rows
from tests.benchmarks.processes import in_own_process, peak_mib

ASSETS, BACKLOG = 10_000, 1_500_000
LEASED, LEASES = 20_000, 5
GOAL_RATE, GOAL_SLOWER = 20_000, 1.10
NOW = NOON.replace(minute=2)


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """What a few leases took."""

    database: str
    way: str
    lease_s: float
    settle_s: float
    """Medians."""

    peak_mib: float

    @property
    def rate(self) -> float:
        """Rows a second, claimed and settled."""
        return LEASED / (self.lease_s + self.settle_s)


def claimed(kind: str, url: str, assets: int, *, peer: bool) -> Claimed:
    """Lease and settle, a few times."""
    leases: list[float] = []
    settled: list[float] = []
    with closing(open_store(url)) as store:
        for number in range(LEASES):
            began = time.perf_counter()
            ids = _leased(store, assets, peer=peer, worker=f"w{number}")
            between = time.perf_counter()
            outcomes = [Outcome(id=one, state=State.ACCEPTED, at=NOW) for one in ids]
            (record_by_rows if peer else record)(store, outcomes, worker=f"w{number}")
            settled.append(time.perf_counter() - between)
            leases.append(between - began)
            if len(ids) != LEASED:
                raise RuntimeError(f"{len(ids)} leased")
    way = "peer: by rows" if peer else "slotfeed"
    return Claimed(database=kind, way=way, lease_s=median(leases), settle_s=median(settled), peak_mib=peak_mib())


def _leased(store: Store, assets: int, *, peer: bool, worker: str) -> list[int]:
    if peer:
        return lease_by_rows(store, assets=uuids(assets), now=NOW, worker=worker, limit=LEASED)
    return [one.id for one in lease_due(store, assets=uuids(assets), now=NOW, worker=worker, limit=LEASED)]


def _claims_table(found: Sequence[Claimed]) -> Table:
    table = Table(title=f"Claiming and settling, {LEASED:,} rows at once", **_STYLE)
    table.add_column("")
    table.add_column("")
    for head in ("lease", "settle", "rows/s", "times\npeer", "peak\nMiB"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("goal", no_wrap=True)
    for one in found:
        peer = next(other for other in found if other.database == one.database and other.way != "slotfeed")
        verdict = f"{GOAL_RATE:,}: {_verdict(one.rate >= GOAL_RATE)}" if one.way == "slotfeed" else ""
        table.add_row(
            one.database,
            one.way,
            f"{one.lease_s:.2f} s",
            f"{one.settle_s:.2f} s",
            f"{one.rate:,.0f}",
            f"{one.rate / peer.rate:.1f}",
            f"{one.peak_mib:.0f}",
            verdict,
        )
    return table


def _live_table(found: Sequence[Lived], backlog: int) -> Table:
    title = f"A live slot beside {backlog:,} waiting rows: medians of {len(found[0].alone)} slots, seconds"
    table = Table(title=title, **_STYLE)
    table.add_column("")
    for head in ("", *PARTS, "in all", "own\nCPU", "times\nalone"):
        table.add_column(head, justify="right" if head else "left", no_wrap=True)
    table.add_column("goal", no_wrap=True)
    for one in found:
        for name, slots in (("alone", one.alone), ("beside", one.beside)):
            beside = name == "beside"
            verdict = f"{GOAL_SLOWER:g}: {_verdict(one.slower <= GOAL_SLOWER)}" if beside else ""
            table.add_row(
                one.database,
                name,
                *(f"{median(slot.parts[part] for slot in slots):.2f}" for part in PARTS),
                f"{median(slot.seconds for slot in slots):.2f}",
                f"{median(slot.cpu_s for slot in slots):.2f}",
                f"{one.slower:.2f}" if beside else "",
                verdict,
            )
    return table


_STYLE: dict[str, object] = {"box": box.SIMPLE, "padding": (0, 1, 0, 0), "pad_edge": False}


def _verdict(met: object) -> str:
    return "met" if met else "NOT met"


def main() -> None:
    """Measure and print."""
    assets = int(sys.argv[1]) if len(sys.argv) > 1 else ASSETS
    backlog = int(sys.argv[2]) if len(sys.argv) > 2 else BACKLOG
    began, console = time.perf_counter(), Console()
    console.width = max(console.width, 118)
    claims: list[Claimed] = []
    lived: list[Lived] = []
    with databases() as make:
        for kind in KINDS:
            for peer in (False, True):
                console.print(f"{kind}, claims, {'peer' if peer else 'slotfeed'} …", style="dim")
                url = make(kind)
                in_own_process(fill_backlog, url, assets, 2 * LEASED * LEASES)
                claims.append(in_own_process(_claims, kind, url, assets, peer))
            console.print(f"{kind}, live slots …", style="dim")
            alone, beside = make(kind), make(kind)
            in_own_process(fill_backlog, alone, assets, 0)
            in_own_process(fill_backlog, beside, assets, backlog)
            lived.append(in_own_process(live_slots, kind, alone, beside, assets))
    console.print(_claims_table(claims))
    console.print(_live_table(lived, backlog))
    console.print(f"{os.cpu_count()} cores, {time.perf_counter() - began:.0f} s in all.")


def _claims(kind: str, url: str, assets: int, peer: bool) -> Claimed:
    return claimed(kind, url, assets, peer=peer)


if __name__ == "__main__":
    main()
