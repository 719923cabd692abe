"""What the control paths of all stand-ins share."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

CONTROL = "/sandbox/"
"""Paths that belong to the sandbox itself: no journal, no faults."""

SHORT = Annotated[str, Field(max_length=200, pattern=r"^[\x20-\x7e]*$")]
"""A word of a fault's rule."""

KEPT = 100_000
"""Entries of a journal that are kept, the newest: a sandbox that runs for weeks must not eat its machine."""

LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""The clock goes no further: past the calendar's end there is no next slot."""


class Time(BaseModel):
    """An instant of the sandbox's clock."""

    model_config = ConfigDict(extra="forbid")

    now: Annotated[AwareDatetime, Field(lt=LATEST)]
