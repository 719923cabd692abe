"""GSy's simulation config JSON, as the sandbox needs it: the simulation's uuid, the registry tree, its assets."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pipelines.errors import ConfigurationError, Issue

AREA = "Area"
"""Type of the inner nodes: markets, which take no live data."""


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A leaf of the registry."""

    name: str
    type: str


@dataclass(frozen=True, kw_only=True)
class Registry:
    """One simulation."""

    simulation: str
    """Its uuid."""

    tree: Mapping[str, Any]
    """Nodes of name, type, uuid and children, as the file has them."""

    assets: Mapping[str, Asset]
    """By uuid."""


def read_registry(path: Path) -> Registry:
    """Read a simulation config file (GSy's schema: gsy_framework/schemas.py).

    Raises:
        ConfigurationError: the file can't be read as one; lists every fault.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError([_issue(path, "", f"it can't be read as JSON ({error})", _DOWNLOAD)]) from error
    if not isinstance(config, dict):
        raise ConfigurationError([_issue(path, "", "it holds no JSON object", _DOWNLOAD)])
    issues: list[Issue] = []
    simulation = config.get("uuid")
    if not _is_text(simulation):
        issues.append(_issue(path, "uuid", "the simulation's uuid is missing", "Write it as a text"))
    tree = config.get("registry")
    assets: dict[str, Asset] = {}
    for where, node in _nodes(tree):
        issues.extend(_faults(path, where, node, assets))
        if isinstance(node, dict) and node.get("type") != AREA and _is_text(node.get("uuid")):
            assets[node["uuid"]] = Asset(name=str(node.get("name")), type=str(node.get("type")))
    if not assets:
        issues.append(_issue(path, "registry", "it holds no asset", "Give the tree at least one Load or PV"))
    if issues:
        raise ConfigurationError(issues)
    return Registry(simulation=cast("str", simulation), tree=cast("dict[str, Any]", tree), assets=assets)


_DOWNLOAD = "Give the simulation config JSON that the exchange's Registry page lets you download"


def _nodes(root: object) -> Iterator[tuple[str, object]]:
    """Every node with its place in the file, a parent before its children."""
    waiting: list[tuple[str, object]] = [("registry", root)]
    while waiting:
        where, node = waiting.pop()
        yield where, node
        children = node.get("children") if isinstance(node, dict) else None
        if isinstance(children, list):
            waiting.extend((f"{where}.children[{i}]", child) for i, child in reversed(list(enumerate(children))))


def _faults(path: Path, where: str, node: object, known: Mapping[str, Asset]) -> Iterator[Issue]:
    if not isinstance(node, dict):
        yield _issue(path, where, "it is no object", "Write an object with name, type, uuid and children")
        return
    for key in ("name", "type", "uuid"):
        if not _is_text(node.get(key)):
            yield _issue(path, f"{where}.{key}", "it is missing", "Write it as a text")
    if not isinstance(node.get("children"), list | None):
        yield _issue(path, f"{where}.children", "it is no list", "Write a list of nodes, or null")
    if _is_text(uuid := node.get("uuid")) and uuid in known:
        yield _issue(path, f"{where}.uuid", "another asset has the same uuid", "Give each asset its own")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _issue(path: Path, field: str, problem: str, remedy: str) -> Issue:
    return Issue(where=f"registry file {path.name}", field=field, problem=problem, remedy=remedy)
