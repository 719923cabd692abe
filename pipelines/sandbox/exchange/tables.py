"""What the local exchange keeps: SQLAlchemy tables of a file of its own, or of memory.

Apart from the program's own store in every way, with metadata of its own. Instants are seconds since 1970 (UTC).
"""

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text

METADATA = MetaData()

META = Table("meta", METADATA, Column("key", String, primary_key=True), Column("value", Text, nullable=False))
"""Single values: the simulation's uuid, the secret that signs tokens, when the market opened."""

ASSET = Table(
    "asset",
    METADATA,
    Column("uuid", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("live", Boolean, nullable=False),
    Column("registered", Boolean, nullable=False),
    Column("aggregator", String),
)
"""What changes of an asset while the exchange runs."""

APPLIED = Table(
    "applied",
    METADATA,
    Column("asset", String, primary_key=True),
    Column("quantity", String, primary_key=True),
    Column("slot_s", Integer, primary_key=True),
    Column("energy_kwh", Float, nullable=False),
    Column("username", String, nullable=False),
    Column("posted_s", Float, nullable=False),
    sqlite_with_rowid=False,
)
"""Forecasts and measurements that counted at a market cycle."""

REPEATED = Table(
    "repeated",
    METADATA,
    Column("asset", String, primary_key=True),
    Column("from_slot_s", Integer, primary_key=True),
    Column("energy_kwh", Float, nullable=False),
    Column("username", String, nullable=False),
    Column("posted_s", Float, nullable=False),
    sqlite_with_rowid=False,
)
"""Values without slot time: each drives every slot from its first on, until the next one."""

SWITCHED = Table(
    "switched",
    METADATA,
    Column("asset", String, primary_key=True),
    Column("from_slot_s", Integer, primary_key=True),
    Column("live", Boolean, nullable=False),
    sqlite_with_rowid=False,
)
"""From which slot on an asset's live switch stood how: what was used then stays what was used."""

PROFILE = Table(
    "profile",
    METADATA,
    Column("asset", String, primary_key=True),
    Column("from_slot_s", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("unit", String, nullable=False),
    Column("username", String, nullable=False),
    Column("uploaded_s", Float, nullable=False),
)
"""The uploaded profile an asset falls back to while its live switch is off, and from which slot on it is that."""

RUN = Table(
    "run",
    METADATA,
    Column("from_slot_s", Integer, primary_key=True),
    Column("to_slot_s", Integer, nullable=False),
)
"""First and last slot of each time the exchange was up. The slots between were nobody's: they stay 0."""

USER = Table(
    "user",
    METADATA,
    Column("username", String, primary_key=True),
    Column("password_hash", String, nullable=False),
    Column("role", String, nullable=False),
)

GRANT = Table(
    "grant",
    METADATA,
    Column("username", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("asked_s", Float, nullable=False),
    Column("decided_by", String),
)
"""What a user owns, may post for or operate (an asset's or market's uuid): requested, approved or refused."""

INVITATION = Table(
    "invitation",
    METADATA,
    Column("code_hash", String, primary_key=True),
    Column("username", String, nullable=False),
    Column("role", String, nullable=False),
    Column("subjects", Text, nullable=False),
    Column("ends_s", Float, nullable=False),
)

AGGREGATOR = Table(
    "aggregator",
    METADATA,
    Column("uuid", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("username", String, nullable=False),
)

FEE = Table(
    "fee",
    METADATA,
    Column("market", String, primary_key=True),
    Column("fee_const", Float),
    Column("fee_percent", Float),
)

AUDIT = Table(
    "audit",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("at_s", Float, nullable=False),
    Column("username", String, nullable=False),
    Column("action", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("outcome", String, nullable=False),
    Index("ix_audit_at", "at_s"),
)
"""Who did, or tried, what: logins refused, what isn't theirs, and every change of the exchange itself."""
