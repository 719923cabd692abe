"""Tables of what is known about the data: rows that broke checks, forecasts' scores, days in figures."""

from datetime import date, datetime

from sqlalchemy import JSON, BigInteger, Column, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from pipelines.store.tables import ROW_ID


class FindingRow(SQLModel, table=True):
    """A row that broke a check: which, by what value, against what threshold. Closed, never deleted."""

    __tablename__ = "finding"
    __table_args__ = (
        UniqueConstraint("suite", "subject", "ts", "check_name", "reading_id"),
        Index("ix_finding_asset", "asset_id", "ts"),
        Index("ix_finding_open", "closed_at", "suite", "ts"),
        Index("ix_finding_reading", "reading_id"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    suite: str
    """One of `expectations.names.Suite`."""

    check_name: str
    """One of `expectations.names.Check`."""

    severity: str
    asset_id: str
    """The first asset that uses the stream, for readings."""

    subject: str
    """What the row is of: a stream's id, an asset's, or asset and quantity."""

    ts: datetime | None
    """Stamp of the reading, or start of the slot."""

    reading_id: int = Field(default=0, sa_type=BigInteger)
    """The reading's row; 0 for slots."""

    value: float | None = None
    """What was compared, in the quantity of `expectations.thresholds`; None where there is no number."""

    low: float | None = None
    high: float | None = None
    detail: str = ""
    """What a person should know beside the numbers."""

    found_at: datetime
    closed_at: datetime | None = None
    closed_by: str = ""
    """Why it is closed: corrected, released, discarded."""

    run_id: str


class ForecastChoiceRow(SQLModel, table=True):
    """How an asset's coming slot is foretold, as the last backtest chose."""

    __tablename__ = "forecast_choice"

    asset_id: str = Field(primary_key=True)
    method: str
    """One of `pipelines.community.ForecastMethod`."""

    weights: dict[str, float] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """Of the blend: method -> weight."""

    mean_errors_wh: dict[str, float] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """Method -> its mean absolute error per slot over the scored slots; includes persistence."""

    scored_slots: int
    scored_from: datetime
    scored_until: datetime
    chosen_at: datetime
    run_id: str


class ForecastModelRow(SQLModel, table=True):
    """A trained model; the newest counts."""

    __tablename__ = "forecast_model"

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    library: str
    """Name and version of the library that wrote it."""

    features: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    text: str
    """In the library's own text format: reading it runs no code."""

    fitted_from: datetime
    fitted_until: datetime
    created_at: datetime
    run_id: str


class QualityDayRow(SQLModel, table=True):
    """One asset's day in figures, so that weeks can be told without reading all their slots again."""

    __tablename__ = "quality_day"

    day: date = Field(primary_key=True)
    """In the community's time zone."""

    asset_id: str = Field(primary_key=True)
    slots_expected: int
    slots_measured: int
    """Covered whole by readings, MEASURED."""

    slots_substituted: int
    slots_estimated: int
    slots_missing: int
    energy_wh: float
    rejected: int
    """Findings of that day by severity."""

    flagged: int
    informed: int
    forecast_slots: int
    """Slots that have both a forecast that was sent and a measured energy; the three errors are sums over them."""

    forecast_error_wh: float
    """Sum of absolute differences of the forecasts sent."""

    persistence_error_wh: float
    """The same, had each forecast repeated the newest measured slot."""

    exchange_compared: int
    """Slots whose forecast was read back."""

    exchange_differs: int
    computed_at: datetime
    run_id: str
