"""What the page tells of each asset: how well its slots are known, which checks it broke, how its forecasts do."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from expectations.limits import WHOLE
from expectations.names import Severity
from pipelines.community import Community
from pipelines.frames import Quantity
from pipelines.report import queries as q
from pipelines.report.broken import Broken
from pipelines.report.figures import AssetStatus, Status
from pipelines.report.grades import Grade, grade_of
from pipelines.report.trend import ForecastRecord
from pipelines.store import Verdict

SILENT_AFTER = timedelta(hours=2)
"""From then on nothing is left to forecast from, so nothing more is sent (`pipelines.convert`)."""


@dataclass(frozen=True, kw_only=True)
class SlotFigures:
    """The slots of one asset in the period that are over."""

    grades: Mapping[Grade, int]
    energy_wh: float
    """Of all slots that have a value, whatever its grade."""

    uncovered: int
    """Slots that readings don't back whole, substitutes and estimates among them."""

    last_covered: datetime | None
    """Newest slot, of any time, that readings back at least in part."""


NO_SLOTS = SlotFigures(grades={}, energy_wh=0.0, uncovered=0, last_covered=None)


@dataclass(frozen=True, kw_only=True)
class State:
    """How an asset stands: mark and word say what the tone's colour says."""

    tone: str
    mark: str
    word: str


SILENT = State(tone="bad", mark="✕", word="Silent")
DIFFERS = State(tone="bad", mark="✕", word="Differs")
HELD_BACK = State(tone="bad", mark="✕", word="Held back")
GAPS = State(tone="warn", mark="!", word="Gaps")
FLAGGED = State(tone="warn", mark="!", word="Odd")
FINE = State(tone="good", mark="✓", word="Fine")
WAITING = State(tone="plain", mark="○", word="Not yet")
ORDER = (SILENT, DIFFERS, HELD_BACK, GAPS, FLAGGED, FINE, WAITING)
"""The worst first."""


@dataclass(frozen=True, kw_only=True)
class AssetFigures:
    """One asset in the period."""

    status: AssetStatus
    sources: str
    """Names of the sources that its streams are read from."""

    slots: SlotFigures
    exchange_wh: float | None
    """None: nothing was read back."""

    deviation_wh: float
    """Sum over slots of |sent - exchange|; a slot without a value at the exchange counts as 0 there."""

    broken: tuple[Broken, ...] = ()
    """Its open findings in the period, by check."""

    forecast: ForecastRecord | None = None
    silent_since: datetime | None = None
    """End of its last slot with readings, where that is longer ago than SILENT_AFTER."""

    quarantined: int = 0
    """Readings of its streams that wait for a decision."""

    by_severity: Mapping[str, int] = field(default_factory=dict)
    """Open findings in the period."""

    @property
    def state(self) -> State:
        """The worst that is the matter with it."""
        matters = (
            (not self.status.slots_over, WAITING),
            (self.silent_since is not None, SILENT),
            (self.status.open_discrepancies > 0, DIFFERS),
            (self.quarantined > 0 or self.by_severity.get(Severity.REJECT, 0) > 0, HELD_BACK),
            (self.slots.uncovered > 0, GAPS),
            (self.by_severity.get(Severity.FLAG, 0) > 0, FLAGGED),
        )
        return next((state for holds, state in matters if holds), FINE)

    @property
    def checks_failed(self) -> int:
        """How many different checks it broke."""
        return len({one.check for one in self.broken})


def asset_figures(
    connection: Connection,
    community: Community,
    scope: q.Scope,
    status: Status,
    *,
    over: datetime,
    broken: Iterable[Broken],
    forecasts: Mapping[str, ForecastRecord],
) -> list[AssetFigures]:
    """All live assets, those that need somebody first: by state, then by what differs, then by what is missing.

    Args:
        connection: to read with.
        community: the file.
        scope: assets and period.
        status: of the same.
        over: end of the period's last slot that is over.
        broken: open findings in the period.
        forecasts: asset_id -> how its forecasts do.
    """
    exchange_wh, deviation_wh = _at_exchange(connection, scope)
    slots = _slot_figures(connection, scope, status, over=over)
    quarantined = _quarantined(connection, community, scope)
    by_asset: dict[str, list[Broken]] = {}
    for one in broken:
        by_asset.setdefault(one.asset_id, []).append(one)
    sources = {a.asset_id: ", ".join(dict.fromkeys(s.source for s in a.streams)) for a in community.assets}
    figures = []
    for asset in status.per_asset:
        own = by_asset.get(asset.uuid, [])
        known = slots.get(asset.uuid, NO_SLOTS)
        figures.append(
            AssetFigures(
                status=asset,
                sources=sources[asset.uuid],
                slots=known,
                exchange_wh=exchange_wh.get(asset.uuid),
                deviation_wh=deviation_wh.get(asset.uuid, 0.0),
                broken=tuple(sorted(own, key=lambda one: -one.rows)),
                forecast=forecasts.get(asset.uuid),
                silent_since=_silent_since(asset, known, over=over, length=community.slot_length),
                quarantined=quarantined[asset.uuid],
                by_severity=_by_severity(own),
            )
        )
    return sorted(figures, key=_urgency)


def _quarantined(connection: Connection, community: Community, scope: q.Scope) -> Counter[str]:
    """asset_id -> readings of its streams in quarantine."""
    held = q.undecided(connection, community.streams(), scope.start, scope.end)
    query = select(q.READING.c.stream_id, func.count().label("rows")).where(
        held, q.READING.c.verdict == Verdict.QUARANTINED
    )
    by_stream = {row.stream_id: row.rows for row in connection.execute(query.group_by(q.READING.c.stream_id))}
    counted: Counter[str] = Counter()
    for asset in community.assets:
        for stream in (*asset.streams, *asset.check_registers):
            counted[asset.asset_id] += by_stream.get(stream.stream_id, 0)
    return counted


def _urgency(figures: AssetFigures) -> tuple[int, int, float, int]:
    return (
        ORDER.index(figures.state),
        -figures.status.open_discrepancies,
        -round(figures.deviation_wh, 3),
        -figures.slots.uncovered,
    )


def _by_severity(broken: Iterable[Broken]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for one in broken:
        counted[one.severity] += one.rows
    return counted


def _silent_since(asset: AssetStatus, slots: SlotFigures, *, over: datetime, length: timedelta) -> datetime | None:
    """An asset that was never heard of is silent since it is live."""
    if not asset.slots_over:
        return None
    since = asset.live_since if slots.last_covered is None else slots.last_covered + length
    return since if over - since > SILENT_AFTER else None


def _at_exchange(connection: Connection, scope: q.Scope) -> tuple[dict[str, float], dict[str, float]]:
    """By asset_id: energy that the exchange used, and how far that is from what was sent, in Wh."""
    sent, used = q.SUBMISSION, q.EXCHANGE
    at_exchange = select(used.c.asset_id, func.sum(used.c.energy_wh).label("wh")).where(
        scope.of(connection, used), used.c.quantity == Quantity.FORECAST, used.c.energy_wh.is_not(None)
    )
    difference = func.abs(sent.c.energy_wh - func.coalesce(used.c.energy_wh, 0.0))
    same_slot = (
        (used.c.asset_id == sent.c.asset_id)
        & (used.c.slot_start == sent.c.slot_start)
        & (used.c.quantity == sent.c.quantity)
    )
    deviating = (
        select(sent.c.asset_id, func.sum(difference).label("wh"))
        .select_from(sent.outerjoin(used, same_slot))
        .where(scope.of(connection, sent), q.sent_forecast())
        .group_by(sent.c.asset_id)
    )
    found = connection.execute(at_exchange.group_by(used.c.asset_id))
    return (
        {row.asset_id: row.wh for row in found},
        {row.asset_id: row.wh for row in connection.execute(deviating)},
    )


def _slot_figures(connection: Connection, scope: q.Scope, status: Status, *, over: datetime) -> dict[str, SlotFigures]:
    whole = (q.SLOT.c.coverage >= WHOLE).label("whole")
    own = q.Scope(asset_ids=scope.asset_ids, start=scope.start, end=over)
    query = (
        select(
            q.SLOT.c.asset_id,
            q.SLOT.c.quality,
            whole,
            func.count().label("rows"),
            func.sum(q.SLOT.c.energy_wh).label("wh"),
            func.max(q.SLOT.c.slot_start).filter(q.SLOT.c.coverage > 0).label("newest"),
        )
        .where(own.of(connection, q.SLOT), q.newest_slot())
        .group_by(q.SLOT.c.asset_id, q.SLOT.c.quality, whole)
    )
    parts: dict[str, list[tuple[Grade, bool, int, float, datetime | None]]] = {}
    for row in connection.execute(query):
        grade = grade_of(row.quality, whole=bool(row.whole))
        parts.setdefault(row.asset_id, []).append((grade, bool(row.whole), row.rows, row.wh or 0.0, row.newest))
    heard_before = _last_before(connection, [a.uuid for a in status.per_asset if a.uuid not in parts], own.start)
    return {
        asset.uuid: _summed(parts.get(asset.uuid, []), asset.slots_over, heard_before.get(asset.uuid))
        for asset in status.per_asset
    }


def _summed(
    parts: Sequence[tuple[Grade, bool, int, float, datetime | None]], slots_over: int, before: datetime | None
) -> SlotFigures:
    grades: Counter[Grade] = Counter()
    for grade, _, rows, _, _ in parts:
        grades[grade] += rows
    grades[Grade.MISSING] += max(0, slots_over - grades.total())
    covered = sum(rows for _, whole, rows, _, _ in parts if whole)
    return SlotFigures(
        grades={grade: grades[grade] for grade in Grade if grades[grade]},
        energy_wh=sum(wh for *_, wh, _ in parts),
        uncovered=max(0, slots_over - covered),
        last_covered=max((newest for *_, newest in parts if newest is not None), default=before),
    )


def _last_before(connection: Connection, asset_ids: Sequence[str], start: datetime) -> dict[str, datetime]:
    """Newest slot with readings before the period, of assets that have none in it."""
    if not asset_ids:
        return {}
    query = (
        select(q.SLOT.c.asset_id, func.max(q.SLOT.c.slot_start).label("newest"))
        .where(q.among(connection, q.SLOT.c.asset_id, asset_ids), q.SLOT.c.slot_start < start, q.SLOT.c.coverage > 0)
        .group_by(q.SLOT.c.asset_id)
    )
    return {row.asset_id: row.newest for row in connection.execute(query)}
