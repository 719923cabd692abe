"""Standard load profiles of the German BDEW: what a like customer uses, for assets that have no measurements yet."""

import functools
import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from importlib import resources
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.convert.forecast.calendar_facts import Calendar
from pipelines.day_types import SATURDAY, SUNDAY, WORKDAY, with_local_days

QUARTERS = 96
_WEEKDAYS = {WORKDAY: 1, SATURDAY: 6, SUNDAY: 7}
"""Day type -> the weekday under which the table lists it."""

PROFILES = ("h0", "g0", "g1", "g2", "g3", "g4", "g5", "g6", "l0", "l1", "l2")
"""Household, trade, farm."""


def known_profile(name: str) -> bool:
    """The table has a profile of this name."""
    return name in PROFILES


def profile_energy(
    profile: str, annual_kwh: float, slots: Sequence[datetime], *, calendar: Calendar
) -> npt.NDArray[np.float64]:
    """Energy of each slot in Wh; over a local year they add up to `annual_kwh`.

    Households (h0) vary over the year by BDEW's dynamisation. The clock on the wall counts, so a spring night's hour is
    left out and an autumn night's taken twice.

    Args:
        profile: name of the profile, one that is known.
        annual_kwh: energy of a year.
        slots: their starts.
        calendar: of the community.
    """
    zone, minutes = ZoneInfo(calendar.zone), int(calendar.length / timedelta(minutes=1))
    step = math.gcd(minutes, 15)
    energies = []
    for start in slots:
        quarters = [_quarter(start + timedelta(minutes=m), zone) for m in range(0, minutes, step)]
        shares = [_year(profile, day.year, calendar.holidays_of)[day.timetuple().tm_yday - 1, q] for day, q in quarters]
        energies.append(sum(shares) * step / 15 * annual_kwh * 1000)
    return np.array(energies, dtype=np.float64)


def _quarter(instant: datetime, zone: ZoneInfo) -> tuple[date, int]:
    local = instant.astimezone(zone)
    return local.date(), (local.hour * 60 + local.minute) // 15


@functools.lru_cache(maxsize=64)
def _year(profile: str, year: int, holidays_of: str | None) -> npt.NDArray[np.float64]:
    """Share of each quarter hour in the year's energy, (days, QUARTERS)."""
    first, last = date(year, 1, 1), date(year, 12, 31)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    noons = pl.DataFrame({"slot_start": [datetime.combine(day, time(12), UTC) for day in days]})
    types = with_local_days(noons, zone="UTC", holidays_of=holidays_of)["day_type"]
    table = _table()
    shares = np.stack([table[_season(day), _WEEKDAYS[kind], profile] for day, kind in zip(days, types, strict=True)])
    if profile == "h0":
        shares *= _dynamisation(len(days))
    total = shares.sum()
    return np.asarray(shares / total, dtype=np.float64)


@functools.cache
def _table() -> dict[tuple[str, int, str], npt.NDArray[np.float64]]:
    """(season, weekday 1 to 7, profile) -> its 96 quarter hours.

    Of demandlib the figures are taken and not its code: that turns every later warning of the process into an error,
    and then stumbles over one of today's pandas.
    """
    file = resources.files("demandlib") / "bdew" / "bdew_data" / "selp_series.csv"
    frame = pl.read_csv(file.read_bytes())
    return {
        (str(season), int(weekday), name): part[name].to_numpy().astype(np.float64)
        for (season, weekday), part in frame.group_by("period", "weekday", maintain_order=True)
        for name in PROFILES
    }


def _season(day: date) -> str:
    """Of the standard load profiles."""
    if (5, 15) <= (day.month, day.day) <= (9, 14):
        return "summer"
    if (3, 21) <= (day.month, day.day) <= (10, 31):
        return "transition"
    return "winter"


def _dynamisation(days: int) -> npt.NDArray[np.float64]:
    """BDEW's factor of each quarter hour, (days, QUARTERS); its coefficients as demandlib has them."""
    t = (np.arange(days * QUARTERS) + 1) / QUARTERS
    factor = -3.916649251e-10 * t**4 + 3.2e-7 * t**3 - 7.02e-5 * t**2 + 0.0021 * t + 1.24
    return np.asarray(factor.reshape(days, QUARTERS), dtype=np.float64)
