"""Problems that runs and slots tell of: what fails or doesn't come, silent meters, gaps in their readings."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection

from pipelines.report.assets import AssetFigures
from pipelines.report.figures import LastRun
from pipelines.report.gaps import Gap, gaps_of
from pipelines.report.problems import NAMED, Ground, Problem, backfill, named
from pipelines.report.remedies import Remedy
from pipelines.report.times import duration_text, slot_ceil, span_text
from pipelines.report.words import counted
from pipelines.slots import slot_floor

FEED_LATE = timedelta(hours=1)
"""A feed runs every slot; after so long without one, forecasts are no longer sent."""

COMMANDS = {
    "feed": "slotfeed feed",
    "reconcile": "slotfeed reconcile",
    "quality": "slotfeed quality",
    "grid-fees": "slotfeed grid-fees",
    "archive": "slotfeed archive run",
}
"""The runs that happen by themselves, and how to start each by hand."""


def run_problems(last_run: Mapping[str, LastRun], ground: Ground, *, end: datetime, now: datetime) -> Iterator[Problem]:
    """Runs that fail or don't come, where the period reaches to the present."""
    if end < slot_floor(now, ground.length):
        return
    for command, by_hand in COMMANDS.items():
        run = last_run.get(command)
        if run is None:
            continue
        if run.outcome == "failed":
            remedy = Remedy("Run it by hand: it says what is in its way.", by_hand)
            yield _of_run(run, ground, tone="bad", title=f"The last {command} failed", remedy=remedy)
        elif run.outcome == "incomplete":
            remedy = Remedy("Run it by hand: it names what failed. Often the next run mends it.", f"slotfeed {command}")
            yield _of_run(run, ground, tone="warn", title=f"The last {command} left something undone", remedy=remedy)
    feed = last_run.get("feed")
    if feed is not None and fed_until(last_run, ground, end=end, now=now) is not None:
        remedy = Remedy("See whether the worker runs; until it does, nothing is read and sent.", "slotfeed feed")
        late = duration_text(now - feed.logical_time)
        yield _of_run(feed, ground, tone="bad", title=f"No feed for {late}", remedy=remedy)


def fed_until(last_run: Mapping[str, LastRun], ground: Ground, *, end: datetime, now: datetime) -> datetime | None:
    """When the last feed ran, where none has for FEED_LATE and the period reaches to the present; else None."""
    feed = last_run.get("feed")
    if feed is None or end < slot_floor(now, ground.length) or now - feed.logical_time <= FEED_LATE:
        return None
    return feed.logical_time


def _of_run(run: LastRun, ground: Ground, *, tone: str, title: str, remedy: Remedy) -> Problem:
    return Problem(
        tone=tone,
        title=title,
        since=f"last run for {ground.local(run.logical_time)}",
        size="all assets",
        remedy=remedy.words,
        command=remedy.command,
        last=ground.over,
        weight=float("inf"),
    )


def silence_problems(ground: Ground, *, fed_until: datetime | None) -> Iterator[Problem]:
    """Assets without readings up to the present; those of the same source that fell silent together are one problem.

    Args:
        ground: what is told.
        fed_until: when the last feed ran, where none comes any more: who was heard of till then isn't silent.
    """
    heard_from = None if fed_until is None else slot_floor(fed_until, ground.length) - ground.length
    silent: dict[tuple[str, datetime], list[AssetFigures]] = {}
    for asset in ground.figures:
        if asset.silent_since is not None and (heard_from is None or asset.silent_since < heard_from):
            silent.setdefault((asset.sources, asset.silent_since), []).append(asset)
    for (sources, since), assets in silent.items():
        names = [asset.status.name for asset in assets]
        never = all(asset.slots.last_covered is None for asset in assets)
        what = "no reading ever" if never else f"no readings since {ground.local(since)}"
        slots = len(assets) * ((ground.over - slot_ceil(since, ground.length)) // ground.length)
        yield Problem(
            tone="bad",
            title=f"{named(names)}: {what} ({duration_text(ground.over - since)})",
            since=ground.local(since),
            size=f"{counted(slots, 'slot')} of {counted(len(assets), 'asset')}, for which nothing can be sent",
            cause=f"Source: {sources}.",
            remedy="Check the meter and its connection, or the cloud's account; then fetch what is missing.",
            command=backfill(since, ground),
            last=ground.over,
            weight=len(assets),
            anchor=ground.anchor([asset.status.uuid for asset in assets], otherwise="map"),
        )


def gap_problems(connection: Connection, ground: Ground, *, start: datetime) -> Iterator[Problem]:
    """Slots that readings don't back whole, the present silence left out: one problem for all assets.

    Args:
        connection: to read with.
        ground: what is told.
        start: of the period.
    """
    lacking = [(asset, slots) for asset in ground.figures if (slots := _slots_in_gaps(asset, ground, start)) > 0]
    if not lacking:
        return
    lacking.sort(key=lambda item: -item[1])
    gaps = [_gaps(connection, asset, ground, start) for asset, _ in lacking[:NAMED]]
    told = [_gaps_in_words(asset, found, ground) for (asset, _), found in zip(lacking, gaps, strict=False) if found]
    if rest := len(lacking) - len(told):
        told.append(f"and {counted(rest, 'other asset')}")
    first = min((gap.start for found in gaps for gap in found), default=start)
    slots = sum(number for _, number in lacking)
    whose = lacking[0][0].status.name if len(lacking) == 1 else counted(len(lacking), "asset")
    yield Problem(
        tone="warn",
        title=f"{whose}: gaps in the readings",
        where="; ".join(told),
        since=ground.local(first),
        size=f"{counted(slots, 'slot')} not backed whole by readings",
        remedy="Values that come later take their place by themselves. If they don't come, fetch them again.",
        command=backfill(first, ground),
        last=max((gap.end for found in gaps for gap in found), default=start),
        weight=slots,
        anchor=ground.anchor([asset.status.uuid for asset, _ in lacking], otherwise="map"),
    )


def _slots_in_gaps(asset: AssetFigures, ground: Ground, start: datetime) -> int:
    """Uncovered slots before the asset fell silent."""
    if asset.silent_since is None:
        return asset.slots.uncovered
    silent = (ground.over - max(slot_ceil(asset.silent_since, ground.length), start)) // ground.length
    return asset.slots.uncovered - silent


def _gaps(connection: Connection, asset: AssetFigures, ground: Ground, start: datetime) -> list[Gap]:
    begin, end = max(start, asset.status.live_since), asset.silent_since or ground.over
    return gaps_of(connection, asset.status.uuid, start=begin, end=end, length=ground.length)


def _gaps_in_words(asset: AssetFigures, gaps: list[Gap], ground: Ground) -> str:
    longest = max(gaps, key=lambda gap: gap.end - gap.start)
    span = span_text(longest.start, longest.end, ground.zone)
    more = f" and {counted(len(gaps) - 1, 'shorter one')}" if len(gaps) > 1 else ""
    return f"{asset.status.name}, {span} ({duration_text(longest.end - longest.start)}){more}"
