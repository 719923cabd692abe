"""The market's clock: what the exchange's HTTP answers tell, and how far its engine is ahead of that.

The engine keeps its own time: its slots were seen to begin 7 s before those of the clock on the wall, and a busy
engine falls behind it. Windows and deadlines of values are the engine's, so they are held against this clock; the life
of a token and a Retry-After are the web server's, and follow the plain HTTP clock.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pipelines.clock import Clock

LEAD_BOUND = timedelta(minutes=5)
"""A lead beyond this, either way, is told as a problem and never used (ours): more likely the exchange was stopped
or its clock moved by hand than that its market runs so far beside its web server."""


def trusted(lead: timedelta) -> bool:
    """Whether a lead may move deadlines."""
    return abs(lead) <= LEAD_BOUND


@dataclass(frozen=True, kw_only=True)
class MarketClock:
    """A clock that is `lead` ahead of the exchange's HTTP clock."""

    http: Clock
    lead: timedelta = timedelta(0)

    def now(self) -> datetime:
        """The present instant as the exchange's market counts it."""
        return self.http.now() + self.lead
