"""What the forecasts that leave are made of: stored choices, the stored model, and the little of the past they need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
from sqlalchemy import Connection, select

from pipelines.community import Asset, Community, ForecastMethod
from pipelines.convert.forecast import model as learned
from pipelines.convert.forecast.calendar_facts import NEWEST_LAG, Calendar, Instants, SlotFacts
from pipelines.convert.forecast.history import Subject, grid_of, read_slots, subject_of
from pipelines.convert.forecast.methods import WEEK, weights_row
from pipelines.convert.forecast.windows import AROUND, Grid, recent_count
from pipelines.store import ForecastChoiceRow, ForecastModelRow, table_of

M = ForecastMethod
_FALLBACKS: Mapping[ForecastMethod, Sequence[ForecastMethod]] = {
    M.MODEL: (M.MODEL, M.BLEND, M.YESTERDAY, M.PERSISTENCE, M.STANDARD_PROFILE),
    M.BLEND: (M.BLEND, M.YESTERDAY, M.PERSISTENCE, M.STANDARD_PROFILE),
    M.YESTERDAY: (M.YESTERDAY, M.PERSISTENCE, M.STANDARD_PROFILE),
    M.LAST_WEEK: (M.LAST_WEEK, M.YESTERDAY, M.PERSISTENCE, M.STANDARD_PROFILE),
    M.PERSISTENCE: (M.PERSISTENCE, M.STANDARD_PROFILE),
    M.STANDARD_PROFILE: (M.STANDARD_PROFILE, M.PERSISTENCE),
}
_OF_EARLIER_DAYS = frozenset({M.YESTERDAY, M.LAST_WEEK, M.BLEND})

Span = tuple[datetime, datetime]
"""Starts of its first and its last slot."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one asset is foretold."""

    asset: Asset
    subject: Subject
    method: ForecastMethod
    weights: npt.NDArray[np.float64]
    """Of its blend, (3,)."""

    @property
    def tried(self) -> Sequence[ForecastMethod]:
        """The method, and what is tried in turn where it has nothing to go by."""
        return _FALLBACKS[self.method]


def read_plans(connection: Connection, community: Community) -> dict[str, Plan]:
    """Asset -> how: as the community file says, else as the last backtest chose, else persistence."""
    table = table_of(ForecastChoiceRow)
    query = select(table.c.asset_id, table.c.method, table.c.weights)
    stored = {row.asset_id: row for row in connection.execute(query)}
    plans = {}
    for asset in community.assets:
        choice = stored.get(asset.asset_id)
        plans[asset.asset_id] = Plan(
            asset=asset,
            subject=subject_of(asset, community.slot_length),
            method=asset.forecast or (M.PERSISTENCE if choice is None else _known(choice.method)),
            weights=weights_row({M.PERSISTENCE.value: 1.0} if choice is None else choice.weights),
        )
    return plans


def _known(method: str) -> ForecastMethod:
    """The method of that name; persistence for one of another version of slotfeed."""
    return M(method) if method in {one.value for one in M} else M.PERSISTENCE


def read_model(connection: Connection) -> learned.Model | None:
    """The newest model; None where there is none, or none that can be used here: then the next method serves."""
    table = table_of(ForecastModelRow)
    row = connection.execute(select(table.c.text, table.c.features).order_by(table.c.id.desc()).limit(1)).first()
    if row is None or learned.library_problem() is not None:
        return None
    try:
        return learned.load(row.text, row.features)
    except learned.ModelUnreadable:
        # Of another version of slotfeed: the next backtest trains a new one.
        return None


def read_grid(
    connection: Connection,
    plans: Mapping[str, Plan],
    facts: SlotFacts,
    calendar: Calendar,
    *,
    posting: frozenset[str],
) -> Grid:
    """The past that the coming slots `facts` need, and no more: for most methods two hours and two slots.

    `posting` is as of `standing.sendable`.
    """
    parts = []
    for asset_ids, spans in _needed(plans, facts, calendar):
        parts.append((asset_ids, spans, read_slots(connection, asset_ids, spans, posting=posting)))
    return grid_of(
        pl.concat([slots for _, _, slots in parts]),
        [asset_id for asset_ids, _, _ in parts for asset_id in asset_ids],
        start=min(spans[0][0] for _, spans, _ in parts),
        end=max(spans[-1][1] for _, spans, _ in parts) + calendar.length,
        length=calendar.length,
    )


def _needed(plans: Mapping[str, Plan], facts: SlotFacts, calendar: Calendar) -> list[tuple[list[str], list[Span]]]:
    """Assets, and which spans of their past."""
    days = facts.days_before_us
    newest = facts.slot_us - NEWEST_LAG * calendar.length_us
    young = _spans(newest, calendar.ages - 1, 0, calendar)
    recent = _spans(newest, recent_count(calendar) - 1, 0, calendar)
    like = _spans(np.concatenate([days[:, 0], days[:, WEEK - 1]]), 0, 0, calendar)
    around = _spans(days.ravel(), AROUND, AROUND, calendar)
    spans = {"model": [*recent, *around], "days": [*young, *like], "persistence": young}
    found: dict[str, list[str]] = {kind: [] for kind in spans}
    for asset_id, plan in plans.items():
        earlier = "days" if plan.method in _OF_EARLIER_DAYS else "persistence"
        found["model" if plan.method is M.MODEL else earlier].append(asset_id)
    return [(asset_ids, _merged(spans[kind], calendar)) for kind, asset_ids in found.items() if asset_ids]


def _spans(middles: Instants, before: int, after: int, calendar: Calendar) -> list[Span]:
    """From so many slots before each to so many after."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    instants = [epoch + timedelta(microseconds=int(at)) for at in middles]
    return [(at - before * calendar.length, at + after * calendar.length) for at in instants]


def _merged(spans: Sequence[Span], calendar: Calendar) -> list[Span]:
    """Without overlaps, in order."""
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + calendar.length:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
