"""The door of `archive`: fetch what isn't kept yet, day by day, before the exchange drops it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import quote

import polars as pl
from polars.exceptions import PolarsError
from sqlalchemy import select

from pipelines.archive.days import DAY, MISSING_SHOWN, RESULTS, LiveAsset, day_results, first_instant, stretches
from pipelines.archive.manifest import Day, Manifest, day_file, read_manifest, write_manifest
from pipelines.community import Community
from pipelines.exchange.client import ExchangeClient
from pipelines.exchange.results import LONGEST_WINDOW, History, read_history
from pipelines.store import AssetRow, Store, table_of
from pipelines.whole_files import sha256_of, slotfeed_version, sole_writer, write_whole

SETTLING = timedelta(days=1)
"""A day is fetched when it has been over this long; ours."""

REFETCHED = timedelta(days=7)
"""A day with gaps is fetched again until it has been over this long, then it is kept as it is; ours."""

RETENTION = timedelta(days=90)
"""The exchange keeps its results this long."""

WARNED = timedelta(days=80)
"""From this age on, a day that isn't kept is a problem; ours."""

SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class ArchiveSummary:
    """What one run did, in days of UTC."""

    complete: tuple[date, ...] = ()
    """Kept whole."""

    settled_with_gaps: tuple[date, ...] = ()
    """Kept for good with slots missing."""

    open_with_gaps: tuple[date, ...] = ()
    """Kept as far as they are there; fetched again next time."""

    waiting: tuple[date, ...] = ()
    """Not fetched: no asset could be read."""

    rows: int = 0
    """Written."""

    missing: Mapping[str, int] = field(default_factory=dict)
    """Day -> slots that are missing, where any are."""

    problems: tuple[str, ...] = ()


def archive_folder(community: Community, folder: Path) -> Path:
    """Where the simulation's results are kept.

    Args:
        community: names the archive and the simulation.
        folder: of the community file, where a relative path starts.
    """
    simulation = quote(community.community.simulation_uuid, safe="")
    if not simulation.strip("."):
        simulation = simulation.replace(".", "%2E")
    return folder / Path(community.archive).expanduser() / simulation


async def keep_results(
    store: Store, community: Community, client: ExchangeClient, *, root: Path, start: date | None = None
) -> ArchiveSummary:
    """Fetch, check and keep each finished day that isn't kept yet, the oldest first.

    A run that dies leaves each day either kept or to be done by the next.

    Args:
        store: says which assets are live, and since when.
        community: its live assets are fetched.
        client: connected; its clock says what is over.
        root: `archive_folder`.
        start: first day; None: as far back as the exchange keeps results, and no farther than the first live slot.

    Raises:
        TerminalError: the folder can't be written, is damaged, or another run works in it.
    """
    now = client.clock.now()
    live = _live(store, community)
    if not live:
        return ArchiveSummary()
    simulation = community.community.simulation_uuid
    with sole_writer(root):
        tally = _Tally(root=root, manifest=read_manifest(root, simulation=simulation), now=now)
        first = start or max((now - RETENTION).date(), min(asset.live_since for asset in live).date())
        days = [day for day in _days(first, (now - SETTLING).date()) if not tally.is_settled(day)]
        for stretch in stretches(days, LONGEST_WINDOW // DAY):
            history = await read_history(
                client,
                simulation=simulation,
                assets=[asset.asset_id for asset in live],
                start=first_instant(stretch[0]),
                end=first_instant(stretch[-1]) + DAY,
                concurrency=community.exchange.concurrency,
            )
            # An exchange that refuses all of them (the user's right, a proxy) says nothing of their days.
            unread = history.failed if history.energy_kwh else {**history.unknown, **history.failed}
            tally.unread |= {asset.name: unread[asset.asset_id] for asset in live if asset.asset_id in unread}
            if len(unread) == len(live) and not history.energy_kwh:
                # Nothing answers: the stretches to come would only take their time too.
                break
            for day in stretch:
                tally.keep(day, history, live, community.slot_length)
        return tally.summary(days)


@dataclass(kw_only=True)
class _Tally:
    """One run's work in the folder, and its count."""

    root: Path
    manifest: Manifest
    now: datetime
    rows: int = 0
    kept: list[date] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)

    def is_settled(self, day: date) -> bool:
        """Whether there is nothing left to do for the day."""
        entry = self.manifest.days.get(day)
        return entry is not None and entry.settled and (self.root / entry.file).exists()

    def keep(self, day: date, history: History, live: Sequence[LiveAsset], slot_length: timedelta) -> None:
        """Write the day's file and then its entry."""
        found = day_results(day, history, live, earlier=self._earlier(day), read_at=self.now, slot_length=slot_length)
        self.kept.append(day)
        if found.frame.is_empty() and not found.slots_expected:
            return
        over_since = self.now - first_instant(day) - DAY
        final = over_since >= REFETCHED and not history.failed
        file = day_file(day)
        entry = Day(
            file=file,
            rows=found.frame.height,
            assets=found.frame["asset_id"].n_unique(),
            slots_expected=found.slots_expected,
            slots_found=found.slots_found,
            missing=found.missing[:MISSING_SHOWN],
            settled=not found.missing or final,
            sha256=write_whole(self.root / file, partial(found.frame.write_parquet, compression="zstd")),
            read_at=self.now,
            slotfeed=slotfeed_version(),
        )
        self.manifest = self.manifest.with_day(day, entry)
        write_manifest(self.root, self.manifest)
        self.rows += found.frame.height

    def summary(self, due: Sequence[date]) -> ArchiveSummary:
        """What became of the days that were due."""
        entries = {day: self.manifest.days[day] for day in self.kept if day in self.manifest.days}
        whole = [day for day, entry in entries.items() if entry.complete]
        settled = [day for day, entry in entries.items() if entry.settled and not entry.complete]
        still_open = [day for day, entry in entries.items() if not entry.settled]
        waiting = [day for day in due if day not in self.kept]
        return ArchiveSummary(
            complete=tuple(whole),
            settled_with_gaps=tuple(settled),
            open_with_gaps=tuple(still_open),
            waiting=tuple(waiting),
            rows=self.rows,
            missing={
                f"{day}": entry.slots_expected - entry.slots_found
                for day, entry in entries.items()
                if not entry.complete
            },
            problems=(*_unread_words(self.unread), *self._about_to_go([*still_open, *waiting])),
        )

    def _about_to_go(self, days: Iterable[date]) -> list[str]:
        late = sorted(day for day in days if self.now - first_instant(day) >= WARNED)
        if not late:
            return []
        last = first_instant(late[0]) + RETENTION
        named = ", ".join(f"{day}" for day in late[:SHOWN]) + (f" and {len(late) - SHOWN} more" if late[SHOWN:] else "")
        return [f"not archived yet: {named}; the exchange drops the first of them from {last:%Y-%m-%d} on"]

    def _earlier(self, day: date) -> pl.DataFrame:
        """What was kept of the day before, if it is as it was written."""
        entry = self.manifest.days.get(day)
        empty = pl.DataFrame(schema=RESULTS)
        if entry is None:
            return empty
        path = self.root / entry.file
        try:
            return pl.read_parquet(path) if sha256_of(path) == entry.sha256 else empty
        except (OSError, PolarsError):
            return empty


def _unread_words(unread: Mapping[str, str]) -> list[str]:
    words = [f"asset '{name}': {reason}" for name, reason in list(unread.items())[:SHOWN]]
    return [*words, f"{len(unread) - SHOWN} more assets could not be read"] if unread and len(unread) > SHOWN else words


def _days(first: date, end: date) -> list[date]:
    return [first + n * DAY for n in range(max(0, (end - first).days))]


def _live(store: Store, community: Community) -> list[LiveAsset]:
    row = table_of(AssetRow)
    with store.reading() as connection:
        since: dict[str, datetime] = {
            one.asset_id: one.live_since for one in connection.execute(select(row.c.asset_id, row.c.live_since))
        }
    return [
        LiveAsset(asset_id=asset.asset_id, name=asset.name, live_since=since[asset.asset_id])
        for asset in community.assets
        if asset.asset_id in since
    ]
