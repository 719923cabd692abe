"""Whether each asset can be fed from its streams, and each channel feeds what it may."""

from collections import defaultdict
from collections.abc import Callable, Iterator

from pipelines.check.connections import uuid_findings
from pipelines.check.draft import AssetDraft, Draft, StreamDraft
from pipelines.check.finding import Finding, fault, listed, notice
from pipelines.check.obis import direction
from pipelines.community import AssetType

EXCHANGE_IGNORES = "the exchange ignores live data for a {}"
SPLIT = {
    AssetType.BATTERY: "Split it at the exchange and here: charging feeds a load, discharging a pv with sign: -1",
    AssetType.SMART_METER: "Split it at the exchange and here: import feeds a load, export a pv",
}


def asset_findings(draft: Draft) -> Iterator[Finding]:
    """What is wrong with the assets as such."""
    yield from _doubles(draft, "name", lambda asset: asset.part.value.name)
    yield from _doubles(draft, "uuid", lambda asset: asset.part.value.uuid)
    for asset in draft.assets:
        if asset.part.knows("uuid"):
            yield from uuid_findings((*asset.loc, "uuid"), asset.part.value.uuid)
        yield from _type_findings(asset)
        yield from _power_findings(asset)
        yield from _live_findings(asset)
    yield from _sharing_findings(draft)
    yield from _direction_findings(draft)
    yield from _unused_export_findings(draft)


def _doubles(draft: Draft, field: str, value: Callable[[AssetDraft], str]) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for asset in draft.assets:
        if not asset.part.knows(field):
            continue
        if (text := value(asset)) in first:
            yield fault(
                (*asset.loc, field),
                f"asset no. {first[text] + 1} has the same {field}",
                "Give each asset its own name"
                if field == "name"
                else "Write the uuid that the exchange gave this asset",
            )
        first.setdefault(text, asset.number)


def _type_findings(asset: AssetDraft) -> Iterator[Finding]:
    if not asset.part.knows("type"):
        return
    kind, loc = asset.part.value.type, (*asset.loc, "type")
    if kind.sent_as is None:
        yield fault(loc, EXCHANGE_IGNORES.format(kind.value.replace("_", " ")), SPLIT[kind])
    elif kind.sent_as is not kind:
        yield notice(
            loc,
            f"energy of type {kind.value} is sent as {kind.sent_as.value}",
            "See that the exchange's asset has the type Load: live data for another type is ignored there",
        )


def _power_findings(asset: AssetDraft) -> Iterator[Finding]:
    if not asset.part.knows("rated_power_kw"):
        return
    limit_kw = asset.part.value.rated_power_kw
    for stream in asset.streams:
        rated_kw = stream.part.value.rated_power_kw if stream.part.knows("rated_power_kw") else None
        if rated_kw is not None and rated_kw > limit_kw:
            yield notice(
                (*stream.loc, "rated_power_kw"),
                f"{rated_kw:g} kW is above the asset's {limit_kw:g} kW",
                "Raise the asset's, or lower this one",
            )


def _live_findings(asset: AssetDraft) -> Iterator[Finding]:
    if asset.part.knows("live") and not asset.part.value.live:
        yield notice(
            (*asset.loc, "live"),
            "its live switch is off: nothing is sent, and the exchange follows the uploaded profile",
            "Write the profile to upload with slotfeed profiles export, or take this out once the switch is on",
        )


def _sharing_findings(draft: Draft) -> Iterator[Finding]:
    """In one asset a channel counts once; two may share it only as the halves of a two-way meter."""
    uses: dict[str, list[StreamDraft]] = defaultdict(list)
    for asset, stream in draft.streams():
        if (channel := stream.channel) is None:
            continue
        for other in uses[channel]:
            if other.asset == asset.number:
                yield fault(stream.loc, f"the same channel as streams[{other.number}]", "Take one of them out")
                break
            if not _are_halves(stream, other):
                yield fault(
                    stream.loc,
                    f"{draft.assets[other.asset].label} reads the same channel, {channel}",
                    "Feed one asset from it; of a two-way meter, set two_way: true in both and sign: -1 in the pv",
                )
                break
        uses[channel].append(stream)
    for streams in uses.values():
        yield from _lonely_halves(streams)


def _are_halves(one: StreamDraft, other: StreamDraft) -> bool:
    if not (one.part.knows("two_way", "sign") and other.part.knows("two_way", "sign")):
        return True  # told already; more can't be said
    return one.part.value.two_way and other.part.value.two_way and one.part.value.sign != other.part.value.sign


def _lonely_halves(streams: list[StreamDraft]) -> Iterator[Finding]:
    if len(streams) != 1 or not streams[0].part.knows("two_way", "sign") or not streams[0].part.value.two_way:
        return
    lost, other_sign = ("positive", 1) if streams[0].part.value.sign == -1 else ("negative", -1)
    yield notice(
        (*streams[0].loc, "two_way"),
        f"energy on the exchange is never negative, and no other asset takes the {lost} half of this channel: "
        "it is dropped",
        f"A two-way meter feeds two assets: let a second one read it too, with two_way: true and sign: {other_sign}",
    )


def _direction_findings(draft: Draft) -> Iterator[Finding]:
    """OBIS group C tells import (1) from export (2); see `obis`."""
    for asset, stream in draft.streams():
        if not (asset.part.knows("type") and stream.part.knows("register_")):
            continue
        sent_as, register = asset.part.value.type.sent_as, stream.part.value.register_
        way = direction(register)
        if way == "export" and sent_as is AssetType.LOAD:
            yield fault(
                (*stream.loc, "register"),
                f"{register} counts export, and feeds a {asset.part.value.type.value}",
                "Feed a pv from it, and this asset from the import register (1.8.0 or 1.29.0)",
            )
        elif way == "import" and sent_as is AssetType.PV:
            yield fault(
                (*stream.loc, "register"),
                f"{register} counts import, and feeds a pv",
                "Feed a load from it, and this asset from the export register (2.8.0 or 2.29.0)",
            )


def _unused_export_findings(draft: Draft) -> Iterator[Finding]:
    used = {stream.channel for _, stream in draft.streams()}
    waste: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for asset, stream in draft.streams():
        if stream.channel is None or not asset.part.knows("name", "type"):
            continue
        of = stream.part.value
        if asset.part.value.type.sent_as is not AssetType.LOAD or direction(of.register_) != "import":
            continue
        for register in _export_registers(draft, of.source):
            if f"{of.source}/{of.device}/{register}" not in used:
                waste[of.source][register].append(asset.part.value.name)
    for source, registers in waste.items():
        for register, names in registers.items():
            whose = listed(f"'{name}'" for name in dict.fromkeys(names))
            yield notice(
                ("sources", source),
                f"no asset takes the export register {register} of the meters of {whose}",
                "If one of them feeds in, add a pv that reads it; if none does, all is well",
            )


def _export_registers(draft: Draft, source: str) -> list[str]:
    part = draft.sources.get(source)
    if part is None or not part.knows("wide", "register_map"):
        return []
    registers = dict.fromkeys([*(part.value.wide or {}).values(), *part.value.register_map.values()])
    return [register for register in registers if direction(register) == "export"]
