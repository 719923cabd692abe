"""Huawei FusionSolar, northbound interface: registers as they are now, and every five minutes of the past.

To the letter of the vendor's reference and of what its public clients send and read: every request is a POST, errors
come with HTTP 200, and limits are made from the number of devices. What no public paper tells is ours, and marked so
where it stands. By hand:

    curl -i $URL/fusionsolar/thirdData/login -d '{"userName": "me", "systemCode": "..."}'
    curl $URL/fusionsolar/thirdData/stations -H "XSRF-TOKEN: ..." -d '{"pageNo": 1}'
"""

import secrets
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from fastapi import APIRouter, Request, Response

from pipelines.sandbox.clouds.fleet import Unit
from pipelines.sandbox.clouds.world import World
from pipelines.slots import slot_floor

PREFIX = "/fusionsolar/thirdData"
VENDOR = "fusionsolar"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONE = ZoneInfo("Europe/Berlin")
"""Of the plants: their `day_cap` begins anew at midnight there."""

MINUTE, STEP, DAY = timedelta(minutes=1), timedelta(minutes=5), timedelta(days=1)
TOKEN_LIFE = timedelta(minutes=30)
LOCKED_FOR, WRONG_MOST = timedelta(minutes=30), 5
LOGINS, LOGIN_SPAN = 5, timedelta(minutes=10)
LONGEST = timedelta(days=3)
REAL_MOST, HISTORY_MOST, PLANTS_MOST = 100, 10, 100
PAGE = 100
"""Plants on a page of /stations."""

DAY_CAP_LATE = timedelta(minutes=15)
"""So long after midnight `day_cap` still holds yesterday's energy."""

GATEWAY_MOST = 300
"""Requests of an account in a minute before the gateway itself refuses. Ours."""

LATEST_MS = 7_258_118_400_000
"""2200-01-01; later instants are refused, so that none leaves the calendar. Ours."""

TYPES = {"pv": 1, "meter": 17, "battery": 39}
OTHER = 62
"""devTypeId of what has no register: a dongle."""

ITEMS: Mapping[int, Mapping[str, str]] = {
    1: {"total_cap": "production"},
    17: {"active_cap": "import", "reverse_active_cap": "export"},
    39: {"charge_cap": "charge", "discharge_cap": "discharge"},
    OTHER: {},
}
"""devTypeId -> lifetime register in kWh -> channel."""

Body = Mapping[str, Any]


class _Refused(Exception):
    """An error inside HTTP 200."""

    def __init__(self, code: int, message: str | None, data: object = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


TOO_OFTEN = "ACCESS_FREQUENCY_IS_TOO_HIGH"


def router(world: World) -> APIRouter:
    """The vendor's paths."""
    routes = APIRouter()
    desk = _Desk(world)

    @routes.post("/login")
    async def login(request: Request) -> Response:
        return await desk.answer(request, desk.login, admitted=False)

    def serve(path: str, handler: Callable[[Body], object]) -> None:
        async def endpoint(request: Request) -> Response:
            return await desk.answer(request, handler)

        routes.add_api_route(path, endpoint, methods=["POST"], name=path.strip("/"))

    serve("/stations", desk.stations)
    serve("/getDevList", desk.devices)
    serve("/getDevRealKpi", desk.present)
    serve("/getDevHistoryKpi", desk.history)
    return routes


class _Desk:
    """Serves the requests of the one account."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tokens: dict[str, datetime] = {}
        self._asked: dict[str, deque[datetime]] = {}
        self._wrong: deque[datetime] = deque(maxlen=WRONG_MOST)

    async def answer(self, request: Request, serve: Callable[[Body], object], *, admitted: bool = True) -> Response:
        now = self._world.now()
        if not self._room("gateway", GATEWAY_MOST, MINUTE):
            refusal = {"errorCode": "49401021002", "errorMessage": "The request is refused by quotaControl."}
            return Response(orjson.dumps(refusal), 403, media_type="application/json")
        headers: dict[str, str] = {}
        content: dict[str, object] = {"success": True, "failCode": 0}
        try:
            if admitted:
                self._admit(request.headers.get("xsrf-token", ""))
            data = serve(await _body(request))
            if not admitted:
                headers["XSRF-TOKEN"], data = str(data), None
        except _Refused as refused:
            content = {"success": False, "failCode": refused.code}
            message, data = refused.message, refused.data
        else:
            message = None
        content |= {"params": {"currentTime": _ms(now)}, "message": message, "data": data}
        return Response(orjson.dumps(content), 200, headers, media_type="application/json")

    def _admit(self, token: str) -> None:
        now = self._world.now()
        if self._tokens.get(token, now) <= now:
            raise _Refused(305, "USER_MUST_RELOGIN")

    def login(self, body: Body) -> str:
        now = self._world.now()
        if len(self._wrong) == WRONG_MOST and now - self._wrong[0] < LOCKED_FOR:
            if now - self._wrong[-1] < LOCKED_FOR:
                # Which code and words the vendor uses no paper tells; ours.
                raise _Refused(20400, "user.login.user_locked")
            self._wrong.clear()
        self._limit("login", LOGINS, LOGIN_SPAN)
        given = (body.get("userName"), body.get("systemCode"))
        if not all(
            isinstance(text, str) and secrets.compare_digest(text.encode(), right.encode())
            for text, right in zip(given, (self._world.username, self._world.secret), strict=True)
        ):
            self._wrong.append(now)
            raise _Refused(20400, "user.login.user_or_value_invalid")
        self._wrong.clear()
        token = f"x-{secrets.token_hex(32)}"
        self._tokens = {known: until for known, until in self._tokens.items() if until > now}
        self._tokens[token] = now + TOKEN_LIFE
        return token

    def stations(self, body: Body) -> object:
        page = body.get("pageNo")
        if type(page) is not int or page < 1:
            raise _Refused(20009, "pageNo must be a number from 1 on")
        plants = list(self._plants())
        return {
            "list": [
                {
                    "plantCode": f"NE={plant}",
                    "plantName": plant,
                    "plantAddress": None,
                    "capacity": sum(unit.rated_power_kw for unit in units if unit.kind == "pv"),
                    "gridConnectionDate": f"{units[0].first.astimezone(ZONE):%Y-%m-%dT%H:%M:%S%z}",
                }
                for plant, units in list(self._plants().items())[(page - 1) * PAGE : page * PAGE]
            ],
            "pageCount": max(ceil(len(plants) / PAGE), 1),
            "pageNo": page,
            "pageSize": PAGE,
            "total": len(plants),
        }

    def devices(self, body: Body) -> object:
        codes = _listed(body, "stationCodes", PLANTS_MOST)
        self._limit("devices", 24, DAY)
        plants = self._plants()
        return [
            {
                "id": int(unit.device),
                "devDn": f"NE={unit.device[-8:]}",
                "devName": unit.name,
                "stationCode": code,
                "esnCode": unit.device[-10:],
                "devTypeId": _type(unit),
                "softwareVersion": "V100R001C00SPC143",
                "invType": "SUN2000-8KTL-M1" if unit.kind == "pv" else None,
                "longitude": None,
                "latitude": None,
            }
            for code in codes
            for unit in plants.get(code.removeprefix("NE="), ())
        ]

    def present(self, body: Body) -> object:
        units = self._units(body, REAL_MOST)
        kinds = [_type(unit) for unit in self._world.fleet.of(VENDOR)]
        self._limit("present", sum(ceil(kinds.count(kind) / REAL_MOST) for kind in set(kinds)), STEP)
        now = self._world.now()
        found = []
        for unit in units:
            seen = self._world.fleet.last_seen(unit, now)
            # Without connection the values stay as they were; nothing in the answer tells since when.
            items = self._items(unit, seen or now) | self._powers(unit, seen or now)
            items["run_state"] = int(seen is not None and now - seen <= STEP)
            found.append({"devId": int(unit.device), "sn": unit.device[-10:], "dataItemMap": items})
        return found

    def history(self, body: Body) -> object:
        units = self._units(body, HISTORY_MOST)
        start, end = _instant(body, "startTime"), _instant(body, "endTime")
        if end < start:
            raise _Refused(20022, "endTime lies before startTime")
        if end - start > LONGEST:
            raise _Refused(20024, "at most three days are answered")
        self._limit("history in a minute", 1, MINUTE)
        self._limit("history", ceil(len(self._world.fleet.of(VENDOR)) / HISTORY_MOST) + 24, DAY)
        found = []
        for unit in units:
            seen = self._world.fleet.last_seen(unit, self._world.now())
            stamp = slot_floor(max(start, unit.first) + STEP - timedelta(microseconds=1), STEP)
            while seen is not None and stamp <= min(end, seen):
                items = self._items(unit, stamp)
                if not unit.energy_wh or any(items[name] is not None for name in ITEMS[_type(unit)]):
                    row = {"devId": int(unit.device), "sn": unit.device[-10:], "collectTime": _ms(stamp)}
                    found.append(row | {"dataItemMap": items})
                stamp += STEP
        return found

    def _items(self, unit: Unit, instant: datetime) -> dict[str, object]:
        """Lifetime registers in kWh, to the Wh (how fine they are no paper says), and what an inverter made today."""
        fleet, now = self._world.fleet, self._world.now()
        items: dict[str, object] = {}
        for item, channel in ITEMS[_type(unit)].items():
            wh = fleet.register_wh(unit, channel, instant, now) if channel in unit.energy_wh else None
            items[item] = None if wh is None else round(wh / 1000, 3)
        if unit.kind == "pv":
            midnight = (instant - DAY_CAP_LATE).astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
            day_wh = fleet.energy_wh(unit, "production", midnight.astimezone(UTC), instant, now)
            items["day_cap"] = None if day_wh is None else round(day_wh / 1000, 2)
            items["mppt_total_cap"] = items["total_cap"]
        return items

    def _powers(self, unit: Unit, instant: datetime) -> dict[str, object]:
        """Means of the minute before: kW, except for a battery, whose power is in W."""

        def power_w(channel: str) -> float:
            if channel not in unit.energy_wh:
                return 0.0
            return 60 * (
                self._world.fleet.energy_wh(unit, channel, instant - MINUTE, instant, self._world.now()) or 0.0
            )

        match _type(unit):
            case 1:
                return {"active_power": round(power_w("production") / 1000, 3)}
            case 17:
                return {"active_power": round((power_w("export") - power_w("import")) / 1000, 3)}
            case 39:
                return {"ch_discharge_power": round(power_w("charge") - power_w("discharge"), 1)}
        return {}

    def _units(self, body: Body, most: int) -> list[Unit]:
        """The devices asked for; one that the account doesn't have is left out in silence."""
        kind = body.get("devTypeId")
        named = _listed(body, "devIds", most)
        units = [unit for device in named if (unit := self._world.fleet.unit(VENDOR, device)) is not None]
        if any(_type(unit) != kind for unit in units):
            raise _Refused(20006, "some devices are not of the device type")
        return units

    def _plants(self) -> dict[str, list[Unit]]:
        plants: dict[str, list[Unit]] = {}
        for unit in self._world.fleet.of(VENDOR):
            plants.setdefault(unit.site, []).append(unit)
        return plants

    def _limit(self, name: str, most: int, span: timedelta) -> None:
        if not self._room(name, most, span):
            raise _Refused(407, None, TOO_OFTEN)

    def _room(self, name: str, most: int, span: timedelta) -> bool:
        """Whether so few were asked in the span before now that one more may be; then it counts."""
        now, asked = self._world.now(), self._asked.setdefault(name, deque())
        while asked and now - asked[0] >= span:
            asked.popleft()
        if len(asked) >= most:
            return False
        asked.append(now)
        return True


async def _body(request: Request) -> Body:
    try:
        found = orjson.loads(await request.body() or b"{}")
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise _Refused(20009, "the body is no JSON object")
    return found


def _type(unit: Unit) -> int:
    return TYPES.get(unit.kind, OTHER)


def _listed(body: Body, name: str, most: int) -> list[str]:
    """Ids, written as one text with commas. Which of the codes 20001 to 20028 is which is from memory."""
    text = body.get(name)
    ids = [part.strip() for part in text.split(",")] if isinstance(text, str) else []
    if not any(ids):
        raise _Refused(20011 if name == "devIds" else 20010, f"{name} must not be empty")
    if len(ids) > most:
        raise _Refused(20016 if name == "devIds" else 20014, f"at most {most} {name}")
    return ids


def _instant(body: Body, name: str) -> datetime:
    told = body.get(name)
    if type(told) is not int or not 0 <= told <= LATEST_MS:
        raise _Refused(20012, f"{name} must be milliseconds since 1970-01-01 UTC")
    return EPOCH + timedelta(milliseconds=told)


def _ms(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(milliseconds=1)
