"""An index of measurements that were taken, for that of all that ever was"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_submission_accepted", "submission")
    where = sa.text("quantity = 'measurement' AND state = 'accepted'")
    op.create_index("ix_submission_taken", "submission", ["accepted_at"], sqlite_where=where, postgresql_where=where)
