"""Weeks in figures, from the days that the daily quality run has summed up."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select

from pipelines.report import queries as q
from pipelines.store import ForecastChoiceRow, QualityDayRow, table_of

DAYS = 84
"""Twelve weeks: as far back as the trend goes."""

RECORD_DAYS = 14
"""Days over which an asset's forecasts are scored."""

DAY = table_of(QualityDayRow)
CHOICE = table_of(ForecastChoiceRow)


@dataclass(frozen=True, kw_only=True)
class DaySum:
    """One local day of all assets together, or several of them."""

    slots_expected: int = 0
    slots_measured: int = 0
    slots_substituted: int = 0
    slots_estimated: int = 0
    slots_missing: int = 0
    energy_wh: float = 0.0
    rejected: int = 0
    flagged: int = 0
    informed: int = 0
    forecast_slots: int = 0
    forecast_error_wh: float = 0.0
    persistence_error_wh: float = 0.0
    exchange_compared: int = 0
    exchange_differs: int = 0

    @property
    def slots_partly(self) -> int:
        """Slots that none of the four kinds counts: measured in part, or provisional."""
        counted = self.slots_measured + self.slots_substituted + self.slots_estimated + self.slots_missing
        return max(0, self.slots_expected - counted)

    @property
    def measured_share(self) -> float | None:
        """Share of the slots that were measured whole, 0..1."""
        return self.slots_measured / self.slots_expected if self.slots_expected else None

    @property
    def agreeing_share(self) -> float | None:
        """Share of the slots that were read back which hold what was sent, 0..1."""
        return 1 - self.exchange_differs / self.exchange_compared if self.exchange_compared else None

    @property
    def better_by(self) -> float | None:
        """How much smaller the error is than that of repeating the last value, as a share; below 0: larger."""
        return better_by(self.forecast_error_wh, self.persistence_error_wh)

    @property
    def findings(self) -> int:
        """Broken checks of any severity."""
        return self.rejected + self.flagged + self.informed


SUMMED = tuple(one.name for one in fields(DaySum))


@dataclass(frozen=True, kw_only=True)
class ForecastRecord:
    """How an asset's next slot is forecast, and how well that went."""

    method: str
    """One of `pipelines.community.ForecastMethod`; "" where none was chosen yet."""

    slots: int
    """Slots that the two errors were summed over."""

    error_wh: float
    persistence_wh: float

    @property
    def better_by(self) -> float | None:
        """As in `DaySum`."""
        return better_by(self.error_wh, self.persistence_wh)


def better_by(error_wh: float, persistence_wh: float) -> float | None:
    """How much smaller the first error is, as a share of the second; None where that is no number."""
    return 1 - error_wh / persistence_wh if persistence_wh > 0 else None


def day_sums(connection: Connection, asset_ids: Sequence[str], *, until: date) -> dict[date, DaySum]:
    """The last DAYS days up to `until`, that one included, as far as they were summed up; in order.

    Args:
        connection: to read with.
        asset_ids: whose days are added.
        until: local day.
    """
    sums = [func.sum(DAY.c[name]).label(name) for name in SUMMED]
    query = (
        select(DAY.c.day, *sums)
        .where(
            DAY.c.day > until - timedelta(days=DAYS), DAY.c.day <= until, q.among(connection, DAY.c.asset_id, asset_ids)
        )
        .group_by(DAY.c.day)
        .order_by(DAY.c.day)
    )
    return {row.day: DaySum(**{name: getattr(row, name) for name in SUMMED}) for row in connection.execute(query)}


def forecast_records(connection: Connection, asset_ids: Sequence[str], *, until: date) -> dict[str, ForecastRecord]:
    """asset_id -> its record over the last RECORD_DAYS days; before there are any, as the backtest measured it."""
    chosen = {
        row.asset_id: row
        for row in connection.execute(select(CHOICE).where(q.among(connection, CHOICE.c.asset_id, asset_ids)))
    }
    names = ("forecast_slots", "forecast_error_wh", "persistence_error_wh")
    query = (
        select(DAY.c.asset_id, *(func.sum(DAY.c[name]).label(name) for name in names))
        .where(
            DAY.c.day > until - timedelta(days=RECORD_DAYS),
            DAY.c.day <= until,
            q.among(connection, DAY.c.asset_id, asset_ids),
        )
        .group_by(DAY.c.asset_id)
    )
    records = {
        row.asset_id: ForecastRecord(
            method=chosen[row.asset_id].method if row.asset_id in chosen else "",
            slots=row.forecast_slots,
            error_wh=row.forecast_error_wh,
            persistence_wh=row.persistence_error_wh,
        )
        for row in connection.execute(query)
        if row.forecast_slots
    }
    for asset_id, row in chosen.items():
        errors = row.mean_errors_wh
        if asset_id not in records and row.method in errors and "persistence" in errors:
            records[asset_id] = ForecastRecord(
                method=row.method,
                slots=row.scored_slots,
                error_wh=errors[row.method] * row.scored_slots,
                persistence_wh=errors["persistence"] * row.scored_slots,
            )
    return records


def added(days: Iterable[DaySum]) -> DaySum:
    """Several days together."""
    found = list(days)
    return DaySum(**{name: sum(getattr(day, name) for day in found) for name in SUMMED})


def local_day(instant: datetime, zone: ZoneInfo) -> date:
    """The day on the community's calendar."""
    return instant.astimezone(zone).date()


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the table that compares days and weeks."""

    title: str
    sums: DaySum


def comparison(days: dict[date, DaySum]) -> list[Column]:
    """The last day, the one before, the last seven days and the seven before; those of which nothing is known left out.

    Args:
        days: as `day_sums` gives them.
    """
    if not days:
        return []
    last = max(days)
    columns = [Column(title=f"{last:%a %d %b}", sums=days[last])]
    if (before := last - timedelta(days=1)) in days:
        columns.append(Column(title=f"{before:%a %d %b}", sums=days[before]))
    week = [day for day in days if last - timedelta(days=7) < day <= last]
    week_before = [day for day in days if last - timedelta(days=14) < day <= last - timedelta(days=7)]
    if len(week) > 1:
        columns.append(Column(title=f"Last {len(week)} days", sums=added(days[day] for day in week)))
    if week_before:
        title = f"The {len(week_before)} days before" if len(week_before) > 1 else "The day before those"
        columns.append(Column(title=title, sums=added(days[day] for day in week_before)))
    return columns
