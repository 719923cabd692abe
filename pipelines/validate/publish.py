"""Great Expectations' Data Docs of the newest days, from what stands in the store."""

from datetime import datetime, timedelta
from pathlib import Path

from expectations.names import Suite
from pipelines.community import Community
from pipelines.store import Store
from pipelines.validate.days import Days, docs_frames
from pipelines.validate.days.calendar import last_finished_day
from pipelines.validate.docs import Judged, build_data_docs
from pipelines.validate.period import judged_readings

ASSETS_AT_ONCE = 500


def publish_docs(store: Store, community: Community, *, days: int, now: datetime, folder: Path) -> Path:
    """Judge the newest finished days once more, all three suites, and write the site about them.

    Args:
        store: read only.
        community: whose rows.
        days: how many.
        now: the run's logical time.
        folder: of the site, as of `build_data_docs`.

    Returns:
        The index page.

    Raises:
        TerminalError: the folder can't be written, or Great Expectations left out a page.
    """
    zone = community.community.time_zone
    last = last_finished_day(now, zone)
    span = Days(first=last - timedelta(days=days - 1), last=last)
    start, end = span.bounds(zone)
    readings, slots, match = (Judged(suite) for suite in (Suite.READINGS, Suite.SLOT_ENERGY, Suite.EXCHANGE_MATCH))
    for frame in judged_readings(store, community, start=start, end=end, now=now):
        readings.add(frame)
    for part in docs_frames(store, community, days=span, now=now, at_once=ASSETS_AT_ONCE):
        slots.add(part[Suite.SLOT_ENERGY])
        match.add(part[Suite.EXCHANGE_MATCH])
    return build_data_docs([readings, slots, match], folder, community=community, start=start, end=end, now=now)
