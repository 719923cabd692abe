"""Every metric, with its type, help and labels. Names follow Prometheus' conventions: base units, `_total` of counters.

All have the label `community` in front. None has a label for an asset: a fleet of 100,000 would be as many series of
each, and what is wrong with one asset is told by the watch, the status and the report.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "slotfeed_"
COMMUNITY = "community"


class Kind(StrEnum):
    """Prometheus' types."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, kw_only=True)
class Family:
    """One metric."""

    name: str
    """Without `slotfeed_`, and of a counter without `_total`."""

    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    """Beside the community."""

    @property
    def full_name(self) -> str:
        """As queries name it; of a histogram without `_bucket`, `_sum` and `_count`."""
        return PREFIX + self.name + ("_total" if self.kind is Kind.COUNTER else "")


def _gauge(name: str, told: str, *labels: str) -> Family:
    return Family(name=name, kind=Kind.GAUGE, help=told, labels=labels)


def _counter(name: str, told: str, *labels: str) -> Family:
    return Family(name=name, kind=Kind.COUNTER, help=told, labels=labels)


def _histogram(name: str, told: str, *labels: str) -> Family:
    return Family(name=name, kind=Kind.HISTOGRAM, help=told, labels=labels)


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        _gauge("up", "Whether the community's file, store and run log could be read (1) or not (0)"),
        _gauge("collected_timestamp_seconds", "When these figures were read from the store"),
        _gauge("collection_seconds", "How long reading them took"),
        _gauge(
            "community_info",
            "Always 1; the simulation at the exchange, the protocol and the store's database",
            "simulation",
            "protocol",
            "database",
        ),
        _gauge("slot_length_seconds", "Length of a market slot"),
        _gauge("assets", "Assets of the community file, by whether they are live", "live"),
        # Delivery.
        _gauge("slots_expected", "Asset slots that began in the last 24 hours since their asset is live"),
        _gauge(
            "slots",
            "Of these, by the state of the newest value; none: nothing was planned",
            "quantity",
            "state",
        ),
        _gauge(
            "slot_values_taken", "Live assets whose value the exchange took for the slot: present or coming", "slot"
        ),
        _gauge("coverage_ratio", "Mean share, of the slots of a day up to the last but one, that readings back"),
        _gauge("submissions_waiting", "Values in the outbox that are still to be sent, by their deadline", "deadline"),
        _gauge("submissions_in_flight", "Values that a worker has leased"),
        _gauge("forecasts_unsettled", "Forecasts of slots that are over of which nothing was read back yet"),
        _gauge(
            "oldest_unsettled_slot_timestamp_seconds",
            "Start of the oldest slot that is over and of which nothing was read back; absent where none is",
        ),
        _counter("submissions_planned", "Values put into the outbox"),
        _counter("submissions", "Outcomes of values in deliveries; given_back: not answered, tried again", "outcome"),
        _histogram("delivery_margin_seconds", "How long before their deadline values were accepted"),
        _counter("submissions_resent", "Values that a repair set back to be sent again"),
        # Data.
        _counter("readings_stored", "Readings written, new ones and corrections", "source"),
        _counter("readings_corrected", "Of these, corrections", "source"),
        _counter("readings_judged", "New readings that got a verdict", "verdict"),
        _counter("readings_broken", "Readings that went into quarantine, by the check they broke", "check"),
        _gauge("readings_waiting", "Readings that wait for a correction or a person, by verdict", "verdict"),
        _counter("slots_computed", "Versions of slots made of readings; corrections among them"),
        _counter("source_failures", "Runs in which the source, or a device of it, could not be read", "source"),
        _gauge("source_newest_reading_timestamp_seconds", "Stamp of the source's newest reading", "source"),
        _gauge(
            "source_stopped", "Whether the account isn't asked at present (1): login refused or budget spent", "source"
        ),
        _gauge("source_requests_remaining", "Requests left of a limit, as the last watch saw it", "source", "limit"),
        _gauge("source_requests_limit", "Requests that the limit allows", "source", "limit"),
        # Reconciliation.
        _gauge("discrepancies_open", "Asset slots whose value at the exchange differs, by cause", "cause"),
        _gauge("discrepancies_lost", "Asset slots that were given up: what the market counted there stays"),
        # Runs.
        _counter("runs", "Runs that have ended", "flow", "outcome"),
        _histogram("run_duration_seconds", "How long runs' steps took together", "flow"),
        _counter("stage_seconds", "Time spent in a step of the flow", "flow", "stage"),
        _gauge(
            "last_stage_duration_seconds", "How long the step took in the flow's last run", "flow", "share", "stage"
        ),
        _gauge("last_run_timestamp_seconds", "When the flow's last run ended, however it did", "flow", "share"),
        _gauge(
            "last_success_timestamp_seconds", "When a run of the flow last ended without a problem", "flow", "share"
        ),
        # What the watch sees.
        _gauge("incidents_open", "Incidents of the watch that stand, by alarm", "alarm"),
        _gauge(
            "clock_offset_seconds", "How far this machine's clock is behind the exchange's, as the last watch saw it"
        ),
        _gauge("disk_free_bytes", "Room left where the store and the pages are written", "path"),
    )
}
"""name -> the metric, in the order in which they are shown."""
