"""The door of `watch`: look at the store, and settle what is found into incidents."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from pipelines.community import Community
from pipelines.store import Store
from pipelines.watch.alarms import Alarm
from pipelines.watch.data import accounts, coverage, discrepancies, quarantine
from pipelines.watch.delivery import undelivered
from pipelines.watch.feeds import feeds
from pipelines.watch.incidents import open_incidents, settle
from pipelines.watch.silence import silent


@dataclass(frozen=True, kw_only=True)
class WatchSummary:
    """What stands after a look."""

    standing: int
    """Incidents that are open."""

    by_kind: dict[str, int] = field(default_factory=dict)


def seen_in_store(connection: Connection, community: Community, *, now: datetime) -> list[Alarm]:
    """All that is wrong by what the feed has left in the store."""
    section = community.watch
    return [
        *feeds(connection, community, now=now),
        *undelivered(connection, community, now=now),
        *silent(connection, community, now=now, after=timedelta(minutes=section.silent_minutes)),
        *accounts(connection, community, now=now),
        *coverage(connection, community, drop=section.coverage_drop),
        *quarantine(connection, now=now),
        *discrepancies(connection, now=now, after=timedelta(hours=section.discrepancy_hours)),
    ]


def watch(
    store: Store, community: Community, *, more: Iterable[Alarm] = (), now: datetime, run_id: str
) -> WatchSummary:
    """Look at what the feed has left in the store; it needn't run for that.

    Args:
        store: takes the incidents.
        community: what is expected, and its `watch:` section.
        more: what was seen outside the store: disks, clocks, budgets.
        now: the run's time.
        run_id: written on what is opened.
    """
    with store.reading() as connection:
        alarms = [*seen_in_store(connection, community, now=now), *more]
    with store.writing() as connection:
        settle(connection, alarms, now=now, run_id=run_id)
        standing = open_incidents(connection)
    by_kind: dict[str, int] = {}
    for one in standing:
        by_kind[one.kind.value] = by_kind.get(one.kind.value, 0) + 1
    return WatchSummary(standing=len(standing), by_kind=by_kind)
