"""What must hold whatever happens to delivery, and how a breach is told."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum


class Invariant(IntEnum):
    """What delivery must survive, by number."""

    ONE_FINAL_STATE = 1
    """Every valid (asset, slot) reaches exactly one final state, none is lost."""

    LAST_VERSION_HOLDS = 2
    """The value last applied at the exchange is the last valid local version."""

    IN_TIME = 3
    """Nothing leaves after its deadline, nor before its window opens."""

    FEW_REPEATS = 4
    """At most one extra identical post per kill."""

    RIGHT_PLACE = 5
    """Never a wrong asset, slot or unit."""

    ENERGY_CONSERVED = 6
    """Energy is conserved from readings to slots to 1e-9."""

    CURSORS_BEHIND = 7
    """A cursor never passes a reading that is not stored, nor a slot that was not compared."""

    NO_SECRET = 8
    """No secret stands in a log, report, artifact, table or exception."""


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One breach of one invariant."""

    invariant: Invariant
    where: str
    """The row, journal entry, cursor, file or column in which it shows."""

    seen: str
    """What stands there and what should."""

    asset: str | None = None
    slot_start: datetime | None = None
    quantity: str | None = None
    stream: str | None = None

    def __str__(self) -> str:
        slot = f"{self.slot_start:%Y-%m-%d %H:%M} UTC" if self.slot_start else None
        of = " ".join(filter(None, (self.stream, self.asset, slot, self.quantity)))
        return f"({int(self.invariant)}) {of}{': ' * bool(of)}{self.seen} [{self.where}]"
