"""Where readings come from: meter databases and vendors' clouds."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from pipelines.community.basics import Identifier, Name, Strict, TimeType, TimeZone, VendorName
from pipelines.frames import Quality


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
