"""Indexes of what still moves in the outbox, for those of all that was ever sent"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_submission_state", "submission")
    _where("ix_submission_deadline", "closes_at", where="state = 'pending' AND closes_at IS NOT NULL")
    _where("ix_submission_backlog", "slot_start", "asset_id", where="state = 'pending' AND closes_at IS NULL")
    _where("ix_submission_sending", "leased_until", where="state = 'sending'")
    _where(
        "ix_submission_unsettled",
        "slot_start",
        where="quantity = 'forecast' AND state IN ('pending', 'sending', 'accepted')",
    )


def _where(name: str, *columns: str, where: str) -> None:
    op.create_index(name, "submission", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
