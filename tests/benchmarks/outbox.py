"""The outbox at size, on SQLite and on PostgreSQL.

    python -m tests.benchmarks.outbox                  10,000 assets, 1.5 million waiting rows
    python -m tests.benchmarks.outbox --write          and put what was measured into docs/performance.md

1. Claiming and settling. 200,000 measurements wait; leases of 20,000, as protocol batch takes them, each settled as
   accepted in one go. The peer does the same by a SELECT, an UPDATE of lists of ids, and an UPDATE per row by
   executemany.
2. A live slot of 10,000 assets, from the readings in hand until its forecasts and measurements are settled: store the
   readings, validate, convert, expire, lease, settle. Then, told beside it, what a feed does last: close what waits for
   assets whose live switch is off, which goes through all that waits. Two databases live the same slots in turn: in one
   nothing else waits, in the other 1.5 million old measurements do. The exchange answers nothing here: its time isn't
   the store's.

PostgreSQL has the settings it comes with. Statistics are taken once after filling, as the databases do by themselves
after a while.
"""

import argparse
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import median

from rich.console import Console

from pipelines.deliver.outbox import Outcome, lease_due, record
from pipelines.frames import State
from pipelines.store import Store, open_store
from tests.benchmarks.databases import KINDS, databases
from tests.benchmarks.outbox_data import NOON, fill_backlog, uuids
from tests.benchmarks.outbox_live import PARTS, THEN, Lived, live_slots
from tests.benchmarks.outbox_peer import lease_by_rows, record_by_rows
from tests.benchmarks.page import Sitting, table
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


def _claims_table(found: Sequence[Claimed]) -> str:
    heads = (f"{LEASED:,} rows at once", "", "lease", "settle", "rows/s", "times the peer's", "peak", "goal")
    rows = []
    for one in found:
        peer = next(other for other in found if other.database == one.database and other.way != "slotfeed")
        rows.append(
            (
                one.database,
                one.way,
                f"{one.lease_s:.2f} s",
                f"{one.settle_s:.2f} s",
                f"{one.rate:,.0f}",
                f"{one.rate / peer.rate:.1f}",
                f"{one.peak_mib:.0f} MiB",
                f"{GOAL_RATE:,}: {_verdict(one.rate >= GOAL_RATE)}" if one.way == "slotfeed" else "",
            )
        )
    return table(heads, rows)


def _live_table(found: Sequence[Lived], backlog: int) -> str:
    heads = (f"A live slot and {backlog:,} waiting rows", "", *PARTS, "in all", "own CPU", "times alone", "goal", THEN)
    rows = []
    for one in found:
        for name, slots in (("alone", one.alone), ("beside", one.beside)):
            beside = name == "beside"
            rows.append(
                (
                    one.database,
                    name,
                    *(f"{median(slot.parts[part] for slot in slots):.2f} s" for part in PARTS),
                    f"{median(slot.seconds for slot in slots):.2f} s",
                    f"{median(slot.cpu_s for slot in slots):.2f} s",
                    f"{one.slower:.2f}" if beside else "",
                    f"{GOAL_SLOWER:g}: {_verdict(one.slower <= GOAL_SLOWER)}" if beside else "",
                    f"{median(slot.parts[THEN] for slot in slots):.2f} s",
                )
            )
    return table(heads, rows)


def _verdict(met: object) -> str:
    return "met" if met else "**not met**"


def main() -> None:
    """Measure, print, and write where that is asked for."""
    parser = argparse.ArgumentParser(description="The outbox at size.")
    parser.add_argument("--assets", type=int, default=ASSETS)
    parser.add_argument("--backlog", type=int, default=BACKLOG)
    parser.add_argument("--write", action="store_true", help="put it into docs/performance.md")
    asked = parser.parse_args()
    sitting, console = Sitting("outbox", "outbox", "The outbox"), Console()
    claims: list[Claimed] = []
    lived: list[Lived] = []
    with databases() as make:
        for kind in KINDS:
            for peer in (False, True):
                console.print(f"{kind}, claims, {'peer' if peer else 'slotfeed'} …", style="dim")
                url = make(kind)
                in_own_process(fill_backlog, url, asked.assets, 2 * LEASED * LEASES)
                claims.append(in_own_process(_claims, kind, url, asked.assets, peer))
            console.print(f"{kind}, live slots …", style="dim")
            alone, beside = make(kind), make(kind)
            in_own_process(fill_backlog, alone, asked.assets, 0)
            in_own_process(fill_backlog, beside, asked.assets, asked.backlog)
            lived.append(in_own_process(live_slots, kind, alone, beside, asked.assets))
    medians = f"Medians, of a live slot of {len(lived[0].alone)}."
    sitting.tell(_claims_table(claims), _live_table(lived, asked.backlog), medians, write=asked.write)


def _claims(kind: str, url: str, assets: int, peer: bool) -> Claimed:
    return claimed(kind, url, assets, peer=peer)


if __name__ == "__main__":
    main()
