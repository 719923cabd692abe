"""Answers of FusionSolar's northbound interface -> rows, plants, devices."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import polars as pl

from pipelines.collect.source import NO_ROWS, rows_frame

TYPES = {
    1: "string inverter",
    38: "residential inverter",
    10: "EMI",
    17: "grid meter",
    47: "power sensor",
    39: "residential battery",
    41: "energy storage system",
}
"""devTypeId -> what it is; other types have no registers that are read."""

_INVERTER, _METER = {"production": "total_cap"}, {"import": "active_cap", "export": "reverse_active_cap"}
_BATTERY = {"charge": "charge_cap", "discharge": "discharge_cap"}
ITEMS: Mapping[int, Mapping[str, str]] = {
    kind: items
    for kinds, items in (((1, 38), _INVERTER), ((10, 17, 47), _METER), ((39, 41), _BATTERY))
    for kind in kinds
}
"""devTypeId -> register -> item, all of them kWh."""

STATES = ("run_state", "meter_status", "battery_status")
"""Items that are 0 where the device has no connection. The last two are from memory: a device without them has one."""

KNOWN = frozenset({"devId", "devDn", "sn", "devTypeId", "collectTime", "dataItemMap"})
"""Names beside an item map that the papers tell of. The maps' own names differ with model and firmware."""

CALENDAR_END_MS = 253_402_300_800_000
"""Year 10000: later numbers are no milliseconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class Points:
    """What an answer tells of registers."""

    frame: pl.DataFrame = field(default_factory=lambda: NO_ROWS)
    devices: frozenset[str] = frozenset()
    """Those it tells of."""

    wrong: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Device and register whose points can't be used, and why."""

    unknown: Counter[str] = field(default_factory=Counter)


def parse_points(data: Any, kind: int, *, at_ms: int | None = None) -> Points:  # noqa: ANN401 - JSON of any shape
    """The registers in the `data` of getDevRealKpi or getDevHistoryKpi. None, or an empty list or map: there are none.

    Args:
        data: as it came.
        kind: devTypeId of all its devices.
        at_ms: the answer's `currentTime` in milliseconds since 1970; None: each point tells its `collectTime`.

    Raises:
        ValueError: it hasn't the form that was agreed; says what is wrong.
    """
    if data is None or (type(data) in {list, dict} and not data):
        return Points()
    if type(data) is not list or not set(map(type, data)) <= {dict}:
        raise ValueError("no list of devices came")
    ids = [point.get("devId") for point in data]
    if not set(map(type, ids)) <= {int, str}:
        raise ValueError("a point has no 'devId'")
    times_ms = [point.get("collectTime") for point in data] if at_ms is None else [at_ms] * len(ids)
    if not set(map(type, times_ms)) <= {int} or not 0 <= min(times_ms) <= max(times_ms) < CALENDAR_END_MS:
        raise ValueError(f"{'collectTime' if at_ms is None else 'currentTime'} isn't milliseconds since 1970")
    told = [point.get("dataItemMap") or {} for point in data]
    if not set(map(type, told)) <= {dict}:
        raise ValueError("a 'dataItemMap' is no map")
    states = {register: [items.get(item) for items in told] for register, item in ITEMS[kind].items()}
    wrong = _wrong(ids, told, states, ITEMS[kind])
    if at_ms is not None:
        lost = [any(items.get(name) == 0 for name in STATES) for items in told]
        states = {
            register: [None if gone else value for gone, value in zip(lost, values, strict=True)]
            for register, values in states.items()
        }
    strange = set().union(*data) - KNOWN
    return Points(
        frame=_frame(ids, times_ms, states, wrong),
        devices=frozenset(map(str, set(ids))),
        wrong=wrong,
        unknown=Counter(name for name in chain.from_iterable(data) if name in strange) if strange else Counter(),
    )


def _wrong(
    ids: Sequence[int | str],
    told: Sequence[Mapping[str, Any]],
    states: Mapping[str, Sequence[Any]],
    items: Mapping[str, str],
) -> dict[tuple[str, str], str]:
    """Device and register of which the item is no number, or is never told though others are."""
    found: dict[tuple[str, str], str] = {}
    for register, values in states.items():
        if set(map(type, values)) <= {int, float}:
            continue
        item = items[register]
        has = {device for device, own in zip(ids, told, strict=True) if item in own}
        for device, own, value in zip(ids, told, values, strict=True):
            if type(value) not in {int, float, type(None)}:
                found[str(device), register] = f"'{item}' isn't a number"
            elif own and device not in has:
                found[str(device), register] = f"it tells no '{item}', so it has no register '{register}'"
    return found


def _frame(
    ids: list[Any],
    times_ms: list[int],
    states: Mapping[str, list[Any]],
    wrong: Iterable[tuple[str, str]],
) -> pl.DataFrame:
    if set(map(type, ids)) == {int} and max(map(abs, ids)) < CALENDAR_END_MS * 1000:
        meter = pl.Series(ids, dtype=pl.Int64).cast(pl.String)  # several times as fast as by hand
    else:
        meter = pl.Series(list(map(str, ids)), dtype=pl.String)
    stamp = pl.Series(times_ms, dtype=pl.Int64).cast(pl.Datetime("ms", "UTC"))
    parts = []
    for register, told in states.items():
        unusable = [device for device, its in wrong if its == register]
        values = [each if type(each) in {int, float} else None for each in told] if unusable else told
        columns = {"meter": meter, "stamp": stamp, "value": pl.Series(values, dtype=pl.Float64, strict=False)}
        own = pl.DataFrame(columns).with_columns(register=pl.lit(register), unit=pl.lit("kWh"))
        parts.append(rows_frame((own.filter(~pl.col("meter").is_in(unusable)) if unusable else own).to_dict()))
    return stack_rows(parts)


def stack_rows(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """`ROWS` of several answers, one after another."""
    if not frames:
        return NO_ROWS
    return pl.concat(frames).with_columns(order=pl.int_range(pl.len(), dtype=pl.Int64()))


def parse_plants(data: Any) -> tuple[list[str], int]:  # noqa: ANN401 - JSON of any shape
    """Codes of the plants in the `data` of /stations, and how many pages there are. None or []: no plant.

    Raises:
        ValueError: it hasn't the form that was agreed; says what is wrong.
    """
    if data is None or data == []:
        return [], 1
    rows, pages = (data.get("list") or [], data.get("pageCount", 1)) if type(data) is dict else (None, None)
    if type(rows) is not list or type(pages) is not int:
        raise ValueError("no page of plants came")
    codes = [row.get("plantCode") if type(row) is dict else None for row in rows]
    if not set(map(type, codes)) <= {str}:
        raise ValueError("a plant has no 'plantCode'")
    return list(map(str, codes)), pages


def parse_devices(data: Any) -> dict[str, tuple[int, str]]:  # noqa: ANN401 - JSON of any shape
    """Device -> devTypeId and name, of the `data` of /getDevList. None or []: no device.

    Raises:
        ValueError: as of `parse_plants`.
    """
    if data is None:
        return {}
    if type(data) is not list or not set(map(type, data)) <= {dict}:
        raise ValueError("no list of devices came")
    found = {}
    for told in data:
        device, kind = told.get("id"), told.get("devTypeId")
        if type(device) not in {int, str} or type(kind) is not int:
            raise ValueError("a device has no 'id' or no 'devTypeId'")
        words = (told.get("devName"), TYPES.get(kind, f"type {kind}"))
        found[str(device)] = (kind, " ".join(str(word) for word in words if word))
    return found
