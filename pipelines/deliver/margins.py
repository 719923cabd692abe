"""How long before their deadlines values reached the exchange, counted by bounds."""

from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import datetime

BOUNDS_S = (0, 15, 30, 60, 120, 240, 360, 480, 600, 720, 840, 1_800, 3_600)
"""Seconds; ours: a quarter hour in steps of its minutes, finer where it becomes tight."""

BEYOND = "+Inf"


@dataclass(kw_only=True)
class Margins:
    """Of the values that have a deadline and were accepted."""

    counts: dict[str, int] = field(default_factory=dict)
    """Upper bound in seconds, itself included -> values from the bound below on."""

    total_s: float = 0.0

    def add(self, *, closes_at: datetime, accepted_at: datetime) -> None:
        """Count one; one that was accepted after its deadline has a negative margin."""
        margin_s = (closes_at - accepted_at).total_seconds()
        place = bisect_left(BOUNDS_S, margin_s)
        bound = str(BOUNDS_S[place]) if place < len(BOUNDS_S) else BEYOND
        self.counts[bound] = self.counts.get(bound, 0) + 1
        self.total_s += margin_s
