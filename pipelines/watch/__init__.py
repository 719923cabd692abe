"""Whether somebody must act: what is wrong now and since when; each trouble an incident with its beginning and end."""

from pipelines.watch.alarms import Alarm, Kind
from pipelines.watch.incidents import Incident, headline, mark_told, standing, untold
from pipelines.watch.run import WatchSummary, seen_in_store, watch

__all__ = [
    "Alarm",
    "Incident",
    "Kind",
    "WatchSummary",
    "headline",
    "mark_told",
    "seen_in_store",
    "standing",
    "untold",
    "watch",
]
