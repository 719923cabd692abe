"""Whether each stream fits its kind and what its source can give."""

from collections.abc import Iterator

from pipelines.check.draft import Draft, Part, StreamDraft
from pipelines.check.finding import Finding, did_you_mean, fault, listed, notice, shown
from pipelines.community import ENERGY_WH, POWER_W, Label, MeterDatabase
from pipelines.frames import Kind

UNITS = {Kind.REGISTER: ENERGY_WH, Kind.INTERVAL: ENERGY_WH, Kind.POWER: POWER_W}
LABELS = {
    Kind.REGISTER: (Label.INSTANT,),
    Kind.INTERVAL: (Label.START, Label.END),
    Kind.POWER: tuple(Label),
}


def stream_findings(draft: Draft) -> Iterator[Finding]:
    """What is wrong with the streams, each by itself."""
    for stream in draft.channels():
        source = _source(draft, stream)
        if stream.part.knows("source") and stream.part.value.source not in draft.source_names:
            name = stream.part.value.source
            remedy = did_you_mean(name, draft.source_names)
            yield fault((*stream.loc, "source"), f"there is no source {shown(name)}", remedy)
        yield from _unit_findings(stream, source)
        yield from _label_findings(stream)
        yield from _interval_findings(stream, draft.slot_length_min)
        if source is not None:
            yield from _register_findings(stream, source)


def _source(draft: Draft, stream: StreamDraft) -> Part[MeterDatabase] | None:
    return draft.sources.get(stream.part.value.source) if stream.part.knows("source") else None


def _unit_findings(stream: StreamDraft, source: Part[MeterDatabase] | None) -> Iterator[Finding]:
    if not stream.part.knows("unit", "kind"):
        return
    unit, kind = stream.part.value.unit, stream.part.value.kind
    loc, known = (*stream.loc, "unit"), {**ENERGY_WH, **POWER_W}
    right = f"Write {listed(UNITS[kind], last='or')}"
    if unit not in known:
        by_case = [name for name in known if name.lower() == unit.lower()]
        yield fault(loc, f"the unit {shown(unit)} is unknown", f"Did you mean '{by_case[0]}'?" if by_case else right)
    elif unit not in UNITS[kind] and not _has_unit_column(source):
        measure = "power" if unit in POWER_W else "energy"
        yield fault(loc, f"{unit} is a unit of {measure} and doesn't fit kind {kind.value}", right)


def _has_unit_column(source: Part[MeterDatabase] | None) -> bool:
    """Each row then tells its own unit, and the stream's is only for rows that don't."""
    return source is not None and source.knows("columns.unit") and source.value.columns.unit is not None


def _label_findings(stream: StreamDraft) -> Iterator[Finding]:
    if not stream.part.knows("kind", "label") or stream.part.value.label is None:
        return
    kind, label = stream.part.value.kind, stream.part.value.label
    if label not in LABELS[kind]:
        yield fault(
            (*stream.loc, "label"),
            f"'{label.value}' doesn't fit kind {kind.value}",
            f"Write {listed((allowed.value for allowed in LABELS[kind]), last='or')}, or take it out",
        )


def _interval_findings(stream: StreamDraft, slot_length_min: int | None) -> Iterator[Finding]:
    if not stream.part.knows("interval") or slot_length_min is None:
        return
    interval_min = stream.part.value.interval
    if interval_min is not None and interval_min > slot_length_min:
        yield notice(
            (*stream.loc, "interval"),
            f"one value of {interval_min} minutes covers several slots of {slot_length_min}: "
            "what each of them held isn't known",
            "Read finer values, if the meter has them",
        )


def _register_findings(stream: StreamDraft, source: Part[MeterDatabase]) -> Iterator[Finding]:
    if not (stream.part.knows("register_") and source.knows("wide", "columns.register_", "register_map")):
        return
    register, loc = stream.part.value.register_, (*stream.loc, "register")
    columns, wide, renamed = source.value.columns, source.value.wide, source.value.register_map
    if wide is not None:
        if register is None and wide:
            yield fault(loc, "is missing: the source's rows hold several", f"Write one of {listed(wide.values())}")
        elif register is not None and register not in wide.values():
            yield fault(
                loc, f"the source's wide rows hold no register {shown(register)}", did_you_mean(register, wide.values())
            )
    elif columns.register_ is None and register is not None:
        yield fault(
            loc,
            "the source has no register column, so every row of this device counts",
            "Take the register out, or name the column as the source's columns.register",
        )
    elif columns.register_ is not None and register is None:
        yield fault(
            loc,
            f"is missing: the source tells registers apart by its column {columns.register_}",
            f"Write one of {listed(renamed.values())}" if renamed else "Write which one, such as 1-0:1.8.0",
        )
    elif register is not None and register not in renamed.values() and register in renamed:
        yield fault(loc, f"the source's register_map renames {shown(register)}", f"Write '{renamed[register]}'")
