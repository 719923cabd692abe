"""The file as far as it is right.

What spans several values is checked also in a file whose models don't all fit: else mending one
fault would uncover the next. So each model is built from those of its fields that are right, beside the
names of those that aren't.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from pipelines.check.finding import Loc, shown
from pipelines.community import (
    METER_DATABASE,
    Asset,
    Cloud,
    Community,
    CommunitySection,
    ExchangeSection,
    HostName,
    MeterDatabase,
    Stream,
)

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Part(Generic[M]):
    """A section of the file as far as it is right."""

    value: M
    """Built from the fields that are right; the others aren't to be read: ask `knows` first."""

    broken: frozenset[str] = frozenset()
    """Fields that are missing or wrong; of a nested section `columns.meter`."""

    def knows(self, *fields: str) -> bool:
        """Whether these fields can be read."""
        return not any(field == b or field.startswith(f"{b}.") for field in fields for b in self.broken)


@dataclass(frozen=True)
class StreamDraft:
    """A stream and its path."""

    asset: int
    number: int
    part: Part[Stream]
    key: str = "streams"
    """Of the list in which it stands."""

    @property
    def loc(self) -> Loc:
        """Path in the file."""
        return ("assets", self.asset, self.key, self.number)

    @property
    def channel(self) -> str | None:
        """`stream_id`, where it can be known."""
        return self.part.value.stream_id if self.part.knows("source", "device", "register_") else None


@dataclass(frozen=True)
class AssetDraft:
    """An asset, its place and its streams."""

    number: int
    part: Part[Asset]
    streams: tuple[StreamDraft, ...]
    check_registers: tuple[StreamDraft, ...]

    @property
    def label(self) -> str:
        """What a message about another asset calls this one."""
        return f"asset {shown(self.part.value.name)}" if self.part.knows("name") else f"asset no. {self.number + 1}"

    @property
    def loc(self) -> Loc:
        """Path in the file."""
        return ("assets", self.number)


@dataclass(frozen=True)
class Draft:
    """The whole file as far as it is right."""

    community: Part[CommunitySection]
    exchange: Part[ExchangeSection]
    database: str | None
    allow_http: tuple[str, ...] | None
    """None: what stands there is wrong, so nothing follows from it."""

    sources: Mapping[str, Part[MeterDatabase]]
    """The meter databases."""

    clouds: Mapping[str, Part[Cloud]]
    assets: tuple[AssetDraft, ...]

    def streams(self) -> Iterator[tuple[AssetDraft, StreamDraft]]:
        """Each stream with its asset, in the order of the file."""
        return ((asset, stream) for asset in self.assets for stream in asset.streams)

    def channels(self) -> Iterator[StreamDraft]:
        """Each stream and each check register, in the order of the file."""
        return (stream for asset in self.assets for stream in (*asset.streams, *asset.check_registers))

    @property
    def source_names(self) -> tuple[str, ...]:
        """Of every kind."""
        return (*self.sources, *self.clouds)

    @property
    def slot_length_min(self) -> int | None:
        """Minutes of a market slot, where they can be known."""
        return self.community.value.slot_length if self.community.knows("slot_length") else None


def draft(raw: Mapping[str, Any]) -> Draft:
    """Take from the file whatever is right in it."""
    named = raw.get("sources")
    sources = {str(name): value for name, value in named.items()} if isinstance(named, Mapping) else {}
    clouds = {name: value for name, value in sources.items() if _is_cloud(value)}
    assets = raw.get("assets")
    database = raw.get("database", Community.model_fields["database"].default)
    return Draft(
        community=_salvage(CommunitySection, raw.get("community")),
        exchange=_salvage(ExchangeSection, raw.get("exchange")),
        database=database if isinstance(database, str) else None,
        allow_http=_hosts(raw.get("allow_http", ())),
        sources={name: _salvage(MeterDatabase, value) for name, value in sources.items() if name not in clouds},
        clouds={name: _salvage(Cloud, value) for name, value in clouds.items()},
        assets=tuple(_asset(number, value) for number, value in enumerate(assets)) if isinstance(assets, list) else (),
    )


def _hosts(raw: object) -> tuple[str, ...] | None:
    try:
        return TypeAdapter(tuple[HostName, ...]).validate_python(raw)
    except ValidationError:
        return None


def _is_cloud(raw: object) -> bool:
    kind = raw.get("type") if isinstance(raw, Mapping) else None
    return isinstance(kind, str) and kind != METER_DATABASE


def _asset(number: int, raw: object) -> AssetDraft:
    given = raw if isinstance(raw, Mapping) else {}
    return AssetDraft(
        number=number,
        part=_salvage(Asset, raw),
        streams=_streams(number, given, "streams"),
        check_registers=_streams(number, given, "check_registers"),
    )


def _streams(asset: int, given: Mapping[str, Any], key: str) -> tuple[StreamDraft, ...]:
    entries = given.get(key)
    if not isinstance(entries, list):
        return ()
    return tuple(
        StreamDraft(asset=asset, number=number, part=_salvage(Stream, entry), key=key)
        for number, entry in enumerate(entries)
    )


def _salvage(model: type[M], raw: object) -> Part[M]:
    given = raw if isinstance(raw, Mapping) else {}
    values: dict[str, Any] = {}
    broken: set[str] = set()
    for name, info in model.model_fields.items():
        key = info.alias or name
        nested = info.annotation
        if key not in given:
            if info.is_required():
                broken.add(name)
            else:
                values[key] = info.get_default(call_default_factory=True)
        elif isinstance(nested, type) and issubclass(nested, BaseModel):
            if isinstance(given[key], Mapping):
                part = _salvage(nested, given[key])
                values[key] = part.value
                broken |= {f"{name}.{field}" for field in part.broken}
            else:
                broken.add(name)
        else:
            try:
                values[key] = _adapter(model, name).validate_python(given[key])
            except ValidationError:
                broken.add(name)
    return Part(model.model_construct(**values), frozenset(broken))


@functools.cache
def _adapter(model: type[BaseModel], field: str) -> TypeAdapter[Any]:
    annotation = model.model_fields[field].rebuild_annotation()
    return TypeAdapter(annotation, config=ConfigDict(coerce_numbers_to_str=True, allow_inf_nan=False))
