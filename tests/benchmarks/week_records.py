"""What the week of `week.py` showed, slot by slot and day by day."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from tests.reliability.posts import Post
from tests.reliability.violations import Violation


@dataclass(kw_only=True)
class Slot:
    """What one feed's run showed."""

    start: datetime
    """The slot in which it ran."""

    seconds: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)
    accepted_s: list[float] = field(default_factory=list)
    """Seconds from the run's start to each submission's acceptance."""

    error: str = ""
    killed_at_s: float | None = None
    away: bool = False
    """The exchange was away."""

    after_outage: bool = False
    """The first run after the exchange was away."""


@dataclass(kw_only=True)
class Day:
    """What one day showed."""

    slots: list[Slot]
    posts: list[Post]
    faults: Counter[str]
    kills: int
    violations: list[Violation]
    states: Counter[str]
    """Of forecasts and measurements of the day's slots, newest version of each."""

    diagnoses: dict[str, int]
    """Of what reconciliation lists."""
