"""The door of `repair`: send again what may be, give up what is lost, and say what waits for a person.

Without leave to act it changes nothing of that and tells what it would do.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, func, select

from pipelines.community import Community
from pipelines.reconcile.repair.failed import choices, set_back
from pipelines.reconcile.repair.lost import give_up, lost
from pipelines.reconcile.repair.people import Instruction, instructions
from pipelines.reconcile.repair.rules import Why
from pipelines.reconcile.repair.unused import unused
from pipelines.store import DiscrepancyRow, Store, table_of
from pipelines.store.discrepancies import given_up, standing, still_open

SHOWN = 20
"""Instructions that a summary carries; the number of all stands beside them."""


@dataclass(frozen=True, kw_only=True)
class RepairSummary:
    """What one repair did, or would do."""

    acted: bool
    """Whether it had leave to; else the numbers tell what it would do."""

    resent: int = 0
    """Values set back to be sent again."""

    resent_by: dict[str, int] = field(default_factory=dict)
    """Why -> how many."""

    tried: int = 0
    """Of them, those that try whether a cause is gone: when one is taken, the rest may follow at once."""

    held: dict[str, int] = field(default_factory=dict)
    """Values that failed and are not sent again now: why -> how many."""

    lost: int = 0
    """Discrepancies given up in this run."""

    lost_wh: float = 0.0
    lost_by: dict[str, int] = field(default_factory=dict)
    """Diagnosis -> how many of them."""

    still_open: int = 0
    """Discrepancies that are neither mended nor given up."""

    lost_in_all: int = 0
    """Discrepancies that are lost, of all runs."""

    lost_in_all_wh: float = 0.0
    instructions: tuple[Instruction, ...] = ()
    """The first ones, by energy."""

    instructions_in_all: int = 0


def repair(store: Store, community: Community, *, act: bool, now: datetime, regardless: bool = False) -> RepairSummary:
    """Repair what the last comparison found; to be called after it.

    What it sets back is pending: the next delivery sends it. It may be run at any time and by several at once: what
    one has set back, no other does.

    Args:
        store: the outbox and the discrepancies.
        community: of assets that stand in it no more, nothing is sent again; what differs with them is given up.
        act: False: change nothing.
        now: by the exchange's clock.
        regardless: send again also what was refused so often, or so lately, that it would be left alone.
    """
    with store.writing() if act else store.reading() as connection:
        chosen = choices(connection, community, now=now, regardless=regardless)
        again = chosen.again + unused(connection, community, now=now)
        ripe = lost(connection, community, now=now)
        if act:
            done = set_back(connection, community, again, now=now)
            again = [(one, why) for one, why in again if one.id in done]
            give_up(connection, ripe, now=now)
        told = instructions(connection, {asset.asset_id: asset.name for asset in community.assets}, chosen.held)
        open_ones, lost_ones, lost_wh = _totals(connection)
    return RepairSummary(
        acted=act,
        resent=len(again),
        resent_by=_counted(why.value for _, why in again),
        tried=sum(why is Why.TRIED for _, why in again),
        held=_counted(hold.value for _, hold in chosen.held),
        lost=len(ripe),
        lost_wh=sum(one.wrong_wh for one in ripe),
        lost_by=_counted(one.diagnosis for one in ripe),
        still_open=open_ones,
        lost_in_all=lost_ones,
        lost_in_all_wh=lost_wh,
        instructions=tuple(told[:SHOWN]),
        instructions_in_all=len(told),
    )


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(Counter(words).most_common())


def _totals(connection: Connection) -> tuple[int, int, float]:
    """Open discrepancies, lost ones, and the Wh of these."""
    row = table_of(DiscrepancyRow)
    off = func.abs(func.coalesce(row.c.expected_wh, 0.0) - func.coalesce(row.c.exchange_wh, 0.0))
    query = select(
        func.count().filter(still_open(row)), func.count().filter(given_up(row)), func.sum(off).filter(given_up(row))
    ).where(standing(row))
    open_ones, lost_ones, lost_wh = connection.execute(query).tuples().one()
    return open_ones, lost_ones, lost_wh or 0.0
