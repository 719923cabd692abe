"""What `slotfeed init` writes: an example community file, or one made from GSy's simulation config.

The simulation config is the JSON file that the exchange's Registry page lets its users download. GSy checks
only that its seven top-level keys are there (gsy-framework, `schemas.py`, ApiClientConfigSchema); here the tree
is checked too, since every asset's uuid is taken from it.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic import TypeAdapter, ValidationError

from pipelines.community import AssetType
from pipelines.errors import ConfigurationError, Issue

KEYS = ("username", "name", "uuid", "domain_name", "web_socket_domain_name", "global_settings", "registry")
"""Of a simulation config; GSy's own client requires them all."""

LIVE = {"Load": AssetType.LOAD, "PV": AssetType.PV}
"""Types whose live data the exchange takes (gsy-e, `models/leaves.py`: only these have a forecast strategy)."""

WHY_NOT = {
    "SmartMeter": "the exchange ignores live data for it; add a Load for its import and a PV for its export there",
    "Storage": "the exchange ignores live data for it; add a Load for charging and a PV for discharging there",
    "HeatPump": "the exchange ignores live data for it; add a Load there instead, of type heat_pump here",
    "WindTurbine": "the exchange ignores live data for it",
}

DOWNLOAD_AGAIN = "Download the file again from the exchange's Registry page"

COEFFICIENTS = "3"
"""`spot_market_type` of a community that shares by coefficients."""

EXAMPLE = """\
# A community file of slotfeed. The ten numbered lines are the ones to fill in; what is commented out
# shows a default or a choice. `slotfeed check` finds every fault of this file at once.
#
# No password stands here. slotfeed takes them from the environment, or from a file .env beside this one
# that only its owner can read (chmod 600 .env):
#   SLOTFEED_EXCHANGE_USERNAME, SLOTFEED_EXCHANGE_PASSWORD    your login at the exchange
#   SLOTFEED_SOURCE_METERS_PASSWORD                           of the source `meters` below

community:
  name: Sunny Street
  simulation_uuid: 84d221fa-46e1-49e0-823b-26cfb3425a5a    # (1) after /results/ in the address of the exchange's page
  # slot_length: 15             # minutes, as set at the exchange
  # time_zone: UTC              # of reports, such as Europe/Vienna

exchange:
  base_url: https://gsyweb.gridsingularity.com
  # protocol: rest              # rest: what the test network documents; sdk: what GSy's Python SDK sends
  # margin_s: 30                # a forecast must be there this many seconds before its slot
  # concurrency: 10             # posts at a time

# slotfeed's own database; PostgreSQL where more than one worker runs
# database: postgresql+psycopg://slotfeed@db.example/slotfeed

sources:
  meters:                       # a name of your own, for the streams below
    type: meter_database
    url: postgresql+psycopg://reader@db.example/meters        # (2) any SQLAlchemy URL, without password
    table: readings                                           # (3)
    columns: {meter: meter_id, time: time, register: obis_code, value: value}   # (4) your columns' names
    time_type: timestamptz      # (5) timestamptz, naive, epoch_s or epoch_ms
    # time_zone: Europe/Vienna  # of naive time stamps
    # More columns, where the table has them: end, unit, quality, ingested_at, tie_breaker.
    # Instead of `table`, one SELECT with its parameters:
    # sql: SELECT * FROM readings WHERE time >= :start AND time < :end AND meter_id IN :meters
    # Where each register has a column of its own, leave out columns.register and columns.value:
    # wide: {pos_act_energy_total: "1-0:1.8.0", neg_act_energy_total: "1-0:2.8.0"}
    # What the quality column says -> MEASURED, SUBSTITUTED, ESTIMATED, PROVISIONAL, MISSING or UNUSABLE:
    # quality_map: {"220": MEASURED, "67": SUBSTITUTED}

  # Vendor clouds, in place of the meter database or beside it. Their passwords, keys and tokens are named in the same
  # way: SLOTFEED_SOURCE_ROOF_PASSWORD is that of `roof`. `slotfeed sources list` shows what an account has to read.
  # roof: {type: solaredge}
  # flats: {type: inexogy, username: member@example.org}
  # cellar: {type: home_assistant, url: "http://homeassistant.local:8123"}
  # Further types: fusionsolar, with a username, and victron_vrm.

assets:
  - name: Flat 1                                              # (6)
    uuid: 5f9c3e13-f75d-42af-92e4-55244faec4b4                # (7) the asset's, from the exchange
    type: load                  # (8) load or pv; heat_pump and ev_charger are sent as loads
    rated_power_kw: 10          # (9) the most it can draw or feed in: larger values are put aside
    streams:
      # (10) the channels whose sum is the asset's energy. kind: register, interval or power; ids in quotes.
      - {source: meters, device: "1EMH0012345678", register: "1-0:1.8.0", kind: register, unit: kWh}

  # Energy at the exchange is never negative: what the same meter counts as fed in is a second asset, a pv.
  - name: Flat 1 roof
    uuid: 26090dea-a100-4c9b-9d2c-fcd582be8b2d
    type: pv
    rated_power_kw: 5
    streams:
      - {source: meters, device: "1EMH0012345678", register: "1-0:2.8.0", kind: register, unit: kWh}

  # The streams of a cloud name a register that its vendor has, and need no kind and unit:
  #   - {source: roof, device: "2051001", register: production}

  # Of a stream there is more to say where it needs it:
  #   label: start              # start, end or instant: what the stamp of an interval or a power tells
  #   interval: 15              # minutes of a span whose rows tell only its start or end
  #   sign: -1                  # turns the value round
  #   two_way: true             # goes below zero: name it in two assets, in the pv with sign: -1
"""

HEAD = """\
# Made from {origin}.
# Every line marked "fill in" waits for a value; `slotfeed check` lists them until all are there.
# No password stands here: set SLOTFEED_EXCHANGE_USERNAME, SLOTFEED_EXCHANGE_PASSWORD and
# SLOTFEED_SOURCE_METERS_PASSWORD in the environment, or in a file .env beside this one (chmod 600 .env).
"""

COEFFICIENT_WARNING = """\
# Careful: this community shares by coefficients (spot_market_type 3). The exchange takes live data for it in
# another way, which slotfeed doesn't speak.
"""

SOURCES = """
sources:
  meters:
    type: meter_database
    url: null                 # fill in: such as postgresql+psycopg://reader@db.example/meters
    table: null               # fill in: the table of readings
    columns:
      meter: null             # fill in: its column with the meter's id
      time: null              # fill in: its column with the time stamp
      value: null             # fill in: its column with the value
      # register: obis_code   # where one column tells a meter's channels apart
    time_type: null           # fill in: timestamptz, naive, epoch_s or epoch_ms
    # time_zone: Europe/Vienna  # of naive time stamps

assets:
"""

STREAM = """\
    rated_power_kw: null      # fill in: the most it can draw or feed in
    streams:
      - source: meters
        device: null          # fill in: the meter's id in the source
        # register: "1-0:{register}"
        kind: null            # fill in: register, interval or power
        unit: null            # fill in: Wh, kWh or MWh; W, kW or MW for power
"""


def example_yaml() -> str:
    """A community file to start from: right as it stands, with the lines to change numbered."""
    return EXAMPLE


def write_starter(path: Path, text: str) -> None:
    """Write a new community file.

    Raises:
        ConfigurationError: there is a file already, or none can be made there.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        problem, remedy = "it is there already and stays as it is", "Name another file, or move this one away"
    except OSError as error:
        problem, remedy = f"it can't be written ({error.strerror})", "Name a file in a folder this user may write to"
    else:
        return
    raise ConfigurationError([Issue(where=str(path), field="", problem=problem, remedy=remedy)])


def yaml_from_registry(config: Mapping[str, Any], *, origin: str) -> str:
    """A community file with each asset of the registry that takes live data.

    What the registry can't know (rated power, streams, the meter database) stands as `null`, marked
    "fill in"; `slotfeed check` names each of them as a fault. Assets that take no live data stand
    as comments, with the reason.

    Args:
        config: the simulation config, as `json.load` gives it.
        origin: what to call it in the file's first line and in messages, such as its file name.

    Raises:
        ConfigurationError: it is malformed; holds every fault found.
    """
    issues = list(_faults(config, origin))
    if issues:
        raise ConfigurationError(issues)
    leaves = list(_leaves(config["registry"]))
    settings = config["global_settings"]
    minutes = _slot_length_min(settings["slot_length"])
    text = HEAD.format(origin=_quoted(origin))
    if str(settings.get("spot_market_type")) == COEFFICIENTS:
        text += COEFFICIENT_WARNING
    text += (
        f"\ncommunity:\n  name: {_quoted(config['name'])}\n  simulation_uuid: {_quoted(config['uuid'])}\n"
        f"  slot_length: {minutes}\n\nexchange:\n  base_url: {_quoted(_base_url(config['domain_name']))}\n"
    )
    return text + SOURCES + "".join(_assets(leaves)) + "".join(_left_out(leaves))


@dataclass(frozen=True)
class _Leaf:
    """An asset of the registry."""

    name: str
    kind: str
    uuid: str


def _leaves(node: Mapping[str, Any]) -> Iterator[_Leaf]:
    if node.get("children"):
        for child in node["children"]:
            yield from _leaves(child)
    elif node.get("type") != "Area":
        yield _Leaf(name=node["name"], kind=node["type"], uuid=node["uuid"])


def _assets(leaves: list[_Leaf]) -> Iterator[str]:
    taken: set[str] = set()
    for leaf in leaves:
        if leaf.kind not in LIVE:
            continue
        asset_type = LIVE[leaf.kind]
        mark = "   # fill in: another asset has this name, give each its own" if leaf.name.strip() in taken else ""
        taken.add(leaf.name.strip())
        register = "2.8.0" if asset_type is AssetType.PV else "1.8.0"
        yield (
            f"  - name: {_quoted(leaf.name)}{mark}\n    uuid: {_quoted(leaf.uuid)}\n"
            f"    type: {asset_type.value}\n{STREAM.format(register=register)}"
        )


def _left_out(leaves: list[_Leaf]) -> Iterator[str]:
    others = [leaf for leaf in leaves if leaf.kind not in LIVE]
    if others:
        yield "\n# Also in the registry, but not fed from meters:\n"
    for leaf in others:
        why = WHY_NOT.get(leaf.kind, "no asset of a member")
        yield f"#   {_quoted(leaf.name)} ({_quoted(leaf.kind)}, {_quoted(leaf.uuid)}): {why}\n"


def _quoted(text: str) -> str:
    """The text as one double-quoted YAML scalar on one line, so that nothing in it can end it or a comment."""
    written: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf"))
    return written.strip()


def _faults(config: object, origin: str) -> Iterator[Issue]:
    if not isinstance(config, Mapping):
        yield Issue(where=origin, field="", problem="it isn't a JSON object", remedy=DOWNLOAD_AGAIN)
        return
    tree = list(_tree_problems(config["registry"], "registry")) if "registry" in config else []
    problems = [*_head_problems(config), *((field, problem, DOWNLOAD_AGAIN) for field, problem in tree)]
    if "registry" in config and not tree:
        problems += _asset_problems(config["registry"])
    for field, problem, remedy in problems:
        yield Issue(where=origin, field=field, problem=problem, remedy=remedy)


def _head_problems(config: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for key in KEYS:
        if key not in config:
            yield key, "is missing", DOWNLOAD_AGAIN
    for key in ("name", "uuid", "domain_name"):
        if key in config and not _is_text(config[key]):
            yield key, "is no text", DOWNLOAD_AGAIN
    if _is_text(config.get("domain_name")) and "@" in config["domain_name"]:
        yield "domain_name", "a user name stands in it", "Take it out"
    settings = config.get("global_settings", {})
    if not isinstance(settings, Mapping):
        yield "global_settings", "isn't an object", DOWNLOAD_AGAIN
    elif "global_settings" in config and _slot_length_min(settings.get("slot_length")) is None:
        yield "global_settings.slot_length", "is no length of a slot", "Write it as h:mm:ss, such as 0:15:00"


def _tree_problems(node: object, field: str) -> Iterator[tuple[str, str]]:
    if not isinstance(node, Mapping):
        yield field, "isn't an object"
        return
    children = node.get("children") or []
    # An area inside the tree needs no uuid here; an asset does.
    for key in ("name",) if children else ("name", "type", "uuid"):
        if not _is_text(node.get(key)):
            yield f"{field}.{key}", "is missing" if node.get(key) is None else "is no text"
    if not isinstance(children, list):
        yield f"{field}.children", "isn't a list"
        return
    for index, child in enumerate(children):
        yield from _tree_problems(child, f"{field}.children[{index}]")


def _asset_problems(registry: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    assets = [leaf for leaf in _leaves(registry) if leaf.kind in LIVE]
    if not assets:
        yield "registry", "there is no Load and no PV in it", "Add the members' assets at the exchange first"
    for uuid, count in Counter(leaf.uuid for leaf in assets).items():
        if count > 1:
            names = ", ".join(f"'{leaf.name}'" for leaf in assets if leaf.uuid == uuid)
            yield "registry", f"{names} have the same uuid {uuid}", "Ask the exchange's operator which is whose"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _base_url(domain_name: str) -> str:
    """The address with its scheme; GSy's files are seen with and without one (`localhost`)."""
    name = domain_name.strip().rstrip("/")
    if "://" in name:
        return name
    host = urlsplit(f"//{name}").hostname
    return f"http://{name}" if host in {"localhost", "127.0.0.1"} else f"https://{name}"


def _slot_length_min(value: object) -> int | None:
    """Minutes of a slot length as GSy writes it; None where it can't be one.

    Seen: `0:15:00` in a simulation config (gsy-e-sdk, `unit_tests/fixtures`), `0:15` in a community data sheet,
    and a count of seconds between GSy's services. The exchange's slots last 2 to 60 minutes (gsy-framework,
    `constants_limits.py`), so a plain number of 2 to 60 is minutes, and one of 120 to 3600 seconds.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip()
    if match := re.fullmatch(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?", text):
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        total_s = hours * 3600.0 + minutes * 60 + seconds
    elif re.fullmatch(r"\d{1,4}(\.0*)?", text):
        number = float(text)
        total_s = number * 60 if number <= 60 else number
    elif text.startswith("P"):
        try:
            total_s = TypeAdapter(timedelta).validate_python(text).total_seconds()
        except ValidationError:
            return None
    else:
        return None
    return int(total_s // 60) if 120 <= total_s <= 3600 and total_s % 60 == 0 else None
