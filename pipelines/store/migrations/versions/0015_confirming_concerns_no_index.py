"""Confirming concerns no index, and how far each asset was compared"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

STAGE = "CASE state WHEN 'confirmed' THEN 'accepted' ELSE state END"


def upgrade() -> None:
    op.add_column("asset", sa.Column("compared_through", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True))
    # What was read last of each asset, and no further than the oldest forecast of which nothing is known.
    op.execute(
        """
        UPDATE asset SET compared_through = (
            SELECT max(slot_start) FROM exchange_energy
            WHERE exchange_energy.asset_id = asset.asset_id AND quantity = 'forecast'
        )
        """
    )
    op.execute(
        """
        UPDATE asset SET compared_through = oldest.slot_start
        FROM (
            SELECT asset_id, min(slot_start) AS slot_start FROM submission
            WHERE quantity = 'forecast' AND state IN ('pending', 'sending', 'accepted') AND NOT EXISTS (
                SELECT 1 FROM discrepancy
                WHERE discrepancy.asset_id = submission.asset_id AND discrepancy.slot_start = submission.slot_start
                AND discrepancy.quantity = submission.quantity
            )
            GROUP BY asset_id
        ) AS oldest
        WHERE oldest.asset_id = asset.asset_id AND oldest.slot_start < asset.compared_through
        """
    )
    for name in ("deadline", "backlog", "sending", "unsettled", "taken", "failed"):
        op.drop_index(f"ix_submission_{name}", "submission")
    if op.get_bind().dialect.name == "postgresql":
        # The new column makes PostgreSQL write the table anew, with room in each page.
        op.execute("ALTER TABLE submission SET (fillfactor = 50)")
    op.add_column("submission", sa.Column("stage", sa.String(), sa.Computed(STAGE), nullable=True))
    _where("ix_submission_deadline", "closes_at", where="stage = 'pending' AND closes_at IS NOT NULL")
    _where("ix_submission_backlog", "slot_start", "asset_id", where="stage = 'pending' AND closes_at IS NULL")
    _where("ix_submission_sending", "leased_until", where="stage = 'sending'")
    _where("ix_submission_taken", "accepted_at", where="quantity = 'measurement' AND stage = 'accepted'")
    _where("ix_submission_failed", "closes_at", where="stage IN ('rejected', 'expired')")


def _where(name: str, *columns: str, where: str) -> None:
    op.create_index(name, "submission", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
