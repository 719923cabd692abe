"""What the exchange makes of an uploaded profile, quirks and all.

Source: gsy-framework, `read_user_profile.py`, as it was seen to run. Nothing is resampled: a slot takes
the value that stands at its start, whatever span that value was meant for. Every stamp is UTC.
"""

import ast
import csv
import io
import math
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum

FORMATS = (
    r"(?P<hour>\d\d):(?P<minute>\d\d)",
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)T(?P<hour>\d\d):(?P<minute>\d\d)",
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)T(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)",
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d) (?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)",
)
"""`HH:mm`, `YYYY-MM-DDTHH:mm`, the same with seconds, `YYYY-MM-DD HH:mm:ss`: one of them for the whole profile."""

NO_DAY = datetime(1970, 1, 1, tzinfo=UTC)
"""Day of stamps that tell only a time."""

ONE_DAY = timedelta(days=1)


class Unit(StrEnum):
    """What a profile's values are."""

    POWER_W = "POWER_W"
    ENERGY_KWH = "ENERGY_KWH"


class Reading(StrEnum):
    """Who reads the profile."""

    CANARY = "canary"
    """A live network, from the file: only the time of day counts."""

    DATABASE = "database"
    """A live network, from the profiles' database: a slot has exactly its own datapoint, or 0."""

    SIMULATION = "simulation"
    """A simulation with start and end: a step function."""


class UploadedProfile:
    """A profile, asked slot by slot."""

    def __init__(
        self,
        text: str,
        *,
        unit: str,
        slot_length: timedelta,
        reading: Reading = Reading.CANARY,
        span: tuple[datetime, datetime] | None = None,
    ) -> None:
        """Read the profile.

        Args:
            text: CSV of two columns, or a dict of stamp to value as Python or JSON writes it.
            unit: POWER_W or ENERGY_KWH.
            slot_length: of the market.
            reading: who reads it.
            span: start and end of the simulation, for `Reading.SIMULATION` alone.

        Raises:
            ValueError: the exchange would refuse it, or fail on it.
        """
        self._unit, self._length, self._reading = Unit(unit), slot_length, reading
        values = _values(text)
        if not values:
            raise ValueError("There is no row with a number in the profile")
        if any(not math.isfinite(value) for value in values.values()):
            # GSy takes NaN; no JSON answer of the sandbox could carry it.
            raise ValueError("A value of the profile is no finite number")
        stamped = _stamped(values)
        timeless = min(stamped) < NO_DAY + ONE_DAY
        if reading is Reading.DATABASE and timeless:
            raise ValueError("A profile in the database needs dates")
        if reading is Reading.SIMULATION:
            if span is None:
                raise ValueError("A simulation needs its span")
            start = span[0] if timeless else NO_DAY
            stamped = _filled({start + (at - NO_DAY): value for at, value in stamped.items()}, span, slot_length)
        # Of stamps at the same time of day, the one that stands last in the file.
        self._by_time = {f"{at:%H:%M}": value for at, value in stamped.items()}
        self._by_slot = stamped

    def value_kwh(self, slot: datetime) -> float:
        """The energy that the exchange takes for the slot that starts at `slot`, in kWh; 0 where it finds none."""
        utc = slot.astimezone(UTC)
        if self._reading is Reading.CANARY:
            value = self._by_time.get(f"{utc:%H:%M}", 0.0)
        else:
            value = self._by_slot.get(utc, 0.0)
        if self._unit is Unit.ENERGY_KWH:
            return value
        return value / 1000 * (self._length / timedelta(hours=1))


def _values(text: str) -> dict[str, float]:
    """Stamp to value, in the file's order; a repeated stamp keeps its first place and its last value."""
    return _from_dict(text) if text.lstrip("\ufeff \t\r\n").startswith("{") else _from_csv(text)


def _from_csv(text: str) -> dict[str, float]:
    values: dict[str, float] = {}
    try:
        # Unlike `splitlines`, breaks lines only where a text file has them.
        for row in csv.reader(io.StringIO(text, newline=None)):
            if not row:
                raise ValueError("There must not be an empty line in the profile file")
            cells = row if len(row) == 2 else row[0].split(";")
            if len(cells) < 2:
                raise ValueError(f"A line of the profile has no second column: {row[0][:40]!r}")
            if (value := _number(cells[1])) is not None:
                values[cells[0]] = value
    except csv.Error as error:
        raise ValueError(f"The profile is no CSV ({error})") from error
    return values


def _from_dict(text: str) -> dict[str, float]:
    try:
        found = ast.literal_eval(text.lstrip("\ufeff").strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError("The profile is no dict of stamp to value") from error
    if not isinstance(found, dict):
        raise ValueError("The profile is no dict of stamp to value")  # noqa: TRY004 - one error for all that is refused
    found.pop("filename", None)
    told = {str(stamp): _number(value) for stamp, value in found.items()}
    return {stamp: value for stamp, value in told.items() if value is not None}


def _number(value: object) -> float | None:
    """None where it isn't one: such rows are taken for headers and passed over."""
    if not isinstance(value, str | int | float):
        raise ValueError(f"A value of the profile is neither text nor number: {str(value)[:40]}")  # noqa: TRY004
    try:
        return float(value)
    except ValueError:
        return None


def _stamped(values: dict[str, float]) -> dict[datetime, float]:
    for form in FORMATS:
        matches = [re.fullmatch(form, stamp, re.ASCII) for stamp in values]
        if all(matches):
            try:
                stamps = [_instant(match.groupdict()) for match in matches if match]
            except ValueError:
                break
            return dict(zip(stamps, values.values(), strict=True))
    raise ValueError(
        "Format of time-stamp is not one of ('HH:mm', 'YYYY-MM-DDTHH:mm', 'YYYY-MM-DDTHH:mm:ss'), "
        "the same for the whole profile"
    )


def _instant(parts: dict[str, str]) -> datetime:
    year, month, day = (int(parts.get(key, one)) for key, one in (("year", 1970), ("month", 1), ("day", 1)))
    return datetime(year, month, day, int(parts["hour"]), int(parts["minute"]), int(parts.get("second", 0)), tzinfo=UTC)


def _filled(given: dict[datetime, float], span: tuple[datetime, datetime], length: timedelta) -> dict[datetime, float]:
    """One value for each slot of the simulation."""
    start, end = span
    stamps = list(given)
    slots = [start + i * length for i in range((end - start) // length)]
    if end - start > ONE_DAY >= stamps[-1] - stamps[0]:
        by_time = {f"{at:%H:%M}": value for at, value in given.items()}
        given = {slot: by_time[f"{slot:%H:%M}"] for slot in slots if f"{slot:%H:%M}" in by_time}
    # Weeks are recycled from the one that begins with the first stamp's day, and from no later one.
    first = next(iter(given)).replace(hour=0, minute=0, second=0)
    week = {
        f"{at:%w %H:%M}": value for at, value in given.items() if first <= at < first + 7 * ONE_DAY and not at.second
    }
    filled: dict[datetime, float] = {}
    value = 0.0
    for slot in slots:
        value = given.get(slot, week.get(f"{slot:%w %H:%M}", value))
        filled[slot] = value
    return filled
