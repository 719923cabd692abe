"""The file as a whole."""

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field

from expectations.names import Check
from expectations.thresholds import Limit, resolve
from pipelines.community.assets import Asset, Stream
from pipelines.community.basics import AssetType, HostName, Name, SourceName, Strict
from pipelines.community.checks import CheckSettings, settings_of
from pipelines.community.fees import MarketFees
from pipelines.community.sections import (
    CommunitySection,
    EstimationSection,
    ExchangeSection,
    QualitySection,
    ReconcileSection,
    WatchSection,
)
from pipelines.community.sources import AnySource
from pipelines.retention_section import RetentionSection


class Community(Strict):
    """The whole file."""

    community: CommunitySection
    exchange: ExchangeSection
    database: str = "sqlite:///slotfeed.sqlite"
    """slotfeed's own database; a relative SQLite path is relative to the file."""

    allow_http: tuple[HostName, ...] = ()
    """Hosts that may be spoken to in clear, over http or ws: whoever is on the way there reads passwords and tokens.
    This machine always may."""

    sources: dict[SourceName, AnySource] = Field(min_length=1)
    assets: tuple[Asset, ...] = Field(min_length=1)
    grid_fees: tuple[MarketFees, ...] = ()
    """What a grid operator sets; empty where nobody does."""

    checks: dict[AssetType | Literal["all"], CheckSettings] = Field(default_factory=dict)
    """What good data is, where the defaults don't fit: for all assets, or for those of a type."""

    estimation: EstimationSection = EstimationSection()
    quality: QualitySection = QualitySection()
    reconcile: ReconcileSection = ReconcileSection()
    watch: WatchSection = WatchSection()
    retention: RetentionSection = RetentionSection()

    archive: Name = "archive"
    """Folder of the exchange's results that are kept beyond its 90 days, beside the file."""

    @property
    def slot_length(self) -> timedelta:
        """Length of a market slot."""
        return timedelta(minutes=self.community.slot_length)

    @property
    def margin(self) -> timedelta:
        """How long before its slot a forecast must be at the exchange."""
        return timedelta(seconds=self.exchange.margin_s)

    def limits(self, asset: Asset) -> dict[Check, Limit]:
        """What the asset's checks compare with."""
        levels = (self.checks.get("all", {}), self.checks.get(asset.type, {}), asset.checks)
        return resolve(asset.type.value, [settings_of(level) for level in levels])

    def asset(self, name_or_uuid: str) -> Asset | None:
        """The asset with this name or uuid."""
        return next((a for a in self.assets if name_or_uuid in (a.name, a.uuid)), None)

    def streams(self) -> dict[str, Stream]:
        """Every distinct channel, check registers too.

        Where assets share one, its first mention: `sign` differs between them.
        """
        found: dict[str, Stream] = {}
        for asset in self.assets:
            for stream in (*asset.streams, *asset.check_registers):
                found.setdefault(stream.stream_id, stream)
        return found


def resolve_sqlite_path(url: str, beside: Path) -> str:
    """Make the path of a `sqlite:///relative` URL absolute, taken from the folder `beside`."""
    prefix = "sqlite:///"
    if not url.startswith(prefix) or url.startswith("sqlite:////") or url == "sqlite:///:memory:":
        return url
    return prefix + str((beside / url.removeprefix(prefix)).resolve())
