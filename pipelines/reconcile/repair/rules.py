"""Which values that failed may be sent again now.

What the exchange has refused is sent again when it has taken another value of the same asset since: then the cause is
gone. Until that is known, one value alone is tried, and ever more seldom: refused values travel slot by slot, so a
thousand of them would be a thousand requests for the same refusal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

MOST_RESENDS = 4
"""A value is sent again so often at most, and so many values of an asset are tried while all are refused. Ours."""

FIRST_WAIT = timedelta(hours=1)
"""After the first time it is sent again; each further wait is four times as long: 1, 4, 16 hours. Ours."""


class Why(StrEnum):
    """Why a value is sent again."""

    TAKEN_SINCE = "refused, and others of the asset were taken since"
    TRIED = "refused; tried whether the cause is gone"
    NEVER_SENT = "never sent, and it may be now"
    UNUSED = "accepted while the exchange used nothing of the asset"


class Hold(StrEnum):
    """Why a value that failed is not sent again now."""

    ALONE = "refused; waits until the exchange takes one of the asset"
    LATER = "sent again and refused; tried once more later"
    TOO_OFTEN = "refused too often; left to a person"
    NO_MEASUREMENTS = "the protocol carries no measurements"
    SWITCHED_OFF = "`live: false` in community.yaml"


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A value that isn't at the exchange: the newest version of its slot."""

    id: int
    asset_id: str
    slot_start: datetime
    quantity: str
    energy_wh: float
    refused: bool
    """By the exchange; else it was never sent, or nobody knows."""

    error: str
    sent_at: datetime | None
    resends: int
    resent_at: datetime | None


@dataclass(kw_only=True)
class Choice:
    """What is to be done with each."""

    again: list[tuple[Failed, Why]] = field(default_factory=list)
    held: list[tuple[Failed, Hold]] = field(default_factory=list)


def choose(failed: Sequence[Failed], *, taken_at: datetime | None, now: datetime, regardless: bool = False) -> Choice:
    """Part the failed values of one asset and quantity.

    Args:
        failed: all of them.
        taken_at: when the exchange last took a value of that asset and quantity; None: never.
        now: by the exchange's clock.
        regardless: a person wants it: no wait and no limit holds.
    """
    unproven = [one for one in failed if one.refused and not _taken_since(one, taken_at)]
    found = Choice()
    for one in failed:
        if one.refused and not _taken_since(one, taken_at):
            continue
        hold = None if regardless else _wait(one.resends, one.resent_at, now)
        if hold is not None:
            found.held.append((one, hold))
        else:
            found.again.append((one, Why.TAKEN_SINCE if one.refused else Why.NEVER_SENT))
    unproven.sort(key=lambda one: one.slot_start, reverse=True)
    hold = None if regardless else _wait(*_rounds(unproven), now)
    if unproven and not found.again and hold is None:
        found.again.append((unproven.pop(0), Why.TRIED))
    found.held += [(one, hold or Hold.ALONE) for one in unproven]
    return found


def _taken_since(one: Failed, taken_at: datetime | None) -> bool:
    return taken_at is not None and one.sent_at is not None and taken_at >= one.sent_at


def _rounds(unproven: Sequence[Failed]) -> tuple[int, datetime | None]:
    """How often values of an asset were sent again for nothing, many at once counting once, and when last."""
    moments = {one.resent_at for one in unproven if one.resent_at is not None}
    if not moments:
        return 0, None
    return len(moments) + max(one.resends for one in unproven) - 1, max(moments)


def _wait(resends: int, last: datetime | None, now: datetime) -> Hold | None:
    if resends >= MOST_RESENDS:
        return Hold.TOO_OFTEN
    if resends and last is not None and last <= now < last + FIRST_WAIT * 4 ** (resends - 1):
        return Hold.LATER
    return None
