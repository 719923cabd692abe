"""Keys that hold their rows"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # In SQLite alone: rows that are little more than their key stood in the table and again in its index.
    if op.get_bind().dialect.name != "sqlite":
        return
    for name in ("slot_energy", "exchange_energy"):
        with op.batch_alter_table(name, recreate="always", table_kwargs={"sqlite_with_rowid": False}):
            pass
