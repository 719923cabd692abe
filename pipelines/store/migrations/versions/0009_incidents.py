"""Incidents"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

INSTANT = sqlmodel.sql.sqltypes.UTCDateTime
TEXT = sqlmodel.sql.sqltypes.AutoString
STANDING = sa.text("closed_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "incident",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", TEXT(), nullable=False),
        sa.Column("subject", TEXT(), nullable=False),
        sa.Column("told", TEXT(), nullable=False),
        sa.Column("opened_at", INSTANT(), nullable=False),
        sa.Column("seen_at", INSTANT(), nullable=False),
        sa.Column("closed_at", INSTANT(), nullable=True),
        sa.Column("told_at", INSTANT(), nullable=True),
        sa.Column("end_told_at", INSTANT(), nullable=True),
        sa.Column("run_id", TEXT(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_incident_standing",
        "incident",
        ["kind", "subject"],
        unique=True,
        sqlite_where=STANDING,
        postgresql_where=STANDING,
    )
