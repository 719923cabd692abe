"""Pairs of coming slot and asset, drawn from measured history to learn from and to score by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.convert.forecast.calendar_facts import Calendar, SlotFacts
from pipelines.convert.forecast.features import Table, features
from pipelines.convert.forecast.history import History, Subject
from pipelines.convert.forecast.windows import Energies, Grid, Numbers, Windows, windows

SEED = 20160101
"""Of all draws: the same history gives the same pairs."""

MOST_EACH = 40_000
"""Pairs of one asset that are held at a time, about 100 MB: a year of quarter hours, a month of minutes. The number is
ours."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Coming slots of one asset."""

    grid: Grid
    column: int
    subject: Subject
    facts: SlotFacts
    """Of the slots, (n,)."""

    calendar: Calendar

    @property
    def _columns(self) -> Numbers:
        return np.full(len(self.facts.slot_us), self.column)

    def full_wh(self) -> Energies:
        """Energy at rated power, (n,)."""
        return np.full(len(self.facts.slot_us), self.subject.full_wh)

    def actual_wh(self) -> Energies:
        """What came, (n,); NaN where nothing was measured."""
        return self.grid.at(self.facts.slot_us[:, None], self._columns)[:, 0]

    def windows(self) -> Windows:
        """Their past."""
        return windows(self.grid, self.facts, self._columns, self.calendar)

    def features(self, seen: Windows) -> Table:
        """The model's table of a past: theirs, or theirs as if it were late."""
        types = np.full(len(self.facts.slot_us), self.subject.type_number)
        return features(seen, self.facts, full_wh=self.full_wh(), types=types, calendar=self.calendar)

    def take(self, rows: Numbers) -> "Pairs":
        """Some of them."""
        return Pairs(
            grid=self.grid,
            column=self.column,
            subject=self.subject,
            facts=self.facts.take(rows),
            calendar=self.calendar,
        )


def pairs_of(
    history: History, subjects: Sequence[Subject], facts: SlotFacts, calendar: Calendar
) -> Iterator[tuple[int, Pairs]]:
    """Each asset's number and its pairs with all the slots of `facts`; the history is read once."""
    by_id = {subject.asset_id: (number, subject) for number, subject in enumerate(subjects)}
    for grid in history.grids(list(by_id)):
        for column, asset_id in enumerate(grid.asset_ids):
            number, subject = by_id[asset_id]
            yield number, Pairs(grid=grid, column=column, subject=subject, facts=facts, calendar=calendar)


def drawn(pairs: Pairs, number: int, most: int) -> Pairs:
    """At most so many of the pairs, and MOST_EACH, in an order that has nothing to do with time."""
    order = np.random.default_rng([SEED, number]).permutation(len(pairs.facts.slot_us))
    return pairs.take(order[: min(most, MOST_EACH)])
