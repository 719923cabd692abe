"""Naive local stamps -> instants: time zones, the spring gap, and how far to look round an autumn night.

Everything follows from the offsets that Python's own zone data gives for the window: a stamp that one
offset explains is that instant; one that none explains fell into the spring gap and has no instant;
one that two explain belongs to a repeated hour (`repeated_hour`).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from pipelines.collect.repeated_hour import tell_apart
from pipelines.errors import SourceError

MARGIN = timedelta(hours=3)
"""Read before and after a repeated hour: room for the neighbours of its first and last reading."""

LONGEST_SHIFT = timedelta(days=1)
"""More than any clock was ever put back."""

SCAN = timedelta(hours=6)
"""No zone has changed its offset twice in less."""


@dataclass(frozen=True)
class Change:
    """The instant at which a zone's offset changes."""

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def put_back(self) -> timedelta:
        """By how much clocks go back; negative in spring."""
        return self.before - self.after


@dataclass(frozen=True)
class Reach:
    """What is read, so that the stamps of the window inside can be told apart: [start, end], aware."""

    start: datetime
    end: datetime


def offset_at(zone: str, instant: datetime) -> timedelta:
    """The zone's distance from UTC at an instant."""
    offset = instant.astimezone(ZoneInfo(zone)).utcoffset()
    return offset if offset is not None else timedelta(0)


def to_local(zone: str, instant: datetime) -> datetime:
    """What a clock on the wall shows at an instant: naive."""
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def offset_changes(zone: str, start: datetime, end: datetime) -> list[Change]:
    """Changes of the zone's offset in (start, end], to the second."""
    changes = []
    known = start.astimezone(UTC)
    while known < end:
        ahead = min(known + SCAN, end)
        before, after = offset_at(zone, known), offset_at(zone, ahead)
        if before != after:
            changes.append(Change(_first_with(zone, after, known, ahead), before, after))
        known = ahead
    return changes


def reach(zone: str, start: datetime, end: datetime) -> Reach:
    """Widen [start, end] where it begins or ends in or beside a repeated hour, so that both passes are seen."""
    for change in offset_changes(zone, start - MARGIN - LONGEST_SHIFT, end + LONGEST_SHIFT):
        if change.put_back <= timedelta(0):
            continue
        first, last = change.at - change.put_back, change.at + change.put_back
        if first - MARGIN <= start < last:
            start = first - MARGIN
        if first <= end < last + MARGIN:
            end = last + MARGIN
    return Reach(start, end)


def localise(
    rows: pl.DataFrame, zone: str, *, wanted: Reach, horizon: datetime, ordered: bool, source: str
) -> pl.DataFrame:
    """Give naive rows their instants.

    Args:
        rows: with `stream_id`, `meter`, `stamp` and `stamp_end` (`LOCAL`), `order`, and `late`: wanted whatever its
            time.
        zone: of the stamps.
        wanted: stamps of a repeated hour that can only lie outside are dropped.
        horizon: no row can be of a later instant: it hadn't happened when the rows were read.
        ordered: `order` follows true time within each stream.
        source: for messages.

    Returns:
        The rows with `instant` and `instant_end` (`INSTANT`); null in a spring gap, where unreadable, and
        where even the order doesn't tell the passes of a repeated hour apart.

    Raises:
        SourceError: stamps of a repeated hour, and the source has no order.
    """
    offsets = _offsets(rows, zone, wanted)
    rows = rows.with_columns(
        **_candidates("stamp", offsets, names=("first", "last", "night")),
        **_candidates("stamp_end", offsets, names=("first_end", "last_end", "_")),
    )
    outside = (pl.col("first") > _utc(wanted.end)) | (pl.col("last") < _utc(wanted.start))
    beside = (pl.col("first") != pl.col("last")).fill_null(value=False) & outside & ~pl.col("late")
    twice = rows.filter(pl.col("first") != pl.col("last"), ~beside)
    if twice.height and not ordered:
        raise SourceError(_cannot_tell(twice, zone, source))
    told = tell_apart(rows, horizon=_utc(horizon)).filter(~beside)
    # A span ends at the first instant after its start that its end can stand for.
    span_end = (
        pl.when(pl.col("first_end") > pl.col("instant"))
        .then("first_end")
        .when(pl.col("last_end") > pl.col("instant"))
        .then("last_end")
    )
    return told.with_columns(
        instant=pl.col("instant").dt.replace_time_zone("UTC"), instant_end=span_end.dt.replace_time_zone("UTC")
    ).drop("first", "last", "night", "first_end", "last_end", "_")


def _offsets(rows: pl.DataFrame, zone: str, wanted: Reach) -> list[tuple[datetime, datetime, timedelta]]:
    """Stretches of naive UTC with one offset each, from before the first to after the last stamp."""
    stamps = pl.concat([rows["stamp"], rows["stamp_end"]]).dt.replace_time_zone("UTC").drop_nulls().to_frame("stamp")
    known = [
        instant for row in stamps.select(lo=pl.col("stamp").min(), hi=pl.col("stamp").max()).rows() for instant in row
    ]
    seen = [wanted.start, wanted.end, *(instant for instant in known if instant is not None)]
    start, end = min(seen) - LONGEST_SHIFT, max(seen) + LONGEST_SHIFT
    changes = offset_changes(zone, start, end)
    edges = [start, *(change.at for change in changes), end]
    offsets = [offset_at(zone, start), *(change.after for change in changes)]
    return [(_utc(a), _utc(b), offset) for a, b, offset in zip(edges, edges[1:], offsets, strict=False)]


def _candidates(
    stamp: str, offsets: list[tuple[datetime, datetime, timedelta]], *, names: tuple[str, str, str]
) -> dict[str, pl.Expr]:
    """The first and last instant (naive UTC) that a stamp can stand for, and which offset explains the first."""
    fits = [pl.col(stamp).is_between(start + offset, end + offset, closed="left") for start, end, offset in offsets]
    instants = [
        pl.when(fit).then(pl.col(stamp) - pl.lit(offset, pl.Duration("us")))
        for fit, (_, _, offset) in zip(fits, offsets, strict=True)
    ]
    first, last, which = names
    return {
        first: pl.coalesce(instants),
        last: pl.coalesce(instants[::-1]),
        which: pl.coalesce([pl.when(fit).then(pl.lit(number)) for number, fit in enumerate(fits)]),
    }


def _first_with(zone: str, offset: timedelta, before: datetime, at: datetime) -> datetime:
    """The second in (before, at] from which the zone has `offset`."""
    while at - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=int((at - before).total_seconds()) // 2)
        if offset_at(zone, middle) == offset:
            at = middle
        else:
            before = middle
    return at.replace(microsecond=0)


def _utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(tzinfo=None)


def _cannot_tell(twice: pl.DataFrame, zone: str, source: str) -> str:
    device = twice["meter"][0]
    times = twice.filter(pl.col("meter") == device)["stamp"].unique().sort().dt.strftime("%Y-%m-%d %H:%M")
    others = twice["meter"].n_unique() - 1
    return (
        f"source '{source}', device '{device}'{f' and {others} more' if others else ''}: the local times "
        f"{times[0]} to {times[-1]} ({zone}) happened twice, and nothing tells the two passes apart. Name a column "
        "that grows with true time as columns.tie_breaker, or set row_order: true if rows come in their true order"
    )
