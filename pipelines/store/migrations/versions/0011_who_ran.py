"""Which part of the community a run carried, and which release of slotfeed ran where"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString


def upgrade() -> None:
    for name, before in (("share", "1/1"), ("release", ""), ("worker", "")):
        op.add_column("run", sa.Column(name, TEXT(), nullable=False, server_default=before))
