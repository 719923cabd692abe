"""Whether the sun can be up at the community's place. A PV plant in the dark makes nothing, whatever it tells."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import resources

from astral import Observer
from astral.sun import elevation

DARK_DEG = -6.0
"""With the sun this far below the horizon civil twilight is over: less than 4 lux, in which no inverter wakes up. That
this is the limit is ours."""

SUNSET_DEG = -0.833
"""The sun's centre at sunrise and sunset, refraction and its radius let off: the usual definition (NOAA)."""

STEP = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the community lies."""

    latitude: float
    """Degrees north."""

    longitude: float
    """Degrees east."""


def is_dark(place: Place | None, instant: datetime, *, below_deg: float = DARK_DEG) -> bool:
    """The sun is so many degrees above the horizon, or lower. False where the place isn't known."""
    return not sun_is_up(place, instant, height_deg=below_deg)


def sun_is_up(place: Place | None, instant: datetime, *, height_deg: float) -> bool:
    """The sun is at least so many degrees above the horizon. True where the place isn't known."""
    if place is None:
        return True
    observer = Observer(latitude=place.latitude, longitude=place.longitude)
    now_deg: float = elevation(observer, instant, with_refraction=False)
    return now_deg >= height_deg


def dark_quarters(
    place: Place | None, start: datetime, end: datetime, *, below_deg: float = DARK_DEG
) -> list[datetime]:
    """Starts of the quarter hours in [start, end), counted from `start`, throughout which it is dark."""
    quarters = []
    dark = is_dark(place, start, below_deg=below_deg)
    while start + STEP <= end:
        still = is_dark(place, start + STEP, below_deg=below_deg)
        if dark and still:
            quarters.append(start)
        start, dark = start + STEP, still
    return quarters


def light_hours(place: Place | None, start: datetime, end: datetime) -> float:
    """Hours of [start, end) in which it isn't dark, give or take half an hour a day."""
    hours = 0.0
    while start < end:
        part = min(timedelta(hours=1), end - start)
        if not is_dark(place, start + part / 2):
            hours += part / timedelta(hours=1)
        start += part
    return hours


def place_of(latitude: float | None, longitude: float | None, zone: str) -> Place | None:
    """Where somebody lies, as far as they say; else where the town lies that gives their time zone its name."""
    if latitude is not None and longitude is not None:
        return Place(latitude=latitude, longitude=longitude)
    return place_of_zone(zone)


def place_of_zone(zone: str) -> Place | None:
    """Where the town lies that gives a time zone its name; None for zones without one, like UTC.

    Source: zone.tab of the IANA time zone database.
    """
    return _places().get(zone)


@cache
def _places() -> dict[str, Place]:
    table = (resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8")
    places = {}
    for line in table.splitlines():
        if not line.startswith("#"):
            _, coordinates, name, *_ = line.split("\t")
            latitude, longitude = re.findall(r"[+-]\d+", coordinates)
            places[name] = Place(latitude=_degrees(latitude, 2), longitude=_degrees(longitude, 3))
    return places


def _degrees(text: str, whole: int) -> float:
    """ISO 6709: sign, degrees, minutes and perhaps seconds, run together."""
    digits = text[1:]
    minutes, seconds = int(digits[whole : whole + 2]), int(digits[whole + 2 :] or 0)
    size = int(digits[:whole]) + minutes / 60 + seconds / 3600
    return -size if text[0] == "-" else size
