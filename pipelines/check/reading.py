"""YAML into plain values, refusing what YAML 1.1 would silently read as something else.

Faults that PyYAML's own loader lets pass: a key written twice (the last would win), and identifiers that YAML takes
for numbers (https://yaml.org/type/int.html): 0123 is octal, 1:30 counts in sixties, 1.10 is 1.1, yes is true.
Keys are always taken as they are written, and so are dates.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from expectations.names import Check
from pipelines.check.finding import SECRET_KEYS, Finding, Loc, fault, listed

NUMBER_FIELDS = frozenset(
    {"slot_length", "margin_s", "concurrency", "rated_power_kw", "interval", "sign", "scale", "overlap"}
    | {"settle", "latitude", "longitude", "assets_per_batch", "cents_per_kwh", "annual_kwh", "dials"}
    | {"low", "high", "linear_minutes", "like_day_weeks", "longest_days"}
    | {"silent_minutes", "discrepancy_hours", "coverage_drop", "quota_left"}
)
"""Keys whose value is a number; every other number in the file is somebody's identifier."""

TRUTH_FIELDS = frozenset({"two_way", "row_order", "live", "post_estimates", "on", "repair"})
"""Keys whose value is true or false. A check may be `off`, too."""

TAG = "tag:yaml.org,2002:"
SEVERAL_READINGS = frozenset({TAG + "int", TAG + "float", TAG + "bool"})
DATE = "tag:yaml.org,2002:timestamp"


_Fastest: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where PyYAML was built with it, ten times as fast: the file is read before every run."""


class _Loader(_Fastest):  # type: ignore[misc]
    """PyYAML's safe loader without its notion of dates: an identifier may look like one."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the parent's own attribute
        first: [(tag, pattern) for tag, pattern in resolvers if tag != DATE]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_yaml(path: Path) -> tuple[object, list[Finding]]:
    """The file's value and what is wrong with its YAML; the value is None where it can't be read at all."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None, [fault((), "there is no such file", "Write one with `slotfeed init`, or name the right path")]
    except UnicodeDecodeError as error:
        return None, [fault((), f"byte {error.start + 1} is not UTF-8", "Save the file in UTF-8")]
    except OSError as error:
        return None, [fault((), f"it can't be read ({error.strerror})", "Name a file that this user may read")]
    return parse_yaml(text)


def parse_yaml(text: str) -> tuple[object, list[Finding]]:
    """The text's value and what is wrong with its YAML."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, [fault((), "it is empty", "Write an example with `slotfeed init` and change that")]
        findings = list(_walk(node, (), seen=set()))
        value = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        return None, [_not_yaml(_told_by_python(text) or error)]
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return None, [fault((), f"line {line} holds a character that YAML doesn't allow", "Take it out")]
    except ValueError:
        return None, [fault((), "a value doesn't fit its YAML tag", "Take out tags such as !!int")]
    if not isinstance(value, dict):
        return None, [
            fault((), "it isn't a mapping", "Begin with the sections community, exchange, sources and assets")
        ]
    return value, findings


def _told_by_python(text: str) -> yaml.MarkedYAMLError | None:
    """The same trouble in the words of PyYAML's own parser, which names tabs and the like where libyaml doesn't."""
    try:
        yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        return error
    return None


def _not_yaml(error: yaml.MarkedYAMLError) -> Finding:
    # The mark's snippet would quote the line, and with it whatever stands there.
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = error.problem or error.context or "not readable"
    remedy = "Mend it there or in the line above: check indentation, colons and quotes"
    if "'\\t'" in problem:
        remedy = "Indent with spaces: YAML allows no tabs"
    elif "expected a single document" in str(error.context):
        problem, remedy = "a second document begins", "Take out the line ---"
    return fault((), f"it isn't YAML: {place}{problem}", remedy)


def _walk(node: Node, loc: Loc, *, seen: set[int]) -> Iterator[Finding]:
    if id(node) in seen:  # an alias: told where it was first written
        return
    seen.add(id(node))
    if isinstance(node, MappingNode):
        yield from _walk_mapping(node, loc, seen)
    elif isinstance(node, SequenceNode):
        for index, child in enumerate(node.value):
            yield from _walk(child, (*loc, index), seen=seen)
    elif isinstance(node, ScalarNode) and not node.style and node.tag in SEVERAL_READINGS:
        yield from _misread(node, loc)


def _walk_mapping(node: MappingNode, loc: Loc, seen: set[int]) -> Iterator[Finding]:
    lines: dict[str, list[int]] = {}
    for key, value in node.value:
        if not isinstance(key, ScalarNode):
            continue  # refused by the constructor, with its line
        if key.tag != TAG + "merge":
            key.tag = TAG + "str"
            lines.setdefault(key.value, []).append(key.start_mark.line + 1)
        yield from _walk(value, (*loc, key.value), seen=seen)
    for name, where in lines.items():
        if len(where) > 1:
            yield fault(
                (*loc, name),
                f"the key stands {'twice' if len(where) == 2 else f'{len(where)} times'}, "
                f"in lines {listed(where)}; YAML would drop all but the last",
                "Keep one of them",
            )


def _misread(node: ScalarNode, loc: Loc) -> Iterator[Finding]:
    text, value = node.value, _scalar(node)
    name = next((part for part in reversed(loc) if isinstance(part, str)), "")
    line = f"(line {node.start_mark.line + 1})"
    if name in TRUTH_FIELDS or name in list(Check) or SECRET_KEYS.search(name):
        return
    if name in NUMBER_FIELDS:
        # 5.50, +5 or 1_000 are the numbers they look like; these are not.
        if isinstance(value, bool) or ":" in text or (isinstance(value, int) and _digits(text).startswith("0")):
            yield fault(loc, f"YAML reads {text} as {_told(value)} {line}", "Write a plain decimal number")
    elif _told(value) != text:
        yield fault(
            loc, f"YAML reads {text} as {_told(value)} {line}", f"Put it in quotes to keep it as written: '{text}'"
        )


def _digits(text: str) -> str:
    """The digits, without sign; the zero of 0 alone misleads nobody."""
    digits = text.lstrip("+-").replace("_", "")
    return digits if len(digits) > 1 else ""


def _scalar(node: ScalarNode) -> Any:  # noqa: ANN401 - a number or a truth value, as the tag says
    constructor = SafeConstructor()
    return constructor.construct_document(node)


def _told(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
