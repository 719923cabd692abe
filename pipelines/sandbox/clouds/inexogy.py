"""inexogy (once Discovergy), public/v1: registers of smart meters, read at instants.

To the letter of the vendor's page and of what its public clients send and read. OAuth 1.0 is not emulated: HTTP Basic
serves the same paths. What no public paper tells is ours, and marked so where it stands.
"""

import secrets
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from zlib import crc32

from fastapi import APIRouter, Request, Response
from starlette.datastructures import QueryParams

from pipelines.sandbox.answers import json_answer
from pipelines.sandbox.clouds.fleet import QUARTER, Unit
from pipelines.sandbox.clouds.world import World
from pipelines.slots import slot_floor

PREFIX = "/inexogy/public/v1"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
DAY = timedelta(days=1)

UNITS_PER_WH = 1e7
"""Energy is written in 1e-10 kWh."""

RAW = timedelta(seconds=2)
"""A meter sends every one or two seconds, at no round instant."""

STEPS: dict[str, tuple[timedelta | None, timedelta]] = {
    "raw": (RAW, DAY),
    "three_minutes": (timedelta(minutes=3), 10 * DAY),
    "fifteen_minutes": (QUARTER, 31 * DAY),
    "one_hour": (timedelta(hours=1), 93 * DAY),
    "one_day": (DAY, 3653 * DAY),
    "one_week": (7 * DAY, 7305 * DAY),
    "one_month": (None, 18_263 * DAY),
    "one_year": (None, 36_525 * DAY),
}
"""Resolution -> its step (None: the calendar's) and the longest span of a request; 10, 20, 50 and 100 years in days."""

CHANNELS = {"energy": "import", "energyOut": "export"}
"""Field -> channel: the registers 1.8.0 and 2.8.0."""

LATEST_MS = 7_258_118_400_000
"""2200-01-01; later instants are refused, so that none leaves the calendar. Ours."""


class _Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def router(world: World) -> APIRouter:
    """The vendor's paths."""
    routes = APIRouter()
    desk = _Desk(world)

    @routes.get("/meters")
    async def meters(request: Request) -> Response:
        return desk.answer(request, desk.meters)

    @routes.get("/field_names")
    async def field_names(request: Request) -> Response:
        return desk.answer(request, desk.field_names)

    @routes.get("/last_reading")
    async def last_reading(request: Request) -> Response:
        return desk.answer(request, desk.last_reading)

    @routes.get("/readings")
    async def readings(request: Request) -> Response:
        return desk.answer(request, desk.readings)

    return routes


class _Desk:
    """Serves the requests; the query is read by hand, because refusals are plain text here."""

    def __init__(self, world: World) -> None:
        self._world = world

    def answer(self, request: Request, serve: Callable[[QueryParams], object]) -> Response:
        try:
            self._admit(request.headers.get("authorization", ""))
            return json_answer(serve(request.query_params))
        except _Refused as refused:
            # The vendor sends the reason only to those who say that they read plain text.
            heard = "text/plain" in request.headers.get("accept", "")
            return Response(str(refused) if heard else b"", refused.status, media_type="text/plain" if heard else None)

    def meters(self, _: QueryParams) -> object:
        return [self._meter(unit) for unit in self._world.fleet.of("inexogy")]

    def field_names(self, query: QueryParams) -> object:
        return _fields(self._unit(query))

    def last_reading(self, query: QueryParams) -> object:
        unit = self._unit(query)
        seen = self._world.fleet.last_seen(unit, self._world.now())
        if seen is None or not (stamps := list(_raw_stamps(unit, seen - RAW, seen))):
            return {}
        return self._row(unit, stamps[-1], _asked(query, unit), power=True) or {}

    def readings(self, query: QueryParams) -> object:
        unit, now = self._unit(query), self._world.now()
        resolution = query.get("resolution", "raw")
        if resolution not in STEPS:
            raise _Refused(400, f"Unknown resolution '{resolution}'; use one of {', '.join(STEPS)}.")
        if query.get("disaggregation") == "true" and resolution != "raw":
            raise _Refused(400, "'disaggregation' goes with resolution raw only.")
        start = _instant(query, "from")
        end = _instant(query, "to") if "to" in query else now
        longest = STEPS[resolution][1]
        if end < start:
            raise _Refused(400, "'to' lies before 'from'.")
        if end - start > longest:
            raise _Refused(400, f"Time span too long: {resolution} is limited to {longest // timedelta(seconds=1)} s.")
        if (seen := self._world.fleet.last_seen(unit, now)) is None:
            return []
        asked = _asked(query, unit)
        stamps = _stamps(unit, resolution, max(start, unit.first), min(end, seen))
        rows = (self._row(unit, stamp, asked, power=resolution == "raw") for stamp in stamps)
        return [row for row in rows if row is not None]

    def _admit(self, header: str) -> None:
        """Check HTTP Basic."""
        scheme, _, coded = header.partition(" ")
        try:
            given = b64decode(coded, validate=True) if scheme.lower() == "basic" else b""
        except (Base64Error, ValueError):
            given = b""
        if not secrets.compare_digest(given, f"{self._world.username}:{self._world.secret}".encode()):
            raise _Refused(401, "Unauthorized: e-mail address or password is wrong.")

    def _unit(self, query: QueryParams) -> Unit:
        unit = self._world.fleet.unit("inexogy", query.get("meterId", ""))
        if unit is None:  # which status the vendor answers no paper tells; ours
            raise _Refused(400 if "meterId" not in query else 404, "No meter with this 'meterId'.")
        return unit

    def _row(self, unit: Unit, instant: datetime, asked: list[str], *, power: bool) -> dict[str, object] | None:
        """The registers at the instant; None where none is known, so that the row is missing."""
        fleet, now = self._world.fleet, self._world.now()
        registers_wh = {
            field: fleet.register_wh(unit, channel, instant, now)
            for field, channel in CHANNELS.items()
            if channel in unit.energy_wh
        }
        told = {field: round(wh * UNITS_PER_WH) for field, wh in registers_wh.items() if wh is not None}
        if not told:
            return None
        # Recorded rows of every step but raw hold a power of 0.
        told["power"] = self._power_mw(unit, instant) if power else 0
        values = {field: told[field] for field in asked if field in told}
        return {"time": (instant - EPOCH) // MILLISECOND, "values": values}

    def _power_mw(self, unit: Unit, instant: datetime) -> int:
        """Mean power of the two seconds before the instant, in mW; export counts negative."""
        energy_wh = dict.fromkeys(CHANNELS, 0.0)
        for field, channel in CHANNELS.items():
            if channel in unit.energy_wh:
                told = self._world.fleet.energy_wh(unit, channel, instant - RAW, instant, self._world.now())
                energy_wh[field] = told or 0.0
        return round((energy_wh["energy"] - energy_wh["energyOut"]) / (RAW / timedelta(hours=1)) * 1000)

    def _meter(self, unit: Unit) -> dict[str, object]:
        seen = self._world.fleet.last_seen(unit, self._world.now())
        serial = f"{60_000_000 + crc32(unit.device.encode()) % 10_000_000}"
        return {
            "meterId": unit.device,
            "manufacturerId": "ESY",
            "serialNumber": serial,
            "fullSerialNumber": f"1ESY11{serial}",
            "location": {"street": unit.site, "streetNumber": "1", "zip": "10115", "city": "Berlin", "country": "DE"},
            "administrationNumber": None,
            "type": "EASYMETER",
            "measurementType": "ELECTRICITY",
            "loadProfileType": "SLP",
            "scalingFactor": 1,
            "currentScalingFactor": 1,
            "voltageScalingFactor": 1,
            "internalMeters": 1,
            "firstMeasurementTime": (unit.first - EPOCH) // MILLISECOND,
            "lastMeasurementTime": -1 if seen is None else (seen - EPOCH) // MILLISECOND,
        }


def _fields(unit: Unit) -> list[str]:
    return [field for field, channel in CHANNELS.items() if channel in unit.energy_wh] + ["power"]


def _asked(query: QueryParams, unit: Unit) -> list[str]:
    """The fields asked for that the meter has; all of them where none is named. An unknown one is left out; ours."""
    fields = _fields(unit)
    asked = query.get("fields")
    return fields if not asked else [field for field in asked.split(",") if field in fields]


def _instant(query: QueryParams, name: str) -> datetime:
    text = query.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 15 and int(text) <= LATEST_MS):
        raise _Refused(400, f"'{name}' must be milliseconds since 1970-01-01 UTC.")
    return EPOCH + int(text) * MILLISECOND


def _stamps(unit: Unit, resolution: str, start: datetime, end: datetime) -> Iterator[datetime]:
    """Instants of the resolution in [start, end]; days, months and years are UTC's, weeks begin on Mondays (ours)."""
    step = STEPS[resolution][0]
    if resolution == "raw":
        yield from _raw_stamps(unit, start, end)
    elif step is None:
        months = range(1, 13) if resolution == "one_month" else (1,)
        firsts = (datetime(year, month, 1, tzinfo=UTC) for year in range(start.year, end.year + 1) for month in months)
        yield from (first for first in firsts if start <= first <= end)
    else:
        # Day 4 of the epoch was a Monday; whole weeks have no other effect on the shorter steps.
        shift = 4 * DAY if resolution == "one_week" else timedelta()
        stamp = slot_floor(start - shift, step) + shift
        while stamp <= end:
            if stamp >= start:
                yield stamp
            stamp += step


def _raw_stamps(unit: Unit, start: datetime, end: datetime) -> Iterator[datetime]:
    """Instants at which the meter sent, each meter's its own, in [start, end]."""
    phase = timedelta(milliseconds=crc32(unit.device.encode()) % 2000)
    stamp = slot_floor(start - phase, RAW) + phase
    while stamp <= end:
        if stamp >= start:
            yield stamp
        stamp += RAW
