"""What can be wrong, each with a stable name, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Names of alarms; events and automations are named by them, so they never change."""

    FEED_MISSING = "feed.missing"
    FEED_DOUBLED = "feed.doubled"
    SHARES_MIXED = "shares.mixed"
    RELEASES_MIXED = "releases.mixed"
    LOGIN_REFUSED = "login.refused"
    SLOT_UNDELIVERED = "slot.undelivered"
    ASSET_UNDELIVERED = "asset.undelivered"
    SOURCE_SILENT = "source.silent"
    ASSET_SILENT = "asset.silent"
    ACCOUNT_STOPPED = "account.stopped"
    QUOTA_SHORT = "quota.short"
    COVERAGE_FALLING = "coverage.falling"
    QUARANTINE_GROWING = "quarantine.growing"
    DISCREPANCIES_AGEING = "discrepancies.ageing"
    CLOCK_SKEWED = "clock.skewed"
    DISK_FULL = "disk.full"


REMEDIES: Mapping[Kind, str] = {
    Kind.FEED_MISSING: "See that Prefect's server and a worker run, and that the feed's schedule is active",
    Kind.FEED_DOUBLED: "Nothing is sent twice, but it costs: two deployments of one community, or a schedule finer "
    "than its slot? `slotfeed doctor` names them",
    Kind.SHARES_MIXED: "Deploy all shares anew, and delete deployments of the old number: assets may be in no share",
    Kind.RELEASES_MIXED: "Bring all workers to one release, and restart them",
    Kind.LOGIN_REFUSED: "Check SLOTFEED_EXCHANGE_USERNAME and SLOTFEED_EXCHANGE_PASSWORD",
    Kind.SLOT_UNDELIVERED: "Run `slotfeed doctor`: the exchange, the login or the network; slots that began are past",
    Kind.ASSET_UNDELIVERED: "Read what the exchange says of the asset, then compare its uuid with the registry",
    Kind.SOURCE_SILENT: "Run `slotfeed check --connect`; then see whether the cloud or the database gets new readings",
    Kind.ASSET_SILENT: "See whether the meter is powered and connected; its forecasts repeat what it said last",
    Kind.ACCOUNT_STOPPED: "Mend what is told, then run `slotfeed sources resume` with the source's name",
    Kind.QUOTA_SHORT: "See `slotfeed sources quota`: who else uses the account, or a larger plan",
    Kind.COVERAGE_FALLING: "See the report for the gaps; `slotfeed backfill` fetches what came late",
    Kind.QUARANTINE_GROWING: "See `slotfeed quarantine list`: release what is right, discard what is wrong",
    Kind.DISCREPANCIES_AGEING: "Do what `slotfeed reconcile` says for each; with --repair it mends what it can",
    Kind.CLOCK_SKEWED: "Let this machine's clock follow a time server (NTP)",
    Kind.DISK_FULL: "Make room on that disk, or move the folder",
}


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """Something that is wrong now."""

    kind: Kind
    subject: str
    """What it is about, as its reader calls it: an asset's name and uuid, a source, a folder; "" for the community."""

    told: str
    """What is seen, in words."""

    @property
    def remedy(self) -> str:
        """What to do."""
        return REMEDIES[self.kind]
