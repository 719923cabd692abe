"""The community file, `community.yaml`: who trades, through which exchange, from which meters.

Pydantic models of the file; unknown keys are refused. `pipelines.check` reads the file and finds every
fault at once; the models hold what a single field can know. No secret stands in the file: the
user names and passwords it needs are named in `pipelines.settings`.
"""

from pipelines.community.assets import Asset, ForecastMethod, Stream
from pipelines.community.basics import (
    ENERGY_WH,
    POWER_W,
    AssetType,
    HostName,
    Identifier,
    Label,
    Name,
    SourceName,
    Strict,
    TimeOfDay,
    TimeType,
    TimeZone,
    VendorName,
    Weekday,
)
from pipelines.community.checks import CheckSection, CheckSettings
from pipelines.community.fees import FeeSpan, MarketFees
from pipelines.community.file import Community, resolve_sqlite_path
from pipelines.community.sections import (
    CommunitySection,
    EstimationSection,
    ExchangeSection,
    QualitySection,
    ReconcileSection,
    WatchSection,
)
from pipelines.community.sources import CLOUD, METER_DATABASE, AnySource, Cloud, Columns, MeterDatabase
from pipelines.retention_section import RetentionSection

__all__ = [
    "CLOUD",
    "ENERGY_WH",
    "METER_DATABASE",
    "POWER_W",
    "AnySource",
    "Asset",
    "AssetType",
    "CheckSection",
    "CheckSettings",
    "Cloud",
    "Columns",
    "Community",
    "CommunitySection",
    "EstimationSection",
    "ExchangeSection",
    "FeeSpan",
    "ForecastMethod",
    "HostName",
    "Identifier",
    "Label",
    "MarketFees",
    "MeterDatabase",
    "Name",
    "QualitySection",
    "ReconcileSection",
    "RetentionSection",
    "SourceName",
    "Stream",
    "Strict",
    "TimeOfDay",
    "TimeType",
    "TimeZone",
    "VendorName",
    "WatchSection",
    "Weekday",
    "resolve_sqlite_path",
]
