"""Which grid fee holds when: spans of the day in the community's local time.

A span is held against what a clock on the wall shows. So in the autumn night its hour comes twice and holds twice, and
in spring what lies in the skipped hour never comes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pipelines.community import FeeSpan, MarketFees

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HORIZON = timedelta(days=8)
"""A plan repeats after a week; a day more, because a clock change may shift its first return."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A fee that begins."""

    at: datetime
    """Start of the first slot that has it."""

    cents_per_kwh: float


def fee_at(fees: MarketFees, instant: datetime, zone: ZoneInfo) -> float:
    """The market's grid fee at `instant`, in ct/kWh: of the first span that holds, else the market's own."""
    local = instant.astimezone(zone)
    weekday, minute = local.weekday(), local.hour * 60 + local.minute
    holding = (span for span in fees.schedule if _holds(span, weekday, minute))
    found = next(holding, None)
    return fees.cents_per_kwh if found is None else found.cents_per_kwh


def next_change(fees: MarketFees, after: datetime, zone: ZoneInfo, *, slot_length: timedelta) -> Change | None:
    """The first slot after the one that begins at `after` which has another fee; None: the fee stays.

    Args:
        fees: the market's plan.
        after: a slot's start.
        zone: the community's.
        slot_length: fees change with slots only.
    """
    present = fee_at(fees, after, zone)
    slot = after + slot_length
    while fees.schedule and slot <= after + HORIZON:
        if (fee := fee_at(fees, slot, zone)) != present:
            return Change(at=slot, cents_per_kwh=fee)
        slot += slot_length
    return None


def minutes_of(time_of_day: str) -> int:
    """Minutes from midnight of `HH:MM`."""
    return int(time_of_day[:2]) * 60 + int(time_of_day[3:])


def _holds(span: FeeSpan, weekday: int, minute: int) -> bool:
    start, end = minutes_of(span.from_), minutes_of(span.to)
    if start < end:
        return start <= minute < end and _on(span, weekday)
    # Over midnight; with both the same it is a whole day. After midnight, `from` lies on the day before.
    return (minute >= start and _on(span, weekday)) or (minute < end and _on(span, (weekday - 1) % 7))


def _on(span: FeeSpan, weekday: int) -> bool:
    return not span.days or WEEKDAYS[weekday] in span.days
