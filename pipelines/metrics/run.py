"""The door of `metrics`: all figures of a community, read from its store."""

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from pipelines.community import Community, resolve_sqlite_path
from pipelines.metrics.runs import of_incidents, of_runs, of_totals
from pipelines.metrics.sample import Sample, sample
from pipelines.metrics.slots import of_discrepancies, of_outbox, of_slots
from pipelines.metrics.sources import of_quarantine, of_sources
from pipelines.store import Store


def gather(store: Store, community: Community, folder: Path, *, now: datetime) -> list[Sample]:
    """All that is known now; nothing is asked of anybody but the store and the disk.

    Costs the store a walk over the last day's slots: a second for ten thousand assets.

    Args:
        store: the community's.
        community: its file.
        folder: of the file.
        now: slots that begin later don't count.

    Raises:
        StoreError: the store can't be read.
    """
    with store.reading() as connection:
        return [
            *_about(store, community),
            *of_slots(connection, community, now=now),
            *of_outbox(connection, community, now=now),
            *of_discrepancies(connection),
            *of_quarantine(connection),
            *of_sources(connection, community, now=now),
            *of_runs(connection),
            *of_totals(connection),
            *of_incidents(connection),
            *_disks(community, folder),
        ]


def _about(store: Store, community: Community) -> Iterator[Sample]:
    section = community.community
    database = store.engine.dialect.name
    yield sample("community_info", 1, section.simulation_uuid, community.exchange.protocol, database)
    yield sample("slot_length_seconds", community.slot_length.total_seconds())
    live = sum(asset.live for asset in community.assets)
    yield sample("assets", live, "true")
    yield sample("assets", len(community.assets) - live, "false")


def _disks(community: Community, folder: Path) -> Iterator[Sample]:
    """A database server's disk isn't this machine's."""
    places = {folder}
    if community.database.startswith("sqlite:///"):
        places.add(Path(resolve_sqlite_path(community.database, folder).removeprefix("sqlite:///")).parent)
    for place in sorted(one for one in places if one.is_dir()):
        yield sample("disk_free_bytes", shutil.disk_usage(place).free, str(place))
