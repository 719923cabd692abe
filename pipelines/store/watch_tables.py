"""Tables of what the watch has seen."""

from datetime import datetime

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from pipelines.store.tables import ROW_ID

STANDING = text("closed_at IS NULL")


class IncidentRow(SQLModel, table=True):
    """A trouble from when it was first seen until it was gone."""

    __tablename__ = "incident"
    __table_args__ = (
        # Two looks at once open one incident.
        Index(
            "ix_incident_standing",
            "kind",
            "subject",
            unique=True,
            sqlite_where=STANDING,
            postgresql_where=STANDING,
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=ROW_ID)
    kind: str
    """One of `pipelines.watch.alarms.Kind`."""

    subject: str
    told: str
    """What was seen last, in words."""

    opened_at: datetime
    seen_at: datetime
    """When its alarm was last seen."""

    closed_at: datetime | None = None
    told_at: datetime | None = None
    """When somebody was told that it began."""

    end_told_at: datetime | None = None
    """The same of its end."""

    run_id: str
