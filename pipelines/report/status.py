"""Where every asset and slot of a period stands, in numbers: what `slotfeed status` prints."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from pipelines.community import Community
from pipelines.frames import Quantity, State
from pipelines.report import queries as q
from pipelines.report.differing import count_discrepancies
from pipelines.report.figures import AssetStatus, Keys, LastRun, SlotKey, Status
from pipelines.report.times import slot_ceil
from pipelines.slots import slot_floor, slots_between
from pipelines.store import RunRow, Store, Verdict, table_of
from pipelines.store.aged import looking_back

NOT_FINAL_LISTED = 10
UNACCOUNTED_LISTED = 100
"""How many keys a list shows; its count is always whole."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOT_PLANNED = "not planned"
"""State of a slot that the outbox has no row for."""


def status(
    store: Store,
    community: Community,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    within: timedelta | None = None,
    now: datetime | None = None,
) -> Status:
    """Sum up the period.

    Args:
        store: the community's database.
        community: the file; assets that don't stand in it any more are left out.
        start: of the period; default: when the first asset went live.
        end: of the period; default: the end of the last planned slot.
        within: without a start, no longer than this before the end; all of years takes a while.
        now: slots that end later can't be confirmed yet, so they are neither missing nor late.
            Default: all of the period is over.
    """
    # The last days haven't aged.
    recent = start is None and within is not None
    with store.reading() if recent else looking_back(store, start=start, end=end) as connection:
        live = _live(connection, community)
        first = start or min(live.values(), default=None)
        last = end or _planned_end(connection, community, live)
        if start is None and within is not None and first is not None and last is not None:
            first = max(first, last - within)
        # Without live assets there may be no period; an empty one has the same sums.
        whole = q.Scope(asset_ids=tuple(live), start=first or EPOCH, end=last or first or EPOCH)
        over = whole.end if now is None else min(whole.end, slot_floor(now, community.slot_length))
        view = _View(
            connection=connection,
            community=community,
            live=live,
            whole=whole,
            over=q.Scope(asset_ids=whole.asset_ids, start=whole.start, end=over),
        )
        undecided = _undecided(connection, community, start, end)
        return _sum_up(view, undecided, start=first, end=last)


@dataclass(frozen=True, kw_only=True)
class _View:
    """What the parts of a status are computed from."""

    connection: Connection
    community: Community
    live: Mapping[str, datetime]
    whole: q.Scope
    over: q.Scope

    @property
    def names(self) -> dict[str, str]:
        return {asset.asset_id: asset.name for asset in self.community.assets}

    def slots(self, asset_id: str, scope: q.Scope) -> int:
        length = self.community.slot_length
        first = slot_ceil(max(scope.start, self.live[asset_id]), length)
        return max(0, (slot_ceil(scope.end, length) - first) // length)


def _sum_up(
    view: _View, undecided: Mapping[str, Mapping[str, int]], *, start: datetime | None, end: datetime | None
) -> Status:
    quarantined = undecided.get(Verdict.QUARANTINED, {})
    connection, community = view.connection, view.community
    rows = connection.execute(q.submission_totals(connection, view.whole, over=view.over.end)).all()
    forecasts = [row for row in rows if row.quantity == Quantity.FORECAST]
    found = count_discrepancies(view.connection, view.whole)
    unaccounted = _unaccounted(view, rows)
    return Status(
        community=community.community.name,
        start=start,
        end=end,
        assets=len(view.live),
        slots=sum(view.slots(asset_id, view.whole) for asset_id in view.live),
        slots_over=sum(view.slots(asset_id, view.over) for asset_id in view.live),
        submissions=_by_state(rows),
        energy_sent_wh=sum((row.energy_wh for row in forecasts if row.state in q.TAKEN), 0.0),
        energy_confirmed_wh=sum((row.energy_wh for row in forecasts if row.state == State.CONFIRMED), 0.0),
        open_discrepancies=found.open_by_asset.total(),
        discrepancies=dict(found.open_by_cause.most_common()),
        closed_discrepancies=dict(found.closed_by_cause.most_common()),
        lost_discrepancies=found.lost,
        lost_wh=found.lost_wh,
        quarantined=sum(quarantined.values()),
        quarantined_by_expectation=_by_expectation(quarantined),
        suspect=sum(undecided.get(Verdict.SUSPECT, {}).values()),
        not_final=_not_final(view),
        accounted=unaccounted.count == 0,
        unaccounted=unaccounted,
        last_run=_last_runs(connection),
        per_asset=_per_asset(view, forecasts, found.open_by_asset),
    )


def _live(connection: Connection, community: Community) -> dict[str, datetime]:
    """asset_id -> first live slot, in the order of the file."""
    since: dict[str, datetime] = {
        row.asset_id: row.live_since for row in connection.execute(select(q.ASSET.c.asset_id, q.ASSET.c.live_since))
    }
    return {asset.asset_id: since[asset.asset_id] for asset in community.assets if asset.asset_id in since}


def _planned_end(connection: Connection, community: Community, live: Iterable[str]) -> datetime | None:
    newest: datetime | None = connection.execute(
        select(func.max(q.SUBMISSION.c.slot_start)).where(q.among(connection, q.SUBMISSION.c.asset_id, live))
    ).scalar_one()
    return None if newest is None else newest + community.slot_length


def _by_state(rows: Iterable[Any]) -> dict[str, dict[str, int]]:
    counted = {quantity.value: {state.value: 0 for state in State} for quantity in Quantity}
    for row in rows:
        counted[row.quantity][row.state] += row.rows
    return counted


def _undecided(
    connection: Connection, community: Community, start: datetime | None, end: datetime | None
) -> dict[str, dict[str, int]]:
    """By verdict: broken expectations, as the rows name them together -> rows."""
    query = (
        select(q.READING.c.verdict, q.READING.c.broken, func.count())
        .where(q.undecided(connection, community.streams(), start, end))
        .group_by(q.READING.c.verdict, q.READING.c.broken)
    )
    found: dict[str, dict[str, int]] = {}
    for verdict, broken, count in connection.execute(query).tuples():
        found.setdefault(verdict, {})[broken] = count
    return found


def broken_names(broken: str) -> list[str]:
    """The expectations that a row's `broken` lists."""
    return [name for part in broken.split(",") if (name := part.strip())]


def _by_expectation(quarantined: Mapping[str, int]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for broken, count in quarantined.items():
        for name in broken_names(broken):
            counted[name] += count
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def _not_final(view: _View) -> Keys:
    connection = view.connection
    condition = q.not_final(connection, view.whole, over=view.over.end)
    columns = (q.SUBMISSION.c.asset_id, q.SUBMISSION.c.slot_start, q.SUBMISSION.c.quantity, q.SUBMISSION.c.state)
    order = (q.SUBMISSION.c.slot_start, q.SUBMISSION.c.asset_id, q.SUBMISSION.c.quantity)
    first = connection.execute(select(*columns).where(condition).order_by(*order).limit(NOT_FINAL_LISTED))
    names = view.names
    return Keys(
        count=connection.execute(select(func.count()).select_from(q.SUBMISSION).where(condition)).scalar_one(),
        first=tuple(
            SlotKey(
                asset_id=row.asset_id,
                asset=names[row.asset_id],
                slot_start=row.slot_start,
                quantity=row.quantity,
                state=row.state,
            )
            for row in first
        ),
    )


def _unaccounted(view: _View, totals: Sequence[Any]) -> Keys:
    """Count by asset; look closer only at assets that lack something, and only until the list is full."""
    connection = view.connection
    confirmed = (row for row in totals if (row.quantity, row.state) == (Quantity.FORECAST, State.CONFIRMED))
    found = Counter({row.asset_id: row.rows_over for row in confirmed})
    for query in q.accounted_without_confirmation(connection, view.over):
        keys = query.subquery()
        counted = select(keys.c.asset_id, func.count().label("rows")).group_by(keys.c.asset_id)
        found.update({row.asset_id: row.rows for row in connection.execute(counted)})
    lacking = {
        asset_id: lack for asset_id in view.live if (lack := view.slots(asset_id, view.over) - found[asset_id]) > 0
    }
    first: list[SlotKey] = []
    for asset_id in lacking:
        if len(first) >= UNACCOUNTED_LISTED:
            break
        first += _unaccounted_of(view, asset_id, at_most=UNACCOUNTED_LISTED - len(first))
    return Keys(count=sum(lacking.values()), first=tuple(first))


def _unaccounted_of(view: _View, asset_id: str, *, at_most: int) -> list[SlotKey]:
    connection, length = view.connection, view.community.slot_length
    own = q.Scope(asset_ids=(asset_id,), start=view.over.start, end=view.over.end)
    others = q.accounted_without_confirmation(connection, own)
    accounted = {row.slot_start for query in others for row in connection.execute(query)}
    forecasts = select(q.SUBMISSION.c.slot_start, q.SUBMISSION.c.state).where(
        own.of(connection, q.SUBMISSION), q.SUBMISSION.c.quantity == Quantity.FORECAST, q.newest_submission()
    )
    states = {row.slot_start: row.state for row in connection.execute(forecasts)}
    accounted |= {slot for slot, state in states.items() if state == State.CONFIRMED}
    first = slot_ceil(max(own.start, view.live[asset_id]), length)
    missing = [slot for slot in slots_between(first, own.end, length) if slot not in accounted]
    return [
        SlotKey(
            asset_id=asset_id,
            asset=view.names[asset_id],
            slot_start=slot,
            quantity=Quantity.FORECAST.value,
            state=states.get(slot, NOT_PLANNED),
        )
        for slot in missing[:at_most]
    ]


def _last_runs(connection: Connection) -> dict[str, LastRun]:
    run = table_of(RunRow)
    place = func.row_number().over(
        partition_by=run.c.command, order_by=(run.c.started_at.desc(), run.c.logical_time.desc())
    )
    ranked = select(run.c.command, run.c.outcome, run.c.logical_time, place.label("place")).subquery()
    query = select(ranked).where(ranked.c.place == 1).order_by(ranked.c.command)
    return {
        row.command: LastRun(outcome=row.outcome, logical_time=row.logical_time) for row in connection.execute(query)
    }


def _per_asset(view: _View, forecasts: Sequence[Any], open_by_asset: Mapping[str, int]) -> tuple[AssetStatus, ...]:
    taken = [row for row in forecasts if row.state in q.TAKEN]
    energy: dict[str, float] = {}
    accepted: dict[str, datetime] = {}
    for row in taken:
        energy[row.asset_id] = energy.get(row.asset_id, 0.0) + row.energy_wh
        accepted[row.asset_id] = max(row.newest, accepted.get(row.asset_id, row.newest))
    confirmed = {row.asset_id: row.rows for row in taken if row.state == State.CONFIRMED}
    totals = view.connection.execute(q.slot_totals(view.connection, view.whole))
    measured: dict[str, tuple[float, datetime | None]] = {row.asset_id: (row.covered, row.newest) for row in totals}
    rows = []
    for asset in view.community.assets:
        if asset.asset_id not in view.live:
            continue
        over = view.slots(asset.asset_id, view.over)
        covered, newest = measured.get(asset.asset_id, (0.0, None))
        rows.append(
            AssetStatus(
                name=asset.name,
                uuid=asset.uuid,
                type=asset.type.value,
                live_since=view.live[asset.asset_id],
                slots=view.slots(asset.asset_id, view.whole),
                slots_over=over,
                sent_wh=energy.get(asset.asset_id, 0.0),
                confirmed=confirmed.get(asset.asset_id, 0),
                open_discrepancies=open_by_asset.get(asset.asset_id, 0),
                last_accepted_slot=accepted.get(asset.asset_id),
                last_measured_slot=newest,
                coverage=covered / over if over else 0.0,
            )
        )
    return tuple(rows)
