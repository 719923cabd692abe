"""Metrics as a file for node_exporter's textfile collector, written anew at the end of each run.

`SLOTFEED_METRICS_FOLDER` (environment, or `.env` beside the community file) names the collector's folder; each
community has a file of its own there, so that runs of a fleet don't stand in each other's way.
"""

import contextlib
import fcntl
import logging
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from pipelines.community import Community
from pipelines.errors import StoreError
from pipelines.metrics.exposition import write_textfile
from pipelines.metrics.run import gather
from pipelines.metrics.sample import Sample, instant, sample
from pipelines.settings import Secrets
from pipelines.store import Store

METRICS_FOLDER = ("SLOTFEED_METRICS_FOLDER",)

log = logging.getLogger("slotfeed")


def leave_textfile(store: Store, community: Community, folder: Path, secrets: Secrets, *, now: datetime) -> None:
    """Write the community's file where a folder is named; what goes wrong there is logged and costs the run nothing."""
    target = secrets.find(METRICS_FOLDER)
    if target is None:
        return
    place = Path(target.get_secret_value()).expanduser()
    try:
        with _alone(place / f".{file_name(community)}.lock"):
            figures = read_figures(store, community, folder, now=now)
            write_textfile(place / file_name(community), {community.community.name: figures})
    except (StoreError, OSError) as error:
        log.warning("No metrics in %s: %s", place, error)


def file_name(community: Community) -> str:
    """Of a community's file in the collector's folder; the collector reads what ends in `.prom`."""
    readable = "".join(sign if sign.isalnum() else "-" for sign in community.community.simulation_uuid)
    return f"slotfeed-{readable}.prom"


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One run at a time reads and writes: else the one that read first might write last, and counters would fall."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def read_figures(store: Store, community: Community, folder: Path, *, now: datetime) -> list[Sample]:
    """All figures, with how and when they were read.

    Raises:
        StoreError: the store can't be read.
    """
    began = time.monotonic()
    figures = gather(store, community, folder, now=now)
    took = time.monotonic() - began
    return [
        sample("up", 1),
        instant("collected_timestamp_seconds", now),
        sample("collection_seconds", took),
        *figures,
    ]
