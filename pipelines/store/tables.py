"""The tables. Every instant is UTC; SQLite holds it as text without offset, PostgreSQL as timestamptz.

Nothing is ever deleted: readings and slots get revisions, submissions versions, decisions a reason.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Computed, Index, Integer, String, UniqueConstraint, text
from sqlmodel import Field, SQLModel


class Verdict(StrEnum):
    """What became of a reading."""

    NEW = "new"
    """Stored, not judged yet."""

    GOOD = "good"
    SUSPECT = "suspect"
    """A register reading that breaks its series; no energy is computed from it until later readings decide
    whether it is wrong or a new series begins with it."""

    QUARANTINED = "quarantined"
    """Broke an expectation; waits for a correction or a person."""

    RELEASED = "released"
    """A person let it through."""

    DISCARDED = "discarded"
    """A person threw it out; kept for the record."""

    SUPERSEDED = "superseded"
    """A later revision of the same stamp took its place."""


class SeriesStart(StrEnum):
    """Why a register's reading is the first of a new series, as `reading.series_start` holds it; "" if it isn't."""

    RESET = "reset"
    """The meter was exchanged or its register set anew: of the energy since the reading before nothing is known."""

    ROLLOVER = "rollover"
    """The register before stood just below a power of ten and went on at zero
    (`expectations.limits.REGISTER_MODULI_WH`)."""


ROW_ID: Any = BigInteger().with_variant(Integer, "sqlite")
"""Years of readings outgrow 32 bits; SQLite's own row id has 64 under the name INTEGER."""

BY_KEY = {"sqlite_with_rowid": False}
"""Of a table whose rows are little more than their key: SQLite keeps them in the key's index, and not beside it too."""

USABLE = (Verdict.GOOD, Verdict.RELEASED)
"""Verdicts of readings that energy is computed from."""


def _where(name: str, *columns: str, where: str) -> Index:
    """An index of some rows alone."""
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


class ReadingRow(SQLModel, table=True):
    """One value of one stream as it came; a corrected one is a further revision."""

    __tablename__ = "reading"
    __table_args__ = (
        UniqueConstraint("stream_id", "ts", "revision"),
        Index("ix_reading_verdict", "verdict", "slotted_at"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    stream_id: str
    ts: datetime | None
    """None where the source's stamp could not be read: such a row can only be quarantined."""

    ts_end: datetime | None = None
    revision: int = 0
    kind: str
    value: float | None
    unit: str
    quality: str
    ingested_at: datetime | None = None
    received_at: datetime
    verdict: str = Verdict.NEW
    broken: str = ""
    """Names of the expectations it broke, comma-separated."""

    series_start: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """One of `SeriesStart` where a register's new series begins with it; "" elsewhere. Written with the verdict."""

    decided_at: datetime | None = None
    reason: str = ""
    """Why a person released or discarded it."""

    slotted_at: datetime | None = None
    """When `convert` last took account of it; None: not yet."""

    run_id: str


class Cursor(SQLModel, table=True):
    """How far a stream was read. Never past a reading that is not stored."""

    __tablename__ = "cursor"

    stream_id: str = Field(primary_key=True)
    position: datetime
    """Stamp of the newest reading stored."""

    changed_since: datetime | None = None
    """Newest `ingested_at` seen, where the source tells."""

    updated_at: datetime
    run_id: str


class SlotEnergyRow(SQLModel, table=True):
    """Energy of one asset in one market slot; the highest version holds."""

    __tablename__ = "slot_energy"
    __table_args__ = BY_KEY

    asset_id: str = Field(primary_key=True)
    slot_start: datetime = Field(primary_key=True)
    version: int = Field(primary_key=True)
    energy_wh: float
    quality: str
    coverage: float
    method: str
    created_at: datetime
    run_id: str


class SubmissionRow(SQLModel, table=True):
    """The outbox: one value that must reach the exchange within its window, and what became of it."""

    __tablename__ = "submission"
    __table_args__ = (
        UniqueConstraint("asset_id", "slot_start", "quantity", "version"),
        # Each of these holds only what still moves, or may again; `pipelines.store.moving` has the same conditions, for
        # queries.
        _where("ix_submission_deadline", "closes_at", where="stage = 'pending' AND closes_at IS NOT NULL"),
        _where("ix_submission_backlog", "slot_start", "asset_id", where="stage = 'pending' AND closes_at IS NULL"),
        _where("ix_submission_sending", "leased_until", where="stage = 'sending'"),
        _where("ix_submission_taken", "accepted_at", where="quantity = 'measurement' AND stage = 'accepted'"),
        _where("ix_submission_failed", "closes_at", where="stage IN ('rejected', 'expired')"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    asset_id: str
    slot_start: datetime
    quantity: str
    version: int
    energy_wh: float
    source_slot: datetime
    """The slot whose measured energy this is: the slot itself, or the one a forecast repeats."""

    quality: str
    method: str
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    state: str
    stage: str = Field(sa_column=Column(String, Computed("CASE state WHEN 'confirmed' THEN 'accepted' ELSE state END")))
    """`state` as delivery knows it, kept by the database: what is confirmed was accepted.

    The indexes name it in place of `state`. So a confirmation concerns none of them, and PostgreSQL writes it into the
    row's own page, half of which is kept free for that.
    """

    attempts: int = 0
    leased_until: datetime | None = None
    leased_by: str = ""
    """Worker that has it in hand, or gave it back and leaves it to another; "" of what has come to its end."""

    sent_at: datetime | None = None
    """When the last try left, by the exchange's clock."""

    accepted_at: datetime | None = None
    confirmed_at: datetime | None = None
    error: str = ""
    resends: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    """How often a repair has set it back to be sent again."""

    resent_at: datetime | None = None
    """When a repair last did."""

    created_at: datetime
    run_id: str


class ExchangeEnergyRow(SQLModel, table=True):
    """What the exchange said it used for a slot, as last read back."""

    __tablename__ = "exchange_energy"
    __table_args__ = BY_KEY

    asset_id: str = Field(primary_key=True)
    slot_start: datetime = Field(primary_key=True)
    quantity: str = Field(primary_key=True)
    energy_wh: float | None
    """None where the exchange has no value for the slot."""

    read_at: datetime
    run_id: str


class DiscrepancyRow(SQLModel, table=True):
    """A slot in which the exchange's value isn't the one that should be there, with the cause.

    Open: neither `closed_at` nor `lost_at` is set. Lost: `lost_at` is, and `closed_at` isn't.
    """

    __tablename__ = "discrepancy"
    __table_args__ = (Index("ix_discrepancy_standing", "closed_at", "lost_at", "slot_start"),)

    asset_id: str = Field(primary_key=True)
    slot_start: datetime = Field(primary_key=True)
    quantity: str = Field(primary_key=True)
    expected_wh: float | None
    exchange_wh: float | None
    diagnosis: str
    evidence: str
    repair: str
    opened_at: datetime
    closed_at: datetime | None = None
    """When both sides were found to agree after all."""

    lost_at: datetime | None = None
    """When a repair gave it up: nothing that is sent can mend it any more."""

    lost_reason: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Why, and what the market saw instead; "" where it isn't lost."""

    run_id: str


class AssetRow(SQLModel, table=True):
    """Since when an asset is live. Nothing is expected of the exchange before."""

    __tablename__ = "asset"

    asset_id: str = Field(primary_key=True)
    name: str
    live_since: datetime
    planned_through: datetime | None = None
    """Newest slot the outbox was planned for."""

    compared_through: datetime | None = None
    """Each slot that starts before was compared with the exchange once; None: none was."""

    run_id: str


class MarketLeadRow(SQLModel, table=True):
    """How far the exchange's market was ahead of the clock its HTTP answers tell, each time it was measured."""

    __tablename__ = "market_lead"

    simulation: str = Field(primary_key=True)
    measured_at: datetime = Field(primary_key=True)
    """By the exchange's HTTP clock."""

    lead_s: float
    """Seconds; positive: its slots begin early."""

    source: str
    """The event that told it."""


class RunRow(SQLModel, table=True):
    """One run of one command."""

    __tablename__ = "run"

    run_id: str = Field(primary_key=True)
    command: str
    logical_time: datetime
    started_at: datetime
    finished_at: datetime | None = None
    outcome: str = "running"
    share: str = Field(default="1/1", sa_column_kwargs={"server_default": text("'1/1'")})
    """Which part of the community it carried, as in 2/3."""

    release: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    """Of slotfeed; "" before 0.2."""

    worker: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    """The machine and the process that it ran in."""

    summary: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, server_default=text("'{}'"))
    )
