"""SolarEdge Monitoring API v2: energy of quarter hours by site, meter and battery.

To the letter of the vendor's pages as public clients tell them, and of a capture of 2026-08-24. An API key is the
world's secret, an OAuth client its user name and secret. What no public paper tells is ours, and marked so where it
stands.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from astral import Observer
from astral.sun import elevation
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import QueryParams

from pipelines.sandbox.clouds.fleet import QUARTER, Unit
from pipelines.sandbox.clouds.solaredge_access import Access, Refused, json_reply
from pipelines.sandbox.clouds.world import World
from pipelines.slots import slot_floor

VENDOR = "solaredge"
PREFIX = "/solaredge/v2"
ZONE = ZoneInfo("Europe/Berlin")
"""Of every site."""

HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)
STEPS = {"QUARTER_HOUR": (QUARTER, 12 * HOUR), "HOUR": (HOUR, 24 * HOUR)}
"""Resolution -> its step and the longest span of a request. DAY to YEAR aren't served."""

ENERGY_UNITS = {"WH": 1.0, "KWH": 1e-3, "MWH": 1e-6}
POWER_UNITS = {"W": 1.0, "KW": 1e-3, "MW": 1e-6}

TOLD_AFTER = timedelta(minutes=10)
"""A bucket's value is null until so long after its end. Ours: the capture tells only that 17:00 was null at 17:05."""

TOWN = Observer(latitude=52.5, longitude=13.37)
"""Berlin, which gives the demo's time zone its name."""

AWAKE = 3
"""An inverter tells 0.0 so many quarter hours before it makes energy, and null before: the captured morning."""

POWER_SHARE = 25_909 / 26_290
"""The power's sum over a day is smaller than the energy's; of the capture."""

CHANNELS = {
    "meters": ("import", "export", "production", "consumption"),
    "storage": ("charge", "discharge"),
}
KINDS = {"meters": "meter", "storage": "battery"}


class Plan(BaseModel):
    """What the account may ask for; free plan by default."""

    model_config = ConfigDict(extra="forbid")

    per_minute: int = Field(default=10, ge=0)
    per_month: int = Field(default=2000, ge=0)


def router(world: World) -> APIRouter:
    """The vendor's paths, and its own switches under /sandbox/."""
    routes = APIRouter()
    desk = _Desk(world)
    access = Access(world)
    _add_consent(routes, access)
    _add_switches(routes, desk, access)

    def serve(request: Request, site: str, answer: Callable[[str, QueryParams], object]) -> Response:
        headers: dict[str, str] = {}
        try:
            granted = access.admit(request, site)
            desk.count(headers)
            access.pass_to(granted, site)
            return json_reply(answer(site, request.query_params), 200, headers)
        except Refused as refused:
            return _problem(refused.status, str(refused), headers | dict(refused.headers or {}))

    @routes.get("/sites")
    async def sites(request: Request) -> Response:
        return serve(request, "", desk.sites)

    @routes.get("/sites/{site}/devices")
    async def devices(request: Request, site: str) -> Response:
        return serve(request, site, desk.devices)

    @routes.get("/sites/{site}/overview")
    async def overview(request: Request, site: str) -> Response:
        return serve(request, site, desk.overview)

    @routes.get("/sites/{site}/energy")
    async def energy(request: Request, site: str) -> Response:
        return serve(request, site, desk.energy)

    @routes.get("/sites/{site}/power")
    async def power(request: Request, site: str) -> Response:
        return serve(request, site, desk.power)

    @routes.get("/sites/{site}/meters/telemetry")
    async def meters(request: Request, site: str) -> Response:
        return serve(request, site, lambda site, query: desk.telemetry("meters", site, query))

    @routes.get("/sites/{site}/storage/telemetry")
    async def storage(request: Request, site: str) -> Response:
        return serve(request, site, lambda site, query: desk.telemetry("storage", site, query))

    return routes


def _add_consent(routes: APIRouter, access: Access) -> None:
    @routes.get("/authorize")
    async def authorize(request: Request) -> Response:
        return access.consent(request.query_params)

    @routes.post("/oauth2/token")
    async def token(request: Request) -> Response:
        return access.token(await request.body())

    @routes.post("/oauth2/revoke-token")
    async def revoke(request: Request) -> Response:
        return access.revoke(await request.body())


def _add_switches(routes: APIRouter, desk: "_Desk", access: Access) -> None:
    @routes.put("/sandbox/plan")
    async def plan(plan: Plan) -> Plan:
        desk.plan = plan
        return plan

    @routes.put("/sandbox/retired")
    async def retired(retired: bool) -> bool:
        access.retired = retired
        return retired


class _Desk:
    """Serves the data."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.plan = Plan()
        self._minute: deque[datetime] = deque()
        self._month: dict[tuple[int, int], int] = {}
        self._units: dict[str, list[Unit]] = {}
        for unit in world.fleet.of(VENDOR):
            self._units.setdefault(unit.site, []).append(unit)
        self._by_step: dict[tuple[str, timedelta], list[bool]] = {}

    def count(self, headers: dict[str, str]) -> None:
        """Count a request against the minute and the month; one that is refused costs no credit (ours)."""
        now = self._world.now()
        while self._minute and self._minute[0] <= now - MINUTE:
            self._minute.popleft()
        if len(self._minute) >= self.plan.per_minute:
            headers["x-ratelimit-remaining-minute"] = "0"
            wait_s = (self._minute[0] + MINUTE - now).total_seconds() if self._minute else 60
            raise Refused(429, "Too many requests per minute.", {"Retry-After": f"{int(wait_s) + 1}"})
        month = (now.year, now.month)
        left = self.plan.per_minute - len(self._minute) - 1
        # At least 1: that it is above 0 tells the spent month from the spent minute.
        headers["x-ratelimit-remaining-minute"] = str(left)
        if self._month.get(month, 0) >= self.plan.per_month:
            headers["x-ratelimit-remaining-minute"] = str(max(left, 1))
            raise Refused(429, "Too many requests.")
        self._minute.append(now)
        self._month[month] = self._month.get(month, 0) + 1

    def sites(self, _: str, query: QueryParams) -> object:
        page, size = _number(query, "page", 1, 10**6), _number(query, "sites-in-page", 100, 1000)
        shown = list(self._units)[(page - 1) * size : page * size]
        found = [
            {
                "siteId": int(site),
                "name": self._units[site][0].name,
                "peakPower": self._units[site][0].rated_power_kw,
                "installationDate": self._units[site][0].first.date().isoformat(),
                "location": {"country": "Germany"},
                "activationStatus": "ACTIVE",
                "note": "",
            }
            for site in shown
        ]
        return {"sites": {"count": len(self._units), "site": found}}

    def devices(self, site: str, query: QueryParams) -> object:
        """Inverters alone, unless other types are asked for."""
        types = query.getlist("types") or ["INVERTER"]
        units = self._site(site)
        inverter = f"7F{int(site):07X}"
        found: list[dict[str, object]] = [{"type": "INVERTER", "serialNumber": inverter, "connectedTo": None}]
        for unit in units:
            if unit.kind in KINDS.values():
                own: dict[str, object] = {
                    "type": unit.kind.upper(),
                    "serialNumber": unit.device,
                    "connectedTo": inverter,
                }
                if unit.kind == "meter":
                    own["meterType"] = "PRODUCTION" if "production" in unit.energy_wh else "FEED_IN"
                found.append(own)
        common = {"manufacturer": "SolarEdge", "active": True}
        return [one | common | {"name": one["type"]} for one in found if one["type"] in types]

    def overview(self, site: str, _: QueryParams) -> object:
        """Since midnight, though the name promises more."""
        now = self._world.now()
        midnight = now.astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
        values = [value for _, value in self._site_wh(site, midnight.astimezone(UTC), now, QUARTER)]
        absent = {"toSelfConsumption": None, "toStorage": None, "toGrid": None}
        consumption = {"total": None, "unit": "WH", "fromPv": None, "fromStorage": None, "fromGrid": None}
        total = sum(value for value in values if value is not None)
        return {
            "siteId": int(site),
            "production": {"total": total, "unit": "WH"} | absent,
            "consumption": consumption,
        }

    def energy(self, site: str, query: QueryParams) -> object:
        unit = _unit(query, "WH", ENERGY_UNITS)
        resolution, step, start, end = self._span(query)
        points = _points(self._site_wh(site, start, end, step), ENERGY_UNITS[unit])
        return self._period(start, end) | {"unit": unit, "resolution": resolution, "values": points}

    def power(self, site: str, query: QueryParams) -> object:
        """Mean power, a little less than the energy."""
        unit = _unit(query, "W", POWER_UNITS)
        resolution, step, start, end = self._span(query)
        points = _points(self._site_wh(site, start, end, step), POWER_UNITS[unit] * POWER_SHARE / (step / HOUR))
        return self._period(start, end) | {"unit": unit, "resolution": resolution, "values": points}

    def telemetry(self, kind: str, site: str, query: QueryParams) -> object:
        """Energies of the site's meters or batteries, and the power of the first."""
        resolution, step, start, end = self._span(query)
        found: dict[str, dict[str, object]] = {}
        for unit in self._site(site):
            if unit.kind != KINDS[kind]:
                continue
            own = found.setdefault(unit.device, {})
            for channel in CHANNELS[kind]:
                if channel in unit.energy_wh:
                    told = list(self._unit_wh(unit, channel, start, end, step))
                    own[f"{channel}Energy"] = {"unit": "WH", "values": _points(told, 1.0)}
                    share = POWER_SHARE / (step / HOUR)
                    own[f"{channel}Power"] = {"unit": "W", "values": _points(told, share)}
        return self._period(start, end) | {"resolution": resolution, kind: found}

    def _site(self, site: str) -> list[Unit]:
        if site not in self._units:
            raise Refused(404, "The requested site does not exist.")
        return self._units[site]

    def _site_wh(
        self, site: str, start: datetime, end: datetime, step: timedelta
    ) -> Iterator[tuple[datetime, float | None]]:
        """What the site's inverters made; null while they sleep."""
        makers = [unit for unit in self._site(site) if unit.kind not in KINDS.values()]
        for unit in makers[:1]:
            asleep = self._asleep(unit)
            for bucket, energy_wh in self._unit_wh(unit, "production", start, end, step):
                number = (bucket - unit.first) // QUARTER
                quiet = 0 <= number < len(asleep) and all(asleep[number : number + step // QUARTER])
                yield bucket, None if quiet and not energy_wh else energy_wh

    def _asleep(self, unit: Unit) -> list[bool]:
        """Of each quarter hour, whether nothing is made in it nor a little before or after, and the sun is down."""
        known = self._by_step.get((unit.device, QUARTER))
        if known is None:
            made = unit.energy_wh["production"]
            known = [
                not any(made[max(n - AWAKE, 0) : n + AWAKE + 1]) and not _sun_is_up(unit.first + n * QUARTER)
                for n in range(len(made))
            ]
            self._by_step[unit.device, QUARTER] = known
        return known

    def _unit_wh(
        self, unit: Unit, channel: str, start: datetime, end: datetime, step: timedelta
    ) -> Iterator[tuple[datetime, float | None]]:
        """Bucket -> energy; every bucket that has begun, the newest without a value."""
        fleet, now = self._world.fleet, self._world.now()
        bucket = slot_floor(start, step)
        while bucket <= end and bucket <= now:
            ready = bucket + step + TOLD_AFTER <= now
            yield bucket, fleet.energy_wh(unit, channel, bucket, bucket + step, now) if ready else None
            bucket += step

    def _span(self, query: QueryParams) -> tuple[str, timedelta, datetime, datetime]:
        resolution = query.get("resolution", "QUARTER_HOUR")
        if resolution not in STEPS:
            raise Refused(400, f"resolution must be one of {', '.join(STEPS)}; the sandbox serves no other.")
        step, longest = STEPS[resolution]
        now = self._world.now()
        midnight = now.astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
        start = _instant(query, "from", midnight)
        end = _instant(query, "to", now)
        if end < start:
            raise Refused(400, "from must be before to.")
        if end - start > longest:
            raise Refused(400, f"The time range for {resolution} must not exceed {longest // HOUR} hours.")
        return resolution, step, start, end

    def _period(self, start: datetime, end: datetime) -> dict[str, object]:
        # The capture's end has nine digits of a second; the sandbox's clock knows six.
        told = end.astimezone(ZONE)
        return {"period": {"from": _local(start), "to": f"{told:%Y-%m-%dT%H:%M:%S.%f}789{_offset(told)}"}}


def _points(told: Any, factor: float) -> list[dict[str, object]]:  # noqa: ANN401 - pairs, from a list or iterator
    return [
        {"timestamp": _local(bucket), "value": None if energy_wh is None else round(energy_wh * factor, 6)}
        for bucket, energy_wh in told
    ]


def _local(instant: datetime) -> str:
    return instant.astimezone(ZONE).isoformat(timespec="seconds")


def _offset(local: datetime) -> str:
    return local.isoformat()[-6:]


_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?([+-]\d\d:\d\d)?|\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z")
"""With Z, no fraction of a second is taken."""


def _instant(query: QueryParams, name: str, default: datetime) -> datetime:
    """Without an offset, the site's local time."""
    text = query.get(name)
    if text is None:
        return default.astimezone(UTC)
    refused = Refused(400, f"{name} must be an ISO 8601 date and time.")
    if not _ISO.fullmatch(text):
        raise refused
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise refused from None
    if not 2000 <= found.year <= 2200:
        raise refused
    return (found if found.tzinfo else found.replace(tzinfo=ZONE)).astimezone(UTC)


@cache
def _sun_is_up(quarter: datetime) -> bool:
    """At the beginning or the end of a quarter hour, in the demo's town."""
    return any(elevation(TOWN, instant, with_refraction=False) > 0 for instant in (quarter, quarter + QUARTER))


def _unit(query: QueryParams, default: str, known: Mapping[str, float]) -> str:
    unit = query.get("unit", default)
    if unit not in known:
        raise Refused(400, f"unit must be one of {', '.join(known)}.")
    return unit


def _number(query: QueryParams, name: str, default: int, most: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 8 and 1 <= int(text) <= most):
        raise Refused(400, f"{name} must be a number from 1 to {most}.")
    return int(text)


def _problem(status: int, detail: str, headers: Mapping[str, str]) -> Response:
    """RFC 9457."""
    titles = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 410: "Gone"}
    told = {"type": "about:blank", "title": titles.get(status, "Too Many Requests"), "status": status, "detail": detail}
    return Response(orjson.dumps(told), status, headers, media_type="application/problem+json")
