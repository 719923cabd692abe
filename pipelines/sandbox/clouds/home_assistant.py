"""Home Assistant: statistics of energy sensors over the WebSocket API, states over REST.

By its developer documentation and the open code of its `websocket_api`, `recorder` and `sensor` components. A row's
`sum` grows as Home Assistant lets it grow: by the rise of a counter's state, and by the whole state where it fell by
more than a tenth, which is taken for a reset. So a counter that shows 0 for a while puts all it ever counted into one
row when it comes back. While a sensor is unavailable no row is made, and the first one after that holds the energy of
the whole gap.
"""

import asyncio
import secrets
from array import array
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from fastapi import APIRouter, Request, Response, WebSocket, WebSocketDisconnect

from pipelines.sandbox.answers import json_answer
from pipelines.sandbox.clouds.defects import Hole, Offline
from pipelines.sandbox.clouds.fleet import QUARTER, Unit
from pipelines.sandbox.clouds.world import World

PREFIX = "/homeassistant"

VENDOR = "home_assistant"
VERSION = "2026.11.1"

STEP, HOUR = timedelta(minutes=5), timedelta(hours=1)
KEPT = timedelta(days=10)
"""Rows of five minutes are forgotten after that; at home once a night, here at once."""

COMPILED_AFTER = timedelta(seconds=10)
"""A row is made so long after its span has ended. From memory."""

RESET_BELOW = 0.9
"""A counter that falls below this part of its state was reset."""

LOGIN_S = 10.0
ZONE = ZoneInfo("Europe/Berlin")
"""Of the installation: where its days begin."""

STEP_MS, HOUR_MS = 300_000, 3_600_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PERIODS = ("5minute", "hour", "day")
TYPES = frozenset(("change", "last_reset", "max", "mean", "min", "state", "sum"))
WH_IN: dict[str, float] = {"Wh": 1.0, "kWh": 1e3, "MWh": 1e6}
"""Units the emulator converts to; Home Assistant knows more."""

Row = tuple[int, int, float, float, float]
"""Start and end in ms since 1970; sum, state and change in Wh."""

OTHERS = (
    ("sensor.living_room_temperature", "°C", "temperature", False),
    ("sensor.gas_consumed", "m³", "volume", True),
)
"""Statistics that count no energy, as every installation has them; there is nothing in them here."""


class _Failed(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def router(world: World) -> APIRouter:
    """The websocket and the REST paths."""
    routes = APIRouter()
    recorder = Recorder(world)

    @routes.websocket("/api/websocket")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        try:
            await _Connection(world, recorder, socket).serve()
        except WebSocketDisconnect:
            return

    @routes.get("/api/")
    async def running(request: Request) -> Response:
        return _rest(world, request, lambda: {"message": "API running."})

    @routes.get("/api/states/{entity}")
    async def state(request: Request, entity: str) -> Response:
        return _rest(world, request, lambda: _state(world, recorder, entity))

    return routes


class _Connection:
    """One client on the websocket."""

    def __init__(self, world: World, recorder: "Recorder", socket: WebSocket) -> None:
        self._world, self._recorder, self._socket = world, recorder, socket
        self._commands: dict[str, Callable[[dict[str, Any]], object]] = {
            "recorder/list_statistic_ids": self._list,
            "recorder/statistics_during_period": self._statistics,
        }
        self._last = 0

    async def serve(self) -> None:
        await self._send({"type": "auth_required", "ha_version": VERSION})
        if not await self._logged_in():
            await self._socket.close()
            return
        await self._send({"type": "auth_ok", "ha_version": VERSION})
        while True:
            try:
                heard = orjson.loads(await self._socket.receive_text())
            except (orjson.JSONDecodeError, KeyError):
                # A broken or binary message ends the connection.
                await self._socket.close()
                return
            for message in heard if isinstance(heard, list) else [heard]:
                await self._send(self._answer(message))

    async def _logged_in(self) -> bool:
        try:
            heard = orjson.loads(await asyncio.wait_for(self._socket.receive_text(), LOGIN_S))
        except (orjson.JSONDecodeError, KeyError, TimeoutError):
            return False
        token = heard.get("access_token") if isinstance(heard, dict) and heard.get("type") == "auth" else None
        if not isinstance(token, str):
            await self._send({"type": "auth_invalid", "message": "Auth message incorrectly formatted"})
            return False
        if not secrets.compare_digest(token.encode(), self._world.secret.encode()):
            await self._send({"type": "auth_invalid", "message": "Invalid access token or password"})
            return False
        return True

    def _answer(self, message: object) -> dict[str, object]:
        number = message.get("id") if isinstance(message, dict) else None
        if not isinstance(message, dict) or type(number) is not int or not isinstance(message.get("type"), str):
            return _error(number, "invalid_format", "Message incorrectly formatted.")
        command = self._commands.get(message["type"])
        self._world.journal.open_entry(
            at=self._world.now(),
            vendor=VENDOR,
            method="COMMAND",
            path=f"{PREFIX}/api/websocket",
            template=message["type"] if command else "unknown command",
        )
        if number <= self._last:
            return _error(number, "id_reuse", "Identifier values have to increase.")
        self._last = number
        if command is None:
            return _error(number, "unknown_command", "Unknown command.")
        try:
            return {"id": number, "type": "result", "success": True, "result": command(message)}
        except _Failed as failed:
            return _error(number, failed.code, str(failed))

    def _list(self, message: dict[str, Any]) -> object:
        sensors = [_metadata(unit.device, "kWh", "energy", has_sum=True) for unit in self._world.fleet.of(VENDOR)]
        sensors += [_metadata(name, unit, kind, has_sum=counts) for name, unit, kind, counts in OTHERS]
        kind = message.get("statistic_type")
        # No set: a list may come, and has no hash.
        if kind not in (None, "sum", "mean"):
            raise _Failed("invalid_format", "not a valid value for dictionary value @ data['statistic_type']")
        return [one for one in sensors if kind is None or one["has_sum"] is (kind == "sum")]

    def _statistics(self, message: dict[str, Any]) -> object:
        asked, now = _checked(message), self._world.now()
        start = _instant(message, "start_time")
        end = _instant(message, "end_time") if "end_time" in message else now
        types = TYPES.intersection(message.get("types", TYPES))
        wh = WH_IN[message.get("units", {}).get("energy", "kWh")]
        found = {}
        for sensor in dict.fromkeys(asked):
            unit = self._world.fleet.unit(VENDOR, sensor)
            if unit is not None and (rows := self._recorder.rows(unit, message["period"], start, end, now)):
                found[sensor] = _written(rows, wh, types)
        return found

    async def _send(self, message: object) -> None:
        await self._socket.send_text(orjson.dumps(message).decode())


class Recorder:
    """The statistics of all sensors, made from the fleet when they are asked for."""

    def __init__(self, world: World) -> None:
        """Take the world, whose fleet may change."""
        self._world = world
        self._counted_wh: dict[int, tuple[Sequence[float], array[float]]] = {}

    def rows(self, unit: Unit, period: str, start: datetime, end: datetime, now: datetime) -> list[Row]:
        """The rows that begin in [start, end)."""
        start, first = max(start, unit.first), _ms(unit.first)
        made = min((_ms(now - COMPILED_AFTER) - first) // STEP_MS, len(unit.energy_wh[channel_of(unit)]) * 3)
        forgotten = -(-(_ms(now - KEPT) - first) // STEP_MS) if period == "5minute" else 0
        row_at = self._row_at(unit, made, now)

        def newest(since: int, before: int) -> tuple[float, float] | None:
            for step in range(min(before, made) - 1, max(since, forgotten, 0) - 1, -1):
                if (row := row_at(step)) is not None:
                    return row
            return None

        found: list[Row] = []
        # The change of a row is the growth since the row before it, and the whole sum where the table has none.
        previous_wh: float | None = None
        for begins, ends in _spans(period, start, min(end, now)):
            if period == "hour" and ends > _ms(now - COMPILED_AFTER):
                break
            since, before = (begins - first) // STEP_MS, (ends - first) // STEP_MS
            if previous_wh is None:
                previous_wh = (newest(0, since) or (0.0, 0.0))[0]
            if (row := newest(since, before)) is not None:
                found.append((begins, ends, *row, row[0] - previous_wh))
                previous_wh = row[0]
        return found

    def state_wh(self, unit: Unit, now: datetime) -> float | None:
        """What the sensor shows; None while it is unavailable."""
        if any(gap.start <= now < gap.end for gap in self._gaps(unit)):
            return None
        channel = channel_of(unit)
        last = unit.first + QUARTER * len(unit.energy_wh[channel])
        return self._world.fleet.register_wh(unit, channel, min(now, last), now)

    def _row_at(self, unit: Unit, made: int, now: datetime) -> Callable[[int], tuple[float, float] | None]:
        """Step since the unit's first -> sum and state at its end, in Wh."""
        if any(defect.device == unit.device for defect in self._world.fleet.defects):
            return list(self._suffered(unit, made, now)).__getitem__
        energy_wh = unit.energy_wh[channel_of(unit)]
        if id(energy_wh) not in self._counted_wh:
            # Kept beside its sums, so that no other profile gets its id.
            self._counted_wh[id(energy_wh)] = energy_wh, array("d", accumulate(energy_wh, initial=0.0))
        counted_wh = self._counted_wh[id(energy_wh)][1]
        offset_wh = self._world.fleet.register_wh(unit, channel_of(unit), unit.first, now) or 0.0

        def row_at(step: int) -> tuple[float, float]:
            quarter, third = divmod(step + 1, 3)
            sum_wh = counted_wh[quarter] + (third * energy_wh[quarter] / 3 if third else 0.0)
            return sum_wh, offset_wh + sum_wh

        return row_at

    def _suffered(self, unit: Unit, made: int, now: datetime) -> Iterator[tuple[float, float] | None]:
        """Rows of a unit with defects, as Home Assistant sums up what its counter shows."""
        gaps, channel = self._gaps(unit), channel_of(unit)
        shown_wh = self._world.fleet.register_wh(unit, channel, unit.first, now)
        sum_wh = 0.0
        for step in range(made):
            begins = unit.first + step * STEP
            state_wh = self._world.fleet.register_wh(unit, channel, begins + STEP, now)
            if state_wh is None or any(gap.start < begins + STEP and begins < gap.end for gap in gaps):
                yield None
                continue
            if shown_wh is not None:
                sum_wh += state_wh if state_wh < RESET_BELOW * shown_wh else state_wh - shown_wh
            shown_wh = state_wh
            yield sum_wh, state_wh

    def _gaps(self, unit: Unit) -> list[Hole | Offline]:
        """When the sensor was unavailable: nobody tells Home Assistant afterwards what it missed."""
        return [d for d in self._world.fleet.defects if isinstance(d, Hole | Offline) and d.device == unit.device]


def channel_of(unit: Unit) -> str:
    """The one channel that a sensor has."""
    return next(iter(unit.energy_wh))


def _spans(period: str, start: datetime, end: datetime) -> Iterator[tuple[int, int]]:
    """Start and end in ms of the spans of a period that begin in [start, end); days also where they have begun."""
    if period == "day":
        day = start.astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
        while day < end:
            # Wall time: the next midnight, however long the day is.
            after = day + timedelta(days=1)
            yield _ms(day), _ms(after)
            day = after
        return
    step = STEP_MS if period == "5minute" else HOUR_MS
    for begins in range(-(-_ms(start) // step) * step, _ms(end), step):
        yield begins, begins + step


def _written(rows: list[Row], wh: float, types: frozenset[str]) -> list[dict[str, object]]:
    """Rows as they are sent: a counter has no mean, and what it was reset last is not known."""
    empty = dict.fromkeys(types - {"sum", "state", "change"})
    return [
        {"start": begins, "end": ends, **empty}
        | {
            name: value / wh
            for name, value in (("change", change_wh), ("sum", sum_wh), ("state", state_wh))
            if name in types
        }
        for begins, ends, sum_wh, state_wh, change_wh in rows
    ]


def _metadata(sensor: str, unit: str, kind: str, *, has_sum: bool) -> dict[str, object]:
    return {
        "statistic_id": sensor,
        "display_unit_of_measurement": unit,
        "has_mean": not has_sum,
        "mean_type": 0 if has_sum else 1,
        "has_sum": has_sum,
        "name": None,
        "source": "recorder",
        "statistics_unit_of_measurement": unit,
        "unit_class": kind,
    }


def _checked(message: dict[str, Any]) -> list[str]:
    """The sensors asked for, once the whole message has the right form."""
    sensors, types, units = message.get("statistic_ids"), message.get("types", []), message.get("units", {})
    faults = {
        "start_time": not isinstance(message.get("start_time"), str),
        "end_time": not isinstance(message.get("end_time", ""), str),
        "statistic_ids": not (isinstance(sensors, list) and sensors and all(isinstance(one, str) for one in sensors)),
        "period": message.get("period") not in PERIODS,
        "types": not (isinstance(types, list) and all(isinstance(one, str) and one in TYPES for one in types)),
        "units": not (isinstance(units, dict) and units.get("energy", "kWh") in WH_IN),
    }
    for name, wrong in faults.items():
        if wrong:
            raise _Failed("invalid_format", f"value is not valid for dictionary value @ data['{name}']")
    return list(sensors or [])


def _instant(message: dict[str, Any], name: str) -> datetime:
    try:
        told = datetime.fromisoformat(message[name])
        # Without an offset it is the installation's own time.
        return (told if told.tzinfo else told.replace(tzinfo=ZONE)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _Failed(f"invalid_{name}", f"Invalid {name}") from None


def _error(number: object, code: str, message: str) -> dict[str, object]:
    return {"id": number, "type": "result", "success": False, "error": {"code": code, "message": message}}


def _rest(world: World, request: Request, serve: Callable[[], dict[str, object] | None]) -> Response:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secrets.compare_digest(token.encode(), world.secret.encode()):
        return Response("401: Unauthorized", 401, media_type="text/plain")
    content = serve()
    return json_answer(
        {"message": "Entity not found."} if content is None else content, 404 if content is None else 200
    )


def _state(world: World, recorder: Recorder, entity: str) -> dict[str, object] | None:
    unit = world.fleet.unit(VENDOR, entity)
    if unit is None:
        return None
    state_wh = recorder.state_wh(unit, world.now())
    seen = world.now().isoformat()
    return {
        "entity_id": entity,
        "state": "unavailable" if state_wh is None else f"{state_wh / 1000:.3f}",
        "attributes": {
            "state_class": "total_increasing",
            "unit_of_measurement": "kWh",
            "device_class": "energy",
            "friendly_name": unit.name,
        },
        "last_changed": seen,
        "last_reported": seen,
        "last_updated": seen,
    }


def _ms(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(milliseconds=1)
