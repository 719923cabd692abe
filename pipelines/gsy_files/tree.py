"""The tree of markets and assets that GSy's simulation configs, scenarios and registry are made of.

Node keys: gsy-framework, `schemas.py` (ScenarioSchemas, ApiClientConfigSchema), and the engine's `area_dict` for the
fee. Trees may be deep or wide without bound, so nothing here calls itself.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pipelines.errors import ConfigurationError, Issue

AREA = "Area"
"""Type of the inner nodes, the markets; a node without a type is one too."""

FEE_KEYS = ("grid_fee_constant", "const_fee_rate", "fee_const")
"""What GSy's papers call the constant grid fee of a market, in ct/kWh; the first that is there counts."""

OWN_KEYS = frozenset(
    {"name", "type", "uuid", "children", "forecast_stream_enabled", "registered", "aggregator_name", "aggregator"}
)
"""Keys that have a field of their own in `Area`; the rest are attributes."""

SPOKEN = {"true": True, "false": False}
"""The simulation config's schema lets `registered` be a text."""


@dataclass(frozen=True, kw_only=True)
class Area:
    """A node: a market, or an asset at the tree's edge."""

    name: str
    type: str
    """GSy's: `Area`, `Load`, `PV`, `SmartMeter`, `Storage` and so on."""

    uuid: str | None = None
    live: bool | None = None
    """The live switch (`forecast_stream_enabled`); None where the tree doesn't tell."""

    attributes: Mapping[str, object] = field(default_factory=dict)
    """What else stands at the node, as it stands there; an object `attributes` is merged into it."""

    children: tuple["Area", ...] = field(default=(), repr=False)
    registered: bool = False
    aggregator: str | None = None
    """Its name (`aggregator_name`)."""

    fee_const: float | None = None
    """The market's constant grid fee in ct/kWh."""

    @property
    def is_market(self) -> bool:
        """Whether it is an inner node, which holds assets and is none."""
        return self.type == AREA or bool(self.children)

    def walk(self) -> Iterator["Area"]:
        """This node and all below, depth first, a parent before its children, in the file's order."""
        waiting = [self]
        while waiting:
            area = waiting.pop()
            yield area
            waiting.extend(reversed(area.children))

    def leaves(self) -> Iterator["Area"]:
        """The assets, in the file's order; a market without children isn't one."""
        return (area for area in self.walk() if not area.is_market)


def parse_tree(node: object, *, where: str) -> Area:
    """The tree that JSON objects make.

    Uuids may be absent here, as in a scenario; one that is there stands only once.

    Args:
        node: the root, as `json.loads` gives it.
        where: what it is called in messages, such as `registry`; a node's place is written after it
            (`registry.children[2].uuid`).

    Raises:
        ConfigurationError: holds every fault found.
    """
    return build(node, where=where, field=where)


def build(node: object, *, where: str, field: str, uuids_required: bool = False) -> Area:
    """As `parse_tree`, for a tree that is a part of a file.

    Args:
        node: the root.
        where: the file, for messages.
        field: the root's place in it.
        uuids_required: a node without uuid is a fault, as in a simulation config.
    """
    places = list(_places(node, field))
    issues: list[Issue] = []
    owners: dict[str, str] = {}
    for place, _, one in places:
        for key, problem, remedy in _faults(one, owners, uuids_required=uuids_required):
            issues.append(Issue(where=where, field=f"{place}{key}", problem=problem, remedy=remedy))
    if issues:
        raise ConfigurationError(issues)
    # Children come after their parents in `places`: from the end, every node finds its children built.
    below: dict[int, list[Area]] = {}
    for index in range(len(places) - 1, 0, -1):
        _, parent, one = places[index]
        below.setdefault(parent, []).append(_area(one, below.pop(index, [])))
    return _area(places[0][2], below.pop(0, []))


def _places(root: object, field: str) -> Iterator[tuple[str, int, object]]:
    """Every node with its place and its parent's index in this order, depth first."""
    waiting: list[tuple[str, int, object]] = [(field, -1, root)]
    index = 0
    while waiting:
        place, parent, node = waiting.pop()
        yield place, parent, node
        children = node.get("children") if isinstance(node, Mapping) else None
        if isinstance(children, list):
            waiting.extend((f"{place}.children[{i}]", index, child) for i, child in reversed(list(enumerate(children))))
        index += 1


def _area(node: object, children: list[Area]) -> Area:
    """The node; `children` last first."""
    if not isinstance(node, Mapping):
        raise TypeError("a node that isn't an object has passed the checks")
    rest = {key: value for key, value in node.items() if key not in OWN_KEYS}
    if isinstance(told := rest.get("attributes"), Mapping):
        del rest["attributes"]
        rest |= told
    elif told is None:
        rest.pop("attributes", None)
    return Area(
        name=node["name"],
        type=_type(node),
        uuid=node.get("uuid") or None,
        live=node.get("forecast_stream_enabled"),
        attributes=rest,
        children=tuple(reversed(children)),
        registered=_registered(node.get("registered")) or False,
        aggregator=node.get("aggregator_name") or node.get("aggregator") or None,
        fee_const=_fee(node),
    )


def _type(node: Mapping[str, object]) -> str:
    # The scenario's schema lists the text "null" among an area's types.
    kind = node.get("type")
    return AREA if kind is None or kind == "null" else str(kind)


def _registered(value: object) -> bool | None:
    """What `registered` says; None where it says nothing that can be read."""
    if value is None or isinstance(value, bool):
        return bool(value)
    return SPOKEN.get(value.strip().lower()) if isinstance(value, str) else None


def _fee(node: Mapping[str, object]) -> float | None:
    told = next((node[key] for key in FEE_KEYS if node.get(key) is not None), None)
    return float(told) if isinstance(told, int | float) else None


def _faults(node: object, owners: dict[str, str], *, uuids_required: bool) -> Iterator[tuple[str, str, str]]:
    """Of one node alone, as (key, problem, remedy); its uuid is noted in `owners`."""
    if not isinstance(node, Mapping):
        yield "", "it isn't an object", "Write an object with name, type, uuid and children"
        return
    yield from _text_faults(node, uuids_required=uuids_required)
    if isinstance(uuid := node.get("uuid"), str) and uuid.strip():
        if uuid in owners:
            problem = f"'{node.get('name')}' has the same uuid {uuid} as '{owners[uuid]}'"
            yield ".uuid", problem, "Ask the exchange's operator which is whose"
        owners.setdefault(uuid, str(node.get("name")))
    if not isinstance(node.get("children"), list | None):
        yield ".children", "it isn't a list", "Write a list of nodes, or null"
    if not isinstance(node.get("forecast_stream_enabled"), bool | None):
        yield ".forecast_stream_enabled", "it is neither true nor false", "Write the live switch as true or false"
    if _registered(node.get("registered")) is None:
        yield ".registered", "it is neither true nor false", "Write true, false or null"
    for key in FEE_KEYS:
        if (fee := node.get(key)) is not None and not is_number(fee):
            yield f".{key}", "it is no number", "Write the grid fee in ct/kWh, or null"


def _text_faults(node: Mapping[str, object], *, uuids_required: bool) -> Iterator[tuple[str, str, str]]:
    for key in ("name", "type", "uuid", "aggregator_name", "aggregator"):
        value = node.get(key)
        if value is None and (key == "name" or (key == "uuid" and uuids_required)):
            yield f".{key}", "it is missing", "Write it as a text"
        elif value is not None and not is_text(value) and not (value == "" and key.startswith("aggregator")):
            yield f".{key}", "it is no text" if value != "" else "it is empty", "Write it as a text"


def is_text(value: object) -> bool:
    """Whether it is a text with something in it."""
    return isinstance(value, str) and bool(value.strip())


def is_number(value: object) -> bool:
    """Whether it is a finite number; JSON's true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
