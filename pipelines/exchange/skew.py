"""How far the exchange's market is ahead of its HTTP clock, measured by what its websocket tells.

The engine sends a `market` event when a slot of its begins: the event's slot less the HTTP clock at its arrival is the
lead, exactly. A `tick` tells in whole percents how much of the slot has passed, so engine time lies in
[slot + x %, slot + (x + 1) %): that bounds the lead.
"""

from collections import deque
from datetime import datetime, timedelta
from statistics import median

from pipelines.exchange.market_clock import trusted
from pipelines.exchange.messages import MarketEvent
from pipelines.slots import slot_floor

LAST = 5
"""Market events whose median counts (ours): one that came late by some hitch doesn't move it."""


def median_lead(leads: deque[timedelta] | list[timedelta]) -> timedelta | None:
    """The middle of what was measured; None of nothing."""
    return timedelta(seconds=median(lead.total_seconds() for lead in leads)) if leads else None


def exact_lead(event: MarketEvent, *, now: datetime, slot_length: timedelta) -> timedelta | None:
    """The lead that a `market` event shows; None where it isn't one that stands at a slot's very start.

    Args:
        event: as it came.
        now: the HTTP clock at its arrival.
        slot_length: of the market.
    """
    begins = event.event == "market" and event.slot is not None and event.completion in (None, 0.0)
    if not begins or event.slot is None or slot_floor(event.slot, slot_length) != event.slot:
        return None
    return event.slot - now


class LeadMeter:
    """Gathers what events show."""

    def __init__(self, slot_length: timedelta) -> None:
        """Begin with nothing measured."""
        self._slot_length = slot_length
        self._exact: deque[timedelta] = deque(maxlen=LAST)
        self._low: timedelta | None = None
        self._high: timedelta | None = None

    @property
    def lead(self) -> timedelta | None:
        """Median of the last market events; before the first, the middle of what ticks leave open."""
        if self._exact:
            return median_lead(self._exact)
        if self._low is None or self._high is None:
            return None
        middle = (self._low + self._high) / 2
        return middle if trusted(middle) else None

    def market(self, lead: timedelta) -> bool:
        """Count what a market event showed; False: it is beyond the bound, and not used."""
        if trusted(lead):
            self._exact.append(lead)
            return True
        return False

    def tick(self, event: MarketEvent) -> None:
        """Narrow the bounds by a tick; one that contradicts those before begins anew."""
        if event.slot is None or event.completion is None:
            return
        percent = self._slot_length / 100
        low = event.slot + event.completion * percent - event.at
        high = low + percent
        if self._low is not None and self._high is not None and max(low, self._low) < min(high, self._high):
            low, high = max(low, self._low), min(high, self._high)
        self._low, self._high = low, high

    def clock_was_set(self) -> None:
        """What was measured against a clock that has since been set says nothing any more."""
        self._exact.clear()
        self._low = self._high = None
