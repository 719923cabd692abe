"""The grid fees of markets: who is meant twice, and spans that can't do what their writer thinks."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from pipelines.check.connections import uuid_findings
from pipelines.check.finding import Finding, Loc, fault, notice, shown
from pipelines.community import FeeSpan, MarketFees

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MIN = 24 * 60


def fee_findings(raw: Mapping[str, Any]) -> Iterator[Finding]:
    """What is wrong in `grid_fees`, beyond what the models refuse."""
    section = raw.get("grid_fees")
    if not isinstance(section, list):
        return
    sound = {index: fees for index, entry in enumerate(section) if (fees := _read(entry)) is not None}
    yield from _shared(sound, _asset_uuids(raw))
    length_min = _slot_length_min(raw)
    for index, fees in sound.items():
        yield from uuid_findings(("grid_fees", index, "uuid"), fees.uuid)
        yield from _spans(("grid_fees", index, "schedule"), fees, length_min)


def _shared(sound: Mapping[int, MarketFees], assets: Mapping[str, str]) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    names: dict[str, list[int]] = defaultdict(list)
    for index, fees in sound.items():
        loc: Loc = ("grid_fees", index, "uuid")
        if fees.uuid in seen:
            first = sound[seen[fees.uuid]].market
            yield fault(
                loc,
                f"market {shown(first)} has this uuid too",
                "Plan each market once; write its spans in one schedule",
            )
        elif fees.uuid in assets:
            yield fault(
                loc,
                f"this is the uuid of asset {shown(assets[fees.uuid])}, and only markets have grid fees",
                "Write the uuid of the area around it, from the exchange's registry",
            )
        seen.setdefault(fees.uuid, index)
        names[fees.market].append(index)
    for name, indexes in names.items():
        for index in indexes[1:]:
            yield notice(
                ("grid_fees", index, "market"),
                f"there is a market {shown(name)} already",
                "All is well if the exchange has two of this name; messages can't tell them apart",
            )


def _spans(loc: Loc, fees: MarketFees, length_min: int | None) -> Iterator[Finding]:
    taken: set[tuple[int, int]] = set()
    for number, span in enumerate(fees.schedule):
        held = _minutes(span)
        if held <= taken:
            yield notice(
                (*loc, number),
                "an earlier span holds whenever this one would: it never counts",
                "The first span that holds counts: move this one up, or take it out",
            )
        taken |= held
        for key, text in (("from", span.from_), ("to", span.to)):
            if length_min and _minute(text) % length_min:
                yield notice(
                    (*loc, number, key),
                    f"{text} isn't the start of a slot, and fees change with slots of {length_min} minutes only",
                    "The fee of a slot is the one that holds at its start; write a slot's start to say so",
                )


def _minutes(span: FeeSpan) -> set[tuple[int, int]]:
    """(weekday, minute) at which the span holds; from and to alike: a whole day."""
    start, end = _minute(span.from_), _minute(span.to)
    length = (end - start) % DAY_MIN or DAY_MIN
    days = [WEEKDAYS.index(day) for day in span.days] or range(7)
    return {
        ((day + minute // DAY_MIN) % 7, minute % DAY_MIN) for day in days for minute in range(start, start + length)
    }


def _minute(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def _read(entry: object) -> MarketFees | None:
    try:
        return MarketFees.model_validate(entry)
    except ValidationError:
        return None  # told by what the models refuse


def _asset_uuids(raw: Mapping[str, Any]) -> dict[str, str]:
    assets = raw.get("assets")
    entries = [asset for asset in assets if isinstance(asset, Mapping)] if isinstance(assets, list) else []
    return {str(asset.get("uuid")): str(asset.get("name")) for asset in entries if asset.get("uuid") is not None}


def _slot_length_min(raw: Mapping[str, Any]) -> int | None:
    section = raw.get("community")
    length = section.get("slot_length", 15) if isinstance(section, Mapping) else 15
    return length if isinstance(length, int) and length > 0 else None
