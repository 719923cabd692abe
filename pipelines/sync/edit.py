"""Writes changed values into the community file's text.

The text is edited where the values stand and nowhere else, so comments, quotes, anchors, indentation and line ends
stay to the byte: dumping the YAML anew would lay it out anew. What comes out is read again and must hold exactly
what was meant.
"""

import contextlib
import copy
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pipelines.check.reading import parse_yaml
from pipelines.errors import ConfigurationError, Issue
from pipelines.starter.parts import FILL_IN_UUID, quoted
from pipelines.sync.compare import Change
from pipelines.sync.reading import BOM, CommunityFile

PLAIN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""A uuid that YAML can take for nothing else, so that it needs no quotes."""

ALIAS = re.compile(r"\s*:\s*(\*[^\s,\[\]{}]+)")
PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")
LINE = re.compile(r"[^\r\n]*")
MARK = re.compile(r"[ \t]*" + re.escape(FILL_IN_UUID))

Edit = tuple[int, int, str]
"""From, to (characters of the text), and what stands there instead."""

_Fastest: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def edited(text: str, changes: Sequence[Change]) -> str:
    """The text with the changes in it.

    Raises:
        ConfigurationError: a value can't be changed without changing another; names the assets.
    """
    assets = _asset_nodes(yaml.compose(text, Loader=_Fastest))
    of_asset: dict[int, list[Change]] = {}
    for change in changes:
        of_asset.setdefault(change.asset.number, []).append(change)
    edits = [edit for number, wanted in of_asset.items() for edit in _edits(text, assets[number], wanted)]
    parts, done = [], 0
    for start, end, replacement in sorted(edits, key=lambda edit: edit[:2]):
        parts += [text[done:start], replacement]
        done = end
    new = "".join([*parts, text[done:]])
    _verify(text, new, changes)
    return new


def save(file: CommunityFile, new: str) -> None:
    """Put the new text in the file's place, in one step and with its mode.

    Raises:
        ConfigurationError: somebody changed the file since it was read, or it can't be written there.
    """
    path = file.path.resolve()  # a link stays a link
    before = _bytes(file, file.text)
    try:
        if path.read_bytes() != before:
            raise _refused(path, "somebody changed it meanwhile, so it stays as it is", "Run the sync again")
        status = path.stat()
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as beside:
                beside.write(_bytes(file, new))
                os.fchmod(beside.fileno(), status.st_mode & 0o7777)
                # Only root may give a file away; anybody else's copy is theirs anyway.
                with contextlib.suppress(PermissionError):
                    os.fchown(beside.fileno(), status.st_uid, status.st_gid)
                beside.flush()
                os.fsync(beside.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        remedy = "Give this user the right to write to the file's folder"
        raise _refused(path, f"it can't be written ({error.strerror})", remedy) from error


def _bytes(file: CommunityFile, text: str) -> bytes:
    return ((BOM if file.marked else "") + text).encode("utf-8")


def _asset_nodes(root: Node | None) -> list[Node]:
    pairs = root.value if isinstance(root, MappingNode) else []
    assets = next((value for key, value in pairs if key.value == "assets"), None)
    return assets.value if isinstance(assets, SequenceNode) else []


def _edits(text: str, node: Node, changes: Iterable[Change]) -> list[Edit]:
    if not isinstance(node, MappingNode):
        return []
    pairs: dict[str, tuple[Node, Node]] = {
        key.value: (key, value) for key, value in node.value if isinstance(key, ScalarNode)
    }
    edits = []
    missing: list[Change] = []
    for change in changes:
        if change.field in pairs:
            edits.append(_replaced(text, *pairs[change.field], change.new))
        else:
            missing.append(change)
    if missing and (after := pairs.get("uuid") or pairs.get("name")):
        edits.append(_inserted(text, node, *after, missing))
    return edits


def _replaced(text: str, key: Node, value: Node, new: str | bool) -> Edit:
    start, end = _span(text, key, value)
    style = value.style if isinstance(value, ScalarNode) else None
    written = _written(new, style)
    if start == end:  # nothing stood there
        return start, end, f" {written}"
    kept = "" if text[start] == "*" else _properties(text[start:end])
    if marked := MARK.match(text, end):
        end = marked.end()
    return start, end, kept + written


def _properties(old: str) -> str:
    found = PROPERTIES.match(old)
    return found.group() if found else ""


def _inserted(text: str, node: MappingNode, key: Node, value: Node, changes: Iterable[Change]) -> Edit:
    """New keys after that of `key`: on lines of their own, or in the braces of the asset."""
    _, end = _span(text, key, value)
    if node.flow_style:
        return end, end, "".join(f", {one.field}: {_written(one.new, None)}" for one in changes)
    if rest := LINE.match(text, end):
        end = rest.end()
    windows = text.startswith("\r\n", end) or (end == len(text) and "\r\n" in text)
    newline = "\r\n" if windows else "\n"
    indent = " " * key.start_mark.column
    return end, end, "".join(f"{newline}{indent}{one.field}: {_written(one.new, None)}" for one in changes)


def _span(text: str, key: Node, value: Node) -> tuple[int, int]:
    """Where the value stands in the text; of an alias, its name and not what it stands for."""
    start: int = value.start_mark.index
    end: int = value.end_mark.index
    if start < key.end_mark.index and (alias := ALIAS.match(text, key.end_mark.index)):
        return alias.span(1)
    return start, end


def _written(new: str | bool, style: str | None) -> str:
    if isinstance(new, bool):
        return "true" if new else "false"
    if not PLAIN.fullmatch(new):
        return quoted(new)
    return f"{style}{new}{style}" if style in {"'", '"'} else new


def _verify(old: str, new: str, changes: Sequence[Change]) -> None:
    """Hold what was written against what was meant."""
    raw, _ = parse_yaml(old)
    value, _ = parse_yaml(new)
    meant = copy.deepcopy(raw)
    if isinstance(meant, dict):
        for change in changes:
            meant["assets"][change.asset.number][change.field] = change.new
    if value == meant:
        return
    raise ConfigurationError(
        Issue(
            where=f"asset '{change.asset.name}'",
            field=change.field,
            problem="it can't be written without changing something else too, as where an anchor is shared",
            remedy=f"Write it by hand: {change.field}: {_written(change.new, None)}",
        )
        for change in (_spoilt(value, meant, changes) or changes)
    )


def _spoilt(value: object, meant: object, changes: Sequence[Change]) -> list[Change]:
    """The changes to blame: those of the assets that aren't as meant."""
    if not (isinstance(value, dict) and isinstance(meant, dict)):
        return []
    got, wanted = value.get("assets"), meant["assets"]
    if not isinstance(got, list) or len(got) != len(wanted):
        return []
    return [change for change in changes if got[change.asset.number] != wanted[change.asset.number]]


def _refused(path: Path, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError([Issue(where=str(path), field="", problem=problem, remedy=remedy)])
