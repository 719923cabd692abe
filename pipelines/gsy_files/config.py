"""GSy's simulation config: the JSON file that the exchange's Registry page lets its users download.

GSy checks only that its seven top-level keys are there (gsy-framework, `schemas.py`, ApiClientConfigSchema); here
the settings and the tree are checked too, since every asset's uuid is taken from it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pipelines.errors import ConfigurationError, Issue
from pipelines.gsy_files.reading import read_json
from pipelines.gsy_files.tree import Area, build, is_text

KEYS = ("username", "name", "uuid", "domain_name", "web_socket_domain_name", "global_settings", "registry")
"""Of a simulation config; GSy's own client requires them all."""

DOWNLOAD_AGAIN = "Download the file again from the exchange's Registry page"

DEFAULT_TICK = timedelta(seconds=15)
DEFAULT_MARKET_TYPE = 1
DEFAULT_FEE_TYPE = 1
"""Where the settings are silent: GSy's own defaults (gsy-framework, `constants_limits.py`)."""


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """One simulation of the exchange."""

    name: str
    uuid: str
    domain_name: str
    """Address of the exchange, with or without scheme, as the file has it."""

    web_socket_domain_name: str
    username: str
    slot_length: timedelta
    tick_length: timedelta
    spot_market_type: int
    """0 none, 1 one-sided, 2 two-sided, 3 coefficients."""

    grid_fee_type: int
    """1: `fee_const` counts, 2: `fee_percent`."""

    registry: Area
    """Every node has a uuid."""


def read_config(path: Path) -> SimulationConfig:
    """Read the file.

    Raises:
        ConfigurationError: it can't be read, or isn't one; holds every fault found.
    """
    where = f"simulation config {path.name}"
    return parse_config(read_json(path, where=where, remedy=DOWNLOAD_AGAIN), where=where)


def parse_config(config: object, *, where: str) -> SimulationConfig:
    """The same from what `json.load` gives; `where` is what messages call it."""
    if not isinstance(config, Mapping):
        raise ConfigurationError(
            [Issue(where=where, field="", problem="it isn't a JSON object", remedy=DOWNLOAD_AGAIN)]
        )
    issues = [Issue(where=where, field=f, problem=problem, remedy=remedy) for f, problem, remedy in _faults(config)]
    tree = None
    if "registry" in config:
        try:
            tree = build(config["registry"], where=where, field="registry", uuids_required=True)
        except ConfigurationError as error:
            issues.extend(error.issues)
    if tree is not None and not any(tree.leaves()):
        remedy = "Add the members' assets at the exchange first"
        issues.append(Issue(where=where, field="registry", problem="it holds no asset", remedy=remedy))
    if issues or tree is None:
        raise ConfigurationError(issues)
    settings = config["global_settings"]
    return SimulationConfig(
        **{key: config[key] for key in ("name", "uuid", "domain_name", "web_socket_domain_name", "username")},
        slot_length=slot_length(settings.get("slot_length")) or timedelta(),
        tick_length=tick_length(settings.get("tick_length")) or DEFAULT_TICK,
        spot_market_type=_choice(settings, "spot_market_type") or 0,
        grid_fee_type=_choice(settings, "grid_fee_type") or 0,
        registry=tree,
    )


def slot_length(value: object) -> timedelta | None:
    """A slot length as GSy writes it; None where it can't be one.

    Seen: `15m` (the engine's command line), `0:15:00` in a simulation config (gsy-e-sdk, `unit_tests/fixtures`),
    `0:15` in a community data sheet, and a count of seconds between GSy's services. The exchange's slots last 2 to 60
    minutes (gsy-framework, `constants_limits.py`), so a plain number of 2 to 60 is minutes, and one of 120 to 3600
    seconds.
    """
    if (number := _plain_number(value)) is not None:
        length = timedelta(minutes=number) if number <= 60 else timedelta(seconds=number)
    else:
        found = _spoken_length(value)
        if found is None:
            return None
        length = found
    whole = length % timedelta(minutes=1) == timedelta()
    return length if whole and timedelta(minutes=2) <= length <= timedelta(hours=1) else None


def tick_length(value: object) -> timedelta | None:
    """A tick length as GSy writes it, a plain number being seconds; None where it can't be one."""
    number = _plain_number(value)
    length = timedelta(seconds=number) if number is not None else _spoken_length(value)
    return length if length is not None and timedelta(seconds=1) <= length <= timedelta(hours=1) else None


def _plain_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip()
    return float(text) if re.fullmatch(r"\d{1,4}(\.0*)?", text) else None


def _spoken_length(value: object) -> timedelta | None:
    """`h:mm`, `h:mm:ss`, `15m`, `1h 30m`, `15s`, or ISO 8601's `PT15M`."""
    if isinstance(value, timedelta):
        return value
    text = str(value).strip()
    if match := re.fullmatch(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?", text):
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return timedelta(hours=hours, minutes=minutes, seconds=seconds)
    units = r"(?:(\d{1,2})\s*h\w*)?\s*(?:(\d{1,4})\s*m\w*)?\s*(?:(\d{1,4})\s*s\w*)?"
    if text and (match := re.fullmatch(units, text, re.IGNORECASE)):
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if text.startswith("P"):
        try:
            return TypeAdapter(timedelta).validate_python(text)
        except ValidationError:
            return None
    return None


def _faults(config: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    for key in KEYS:
        if key not in config:
            yield key, "it is missing", DOWNLOAD_AGAIN
        elif key not in {"global_settings", "registry"} and not is_text(config[key]):
            yield key, "it is no text", DOWNLOAD_AGAIN
    for key in ("domain_name", "web_socket_domain_name"):
        if "@" in str(config.get(key, "")):
            yield key, "a user name stands in it", "Take it out"
    if "global_settings" in config:
        yield from _settings_faults(config["global_settings"])


def _settings_faults(settings: object) -> Iterator[tuple[str, str, str]]:
    if not isinstance(settings, Mapping):
        yield "global_settings", "it isn't an object", DOWNLOAD_AGAIN
        return
    if slot_length(settings.get("slot_length")) is None:
        remedy = "Write it as h:mm:ss, such as 0:15:00; slots last 2 to 60 whole minutes"
        yield "global_settings.slot_length", "it is no length of a slot", remedy
    if settings.get("tick_length") is not None and tick_length(settings["tick_length"]) is None:
        yield "global_settings.tick_length", "it is no length of a tick", "Write it as h:mm:ss, such as 0:00:15"
    for key, words in (("spot_market_type", "0, 1, 2 or 3"), ("grid_fee_type", "1 or 2")):
        if _choice(settings, key) is None:
            yield f"global_settings.{key}", "it is none that the exchange has", f"Write {words}"


CHOICES = {
    "spot_market_type": (DEFAULT_MARKET_TYPE, ("0", "1", "2", "3")),
    "grid_fee_type": (DEFAULT_FEE_TYPE, ("1", "2")),
}
"""Default and allowed values (gsy-framework, enums of `constants_limits.py`); files have them as text or number."""


def _choice(settings: Mapping[str, object], key: str) -> int | None:
    default, allowed = CHOICES[key]
    value = settings.get(key)
    if value is None:
        return default
    text = str(value).strip()
    return int(text) if not isinstance(value, bool) and text in allowed else None
