"""Instants as the community's people read them: local time, with the zone's name wherever it matters.

The page's axes run in UTC and are labelled in local time, so an autumn night shows its doubled hour twice,
as 02:00 CEST and 02:00 CET, and a spring night has no gap.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from pipelines.slots import slot_floor

HOUR = timedelta(hours=1)
GRAIN = timedelta(minutes=15)
"""Zones are offset from UTC by multiples of this."""

STEPS = (
    *(("hours", n, n * HOUR) for n in (1, 2, 3, 4, 6, 12)),
    *(("days", n, n * 24 * HOUR) for n in (1, 2, 7, 14)),
    *(("months", n, n * 730 * HOUR) for n in (1, 3, 12)),
)
"""Distances between ticks: unit, number, and how long that roughly is."""


@dataclass(frozen=True)
class Tick:
    """A labelled place on a time axis."""

    at_ms: int
    """Milliseconds since 1970 UTC."""

    lines: tuple[str, ...]


def to_ms(instant: datetime) -> int:
    """Milliseconds since 1970 UTC."""
    return round(instant.timestamp() * 1000)


def local_text(instant: datetime | None, zone: ZoneInfo) -> str:
    """Like `Sun 30 Oct 2016 02:15 CEST`."""
    return "none" if instant is None else f"{instant.astimezone(zone):%a %d %b %Y %H:%M %Z}"


def span_text(start: datetime, end: datetime, zone: ZoneInfo) -> str:
    """Like `Sun 30 Oct 01:45 CEST to 02:15 CET`; the second date only where it is another."""
    first, last = start.astimezone(zone), end.astimezone(zone)
    if start == end:
        return f"{first:%a %d %b %H:%M %Z}"
    begin = f"{first:%a %d %b %H:%M}" + (f" {first:%Z}" if f"{first:%Z}" != f"{last:%Z}" else "")
    same_day = first.date() == last.date()
    return f"{begin} to {last:%H:%M %Z}" if same_day else f"{begin} to {last:%a %d %b %H:%M %Z}"


def duration_text(length: timedelta) -> str:
    """Like `45 min`, `2 h 15 min`, `31 h`, `5 days`: hours up to three days, then days."""
    minutes = round(length / timedelta(minutes=1))
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 10 and rest:
        return f"{hours} h {rest} min"
    if hours < 72:
        return f"{round(minutes / 60)} h"
    return f"{round(minutes / 1440)} days"


def utc_text(instant: datetime | None) -> str:
    """Like `2016-10-30 00:15`."""
    return "none" if instant is None else f"{instant:%Y-%m-%d %H:%M}"


def local_expression(field: str, start: datetime, end: datetime, zone: ZoneInfo) -> str:
    """A Vega expression that writes the milliseconds in `field` as local time, for instants of the period.

    Vega itself knows only UTC and the reader's own zone; a community may be read from elsewhere.
    """
    spans = list(_offsets(start, end, zone))
    expression = _written(field, spans[-1][1])
    for (_, offset), (change, _) in reversed(list(pairwise(spans))):
        expression = f"({field} < {to_ms(change)} ? {_written(field, offset)} : {expression})"
    return expression


def ticks(start: datetime, end: datetime, zone: ZoneInfo, *, at_most: int) -> list[Tick]:
    """Round local times in [start, end), roughly `at_most` of them; both hours of a doubled one.

    The first line is the time, or the date where ticks are days apart. Below stand the date at the first
    tick of each day, and the zone's name at the first tick, where the offset changes, and at both hours
    of a doubled one.
    """
    unit, number = next(((u, n) for u, n, length in STEPS if (end - start) / length <= at_most), ("months", 12))
    found: list[Tick] = []
    date = zone_name = ""
    for local in _round_locals(start, end, zone, unit, number):
        day = f"{local:%d %b}" if number < 12 or unit != "months" else f"{local:%d %b %Y}"
        lines = [day]
        if unit == "hours":
            doubled = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
            lines = [f"{local:%H:%M}"]
            lines += [day] if day != date else []
            lines += [f"{local:%Z}"] if doubled or f"{local:%Z}" != zone_name else []
        date, zone_name = day, f"{local:%Z}"
        found.append(Tick(to_ms(local), tuple(lines)))
    return found


def _round_locals(start: datetime, end: datetime, zone: ZoneInfo, unit: str, number: int) -> Iterator[datetime]:
    instant = start.replace(minute=0, second=0, microsecond=0)
    while instant < end:
        local = instant.astimezone(zone)
        if instant >= start and local.minute == 0 and _on_step(local, unit, number):
            yield local
        instant += GRAIN


def _on_step(local: datetime, unit: str, number: int) -> bool:
    if unit == "hours":
        return local.hour % number == 0
    if unit == "days":
        return local.hour == 0 and local.toordinal() % number == 0
    return local.hour == 0 and local.day == 1 and (local.month - 1) % number == 0


def _offsets(start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """(from when, an instant in local time that has the offset) for each offset of the period."""
    local = start.astimezone(zone)
    yield start, local
    instant = start.replace(minute=0, second=0, microsecond=0)
    while instant < end:
        instant += HOUR
        following = instant.astimezone(zone)
        if following.utcoffset() != local.utcoffset():
            yield instant, following
        local = following


def _written(field: str, local: datetime) -> str:
    offset = local.utcoffset() or timedelta()
    return f"utcFormat({field} + {offset // timedelta(milliseconds=1)}, '%a %d %b %H:%M') + ' {local:%Z}'"


def slot_ceil(instant: datetime, length: timedelta) -> datetime:
    """The start of the first slot that doesn't begin before `instant`."""
    floor = slot_floor(instant, length)
    return floor if floor == instant else floor + length
