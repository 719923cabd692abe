"""Writes the reference pages from the program itself: its commands, and the keys of the community file.

python -m flows.reference docs
"""

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel

from expectations.names import Check
from flows.cli import app
from pipelines import community
from pipelines.community import Community, Strict

COMMANDS, COMMUNITY_FILE = "commands.md", "community-file.md"

COMMANDS_HEAD = """# Commands

Made from the program by `python -m flows.reference docs`; `slotfeed COMMAND --help` says the same.
`slotfeed --version` tells which release it is.

Exit status: 0 done, 1 something failed or is at fault (it is told), 2 the command line is wrong, 130 stopped by Ctrl-C,
143 by SIGTERM; `commission` has further ones, told there."""

FILE_HEAD = """# The community file

Every key of `community.yaml`, made from the program's own models by `python -m flows.reference docs`. `slotfeed init`
writes a file to start from, and `slotfeed check` finds what is wrong with one, all at once. Unknown keys are refused.
No secret stands in it: [security](security.md#where-secrets-may-be) tells where they may be."""


def commands_page() -> str:
    """The page of all commands, in the order in which `--help` lists them."""
    parts = [COMMANDS_HEAD]
    for path, command in _commands(typer.main.get_command(app), ["slotfeed"]):
        parts += [f"## `{' '.join(path)}`", _sentence(command.help), _parameters(command)]
    return "\n\n".join(filter(None, parts)) + "\n"


def file_page() -> str:
    """The page of all keys, section by section, each model where it is first named."""
    schema = Community.model_json_schema(by_alias=True)
    models = {
        name: model
        for name, model in vars(community).items()
        if inspect.isclass(model) and issubclass(model, BaseModel) and model is not Strict
    }
    defs: Mapping[str, Any] = {"Community": schema, **schema["$defs"]}
    parts, waiting, written = [FILE_HEAD], ["Community"], set[str]()
    while waiting:
        name = waiting.pop(0)
        if name in written or name not in models:
            continue
        written.add(name)
        model = models[name]
        rows = list(_keys(defs[name], _said(model), defs, waiting))
        title = "The whole file" if name == "Community" else f"`{name}`"
        table = ["| key | is | default | |", "|---|---|---|---|", *rows]
        parts += [f"## {title}", "" if name == "Community" else _sentence(model.__doc__), "\n".join(table)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _commands(command: Any, path: list[str]) -> Iterator[tuple[list[str], Any]]:  # noqa: ANN401 - typer's own click
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, one in inner.items():
        yield from _commands(one, [*path, name])


def _parameters(command: Any) -> str:  # noqa: ANN401
    rows = []
    for one in command.params:
        if one.name == "help":
            continue
        is_option = one.param_type_name == "option"
        name = ", ".join(f"`{opt}`" for opt in one.opts) if is_option else f"`{one.name.upper()}`"
        default = "" if one.default in (None, False, ()) or callable(one.default) else f"`{one.default}`"
        rows.append(f"| {name} | {'required' if one.required else default} | {_cell(one.help or '')} |")
    return "\n".join(["| | default | |", "|---|---|---|", *rows]) if rows else ""


def _keys(
    schema: Mapping[str, Any], said: Mapping[str, str], defs: Mapping[str, Any], named: list[str]
) -> Iterator[str]:
    for key, value in schema["properties"].items():
        default = value.get("default")
        shown = "" if default in (None, [], {}) or isinstance(default, dict) else f"`{_plain(default)}`"
        told = "required" if key in schema.get("required", ()) else shown
        yield f"| `{key}` | {_cell(_kind(value, defs, named))} | {told} | {_cell(said.get(key, ''))} |"


def _kind(value: Mapping[str, Any], defs: Mapping[str, Any], named: list[str]) -> str:
    """A value's type in words; models it holds are added to `named`."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        if name == Check.__name__:
            return "[a check](checks.md)"
        if "properties" not in defs[name]:
            return _kind(defs[name], defs, named)
        named.append(name)
        return f"[`{name}`](#{name.lower()})"
    if options := value.get("anyOf") or value.get("oneOf"):
        return " or ".join(dict.fromkeys(_kind(one, defs, named) for one in options if one.get("type") != "null"))
    if "enum" in value or "const" in value:
        return ", ".join(f"`{_plain(one)}`" for one in value.get("enum", [value.get("const")]))
    return _simple_kind(value, defs, named)


def _simple_kind(value: Mapping[str, Any], defs: Mapping[str, Any], named: list[str]) -> str:
    kind = value.get("type")
    if kind == "array":
        return f"list of {_kind(value.get('items', {}), defs, named)}"
    if kind == "object":
        keys = _kind(value.get("propertyNames", {"type": "string"}), defs, named)
        [held] = value.get("patternProperties", {"": value.get("additionalProperties", {})}).values()
        return f"mapping of {keys} to {_kind(held, defs, named)}"
    words = {"integer": f"whole number{_range(value)}", "number": f"number{_range(value)}", "boolean": "true or false"}
    return words.get(str(kind), "text")


def _range(value: Mapping[str, Any]) -> str:
    words = (("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "to"), ("exclusiveMaximum", "below"))
    told = [f"{word} {value[key]:g}" for key, word in words if key in value]
    return f" {' '.join(told)}" if told else ""


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _said(model: type[BaseModel]) -> dict[str, str]:
    """Key in the file -> what stands below its field in the source, of the model and those it is made from."""
    said: dict[str, str] = {}
    for base in reversed([base for base in model.__mro__ if issubclass(base, BaseModel) and base is not BaseModel]):
        [declared] = ast.parse(inspect.getsource(base)).body
        inside = declared.body if isinstance(declared, ast.ClassDef) else []
        for pair in pairwise(inside):
            match pair:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    said[base.model_fields[name].alias or name] = text
    return said


def _sentence(text: str | None) -> str:
    """The first paragraph of a docstring."""
    return " ".join((text or "").split("\n\n")[0].split())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write both pages into the folder that the command line names."""
    folder = Path(sys.argv[1])
    for name, page in ((COMMANDS, commands_page()), (COMMUNITY_FILE, file_page())):
        (folder / name).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
