"""Victron VRM, API v2: energy flows between PV, grid, battery and consumers of a site.

To the letter of the vendor's OpenAPI of April 2025 and of what its public clients send and read; the rest is ours, and
marked so where it stands. By hand:

    header="X-Authorization: Token $SECRET" vrm="$URL/victron_vrm/v2"
    curl -H "$header" "$vrm/users/22/installations"
    curl -H "$header" "$vrm/installations/151007/stats?type=kwh&interval=15mins&start=1477735200&end=1477738800"
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from zlib import crc32

import orjson
from fastapi import APIRouter, Request, Response
from starlette.datastructures import QueryParams

from pipelines.sandbox.clouds.fleet import QUARTER, Unit
from pipelines.sandbox.clouds.world import World
from pipelines.slots import slot_floor

PREFIX = "/victron_vrm/v2"

USER_ID = 22
CODES = ("Pc", "Pb", "Pg", "Gc", "Gb", "Bc", "Bg")
"""From where to where: P is PV, G the grid, B the battery, C the consumers."""

OF_A_BATTERY = frozenset({"Pb", "Gb", "Bc", "Bg"})
CHANNELS = ("production", "consumption", "import", "export", "charge", "discharge")

LONGEST = {
    "15mins": timedelta(days=31),
    "hours": timedelta(days=31),
    "days": timedelta(days=180),
    "weeks": timedelta(weeks=140),
    "months": timedelta(days=731),
    "years": timedelta(days=1827),
}
"""Interval -> longest span of a request; 24 months and 5 years in days."""

MOST, LEAVES = 200, timedelta(seconds=0.33)
"""So many requests are remembered, and one is forgotten each 0.33 s."""

LATEST_S = 7_258_118_400
"""2200-01-01; later instants are refused, so that none leaves the calendar. Ours."""


class _Refused(Exception):
    def __init__(self, status: int, errors: object, code: str, wait_s: int | None = None) -> None:
        super().__init__(code)
        self.status, self.errors, self.code, self.wait_s = status, errors, code, wait_s


def router(world: World) -> APIRouter:
    """The vendor's paths."""
    routes = APIRouter()
    desk = _Desk(world)

    @routes.get("/users/me")
    async def me(request: Request) -> Response:
        return desk.answer(request, desk.me)

    @routes.get("/users/{user}/installations")
    async def installations(request: Request, user: str) -> Response:
        return desk.answer(request, lambda query: desk.installations(user, query))

    @routes.get("/installations/{site}/stats")
    async def stats(request: Request, site: str) -> Response:
        return desk.answer(request, lambda query: desk.stats(site, query))

    return routes


@dataclass
class _Window:
    """The requests that are remembered."""

    level: float = 0.0
    since: datetime | None = None

    def admit(self, now: datetime) -> float:
        """Seconds until there is room; 0 where there is, and the request is remembered."""
        if self.since is not None:
            self.level = max(0.0, self.level - (now - self.since) / LEAVES)
        self.since = now
        if self.level + 1 > MOST:
            return (self.level + 1 - MOST) * LEAVES.total_seconds()
        self.level += 1
        return 0.0


@dataclass
class _Desk:
    """Serves the requests; the query is read by hand, because refusals have the vendor's own form."""

    world: World
    window: _Window = field(default_factory=_Window)
    flows_kwh: dict[int, list[tuple[float, ...]]] = field(default_factory=dict)
    """By identity of the channels' energies, which the copies in a grown fleet share: the flows of each quarter."""

    def answer(self, request: Request, serve: Callable[[QueryParams], dict[str, object]]) -> Response:
        headers = {}
        try:
            self._admit(request.headers.get("x-authorization", ""))
            content, status = {"success": True} | serve(request.query_params), 200
        except _Refused as refused:
            content = {"success": False, "errors": refused.errors, "error_code": refused.code}
            status = refused.status
            if refused.wait_s is not None:
                headers["Retry-After"] = str(refused.wait_s)
        return Response(orjson.dumps(content), status, headers, media_type="application/json")

    def me(self, _: QueryParams) -> dict[str, object]:
        return {"user": {"id": USER_ID, "name": "Sandbox", "email": self.world.username, "country": "DE"}}

    def installations(self, user: str, query: QueryParams) -> dict[str, object]:
        if user != str(USER_ID):
            raise _Refused(403, "Unauthorized", "unauthorized")
        records = [self._installation(unit) for unit in self.world.fleet.of("victron_vrm")]
        if records:
            # A gateway that was replaced years ago: its record stays, beside the one that holds now.
            first = self.world.fleet.of("victron_vrm")[0]
            old = {"identifier": "c0619ab00001", "last_timestamp": _seconds(first.first - timedelta(days=1826))}
            records.insert(0, records[0] | old)
        if query.get("extended") == "1":
            records = [record | {"extended": []} for record in records]
        return {"records": records}

    def stats(self, site: str, query: QueryParams) -> dict[str, object]:
        unit = self.world.fleet.unit("victron_vrm", site)
        if unit is None:  # which status and code the vendor answers no paper tells; ours
            raise _Refused(403, "User does not have access to this installation", "unauthorized")
        interval = query.get("interval", "hours")
        if interval not in LONGEST:
            raise _Refused(400, {"interval": [f"'{interval}' is unknown"]}, "invalid_parameter")
        codes = _asked(query)
        start, end = _instant(query, "start"), _instant(query, "end")
        if end < start:
            raise _Refused(400, {"end": ["lies before start"]}, "invalid_parameter")
        if end - start > LONGEST[interval]:
            # The status of some refusals is 200; which ones is ours.
            raise _Refused(200, f"The maximum range for {interval} is {LONGEST[interval].days} days", "range_too_long")
        return self._told(unit, codes, self._buckets(unit, interval, start, end))

    def _told(self, unit: Unit, codes: Sequence[str], buckets: dict[datetime, tuple[float, ...]]) -> dict[str, object]:
        if not buckets:
            return {"records": [], "totals": []}
        battery = any(unit.energy_wh["charge"]) or any(unit.energy_wh["discharge"])
        has = [code for code in codes if code in CODES and (battery or code not in OF_A_BATTERY)]
        stamps_ms = [_seconds(stamp) * 1000 for stamp in buckets]
        columns = dict(zip(CODES, zip(*buckets.values(), strict=True), strict=True))
        nothing: dict[str, object] = dict.fromkeys(codes, False)
        return {
            "records": nothing | {code: list(zip(stamps_ms, columns[code], strict=True)) for code in has},
            "totals": nothing | {code: sum(columns[code]) for code in has},
        }

    def _buckets(self, unit: Unit, interval: str, start: datetime, end: datetime) -> dict[datetime, tuple[float, ...]]:
        """Start of a bucket -> its flows in kWh; a bucket that still runs holds what it has so far."""
        quarters = self._quarters(unit, start, end)
        if interval == "15mins":
            return dict(quarters)
        found: dict[datetime, tuple[float, ...]] = {}
        for stamp, flows_kwh in quarters:
            bucket = _bucket(stamp, interval)
            before = found.get(bucket)
            found[bucket] = (
                flows_kwh if before is None else tuple(a + b for a, b in zip(before, flows_kwh, strict=True))
            )
        return found

    def _quarters(self, unit: Unit, start: datetime, end: datetime) -> Iterator[tuple[datetime, tuple[float, ...]]]:
        """Known quarter hours that start in [start, end)."""
        now = self.world.now()
        defective = any(defect.device == unit.device for defect in self.world.fleet.defects)
        known = self._undisturbed(unit)
        first = max(0, -((unit.first - start) // QUARTER))
        for number in range(first, len(known)):
            stamp = unit.first + number * QUARTER
            if stamp >= min(end, now):
                return
            if not defective and stamp + QUARTER <= now:
                yield stamp, known[number]
            elif (flows_kwh := self._asked_of_fleet(unit, stamp, now)) is not None:
                yield stamp, flows_kwh

    def _undisturbed(self, unit: Unit) -> list[tuple[float, ...]]:
        key = id(unit.energy_wh)
        if key not in self.flows_kwh:
            energies_wh = zip(*(unit.energy_wh[channel] for channel in CHANNELS), strict=True)
            self.flows_kwh[key] = [_flows_kwh(quarter_wh) for quarter_wh in energies_wh]
        return self.flows_kwh[key]

    def _asked_of_fleet(self, unit: Unit, stamp: datetime, now: datetime) -> tuple[float, ...] | None:
        """None where a channel isn't known: the gateway sends all of a site or nothing."""
        end = min(stamp + QUARTER, now)
        energies_wh = [self.world.fleet.energy_wh(unit, channel, stamp, end, now) for channel in CHANNELS]
        known_wh = [energy_wh for energy_wh in energies_wh if energy_wh is not None]
        return _flows_kwh(known_wh) if len(known_wh) == len(CHANNELS) else None

    def _admit(self, header: str) -> None:
        """Check the token, then the rate; in which order the vendor does is ours."""
        if not secrets.compare_digest(header.encode(), f"Token {self.world.secret}".encode()):
            raise _Refused(401, "Login required", "invalid_credentials")
        if wait_s := self.window.admit(self.world.now()):
            raise _Refused(429, "Too many requests", "rate_limit_exceeded", ceil(wait_s))

    def _installation(self, unit: Unit) -> dict[str, object]:
        seen = self.world.fleet.last_seen(unit, self.world.now())
        return {
            "idSite": int(unit.device),
            "accessLevel": 1,
            "owner": True,
            "is_admin": True,
            "name": unit.name,
            "identifier": f"c0619ab{crc32(unit.device.encode()) % 16**5:05x}",
            "idUser": USER_ID,
            "pvMax": round(1000 * unit.rated_power_kw),
            "timezone": "Europe/Berlin",
            "phonenumber": None,
            "notes": None,
            "geofence": None,
            "last_timestamp": None if seen is None else _seconds(seen),
        }


def _flows_kwh(energies_wh: Sequence[float]) -> tuple[float, ...]:
    """Flows in the order of `CODES` whose sums are the energies, which come in the order of `CHANNELS`.

    Of many such splits it is the one in which the grid gets PV first and the battery PV next. What a defect of a single
    channel leaves unbalanced comes from the grid or goes there, so that production and consumption stay as they are.
    """
    production, consumption, imported, exported, charge, discharge = energies_wh
    missing = consumption + exported + charge - production - imported - discharge
    exported, imported = exported + max(-missing, 0.0), imported + max(missing, 0.0)
    to_grid = min(max(production, 0.0), exported)
    to_battery = min(max(production - to_grid, 0.0), charge)
    bought, sold = charge - to_battery, exported - to_grid
    flows_wh = (
        production - to_grid - to_battery,
        to_battery,
        to_grid,
        imported - bought,
        bought,
        discharge - sold,
        sold,
    )
    return tuple(energy_wh / 1000 for energy_wh in flows_wh)


def _asked(query: QueryParams) -> Sequence[str]:
    match query.get("type", "live_feed"):
        case "kwh":
            return CODES
        case "custom" if codes := query.getlist("attributeCodes[]"):
            return codes
    raise _Refused(400, {"type": ["is not served here; use kwh, or custom with attributeCodes[]"]}, "invalid_parameter")


def _instant(query: QueryParams, name: str) -> datetime:
    """Whole seconds. The vendor has defaults; here they must be given, which is ours."""
    text = query.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= LATEST_S):
        raise _Refused(400, {name: ["must be seconds since 1970-01-01 UTC"]}, "invalid_parameter")
    return datetime.fromtimestamp(int(text), UTC)


def _bucket(stamp: datetime, interval: str) -> datetime:
    """Start of the bucket; days, weeks, months and years are UTC's, weeks begin on Mondays. Ours."""
    if interval == "hours":
        return slot_floor(stamp, timedelta(hours=1))
    day = slot_floor(stamp, timedelta(days=1))
    match interval:
        case "weeks":
            return day - timedelta(days=day.weekday())
        case "months":
            return day.replace(day=1)
        case "years":
            return day.replace(month=1, day=1)
    return day


def _seconds(instant: datetime) -> int:
    return int(instant.timestamp())
