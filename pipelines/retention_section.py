"""What the community file says of how long rows stay in the database."""

from pydantic import BaseModel, ConfigDict, Field

LEAST_DAYS = 120
"""No row leaves the database earlier. Ours: the exchange answers for 90 days, and a reconciliation of them looks at
weeks before."""


class RetentionSection(BaseModel):
    """How long rows stay in slotfeed's database before they move to Parquet files. Without a number nothing moves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    readings_days: int | None = Field(default=None, ge=LEAST_DAYS)
    """Readings that were judged and taken account of."""

    quarantine_days: int | None = Field(default=None, ge=LEAST_DAYS)
    """Readings in quarantine, and findings that are closed or whose reading has gone."""

    submissions_days: int | None = Field(default=None, ge=LEAST_DAYS)
    """Slot energies, what was sent of them, what was read back, and discrepancies that are closed. A forecast that
    learns looks back up to 400 days; it learns from what is in the database."""

    folder: str = Field(default="aged", min_length=1)
    """Of the files, beside the community file unless it is absolute. Where workers run on several machines, they all
    need it."""

    @property
    def on(self) -> bool:
        """Whether anything moves."""
        return any((self.readings_days, self.quarantine_days, self.submissions_days))
