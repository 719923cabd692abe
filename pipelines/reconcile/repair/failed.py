"""Values that aren't at the exchange and may be sent again, as the outbox has them, and setting them back.

Two repairs at once set a value back once: each change names the number of times it was sent again before.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, exists, select, update

from pipelines.community import Asset, Community
from pipelines.exchange import PROTOCOLS
from pipelines.frames import Quantity, State
from pipelines.reconcile.repair.rules import Choice, Failed, Hold, Why, choose
from pipelines.slots import SendingWindow, forecast_window
from pipelines.store import CHUNK, SubmissionRow, table_of
from pipelines.store.moving import failed

WIDEST_MARGIN = timedelta(minutes=10)
"""`exchange.margin_s` at its most: a deadline may have been written with another one than holds now."""

Group = tuple[str, str]
"""Asset and quantity."""


def choices(connection: Connection, community: Community, *, now: datetime, regardless: bool = False) -> Choice:
    """What is to be done with each value that was refused or never left.

    Measurements of any age; forecasts whose deadline hasn't passed. Assets that the community file doesn't have are
    left alone.
    """
    assets = {asset.asset_id: asset for asset in community.assets}
    groups: dict[Group, list[Failed]] = defaultdict(list)
    for one in _failed(connection, community, now=now):
        groups[one.asset_id, one.quantity].append(one)
    found = Choice()
    for (asset_id, quantity), group in groups.items():
        hold = _forbidden(community, assets[asset_id], quantity)
        if hold is not None:
            found.held += [(one, hold) for one in group]
            continue
        taken_at = _last_taken(connection, asset_id, quantity)
        chosen = choose(group, taken_at=taken_at, now=now, regardless=regardless)
        found.again += chosen.again
        found.held += chosen.held
    return found


def set_back(
    connection: Connection, community: Community, chosen: Sequence[tuple[Failed, Why]], *, now: datetime
) -> set[int]:
    """Let the values be sent again; returns the ids of those that nobody else has set back meanwhile.

    Args:
        connection: inside a write transaction.
        community: whose protocol decides when a forecast may leave.
        chosen: from `choices` or `unused`, read in the same transaction.
        now: by the exchange's clock.
    """
    alike: dict[tuple[str, datetime | None, int], list[int]] = defaultdict(list)
    for one, _ in chosen:
        slot = one.slot_start if one.quantity == Quantity.FORECAST else None
        alike[one.quantity, slot, one.resends].append(one.id)
    row = table_of(SubmissionRow)
    done: set[int] = set()
    for (_, slot, resends), ids in sorted(alike.items(), key=lambda item: min(item[1])):
        changed: dict[str, Any] = {
            "state": State.PENDING.value,
            "resends": resends + 1,
            "resent_at": now,
            "accepted_at": None,
            "leased_by": "",
            "leased_until": None,
        }
        if slot is not None:
            window = _window(community, slot)
            changed |= {"opens_at": window.opens_at, "closes_at": window.closes_at}
        ids.sort()
        for some in (ids[begin : begin + CHUNK] for begin in range(0, len(ids), CHUNK)):
            mine = and_(row.c.id.in_(some), row.c.resends == resends, row.c.state.in_(SETTLED), ~newer_exists(row))
            # In one order, so that two repairs at once wait for each other instead of standing in each other's way.
            locked = list(
                connection.execute(select(row.c.id).where(mine).order_by(row.c.id).with_for_update()).scalars()
            )
            connection.execute(update(row).where(row.c.id.in_(locked)).values(changed))
            done.update(locked)
    return done


SETTLED = (State.REJECTED.value, State.EXPIRED.value, State.ACCEPTED.value)
"""States from which a value may be set back."""


def columns(row: Table) -> Sequence[ColumnElement[Any]]:
    """What makes a `Failed`, in the order of `as_failed`."""
    names = (
        "id",
        "asset_id",
        "slot_start",
        "quantity",
        "energy_wh",
        "state",
        "error",
        "sent_at",
        "resends",
        "resent_at",
    )
    return [row.c[name] for name in names]


def as_failed(found: Any) -> Failed:  # noqa: ANN401 - a row of `columns`
    """A row of the outbox as the rules see it."""
    return Failed(
        id=found.id,
        asset_id=found.asset_id,
        slot_start=found.slot_start,
        quantity=found.quantity,
        energy_wh=found.energy_wh,
        refused=found.state == State.REJECTED,
        error=found.error,
        sent_at=found.sent_at,
        resends=found.resends,
        resent_at=found.resent_at,
    )


def newer_exists(row: Table) -> ColumnElement[bool]:
    """A newer version of the same value stands in the outbox: the older one never follows it."""
    newer = row.alias()
    return exists().where(
        newer.c.asset_id == row.c.asset_id,
        newer.c.slot_start == row.c.slot_start,
        newer.c.quantity == row.c.quantity,
        newer.c.version > row.c.version,
    )


def _failed(connection: Connection, community: Community, *, now: datetime) -> list[Failed]:
    known = {asset.asset_id for asset in community.assets}
    row = table_of(SubmissionRow)
    measured = (row.c.quantity == Quantity.MEASUREMENT.value, row.c.closes_at.is_(None))
    foretold = (row.c.quantity == Quantity.FORECAST.value, row.c.closes_at > now - WIDEST_MARGIN)
    # Two questions and no OR: SQLite would read the whole outbox for it.
    found = [
        as_failed(one)
        for wanted in (measured, foretold)
        for one in connection.execute(select(*columns(row)).where(failed(row), *wanted, ~newer_exists(row)))
    ]
    return [one for one in found if one.asset_id in known and _in_time(community, one, now)]


def _in_time(community: Community, one: Failed, now: datetime) -> bool:
    if one.quantity == Quantity.MEASUREMENT:
        return one.slot_start + community.slot_length <= now
    closes_at = _window(community, one.slot_start).closes_at
    return closes_at is not None and now < closes_at


def _window(community: Community, slot_start: datetime) -> SendingWindow:
    abilities = PROTOCOLS[community.exchange.protocol].abilities
    return forecast_window(slot_start, length=community.slot_length, margin=community.margin, abilities=abilities)


def _forbidden(community: Community, asset: Asset, quantity: str) -> Hold | None:
    if not asset.live:
        return Hold.SWITCHED_OFF
    abilities = PROTOCOLS[community.exchange.protocol].abilities
    if quantity == Quantity.MEASUREMENT and not abilities.measurements:
        return Hold.NO_MEASUREMENTS
    return None


def _last_taken(connection: Connection, asset_id: str, quantity: str) -> datetime | None:
    """When the exchange took the asset's newest slot that it has taken."""
    row = table_of(SubmissionRow)
    taken: datetime | None = connection.execute(
        select(row.c.accepted_at)
        .where(row.c.asset_id == asset_id, row.c.quantity == quantity, row.c.accepted_at.is_not(None))
        .order_by(row.c.slot_start.desc())
        .limit(1)
    ).scalar_one_or_none()
    return taken
