"""What comes over the exchange's websocket: events of the market, answers to commands, and what is neither."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SLOT_FORMAT = "%Y-%m-%dT%H:%M"
"""Naive, and UTC by the exchange's convention."""

_PERCENT = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*%?")


@dataclass(frozen=True, kw_only=True)
class MarketEvent:
    """One event: the market has begun a slot, a tick has passed, the simulation has ended, an asset was selected."""

    event: str
    """`market`, `tick`, `trade`, `finish`, `selected_by_device`, `unselected_by_device`, or what else it says."""

    slot: datetime | None
    """Start of the market slot it speaks of; None where it names none that can be read."""

    completion: float | None
    """How much of the slot has passed, in percent; whole ones, cut off below. None as for `slot`."""

    at: datetime
    """When it arrived, by the exchange's HTTP clock."""

    lead: timedelta | None = None
    """How far it shows the market to be ahead of the HTTP clock: of `market` events alone; None also where it is beyond
    `LEAD_BOUND`."""

    body: Mapping[str, object]
    """All of it."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to a command, whoever sent it."""

    command: str
    transaction_id: str | None
    """None where it carries none: commands that wait when the market moves on are refused in this form."""

    body: Mapping[str, object]

    @property
    def refuses(self) -> bool:
        """It says that something went wrong."""
        return self.body.get("status") == "error" or "error" in self.body


def parse_message(frame: bytes | str, *, at: datetime) -> MarketEvent | Answer | None:
    """What a frame says; None for one that is no JSON object, or neither an event nor an answer.

    Args:
        frame: as it came. The exchange sends binary ones; text is understood as well.
        at: when it came, by the exchange's HTTP clock.
    """
    try:
        body = json.loads(frame)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    if isinstance(command := body.get("command"), str):
        transaction = body.get("transaction_id")
        return Answer(
            command=command,
            transaction_id=transaction if isinstance(transaction, str) and transaction else None,
            body=body,
        )
    if isinstance(event := body.get("event"), str):
        slot, completion = _slot(body.get("market_slot")), _percent(body.get("slot_completion"))
        return MarketEvent(event=event, slot=slot, completion=completion, at=at, body=body)
    return None


def _slot(text: object) -> datetime | None:
    try:
        return datetime.strptime(text, SLOT_FORMAT).replace(tzinfo=UTC) if isinstance(text, str) else None
    except ValueError:
        return None


def _percent(text: object) -> float | None:
    found = _PERCENT.fullmatch(text.strip()) if isinstance(text, str) else None
    value = float(found[1]) if found else None
    return value if value is not None and value <= 100 else None
