"""The steps an asset walks through, how it stands on each, and what is asked of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum


class Step(IntEnum):
    """In the order in which they are walked; `docs/commissioning.md` tells how each is known."""

    CONFIGURED = 1
    REACHABLE = 2
    PLAUSIBLE = 3
    DELIVERED = 4
    CONFIRMED = 5
    PROVEN = 6

    @property
    def words(self) -> str:
        """For people."""
        return "readings plausible" if self is Step.PLAUSIBLE else self.name.lower()


class Mark(StrEnum):
    """How an asset stands on one step."""

    STANDS = "stands"
    WAITS = "waits"
    """Nothing is wrong; evidence is still to come."""

    UNASKED = "not answered"
    """The other side didn't answer, or couldn't be asked: of the asset nothing is known."""

    BLOCKED = "blocked"
    """Somebody must do something."""


class Outcome(StrEnum):
    """How an asset stands altogether."""

    PROVEN = "proven"
    COLLECTING = "collecting"
    BLOCKED = "blocked"
    SUSPENDED = "suspended"
    """It was proven, and isn't any more."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One asset on one step."""

    step: Step
    mark: Mark
    told: str
    """What was found, in words."""

    cause: str = ""
    """What is wrong in a few fixed words: assets are grouped by it. "" where nothing is."""

    remedy: str = ""
    """What to do; "" where nothing is to be done."""

    since: datetime | None = None
    """Since when it is so, where the store tells."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What is asked of an asset before it counts as proven."""

    slots: int = 96
    """Slots confirmed in a row: a day, so that each hour of it was seen once."""

    energies: int = 4
    """Different energies above zero among them. A PV plant confirmed at 0 all night proves nothing, and neither does a
    value that stands still. Reconciliation tells each of its causes apart by three values, so four are asked (ours)."""


DAY = Terms()

LOOK_BACK = timedelta(days=14)
"""Evidence is sought so far back (ours): a car may stand for a week without being charged."""

STALE = timedelta(hours=6)
"""Reconciliation runs each hour; what it last looked at longer ago than this is no proof of today (ours)."""

SILENT = timedelta(hours=3)
"""A stream without a reading for longer is silent (ours), beyond what its vendor takes to tell."""

PLAUSIBLE_SHARE = 0.95
"""Share of slots that must be whole and without an open finding (ours): five slots of a day may be lost."""

RECENT_SLOTS = 4
"""An hour's last slots must all have been accepted (ours)."""

SKIPPED: Mapping[str, str] = {"no exchange result": "the engine was down for nearly all assets"}
"""Diagnoses that say nothing of the asset: such slots count neither for nor against it."""
