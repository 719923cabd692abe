"""What is known of a slot before it comes: its place in the day and the week, the sun, which slots were like it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
from astral import Observer
from astral.sun import elevation

from pipelines.community import Community
from pipelines.day_types import SATURDAY, SUNDAY, WORKDAY, with_local_days
from pipelines.daylight import Place, place_of
from pipelines.frames import INSTANT

DAYS_BEFORE = 7
"""Days before whose slots at the same local time are looked at."""

MAX_AGE = timedelta(hours=2)
"""How old a measured slot may be to stand for a coming one. The number is ours, after the two hours
up to which the Californian VEE rules bridge a gap by a straight line."""

NEWEST_LAG = 2
"""Slots: while a forecast for slot X is made, X-1 is running, so X-2 is the newest that can be measured whole."""

Instants = npt.NDArray[np.int64]
"""Microseconds since 1970 UTC."""


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """Of a community: what makes its local time."""

    length: timedelta
    zone: str
    holidays_of: str | None
    place: Place | None

    @property
    def length_us(self) -> int:
        """Slot length in microseconds."""
        return self.length // timedelta(microseconds=1)

    @property
    def ages(self) -> int:
        """How many slots before a coming one, from X-2 on, are young enough to stand for it."""
        return max(1, MAX_AGE // self.length - NEWEST_LAG + 1)


def calendar_of(community: Community) -> Calendar:
    """The community's calendar; where the file doesn't say where it lies, where its time zone's name giver does."""
    section = community.community
    place = place_of(section.latitude, section.longitude, section.time_zone)
    return Calendar(length=community.slot_length, zone=section.time_zone, holidays_of=section.holidays, place=place)


@dataclass(frozen=True, kw_only=True)
class SlotFacts:
    """Arrays over n slots."""

    slot_us: Instants
    """Starts, (n,)."""

    minute: npt.NDArray[np.float32]
    """Of the local day, (n,)."""

    weekday: npt.NDArray[np.float32]
    """1 Monday to 7 Sunday, (n,)."""

    day_type: npt.NDArray[np.float32]
    """0 workday, 1 Saturday, 2 Sunday or public holiday, (n,)."""

    days_before_us: Instants
    """The slots at the same local time 1 to DAYS_BEFORE days before, (n, DAYS_BEFORE)."""

    sun: npt.NDArray[np.float32]
    """Sine of the sun's elevation in the middle of the slot, and of the slots X-2, X-3, ... that may stand for it,
    (n, 1 + ages); NaN where the place isn't known."""

    def take(self, rows: npt.NDArray[np.int64]) -> "SlotFacts":
        """The facts of slots by number, which may repeat."""
        return SlotFacts(
            slot_us=self.slot_us[rows],
            minute=self.minute[rows],
            weekday=self.weekday[rows],
            day_type=self.day_type[rows],
            days_before_us=self.days_before_us[rows],
            sun=self.sun[rows],
        )


def slot_facts(slot_us: Instants, calendar: Calendar) -> SlotFacts:
    """Look up the slots that start at `slot_us`, ascending."""
    starts = pl.Series("slot_start", slot_us, dtype=pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    local = with_local_days(starts.cast(INSTANT).to_frame(), zone=calendar.zone, holidays_of=calendar.holidays_of)
    codes = {WORKDAY: 0.0, SATURDAY: 1.0, SUNDAY: 2.0}
    return SlotFacts(
        slot_us=slot_us,
        minute=local["local_minute"].to_numpy().astype(np.float32),
        weekday=local["local_day"].dt.weekday().to_numpy().astype(np.float32),
        day_type=local["day_type"].replace_strict(codes, return_dtype=pl.Float32).to_numpy(),
        days_before_us=_days_before(starts, calendar),
        sun=_sun(slot_us, calendar),
    )


def _days_before(starts: pl.Series, calendar: Calendar) -> Instants:
    """The slots at the same time on the clock on the wall.

    A local time that a spring night left out is taken 24 hours a day before; of one that an autumn night had twice,
    its first.
    """
    wall = starts.dt.convert_time_zone(calendar.zone).dt.replace_time_zone(None)
    columns = []
    for days in range(1, DAYS_BEFORE + 1):
        back = (wall - timedelta(days=days)).dt.replace_time_zone(
            calendar.zone, ambiguous="earliest", non_existent="null"
        )
        in_utc = back.dt.convert_time_zone("UTC").fill_null(starts - timedelta(days=days))
        columns.append(in_utc.dt.timestamp("us").to_numpy())
    return np.column_stack(columns)


def _sun(slot_us: Instants, calendar: Calendar) -> npt.NDArray[np.float32]:
    lags = np.array([0, *range(NEWEST_LAG, NEWEST_LAG + calendar.ages)])
    middles = slot_us[:, None] + calendar.length_us // 2 - lags * calendar.length_us
    if calendar.place is None:
        return np.full(middles.shape, np.nan, dtype=np.float32)
    observer = Observer(latitude=calendar.place.latitude, longitude=calendar.place.longitude)
    each, where = np.unique(middles, return_inverse=True)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    degrees = [elevation(observer, epoch + timedelta(microseconds=int(at)), with_refraction=False) for at in each]
    sines: npt.NDArray[np.float32] = np.sin(np.radians(degrees)).astype(np.float32)
    return sines[where.reshape(middles.shape)]
