"""What the file says of its assets beside what the exchange says of them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipelines.errors import ConfigurationError, Issue, Severity
from pipelines.exchange.registry import Place, choose
from pipelines.sync.reading import FileAsset

SUGGESTIONS = 20
"""Unknown names for which a near one is looked for: against ten thousand names each takes a tenth of a second."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One value of the file that isn't the exchange's."""

    asset: FileAsset
    field: str
    """`uuid` or `live`."""

    old: str | bool | None
    new: str | bool


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The file beside the registry."""

    changes: list[Change] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    """Assets that can't be matched by name without a person, and what is worth knowing."""

    only_here: list[FileAsset] = field(default_factory=list)
    """In the file, unknown to the exchange by name and uuid."""

    only_there: list[Place] = field(default_factory=list)
    """At the exchange, and no asset of the file is it."""


def compare(assets: Sequence[FileAsset], places: Sequence[Place], live: frozenset[str] | None) -> Comparison:
    """Match the file's assets with the exchange's, by uuid where it is known there, else by name.

    Args:
        assets: the file's.
        places: the registry's assets.
        live: uuids whose live switch is on; None where that can't be known.
    """
    found = Comparison()
    known = _Known(places)
    matched: dict[int, Place] = {}
    for asset in assets:
        place = _match(asset, known, found)
        if place is not None:
            matched[asset.number] = place
    taken = Counter(place.area.uuid for place in matched.values())
    for asset in assets:
        place = matched.get(asset.number)
        if place is None or place.area.uuid is None:
            continue
        if taken[place.area.uuid] > 1:
            problem = f"{taken[place.area.uuid]} assets of the file would be the exchange's {place.told}"
            found.issues.append(_issue(asset, "uuid", problem, "Give each asset the name or uuid of its own"))
            continue
        found.changes.extend(_changes(asset, place.area.uuid, live))
    found.only_there.extend(place for place in places if place.area.uuid not in taken)
    return found


class _Known:
    """The registry's assets by uuid and by name."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.by_uuid = {place.area.uuid: place for place in places if place.area.uuid}
        self.by_name: dict[str, list[Place]] = defaultdict(list)
        for place in places:
            self.by_name[place.area.name.strip()].append(place)


def _match(asset: FileAsset, known: _Known, found: Comparison) -> Place | None:
    namesakes = known.by_name.get(asset.name, [])
    by_uuid = known.by_uuid.get(asset.uuid or "")
    if by_uuid is not None:
        if by_uuid in namesakes:
            return by_uuid
        return _renamed(asset, by_uuid, namesakes, found)
    if not namesakes:
        found.only_here.append(asset)
    names = known.by_name if len(found.only_here) <= SUGGESTIONS else ()
    try:
        place = choose(asset.name, namesakes, kind=asset.kind, known=names)
    except ConfigurationError as error:
        found.issues.extend(error.issues)
        return None
    problem = ""
    if place.area.uuid is None:
        problem, remedy = "the exchange has it without a uuid", "Ask the exchange's operator"
    elif asset.kind is not None and place.area.type != asset.kind:
        problem = f"at the exchange it is a {place.area.type}, and energy of this asset goes to a {asset.kind}"
        remedy = f"Add a {asset.kind} there, or correct the type here"
    if problem:
        found.issues.append(_issue(asset, "uuid", problem, remedy))
        return None
    return place


def _renamed(asset: FileAsset, by_uuid: Place, namesakes: list[Place], found: Comparison) -> Place | None:
    """The uuid is known at the exchange, under another name."""
    called = f"the exchange calls the asset of this uuid '{by_uuid.area.name}'"
    if namesakes:
        others = "; ".join(place.told for place in namesakes)
        remedy = "Correct the name or the uuid here; to go by the name, write uuid: null and sync again"
        found.issues.append(_issue(asset, "uuid", f"{called}, and another one '{asset.name}': {others}", remedy))
        return None
    remedy = "Nothing needs doing: the uuid counts"
    found.issues.append(_issue(asset, "name", called, remedy, Severity.NOTICE))
    return by_uuid


def _changes(asset: FileAsset, uuid: str, live: frozenset[str] | None) -> list[Change]:
    changes = []
    if asset.uuid != uuid:
        changes.append(Change(asset=asset, field="uuid", old=asset.uuid, new=uuid))
    if live is not None and asset.live is not (uuid in live):
        changes.append(Change(asset=asset, field="live", old=asset.live, new=uuid in live))
    return changes


def _issue(asset: FileAsset, field: str, problem: str, remedy: str, severity: Severity = Severity.FAULT) -> Issue:
    return Issue(where=f"asset '{asset.name}'", field=field, problem=problem, remedy=remedy, severity=severity)
