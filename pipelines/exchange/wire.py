"""What the dialects share: what is to be told, how it is written, and what an answer says of it."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol as TypingProtocol

from pipelines.frames import Quantity
from pipelines.slots import Abilities

KWH_DIGITS = 9
"""Decimals of kWh on the wire: a microwatt-hour, finer than the 8 to which the exchange rounds its results."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """Energy to tell: one quantity of one asset. The exchange takes all its slots or none."""

    asset: str
    quantity: Quantity
    energy_wh: Mapping[datetime, float]
    """Slot start -> Wh, >= 0."""


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """What a post carries beside its commands."""

    simulation: str
    transaction_id: str
    aggregator: str = ""
    """Uuid of the one that sends, where a dialect has one."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One post: a path below the base URL, and the body to the byte."""

    path: str
    body: bytes


class Fate(StrEnum):
    """What the exchange says of a command."""

    READY = "ready"
    """Taken, or queued where more isn't told. It doesn't say that the value will be used."""

    REFUSED = "refused"
    RACED = "raced"
    """The market cycle went by while the command waited: the same may go again at once."""

    UNANSWERED = "unanswered"
    """Others in the same request have an answer, this one has none that can be read."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the exchange says of one command."""

    fate: Fate
    reason: str = ""
    body: Mapping[str, object] = field(default_factory=dict)
    """The answer itself, where there is one for this command alone."""


class Protocol(TypingProtocol):
    """A dialect."""

    abilities: Abilities
    awaited: str
    """Name under which the answer comes over the websocket; empty where the reply to the post is all that is used."""

    def request(self, envelope: Envelope, commands: Sequence[Command]) -> Request:
        """The post that carries the commands: one, or many where the abilities say so.

        Raises:
            ValueError: what this dialect can't carry, or a value that isn't finite and >= 0.
        """
        ...

    def tells_all(self, reply: object, /) -> bool:
        """Whether the reply to a post leaves nothing to wait for."""
        ...

    def verdicts(self, commands: Sequence[Command], answer: object, /) -> list[Verdict]:
        """What an answer says, from the websocket or the reply to a post that succeeded: one for each command."""
        ...


def sound(energy_wh: float) -> float:
    """The value, if the exchange may see it.

    Raises:
        ValueError: not finite and >= 0. The exchange's own check lets NaN pass (NaN < 0 is false).
    """
    if not math.isfinite(energy_wh) or energy_wh < 0:
        raise ValueError(f"energy must be finite and not negative, not {energy_wh} Wh")
    return energy_wh


def kwh_by_slot(energy_wh: Mapping[datetime, float]) -> dict[str, float]:
    """`YYYY-MM-DDTHH:mm` in UTC -> kWh, in order; the exchange refuses offsets.

    Raises:
        ValueError: a value that isn't finite and >= 0.
    """
    return {
        slot.astimezone(UTC).strftime("%Y-%m-%dT%H:%M"): round(sound(value) / 1000, KWH_DIGITS)
        for slot, value in sorted(energy_wh.items())
    }


def encode(body: Mapping[str, object]) -> bytes:
    """JSON without spaces; never NaN."""
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
