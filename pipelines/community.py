"""The community file, `community.yaml`: who trades, through which exchange, from which meters.

Pydantic models of the file; unknown keys are refused. `pipelines.check` reads the file and finds every
fault at once; the models hold what a single field can know. No secret stands in the file: the
user names and passwords it needs are named in `pipelines.settings`.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

from expectations.names import Check, Severity
from expectations.thresholds import THRESHOLDS, Limit, Setting, resolve
from pipelines.frames import Kind, Quality
from pipelines.retention_section import RetentionSection

ENERGY_WH = {"Wh": 1.0, "kWh": 1e3, "MWh": 1e6}
"""Energy units of registers and intervals, in Wh."""

POWER_W = {"W": 1.0, "kW": 1e3, "MW": 1e6}
"""Power units, in W."""


class AssetType(StrEnum):
    """What an asset is. The exchange takes live data for loads and PV only (see `sent_as`)."""

    LOAD = "load"
    PV = "pv"
    HEAT_PUMP = "heat_pump"
    EV_CHARGER = "ev_charger"
    BATTERY = "battery"
    SMART_METER = "smart_meter"

    @property
    def sent_as(self) -> "AssetType | None":
        """The exchange's type that can carry this asset's live data; None where none can by itself."""
        return {
            AssetType.LOAD: AssetType.LOAD,
            AssetType.PV: AssetType.PV,
            AssetType.HEAT_PUMP: AssetType.LOAD,
            AssetType.EV_CHARGER: AssetType.LOAD,
        }.get(self)


class Label(StrEnum):
    """Which instant a time stamp tells."""

    INSTANT = "instant"
    """The value at the stamp: registers, sampled power."""

    START = "start"
    """The value of the span that begins at the stamp."""

    END = "end"
    """The value of the span that ends at the stamp."""


class TimeType(StrEnum):
    """How a meter database writes an instant."""

    TIMESTAMPTZ = "timestamptz"
    NAIVE = "naive"
    EPOCH_S = "epoch_s"
    EPOCH_MS = "epoch_ms"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"'{name}' is no IANA time zone; write one like Europe/Vienna") from error
    return name


TimeZone = Annotated[str, AfterValidator(_zone)]
SourceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""Of letters, digits and underscores, because the name of its password is made from it."""

VendorName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
HostName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]+$", to_lower=True)]
"""A host's name or address alone, without scheme, port or brackets."""

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$")]
"""A table's or column's name, with its schema where it has one."""


class Strict(BaseModel):
    """A section of the file: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, allow_inf_nan=False)


class CheckSection(Strict):
    """What the file says of a check; what it leaves out stays as it is by default (`expectations.thresholds`)."""

    low: float | None = None
    """The lowest value that is good."""

    high: float | None = None
    """The highest value that is good."""

    severity: Severity | None = None

    @model_validator(mode="after")
    def _not_crossed(self) -> "CheckSection":
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}, so nothing would be good")
        return self


def _with_thresholds(settings: dict[Check, Any]) -> dict[Check, Any]:
    if fixed := [check.value for check in settings if check not in THRESHOLDS]:
        raise ValueError(f"{', '.join(fixed)}: has no threshold; no energy can be computed from what breaks it")
    return settings


CheckSettings = Annotated[dict[Check, CheckSection | Literal[False]], AfterValidator(_with_thresholds)]
"""Check -> its settings; `off` switches it off."""


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


class Columns(Strict):
    """Which column holds what in a meter database."""

    meter: Identifier
    time: Identifier
    end: Identifier | None = None
    """End of the span, where rows carry start and end."""

    register_: Identifier | None = Field(default=None, alias="register")
    value: Identifier | None = None
    """The value's column; absent where the source is wide."""

    unit: Identifier | None = None
    quality: Identifier | None = None
    ingested_at: Identifier | None = None
    """When the database got the row: finds late and corrected rows without reading everything again."""

    tie_breaker: Identifier | None = None
    """A column that grows with true time: tells the two hours of an autumn night apart."""


class MeterDatabase(Strict):
    """A meter database: any SQLAlchemy URL, read-only."""

    type: Literal["meter_database"]
    url: str
    """Without password: that comes from SLOTFEED_SOURCE_<NAME>_PASSWORD."""

    table: Identifier | None = None
    sql: str | None = None
    """One SELECT with the bind parameters :start, :end and :meters, instead of `table`."""

    columns: Columns
    wide: dict[Identifier, Name] | None = None
    """Wide rows: column -> register it stands for."""

    time_type: TimeType
    time_zone: TimeZone | None = None
    """Required for naive times."""

    row_order: bool = False
    """Rows come back in their true order, so a repeated autumn hour is told apart by it."""

    register_map: dict[str, Name] = Field(default_factory=dict)
    """What the register column says -> what streams call it."""

    quality_map: dict[str, Quality] = Field(default_factory=dict)
    """What the quality column says -> slotfeed's scale."""

    scale: float = Field(default=1.0, gt=0)
    """Factor on every value, before its unit."""

    overlap: int = Field(default=360, ge=0, le=525_600)
    """Minutes before the last reading that are read again, for late and corrected rows."""


class Cloud(Strict):
    """An account at a vendor's cloud, or a gateway that is asked the same way.

    Its secret (password, key or token) is SLOTFEED_SOURCE_<NAME>_PASSWORD. What a field left out defaults to is the
    vendor's business: `pipelines.collect.vendors`.
    """

    type: VendorName
    """The vendor."""

    url: str | None = Field(default=None, pattern=r"^https?://[^/@?#\s]+(/[^@?#\s]*)?$")
    """Where the vendor's own address isn't meant: a region's, or a gateway at home."""

    username: Name | None = None
    client_id: Name | None = None
    """Of the app that the account's owner let in by OAuth 2."""

    overlap: int | None = Field(default=None, ge=0, le=525_600)
    """Minutes before the last reading that are read again, for late and corrected values."""

    settle: int | None = Field(default=None, ge=0, le=1440)
    """Minutes after a span's end before its value is taken for whole."""

    limits: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """Of the account's plan, where it differs from the vendor's free one: name of the limit -> requests."""


def _kind_of_source(raw: Any) -> str:  # noqa: ANN401 - whatever stands in the file
    kind = raw.get("type") if isinstance(raw, dict) else getattr(raw, "type", None)
    return METER_DATABASE if not isinstance(kind, str) or kind == METER_DATABASE else CLOUD


METER_DATABASE, CLOUD = "meter_database", "cloud"
AnySource = Annotated[
    Annotated[MeterDatabase, Tag(METER_DATABASE)] | Annotated[Cloud, Tag(CLOUD)], Discriminator(_kind_of_source)
]


class Stream(Strict):
    """One channel of one device."""

    source: Name
    device: Name
    register_: Name | None = Field(default=None, alias="register")
    """OBIS code or whatever the source calls the channel."""

    kind: Kind
    unit: Name
    label: Label | None = None
    """Default: instant for registers and power, start for intervals."""

    interval: int | None = Field(default=None, ge=1, le=1440)
    """Minutes a span lasts, where rows tell only its start or end. Default: the slot length."""

    time_zone: TimeZone | None = None
    """Of this stream's naive stamps, where it differs from its source's."""

    sign: Literal[1, -1] = 1
    """-1 turns the value round: for the export half of a two-way meter."""

    two_way: bool = False
    """The value goes below zero when energy flows the other way; only what is positive after `sign` counts."""

    rated_power_kw: float | None = Field(default=None, gt=0)
    """Of this channel, where it differs from its asset's."""

    dials: int | None = Field(default=None, ge=4, le=12)
    """Digits before the decimal point that the register can show, in kWh."""

    @property
    def stream_id(self) -> str:
        """Identity of the channel, stable over renamed assets: source/device/register."""
        return f"{self.source}/{self.device}/{self.register_ or '-'}"

    @property
    def stamp(self) -> Label:
        """The label, with its default."""
        if self.label is not None:
            return self.label
        return Label.START if self.kind is Kind.INTERVAL else Label.INSTANT


class ForecastMethod(StrEnum):
    """How the coming slot's energy is foretold."""

    PERSISTENCE = "persistence"
    """The newest measured slot repeats."""

    YESTERDAY = "yesterday"
    """As in the slot a day before."""

    LAST_WEEK = "last_week"
    """As in the slot a week before."""

    BLEND = "blend"
    """A weighted mean of these three."""

    MODEL = "model"
    """One model for all assets, learned from their history."""

    STANDARD_PROFILE = "standard_profile"
    """The standard load profile: while there are no measurements."""


class Asset(Strict):
    """An asset of the exchange and the streams its energy is the sum of."""

    name: Name
    uuid: Name
    type: AssetType
    rated_power_kw: float = Field(gt=0)
    streams: tuple[Stream, ...] = Field(min_length=1)
    live: bool = True
    """The asset's live switch at the exchange. Where it is off, the exchange follows the uploaded profile and throws
    away what is posted, so nothing is."""

    check_registers: tuple[Stream, ...] = Field(default=(), max_length=4)
    """Registers that the asset's energy must add up to, where it is computed from something else: the sum check and
    substitute values use them."""

    checks: CheckSettings = Field(default_factory=dict)
    """What good data is, where this asset differs from its type."""

    post_estimates: bool = False
    """Send substitute values that are estimated too. By default the exchange gets what was measured, or nothing."""

    forecast: ForecastMethod | None = None
    """Default: what the last backtest found best."""

    load_profile: Annotated[str, StringConstraints(pattern=r"^[a-z][0-9]$")] | None = None
    """Standard load profile of the German BDEW (h0 household, g0 to g6 trade, l0 to l2 farm), from which the coming
    slot is forecast until there are measurements. Needs `annual_kwh`."""

    annual_kwh: float | None = Field(default=None, gt=0)
    """Energy of a year, for the standard load profile."""

    @property
    def asset_id(self) -> str:
        """The exchange's uuid: names aren't unique there."""
        return self.uuid


class FeeSpan(Strict):
    """A stretch of the day with a grid fee of its own."""

    from_: TimeOfDay = Field(alias="from")
    to: TimeOfDay
    """Itself not included; earlier than `from`, it is on the next day, and equal to it, the span lasts a day."""

    days: tuple[Weekday, ...] = Field(default=(), max_length=7)
    """On which `from` lies; none: every day."""

    cents_per_kwh: float = Field(ge=0)


class MarketFees(Strict):
    """The grid fee of one market of the exchange, over the day in local time."""

    market: Name
    """Its name at the exchange."""

    uuid: Name
    cents_per_kwh: float = Field(ge=0)
    """Where no span says otherwise."""

    schedule: tuple[FeeSpan, ...] = ()
    """The first span that holds the present counts."""


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
        return resolve(asset.type.value, [_settings(level) for level in levels])

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


def _settings(level: CheckSettings) -> Mapping[Check, Setting]:
    return {
        check: Setting(low=section.low, high=section.high, severity=section.severity)
        if isinstance(section, CheckSection)
        else Setting(on=False)
        for check, section in level.items()
    }


def resolve_sqlite_path(url: str, beside: Path) -> str:
    """Make the path of a `sqlite:///relative` URL absolute, taken from the folder `beside`."""
    prefix = "sqlite:///"
    if not url.startswith(prefix) or url.startswith("sqlite:////") or url == "sqlite:///:memory:":
        return url
    return prefix + str((beside / url.removeprefix(prefix)).resolve())
