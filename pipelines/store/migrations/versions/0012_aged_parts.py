"""Files of rows that have left the tables"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

INSTANT = sqlmodel.sql.sqltypes.UTCDateTime
TEXT = sqlmodel.sql.sqltypes.AutoString


def upgrade() -> None:
    op.create_table(
        "aged_part",
        sa.Column("kind", TEXT(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("file", TEXT(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Float(), nullable=False),
        sa.Column("sha256", TEXT(), nullable=False),
        sa.Column("first_at", INSTANT(), nullable=False),
        sa.Column("last_at", INSTANT(), nullable=False),
        sa.Column("written_at", INSTANT(), nullable=False),
        sa.Column("run_id", TEXT(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "day", "number"),
    )
