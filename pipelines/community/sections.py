"""Sections of the community file: the community and its exchange, and what the daily and quarter-hourly runs do."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pipelines.community.basics import Name, Strict, TimeZone


class EstimationSection(Strict):
    """How gaps are filled with substitute values."""

    on: bool = True
    linear_minutes: int = Field(default=120, ge=0, le=720)
    """Gaps up to this long are bridged by a straight line: California's two hours (Ontario allows one)."""

    like_day_weeks: int = Field(default=3, ge=1, le=8)
    """Longer gaps take the average of like days of so many weeks before: Ontario's three."""

    longest_days: int = Field(default=21, ge=1, le=90)
    """What is missing for longer stays missing. The number is ours."""


class QualitySection(Strict):
    """Where the daily run leaves its pages."""

    folder: Name = "quality"
    """Beside the community file, unless it is absolute."""

    url: str | None = Field(default=None, pattern=r"^https?://[^/@?#\s]+(/[^@?#\s]*)?$")
    """Where the folder is served, for links from elsewhere. Default: nowhere, so they name files."""


class ReconcileSection(Strict):
    """What a reconciliation that runs on schedule may do."""

    repair: bool = False
    """Send again what may be sent again, and close as lost what can't be mended. By default it only says so, and
    `slotfeed reconcile --repair` does it."""


class WatchSection(Strict):
    """When somebody is told that something is wrong, and who."""

    silent_minutes: int = Field(default=120, ge=15, le=10_080)
    """After so long without a reading a meter is silent."""

    discrepancy_hours: int = Field(default=24, ge=1, le=720)
    """After so long an open discrepancy is told."""

    coverage_drop: float = Field(default=0.1, gt=0, le=1)
    """So much less of a day measured than of the week before is told: a share of all slots."""

    quota_left: float = Field(default=0.1, ge=0, lt=1)
    """A vendor account's budget of a day or a month of which less is left is told: a share."""

    notify: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")], ...] = ()
    """Prefect blocks that carry messages, as type/name: slack-webhook/ops, sendgrid-email/manager."""


class CommunitySection(Strict):
    """The community itself."""

    name: Name
    simulation_uuid: Name
    """The uuid after `/results/` in the address of the exchange's page."""

    slot_length: int = Field(default=15, ge=1, le=60)
    """Minutes; divides the hour."""

    time_zone: TimeZone = "UTC"
    """Local time of reports."""

    latitude: float | None = Field(default=None, ge=-90, le=90)
    longitude: float | None = Field(default=None, ge=-180, le=180)
    """Degrees north and east: when the sun is up. Default: where the time zone's name giver lies."""

    holidays: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")] | None = None
    """Whose public holidays count as Sundays: country (ISO 3166-1), with its part where it has its own (DE-BY).
    Default: nobody's."""


class ExchangeSection(Strict):
    """The exchange and how it is spoken to."""

    base_url: str = Field(pattern=r"^https?://[^/@?#\s]+(/[^@?#\s]*)?$")
    protocol: Literal["rest", "sdk", "batch"] = "rest"
    aggregator: Name | None = None
    """Name or uuid of the aggregator that sends for the assets; protocol batch needs it."""

    websocket_url: str | None = Field(default=None, pattern=r"^wss?://[^/@?#\s]+(/[^@?#\s]*)?$")
    """Where the exchange's websockets are. Default: /external-ws at the exchange's address."""

    margin_s: int = Field(default=30, ge=8, le=600)
    """A forecast must be there this long before its slot, in seconds. The engine was seen 7 s early."""

    concurrency: int = Field(default=10, ge=1, le=200)
    """Posts at a time."""

    assets_per_batch: int = Field(default=200, ge=1, le=5000)
    """Assets in one request of protocol batch."""
