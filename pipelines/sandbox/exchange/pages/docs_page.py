"""The exchange's OpenAPI document as a page for people: nothing on it is fetched from elsewhere."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.sandbox.controls import CONTROL
from pipelines.sandbox.exchange.wire.paths import LARGEST_BATCH, LARGEST_BODY, largest_body

GROUPS = (
    ("Login", "/api-token-auth/"),
    ("Aggregators and batch commands", "/external-connection/aggregator-api/"),
    ("Registry", "/external-connection/configurations/"),
    ("Assets and markets", "/external-connection/api/"),
    ("Results", "/historical-data/"),
    ("GraphQL", "/graphql/"),
    ("Running the exchange", "/manage/"),
    ("The sandbox itself", CONTROL),
)
"""Titles, and how the paths begin."""

MIB = 1 << 20
DEEPEST = 6
"""Levels of an example; a schema may hold itself."""

_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "pattern": "matches {}",
    "format": "{}",
}
_SAMPLES: dict[str, object] = {"number": 0.25, "integer": 1, "boolean": True, "null": None}
_FORMATS = {"date-time": "2026-03-02T12:15:00Z", "uuid": "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"}

Schema = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Field:
    """A key of a body, or a parameter."""

    name: str
    type: str
    required: bool
    limits: str
    place: str = ""
    """Of a parameter: path or query."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A method of a path."""

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[Field]
    fields: list[Field]
    """Of the body."""

    example: str | None
    """Of the body; None: it has none."""

    limit: str
    """Of the body's size."""

    responses: Mapping[str, str]


def content(document: Mapping[str, Any]) -> dict[str, object]:
    """What the template shows of an OpenAPI document."""
    groups: dict[str, list[Operation]] = {title: [] for title, _ in GROUPS}
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            groups[_group(path)].append(_operation(document, path, method, told))
    return {
        "info": document["info"],
        "groups": {title: found for title, found in groups.items() if found},
        "largest_body_mib": LARGEST_BODY // MIB,
        "largest_batch_mib": LARGEST_BATCH // MIB,
    }


def _group(path: str) -> str:
    return next(title for title, start in GROUPS if path.startswith(start))


def _operation(document: Mapping[str, Any], path: str, method: str, told: Mapping[str, Any]) -> Operation:
    schema = _body_schema(told)
    responses = {status: each["description"] for status, each in told.get("responses", {}).items()}
    limit = ""
    if schema is not None and not path.startswith(CONTROL):
        most = largest_body(path)
        limit = f"At most {most // MIB} MiB; a larger one is refused with 413."
        responses.setdefault("413", f"The body has more than {most} bytes")
    return Operation(
        anchor=f"{method}-{path.strip('/').replace('/', '-').replace('{', '').replace('}', '')}",
        method=method.upper(),
        path=path,
        summary=told.get("summary", ""),
        description=told.get("description", ""),
        parameters=[_parameter(document, each) for each in told.get("parameters", ())],
        fields=[] if schema is None else list(_fields(document, schema)),
        example=None if schema is None else json.dumps(_sample(document, schema), indent=2, ensure_ascii=False),
        limit=limit,
        responses=dict(sorted(responses.items())),
    )


def _body_schema(told: Mapping[str, Any]) -> Schema | None:
    found = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return found if isinstance(found, Mapping) else None


def _parameter(document: Mapping[str, Any], told: Mapping[str, Any]) -> Field:
    schema = _resolved(document, told["schema"])
    return Field(
        name=told["name"],
        type=_type(document, schema),
        required=bool(told.get("required")),
        limits=_limits(document, schema),
        place=told["in"],
    )


def _fields(document: Mapping[str, Any], schema: Schema) -> Iterator[Field]:
    """The keys of an object; of the objects in a list, too."""
    schema = _resolved(document, schema)
    if schema.get("type") == "array":
        schema = _resolved(document, schema["items"])
    for name, told in schema.get("properties", {}).items():
        found = _resolved(document, told)
        yield Field(
            name=name,
            type=_type(document, found),
            required=name in schema.get("required", ()),
            limits=_limits(document, found),
        )


def _resolved(document: Mapping[str, Any], schema: Schema) -> Schema:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _choices(document: Mapping[str, Any], schema: Schema) -> list[Schema]:
    return [_resolved(document, each) for each in schema.get("anyOf", schema.get("oneOf", ()))]


def _type(document: Mapping[str, Any], schema: Schema) -> str:
    if choices := _choices(document, schema):
        return " or ".join(dict.fromkeys(_type(document, each) for each in choices))
    if "enum" in schema:
        return " | ".join(json.dumps(each) for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(document, _resolved(document, schema.get('items', {})))}"
    values = schema.get("additionalProperties")
    if schema.get("type") == "object" and isinstance(values, Mapping):
        return f"object of {_type(document, _resolved(document, values))}"
    return str(schema.get("type", "any"))


def _limits(document: Mapping[str, Any], schema: Schema) -> str:
    schemas = [schema, *_choices(document, schema)]
    told = [words.format(each[key]) for each in schemas for key, words in _LIMITS.items() if key in each]
    if schema.get("default") is not None:
        told.append(f"default {json.dumps(schema['default'])}")
    return ", ".join(told)


def _sample(document: Mapping[str, Any], schema: Schema, level: int = 0) -> object:
    """A value that a schema describes."""
    schema = _resolved(document, schema)
    for key in ("example", "default", "const"):
        if schema.get(key) is not None:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    if choices := _choices(document, schema):
        return _sample(document, choices[0], level)
    return _plain_sample(document, schema, level)


def _plain_sample(document: Mapping[str, Any], schema: Schema, level: int) -> object:
    kind = schema.get("type", "object")
    if kind == "array":
        return [] if level > DEEPEST else [_sample(document, schema.get("items", {}), level + 1)]
    if kind == "object":
        known = schema.get("properties", {}) if level <= DEEPEST else {}
        return {name: _sample(document, told, level + 1) for name, told in known.items()}
    return _FORMATS.get(schema.get("format", ""), "text") if kind == "string" else _SAMPLES[kind]
