"""Tables of commissioning: what changed in how an asset stands, and the certificates of those that were proven.

How an asset stands is worked out anew from the other tables each time; only what can't be is kept here.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, Index, text
from sqlmodel import Field, SQLModel

from pipelines.store.tables import ROW_ID


class CommissionChangeRow(SQLModel, table=True):
    """An asset came to stand differently. Its newest row tells how it stands, and since when."""

    __tablename__ = "commission_change"
    __table_args__ = (Index("ix_commission_change_asset", "asset_id", "id"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    asset_id: str
    at: datetime
    """Since when: the run's logical time, or the slot that broke a proof."""

    outcome: str
    """One of `pipelines.commission.Outcome`."""

    step: int
    """The step it stands before; one of `pipelines.commission.Step`."""

    cause: str
    """In a few fixed words; "" where nothing is wrong."""

    told: str
    """In words, as it was then."""

    run_id: str


class CertificateRow(SQLModel, table=True):
    """An asset was proven over a period. At most one of an asset holds; the others have an end."""

    __tablename__ = "certificate"
    __table_args__ = (
        Index("ix_certificate_asset", "asset_id", "issued_at"),
        Index(
            "ix_certificate_held",
            "asset_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    number: str = Field(primary_key=True)
    asset_id: str
    issued_at: datetime
    period_start: datetime
    period_end: datetime
    """Slots that start in [period_start, period_end)."""

    slots: int
    """Slots compared in the period."""

    digest: str
    """SHA-256 over the compared rows."""

    document: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """What the page says, but for the rows: those stand in the other tables."""

    checked_through: datetime
    """End of the newest slot up to which it was seen to hold."""

    checked_at: datetime
    held_until: datetime | None = None
    """Start of the first slot it doesn't hold for; None: it holds."""

    ended_at: datetime | None = None
    """When that was seen."""

    ended_because: str = Field(default="", sa_column_kwargs={"server_default": ""})
    run_id: str
