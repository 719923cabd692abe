"""Whether somebody must act, and where a community stands: what `slotfeed status` shows."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from pipelines.community import Community
from pipelines.metrics.run import gather
from pipelines.metrics.runs import last_runs
from pipelines.metrics.sample import Sample
from pipelines.slots import slot_floor
from pipelines.store import Store
from pipelines.watch import Alarm, Incident, Kind, seen_in_store, standing

UNWATCHED_AFTER = timedelta(hours=1)
"""The watch looks every 15 minutes; ours."""

UNSETTLED_AFTER = timedelta(hours=3)
"""Reconciliation runs every hour; ours."""

OUTSIDE = (Kind.CLOCK_SKEWED, Kind.QUOTA_SHORT, Kind.DISK_FULL)
"""Alarms of what isn't in the store: they stand as the watch saw them last."""

CAN_WAIT = (
    Kind.FEED_DOUBLED,
    Kind.RELEASES_MIXED,
    Kind.ASSET_SILENT,
    Kind.QUOTA_SHORT,
    Kind.COVERAGE_FALLING,
    Kind.QUARANTINE_GROWING,
    Kind.DISCREPANCIES_AGEING,
)
"""Alarms of which an hour more makes nothing worse; ours."""


class Level(IntEnum):
    """How soon somebody must act."""

    FINE = 0
    LOOK = 1
    """By day: nothing gets worse until then."""

    ACT = 2
    """Now: slots are lost, or soon will be."""


@dataclass(frozen=True, kw_only=True)
class Matter:
    """Something that a person must see to."""

    level: Level
    name: str
    """Of the alarm, or `feed.none`, `feed.problems`, `watch.missing`, `slots.unconfirmed`."""

    subject: str
    told: str
    remedy: str
    since: datetime | None = None
    """When it was first seen, where that is known."""


@dataclass(frozen=True, kw_only=True)
class LastRun:
    """How a flow ran last."""

    flow: str
    share: str
    """Of the community that it carried; 1/1 is all."""

    outcome: str
    started_at: datetime
    logical_time: datetime
    seconds: float
    """Of its steps together."""

    problems: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Overview:
    """A community at one moment."""

    name: str
    simulation: str
    protocol: str
    time_zone: str
    at: datetime
    slot_length: timedelta
    matters: tuple[Matter, ...]
    """The most urgent first."""

    runs: Mapping[str, LastRun]
    figures: Mapping[tuple[str, ...], float]
    """(metric, its labels) -> value, as Prometheus gets them."""

    @property
    def level(self) -> Level:
        """Of the most urgent matter."""
        return max((matter.level for matter in self.matters), default=Level.FINE)

    def figure(self, name: str, *labels: str) -> float:
        """A metric's value; 0 where it has none."""
        return self.figures.get((name, *labels), 0.0)

    def instant(self, name: str, *labels: str) -> datetime | None:
        """A metric that tells a time."""
        value = self.figures.get((name, *labels))
        return None if value is None else datetime.fromtimestamp(value, UTC)

    def labelled(self, name: str) -> dict[tuple[str, ...], float]:
        """Labels -> value of all series of a metric."""
        return {key[1:]: value for key, value in self.figures.items() if key[0] == name}

    def to_dict(self) -> dict[str, Any]:
        """For JSON; docs/metrics.md tells what each key means."""
        return {
            "act": self.level.name.lower(),
            "at": _told(self.at),
            "matters": [
                {
                    "level": one.level.name.lower(),
                    "name": one.name,
                    "subject": one.subject,
                    "told": one.told,
                    "remedy": one.remedy,
                    "since": _told(one.since),
                }
                for one in self.matters
            ],
            "delivery": {
                "slot": _told(slot_floor(self.at, self.slot_length)),
                "live": int(self.figure("assets", "true")),
                "taken": int(self.figure("slot_values_taken", "present")),
                "taken_of_coming_slot": int(self.figure("slot_values_taken", "coming")),
                "waiting": int(sum(self.labelled("submissions_waiting").values())),
                "in_flight": int(self.figure("submissions_in_flight")),
                "unsettled": int(self.figure("forecasts_unsettled")),
                "oldest_unsettled_slot": _told(self.instant("oldest_unsettled_slot_timestamp_seconds")),
                "coverage": self.figures.get(("coverage_ratio",)),
            },
            "runs": {
                flow: {
                    "outcome": run.outcome,
                    "share": run.share,
                    "started_at": _told(run.started_at),
                    "seconds": run.seconds,
                }
                for flow, run in self.runs.items()
            },
        }


def overview(store: Store, community: Community, folder: Path, *, now: datetime) -> Overview:
    """Look at the store as the watch does, without keeping or telling anything.

    Raises:
        StoreError: the store can't be read.
    """
    figures = gather(store, community, folder, now=now)
    incidents = standing(store)
    with store.reading() as connection:
        alarms = seen_in_store(connection, community, now=now)
        runs = _last_runs(connection)
    by_key = _by_key(figures)
    matters = [*_alarmed(alarms, incidents), *_of_runs(runs, now=now), *_unconfirmed(by_key, now=now)]
    section = community.community
    return Overview(
        name=section.name,
        simulation=section.simulation_uuid,
        protocol=community.exchange.protocol,
        time_zone=section.time_zone,
        at=now,
        slot_length=community.slot_length,
        matters=tuple(sorted(matters, key=lambda one: (-one.level, one.since or now))),
        runs=runs,
        figures=by_key,
    )


def _by_key(figures: Iterable[Sample]) -> dict[tuple[str, ...], float]:
    return {(one.family, *one.labels): one.value for one in figures}


def _alarmed(alarms: Iterable[Alarm], incidents: Iterable[Incident]) -> Iterator[Matter]:
    """What is wrong now, with since when the watch has seen it."""
    since = {(one.kind, one.subject): one.opened_at for one in incidents}
    for alarm in alarms:
        yield _matter(alarm, since.get((alarm.kind, alarm.subject)))
    for one in incidents:
        if one.kind in OUTSIDE:
            yield _matter(Alarm(kind=one.kind, subject=one.subject, told=one.told), one.opened_at)


def _matter(alarm: Alarm, since: datetime | None) -> Matter:
    return Matter(
        level=Level.LOOK if alarm.kind in CAN_WAIT else Level.ACT,
        name=alarm.kind.value,
        subject=alarm.subject,
        told=alarm.told,
        remedy=alarm.remedy,
        since=since,
    )


def _of_runs(runs: Mapping[str, LastRun], *, now: datetime) -> Iterator[Matter]:
    feed, watch = runs.get("feed"), runs.get("watch")
    if feed is None:
        yield _look("feed.none", "no feed has run yet", "Run `slotfeed feed` once by hand, then deploy it")
        return
    if feed.outcome in {"failed", "incomplete"}:
        words = "; ".join(feed.problems[:2]) or f"it {feed.outcome}"
        yield _look("feed.problems", f"the last feed: {words}", "Read what it told; the next run tries again")
    if watch is None or now - watch.logical_time > UNWATCHED_AFTER:
        last = "has never run" if watch is None else f"ran last at {watch.logical_time:%Y-%m-%d %H:%M} UTC"
        yield _look("watch.missing", f"the watch {last}: nobody is told", "Deploy `watch`, or see why it doesn't run")


def _unconfirmed(figures: Mapping[tuple[str, ...], float], *, now: datetime) -> Iterator[Matter]:
    oldest = figures.get(("oldest_unsettled_slot_timestamp_seconds",))
    if oldest is not None and now - datetime.fromtimestamp(oldest, UTC) > UNSETTLED_AFTER:
        slot = datetime.fromtimestamp(oldest, UTC)
        count = figures["forecasts_unsettled",]
        told = f"of {count:,.0f} values nothing was read back, the oldest of slot {slot:%Y-%m-%d %H:%M} UTC"
        yield _look("slots.unconfirmed", told, "Run `slotfeed reconcile`; see that its schedule is active")


def _look(name: str, told: str, remedy: str) -> Matter:
    return Matter(level=Level.LOOK, name=name, subject="", told=told, remedy=remedy)


def _last_runs(connection: Connection) -> dict[str, LastRun]:
    """Each flow's last run; where workers carry shares, that of the share which ran longest ago."""
    found: dict[str, LastRun] = {}
    for one in sorted(last_runs(connection), key=lambda run: run.logical_time, reverse=True):
        problems = tuple(one.summary.get("problems", ()))
        found[one.command] = LastRun(
            flow=one.command,
            share=one.share,
            outcome=one.outcome,
            started_at=one.started_at,
            logical_time=one.logical_time,
            seconds=round(sum(one.summary.get("stages_s", {}).values()), 1),
            problems=problems or ((one.summary["error"],) if "error" in one.summary else ()),
        )
    return dict(sorted(found.items()))


def _told(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
