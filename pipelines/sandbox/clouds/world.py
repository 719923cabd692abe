"""What every vendor's emulator is handed: the fleet, the time, the account, and where requests are noted."""

from dataclasses import dataclass, field
from datetime import datetime

from pipelines.clock import Clock
from pipelines.sandbox.clouds.faults import CloudFaults
from pipelines.sandbox.clouds.fleet import Fleet
from pipelines.sandbox.clouds.journal import CloudJournal


@dataclass(kw_only=True)
class World:
    """One sandbox of vendor clouds."""

    fleet: Fleet
    clock: Clock
    """A FixedClock is driven by PUT /sandbox/clock."""

    username: str
    secret: str = field(repr=False)
    """Password, API key, token, system code and client secret at once."""

    journal: CloudJournal = field(default_factory=CloudJournal)
    faults: CloudFaults = field(default_factory=CloudFaults)

    def now(self) -> datetime:
        """The sandbox's present time."""
        return self.clock.now()
