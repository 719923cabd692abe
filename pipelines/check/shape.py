"""What the models refuse, told in words for the one who wrote the file."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError

from pipelines.check.checks import about_checks
from pipelines.check.finding import SECRET_KEYS, Finding, Loc, did_you_mean, fault, shown
from pipelines.community import (
    METER_DATABASE,
    Asset,
    AssetType,
    Cloud,
    Columns,
    Community,
    CommunitySection,
    EstimationSection,
    ExchangeSection,
    FeeSpan,
    MarketFees,
    MeterDatabase,
    QualitySection,
    Stream,
)
from pipelines.settings import DATABASE_PASSWORD, EXCHANGE_PASSWORD, EXCHANGE_USERNAME, source_password

MODELS: Mapping[str, type[BaseModel]] = {
    "file": Community,
    "community": CommunitySection,
    "exchange": ExchangeSection,
    "source": MeterDatabase,
    "cloud": Cloud,
    "columns": Columns,
    "asset": Asset,
    "stream": Stream,
    "estimation": EstimationSection,
    "quality": QualitySection,
    "fees": MarketFees,
    "fee span": FeeSpan,
}

SENDABLE = ", ".join(kind.value for kind in AssetType if kind.sent_as)

RIGHT: Mapping[tuple[str, str], str] = {
    ("file", "community"): "Add the section with name and simulation_uuid",
    ("file", "exchange"): "Add the section with base_url",
    ("file", "database"): "Write a database URL, or leave it out for sqlite:///slotfeed.sqlite",
    ("file", "allow_http"): "List hosts by name or address alone, without http:// and port, such as [grid.lan]",
    ("file", "sources"): "Add at least one meter database",
    ("file", "assets"): "List at least one asset, each with name, uuid, type, rated_power_kw and streams",
    ("community", "name"): "Write the community's name",
    ("community", "simulation_uuid"): "Write the uuid after /results/ in the address of the exchange's page",
    ("exchange", "base_url"): "Write the exchange's address, such as https://gsyweb.gridsingularity.com",
    ("source", "url"): "Write one like postgresql+psycopg://reader@db.example/meters or sqlite:///meters.sqlite",
    ("source", "columns"): "Say which column holds what: meter, time and value at least",
    ("source", "wide"): "Map each value column to the register it holds, such as pos_act_energy_total: 1-0:1.8.0",
    ("cloud", "type"): "Write the vendor's name, such as inexogy",
    ("cloud", "url"): "Write the address, such as https://eu5.fusionsolar.huawei.com/thirdData, without a user",
    ("columns", "meter"): "Write the name of the column with the meter's id",
    ("columns", "time"): "Write the name of the column with the time stamp",
    ("asset", "name"): "Give the asset a name",
    ("asset", "uuid"): "Write the uuid that the exchange gave this asset",
    ("asset", "type"): f"Write one of {SENDABLE}",
    ("asset", "rated_power_kw"): "Write the largest power it can draw or feed in, in kW, such as 5.5",
    ("asset", "streams"): "List at least one stream: source, device, kind and unit",
    ("file", "archive"): "Write the name of a folder, or leave it out for archive",
    ("community", "holidays"): "Write a country such as AT, with its part where it has its own, such as DE-BY",
    ("quality", "folder"): "Write the name of a folder, or leave it out for quality",
    ("quality", "url"): "Write the address at which the folder is served, or leave it out",
    ("asset", "load_profile"): "Write a profile of the BDEW, such as h0 for a household or g0 for trade",
    ("asset", "annual_kwh"): "Write the energy of a year in kWh, such as 3500",
    ("exchange", "aggregator"): "Write the aggregator's name or uuid",
    ("exchange", "websocket_url"): "Write one like wss://gsyweb.gridsingularity.com/external-ws, or leave it out",
    ("fees", "market"): "Write the market's name at the exchange",
    ("fees", "uuid"): "Write the uuid that the exchange gave this market",
    ("fees", "cents_per_kwh"): "Write the fee that holds where no span says otherwise, such as 4.2",
    ("fees", "schedule"): "List spans, each with from, to and cents_per_kwh, or leave it out",
    ("fee span", "from"): "Write the time at which it begins, in quotes, such as '22:00'",
    ("fee span", "to"): "Write the time at which it ends, in quotes, such as '06:00'",
    ("fee span", "days"): "List days: mon, tue, wed, thu, fri, sat, sun; or leave it out for every day",
    ("fee span", "cents_per_kwh"): "Write the fee of this span, such as 4.2",
    ("stream", "source"): "Name one of the file's sources",
    ("stream", "device"): "Write the meter's id as its source knows it",
    ("stream", "unit"): "Write Wh, kWh or MWh for energy, W, kW or MW for power",
}
"""What would be right, by section and key, where the kind of the value alone doesn't say it."""

SAYS_WHAT_IS_ALLOWED = frozenset(
    {"enum", "literal_error", "greater_than", "greater_than_equal", "less_than", "less_than_equal"}
    | {"string_pattern_mismatch"}
)
"""pydantic's kinds of error whose own remedy is nearer than the one in RIGHT."""


def shape_findings(error: ValidationError) -> Iterator[Finding]:
    """One finding for each thing the models refuse."""
    for detail in error.errors(include_url=False):
        # The whole is called too short also when each of its parts was refused and told of already.
        if detail["type"] == "too_short" and detail["input"]:
            continue
        if about_checks(tuple(detail["loc"])):
            continue
        found = _finding(detail["type"], tuple(detail["loc"]), detail["input"], detail.get("ctx", {}), detail["msg"])
        yield replace(found, loc=_as_written(found.loc))


def _as_written(loc: Loc) -> Loc:
    """The path as the file has it: pydantic puts in which kind of source it took one for."""
    match loc:
        case ("sources", name, "meter_database" | "cloud", *rest):
            return ("sources", name, *rest)
    return loc


def section_of(loc: Loc) -> tuple[str, str]:
    """Which model and which of its keys the path points at: ("stream", "unit")."""
    match loc:
        case ("assets", int(), "streams" | "check_registers", int(), str(key), *_):
            section = "stream"
        case ("assets", int(), *rest):
            section, key = "asset", str(rest[0]) if rest else ""
        case ("grid_fees", int(), "schedule", int(), str(key), *_):
            section = "fee span"
        case ("grid_fees", int(), *rest):
            section, key = "fees", str(rest[0]) if rest else ""
        case ("sources", _, "meter_database", "columns", str(key), *_):
            section = "columns"
        case ("sources", _, "meter_database" | "cloud" as kind, *rest):
            section, key = "source" if kind == METER_DATABASE else "cloud", str(rest[0]) if rest else ""
        case ("community" | "exchange" | "estimation" | "quality" as name, str(key), *_):
            section = name
        case _:
            section, key = "file", str(loc[0]) if loc else ""
    return section, key


def _finding(kind: str, loc: Loc, value: object, context: Mapping[str, Any], message: str) -> Finding:
    if kind in {"extra_forbidden", "invalid_key"}:
        return _unknown_key(loc)
    right = RIGHT.get(section_of(loc))
    if kind == "missing":
        return fault(loc, "is missing", right or _right_by_kind(loc))
    if loc[-1:] == ("[key]",):
        return _bad_name(loc, value)
    if value is None or kind in {"string_too_short", "too_short"}:
        return fault(loc, "is empty", right or _right_by_kind(loc))
    problem, remedy = _by_kind(kind, loc, value, context, message)
    return fault(loc, problem, right if right and kind not in SAYS_WHAT_IS_ALLOWED else remedy)


def _unknown_key(loc: Loc) -> Finding:
    section, key = section_of(loc)
    if SECRET_KEYS.search(key) and (names := _secret_names(section, loc)):
        return fault(loc, "no secret stands in this file", f"Take it out and set {names} in the environment or in .env")
    known = (info.alias or name for name, info in MODELS[section].model_fields.items())
    return fault(loc, "this key is unknown", did_you_mean(key, known))


def _secret_names(section: str, loc: Loc) -> str:
    return {
        "exchange": f"{EXCHANGE_USERNAME[0]} and {EXCHANGE_PASSWORD[0]}",
        "file": DATABASE_PASSWORD[0],
        "source": source_password(str(loc[1]))[0] if len(loc) > 1 else "",
        "cloud": source_password(str(loc[1]))[0] if len(loc) > 1 else "",
    }.get(section, "")


def _bad_name(loc: Loc, value: object) -> Finding:
    what = "a source's name" if len(loc) == 3 and loc[0] == "sources" else "a column's name"
    return fault(loc, f"{shown(value)} can't be {what}", "Use letters, digits and underscores, a letter first")


def _right_by_kind(loc: Loc) -> str:
    section, key = section_of(loc)
    allowed = {
        ("source", "type"): "meter_database",
        ("source", "time_type"): "timestamptz, naive, epoch_s or epoch_ms",
        ("stream", "kind"): "register, interval or power",
        ("stream", "label"): "instant, start or end",
    }.get((section, key))
    return f"Write {allowed}" if allowed else "Write a value, or take the key out"


def _by_kind(kind: str, loc: Loc, value: object, context: Mapping[str, Any], message: str) -> tuple[str, str]:
    seen = shown(value)
    match kind:
        case "enum" | "literal_error":
            sendable = section_of(loc) == ("asset", "type")
            allowed = SENDABLE if sendable else str(context["expected"]).replace("'", "")
            return f"{seen} is none of the allowed values", _nearest(str(value), allowed)
        case "string_pattern_mismatch":
            return _bad_word(loc, str(value))
        case "value_error":
            reason, _, remedy = str(context["error"]).partition("; ")
            return reason if "@" not in reason else f"{seen} can't be used", remedy[:1].upper() + remedy[1:]
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return f"{seen} is out of range", f"Write a number {message.removeprefix('Input should be ')}"
    return _by_type(kind, seen)


def _bad_word(loc: Loc, value: str) -> tuple[str, str]:
    place = section_of(loc)
    match place[0]:
        case "exchange":
            return _bad_address(value, RIGHT[place])
        case "fee span":
            return f"{shown(value)} is no time of day", RIGHT[place]
        case "cloud":
            return f"{shown(value)} can't be used", "Write another"
        case "community" | "quality" | "asset" | "file":
            return f"{shown(value)} can't be used", RIGHT[place]
    return f"{shown(value)} can't be the name of a table or column", "Write name or schema.name, without quotes"


def _bad_address(value: str, right: str) -> tuple[str, str]:
    if "@" in value:
        names = f"{EXCHANGE_USERNAME[0]} and {EXCHANGE_PASSWORD[0]}"
        return "a user name stands in this address", f"Take it out and set {names} in the environment or in .env"
    return f"{shown(value)} is no address", right


def _by_type(kind: str, seen: str) -> tuple[str, str]:
    if kind.startswith("float") or kind == "finite_number":
        return f"{seen} is no number", "Write a number with a decimal point, such as 5.5"
    if kind.startswith("int"):
        return f"{seen} is no whole number", "Write a whole number, such as 15"
    if kind.startswith("bool"):
        return f"{seen} is neither true nor false", "Write true or false"
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        return f"{seen} stands where key: value lines belong", "Write one key: value a line, indented"
    if kind in {"tuple_type", "list_type"}:
        return f"{seen} stands where a list belongs", "Begin each entry with a dash"
    return f"{seen} is no text", "Write a text, in quotes where it looks like something else"


def _nearest(value: str, allowed: str) -> str:
    names = re.split(r", | or ", allowed)
    meant = did_you_mean(value, names)
    return f"{meant} Allowed: {allowed}" if meant.startswith("Did") else f"Write {allowed}"
