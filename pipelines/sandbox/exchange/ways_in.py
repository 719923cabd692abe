"""Makes a digital twin of a file: GSy's simulation config, scenario or data sheet, or slotfeed's community file.

Uuids that a file lacks are made of the simulation's and the node's place, so they are the same each time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import polars as pl
import yaml
from pydantic import ValidationError

from pipelines.community import AssetType, Community
from pipelines.errors import ConfigurationError, Issue
from pipelines.gsy_files.config import read_config
from pipelines.gsy_files.datasheet import DataSheet, read_datasheet
from pipelines.gsy_files.reading import read_json
from pipelines.gsy_files.scenario import read_scenario
from pipelines.gsy_files.tree import AREA, Area
from pipelines.sandbox.exchange.engine.twin import Settings, Twin

OURS = uuid5(NAMESPACE_URL, "urn:slotfeed:sandbox")
"""Name space of the uuids made here."""

_TYPES = {AssetType.BATTERY: "Storage", AssetType.SMART_METER: "SmartMeter", AssetType.PV: "PV"}
"""slotfeed's types at the exchange; every other one is a load there."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a file says."""

    twin: Twin
    profiles: Mapping[str, str] = field(default_factory=dict)
    """CSV in kWh per slot, by the asset's uuid, as an owner would upload it."""


def read_origin(path: Path) -> Origin:
    """What a file says.

    Args:
        path: `.xlsx` is a data sheet, `.yaml` a community file; JSON is a scenario where it is a tree of areas, else a
            simulation config.

    Raises:
        ConfigurationError: the file can't be read as one; lists every fault.
    """
    if path.suffix.lower() == ".xlsx":
        return _of_sheet(read_datasheet(path), path.stem)
    if path.suffix.lower() in {".yaml", ".yml"}:
        return Origin(twin=_of_community(_community(path)))
    remedy = "Give GSy's simulation config, scenario or data sheet, or a community.yaml"
    content = read_json(path, where=f"file {path.name}", remedy=remedy)
    if isinstance(content, Mapping) and {"children", "name"} <= content.keys() and "registry" not in content:
        return Origin(twin=_of_tree(read_scenario(path), Settings()))
    config = read_config(path)
    settings = Settings(
        slot_length=config.slot_length,
        tick_length=config.tick_length,
        spot_market_type=config.spot_market_type,
        grid_fee_type=config.grid_fee_type,
    )
    return Origin(twin=Twin(simulation=config.uuid, name=config.name, tree=config.registry, settings=settings))


def named(tree: Area, simulation: str) -> Area:
    """The tree with a uuid at every node. Trees may be deep, so nothing here calls itself."""
    places: list[tuple[Area, str, int]] = []
    waiting = [(tree, tree.name, -1)]
    while waiting:
        area, place, parent = waiting.pop()
        here = len(places)
        places.append((area, place, parent))
        # The number tells children of one name apart.
        waiting.extend((child, f"{place}/{number}:{child.name}", here) for number, child in enumerate(area.children))
    below: dict[int, list[Area]] = {}
    for here in range(len(places) - 1, -1, -1):
        area, place, parent = places[here]
        uuid = area.uuid or str(uuid5(OURS, f"{simulation}/{place}"))
        below.setdefault(parent, []).append(replace(area, uuid=uuid, children=tuple(below.pop(here, []))))
    return below[-1][0]


def _of_tree(tree: Area, settings: Settings) -> Twin:
    simulation = str(uuid5(OURS, tree.uuid or tree.name))
    return Twin(simulation=simulation, name=tree.name, tree=named(tree, simulation), settings=settings)


def _of_sheet(sheet: DataSheet, name: str) -> Origin:
    kinds = (("Load", sheet.loads), ("PV", sheet.pvs), ("Storage", sheet.storages), ("HeatPump", sheet.heat_pumps))
    rows = [(row.member, Area(name=row.name, type=kind)) for kind, found in kinds for row in found]
    homes = tuple(
        Area(name=one.name, type=AREA, children=tuple(area for member, area in rows if member == one.name))
        for one in sheet.members
    )
    twin = _of_tree(Area(name=name, type=AREA, children=homes), Settings(slot_length=sheet.slot_length))
    uuids = {asset.name: asset.uuid for asset in twin.assets.values()}
    profiles = {
        uuids[str(asset)]: _csv(rows.sort("slot_start"))
        for (asset,), rows in sheet.profiles.group_by("asset_name", maintain_order=True)
        if str(asset) in uuids
    }
    return Origin(twin=twin, profiles=profiles)


def _csv(rows: pl.DataFrame) -> str:
    return rows.select(pl.col("slot_start").dt.strftime("%Y-%m-%dT%H:%M"), "energy_kwh").write_csv(include_header=False)


def _of_community(community: Community) -> Twin:
    leaves = [
        Area(name=one.name, type=_TYPES.get(one.type, "Load"), uuid=one.uuid, live=one.live) for one in community.assets
    ]
    markets = [Area(name=one.market, type=AREA, uuid=one.uuid) for one in community.grid_fees]
    simulation = community.community.simulation_uuid
    tree = Area(name=community.community.name, type=AREA, children=(*markets, *leaves))
    settings = Settings(slot_length=community.slot_length)
    return Twin(simulation=simulation, name=tree.name, tree=named(tree, simulation), settings=settings)


def _community(path: Path) -> Community:
    """The file, whose assets may still lack their uuids."""
    where, remedy = f"community file {path.name}", "slotfeed check tells more"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        problem = f"it can't be read as YAML ({error})"
        raise ConfigurationError([Issue(where=where, field="", problem=problem, remedy=remedy)]) from error
    try:
        return Community.model_validate(_with_uuids(content))
    except ValidationError as error:
        raise ConfigurationError(
            Issue(where=where, field=".".join(map(str, one["loc"])), problem=one["msg"], remedy=remedy)
            for one in error.errors()
        ) from error


def _with_uuids(content: object) -> object:
    if not isinstance(content, dict) or not isinstance(content.get("assets"), list):
        return content
    section = content.get("community")
    simulation = section.get("simulation_uuid") if isinstance(section, dict) else None
    for asset in content["assets"]:
        if isinstance(asset, dict) and asset.get("uuid") is None:
            asset["uuid"] = str(uuid5(OURS, f"{simulation}/{asset.get('name')}"))
    return content
