"""The forecasts that leave: every wanted slot of every asset, by what its last backtest chose and what is there."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl
from sqlalchemy import Connection

from pipelines.community import Community, ForecastMethod
from pipelines.convert.forecast import model as learned
from pipelines.convert.forecast.calendar_facts import NEWEST_LAG, Calendar, Instants, SlotFacts, calendar_of, slot_facts
from pipelines.convert.forecast.features import features
from pipelines.convert.forecast.methods import PARTS, WEEK, blended, simple
from pipelines.convert.forecast.profiles import known_profile, profile_energy
from pipelines.convert.forecast.stored import Plan, read_grid, read_model, read_plans
from pipelines.convert.forecast.windows import Energies, Grid, Numbers, Windows, windows
from pipelines.convert.standing import posting_estimates
from pipelines.frames import INSTANT, QUALITY_RANK, Quality

FORETOLD = pl.Schema(
    {
        "asset_id": pl.String(),
        "slot_start": INSTANT,
        "energy_wh": pl.Float64(),
        "source_slot": INSTANT,
        "quality": pl.String(),
        "method": pl.String(),
    }
)
"""`method`: what the value is by, which is not what was chosen where that had nothing to go by. `source_slot`: the
newest measured slot it rests on; the slot itself for a standard profile, which rests on none. `quality`: of the source
slot; ESTIMATED for a standard profile."""

M = ForecastMethod
_QUALITIES = {rank: name for name, rank in QUALITY_RANK.items()}
_MOST_TRIED = 5
_NONE = ""


def foretell(connection: Connection, community: Community, wanted: Sequence[tuple[str, datetime]]) -> pl.DataFrame:
    """Forecast the wanted slots from what the store holds; those with nothing to go by are left out.

    The same store gives the same values, to the last bit.

    Args:
        connection: to the store.
        community: its assets; others aren't foretold.
        wanted: asset_id and slot start.

    Returns:
        FORETOLD.
    """
    plans = read_plans(connection, community)
    by_slot: dict[datetime, list[Plan]] = {}
    for asset_id, slot_start in wanted:
        if asset_id in plans:
            by_slot.setdefault(slot_start, []).append(plans[asset_id])
    if not by_slot:
        return FORETOLD.to_frame()
    slots = sorted(by_slot)
    asked = {plan.asset.asset_id: plan for some in by_slot.values() for plan in some}
    calendar = calendar_of(community)
    facts = slot_facts(pl.Series(slots, dtype=INSTANT).dt.timestamp("us").to_numpy(), calendar)
    grid = read_grid(connection, asked, facts, calendar, posting=posting_estimates(community))
    model = read_model(connection) if any(plan.method is M.MODEL for plan in asked.values()) else None
    number = {asset_id: column for column, asset_id in enumerate(grid.asset_ids)}
    parts = []
    for row, slot_start in enumerate(slots):
        some = by_slot[slot_start]
        coming = _Coming(
            slot_start=slot_start,
            plans=some,
            grid=grid,
            columns=np.array([number[plan.asset.asset_id] for plan in some]),
            facts=facts.take(np.full(len(some), row)),
            calendar=calendar,
        )
        parts.append(coming.foretold(model))
    return pl.concat(parts)


class _Coming:
    """One slot for several assets; arrays are (assets,)."""

    def __init__(
        self,
        *,
        slot_start: datetime,
        plans: Sequence[Plan],
        grid: Grid,
        columns: Numbers,
        facts: SlotFacts,
        calendar: Calendar,
    ) -> None:
        self.slot_start, self.plans, self.grid, self.columns = slot_start, plans, grid, columns
        self.facts, self.calendar = facts, calendar
        self.seen = windows(grid, facts, columns, calendar)
        self.simple = simple(self.seen)
        self.weights = np.stack([plan.weights for plan in plans])

    def foretold(self, model: learned.Model | None) -> pl.DataFrame:
        """FORETOLD: of each asset the first of the methods it tries that has something to go by."""
        values, sources = self._values(model), self._sources()
        energy_wh = np.full(len(self.plans), np.nan)
        source_us = np.zeros(len(self.plans), dtype=np.int64)
        method = np.full(len(self.plans), _NONE, dtype=object)
        for turn in range(_MOST_TRIED):
            tries = np.array([p.tried[turn].value if turn < len(p.tried) else _NONE for p in self.plans], dtype=object)
            for candidate, forecast in values.items():
                use = (tries == candidate.value) & (method == _NONE) & np.isfinite(forecast)
                energy_wh[use] = np.maximum(forecast[use], 0.0)
                source_us[use] = sources[candidate][use]
                method[use] = candidate.value
        return self._frame(energy_wh, source_us, method)

    def _values(self, model: learned.Model | None) -> dict[ForecastMethod, Energies]:
        """Every method's forecasts in Wh, NaN where it has nothing to go by."""
        values = dict(self.simple)
        values[M.BLEND] = blended(self.simple, self.weights)
        values[M.STANDARD_PROFILE] = np.array([self._profile_wh(plan) for plan in self.plans])
        if model is not None:
            values[M.MODEL] = self._model_wh(model)
        return values

    def _model_wh(self, model: learned.Model) -> Energies:
        subjects = [plan.subject for plan in self.plans if plan.method is M.MODEL]
        mine = np.flatnonzero([plan.method is M.MODEL for plan in self.plans])
        full_wh = np.array([subject.full_wh for subject in subjects])
        types = np.array([subject.type_number for subject in subjects])
        facts = self.facts.take(mine)
        seen: Windows = windows(self.grid, facts, self.columns[mine], self.calendar)
        forecast = np.full(len(self.plans), np.nan)
        if len(mine):
            table = features(seen, facts, full_wh=full_wh, types=types, calendar=self.calendar)
            forecast[mine] = model.predict(table, seen, full_wh)
        return forecast

    def _profile_wh(self, plan: Plan) -> float:
        """The standard profile's energy, no more than rated power gives; NaN where the file names none."""
        profile, annual_kwh = plan.asset.load_profile, plan.asset.annual_kwh
        if profile is None or annual_kwh is None or not known_profile(profile):
            return np.nan
        energy_wh = profile_energy(profile, annual_kwh, [self.slot_start], calendar=self.calendar)[0]
        return min(float(energy_wh), plan.subject.full_wh)

    def _sources(self) -> Mapping[ForecastMethod, Instants]:
        """Start of the newest measured slot that each method's forecast rests on."""
        place, _ = self.seen.newest()
        newest = self.facts.slot_us - (NEWEST_LAG + place) * self.calendar.length_us
        yesterday, last_week = self.facts.days_before_us[:, 0], self.facts.days_before_us[:, WEEK - 1]
        used = [~np.isnan(self.simple[part]) & (self.weights[:, i] > 0) for i, part in enumerate(PARTS)]
        return {
            M.PERSISTENCE: newest,
            M.MODEL: newest,
            M.YESTERDAY: yesterday,
            M.LAST_WEEK: last_week,
            M.BLEND: np.where(used[0], newest, np.where(used[1], yesterday, last_week)),
            M.STANDARD_PROFILE: self.facts.slot_us,
        }

    def _frame(self, energy_wh: Energies, source_us: Instants, method: npt.NDArray[np.object_]) -> pl.DataFrame:
        ranks = self.grid.rank_at(source_us, self.columns)
        known = np.where(method == M.STANDARD_PROFILE.value, QUALITY_RANK[Quality.ESTIMATED], ranks)
        found = pl.DataFrame(
            {
                "asset_id": [plan.asset.asset_id for plan in self.plans],
                "slot_start": pl.Series([self.slot_start] * len(self.plans), dtype=INSTANT),
                "energy_wh": energy_wh,
                "source_slot": pl.Series(source_us).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
                "quality": [_QUALITIES[int(rank)] for rank in known],
                "method": pl.Series(method.tolist(), dtype=pl.String),
            },
            schema=FORETOLD,
        )
        return found.filter(pl.col("method") != _NONE)
