"""Home Assistant: what its energy sensors counted, from the recorder's statistics, over the WebSocket API.

A device is a `statistic_id` (`sensor.wallbox_energy`) and has one register, `energy`. Statistics of five minutes carry
the start of their span and are kept for some days, ten unless the owner sets it otherwise; before that there are those
of hours. `sum` is free of counter resets as far as Home Assistant noticed them; `change` is its growth in the span.

Sources: Home Assistant's developer documentation and the open code of its `websocket_api` and `recorder` components.
No live installation was asked.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from types import NoneType
from typing import Any

import polars as pl

from pipelines.collect.cloud.vendor import Account, Ask, Vendor
from pipelines.collect.cloud.websocket import Talk, talking
from pipelines.collect.source import NO_ROWS, Answer, Channel, Device, rows_frame
from pipelines.errors import AuthenticationError, SlotfeedError, SourceError, SourceUnavailable
from pipelines.frames import INSTANT, Kind
from pipelines.slots import slot_floor

REGISTER = "energy"
PATH = "/api/websocket"
STEP, HOUR = timedelta(minutes=5), timedelta(hours=1)
RESOLUTION = timedelta(microseconds=1)

SHORTEST_MEMORY = timedelta(days=1)
"""The least that the owner can set as `purge_keep_days`: nothing younger is asked for in hours."""

MOST_ROWS = 300_000
"""What one answer may hold, so that it stays well below `MOST_BYTES`. Ours."""

ENERGY_UNITS = frozenset(
    ("mWh", "Wh", "kWh", "MWh", "GWh", "TWh", "J", "kJ", "MJ", "GJ", "cal", "kcal", "Mcal", "Gcal")
)
"""Of which Home Assistant makes kWh when asked; it hands on every other unit as it is, so those are refused."""

KNOWN = frozenset(("start", "end", "change", "sum", "state", "mean", "min", "max", "last_reset"))
LATEST_MS = 4_102_444_800_000
"""2100-01-01: a later stamp is no number of milliseconds. Ours."""

NAMED = 5
"""Sensors that a message lists at most."""


class OddStatistics(Exception):
    """What came for one sensor hasn't the form that was agreed."""


@dataclass(kw_only=True)
class Columns:
    """Statistics of one sensor, a list per field; times in ms since 1970."""

    start: list[int]
    end: list[int]
    change: list[float | None]
    total: list[float | None]

    def part(self, rows: Sequence[int]) -> "Columns":
        """These rows alone."""
        return Columns(
            start=[self.start[row] for row in rows],
            end=[self.end[row] for row in rows],
            change=[self.change[row] for row in rows],
            total=[self.total[row] for row in rows],
        )


NOTHING = Columns(start=[], end=[], change=[], total=[])


def read_columns(rows: object, unknown: Counter[str]) -> Columns:
    """Take one sensor's statistics apart.

    Args:
        rows: what stands under its id in a result.
        unknown: counts fields that the papers don't tell of.

    Raises:
        OddStatistics: says what is wrong with them.
    """
    if not isinstance(rows, list) or not set(map(type, rows)) <= {dict}:
        raise OddStatistics("its statistics are no list of objects")
    fields = Counter(chain.from_iterable(rows))
    unknown.update({name: count for name, count in fields.items() if name not in KNOWN})
    start, end = [row.get("start") for row in rows], [row.get("end") for row in rows]
    change, total = [row.get("change") for row in rows], [row.get("sum") for row in rows]
    if not {*map(type, start), *map(type, end)} <= {int}:
        raise OddStatistics(
            "a start or end is no number of milliseconds; Home Assistant before 2022.12 isn't supported"
        )
    if not {*map(type, change), *map(type, total)} <= {int, float, NoneType}:
        raise OddStatistics("a change or sum is no number")
    stamps = start + end
    if stamps and not 0 <= min(stamps) <= max(stamps) <= LATEST_MS:
        raise OddStatistics("a start or end lies outside the years 1970 to 2099")
    return Columns(start=start, end=end, change=change, total=total)


def join_columns(fine: Columns, coarse: Columns) -> Columns:
    """One sensor's five minutes, and the hours for the time before them.

    The oldest row of a table has nothing before it, so its `change` is the whole `sum`: it is taken for unknown, and
    hours are taken up to the full hour after it.
    """
    if (head := headless(fine)) is not None:
        fine = Columns(start=fine.start, end=fine.end, change=list(fine.change), total=fine.total)
        fine.change[head] = None
        until = -(-fine.end[head] // _ms(HOUR)) * _ms(HOUR)
        coarse = coarse.part([row for row, end in enumerate(coarse.end) if end <= until])
        after = max(coarse.end, default=0)
        fine = fine.part([row for row, start in enumerate(fine.start) if start >= after])
    return Columns(
        start=coarse.start + fine.start,
        end=coarse.end + fine.end,
        change=coarse.change + fine.change,
        total=coarse.total + fine.total,
    )


def headless(columns: Columns) -> int | None:
    """The first row, if it tells the whole sum as its change: nothing before it was in the table."""
    if not columns.start:
        return None
    first = columns.start.index(min(columns.start))
    return first if columns.change[first] and columns.change[first] == columns.total[first] else None


def frame_of(sensors: Mapping[str, Columns]) -> pl.DataFrame:
    """`ROWS` of many sensors."""
    found = {sensor: columns for sensor, columns in sensors.items() if columns.start}
    if not found:
        return NO_ROWS
    sizes = [len(columns.start) for columns in found.values()]
    starts, ends, changes = (
        pl.concat([pl.Series(name, getattr(columns, name), dtype, strict=True) for columns in found.values()])
        for name, dtype in (("start", pl.Int64()), ("end", pl.Int64()), ("change", pl.Float64()))
    )
    meters = pl.select(pl.Series(list(found)).repeat_by(pl.Series(sizes)).explode()).to_series()
    return rows_frame(
        {
            "meter": meters,
            "register": pl.repeat(REGISTER, len(starts), dtype=pl.String(), eager=True),
            "stamp": starts.cast(pl.Datetime("ms", "UTC")).cast(INSTANT),
            "stamp_end": ends.cast(pl.Datetime("ms", "UTC")).cast(INSTANT),
            "value": changes,
            "unit": pl.repeat("kWh", len(starts), dtype=pl.String(), eager=True),
        }
    )


@dataclass(kw_only=True)
class Session:
    """An installation, open for a run; each question has a connection of its own."""

    account: Account
    _known: dict[str, dict[str, Any]] = field(default_factory=dict, init=False)

    def devices(self) -> list[Device]:
        """The sensors that count energy."""

        def list_all() -> dict[str, dict[str, Any]]:
            with talking(self.account.http, PATH, what="list of statistics") as talk:
                return self._catalogue(_Commands(self.account, talk))

        return [
            Device(device=sensor, registers=(REGISTER,), name=entry.get("name") or "")
            for sensor, entry in sorted(self.account.http.retrying(list_all).items())
            if _refusal(entry) is None
        ]

    def read(self, ask: Ask) -> Answer:
        """What they counted in spans that end in the window."""

        def read_all() -> Answer:
            what = f"statistics of {_some(ask.channels)}, {ask.start:%Y-%m-%d %H:%M} to {ask.end:%m-%d %H:%M} UTC"
            with talking(self.account.http, PATH, what=what) as talk:
                return self._read(_Commands(self.account, talk), ask, what)

        return self.account.http.retrying(read_all)

    def _read(self, commands: "_Commands", ask: Ask, what: str) -> Answer:
        if any(sensor not in self._known for sensor in ask.channels):
            self._known = self._catalogue(commands)
        failed: dict[str, SlotfeedError] = {
            sensor: SourceError(f"source '{self.account.name}', sensor '{sensor}', {what}: {problem}")
            for sensor, registers in ask.channels.items()
            if (problem := self._problem(sensor, registers))
        }
        unknown: Counter[str] = Counter()

        def statistics(
            sensors: Sequence[str], period: str, step: timedelta, start: datetime, end: datetime
        ) -> dict[str, Columns]:
            size = max(MOST_ROWS // max((end - start) // step, 1), 1)
            found: dict[str, Columns] = {}
            for place in range(0, len(sensors), size):
                asked = sensors[place : place + size]
                result = commands.ask(_command(asked, period, start, end))
                if not isinstance(result, dict):
                    raise commands.strange("the statistics are no object of sensors", result)
                for sensor in asked:
                    try:
                        found[sensor] = read_columns(result.get(sensor, []), unknown)
                    except OddStatistics as odd:
                        failed[sensor] = commands.strange(str(odd), result[sensor], sensor=sensor)
            return found

        sensors = [sensor for sensor in ask.channels if sensor not in failed]
        # A span that began before the window and ends in it belongs to it.
        fine = statistics(sensors, "5minute", STEP, slot_floor(ask.start, STEP), ask.end)
        hours = _forgettable_hours(ask, self.account.now())
        forgotten = [sensor for sensor, columns in fine.items() if not columns.start or headless(columns) is not None]
        coarse = statistics(forgotten, "hour", HOUR, *hours) if hours and forgotten else {}
        sound = {sensor: columns for sensor, columns in fine.items() if sensor not in failed}
        whole = {sensor: join_columns(columns, coarse.get(sensor, NOTHING)) for sensor, columns in sound.items()}
        return Answer(rows=frame_of(whole), failed=failed, unknown=unknown)

    def _problem(self, sensor: str, registers: frozenset[str]) -> str | None:
        """Why it can't be read as asked."""
        if refused := self._refused(sensor):
            return refused
        others = sorted(registers - {REGISTER})
        return f"there is no register '{others[0]}'; the only one is '{REGISTER}'" if others else None

    def _refused(self, sensor: str) -> str | None:
        if sensor in self._known:
            return _refusal(self._known[sensor])
        energy = sorted(name for name, entry in self._known.items() if _refusal(entry) is None)
        return (
            f"Home Assistant keeps no statistics of this name; of energy it has {_some(energy) or 'none'}. A sensor "
            "needs a state_class of total or total_increasing"
        )

    def _catalogue(self, commands: "_Commands") -> dict[str, dict[str, Any]]:
        """Every statistic there is, by id."""
        result = commands.ask({"type": "recorder/list_statistic_ids"})
        if not isinstance(result, list) or not all(
            isinstance(entry, dict) and isinstance(entry.get("statistic_id"), str) for entry in result
        ):
            raise commands.strange("the list of statistics has another form", result)
        return {entry["statistic_id"]: entry for entry in result}


def _some(sensors: Collection[str]) -> str:
    """The first few by name."""
    more = f" and {len(sensors) - NAMED} more" if len(sensors) > NAMED else ""
    return ", ".join(islice(sensors, NAMED)) + more


def _refusal(entry: Mapping[str, Any]) -> str | None:
    """Why a statistic is no energy that was counted; None where it is."""
    unit = entry.get("statistics_unit_of_measurement")
    if entry.get("has_sum") is not True:
        return f"it isn't summed up, so it counts nothing (unit '{unit}'); take a sensor of energy, not of power"
    if not isinstance(unit, str) or unit not in ENERGY_UNITS:
        return f"its unit '{unit}' is none of energy"
    return None


def _forgettable_hours(ask: Ask, now: datetime) -> tuple[datetime, datetime] | None:
    """The full hours of a window of which the five minutes may be forgotten."""
    start = slot_floor(ask.start + HOUR - RESOLUTION, HOUR)
    end = slot_floor(min(ask.end, now - SHORTEST_MEMORY), HOUR)
    return (start, end) if start < end else None


def _command(sensors: Sequence[str], period: str, start: datetime, end: datetime) -> dict[str, object]:
    return {
        "type": "recorder/statistics_during_period",
        "start_time": start.astimezone(UTC).isoformat(),
        "end_time": end.astimezone(UTC).isoformat(),
        "statistic_ids": list(sensors),
        "period": period,
        "units": {"energy": "kWh"},
        "types": ["change", "sum"],
    }


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


class _Commands:
    """What is asked over a websocket, numbered."""

    def __init__(self, account: Account, talk: Talk) -> None:
        """Log in.

        Raises:
            AuthenticationError: the token was refused.
        """
        self._account, self._talk, self._asked = account, talk, 0
        self._expect({"auth_required"})
        talk.say({"type": "auth", "access_token": account.secret.get_secret_value()})
        heard = self._expect({"auth_ok", "auth_invalid"})
        if heard["type"] == "auth_invalid":
            said = account.http.redact(str(heard.get("message", "")))
            raise AuthenticationError(
                f"source '{account.name}', {talk.what}: the token was refused ({said}). Make a new long-lived access "
                "token in the user's profile there"
            )

    def ask(self, command: Mapping[str, object]) -> Any:  # noqa: ANN401 - JSON of any shape
        """The result of a command.

        Raises:
            SourceError: it failed, or the answer has another form.
            SourceUnavailable: it took too long there.
        """
        self._asked += 1
        self._talk.say({"id": self._asked, **command})
        while True:
            heard = self._talk.hear()
            # Several answers may come in one message; events, and what has another number, are none.
            for message in heard if isinstance(heard, list) else [heard]:
                if not isinstance(message, dict):
                    raise self.strange("a message is no object", heard)
                if message.get("id") == self._asked and message.get("type") == "result":
                    return self._result(message)

    def strange(self, problem: str, content: object, *, sensor: str = "") -> SourceError:
        """The error for an answer that hasn't the form that was agreed."""
        what = f"sensor '{sensor}', {self._talk.what}" if sensor else self._talk.what
        return self._account.http.strange(what, problem, content)

    def _result(self, message: Mapping[str, Any]) -> Any:  # noqa: ANN401
        if message.get("success") is True and "result" in message:
            return message["result"]
        error = message.get("error")
        if message.get("success") is not False or not isinstance(error, dict):
            raise self.strange("the answer tells neither a result nor an error", message)
        said = self._account.http.redact(f"{error.get('message')} ({error.get('code')})")
        kind = SourceUnavailable if error.get("code") == "timeout" else SourceError
        raise kind(f"source '{self._account.name}', {self._talk.what}: Home Assistant says: {said}")

    def _expect(self, kinds: set[str]) -> dict[str, Any]:
        heard = self._talk.hear()
        if not isinstance(heard, dict) or heard.get("type") not in kinds:
            raise self.strange(f"at the login came no {' or '.join(sorted(kinds))}", heard)
        return heard


VENDOR = Vendor(
    title="Home Assistant",
    secret="the long-lived access token",  # noqa: S106 - what it is called
    open=lambda account: Session(account=account),
    channels={
        REGISTER: Channel(
            register=REGISTER,
            kind=Kind.INTERVAL,
            unit="kWh",
            says="what the sensor counted: of a load its consumption, of a PV plant its production (`change`)",
        )
    },
    # Ours: 2016 rows a sensor.
    longest_window=timedelta(days=7),
    step=STEP,
    # Ours: the newest spans are only read again in case Home Assistant's recorder lags.
    overlap=timedelta(hours=1),
    # Ours: statistics are made after the five minutes are over.
    settle=timedelta(minutes=1),
    memory=timedelta(days=10),
    needs=("url",),
)
