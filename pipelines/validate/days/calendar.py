"""Which slots a stretch of local days has. Pure."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import polars as pl

from pipelines.community import Community
from pipelines.day_types import with_local_days
from pipelines.daylight import place_of, sun_is_up
from pipelines.frames import INSTANT

HISTORY = timedelta(days=21)
"""How far back like days are looked for: Ontario's three weeks."""

LIGHT_DEG = 10.0
"""Height of the sun from which on a PV plant makes something on all but the darkest days. Ours: in a year of SimBench
plants stand at zero for 35 hours of light on end, counted from sunrise to sunset, and for 25 counted so."""


@dataclass(frozen=True, kw_only=True)
class Days:
    """Local days from `first` to `last`, both included."""

    first: date
    last: date

    @property
    def with_history(self) -> "Days":
        """The same days, and those before that they are compared with."""
        return Days(first=self.first - HISTORY, last=self.last)

    def bounds(self, zone: str) -> tuple[datetime, datetime]:
        """Instants (UTC) at which the first day begins and the last one ends."""
        return day_start(self.first, zone), day_start(self.last + timedelta(days=1), zone)

    def split(self, at_most: int) -> "list[Days]":
        """The days in parts of at most so many."""
        parts = []
        first = self.first
        while first <= self.last:
            last = min(self.last, first + timedelta(days=at_most - 1))
            parts.append(Days(first=first, last=last))
            first = last + timedelta(days=1)
        return parts


def day_start(day: date, zone: str) -> datetime:
    """The instant at which a local day begins, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(ZoneInfo("UTC"))


def last_finished_day(now: datetime, zone: str) -> date:
    """The newest local day that is over."""
    return now.astimezone(ZoneInfo(zone)).date() - timedelta(days=1)


def slots_of(days: Days, community: Community) -> pl.DataFrame:
    """Every slot of the days.

    Returns:
        A frame with the key `slot_start`, in order: `local_day`, `local_minute`, `day_type` as of
        `pipelines.day_types`, and `daylight`: the sun is LIGHT_DEG high from its beginning to its end; true throughout
        where the community's place isn't known.
    """
    zone = community.community.time_zone
    start, end = days.bounds(zone)
    slots = pl.datetime_range(start, end, community.slot_length, closed="left", time_zone="UTC", eager=True)
    frame = with_local_days(
        pl.DataFrame({"slot_start": slots.cast(INSTANT)}), zone=zone, holidays_of=community.community.holidays
    )
    section = community.community
    place = place_of(section.latitude, section.longitude, zone)
    light = [sun_is_up(place, slot, height_deg=LIGHT_DEG) for slot in [*frame["slot_start"], end]]
    return frame.with_columns(daylight=pl.Series([one and other for one, other in pairwise(light)], dtype=pl.Boolean))
