"""Reads the bodies of live-data posts as the exchange does: formats it takes, and the words it refuses with."""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from pipelines.errors import RejectedError

WH_PER_KWH = 1000.0

_TIME_FORMATS = tuple(
    (name, re.compile(pattern, re.ASCII), directives)
    for name, pattern, directives in (
        ("YYYY-MM-DDTHH:mm", r"\d{4}-\d\d-\d\dT\d\d:\d\d", "%Y-%m-%dT%H:%M"),
        ("YYYY-MM-DDTHH:mm:ss", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", "%Y-%m-%dT%H:%M:%S"),
        ("YYYY-MM-DDTHH", r"\d{4}-\d\d-\d\dT\d\d", "%Y-%m-%dT%H"),
        ("MMMM DD YYYY, HH:mm [h]", r"[A-Z][a-z]+ \d\d \d{4}, \d\d:\d\d h", "%B %d %Y, %H:%M h"),
        ("HH:mm", r"\d\d:\d\d", "%H:%M"),
        ("HH", r"\d\d", "%H"),
        ("HH:mm:ss", r"\d\d:\d\d:\d\d", "%H:%M:%S"),
    )
)
"""Formats of gsy_framework/utils.py:232-256. All are naive and mean UTC; an offset or Z fits none."""


class IncorrectRequest(RejectedError):
    """The body's keys aren't those of the command. The engine tells this under `error`, not `error_message`."""


def read_json(body: bytes) -> Any:  # noqa: ANN401 - whatever a client may send
    """The JSON value of a body.

    Raises:
        ValueError: no JSON. NaN and infinities count as none, as in Django REST framework's strict parser.
    """
    try:
        return json.loads(body, parse_constant=_refuse, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON value")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is out of range")
    return value


@lru_cache(maxsize=10_000)
def slot_time(text: str, today: date) -> datetime:
    """The instant a slot key stands for.

    Args:
        text: in one of the engine's formats.
        today: the exchange's date, for the formats that hold only a time of day.

    Raises:
        RejectedError: in the engine's words.
    """
    for name, pattern, directives in _TIME_FORMATS:
        if not pattern.fullmatch(text):
            continue
        try:
            parsed = datetime.strptime(text, directives).replace(tzinfo=UTC)
        except ValueError:
            continue
        return parsed if "YYYY" in name else datetime.combine(today, parsed.timetz())
    raise RejectedError(f"Format of {text} is not one of {[name for name, _, _ in _TIME_FORMATS]}")


def keyed_energies(body: object, command: str, key: str, today: date) -> dict[datetime, float]:
    """Energies by slot in kWh, from a body {key: {slot: kWh}}: all of them or none.

    Raises:
        IncorrectRequest: other keys.
        RejectedError: a value or slot that the engine refuses.
    """
    profile = _argument(body, command, (key,))
    if not isinstance(profile, Mapping):
        raise RejectedError(f"'{type(profile).__name__}' object has no attribute 'items'")
    energies = {text: _energy(value, f"time stamp {text}") for text, value in profile.items()}
    return {slot_time(text, today): energy_kwh for text, energy_kwh in energies.items()}


def single_energy(body: object, command: str) -> float:
    """The energy in kWh of a body without slot time: {"energy_Wh": x}, or the older {"energy_forecast": x} in Wh.

    Raises:
        IncorrectRequest: other keys.
        RejectedError: a value that the engine refuses.
    """
    return _energy(_argument(body, command, ("energy_Wh", "energy_forecast")), "the next slot") / WH_PER_KWH


def _argument(body: object, command: str, keys: tuple[str, ...]) -> object:
    given = set(body) - {"transaction_id"} if isinstance(body, Mapping) else set()
    if isinstance(body, Mapping) and len(given) == 1 and (key := given.pop()) in keys:
        value: object = body[key]
        return value
    raise IncorrectRequest(f"Incorrect {command} request. Available parameters: ({', '.join(keys)}).")


def _energy(value: object, what: str) -> float:
    # bool is an int to Python, and never an energy.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RejectedError(f"Energy is not a number for {what}.")
    if value < 0:
        raise RejectedError(f"Energy is not positive for {what}.")
    try:
        return float(value)
    except OverflowError as error:
        raise RejectedError(f"Energy is out of range for {what}.") from error
