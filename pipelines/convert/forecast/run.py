"""The door of the forecast: backtest a community's methods over its history, and keep what each asset chooses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from sqlalchemy import Connection, delete, select

from pipelines.community import Community, ForecastMethod
from pipelines.convert.forecast import model as learned
from pipelines.convert.forecast.backtest import SCORES, Backtest, backtest, cuts
from pipelines.convert.forecast.calendar_facts import calendar_of
from pipelines.convert.forecast.choice import best_methods, enough
from pipelines.convert.forecast.features import FEATURES
from pipelines.convert.forecast.history import StoredHistory, Subject, stored_span, subject_of
from pipelines.convert.forecast.tables import by_type, typed
from pipelines.slots import slot_floor
from pipelines.store import ForecastChoiceRow, ForecastModelRow, Store, insert_rows, table_of, upsert_rows

SHORTEST = timedelta(days=28)
"""History below which nothing is chosen: half of it must hold whole weeks to learn from, a quarter one to score. The
number is ours."""

LONGEST = timedelta(days=400)
"""History beyond which older slots aren't read: a year holds every season. The number is ours."""

MODELS_KEPT = 4
"""Stored models, of a megabyte each; older ones are of no more use. The number is ours."""


@dataclass(frozen=True, kw_only=True)
class CommunityBacktest:
    """The backtest of a community's stored history."""

    start: datetime | None
    """Of the history that was used; None: there is none."""

    end: datetime | None
    scored_from: datetime | None
    """From here to `end` the scores are; None: the history is too short."""

    scores: pl.DataFrame
    """Of `tables.typed`: asset_id, type, method, mean_error_wh, slots; `chosen` stands among the methods. Without rows
    where nothing was scored."""

    choices: Mapping[str, ForecastMethod]
    """Asset -> what is best by these scores: what its coming slots are foretold by from now on."""

    notices: Sequence[str]
    """What a person should know, each with what to do."""

    result: Backtest | None
    """What was learned."""


@dataclass(frozen=True, kw_only=True)
class ForecastSummary:
    """What a run of `choose_forecasts` came to, in plain values."""

    assets: int
    """Assets whose method was chosen."""

    methods: dict[str, int]
    """Method -> for how many."""

    scored_slots: int
    error_ratio: float | None
    """Sum of the absolute errors of what had been chosen beforehand, over persistence's; None: nothing was scored."""

    notices: tuple[str, ...]


def choose_forecasts(store: Store, community: Community, *, now: datetime, run_id: str) -> ForecastSummary:
    """Backtest all history up to `now` and keep each asset's choice, and the model, in one transaction.

    Assets without enough history keep what they have: persistence, or the standard profile while there are no
    measurements. Where the whole history is too short, nothing is changed and a notice says so.

    Args:
        store: holds slots.
        community: its assets.
        now: slots that end later are left out.
        run_id: written on each row.
    """
    found = backtest_community(store, community, now=now)
    keep_choices(store, found, now=now, run_id=run_id)
    total = by_type(found.scores).filter(pl.col("type") == "all", pl.col("method") == "chosen")
    methods = [method.value for method in found.choices.values()]
    return ForecastSummary(
        assets=len(found.choices),
        methods={name: methods.count(name) for name in sorted(set(methods))},
        scored_slots=int(total["slots"].sum()),
        error_ratio=None if total.is_empty() else total["ratio"].item(),
        notices=tuple(found.notices),
    )


def backtest_community(
    store: Store, community: Community, *, now: datetime, start: datetime | None = None, end: datetime | None = None
) -> CommunityBacktest:
    """Backtest a stretch of stored history: chosen in its third quarter, scored in its last. Nothing is written.

    Args:
        store: holds slots.
        community: its assets.
        now: slots that end later are left out.
        start: of the stretch; None: as far back as LONGEST before its end.
        end: of the stretch; None: all there is.
    """
    length = community.slot_length
    subjects = [subject_of(asset, length) for asset in community.assets]
    span = _span(store, community, now=now, start=start, end=end)
    if span is None or span[1] - span[0] < SHORTEST:
        return _too_short(span)
    notices = [] if (problem := learned.library_problem()) is None else [f"{problem}. The model is no candidate"]
    at = cuts(_us(span[0]), _us(span[1]), length // timedelta(microseconds=1))
    result = backtest(
        StoredHistory(store=store, start=span[0], end=span[1], length=length),
        subjects,
        calendar_of(community),
        at=at,
        with_model=learned.library_problem() is None,
        fit_now=True,
    )
    judged = enough(result.scores, length)
    if few := len(subjects) - len(judged):
        notices.append(f"{few} of {len(subjects)} assets have too few measured slots to choose by; they keep theirs")
    chosen = {asset_id: m for asset_id, m in best_methods(result.scores).items() if asset_id in judged}
    return CommunityBacktest(
        start=span[0],
        end=span[1],
        scored_from=_instant(at.scored_us),
        scores=typed(result.scores.filter(pl.col("asset_id").is_in(list(judged))), _types(subjects)),
        choices=chosen,
        notices=notices,
        result=result,
    )


def keep_choices(store: Store, found: CommunityBacktest, *, now: datetime, run_id: str) -> None:
    """Write the choices and the model of a backtest in one transaction; nothing where nothing was scored."""
    if found.result is None or found.result.now is None or found.start is None or found.end is None:
        return
    model = found.result.now.model
    with store.writing() as connection:
        upsert_rows(connection, ForecastChoiceRow, _choice_rows(found, now=now, run_id=run_id))
        if model is not None:
            row = {
                "library": learned.library_name(),
                "features": list(FEATURES),
                "text": model.text,
                "fitted_from": found.start,
                "fitted_until": found.end,
                "created_at": now,
                "run_id": run_id,
            }
            insert_rows(connection, ForecastModelRow, [row])
            _forget_old_models(connection)


def _choice_rows(found: CommunityBacktest, *, now: datetime, run_id: str) -> list[dict[str, Any]]:
    if found.result is None or found.result.now is None:
        return []
    errors: dict[str, dict[str, float]] = {}
    slots: dict[str, int] = {}
    for asset_id, method, error_wh, count in found.scores.select(
        "asset_id", "method", "mean_error_wh", "slots"
    ).iter_rows():
        errors.setdefault(asset_id, {})[method] = error_wh
        slots[asset_id] = count
    return [
        {
            "asset_id": asset_id,
            "method": method.value,
            "weights": {part.value: weight for part, weight in found.result.now.weights[asset_id].items()},
            "mean_errors_wh": errors[asset_id],
            "scored_slots": slots[asset_id],
            "scored_from": found.scored_from,
            "scored_until": found.end,
            "chosen_at": now,
            "run_id": run_id,
        }
        for asset_id, method in found.choices.items()
    ]


def _forget_old_models(connection: Connection) -> None:
    table = table_of(ForecastModelRow)
    kept = connection.scalars(select(table.c.id).order_by(table.c.id.desc()).limit(MODELS_KEPT)).all()
    connection.execute(delete(table).where(table.c.id < min(kept)))


def _span(
    store: Store, community: Community, *, now: datetime, start: datetime | None, end: datetime | None
) -> tuple[datetime, datetime] | None:
    """Slot boundaries of the stretch; None: the store has no slot in it."""
    stored = stored_span(store, community)
    if stored is None:
        return None
    length = community.slot_length
    last = min(stored[1], slot_floor(now, length), slot_floor(end or now, length))
    first = max(stored[0], last - LONGEST, slot_floor(start, length) if start is not None else stored[0])
    return (first, last) if first < last else None


def _too_short(span: tuple[datetime, datetime] | None) -> CommunityBacktest:
    days = 0.0 if span is None else (span[1] - span[0]) / timedelta(days=1)
    return CommunityBacktest(
        start=None if span is None else span[0],
        end=None if span is None else span[1],
        scored_from=None,
        scores=typed(SCORES.to_frame(), {}),
        choices={},
        notices=[
            f"There are {days:.1f} days of slots, and a backtest needs {SHORTEST.days}: nothing is chosen. Load older "
            "readings with: slotfeed backfill --start DAY --end DAY"
        ],
        result=None,
    )


def _types(subjects: Sequence[Subject]) -> dict[str, str]:
    return {subject.asset_id: subject.type.value for subject in subjects}


def _us(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _instant(at_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
