"""Submissions that a repair sends again, discrepancies that are given up"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INSTANT = sqlmodel.sql.sqltypes.UTCDateTime


def upgrade() -> None:
    op.add_column("submission", sa.Column("resends", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("submission", sa.Column("resent_at", INSTANT(), nullable=True))
    op.create_index("ix_submission_accepted", "submission", ["accepted_at"])
    failed = sa.text("state IN ('rejected', 'expired')")
    op.create_index("ix_submission_failed", "submission", ["closes_at"], sqlite_where=failed, postgresql_where=failed)
    op.add_column("discrepancy", sa.Column("lost_at", INSTANT(), nullable=True))
    op.add_column(
        "discrepancy",
        sa.Column("lost_reason", sqlmodel.sql.sqltypes.AutoString(), server_default="", nullable=False),
    )
    op.create_index("ix_discrepancy_standing", "discrepancy", ["closed_at", "lost_at", "slot_start"])
