"""The exchange's `asset_statistics.json`: per asset, what it should have had and what it traded, slot by slot.

Nested by area name in downloads, keyed by uuid in another form of the same file; a leaf is what has series of slots.
Names of files and keys differ in case between the exchange's papers and its files, so case is not looked at.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from pipelines.errors import TerminalError
from pipelines.frames import INSTANT

STATISTICS = pl.Schema(
    {
        "asset_id": pl.String(),
        "asset_name": pl.String(),
        "area_path": pl.String(),
        "slot_start": INSTANT,
        "profile_kwh": pl.Float64(),
        "trade_energy_kwh": pl.Float64(),
    }
)
"""Key: area_path, slot_start. `asset_id` where the name or uuid is one of the community's, beyond doubt. `area_path`:
the names of the areas around it, `/` between them. `trade_energy_kwh`: bought > 0, sold < 0. Null where the download
says nothing."""

PROFILES = frozenset({"load_profile_kwh", "pv_production_kwh", "smart_meter_profile_kwh"})
TRADES = "trade_energy_kwh"
SLOT_FORMAT = "%Y-%m-%dT%H:%M"

Leaf = tuple[tuple[str, ...], Mapping[str, Any]]


def statistics_frame(document: object, known: Mapping[str, str], *, where: str) -> pl.DataFrame:
    """The profiles and trades of every asset in the document.

    Args:
        document: parsed JSON.
        known: the community's assets, uuid -> name.
        where: the file's name, for messages.

    Raises:
        TerminalError: it isn't such a document; names the first odd place.
    """
    leaves = list(_leaves(document, where))
    if not leaves:
        raise TerminalError(f"{where} holds no asset with a profile or trades: is it a results download?")
    uuids = _uuids(leaves, known)
    rows = [row for path, leaf in leaves for row in _rows(path, leaf, uuids.get(path), known, where)]
    return pl.DataFrame(rows, schema=STATISTICS, orient="row").sort("area_path", "slot_start")


def _leaves(document: object, where: str) -> Iterator[Leaf]:
    # A list of what is still to be looked at, not recursion: a file may be nested deeper than the stack.
    waiting: list[tuple[tuple[str, ...], object]] = [((), document)]
    while waiting:
        path, node = waiting.pop()
        if not isinstance(node, Mapping):
            raise TerminalError(
                f"{where}: {' / '.join(path) or 'the whole'} is no object, so it is no results download"
            )
        keys = {str(key).lower(): value for key, value in node.items()}
        if path and (keys.keys() & (PROFILES | {TRADES})):
            yield path, keys
            continue
        # A leaf's other series (a storage's state of charge, prices) stand beside areas in no file.
        waiting += [((*path, str(key)), value) for key, value in node.items() if isinstance(value, Mapping)]


def _uuids(leaves: Sequence[Leaf], known: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Which of the community's assets each leaf is: by uuid, or by a name that stands once on both sides."""
    here = Counter(path[-1] for path, _ in leaves)
    there = Counter(known.values())
    by_name = {name: uuid for uuid, name in known.items() if there[name] == 1 and here[name] == 1}
    found = {path: path[-1] if path[-1] in known else by_name.get(path[-1]) for path, _ in leaves}
    return {path: uuid for path, uuid in found.items() if uuid is not None}


def _rows(
    path: tuple[str, ...], leaf: Mapping[str, Any], uuid: str | None, known: Mapping[str, str], where: str
) -> list[tuple[str | None, str, str, datetime, float | None, float | None]]:
    place = f"{where}: {' / '.join(path)}"
    profile: dict[datetime, float] = {}
    for name in sorted(PROFILES & leaf.keys()):
        profile |= _series(leaf[name], f"{place}, {name}")
    trades = _series(leaf.get(TRADES), f"{place}, {TRADES}")
    name = path[-1] if uuid is None else known[uuid]
    return [
        (uuid, name, " / ".join(path), slot, profile.get(slot), trades.get(slot))
        for slot in sorted(profile.keys() | trades.keys())
    ]


def _series(series: object, place: str) -> dict[datetime, float]:
    if series is None:
        return {}
    if not isinstance(series, Mapping):
        raise TerminalError(f"{place} isn't keyed by slot")
    found = {}
    for key, value in series.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TerminalError(f"{place}: {str(value)[:40]!r} at {str(key)[:40]!r} is no energy")
        try:
            slot = datetime.strptime(str(key), SLOT_FORMAT).replace(tzinfo=UTC)
        except ValueError as error:
            raise TerminalError(f"{place}: {str(key)[:40]!r} is no slot like 2026-03-01T12:15") from error
        found[slot] = float(value)
    return found
