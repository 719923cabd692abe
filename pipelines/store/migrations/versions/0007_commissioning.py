"""How assets stand in their commissioning, and certificates"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sqlmodel.sql.sqltypes.UTCDateTime


def upgrade() -> None:
    op.create_table(
        "commission_change",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("asset_id", TEXT(), nullable=False),
        sa.Column("at", INSTANT(), nullable=False),
        sa.Column("outcome", TEXT(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("cause", TEXT(), nullable=False),
        sa.Column("told", TEXT(), nullable=False),
        sa.Column("run_id", TEXT(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_commission_change_asset", "commission_change", ["asset_id", "id"])
    op.create_table(
        "certificate",
        sa.Column("number", TEXT(), nullable=False),
        sa.Column("asset_id", TEXT(), nullable=False),
        sa.Column("issued_at", INSTANT(), nullable=False),
        sa.Column("period_start", INSTANT(), nullable=False),
        sa.Column("period_end", INSTANT(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("digest", TEXT(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("checked_through", INSTANT(), nullable=False),
        sa.Column("checked_at", INSTANT(), nullable=False),
        sa.Column("held_until", INSTANT(), nullable=True),
        sa.Column("ended_at", INSTANT(), nullable=True),
        sa.Column("ended_because", TEXT(), server_default="", nullable=False),
        sa.Column("run_id", TEXT(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("ix_certificate_asset", "certificate", ["asset_id", "issued_at"])
    op.create_index(
        "ix_certificate_held",
        "certificate",
        ["asset_id"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
