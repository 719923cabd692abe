"""How long a run works off what has no deadline.

After a long outage the exchange takes measurements for hours. A run that stayed with them would be in the way of the
next one, and with it of values that have a deadline. So a run ends with its slot, and the next one goes on: it comes
shortly after a slot has begun, sends what has a deadline first, and has the rest of the slot for the backlog.
"""

from datetime import datetime, timedelta

from pipelines.slots import slot_floor

RESERVE = timedelta(seconds=30)
"""Before the slot ends, so that what is on its way by then has its answer when the next run begins. A request lasts
45 s at most (`pipelines.exchange.client.REQUEST_S`), and feeds begin two minutes into a slot. Ours, as is the share."""

RESERVE_SHARE = 10
"""No more than a tenth of the slot, where slots are short."""


def backlog_until(now: datetime, *, length: timedelta) -> datetime:
    """Up to when a post of what has no deadline may begin, first try or another.

    Args:
        now: the exchange's time.
        length: of a slot.
    """
    return slot_floor(now, length) + length - min(RESERVE, length / RESERVE_SHARE)
