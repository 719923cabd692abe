"""Rows that broke checks, forecast choices and models, days in figures"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sqlmodel.sql.sqltypes.UTCDateTime


def upgrade() -> None:
    op.create_table(
        "finding",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("suite", TEXT(), nullable=False),
        sa.Column("check_name", TEXT(), nullable=False),
        sa.Column("severity", TEXT(), nullable=False),
        sa.Column("asset_id", TEXT(), nullable=False),
        sa.Column("subject", TEXT(), nullable=False),
        sa.Column("ts", INSTANT(), nullable=True),
        sa.Column("reading_id", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("low", sa.Float(), nullable=True),
        sa.Column("high", sa.Float(), nullable=True),
        sa.Column("detail", TEXT(), nullable=False),
        sa.Column("found_at", INSTANT(), nullable=False),
        sa.Column("closed_at", INSTANT(), nullable=True),
        sa.Column("closed_by", TEXT(), nullable=False),
        sa.Column("run_id", TEXT(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("suite", "subject", "ts", "check_name", "reading_id"),
    )
    op.create_index("ix_finding_asset", "finding", ["asset_id", "ts"])
    op.create_index("ix_finding_open", "finding", ["closed_at", "suite", "ts"])
    op.create_index("ix_finding_reading", "finding", ["reading_id"])
    op.create_table(
        "forecast_choice",
        sa.Column("asset_id", TEXT(), nullable=False),
        sa.Column("method", TEXT(), nullable=False),
        sa.Column("weights", sa.JSON(), nullable=False),
        sa.Column("mean_errors_wh", sa.JSON(), nullable=False),
        sa.Column("scored_slots", sa.Integer(), nullable=False),
        sa.Column("scored_from", INSTANT(), nullable=False),
        sa.Column("scored_until", INSTANT(), nullable=False),
        sa.Column("chosen_at", INSTANT(), nullable=False),
        sa.Column("run_id", TEXT(), nullable=False),
        sa.PrimaryKeyConstraint("asset_id"),
    )
    op.create_table(
        "forecast_model",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("library", TEXT(), nullable=False),
        sa.Column("features", sa.JSON(), nullable=False),
        sa.Column("text", TEXT(), nullable=False),
        sa.Column("fitted_from", INSTANT(), nullable=False),
        sa.Column("fitted_until", INSTANT(), nullable=False),
        sa.Column("created_at", INSTANT(), nullable=False),
        sa.Column("run_id", TEXT(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    counts = (
        "slots_expected",
        "slots_measured",
        "slots_substituted",
        "slots_estimated",
        "slots_missing",
        "rejected",
        "flagged",
        "informed",
        "forecast_slots",
        "exchange_compared",
        "exchange_differs",
    )
    op.create_table(
        "quality_day",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("asset_id", TEXT(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in counts),
        *(
            sa.Column(name, sa.Float(), nullable=False)
            for name in ("energy_wh", "forecast_error_wh", "persistence_error_wh")
        ),
        sa.Column("computed_at", INSTANT(), nullable=False),
        sa.Column("run_id", TEXT(), nullable=False),
        sa.PrimaryKeyConstraint("day", "asset_id"),
    )
