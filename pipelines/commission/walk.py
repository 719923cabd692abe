"""A walk through the steps: the store's rows of many assets at once, judged asset by asset."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl
from sqlalchemy import Connection

from pipelines.commission.around import Surroundings
from pipelines.commission.certificate import make_document
from pipelines.commission.delivery import Due, Held, confirmed, delivered, due_forecasts
from pipelines.commission.evidence import (
    Evidence,
    broken_certificates,
    differing_slots,
    last_feed,
    live_since,
    measurements,
    newest_compared,
    read_evidence,
    streams_told,
)
from pipelines.commission.keeping import Issued, enough, newest_certificates, newest_changes
from pipelines.commission.names import LOOK_BACK, SKIPPED, STALE, Mark, Outcome, Terms
from pipelines.commission.readings import Look, Slots, dark_slots, plausible, settle_times, slots_in_figures
from pipelines.commission.streaks import Difference, Streak, period, streaks, with_runs
from pipelines.commission.verdicts import AssetStanding, Certified, Change, judge
from pipelines.community import Asset, Community
from pipelines.slots import Abilities, slot_floor


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Some assets, looked at."""

    standings: list[AssetStanding] = field(default_factory=list)
    issued: list[Issued] = field(default_factory=list)
    certified: dict[str, Certified] = field(default_factory=dict)
    """asset_id -> its newest certificate from before this walk."""

    changes: dict[str, Change] = field(default_factory=dict)
    through: dict[str, datetime] = field(default_factory=dict)
    """asset_id -> end of its newest confirmed slot."""

    deeper: list[Asset] = field(default_factory=list)
    """Assets whose run of confirmed slots goes on further back than was read."""


class Walk:
    """What all portions of assets share."""

    def __init__(
        self,
        connection: Connection,
        community: Community,
        surroundings: Surroundings,
        *,
        abilities: Abilities,
        terms: Terms,
        now: datetime,
    ) -> None:
        """Read what is the same for all assets."""
        self._connection, self._community, self._terms, self._now = connection, community, terms, now
        self._surroundings, self._abilities = surroundings, abilities
        self._zone = ZoneInfo(community.community.time_zone)
        self._length = community.slot_length
        newest = newest_compared(connection, now=now)
        floor = slot_floor(now, self._length)
        end = floor if newest is None else min(floor, newest + self._length)
        self.furthest = floor - LOOK_BACK
        # A day and what reconciliation may be behind; where none has run for weeks, what there is of late.
        self.since = (floor if end < self.furthest else end) - terms.slots * self._length - STALE
        self._has_reconciled = newest is not None
        self._live = live_since(connection)
        self._broken = broken_certificates(connection, skipping=SKIPPED)
        self._look = Look(
            community=community,
            terms=terms,
            now=now,
            told=streams_told(connection),
            last_feed=last_feed(connection),
            settles=settle_times(community),
            dark=dark_slots(community, self.since, floor),
        )

    def look(self, assets: Sequence[Asset], since: datetime) -> Seen:
        """Judge some assets by their rows since an instant."""
        ids = [asset.asset_id for asset in assets]
        evidence = read_evidence(self._connection, ids, since=since, now=self._now)
        runs = with_runs(evidence.compared, self._length)
        seen = Seen(certified=newest_certificates(self._connection, ids), changes=newest_changes(self._connection, ids))
        found = _Found(
            runs=runs,
            streaks=streaks(runs),
            slots=slots_in_figures(
                evidence.local,
                evidence.findings,
                length=self._length,
                terms=self._terms,
                dark=self._look.dark,
            ),
            due=due_forecasts(evidence.sent, now=self._now),
        )
        proven = []
        for asset in assets:
            self._judge(asset, found, seen, since=since)
            one = seen.standings[-1]
            if one.outcome is Outcome.PROVEN and not self._holds(seen.certified.get(asset.asset_id)):
                proven.append(asset)
        seen.issued.extend(self._certificates(proven, evidence, runs))
        return seen

    def _holds(self, certified: Certified | None) -> bool:
        return certified is not None and certified.holds and enough(certified, self._terms)

    def _judge(self, asset: Asset, found: "_Found", seen: Seen, *, since: datetime) -> None:
        key, zone, now = asset.asset_id, self._zone, self._now
        certified = seen.certified.get(key)
        if certified is not None and certified.holds and not self._holds(certified):
            # It rests on fewer slots than are asked: as good as none, till a new one takes its place.
            certified = None
        streak = found.streaks.get(key)
        confirmation = confirmed(
            streak,
            self._held(key, certified),
            terms=self._terms,
            now=now,
            zone=zone,
            length=self._length,
            has_reconciled=self._has_reconciled,
        )
        steps = (
            self._surroundings.configured(asset),
            self._surroundings.reachable(asset),
            plausible(asset, found.slots.get(key), self._look),
            delivered(found.due.get(key), now=now, zone=zone, has_fed=self._look.last_feed is not None),
            confirmation,
        )
        seen.standings.append(judge(asset, steps, certified, seen.changes.get(key), now=now))
        if streak is None:
            return
        if streak.last_good is not None:
            seen.through[key] = streak.last_good + self._length
        waits = confirmation.mark is Mark.WAITS and streak.unbroken
        if waits and since > self.furthest and self._live.get(key, now) < since:
            seen.deeper.append(asset)

    def _held(self, asset_id: str, certified: Certified | None) -> Held | None:
        if certified is None or not certified.holds:
            return None
        told = self._broken.get(asset_id)
        broken = None
        if told is not None:
            slot, diagnosis, evidence, repair = told
            broken = Difference(slot_start=slot, diagnosis=diagnosis, evidence=evidence, repair=repair)
        return Held(number=certified.number, broken_by=broken)

    def _certificates(self, proven: Sequence[Asset], evidence: Evidence, runs: pl.DataFrame) -> list[Issued]:
        if not proven:
            return []
        ids = [asset.asset_id for asset in proven]
        differing = differing_slots(self._connection, ids)
        carries = self._abilities.measurements
        since = evidence.since if carries else self._now
        told = by_asset(measurements(self._connection, ids, since=since, now=self._now))
        rows, local = by_asset(runs.filter("in_run")), by_asset(evidence.local)
        issued = []
        for asset in proven:
            run = rows[asset.asset_id]
            slots = period(run, self._terms)["slot_start"]
            start, end = slots[0], slots[-1] + self._length
            own = told.get(asset.asset_id)
            states = {} if own is None else _states(own, start, end)
            document = make_document(
                self._community,
                asset,
                run,
                local.get(asset.asset_id, evidence.local.clear()),
                terms=self._terms,
                measurements=states if carries else None,
                earlier_open=sum(slot < start for slot in differing.get(asset.asset_id, ())),
                now=self._now,
            )
            issued.append(Issued(asset_id=asset.asset_id, document=document, period_start=start, period_end=end))
        return issued


@dataclass(frozen=True, kw_only=True)
class _Found:
    """The rows of some assets in figures, by asset."""

    runs: pl.DataFrame
    streaks: dict[str, Streak]
    slots: dict[str, Slots]
    due: dict[str, Due]


def by_asset(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """asset_id -> its rows."""
    return {str(key): rows for (key,), rows in frame.partition_by("asset_id", as_dict=True).items()}


def _states(rows: pl.DataFrame, start: datetime, end: datetime) -> dict[str, int]:
    within = rows.filter(pl.col("slot_start") >= start, pl.col("slot_start") < end)
    return dict(within.group_by("state").len().sort("state").iter_rows())
