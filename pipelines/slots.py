"""Market slots: half-open spans of UTC, aligned to the slot length, and when a value for one may leave."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

OPENING_GUARD = timedelta(seconds=10)
"""A value without a slot time waits this long after its window opens, so that an exchange whose
slots begin a little late doesn't take it for the slot before. The engine's boundary was seen 7 s off."""


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """What a protocol of the exchange can carry."""

    carries_slot_time: bool
    """Each value names its slot. Without it, a value takes effect in the slot after the one in which it arrives."""

    measurements: bool
    """Measured energy of finished slots is taken beside forecasts."""

    many_assets: bool = False
    """One request carries values of many assets."""


@dataclass(frozen=True, kw_only=True)
class SendingWindow:
    """When a value may leave for the exchange: `opens_at` <= now < `closes_at`."""

    opens_at: datetime | None
    closes_at: datetime | None


def slot_floor(instant: datetime, length: timedelta) -> datetime:
    """The start of the slot that holds `instant`."""
    utc = instant.astimezone(UTC)
    return utc - (utc - datetime(1970, 1, 1, tzinfo=UTC)) % length


def slots_between(start: datetime, end: datetime, length: timedelta) -> Iterator[datetime]:
    """Starts of the slots in [start, end), both of them slot boundaries."""
    slot = start
    while slot < end:
        yield slot
        slot += length


def forecast_window(
    slot_start: datetime, *, length: timedelta, margin: timedelta, abilities: Abilities
) -> SendingWindow:
    """When a forecast for the slot may leave.

    Args:
        slot_start: start of the slot the value is for.
        length: slot length.
        margin: how long before the slot's start the value must be there.
        abilities: of the protocol in use. One that carries no slot time has a window that opens
            with the slot before: earlier, the value would drive a neighbour.
    """
    opens_at = None if abilities.carries_slot_time else slot_start - length + OPENING_GUARD
    return SendingWindow(opens_at=opens_at, closes_at=slot_start - margin)
