"""The backtest: how each method would have done, fitted only on what was known by then.

The span is cut at its half and at its third quarter. In the third quarter the methods are scored from rolling origins,
and each asset chooses by that. In the last quarter the methods are scored again, from one origin at its beginning; the
score of what was chosen is an honest one there, for nothing of the last quarter had a say in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.community import ForecastMethod
from pipelines.convert.forecast.calendar_facts import Calendar, slot_facts
from pipelines.convert.forecast.choice import best_methods
from pipelines.convert.forecast.fitting import Fitted, fit_origins
from pipelines.convert.forecast.history import History, Subject
from pipelines.convert.forecast.methods import blended, simple, weights_row
from pipelines.convert.forecast.pairs import Pairs, drawn, pairs_of
from pipelines.convert.forecast.windows import Energies

MOST_SCORED = 4_000_000
"""Pairs of slot and asset that are scored from an origin; where there are more, a sample. The number is ours."""

CHOSEN = "chosen"
"""Stands among the methods for what had been chosen of them beforehand."""

SCORES = pl.Schema({"asset_id": pl.String(), "method": pl.String(), "error_wh": pl.Float64(), "slots": pl.Int64()})
"""Sum of absolute errors over the slots scored, and their number."""


@dataclass(frozen=True, kw_only=True)
class Cuts:
    """Where a backtest's span is cut; microseconds since 1970 UTC, slot boundaries."""

    start_us: int
    choosing_us: Sequence[int]
    """Origins of the stretch by which methods are chosen."""

    scored_us: int
    """Origin of the stretch that is scored."""

    end_us: int


@dataclass(frozen=True, kw_only=True)
class Backtest:
    """What came out."""

    scores: pl.DataFrame
    """SCORES of the last stretch, CHOSEN among them."""

    chosen: Mapping[str, ForecastMethod]
    """Asset -> what its scores before that stretch say is best."""

    before: Fitted
    """What was known at the beginning of the last stretch."""

    now: Fitted | None
    """What is known at its end, where it was asked for."""


def cuts(start_us: int, end_us: int, length_us: int, *, folds: int = 2) -> Cuts:
    """A half to learn from, a quarter to choose by in so many folds, a quarter to score."""
    slots = (end_us - start_us) // length_us
    half, third_quarter = slots // 2, slots * 3 // 4
    origins = [half + (third_quarter - half) * fold // folds for fold in range(folds)]
    return Cuts(
        start_us=start_us,
        choosing_us=[start_us + origin * length_us for origin in origins],
        scored_us=start_us + third_quarter * length_us,
        end_us=start_us + slots * length_us,
    )


def backtest(
    history: History,
    subjects: Sequence[Subject],
    calendar: Calendar,
    *,
    at: Cuts,
    with_model: bool,
    fit_now: bool = False,
) -> Backtest:
    """Choose by rolling origins, score what was chosen; the history is read twice.

    Args:
        history: measured slots.
        subjects: the assets.
        calendar: of the community.
        at: where the span is cut.
        with_model: the global model is a candidate.
        fit_now: also fit what follows from the whole span.
    """
    origins = [*at.choosing_us, at.scored_us] + ([at.end_us] if fit_now else [])
    fitted = fit_origins(history, subjects, calendar, start_us=at.start_us, origins_us=origins, with_model=with_model)
    stages = fitted[: len(at.choosing_us) + 1]
    *rolled, last = score(history, subjects, calendar, stages=stages, end_us=at.end_us)
    chosen = best_methods(pl.concat(rolled))
    picked = pl.DataFrame(
        {"asset_id": list(chosen), "method": [method.value for method in chosen.values()]},
        schema={"asset_id": pl.String(), "method": pl.String()},
    )
    # An asset without history before the last stretch stays with persistence.
    every = last.select("asset_id").unique(maintain_order=True).join(picked, on="asset_id", how="left")
    every = every.with_columns(pl.col("method").fill_null(ForecastMethod.PERSISTENCE.value))
    as_chosen = every.join(last, on=["asset_id", "method"]).with_columns(method=pl.lit(CHOSEN))
    return Backtest(
        scores=pl.concat([last, as_chosen.select(SCORES.names())]),
        chosen=chosen,
        before=stages[-1],
        now=fitted[-1] if fit_now else None,
    )


def score(
    history: History, subjects: Sequence[Subject], calendar: Calendar, *, stages: Sequence[Fitted], end_us: int
) -> list[pl.DataFrame]:
    """Score every method from each stage's origin to the next one's, reading the history once.

    Where a method has nothing to go by, persistence stands in for it, as it does live; slots without persistence or
    without a measured energy aren't scored.

    Args:
        history: measured slots.
        subjects: the assets.
        calendar: of the community.
        stages: what was known at each origin, ascending.
        end_us: end of the last stage's slots.

    Returns:
        SCORES of each stage.
    """
    facts = slot_facts(np.arange(stages[0].origin_us, end_us, calendar.length_us), calendar)
    ends = [*(stage.origin_us for stage in stages[1:]), end_us]
    bounds = [np.searchsorted(facts.slot_us, [s.origin_us, end]) for s, end in zip(stages, ends, strict=True)]
    rows: list[list[tuple[str, str, float, int]]] = [[] for _ in stages]
    most = max(1, MOST_SCORED // max(1, len(subjects)))
    for number, pairs in pairs_of(history, subjects, facts, calendar):
        for scored, stage, (low, high) in zip(rows, stages, bounds, strict=True):
            scored.extend(_errors(drawn(pairs.take(np.arange(low, high)), number, most), stage))
    return [pl.DataFrame(found, schema=SCORES, orient="row") for found in rows]


def all_methods(pairs: Pairs, fitted: Fitted) -> dict[ForecastMethod, Energies]:
    """Every method's forecasts in Wh, (n,) each, NaN where it has nothing to go by."""
    seen = pairs.windows()
    found = simple(seen)
    found[ForecastMethod.BLEND] = blended(found, weights_row(fitted.weights[pairs.subject.asset_id]))
    if fitted.model is not None:
        found[ForecastMethod.MODEL] = fitted.model.predict(pairs.features(seen), seen, pairs.full_wh())
    return found


def _errors(pairs: Pairs, fitted: Fitted) -> list[tuple[str, str, float, int]]:
    """Rows of SCORES."""
    actual_wh = pairs.actual_wh()
    measured = pairs.take(np.flatnonzero(~np.isnan(actual_wh)))
    found = all_methods(measured, fitted) if len(measured.facts.slot_us) else {}
    if not found:
        return []
    persistence, actual_wh = found[ForecastMethod.PERSISTENCE], measured.actual_wh()
    scored = ~np.isnan(persistence)
    rows = []
    for method, values in found.items():
        forecast = np.where(np.isnan(values), persistence, values)[scored]
        error_wh = float(np.abs(forecast - actual_wh[scored]).sum())
        rows.append((pairs.subject.asset_id, method.value, error_wh, int(scored.sum())))
    return rows
