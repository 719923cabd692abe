"""GSy's scenario: a digital twin as JSON, a tree of areas whose uuids may still be missing."""

from pathlib import Path

from pipelines.errors import ConfigurationError, Issue
from pipelines.gsy_files.reading import read_json
from pipelines.gsy_files.tree import AREA, Area, parse_tree

ASSETS = (
    *("PV", "PredefinedPV", "Load", "SmartMeter", "Storage", "HeatPump", "WindTurbine"),
    *("InfiniteBus", "MarketMaker", "FiniteDieselGenerator", "CommercialProducer"),
    *("ScmStorage", "ScmHeatPump"),
)
"""Types of a scenario's leaves (gsy-framework, `schemas.py`, ScenarioSchemas); the last two of coefficient
communities."""

EXPORT_AGAIN = "Export the scenario from the exchange again"


def read_scenario(path: Path) -> Area:
    """Read the file; `forecast_stream_enabled` is a node's `live`.

    Raises:
        ConfigurationError: it can't be read, or isn't one; holds every fault found.
    """
    where = f"scenario {path.name}"
    root = parse_tree(read_json(path, where=where, remedy=EXPORT_AGAIN), where=where)
    issues = [
        Issue(where=where, field=f"'{area.name}'", problem=problem, remedy=remedy)
        for area in root.walk()
        if (found := _fault(area)) is not None
        for problem, remedy in [found]
    ]
    if not any(root.leaves()):
        remedy = "Give the tree at least one Load or PV"
        issues.append(Issue(where=where, field="", problem="it holds no asset", remedy=remedy))
    if issues:
        raise ConfigurationError(issues)
    return root


def _fault(area: Area) -> tuple[str, str] | None:
    if area.type != AREA and area.type not in ASSETS:
        return f"'{area.type}' is no type of the exchange", f"Known: {AREA}, {', '.join(ASSETS)}"
    if area.type != AREA and area.children:
        return f"a {area.type} can't hold other nodes", f"Make it an {AREA}, or move what it holds"
    return None
