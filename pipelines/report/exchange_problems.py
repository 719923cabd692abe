"""Problems that repairs leave: values that the exchange refuses, and slots that are lost."""

from collections.abc import Iterator

from sqlalchemy import Connection, func, select

from pipelines.frames import Quantity, State
from pipelines.report import queries as q
from pipelines.report.problems import Ground, Problem, named
from pipelines.report.words import counted
from pipelines.store.moving import failed


def refused_measurements(connection: Connection, scope: q.Scope, ground: Ground) -> Iterator[Problem]:
    """Measurements that stand refused; refused forecasts are among the discrepancies."""
    names = {asset.status.uuid: asset.status.name for asset in ground.figures}
    row = q.SUBMISSION
    query = (
        select(
            row.c.asset_id,
            func.count().label("rows"),
            func.min(row.c.slot_start).label("first"),
            func.max(row.c.slot_start).label("last"),
            func.max(row.c.error).label("error"),
        )
        .where(
            scope.of(connection, row),
            row.c.quantity == Quantity.MEASUREMENT,
            failed(row),
            row.c.closes_at.is_(None),
            q.in_state([State.REJECTED]),
            q.newest_submission(),
        )
        .group_by(row.c.asset_id)
    )
    rows = sorted(connection.execute(query), key=lambda one: (-one.rows, one.asset_id))
    if not rows:
        return
    total = sum(one.rows for one in rows)
    yield Problem(
        tone="bad",
        title=f"{named([names[one.asset_id] for one in rows])}: the exchange refuses measurements",
        since=ground.local(min(one.first for one in rows)),
        size=f"{counted(total, 'measurement')} that the exchange doesn't have",
        cause=rows[0].error,
        remedy="Correct what the exchange names, then send them again; where it takes others of the asset by now, they "
        "are all sent.",
        command="slotfeed reconcile --repair",
        last=max(one.last for one in rows),
        weight=total,
        anchor=ground.anchor([one.asset_id for one in rows], otherwise="map"),
    )


def lost_problem(connection: Connection, scope: q.Scope, ground: Ground) -> Iterator[Problem]:
    """Slots that were given up: nobody can act, but it is energy that is settled wrongly."""
    names = {asset.status.uuid: asset.status.name for asset in ground.figures}
    row = q.DISCREPANCY
    query = (
        select(
            row.c.asset_id,
            func.count().label("rows"),
            func.min(row.c.slot_start).label("first"),
            func.max(row.c.slot_start).label("last"),
            func.sum(q.APART_WH).label("wh"),
        )
        .where(scope.of(connection, row), q.LOST)
        .group_by(row.c.asset_id)
    )
    rows = sorted(connection.execute(query), key=lambda one: (-(one.wh or 0.0), one.asset_id))
    if not rows:
        return
    total = sum(one.rows for one in rows)
    yield Problem(
        tone="plain",
        title=f"{named([names[one.asset_id] for one in rows])}: {counted(total, 'slot')} lost at the exchange",
        since=ground.local(min(one.first for one in rows)),
        size=f"{sum(one.wh or 0.0 for one in rows) / 1000:,.2f} kWh that the market counted wrongly for good",
        cause="The exchange takes no forecast for a slot that has begun, so what it counted there stays.",
        remedy="Nothing can mend them. Where a bill rests on these slots, correct it by hand with the table below.",
        last=max(one.last for one in rows),
        weight=total,
        anchor="lost",
    )
