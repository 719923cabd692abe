"""Columns, values and instants of rows in people's words."""

import math
from datetime import date, datetime
from zoneinfo import ZoneInfo

from expectations.thresholds import THRESHOLDS

NOTHING = "\N{EN DASH}"
"""Stands where a row has no value."""

COLUMNS = {
    "ts": "time stamp",
    "ts_end": "end of the span",
    "stream_id": "stream",
    "asset_id": "asset",
    "rivals": "differing values of this stamp",
    "number": "kind of number",
}
"""Columns whose names say too little."""

UNITS = {"wh": "Wh", "w": "W", "s": "s", "h": "h"}
"""Last part of a column's name -> its unit."""


def heading(column: str) -> str:
    """What stands in a column: `register_before_wh` is "register before (Wh)"."""
    for check, threshold in THRESHOLDS.items():
        if column == check:
            return threshold.quantity
        if column in (f"{check}_low", f"{check}_high"):
            return "lowest good" if column.endswith("_low") else "highest good"
    if column in COLUMNS:
        return COLUMNS[column]
    *words, last = column.split("_")
    if words and last in UNITS:
        return f"{' '.join(words)} ({UNITS[last]})"
    return " ".join((*words, last))


def headline(column: str) -> str:
    """The same with a capital letter."""
    words = heading(column)
    return words[:1].upper() + words[1:]


def text(value: object, zone: ZoneInfo) -> str:
    """A value as it stands in a table: digits grouped, instants in local time, `NOTHING` for null."""
    if value is None:
        return NOTHING
    if isinstance(value, datetime):
        return local(value, zone)
    if isinstance(value, date):
        return f"{value:%a %d %b %Y}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _number(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{value:+}".replace("inf", "infinite")
    if value and abs(value) < 0.01:
        return f"{value:.3g}"
    return f"{value:,.0f}" if value == round(value) else f"{value:,.3f}".rstrip("0")


def local(instant: datetime, zone: ZoneInfo) -> str:
    """Like "Sun 30 Oct 2016 02:15 CEST"; with seconds where they aren't zero."""
    there = instant.astimezone(zone)
    seconds = ":%S" if there.second or there.microsecond else ""
    return there.strftime(f"%a %d %b %Y %H:%M{seconds} %Z")


def period(start: datetime, end: datetime, zone: ZoneInfo) -> str:
    """Local days of [start, end): "Mon 02 Mar 2026", or "Mon 02 Mar 2026 to Wed 04 Mar 2026"."""
    first, last = days(start, end, zone)
    return text(first, zone) if first == last else f"{text(first, zone)} to {text(last, zone)}"


def days(start: datetime, end: datetime, zone: ZoneInfo) -> tuple[date, date]:
    """First and last local day of [start, end)."""
    first = start.astimezone(zone).date()
    last = end.astimezone(zone)
    ends_at_midnight = (last.hour, last.minute, last.second) == (0, 0, 0)
    return first, max(first, date.fromordinal(last.toordinal() - 1) if ends_at_midnight else last.date())


def share(part: int, whole: int) -> str:
    """A percentage that never calls a few none, nor almost all all: "0.02 %"."""
    percent = 100.0 * part / whole if whole else 0.0
    if 0 < percent < 0.01:
        return "less than 0.01 %"
    if 99.99 < percent < 100:
        return "more than 99.99 %"
    return f"{percent:.2f}".rstrip("0").rstrip(".") + " %"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: "1 row", "1,200 rows"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
