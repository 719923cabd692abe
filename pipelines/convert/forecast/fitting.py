"""Learning from history, as of one or several moments: nothing from a moment on is known at it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.community import ForecastMethod
from pipelines.convert.forecast import model as learned
from pipelines.convert.forecast.calendar_facts import Calendar, slot_facts
from pipelines.convert.forecast.features import Table
from pipelines.convert.forecast.history import History, Subject
from pipelines.convert.forecast.methods import fit_weights, simple
from pipelines.convert.forecast.pairs import SEED, Pairs, drawn, pairs_of
from pipelines.convert.forecast.windows import Energies, Windows

MOST_FITTED = 400_000
"""Pairs that the model learns from, of all assets together. The number is ours; docs/forecast.md tells what more of
them gained."""

MOST_WEIGHED = 4_000
"""Pairs of an asset by which its blend is weighed. The number is ours."""

LATE_SHARE = 0.15
"""Share of the pairs learned from whose newest values are hidden, so that the model knows what to do where a source
tells late. The number is ours."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What was known at an origin."""

    origin_us: int
    """Slots from here on were not."""

    model: learned.Model | None
    weights: Mapping[str, Mapping[ForecastMethod, float]]
    """Asset -> weights of its blend."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What the model learns from."""

    slot_us: npt.NDArray[np.int64]
    table: Table
    change: npt.NDArray[np.float32]
    """What came less the newest measured, as a share of rated power."""


def fit_origins(
    history: History,
    subjects: Sequence[Subject],
    calendar: Calendar,
    *,
    start_us: int,
    origins_us: Sequence[int],
    with_model: bool,
) -> list[Fitted]:
    """Fit all methods as of each origin, reading the history once.

    Args:
        history: measured slots.
        subjects: the assets.
        calendar: of the community.
        start_us: start of the first slot to learn from.
        origins_us: ascending.
        with_model: fit the global model too.
    """
    facts = slot_facts(np.arange(start_us, origins_us[-1], calendar.length_us), calendar)
    weights: list[dict[str, Mapping[ForecastMethod, float]]] = [{} for _ in origins_us]
    lessons = []
    each = max(1, MOST_FITTED // max(1, len(subjects)))
    for number, pairs in pairs_of(history, subjects, facts, calendar):
        some = drawn(pairs, number, max(each, MOST_WEIGHED))
        seen, actual_wh = some.windows(), some.actual_wh()
        for known, origin in zip(weights, origins_us, strict=True):
            known[some.subject.asset_id] = _weights(some, seen, actual_wh, origin)
        if with_model:
            lessons.append(_lesson(some, seen, actual_wh, number=number, most=each))
    return [
        Fitted(origin_us=origin, model=_model(lessons, origin), weights=known)
        for origin, known in zip(origins_us, weights, strict=True)
    ]


def _weights(some: Pairs, seen: Windows, actual_wh: Energies, origin_us: int) -> Mapping[ForecastMethod, float]:
    before = np.flatnonzero(some.facts.slot_us < origin_us)[:MOST_WEIGHED]
    return fit_weights({method: values[before] for method, values in simple(seen).items()}, actual_wh[before])


def _lesson(some: Pairs, seen: Windows, actual_wh: Energies, *, number: int, most: int) -> Lesson:
    """The first pairs, some of them as if their newest values were late; those without a start or an end left out."""
    random = np.random.default_rng([SEED, number, 1])
    count = len(actual_wh)
    hidden = random.integers(1, max(2, seen.ages), count) * (random.random(count) < LATE_SHARE)
    late = seen.as_if_late(hidden)
    _, newest = late.newest()
    use = np.flatnonzero(~np.isnan(newest + actual_wh))
    use = use[use < most]
    table = some.features(late)
    change = (actual_wh - newest) / some.subject.full_wh
    return Lesson(slot_us=some.facts.slot_us[use], table=table[use], change=change[use].astype(np.float32))


def _model(lessons: Sequence[Lesson], origin_us: int) -> learned.Model | None:
    if not lessons:
        return None
    before = [lesson.slot_us < origin_us for lesson in lessons]
    table = np.concatenate([lesson.table[some] for lesson, some in zip(lessons, before, strict=True)])
    change = np.concatenate([lesson.change[some] for lesson, some in zip(lessons, before, strict=True)])
    return learned.fit(table, change)
