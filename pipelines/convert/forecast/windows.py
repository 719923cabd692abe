"""What of an asset's past is looked at for a coming slot. Nothing younger than X-2 is ever in it.

All methods, in the backtest and live, get their values here and nowhere else: a method can't peek.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from pipelines.convert.forecast.calendar_facts import NEWEST_LAG, Calendar, Instants, SlotFacts

MOST_RECENT = 96
"""Slots of the recent past, at most a day's: more would have to be read for every asset in every slot."""

AROUND = 2
"""Slots before and after the like slot of an earlier day that are looked at too."""

Numbers = npt.NDArray[np.int64]
Energies = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Energy of assets in consecutive slots."""

    first_us: int
    """Start of the first slot."""

    length_us: int
    asset_ids: Sequence[str]
    energy_wh: Energies
    """(slots, assets); NaN where nothing was measured."""

    rank: npt.NDArray[np.int8]
    """The same shape: quality as of `frames.QUALITY_RANK`; meaningless where energy is NaN."""

    def at(self, instants_us: Instants, columns: Numbers) -> Energies:
        """Energy of the slots that start at `instants_us` (n, m) of the assets `columns` (n,); NaN outside."""
        slot, inside = self._slots(instants_us)
        return np.where(inside, self.energy_wh[slot, columns[:, None]], np.nan)

    def rank_at(self, instants_us: Instants, columns: Numbers) -> npt.NDArray[np.int8]:
        """Quality of the slots that start at `instants_us` (n,) of the assets `columns` (n,)."""
        slot, _ = self._slots(instants_us)
        return self.rank[slot, columns]

    def _slots(self, instants_us: Instants) -> tuple[Numbers, npt.NDArray[np.bool_]]:
        slot = (instants_us - self.first_us) // self.length_us
        inside = (slot >= 0) & (slot < len(self.energy_wh))
        return np.where(inside, slot, 0), inside


@dataclass(frozen=True, kw_only=True)
class Windows:
    """The past of n pairs of coming slot and asset, in Wh; NaN where nothing was measured."""

    recent_wh: Energies
    """(n, recent): X-2, X-3, ..."""

    days_wh: Energies
    """(n, DAYS_BEFORE, 2 * AROUND + 1): of each earlier day, the slots around the one at the same local time."""

    ages: int
    """How many of the recent may stand for the coming slot by themselves."""

    def newest(self) -> tuple[Numbers, Energies]:
        """The newest that may stand for the coming slot by itself.

        Returns:
            Its number among the recent (n,), -1 where there is none, and its energy (n,), NaN where there is none.
        """
        young = self.recent_wh[:, : self.ages]
        known = ~np.isnan(young)
        place = np.where(known.any(axis=1), known.argmax(axis=1), -1)
        value = np.where(place >= 0, young[np.arange(len(young)), place], np.nan)
        return place, value

    def day(self, days: int) -> Energies:
        """Energy of the slot at the same local time `days` days before, (n,)."""
        return self.days_wh[:, days - 1, AROUND]

    def as_if_late(self, slots: Numbers) -> "Windows":
        """The same, had the newest `slots` (n,) of the recent not come yet."""
        late = np.arange(self.recent_wh.shape[1]) < slots[:, None]
        return replace(self, recent_wh=np.where(late, np.nan, self.recent_wh))


def recent_count(calendar: Calendar) -> int:
    """How many slots the recent past has."""
    return max(calendar.ages, min(MOST_RECENT, timedelta(days=1) // calendar.length))


def windows(grid: Grid, facts: SlotFacts, columns: Numbers, calendar: Calendar) -> Windows:
    """The past of n pairs.

    Args:
        grid: the past of all assets.
        facts: of the coming slots, (n,).
        columns: number of the asset in the grid, (n,).
        calendar: of the community.
    """
    lags = np.arange(NEWEST_LAG, NEWEST_LAG + recent_count(calendar)) * grid.length_us
    around = np.arange(-AROUND, AROUND + 1) * grid.length_us
    like = facts.days_before_us[:, :, None] + around
    return Windows(
        recent_wh=grid.at(facts.slot_us[:, None] - lags, columns),
        days_wh=grid.at(like.reshape(len(like), -1), columns).reshape(like.shape),
        ages=calendar.ages,
    )
