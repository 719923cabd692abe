"""Tables of the sources: what is remembered of accounts and of gaps in their data."""

from datetime import datetime

from sqlmodel import Field, SQLModel


class AccountRow(SQLModel, table=True):
    """A vendor account as it stands between runs. No secret is kept here."""

    __tablename__ = "account"

    account: str = Field(primary_key=True)
    """Name of the source."""

    polled_at: datetime | None = None
    """When it was last asked for readings."""

    next_poll_at: datetime | None = None
    """Where a month's requests are spread: when it is to be asked again."""

    stopped_at: datetime | None = None
    stopped_until: datetime | None = None
    """No request is made before; None: it isn't stopped."""

    reason: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Why it was stopped, for people."""


class QuotaRow(SQLModel, table=True):
    """Requests of an account counted against one of its limits, in one bucket of time."""

    __tablename__ = "quota"

    account: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    """Of the limit."""

    bucket: datetime = Field(primary_key=True)
    used: int


class GapRow(SQLModel, table=True):
    """A stretch in which readings of a stream are missing though there are later ones."""

    __tablename__ = "gap"

    stream_id: str = Field(primary_key=True)
    starts: datetime = Field(primary_key=True)
    """The last reading before it."""

    ends: datetime
    """The first reading after it."""

    found_at: datetime
    asked_at: datetime
    """When the source was last asked for it."""

    asked: int = 1
    """How often it was asked since it was found."""
