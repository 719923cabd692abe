"""`ROWS` of a source -> readings: streams, instants, spans, units and quality in slotfeed's terms."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from pipelines.collect.local_time import Reach, localise, reach, to_local
from pipelines.collect.source import FUTURE, STREAMS, Fetch, Wording
from pipelines.community import ENERGY_WH, POWER_W, Label, Stream
from pipelines.frames import READINGS, Kind, Quality, conform

LONGEST_SPAN = timedelta(days=1)
"""Where rows tell start and end themselves, none is taken to last longer."""


@dataclass(frozen=True, kw_only=True)
class Readings:
    """What a fetch brought."""

    frame: pl.DataFrame
    """`READINGS`, one row a distinct reading; of the same stream and instant in the order in which they came to be."""

    fetched: int
    """Rows of known streams in the window."""

    nulls: int
    """Of these, rows without a value: no reading."""

    duplicates: int
    """Of these, rows that say again exactly what another says."""


def stream_frame(streams: Iterable[Stream], zone: str, slot_length: timedelta) -> pl.DataFrame:
    """The streams of one source, as `STREAMS`; `zone` is that of its naive stamps."""
    return pl.DataFrame(
        [
            {
                "stream_id": stream.stream_id,
                "meter": stream.device,
                "wanted": stream.register_ or "",
                "kind": stream.kind.value,
                "stream_unit": stream.unit,
                "span": _span(stream, slot_length),
                "ends": stream.stamp is Label.END,
                "zone": stream.time_zone or zone,
            }
            for stream in streams
        ],
        schema=STREAMS,
    )


def _span(stream: Stream, slot_length: timedelta) -> timedelta | None:
    if stream.kind is Kind.REGISTER or (stream.kind is Kind.POWER and stream.stamp is Label.INSTANT):
        return None
    return timedelta(minutes=stream.interval) if stream.interval else slot_length


def begun_in(streams: pl.DataFrame, wording: Wording, start: datetime, end: datetime) -> Reach:
    """[start, end] and the stamps of spans that began before it and ended in it."""
    longest = LONGEST_SPAN if wording.tells_end else streams["span"].max()
    return Reach(start - longest if isinstance(longest, timedelta) else start, end)


def reach_of(streams: pl.DataFrame, wording: Wording, start: datetime, end: datetime) -> Reach:
    """Which stamps must be read to know all readings that were complete in [start, end]."""
    wanted = begun_in(streams, wording, start, end)
    if not wording.naive:
        return wanted
    wider = [reach(zone, wanted.start, wanted.end) for zone in streams["zone"].unique()]
    return Reach(min(each.start for each in wider), max(each.end for each in wider))


def normalise(raw: pl.DataFrame, streams: pl.DataFrame, wording: Wording, fetch: Fetch) -> Readings:
    """Make readings of what a source sent.

    A reading is wanted if it was complete in the window (a value at an instant in [start, end], a span that
    ends in (start, end]), or if it is late and was complete before. One without a readable stamp is
    kept, for quarantine to show it. A value whose unit is unknown, or isn't one of its kind, keeps its
    unit and is not scaled.

    Raises:
        SourceError: naive stamps of a repeated hour and nothing to tell its passes apart.
    """
    late = pl.lit(value=False) if fetch.since is None else (pl.col("ingested_at") > fetch.since).fill_null(value=False)
    known = _of_streams(raw, streams, wording).with_columns(late=late)
    if wording.naive:
        known = _with_instants(known, streams, wording, fetch)
    else:
        known = known.with_columns(instant="stamp", instant_end="stamp_end")
    wanted = known.with_columns(**_times(rows_tell_end=wording.tells_end)).filter(_wanted(fetch))
    valued = wanted.filter(pl.col("value").is_not_null()).with_columns(**_measures(wording), quality=_quality(wording))
    distinct = _distinct(valued)
    frame = distinct.with_columns(
        received_at=pl.lit(fetch.received_at, READINGS["received_at"]), run_id=pl.lit(fetch.run_id)
    ).select(READINGS.names())
    return Readings(
        frame=conform(frame, READINGS, door=f"collect, source '{fetch.source}'"),
        fetched=wanted.height,
        nulls=wanted.height - valued.height,
        duplicates=valued.height - distinct.height,
    )


def _of_streams(raw: pl.DataFrame, streams: pl.DataFrame, wording: Wording) -> pl.DataFrame:
    """Rows of known streams. Where the source tells no register, the device alone says which stream it is."""
    if not wording.tells_register:
        return raw.join(streams, on="meter")
    return raw.with_columns(wanted=pl.col("register").fill_null("")).join(streams, on=["meter", "wanted"])


def _with_instants(rows: pl.DataFrame, streams: pl.DataFrame, wording: Wording, fetch: Fetch) -> pl.DataFrame:
    """Naive rows in or beside the window, and late ones, with their instants."""
    wanted = begun_in(streams, wording, fetch.start, fetch.end)
    parts = []
    for zone in streams["zone"].unique():
        # More comes back than was asked for, and half an autumn night would tell the wrong story.
        seen = reach(zone, wanted.start, wanted.end)
        near = pl.col("stamp").is_between(to_local(zone, seen.start), to_local(zone, seen.end))
        parts.append(
            localise(
                rows.filter(pl.col("zone") == zone, near | pl.col("stamp").is_null() | pl.col("late")),
                zone,
                wanted=wanted,
                horizon=max(fetch.received_at, fetch.end),
                ordered=wording.ordered,
                source=fetch.source,
            )
        )
    return pl.concat(parts)


def _times(*, rows_tell_end: bool) -> dict[str, pl.Expr]:
    """`ts` and `ts_end` from the stamp's instant, the stream's label and the length of its span."""
    instant, span = pl.col("instant"), pl.col("span")
    at_instant = pl.when(span.is_null())
    if rows_tell_end:
        # A span whose end can't be read is as good as one without a stamp.
        begins = at_instant.then(instant).otherwise(pl.when(pl.col("instant_end").is_not_null()).then(instant))
        return {"ts": begins, "ts_end": pl.when(span.is_not_null() & instant.is_not_null()).then("instant_end")}
    ends = pl.col("ends")
    return {
        "ts": pl.when(span.is_not_null() & ends).then(instant - span).otherwise(instant),
        "ts_end": at_instant.then(None).when(ends).then(instant).otherwise(instant + span),
    }


def _wanted(fetch: Fetch) -> pl.Expr:
    ts, ts_end = pl.col("ts"), pl.col("ts_end")
    begun = pl.when(ts_end.is_null()).then(ts >= fetch.start).otherwise(ts_end > fetch.start)
    over = pl.coalesce(ts_end, ts) <= fetch.end
    if fetch.open_end:
        # A span that has begun and isn't over yet waits all the same.
        over |= pl.when(ts_end.is_null()).then(ts > fetch.end).otherwise(ts > fetch.received_at + FUTURE)
    return ts.is_null() | over & (begun | pl.col("late"))


def _measures(wording: Wording) -> dict[str, pl.Expr]:
    """`value` in Wh or W and `unit`, which says which."""
    said = pl.coalesce("unit", "stream_unit")
    power = pl.col("kind") == Kind.POWER.value
    factor = (
        pl.when(power)
        .then(said.replace_strict(POWER_W, default=None, return_dtype=pl.Float64()))
        .otherwise(said.replace_strict(ENERGY_WH, default=None, return_dtype=pl.Float64()))
    )
    base = pl.when(power).then(pl.lit("W")).otherwise(pl.lit("Wh"))
    return {
        "value": pl.when(factor.is_not_null()).then(pl.col("value") * wording.scale * factor).otherwise("value"),
        "unit": pl.when(factor.is_not_null()).then(base).otherwise(said),
    }


def _quality(wording: Wording) -> pl.Expr:
    """The source's quality code on slotfeed's scale.

    A source without a quality column measures. Where there is one, a row that leaves it empty says MISSING,
    and a code that the map doesn't know is UNUSABLE, so that nothing is trusted for want of a word.
    """
    if wording.quality_map is None:
        return pl.lit(Quality.MEASURED.value)
    known = {code.strip(): quality.value for code, quality in wording.quality_map.items()}
    empty = known.pop("", Quality.MISSING.value)
    code = pl.col("quality")
    mapped = code.replace_strict(known, default=Quality.UNUSABLE.value, return_dtype=pl.String()) if known else None
    unknown = pl.lit(Quality.UNUSABLE.value)
    return pl.when(code.is_null()).then(pl.lit(empty)).otherwise(mapped if mapped is not None else unknown)


def _distinct(rows: pl.DataFrame) -> pl.DataFrame:
    """Each reading once, in the order in which the source got them, as far as it tells.

    Of equal rows the last stays: where a value was changed and changed back, it is the newest.
    Rows without a stamp stay as many as they are: they may be readings of different times.
    """
    ordered = rows.sort("ingested_at", "order", nulls_last=False)
    stamped = ordered.filter(pl.col("ts").is_not_null())
    once = stamped.unique(("stream_id", "ts", "ts_end", "value", "unit", "quality"), keep="last", maintain_order=True)
    return pl.concat([once, ordered.filter(pl.col("ts").is_null())])
