"""Vendor accounts: what the file may leave out because the vendor says it, and whether the rest holds together."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.check.connections import clear_findings
from pipelines.check.draft import Draft, Part
from pipelines.check.finding import Finding, did_you_mean, fault, listed, notice, shown
from pipelines.collect.catalogue import find_vendor, vendor_names
from pipelines.collect.cloud.vendor import Vendor
from pipelines.community import METER_DATABASE, POWER_W, Cloud
from pipelines.frames import Kind

COMMON = frozenset({"type", "url", "overlap", "settle", "limits"})


def with_vendor_terms(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The file with kind and unit of every cloud stream that leaves them out."""
    vendors = _vendors(raw.get("sources"))
    assets = raw.get("assets")
    if not vendors or not isinstance(assets, list):
        return raw
    return {**raw, "assets": [_asset(asset, vendors) for asset in assets]}


def cloud_findings(draft: Draft) -> Iterator[Finding]:
    """What is wrong with the vendor accounts, and with the streams that read from them."""
    for name, cloud in draft.clouds.items():
        if not cloud.knows("type"):
            continue
        kind, loc = cloud.value.type, ("sources", name)
        vendor = find_vendor(kind)
        if vendor is None:
            known = [METER_DATABASE, *vendor_names()]
            yield fault((*loc, "type"), f"there is no kind of source {shown(kind)}", did_you_mean(kind, known))
            continue
        yield from _setting_findings(name, cloud, vendor)
        yield from _url_findings(name, cloud, vendor, draft)
        yield from _stream_findings(name, vendor, draft)
    yield from _twin_findings(draft)


def _vendors(sources: object) -> dict[str, Vendor | None]:
    """Each cloud source's vendor; None where there is none of its type."""
    if not isinstance(sources, Mapping):
        return {}
    kinds = {str(name): one.get("type") for name, one in sources.items() if isinstance(one, Mapping)}
    return {name: find_vendor(kind) for name, kind in kinds.items() if isinstance(kind, str) and kind != METER_DATABASE}


def _asset(asset: object, vendors: Mapping[str, Vendor | None]) -> object:
    if not isinstance(asset, Mapping) or not isinstance(asset.get("streams"), list):
        return asset
    return {**asset, "streams": [_stream(stream, vendors) for stream in asset["streams"]]}


def _stream(stream: object, vendors: Mapping[str, Vendor | None]) -> object:
    if not isinstance(stream, Mapping) or str(stream.get("source")) not in vendors:
        return stream
    vendor = vendors[str(stream.get("source"))]
    channel = vendor.channels.get(str(stream.get("register"))) if vendor else None
    # Where there is no such type or register, that is the fault to tell; what follows from it needn't be told as well.
    kind, unit = (channel.kind, channel.unit) if channel else (Kind.INTERVAL, "Wh")
    # Nor does half of a contradiction make one in itself.
    if stream.get("kind", kind) == Kind.POWER or str(stream.get("unit", unit)) in POWER_W:
        kind, unit = Kind.POWER, "W"
    return {"kind": kind.value, "unit": unit, **stream}


def _setting_findings(name: str, cloud: Part[Cloud], vendor: Vendor) -> Iterator[Finding]:
    loc, settings = ("sources", name), cloud.value
    for field in vendor.needs:
        if cloud.knows(field) and getattr(settings, field) is None:
            yield fault((*loc, field), f"is missing: {vendor.title} needs it", f"Write the account's {field}")
    for field in Cloud.model_fields:
        unused = field not in COMMON.union(vendor.needs, vendor.takes)
        if unused and cloud.knows(field) and getattr(settings, field) is not None:
            yield notice((*loc, field), f"isn't used: {vendor.title} has no such thing", "Take it out")
    if cloud.knows("limits"):
        names = [limit.name for limit in vendor.limits]
        for limit in settings.limits:
            if limit not in names:
                yield fault((*loc, "limits"), f"there is no limit {shown(limit)}", did_you_mean(limit, names))


def _url_findings(name: str, cloud: Part[Cloud], vendor: Vendor, draft: Draft) -> Iterator[Finding]:
    if not cloud.knows("url"):
        return
    loc, url = ("sources", name, "url"), cloud.value.url
    if url is None and vendor.url is None and "url" not in vendor.needs:
        yield fault(loc, f"is missing: {vendor.title} has no address for all", "Write the address of yours")
    if url is not None:
        yield from clear_findings(loc, url, vendor.secret, draft)


def _stream_findings(name: str, vendor: Vendor, draft: Draft) -> Iterator[Finding]:
    for _, stream in draft.streams():
        if not stream.part.knows("source", "register_") or stream.part.value.source != name:
            continue
        of, loc = stream.part.value, stream.loc
        channel = vendor.channels.get(of.register_ or "")
        if of.register_ is None:
            yield fault((*loc, "register"), "is missing", f"Write {listed(vendor.channels, last='or')}")
        elif channel is None:
            yield fault(
                (*loc, "register"),
                f"{vendor.title} has no register {shown(of.register_)}",
                did_you_mean(of.register_, vendor.channels),
            )
        elif stream.part.knows("kind", "unit") and (of.kind, of.unit) != (channel.kind, channel.unit):
            yield fault(
                (*loc, "kind"),
                f"{of.kind.value} in {of.unit} is not what {vendor.title} sends for {channel.register}: "
                f"{channel.kind.value} in {channel.unit}",
                "Take kind and unit out: the vendor says them",
            )


def _twin_findings(draft: Draft) -> Iterator[Finding]:
    seen: dict[tuple[str, str | None, str], str] = {}
    for name, cloud in draft.clouds.items():
        if not cloud.knows("type", "url", "username") or cloud.value.username is None:
            continue
        account = (cloud.value.type, cloud.value.url, cloud.value.username)
        if account in seen:
            yield notice(
                ("sources", name),
                f"is the same account as source '{seen[account]}', and its requests are counted apart",
                "Read both from one source, or share the account's limits out with `limits`",
            )
        seen.setdefault(account, name)
