"""inexogy (once Discovergy), interface public/v1: registers of smart meters at every quarter hour of UTC.

From https://api.inexogy.com/docs and from what the public clients send and read. Asked with HTTP Basic: the OAuth 1.0
dance of the same papers carries the password in an address. `power` isn't read: it is 0 in every recorded quarter hour.
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from typing import Any

import polars as pl

from pipelines.collect.cloud.budget import Limit
from pipelines.collect.cloud.http import Manners
from pipelines.collect.cloud.vendor import Account, Ask, Vendor
from pipelines.collect.source import NO_ROWS, Answer, Channel, Device, rows_frame
from pipelines.errors import SlotfeedError, SourceError, SourceUnavailable
from pipelines.frames import Kind

STEP = timedelta(minutes=15)
LONGEST = timedelta(days=31)
"""Of a request with resolution fifteen_minutes."""

FIELDS = {"import": "energy", "export": "energyOut"}
"""Register -> the vendor's name of it: 1.8.0 and 2.8.0."""

KNOWN = frozenset({"time", "values", *FIELDS.values(), "power", "volume", "actualityDuration"})
"""Names in a reading that the papers tell of; the last two are a gas meter's."""

UNITS_PER_WH = 1e7
"""Energy comes in 1e-10 kWh."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
CALENDAR_END_MS = 253_402_300_800_000
"""Year 10000: later numbers are no milliseconds since 1970."""

SHOWN = 12
"""Meters that a message names. Ours."""


@dataclass(frozen=True, kw_only=True)
class Points:
    """What a meter told of a window."""

    times_ms: list[int]
    """Since 1970."""

    values_wh: Mapping[str, list[float | None]]
    """Register -> its states, as long as `times_ms`; None where a point doesn't tell it."""

    absent: frozenset[str] = frozenset()
    """Registers that no point as much as names, though there are points."""

    unknown: Counter[str] = field(default_factory=Counter)

    def __add__(self, more: "Points") -> "Points":
        """These and then those, of the same registers."""
        return Points(
            times_ms=self.times_ms + more.times_ms,
            values_wh={register: own + more.values_wh[register] for register, own in self.values_wh.items()},
            absent=self.absent & more.absent if more.times_ms else self.absent,
            unknown=self.unknown + more.unknown,
        )

    def reach(self, instant: datetime) -> bool:
        """They go on until the last quarter hour that begins by `instant`."""
        return max(self.times_ms, default=0) > _ms(instant - STEP)


def parse_points(payload: Any, registers: Iterable[str]) -> Points:  # noqa: ANN401 - JSON of any shape
    """The points of an answer of /readings. No body, or an empty list: there are none.

    Raises:
        ValueError: it hasn't the form that was agreed; says what is wrong.
    """
    rows = [] if payload is None else payload
    if type(rows) is not list or not set(map(type, rows)) <= {dict}:
        raise ValueError("no list of readings came")
    times_ms = [row.get("time") for row in rows]
    if not set(map(type, times_ms)) <= {int} or not all(0 <= time < CALENDAR_END_MS for time in times_ms):
        raise ValueError("a reading's 'time' isn't a number of milliseconds since 1970")
    told = [row.get("values") for row in rows]
    if not set(map(type, told)) <= {dict}:
        raise ValueError("a reading has no 'values'")
    names = Counter(chain.from_iterable(chain(rows, told)))
    return Points(
        times_ms=times_ms,
        values_wh={register: _states_wh(told, FIELDS[register]) for register in registers},
        absent=frozenset(register for register in registers if rows and FIELDS[register] not in names),
        unknown=Counter({name: count for name, count in names.items() if name not in KNOWN}),
    )


def _states_wh(told: Sequence[Mapping[str, Any]], name: str) -> list[float | None]:
    states = [values.get(name) for values in told]
    if not set(map(type, states)) <= {int, float, type(None)}:
        raise ValueError(f"a reading's '{name}' isn't a number")
    return [None if state is None else state / UNITS_PER_WH for state in states]


def points_frame(found: Mapping[str, Points]) -> pl.DataFrame:
    """`ROWS` of what each meter told."""
    series = [
        (device, register, points.times_ms, values_wh)
        for device, points in found.items()
        for register, values_wh in points.values_wh.items()
        if register not in points.absent
    ]
    if not series:
        return NO_ROWS
    times_ms = pl.Series(list(chain.from_iterable(times for _, _, times, _ in series)), dtype=pl.Int64)
    return rows_frame(
        {
            "meter": list(chain.from_iterable(repeat(device, len(times)) for device, _, times, _ in series)),
            "register": list(chain.from_iterable(repeat(register, len(times)) for _, register, times, _ in series)),
            "stamp": times_ms.cast(pl.Datetime("ms", "UTC")),
            "value": pl.Series(list(chain.from_iterable(values for *_, values in series)), dtype=pl.Float64),
        }
    ).with_columns(unit=pl.lit("Wh"))


def parse_meters(payload: Any) -> dict[str, Device]:  # noqa: ANN401 - JSON of any shape
    """The meters of an answer of /meters, by their id; one that doesn't measure electricity has no registers.

    Raises:
        ValueError: as of `parse_points`.
    """
    if type(payload) is not list or not set(map(type, payload)) <= {dict}:
        raise ValueError("no list of meters came")
    if not all(type(meter.get("meterId")) is str for meter in payload):
        raise ValueError("a meter has no 'meterId'")
    return {meter["meterId"]: _meter(meter) for meter in payload}


def _meter(told: Mapping[str, Any]) -> Device:
    newest_ms, measures = told.get("lastMeasurementTime"), str(told.get("measurementType", "unknown"))
    newest = None
    if isinstance(newest_ms, int) and 0 < newest_ms < CALENDAR_END_MS:  # -1: none yet
        newest = EPOCH + newest_ms * MILLISECOND
    words = (told.get("type"), told.get("fullSerialNumber") or told.get("serialNumber"), measures.lower())
    return Device(
        device=told["meterId"],
        registers=tuple(FIELDS) if measures == "ELECTRICITY" else (),
        name=" ".join(str(word) for word in words if word),
        newest=newest,
    )


class InexogySession:
    """An account's meters, one request for each."""

    def __init__(self, account: Account) -> None:
        self._http, self._now = account.http, account.now
        login = f"{account.settings.username}:{account.secret.get_secret_value()}"
        coded = b64encode(login.encode()).decode()
        self._http.hidden.append(coded)
        # Reasons of refusals are sent as plain text, and only to those who say that they read it.
        headers = {"Authorization": f"Basic {coded}", "Accept": "application/json, text/plain"}
        self._http.manners = Manners(headers=lambda: headers)
        self._known: dict[str, Device] | None = None

    def devices(self) -> list[Device]:
        """Every meter; only those of electricity have registers that are read here."""
        meters = self._meters()
        electric = [meter.device for meter in meters.values() if meter.registers]
        registers, failed = self._http.each(electric, self._registers)
        for error in failed.values():
            raise error
        return [replace(meter, registers=registers.get(meter.device, ())) for meter in meters.values()]

    def read(self, ask: Ask) -> Answer:
        """The points in [start, end], and the one before and after where the request may be so long."""
        failed: dict[str, SlotfeedError] = {}
        registers = {device: sorted(wanted & FIELDS.keys()) for device, wanted in ask.channels.items()}
        start, end = self._around(ask)

        def first(device: str) -> Points:
            return self._points(device, registers[device], start, end)

        found, refused = self._http.each([device for device, wanted in registers.items() if wanted], first)
        failed.update(refused)
        self._doubt(ask, registers, found, failed)
        self._miss(ask, found, failed)
        unknown: Counter[str] = sum((points.unknown for points in found.values()), Counter())
        return Answer(rows=points_frame(found), failed=failed, unknown=unknown)

    def _around(self, ask: Ask) -> tuple[datetime, datetime]:
        spare = min(STEP, (LONGEST - (ask.end - ask.start)) / 2)
        # Not into the time to come: no paper says whether that is refused.
        return ask.start - spare, max(ask.end, min(ask.end + spare, self._now()))

    def _doubt(
        self,
        ask: Ask,
        registers: Mapping[str, list[str]],
        found: dict[str, Points],
        failed: dict[str, SlotfeedError],
    ) -> None:
        """Hold what was refused or ended early against the list of meters, and ask again for what was cut off."""
        # The newest point may be on its way; a longer tail is missing.
        due = min(ask.end, self._now() - STEP)
        refused = [device for device, error in failed.items() if isinstance(error, SourceError)]
        early = [device for device, points in found.items() if not points.reach(due)]
        if not refused and not early:
            return
        try:
            meters = self._meters()
        except (SourceError, SourceUnavailable):
            # The list only explains: without it the errors stand as they are, and what ended early stays due.
            return
        for device in refused + early:
            if (reason := _unreadable(device, meters)) is not None:
                failed[device] = SourceError(f"{self._at(device, ask.start, ask.end)}: {reason}")

        def rest(device: str) -> None:
            until = min(due, (meters[device].newest or EPOCH + STEP) - STEP)
            while not (points := found[device]).reach(until):
                after = EPOCH + (max(points.times_ms) + 1) * MILLISECOND
                more = self._points(device, registers[device], after, ask.end)
                if max(more.times_ms, default=0) <= max(points.times_ms):
                    return
                found[device] = points + more

        cut = [device for device in early if device not in failed and found[device].times_ms]
        failed.update(self._http.each(cut, rest)[1])

    def _miss(self, ask: Ask, found: Mapping[str, Points], failed: dict[str, SlotfeedError]) -> None:
        """Say of registers that don't come whether the meter has them at all."""
        absent = [device for device, points in found.items() if points.absent and device not in failed]
        had, refused = self._http.each(absent, self._registers)
        failed.update(refused)
        for device, wanted in ask.channels.items():
            missing = wanted - FIELDS.keys()
            if device in had:
                missing |= found[device].absent - set(had[device])
            if missing and device not in failed:
                has = ", ".join(had.get(device, FIELDS)) or "none"
                failed[device] = SourceError(
                    f"{self._at(device, ask.start, ask.end)}: there is no register '{', '.join(sorted(missing))}'. "
                    f"Correct the stream's `register`; the meter has: {has}"
                )

    def _points(self, device: str, registers: Sequence[str], start: datetime, end: datetime) -> Points:
        what = _readings(device, start, end)
        query = {
            "meterId": device,
            "from": _ms(start),
            "to": _ms(end),
            "fields": ",".join(FIELDS[register] for register in registers),
            "resolution": "fifteen_minutes",
        }
        payload = self._http.get("/readings", what=what, params=query)
        try:
            return parse_points(payload, registers)
        except ValueError as error:
            raise self._http.strange(what, str(error), payload) from None

    def _meters(self) -> dict[str, Device]:
        if self._known is None:
            payload = self._http.get("/meters", what="list of meters")
            try:
                self._known = parse_meters(payload)
            except ValueError as error:
                raise self._http.strange("list of meters", str(error), payload) from None
        return self._known

    def _registers(self, device: str) -> tuple[str, ...]:
        what = f"registers of meter {device}"
        names = self._http.get("/field_names", what=what, params={"meterId": device})
        if type(names) is not list:
            raise self._http.strange(what, "no list of names came", names)
        return tuple(register for register, name in FIELDS.items() if name in names)

    def _at(self, device: str, start: datetime, end: datetime) -> str:
        return f"source '{self._http.source}', {_readings(device, start, end)}"


def _unreadable(device: str, meters: Mapping[str, Device]) -> str | None:
    """Why a meter has no readings here; None where it should have."""
    electric = [meter.device for meter in meters.values() if meter.registers]
    if device in electric:
        return None
    if device in meters:
        return f"this is no meter of electricity ({meters[device].name})"
    more = f" and {len(electric) - SHOWN} more" if len(electric) > SHOWN else ""
    has = ", ".join(electric[:SHOWN]) + more if electric else "none"
    return f"the account has no such meter. Correct the stream's `device`; it has: {has}"


def _readings(device: str, start: datetime, end: datetime) -> str:
    return f"readings of meter {device}, {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"


def _ms(instant: datetime) -> int:
    return (instant - EPOCH) // MILLISECOND


VENDOR = Vendor(
    title="inexogy (Discovergy)",
    secret="the password",  # noqa: S106 - what people call it
    open=InexogySession,
    channels={
        "import": Channel(register="import", kind=Kind.REGISTER, unit="Wh", says="drawn from the grid (energy, 1.8.0)"),
        "export": Channel(register="export", kind=Kind.REGISTER, unit="Wh", says="fed in (energyOut, 2.8.0)"),
    },
    longest_window=LONGEST,
    step=STEP,
    overlap=timedelta(hours=2),  # ours: points that a meter was a little late with
    url="https://api.inexogy.com/public/v1",
    needs=("username",),
    limits=(
        Limit(
            name="requests",
            most=3000,
            per=timedelta(minutes=5),
            says="requests in five minutes; the vendor only says that limits may apply, so the figure is ours",
        ),
    ),
)
